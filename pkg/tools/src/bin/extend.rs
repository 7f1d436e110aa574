//! `extend [-type ext4|btrfs|xfs] [-stop-on-error=false] [DISK]...`: extends the only partition of a
//! disk, and its filesystem, to the end of the disk. Without arguments it looks at all disks.

use std::process::ExitCode;

fn main() -> ExitCode {
    moby_tools::finish("extend", linux::extend(std::env::args().skip(1)))
}

#[cfg(not(target_os = "linux"))]
mod linux {
    use moby_tools::Error;

    pub fn extend(_: impl Iterator<Item = String>) -> Result<(), Error> {
        Err(Error::Usage("this is a program for Linux".into()))
    }
}

#[cfg(target_os = "linux")]
mod linux {
    use std::fs;

    use moby_tools::{Error, disks, flags, programs};
    use rustix::mount::{MountFlags, UnmountFlags, unmount};

    /// Minimum free space that is worth an extension, in bytes: more than the backup of a GPT and the
    /// alignment of a partition leave.
    const MIN_FREE: u64 = 2 << 20;
    /// Mount point for filesystems that grow only when they are mounted.
    const MOUNT_POINT: &str = "/mnt";

    pub fn extend(arguments: impl Iterator<Item = String>) -> Result<(), Error> {
        let flags = flags::parse(arguments, &["type"], &["stop-on-error"])?;
        let kind = flags.value("type", "ext4");
        if !["ext4", "btrfs", "xfs"].contains(&kind) {
            return Err(Error::Unsupported {
                value: kind.to_owned(),
                supported: "ext4, btrfs or xfs",
            });
        }
        if !flags.rest.is_empty() {
            return flags.rest.iter().try_for_each(|disk| extend_disk(disk, kind));
        }
        for disk in disks::all() {
            match extend_disk(&disk, kind) {
                Err(error) if flags.is_on("stop-on-error", true) => return Err(error),
                Err(error) => eprintln!("extend: {error}"),
                Ok(()) => {}
            }
        }
        Ok(())
    }

    fn extend_disk(disk: &str, kind: &str) -> Result<(), Error> {
        let partitions = disks::partitions(disk);
        let [partition] = partitions.as_slice() else {
            println!("extend: {disk} has {} partitions, not one", partitions.len());
            return Ok(());
        };
        let end = partition.start.saturating_add(partition.len);
        if disks::len(disk).saturating_sub(end) < MIN_FREE {
            println!("extend: no free space after {}", partition.device);
            return Ok(());
        }
        let device = partition.device.as_str();
        let probed = disks::probe(device)?;
        if !disks::is_linux(&probed) {
            return Err(Error::Disk(format!("{device} does not have a partition type of Linux")));
        }
        let found = probed.get("TYPE").map(String::as_str).unwrap_or_default();
        if found != kind {
            return Err(Error::Disk(format!("{device} contains {found:?}, not {kind}")));
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
            "btrfs" => mounted(device, kind, "btrfs", &["filesystem", "resize", "max", MOUNT_POINT])?,
            _ => mounted(device, kind, "xfs_growfs", &[MOUNT_POINT])?,
        }
        println!("extend: {device} fills {disk}");
        Ok(())
    }

    /// Checks an ext4 filesystem. e2fsck(8) ends with 1 when it has repaired everything.
    fn check(device: &str) -> Result<(), Error> {
        for option in ["-fp", "-fy"] {
            let output = programs::output("e2fsck", &[option, device], "")?;
            if matches!(output.status.code(), Some(0 | 1)) {
                return Ok(());
            }
        }
        Err(Error::Disk(format!("e2fsck cannot repair {device}")))
    }

    /// Runs a program while a filesystem is mounted.
    fn mounted(device: &str, kind: &str, program: &str, arguments: &[&str]) -> Result<(), Error> {
        fs::create_dir_all(MOUNT_POINT).map_err(Error::system(format!("create {MOUNT_POINT}")))?;
        rustix::mount::mount(device, MOUNT_POINT, kind, MountFlags::empty(), c"")
            .map_err(Error::system(format!("mount {device}")))?;
        let grown = programs::run(program, arguments, "");
        unmount(MOUNT_POINT, UnmountFlags::empty()).map_err(Error::system(format!("unmount {device}")))?;
        grown.map(drop)
    }
}
