//! `extend [-type ext4|btrfs|xfs] [-stop-on-error=false] [DISK]...`: lets the only partition of a
//! disk, and its filesystem, have the space behind it. Without disks all are looked at.

use std::process::ExitCode;

fn main() -> ExitCode {
    moby_tools::finish("extend", linux::extend(std::env::args().skip(1)))
}

#[cfg(not(target_os = "linux"))]
mod linux {
    pub fn extend(_: impl Iterator<Item = String>) -> Result<(), String> {
        Err("this is a program for Linux".into())
    }
}

#[cfg(target_os = "linux")]
mod linux {
    use std::fs;

    use moby_tools::{disks, flags, programs};
    use rustix::mount::{MountFlags, UnmountFlags, unmount};

    /// What a GPT may have behind the last partition, and alignment, in bytes.
    const SLACK: u64 = 2 << 20;
    /// Where filesystems are mounted that grow only then.
    const FOLDER: &str = "/mnt";

    pub fn extend(arguments: impl Iterator<Item = String>) -> Result<(), String> {
        let given = flags::parse(arguments, &["type"], &["stop-on-error"])?;
        let kind = given.value("type", "ext4");
        if !["ext4", "btrfs", "xfs"].contains(&kind) {
            return Err(format!("there are ext4, btrfs and xfs, not {kind}"));
        }
        if !given.rest.is_empty() {
            return given.rest.iter().try_for_each(|disk| one(disk, kind));
        }
        for disk in disks::all() {
            match one(&disk, kind) {
                Err(error) if given.on("stop-on-error", true) => return Err(error),
                Err(error) => eprintln!("extend: {error}"),
                Ok(()) => {}
            }
        }
        Ok(())
    }

    fn one(disk: &str, kind: &str) -> Result<(), String> {
        let partitions = disks::partitions(disk);
        let [partition] = partitions.as_slice() else {
            println!("extend: {disk} has {} partitions, not one", partitions.len());
            return Ok(());
        };
        let end = partition.start.saturating_add(partition.len);
        if disks::len(disk).saturating_sub(end) < SLACK {
            println!("extend: nothing is free behind {}", partition.device);
            return Ok(());
        }
        let device = partition.device.as_str();
        let probed = disks::probe(device)?;
        if !disks::is_linux(&probed) {
            return Err(format!("{device} is not a partition for Linux"));
        }
        let found = probed.get("TYPE").map(String::as_str).unwrap_or_default();
        if found != kind {
            return Err(format!("{device} has {found:?}, not {kind}"));
        }
        if kind == "ext4" {
            check(device)?;
        }
        programs::run("sfdisk", &["--quiet", "-N", "1", disk], ", +\n")?;
        disks::wait(device)?;
        match kind {
            "ext4" => {
                programs::run("resize2fs", &[device], "")?;
                check(device)?;
            }
            "btrfs" => mounted(device, kind, "btrfs", &["filesystem", "resize", "max", FOLDER])?,
            _ => mounted(device, kind, "xfs_growfs", &[FOLDER])?,
        }
        println!("extend: {device} has the whole of {disk}");
        Ok(())
    }

    /// e2fsck(8) ends with 1 when it has mended everything.
    fn check(device: &str) -> Result<(), String> {
        for how in ["-fp", "-fy"] {
            let output = programs::output("e2fsck", &[how, device], "")?;
            if matches!(output.status.code(), Some(0 | 1)) {
                return Ok(());
            }
        }
        Err(format!("e2fsck cannot mend {device}"))
    }

    fn mounted(device: &str, kind: &str, program: &str, arguments: &[&str]) -> Result<(), String> {
        fs::create_dir_all(FOLDER).map_err(|error| format!("cannot make {FOLDER}: {error}"))?;
        rustix::mount::mount(device, FOLDER, kind, MountFlags::empty(), c"")
            .map_err(|error| format!("cannot mount {device}: {error}"))?;
        let grown = programs::run(program, arguments, "");
        unmount(FOLDER, UnmountFlags::empty()).map_err(|error| format!("cannot unmount {device}: {error}"))?;
        grown.map(drop)
    }
}
