//! `format [-label L] [-type ext4|btrfs|xfs|vfat] [-partition dos|gpt] [-force] [-verbose] [DISK]`:
//! one partition with a filesystem over a whole disk: the given one, or the first that is empty.
//! Only with `-force` is a disk formatted that has something on it.

use std::process::ExitCode;

use moby_tools::{disks, finish, flags, programs};

fn main() -> ExitCode {
    finish("format", format(std::env::args().skip(1)))
}

fn format(arguments: impl Iterator<Item = String>) -> Result<(), String> {
    let given = flags::parse(arguments, &["label", "type", "partition"], &["force", "verbose"])?;
    let disk = match given.rest.as_slice() {
        [] => first_empty(disks::all(), what_is_on, given.on("verbose", false))?,
        [disk] if !disks::is_block(disk) => return Err(format!("{disk} is not a block device")),
        [disk] if given.on("force", false) => disk.clone(),
        [disk] => match what_is_on(disk)? {
            None => disk.clone(),
            // As at every boot but the first.
            Some(what) => return Err(format!("{disk} has {what}: not formatted; -force would do it")),
        },
        _ => return Err("there is more than one disk among the arguments".into()),
    };
    let kind = given.value("type", "ext4");
    let maker = maker(kind, given.value("label", ""))?;
    let table = given.value("partition", "dos");
    if !["dos", "gpt"].contains(&table) {
        return Err(format!("there are partition tables dos and gpt, not {table}"));
    }
    println!("format: {disk}: one {kind} partition");
    let script = format!("label: {table}\n,,L\n");
    let options = ["--quiet", "--wipe", "always", "--wipe-partitions", "always", &disk];
    programs::run("sfdisk", &options, &script)?;
    let partition = disks::first(&disk);
    disks::wait(&partition)?;
    let mut options: Vec<&str> = maker.iter().skip(1).map(String::as_str).collect();
    options.push(&partition);
    programs::run(maker.first().map_or("mkfs", String::as_str), &options, "")?;
    println!("format: {partition} is ready");
    Ok(())
}

/// The first disk with nothing on it. One that cannot be told is not taken for empty, and said
/// always, as it may be the one that was meant.
fn first_empty(
    disks: Vec<String>,
    what_is_on: impl Fn(&str) -> Result<Option<String>, String>,
    verbose: bool,
) -> Result<String, String> {
    for disk in disks {
        match what_is_on(&disk) {
            Ok(None) => return Ok(disk),
            Ok(Some(what)) if verbose => println!("format: {disk} has {what}"),
            Ok(Some(_)) => {}
            Err(error) => eprintln!("format: {disk} is left alone: {error}"),
        }
    }
    Err("there is no disk without content".into())
}

/// What is on a disk; nothing when it is empty.
fn what_is_on(disk: &str) -> Result<Option<String>, String> {
    let probed = disks::probe(disk)?;
    let what = probed.get("TYPE").or(probed.get("PTTYPE"));
    Ok(match (what, probed.is_empty()) {
        (Some(what), _) => Some(what.clone()),
        (None, false) => Some("something".to_owned()),
        (None, true) => None,
    })
}

/// The program that makes a filesystem, and its options.
fn maker(kind: &str, label: &str) -> Result<Vec<String>, String> {
    let (program, force, name) = match kind {
        "ext4" => ("mkfs.ext4", "-Fq", "-L"),
        "btrfs" => ("mkfs.btrfs", "-fq", "-L"),
        "xfs" => ("mkfs.xfs", "-fq", "-L"),
        "vfat" => ("mkfs.vfat", "", "-n"),
        other => return Err(format!("there are ext4, btrfs, xfs and vfat, not {other}")),
    };
    let mut words = vec![program];
    if !force.is_empty() {
        words.push(force);
    }
    if !label.is_empty() {
        words.extend([name, label]);
    }
    Ok(words.into_iter().map(str::to_owned).collect())
}

#[cfg(test)]
mod tests {
    use super::{first_empty, maker};

    #[test]
    fn a_disk_that_cannot_be_told_does_not_end_the_search() {
        let disks = || vec!["full".to_owned(), "unclear".into(), "empty".into(), "later".into()];
        let what = |disk: &str| match disk {
            "full" => Ok(Some("ext4".to_owned())),
            "unclear" => Err("ambivalent result".to_owned()),
            _ => Ok(None),
        };
        assert_eq!(first_empty(disks(), what, false).unwrap(), "empty");
        let disks = disks().into_iter().take(2).collect();
        let said = first_empty(disks, what, true).unwrap_err();
        assert_eq!(said, "there is no disk without content");
    }

    #[test]
    fn makers_get_the_label() {
        assert_eq!(maker("ext4", "data").unwrap(), ["mkfs.ext4", "-Fq", "-L", "data"]);
        assert_eq!(maker("vfat", "").unwrap(), ["mkfs.vfat"]);
        assert!(maker("zfs", "").is_err());
    }
}
