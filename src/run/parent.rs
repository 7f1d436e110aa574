//! Programs that end with moby, even when moby is killed.

use std::ffi::OsString;
use std::io;
use std::path::Path;
use std::process::Command;

/// First argument by which moby starts itself; its process ID, a program and the program's
/// arguments follow.
const EXEC: &str = "exec-with-parent";

/// Creates a command for a program that does not outlive moby.
///
/// On Linux moby starts itself, ties the new process to its parent, and lets it become the program. On
/// Windows moby enters a job object, which ends its processes with moby. Elsewhere the program outlives
/// a moby that is killed.
pub fn command(program: &Path) -> Command {
    enter_job();
    if cfg!(target_os = "linux") {
        let mut command = Command::new("/proc/self/exe");
        command.args([EXEC, &std::process::id().to_string()]).arg(program);
        command
    } else {
        Command::new(program)
    }
}

/// Enters a job object for this process and those that it starts. The system ends them when the last
/// handle of the job is closed, which is with this process.
#[cfg(windows)]
fn enter_job() {
    use std::sync::Once;

    use win32job::{ExtendedLimitInfo, Job};

    static ENTER: Once = Once::new();
    ENTER.call_once(|| {
        let mut limits = ExtendedLimitInfo::new();
        limits.limit_kill_on_job_close();
        let job = Job::create_with_limit_info(&limits).and_then(|job| job.assign_current_process().map(|()| job));
        // Without a job the program runs all the same.
        if let Ok(job) = job {
            std::mem::forget(job);
        }
    });
}

#[cfg(not(windows))]
fn enter_job() {}

/// Becomes the program that a [`command`] is for, if these are its arguments. Returns only if they
/// are not, or with the error that prevented it.
pub fn exec_if_asked(arguments: impl Iterator<Item = OsString>) -> Option<io::Error> {
    let mut arguments = arguments.skip(1);
    if arguments.next()? != EXEC {
        return None;
    }
    let parent = arguments.next()?.to_str()?.parse().ok()?;
    let program = arguments.next()?;
    Some(exec(parent, &program, arguments))
}

#[cfg(target_os = "linux")]
fn exec(parent: u32, program: &OsString, arguments: impl Iterator<Item = OsString>) -> io::Error {
    use std::os::unix::process::CommandExt;

    use rustix::process::{Signal, getppid, set_parent_process_death_signal};

    if let Err(error) = set_parent_process_death_signal(Some(Signal::KILL)) {
        return error.into();
    }
    // The parent may have ended before this process was tied to it.
    if getppid().is_none_or(|found| found.as_raw_nonzero().get().unsigned_abs() != parent) {
        return io::Error::other("moby has ended");
    }
    Command::new(program).args(arguments).exec()
}

#[cfg(not(target_os = "linux"))]
fn exec(_: u32, _: &OsString, _: impl Iterator<Item = OsString>) -> io::Error {
    io::ErrorKind::Unsupported.into()
}
