//! `mountie [-label L | -uuid U | -device D] [DEVICE] FOLDER`: mounts a filesystem: the one that is
//! named, or that of the first partition of Linux's type that is not mounted yet.

use std::process::ExitCode;

fn main() -> ExitCode {
    moby_tools::finish("mount", linux::mount(std::env::args().skip(1)))
}

#[cfg(not(target_os = "linux"))]
mod linux {
    pub fn mount(_: impl Iterator<Item = String>) -> Result<(), String> {
        Err("this is a program for Linux".into())
    }
}

#[cfg(target_os = "linux")]
mod linux {
    use std::collections::BTreeMap;
    use std::fs;

    use moby_tools::{disks, flags, programs};
    use rustix::mount::MountFlags;

    /// What blkid says of a partition.
    type Probed = BTreeMap<String, String>;

    pub fn mount(arguments: impl Iterator<Item = String>) -> Result<(), String> {
        let given = flags::parse(arguments, &["label", "uuid", "device"], &[])?;
        let (device, folder) = match given.rest.as_slice() {
            [folder] => (given.value("device", ""), folder),
            [device, folder] => (device.as_str(), folder),
            _ => return Err("the arguments are a folder, or a device and a folder".into()),
        };
        let device = match (device, given.value("label", ""), given.value("uuid", "")) {
            ("", "", "") => first(not_mounted(), disks::probe)?,
            ("", "", uuid) => find("-U", uuid)?,
            ("", label, _) => find("-L", label)?,
            (device, _, _) => device.to_owned(),
        };
        fs::create_dir_all(folder).map_err(|error| format!("cannot make {folder}: {error}"))?;
        let probed = disks::probe(&device)?;
        let kind = probed
            .get("TYPE")
            .ok_or_else(|| format!("there is no filesystem on {device}"))?;
        rustix::mount::mount(
            device.as_str(),
            folder.as_str(),
            kind.as_str(),
            MountFlags::empty(),
            c"",
        )
        .map_err(|error| format!("cannot mount {device} ({kind}) on {folder}: {error}"))?;
        println!("mount: {device} ({kind}) on {folder}");
        links();
        Ok(())
    }

    /// The device of a filesystem with a label or an identifier.
    fn find(option: &str, text: &str) -> Result<String, String> {
        let found = programs::run("blkid", &[option, text], "").unwrap_or_default();
        match found.trim() {
            "" => Err(format!("there is no filesystem with the label or UUID {text:?}")),
            device => Ok(device.to_owned()),
        }
    }

    /// The first partition of Linux's type. One that cannot be told is none, and said.
    fn first(partitions: Vec<String>, probe: impl Fn(&str) -> Result<Probed, String>) -> Result<String, String> {
        for partition in partitions {
            match probe(&partition) {
                Ok(probed) if disks::is_linux(&probed) => return Ok(partition),
                Ok(_) => {}
                Err(error) => eprintln!("mount: {partition} is left alone: {error}"),
            }
        }
        Err("there is no partition for Linux that is not mounted".into())
    }

    fn not_mounted() -> Vec<String> {
        let mounts = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
        let mounted: Vec<&str> = mounts.lines().filter_map(|line| line.split(' ').next()).collect();
        let partitions = disks::all().into_iter().flat_map(|disk| disks::partitions(&disk));
        let devices = partitions.map(|partition| partition.device);
        devices.filter(|device| !mounted.contains(&device.as_str())).collect()
    }

    /// /dev/disk/by-uuid and by-label, as udev has them. Nothing depends on them here.
    fn links() {
        let devices = disks::all().into_iter().flat_map(|disk| disks::partitions(&disk));
        for device in devices.map(|partition| partition.device) {
            let probed = disks::probe(&device).unwrap_or_default();
            for (key, folder) in [("UUID", "/dev/disk/by-uuid"), ("LABEL", "/dev/disk/by-label")] {
                // Names with other bytes are encoded by udev, which is not done here.
                let plain = |text: &&String| {
                    text.bytes()
                        .all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
                };
                if let Some(name) = probed.get(key).filter(plain) {
                    let _ = fs::create_dir_all(folder);
                    let target = device.replace("/dev/", "../../");
                    let _ = rustix::fs::symlink(target, format!("{folder}/{name}"));
                }
            }
        }
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        #[test]
        fn a_partition_that_cannot_be_told_does_not_end_the_search() {
            let partitions = ["other", "unclear", "linux", "later"].map(str::to_owned);
            let probe = |partition: &str| match partition {
                "other" => Ok(Probed::new()),
                "unclear" => Err("ambivalent result".to_owned()),
                _ => Ok(Probed::from([("PART_ENTRY_TYPE".to_owned(), "0x83".to_owned())])),
            };
            assert_eq!(first(partitions.to_vec(), probe).unwrap(), "linux");
            assert!(first(partitions.into_iter().take(2).collect(), probe).is_err());
        }
    }
}
