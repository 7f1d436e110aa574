//! Header, refcounts, and the L1 and L2 tables.

use extents::Extents;

use crate::{CLUSTER, CLUSTER_BITS, ENTRIES};

/// Number of entries of a refcount block: 16 bits each.
const REFCOUNTS: u64 = CLUSTER / 2;
/// Bit "refcount is exactly one" of entries of L1 and L2 tables.
pub(crate) const COPIED: u64 = 1 << 63;
/// Bit "this cluster is compressed" of entries of L2 tables.
pub(crate) const COMPRESSED: u64 = 1 << 62;
/// Length of the header in bytes.
const HEADER_LEN: u32 = 112;
/// Incompatible feature bit 3: the compressor is not zlib.
const COMPRESSION_TYPE: u64 = 1 << 3;

/// L2 tables, with offsets in bytes from the first plain or compressed cluster.
#[derive(Debug, Default)]
pub(crate) struct Map {
    /// Tables that are not empty, with their number.
    tables: Vec<(u64, Vec<u64>)>,
}

impl Map {
    /// Sets the entry of a cluster. Clusters come in ascending order.
    pub(crate) fn set(&mut self, cluster: u64, entry: u64) {
        let number = cluster / ENTRIES;
        if self.tables.last().is_none_or(|(last, _)| *last != number) {
            self.tables.push((number, vec![0; ENTRIES as usize]));
        }
        let table = self.tables.last_mut().map(|(_, table)| table);
        if let Some(slot) = table.and_then(|table| table.get_mut((cluster % ENTRIES) as usize)) {
            *slot = entry;
        }
    }
}

/// Assembles an image of plain clusters and compressed ones (`compressed`). `counts` has, for each
/// cluster of `compressed`, the number of compressed clusters with a byte in it; `compression` is the
/// compressor's number in the header.
pub(crate) fn assemble(
    size: u64,
    map: Map,
    plain: &Extents,
    compressed: &Extents,
    counts: &[u16],
    compression: u8,
) -> Extents {
    let l1_entries = size.div_ceil(CLUSTER * ENTRIES);
    let l1 = l1_entries.div_ceil(ENTRIES).max(1);
    let l2 = map.tables.len() as u64;
    let plain_clusters = plain.len().div_ceil(CLUSTER);

    // Refcounts count their own clusters too.
    let others = 1 + l1 + l2 + plain_clusters + counts.len() as u64;
    let (mut table, mut blocks) = (1, 1);
    while (others + table + blocks).div_ceil(REFCOUNTS) > blocks || blocks.div_ceil(ENTRIES) > table {
        blocks = (others + table + blocks).div_ceil(REFCOUNTS);
        table = blocks.div_ceil(ENTRIES);
    }
    let l1_start = 1 + table + blocks;
    let l2_start = l1_start + l1;
    let plain_start = l2_start + l2;
    let packed_start = plain_start + plain_clusters;

    let mut image = Extents::from_bytes(header(size, l1_entries, l1_start, table, compression));
    image.set_len(CLUSTER);
    let refcount_blocks = (1 + table..l1_start).map(|at| at * CLUSTER);
    image.push_bytes(refcount_blocks.flat_map(u64::to_be_bytes).collect::<Vec<u8>>());
    image.set_len((1 + table) * CLUSTER);
    let mut refcounts = [0, 1].repeat(packed_start as usize);
    refcounts.extend(counts.iter().flat_map(|count| count.to_be_bytes()));
    image.push_bytes(refcounts);
    image.set_len(l1_start * CLUSTER);

    let mut l1_table = vec![0u64; l1_entries as usize];
    let mut l2_tables = Vec::with_capacity((l2 * CLUSTER) as usize);
    for (at, (number, entries)) in (l2_start..).zip(&map.tables) {
        if let Some(entry) = l1_table.get_mut(*number as usize) {
            *entry = (at * CLUSTER) | COPIED;
        }
        // Offsets are too small to reach the flag bits.
        let placed = entries.iter().map(|entry| match *entry {
            0 => 0,
            entry if entry & COMPRESSED != 0 => entry + packed_start * CLUSTER,
            entry => entry + plain_start * CLUSTER,
        });
        l2_tables.extend(placed.flat_map(u64::to_be_bytes));
    }
    image.push_bytes(l1_table.into_iter().flat_map(u64::to_be_bytes).collect::<Vec<u8>>());
    image.set_len(l2_start * CLUSTER);
    image.push_bytes(l2_tables);
    image.push(plain);
    image.set_len(packed_start * CLUSTER);
    image.push(compressed);
    image.align_to(CLUSTER);
    image
}

fn header(size: u64, l1_entries: u64, l1_start: u64, table: u64, compression: u8) -> Vec<u8> {
    let mut header = Vec::new();
    header.extend_from_slice(b"QFI\xfb");
    header.extend_from_slice(&3u32.to_be_bytes());
    // No backing file.
    header.extend_from_slice(&[0; 12]);
    header.extend_from_slice(&CLUSTER_BITS.to_be_bytes());
    header.extend_from_slice(&size.to_be_bytes());
    // No encryption.
    header.extend_from_slice(&[0; 4]);
    // MAX_DISK_LEN keeps these within 32 bits.
    header.extend_from_slice(&(l1_entries as u32).to_be_bytes());
    header.extend_from_slice(&(l1_start * CLUSTER).to_be_bytes());
    header.extend_from_slice(&CLUSTER.to_be_bytes());
    header.extend_from_slice(&(table as u32).to_be_bytes());
    // No snapshots; features: incompatible, compatible, autoclear.
    header.extend_from_slice(&[0; 12]);
    let incompatible = if compression == 0 { 0 } else { COMPRESSION_TYPE };
    header.extend_from_slice(&incompatible.to_be_bytes());
    header.extend_from_slice(&[0; 16]);
    // Refcounts of 2^4 bits.
    header.extend_from_slice(&4u32.to_be_bytes());
    header.extend_from_slice(&HEADER_LEN.to_be_bytes());
    header.extend_from_slice(&[compression, 0, 0, 0, 0, 0, 0, 0]);
    // No extensions.
    header.extend_from_slice(&[0; 8]);
    header
}
