//! `format [-label L] [-type ext4|btrfs|xfs|vfat] [-partition dos|gpt] [-force] [-verbose] [DISK]`:
//! creates one partition and a filesystem on the given disk, or on the first that is empty.
//! A disk with content is only formatted with `-force`.

use std::process::ExitCode;

use moby_tools::{Error, disks, finish, flags, programs};

fn main() -> ExitCode {
    finish("format", format(std::env::args().skip(1)))
}

fn format(arguments: impl Iterator<Item = String>) -> Result<(), Error> {
    let flags = flags::parse(arguments, &["label", "type", "partition"], &["force", "verbose"])?;
    let disk = match flags.rest.as_slice() {
        [] => first_empty(disks::all(), content, flags.is_on("verbose", false))?,
        [disk] if !disks::is_block(disk) => return Err(Error::Disk(format!("{disk} is not a block device"))),
        [disk] if flags.is_on("force", false) => disk.clone(),
        [disk] => match content(disk)? {
            None => disk.clone(),
            // At every boot but the first.
            Some(content) => {
                let message = format!("{disk} is not formatted: it contains {content}; -force overwrites it");
                return Err(Error::Disk(message));
            }
        },
        _ => return Err(Error::Usage("more than one disk".into())),
    };
    let kind = flags.value("type", "ext4");
    let maker = maker(kind, flags.value("label", ""))?;
    let table = flags.value("partition", "dos");
    if !["dos", "gpt"].contains(&table) {
        return Err(Error::Unsupported {
            value: table.to_owned(),
            supported: "the partition table dos or gpt",
        });
    }
    println!("format: {disk}: one {kind} partition");
    let script = format!("label: {table}\n,,L\n");
    let options = ["--quiet", "--wipe", "always", "--wipe-partitions", "always", &disk];
    programs::run("sfdisk", &options, &script)?;
    let partition = disks::first_partition(&disk);
    disks::wait(&partition)?;
    let mut options: Vec<&str> = maker.iter().skip(1).map(String::as_str).collect();
    options.push(&partition);
    programs::run(maker.first().map_or("mkfs", String::as_str), &options, "")?;
    println!("format: {partition} is ready");
    Ok(())
}

/// Returns the first disk without content. A disk whose content cannot be identified is not empty; it
/// is always reported, since it may be the intended one.
fn first_empty(
    disks: Vec<String>,
    content: impl Fn(&str) -> Result<Option<String>, Error>,
    verbose: bool,
) -> Result<String, Error> {
    for disk in disks {
        match content(&disk) {
            Ok(None) => return Ok(disk),
            Ok(Some(content)) if verbose => println!("format: {disk} contains {content}"),
            Ok(Some(_)) => {}
            Err(error) => eprintln!("format: {disk} is skipped: {error}"),
        }
    }
    Err(Error::Disk("no disk is empty".into()))
}

/// Identifies the content of a disk; `None` when it is empty.
fn content(disk: &str) -> Result<Option<String>, Error> {
    let probed = disks::probe(disk)?;
    let name = probed.get("TYPE").or(probed.get("PTTYPE"));
    Ok(match (name, probed.is_empty()) {
        (Some(name), _) => Some(name.clone()),
        (None, false) => Some("unknown data".to_owned()),
        (None, true) => None,
    })
}

/// Returns the command that makes a filesystem.
fn maker(kind: &str, label: &str) -> Result<Vec<String>, Error> {
    let (program, force, name) = match kind {
        "ext4" => ("mkfs.ext4", "-Fq", "-L"),
        "btrfs" => ("mkfs.btrfs", "-fq", "-L"),
        "xfs" => ("mkfs.xfs", "-fq", "-L"),
        "vfat" => ("mkfs.vfat", "", "-n"),
        other => {
            return Err(Error::Unsupported {
                value: other.to_owned(),
                supported: "ext4, btrfs, xfs or vfat",
            });
        }
    };
    let mut command = vec![program];
    if !force.is_empty() {
        command.push(force);
    }
    if !label.is_empty() {
        command.extend([name, label]);
    }
    Ok(command.into_iter().map(str::to_owned).collect())
}

#[cfg(test)]
mod tests {
    use super::{Error, first_empty, maker};

    #[test]
    fn a_disk_that_cannot_be_identified_does_not_end_the_search() {
        let disks = || vec!["full".to_owned(), "unclear".into(), "empty".into(), "later".into()];
        let content = |disk: &str| match disk {
            "full" => Ok(Some("ext4".to_owned())),
            "unclear" => Err(Error::Disk("ambivalent result".to_owned())),
            _ => Ok(None),
        };
        assert_eq!(first_empty(disks(), content, false).unwrap(), "empty");
        let disks = disks().into_iter().take(2).collect();
        let error = first_empty(disks, content, true).unwrap_err();
        assert_eq!(error.to_string(), "no disk is empty");
    }

    #[test]
    fn makers_get_the_label() {
        assert_eq!(maker("ext4", "data").unwrap(), ["mkfs.ext4", "-Fq", "-L", "data"]);
        assert_eq!(maker("vfat", "").unwrap(), ["mkfs.vfat"]);
        assert!(maker("zfs", "").is_err());
    }
}
