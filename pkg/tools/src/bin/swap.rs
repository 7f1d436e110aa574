//! `swap --path FILE --size SIZE [--condition part:DIRECTORY[:true]] [--condition
//! partsize:DIRECTORY:SIZE[:true]]`: turns on swap in a file below /var. A condition that is not met
//! ends the program; with `:true` that is an error.

use std::process::ExitCode;

fn main() -> ExitCode {
    moby_tools::finish("swap", linux::swap(std::env::args().skip(1)))
}

#[cfg(not(target_os = "linux"))]
mod linux {
    use moby_tools::Error;

    pub fn swap(_: impl Iterator<Item = String>) -> Result<(), Error> {
        Err(Error::Usage("this is a program for Linux".into()))
    }
}

#[cfg(target_os = "linux")]
mod linux {
    use std::fs;

    use moby_tools::{Error, flags, programs, sizes};
    use rustix::fs::{FallocateFlags, Mode, OFlags, fallocate, open, statvfs};

    pub fn swap(arguments: impl Iterator<Item = String>) -> Result<(), Error> {
        let flags = flags::parse(arguments, &["path", "size", "condition"], &["debug", "encrypt"])?;
        if flags.is_on("encrypt", false) {
            return Err(Error::Usage(
                "--encrypt is not supported: the image has no cryptsetup".into(),
            ));
        }
        let path = flags.value("path", "");
        if path.strip_prefix("/var/").is_none_or(str::is_empty) {
            return Err(Error::Usage(format!("--path is {path:?}, not a file below /var")));
        }
        let size = sizes::parse(flags.value("size", ""))?;
        for condition in flags.values("condition") {
            match evaluate(condition)? {
                Outcome::Yes => {}
                Outcome::No => {
                    println!("swap: none, since {condition} is not met");
                    return Ok(());
                }
                Outcome::Required => return Err(Error::Disk(format!("{condition} is not met"))),
            }
        }
        if fs::metadata(path).map(|found| found.len()).ok() != Some(size) {
            create(path, size).map_err(Error::system(format!("create {path} with {size} bytes")))?;
            programs::run("busybox", &["mkswap", path], "")?;
        }
        programs::run("busybox", &["swapon", path], "")?;
        println!("swap: {size} bytes in {path}");
        Ok(())
    }

    /// Creates a file without holes: the kernel refuses one with holes.
    fn create(path: &str, size: u64) -> std::io::Result<()> {
        if fs::exists(path)? {
            fs::remove_file(path)?;
        }
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
        let file = open(path, flags, Mode::RUSR | Mode::WUSR)?;
        fallocate(&file, FallocateFlags::empty(), 0, size)?;
        Ok(rustix::fs::fsync(&file)?)
    }

    /// Result of a condition.
    enum Outcome {
        Yes,
        No,
        /// Not met, which is an error.
        Required,
    }

    fn evaluate(condition: &str) -> Result<Outcome, Error> {
        let parts: Vec<&str> = condition.split(':').collect();
        let (met, required) = match parts.as_slice() {
            ["part", directory, required @ ..] => (is_mounted(directory), required),
            ["partsize", directory, size, required @ ..] => (capacity(directory) >= sizes::parse(size)?, required),
            _ => {
                let message = format!("{condition:?} is neither part:DIRECTORY nor partsize:DIRECTORY:SIZE");
                return Err(Error::Usage(message));
            }
        };
        Ok(match (met, required) {
            (true, _) => Outcome::Yes,
            (false, ["true"]) => Outcome::Required,
            (false, _) => Outcome::No,
        })
    }

    fn is_mounted(directory: &str) -> bool {
        let mounts = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
        mounts.lines().any(|line| line.split(' ').nth(1) == Some(directory))
    }

    /// Returns the length in bytes of the filesystem that a directory is in.
    fn capacity(directory: &str) -> u64 {
        statvfs(directory).map_or(0, |found| found.f_blocks.saturating_mul(found.f_frsize))
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        #[test]
        fn conditions_are_met_or_not() {
            assert!(matches!(evaluate("part:/proc"), Ok(Outcome::Yes)));
            assert!(matches!(evaluate("part:/nowhere"), Ok(Outcome::No)));
            assert!(matches!(evaluate("part:/nowhere:true"), Ok(Outcome::Required)));
            assert!(matches!(evaluate("partsize:/:1K:true"), Ok(Outcome::Yes)));
            assert!(matches!(evaluate("partsize:/:9000000G"), Ok(Outcome::No)));
            assert!(evaluate("size:/").is_err());
        }
    }
}
