//! `mountie [-label L | -uuid U | -device D] [DEVICE] DIRECTORY`: mounts the named filesystem, or that
//! of the first partition of Linux's type that is not mounted yet.

use std::process::ExitCode;

fn main() -> ExitCode {
    moby_tools::finish("mount", linux::mount(std::env::args().skip(1)))
}

#[cfg(not(target_os = "linux"))]
mod linux {
    use moby_tools::Error;

    pub fn mount(_: impl Iterator<Item = String>) -> Result<(), Error> {
        Err(Error::Usage("this is a program for Linux".into()))
    }
}

#[cfg(target_os = "linux")]
mod linux {
    use std::collections::BTreeMap;
    use std::fs;

    use moby_tools::{Error, disks, flags, programs};
    use rustix::mount::MountFlags;

    /// blkid's fields of a partition.
    type Probed = BTreeMap<String, String>;

    pub fn mount(arguments: impl Iterator<Item = String>) -> Result<(), Error> {
        let flags = flags::parse(arguments, &["label", "uuid", "device"], &[])?;
        let (device, directory) = match flags.rest.as_slice() {
            [directory] => (flags.value("device", ""), directory),
            [device, directory] => (device.as_str(), directory),
            _ => return Err(Error::Usage("the arguments are [DEVICE] DIRECTORY".into())),
        };
        let device = match (device, flags.value("label", ""), flags.value("uuid", "")) {
            ("", "", "") => first_linux(not_mounted(), disks::probe)?,
            ("", "", uuid) => find("-U", uuid)?,
            ("", label, _) => find("-L", label)?,
            (device, _, _) => device.to_owned(),
        };
        fs::create_dir_all(directory).map_err(Error::system(format!("create {directory}")))?;
        let probed = disks::probe(&device)?;
        let kind = probed
            .get("TYPE")
            .ok_or_else(|| Error::Disk(format!("{device} contains no filesystem")))?;
        rustix::mount::mount(
            device.as_str(),
            directory.as_str(),
            kind.as_str(),
            MountFlags::empty(),
            c"",
        )
        .map_err(Error::system(format!("mount {device} ({kind}) on {directory}")))?;
        println!("mount: {device} ({kind}) on {directory}");
        create_links();
        Ok(())
    }

    /// Finds the device of a filesystem by its label or UUID.
    fn find(option: &str, text: &str) -> Result<String, Error> {
        let found = programs::run("blkid", &[option, text], "").unwrap_or_default();
        match found.trim() {
            "" => Err(Error::Disk(format!("no filesystem has the label or UUID {text:?}"))),
            device => Ok(device.to_owned()),
        }
    }

    /// Returns the first partition of Linux's type. One that cannot be identified is reported and
    /// skipped.
    fn first_linux(partitions: Vec<String>, probe: impl Fn(&str) -> Result<Probed, Error>) -> Result<String, Error> {
        for partition in partitions {
            match probe(&partition) {
                Ok(probed) if disks::is_linux(&probed) => return Ok(partition),
                Ok(_) => {}
                Err(error) => eprintln!("mount: {partition} is skipped: {error}"),
            }
        }
        Err(Error::Disk(
            "every partition of Linux's type is mounted, or none exists".into(),
        ))
    }

    fn not_mounted() -> Vec<String> {
        let mounts = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
        let mounted: Vec<&str> = mounts.lines().filter_map(|line| line.split(' ').next()).collect();
        let partitions = disks::all().into_iter().flat_map(|disk| disks::partitions(&disk));
        let devices = partitions.map(|partition| partition.device);
        devices.filter(|device| !mounted.contains(&device.as_str())).collect()
    }

    /// Creates the links of udev in /dev/disk/by-uuid and by-label. Nothing depends on them here.
    fn create_links() {
        let devices = disks::all().into_iter().flat_map(|disk| disks::partitions(&disk));
        for device in devices.map(|partition| partition.device) {
            let probed = disks::probe(&device).unwrap_or_default();
            for (key, directory) in [("UUID", "/dev/disk/by-uuid"), ("LABEL", "/dev/disk/by-label")] {
                // udev would encode the other bytes.
                let plain = |text: &&String| {
                    text.bytes()
                        .all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
                };
                if let Some(name) = probed.get(key).filter(plain) {
                    let _ = fs::create_dir_all(directory);
                    let target = device.replace("/dev/", "../../");
                    let _ = rustix::fs::symlink(target, format!("{directory}/{name}"));
                }
            }
        }
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        #[test]
        fn a_partition_that_cannot_be_identified_does_not_end_the_search() {
            let partitions = ["other", "unclear", "linux", "later"].map(str::to_owned);
            let probe = |partition: &str| match partition {
                "other" => Ok(Probed::new()),
                "unclear" => Err(Error::Disk("ambivalent result".to_owned())),
                _ => Ok(Probed::from([("PART_ENTRY_TYPE".to_owned(), "0x83".to_owned())])),
            };
            assert_eq!(first_linux(partitions.to_vec(), probe).unwrap(), "linux");
            assert!(first_linux(partitions.into_iter().take(2).collect(), probe).is_err());
        }
    }
}
