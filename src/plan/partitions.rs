//! Partitions that the YAML adds to a disk, or changes.

use disk::{DiskLayout, PartitionType, Uuid};
use extents::Extents;
use tree::Time;

use super::files::fat_options;
use super::{Error, Options, root_filesystem};
use crate::content_id::ContentId;
use crate::system::{Filesystem, Partition};

/// Changes the partitions of a disk that have the labels of `partitions`, and adds the others.
/// `unit` is that of the disk's length, in bytes.
///
/// # Errors
/// Content that a filesystem cannot store, and partitions that do not fit the disk.
pub fn apply(layout: &mut DiskLayout, partitions: &[Partition], options: &Options, unit: u64) -> Result<(), Error> {
    if partitions.is_empty() {
        return Ok(());
    }
    let mut added = Vec::new();
    for partition in partitions {
        let mut of_format = layout.partitions.iter_mut();
        if let Some(changed) = of_format.find(|found| found.label == partition.label) {
            changed.kind = partition.kind.unwrap_or(changed.kind);
            changed.min_size = partition.min_size;
            changed.grow = partition.grow;
        } else if !partition.changes_format {
            added.push((layout.partitions.len(), partition));
            layout.partitions.push(planned(partition, options)?);
        }
    }
    // Where a filesystem begins and how long it can be is known when every partition has its place.
    let placement = layout.place(options.size, unit)?;
    for (index, partition) in added {
        let (Some(range), Some(entry)) = (placement.partitions.get(index), layout.partitions.get_mut(index)) else {
            continue;
        };
        let len = (partition.grow || partition.min_size > 0).then_some(range.end - range.start);
        entry.content = content(partition, len, range.start, options)?;
    }
    Ok(())
}

fn planned(partition: &Partition, options: &Options) -> Result<disk::Partition, Error> {
    let len = (partition.min_size > 0).then_some(partition.min_size);
    let usual = match partition.content {
        Some(Filesystem::Fat(_)) => PartitionType::BasicData,
        _ => PartitionType::Linux,
    };
    let mut planned = disk::Partition::new(partition.kind.unwrap_or(usual), content(partition, len, 0, options)?);
    planned.label.clone_from(&partition.label);
    planned.guid = uuid(&id(partition)?, "partition", &partition.label);
    planned.min_size = partition.min_size.max(disk::SECTOR);
    planned.grow = partition.grow;
    Ok(planned)
}

/// Computes the identifier of a partition's content.
fn id(partition: &Partition) -> Result<ContentId, Error> {
    match &partition.content {
        Some(filesystem) => root_filesystem::content_id(filesystem.tree()),
        None => Ok(ContentId::from_content(&Extents::new())?),
    }
}

/// Derives an identifier. Partitions with the same content have different labels.
fn uuid(id: &ContentId, purpose: &str, label: &str) -> Uuid {
    Uuid::from_u128(id.uuid(&format!("{purpose} {label}")))
}

/// Plans the filesystem of a partition at byte `start` of the disk; `len` is its length in bytes,
/// `None` for the minimum.
fn content(partition: &Partition, len: Option<u64>, start: u64, options: &Options) -> Result<Extents, Error> {
    let Some(filesystem) = &partition.content else {
        return Ok(Extents::new());
    };
    let label = &partition.label;
    let (time, uuid) = (
        Time::from_seconds(options.time),
        uuid(&id(partition)?, "filesystem", label),
    );
    Ok(match filesystem {
        Filesystem::Ext4(tree) => {
            let mut ext4 = ext4::Options::default();
            (ext4.label, ext4.uuid, ext4.time) = (label.clone(), Some(uuid), time);
            (ext4.size, ext4.journal) = (len, ext4::Journal::Auto);
            ext4::plan(tree, &ext4)?.into_extents()
        }
        Filesystem::Fat(tree) => {
            let mut fat = fat_options(label, options.time);
            fat.size = len;
            // A disk of 2 TiB and more has no such field.
            fat.hidden_sectors = u32::try_from(start / disk::SECTOR).unwrap_or(0);
            fat::plan(tree, &fat)?.into_extents()
        }
        Filesystem::Squashfs(tree) => {
            let mut squashfs = squashfs::Options::default();
            (squashfs.jobs, squashfs.time) = (options.jobs, time);
            squashfs.temp_dir.clone_from(&options.temp_dir);
            squashfs::plan(tree, &squashfs)?.into_extents()
        }
        Filesystem::Erofs(tree) => {
            let mut erofs = erofs::Options::default();
            (erofs.jobs, erofs.time, erofs.uuid) = (options.jobs, time, Some(uuid));
            erofs.label.clone_from(label);
            erofs.temp_dir.clone_from(&options.temp_dir);
            erofs::plan(tree, &erofs)?.into_extents()
        }
    })
}
