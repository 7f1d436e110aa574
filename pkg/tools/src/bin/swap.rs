//! `swap --path FILE --size SIZE [--condition part:FOLDER[:true]] [--condition
//! partsize:FOLDER:SIZE[:true]]`: memory in a file below /var. A condition that is not met ends it
//! quietly, or as an error with `:true`.

use std::process::ExitCode;

fn main() -> ExitCode {
    moby_tools::finish("swap", linux::swap(std::env::args().skip(1)))
}

#[cfg(not(target_os = "linux"))]
mod linux {
    pub fn swap(_: impl Iterator<Item = String>) -> Result<(), String> {
        Err("this is a program for Linux".into())
    }
}

#[cfg(target_os = "linux")]
mod linux {
    use std::fs;

    use moby_tools::{flags, programs, sizes};
    use rustix::fs::{FallocateFlags, Mode, OFlags, fallocate, open, statvfs};

    pub fn swap(arguments: impl Iterator<Item = String>) -> Result<(), String> {
        let given = flags::parse(arguments, &["path", "size", "condition"], &["debug", "encrypt"])?;
        if given.on("encrypt", false) {
            return Err("--encrypt is not supported: there is no cryptsetup here".into());
        }
        let path = given.value("path", "");
        if path.strip_prefix("/var/").is_none_or(str::is_empty) {
            return Err(format!("--path is {path:?}, not a file below /var"));
        }
        let size = sizes::parse(given.value("size", ""))?;
        for condition in given.values("condition") {
            match met(condition)? {
                Met::Yes => {}
                Met::No => {
                    println!("swap: not made: {condition} is not met");
                    return Ok(());
                }
                Met::Needed => return Err(format!("{condition} is not met")),
            }
        }
        if fs::metadata(path).map(|found| found.len()).ok() != Some(size) {
            make(path, size).map_err(|error| format!("cannot make {path} with {size} bytes: {error}"))?;
            programs::run("busybox", &["mkswap", path], "")?;
        }
        programs::run("busybox", &["swapon", path], "")?;
        println!("swap: {size} bytes in {path}");
        Ok(())
    }

    /// A file without holes, which the kernel wants.
    fn make(path: &str, size: u64) -> std::io::Result<()> {
        if fs::exists(path)? {
            fs::remove_file(path)?;
        }
        let how = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
        let file = open(path, how, Mode::RUSR | Mode::WUSR)?;
        fallocate(&file, FallocateFlags::empty(), 0, size)?;
        Ok(rustix::fs::fsync(&file)?)
    }

    enum Met {
        Yes,
        No,
        Needed,
    }

    fn met(condition: &str) -> Result<Met, String> {
        let parts: Vec<&str> = condition.split(':').collect();
        let (met, needed) = match parts.as_slice() {
            ["part", folder, needed @ ..] => (is_mounted(folder), needed),
            ["partsize", folder, size, needed @ ..] => (space(folder) >= sizes::parse(size)?, needed),
            _ => return Err(format!("{condition:?} is neither part:FOLDER nor partsize:FOLDER:SIZE")),
        };
        Ok(match (met, needed) {
            (true, _) => Met::Yes,
            (false, ["true"]) => Met::Needed,
            (false, _) => Met::No,
        })
    }

    fn is_mounted(folder: &str) -> bool {
        let mounts = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
        mounts.lines().any(|line| line.split(' ').nth(1) == Some(folder))
    }

    /// The length of the filesystem that a folder is in, in bytes.
    fn space(folder: &str) -> u64 {
        statvfs(folder).map_or(0, |found| found.f_blocks.saturating_mul(found.f_frsize))
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        #[test]
        fn conditions_are_met_or_not() {
            assert!(matches!(met("part:/proc"), Ok(Met::Yes)));
            assert!(matches!(met("part:/nowhere"), Ok(Met::No)));
            assert!(matches!(met("part:/nowhere:true"), Ok(Met::Needed)));
            assert!(matches!(met("partsize:/:1K:true"), Ok(Met::Yes)));
            assert!(matches!(met("partsize:/:9000000G"), Ok(Met::No)));
            assert!(met("size:/").is_err());
        }
    }
}
