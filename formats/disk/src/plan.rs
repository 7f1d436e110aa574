//! A disk from its layout.

use extents::Extents;

use crate::{
    DiskLayout, Error, MAX_BOOT_CODE_LEN, MAX_GPT_PARTITIONS, MAX_HYBRID_PARTITIONS, MAX_LABEL_LEN, MAX_MBR_PARTITIONS,
    Table, gpt, mbr,
};

/// Plans a disk. `size` and `unit` are those of [`DiskLayout::place`], in bytes.
///
/// # Errors
/// Partitions that the table cannot hold, or that do not fit the disk.
pub fn plan(layout: &DiskLayout, size: Option<u64>, unit: u64) -> Result<Extents, Error> {
    check(layout)?;
    let placement = layout.place(size, unit)?;
    let mut disk = layout.base.clone();
    disk.set_len(placement.len);
    for (partition, range) in layout.partitions.iter().zip(&placement.partitions) {
        // Laying nothing would still cut what `base` has there in two.
        if !partition.content.is_empty() {
            disk.put(range.start, &partition.content);
        }
    }
    match layout.table {
        Table::Mbr { signature } => mbr::put(&mut disk, layout, &placement.partitions, signature)?,
        Table::Gpt { guid } => {
            gpt::put_protective_mbr(&mut disk, &layout.boot_code)?;
            gpt::put(&mut disk, layout, &placement.partitions, guid)?;
        }
        Table::Hybrid { guid, signature } => {
            mbr::put_hybrid(&mut disk, layout, &placement.partitions, signature)?;
            gpt::put(&mut disk, layout, &placement.partitions, guid)?;
        }
    }
    Ok(disk)
}

/// Refuses what the table has no space or no code for.
fn check(layout: &DiskLayout) -> Result<(), Error> {
    let (count, has_gpt) = (layout.partitions.len(), layout.table.has_gpt());
    let max = if has_gpt {
        MAX_GPT_PARTITIONS
    } else {
        MAX_MBR_PARTITIONS
    };
    if count > max {
        return Err(Error::TooManyPartitions { count, max });
    }
    if layout.boot_code.len() > MAX_BOOT_CODE_LEN {
        return Err(Error::BootCode {
            len: layout.boot_code.len(),
        });
    }
    let mbr_entries = match layout.table {
        Table::Mbr { .. } => MAX_MBR_PARTITIONS,
        Table::Gpt { .. } => 0,
        Table::Hybrid { .. } => MAX_HYBRID_PARTITIONS,
    };
    for (number, partition) in (1..).zip(&layout.partitions) {
        // The nil GUID and byte 0 mark an unused entry.
        let has_guid = partition.kind.guid().is_some_and(|guid| !guid.is_nil());
        let has_byte = partition.kind.byte().is_some_and(|byte| byte != 0);
        if (has_gpt && !has_guid) || (number <= mbr_entries && !has_byte) {
            return Err(Error::Type {
                partition: number,
                kind: partition.kind,
                table: layout.table.name(),
            });
        }
        let len = partition.label.encode_utf16().count();
        if has_gpt && len > MAX_LABEL_LEN {
            return Err(Error::Label { partition: number, len });
        }
    }
    Ok(())
}
