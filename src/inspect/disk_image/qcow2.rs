//! qcow2, QEMU's disk image format (QEMU, docs/interop/qcow2.rst).

use extents::Extents;

use super::assembly::Assembly;
use super::clusters::{Cluster, Compression};
use super::fields::{Endian, Fields};
use crate::inspect::Error;

const FORMAT: &str = "qcow2 image";
/// Offset of a cluster in an entry of a table.
const OFFSET: u64 = 0x00ff_ffff_ffff_fe00;
/// The cluster reads as zeros ("Standard Cluster Descriptor", bit 0).
const ZERO: u64 = 1;
/// The cluster is compressed ("L2 table entry", bit 62).
const COMPRESSED: u64 = 1 << 62;

/// Returns the disk of a qcow2 image without a backing file.
///
/// # Errors
/// A corrupt, truncated or unsupported image.
pub fn open(content: &Extents) -> Result<Extents, Error> {
    let fields = Fields::new(content, FORMAT, Endian::Big);
    let (version, bits, len) = (fields.number(4, 4)?, fields.number(20, 4)?, fields.number(24, 8)?);
    if fields.number(8, 8)? != 0 {
        return Err(Error::Unsupported {
            format: FORMAT,
            feature: "a backing file".into(),
        });
    }
    if !(9..=21).contains(&bits) {
        return Err(Error::Corrupt {
            format: FORMAT,
            found: format!("clusters of 2^{bits} bytes"),
        });
    }
    // The field compression_type, if the header is long enough.
    let has_type = version > 2 && fields.number(100, 4)? > 104;
    let compression = if has_type && fields.number(104, 1)? == 1 {
        Compression::Zstd
    } else {
        Compression::Deflate
    };
    let (cluster, entries) = (1u64 << bits, 1u64 << (bits - 3));
    // "Compressed Clusters Descriptor": this many bits of offset, then the number of sectors.
    let offset_bits = 62 - (bits - 8);
    let mut disk = Assembly::new(content, FORMAT, len);
    let l1 = fields.table(fields.number(40, 8)?, 8, fields.number(36, 4)?)?;
    for (group, l2) in l1.into_iter().enumerate() {
        if l2 & OFFSET == 0 {
            continue;
        }
        for (index, entry) in fields.table(l2 & OFFSET, 8, entries)?.into_iter().enumerate() {
            let to = (group as u64)
                .saturating_mul(entries)
                .saturating_add(index as u64)
                .saturating_mul(cluster);
            if entry & COMPRESSED != 0 {
                let from = entry & ((1 << offset_bits) - 1);
                let sectors = (entry & (COMPRESSED - 1)) >> offset_bits;
                let max_len = (sectors + 1).saturating_mul(512).saturating_sub(from % 512);
                disk.put_compressed(Cluster { to, from, max_len })?;
            } else if entry & OFFSET != 0 && entry & ZERO == 0 {
                disk.put(to, entry & OFFSET, cluster)?;
            }
        }
    }
    Ok(disk.finish_compressed(cluster, compression))
}
