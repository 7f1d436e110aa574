//! `runc`, `ctr`: runs the machine's program of that name, /usr/sbin/runc or /usr/sbin/ctr, from within
//! a container as well.
//!
//! LinuxKit's labels bind /usr/bin/runc and /usr/bin/ctr into containers whose C library, if any, is
//! not the one that Debian's programs are linked to. This program needs none: it enters the mount
//! namespace of PID 1, where the libraries are, and becomes the real program there. Paths in its
//! arguments are therefore those of the machine. The container needs `pid: host`, to see the
//! machine's PID 1, and capabilities CAP_SYS_ADMIN, CAP_SYS_CHROOT and CAP_SYS_PTRACE.

use std::process::ExitCode;

fn main() -> ExitCode {
    let mut arguments = std::env::args_os();
    let name = arguments.next().unwrap_or_default();
    let name = name.to_string_lossy();
    let name = name.rsplit('/').next().unwrap_or_default();
    let failed = linux::run(name, arguments);
    eprintln!("{name}: {failed}");
    if let Some(help) = failed.help() {
        eprintln!("help: {help}");
    }
    ExitCode::FAILURE
}

#[cfg(not(target_os = "linux"))]
mod linux {
    use std::ffi::OsString;

    pub struct Error;

    pub fn run(_: &str, _: impl Iterator<Item = OsString>) -> Error {
        Error
    }

    impl Error {
        pub fn help(&self) -> Option<&str> {
            None
        }
    }

    impl std::fmt::Display for Error {
        fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
            f.write_str("this is a program for Linux")
        }
    }
}

#[cfg(target_os = "linux")]
mod linux {
    use std::ffi::OsString;
    use std::fs::{self, File};
    use std::io;
    use std::os::fd::AsFd;
    use std::os::unix::process::CommandExt;
    use std::process::Command;

    use rustix::fs::{Mode, OFlags, open};
    use rustix::process::{chdir, chroot, fchdir};
    use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

    /// Directory of the programs that this one stands for.
    const DIRECTORY: &str = "/usr/sbin";

    #[derive(Debug, thiserror::Error)]
    pub enum Error {
        #[error("cannot enter the mount namespace of the machine: {0}")]
        Enter(#[from] io::Error),
        #[error("cannot run {program}: {source}")]
        Run { program: String, source: io::Error },
    }

    impl Error {
        /// Returns the setting that the container lacks, if one is missing.
        pub fn help(&self) -> Option<&str> {
            match self {
                Error::Enter(_) => Some("give the container `capabilities: [all]`"),
                Error::Run { source, .. } if source.kind() == io::ErrorKind::NotFound => {
                    Some("give the container `pid: host`, and the machine the package of the program")
                }
                Error::Run { .. } => None,
            }
        }
    }

    /// Becomes the program. Returns only when that fails.
    pub fn run(name: &str, arguments: impl Iterator<Item = OsString>) -> Error {
        if let Err(error) = enter_machine() {
            return error.into();
        }
        let program = format!("{DIRECTORY}/{name}");
        let source = Command::new(&program).arg0(name).args(arguments).exec();
        Error::Run { program, source }
    }

    /// Enters the mount namespace and the root directory of PID 1, unless it is there.
    fn enter_machine() -> io::Result<()> {
        if fs::read_link("/proc/self/ns/mnt")? == fs::read_link("/proc/1/ns/mnt")? {
            return Ok(());
        }
        let directory = std::env::current_dir();
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let root = open("/proc/1/root", flags, Mode::empty())?;
        let namespace = File::open("/proc/1/ns/mnt")?;
        move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Mount))?;
        fchdir(&root)?;
        chroot(".")?;
        // Directories that are shared, as /run and /containers, have the same path.
        let same = directory.is_ok_and(|directory| chdir(directory).is_ok());
        if same { Ok(()) } else { Ok(chdir("/")?) }
    }
}
