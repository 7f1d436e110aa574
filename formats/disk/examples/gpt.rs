//! Writes a disk with a GPT, with an EFI system partition from a file and a data partition that takes
//! the rest: `cargo run --example gpt -- ESP DISK SIZE_IN_MIB`

use std::error::Error;
use std::path::Path;

use disk_layout::{ALIGNMENT, DiskLayout, Extents, Partition, PartitionType, Table, Uuid, plan};

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [esp, disk, mib] = arguments.as_slice() else {
        return Err("usage: gpt ESP DISK SIZE_IN_MIB".into());
    };
    write(esp.as_ref(), disk.as_ref(), mib.parse::<u64>()? << 20)
}

fn write(esp: &Path, disk: &Path, size: u64) -> Result<(), Box<dyn Error>> {
    // Real programs take identifiers from a random generator, or from the content.
    let mut layout = DiskLayout::new(Table::Gpt {
        guid: Uuid::from_u128(1),
    });
    let mut boot = Partition::new(PartitionType::Esp, Extents::open(esp)?);
    boot.label = "boot".to_owned();
    boot.guid = Uuid::from_u128(2);
    let mut data = Partition::new(PartitionType::Linux, Extents::new());
    data.label = "data".to_owned();
    data.guid = Uuid::from_u128(3);
    data.min_size = ALIGNMENT;
    data.grow = true;
    layout.partitions = vec![boot, data];
    plan(&layout, Some(size), ALIGNMENT)?.write_to(disk)?;
    for (partition, range) in layout
        .partitions
        .iter()
        .zip(layout.place(Some(size), ALIGNMENT)?.partitions)
    {
        println!("{:<8} {:>12} to {:>12}", partition.label, range.start, range.end);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sgdisk_finds_no_problems() -> Result<(), Box<dyn Error>> {
        let dir = tempfile::tempdir()?;
        let (esp, disk) = (dir.path().join("esp"), dir.path().join("disk"));
        std::fs::write(&esp, vec![1; 3 << 20])?;
        write(&esp, &disk, 64 << 20)?;
        let report = testing::program::checked("sgdisk", &["-v", "-p"], &disk);
        assert!(report.contains("No problems found"), "{report}");
        assert!(report.contains("boot") && report.contains("data"), "{report}");
        Ok(())
    }
}
