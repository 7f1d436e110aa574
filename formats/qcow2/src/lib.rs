//! qcow2 disk images, version 3 (QEMU, docs/interop/qcow2.txt). Numbers are big-endian.
//!
//! ```text
//! cluster 0   header
//!         1   refcount table → refcount blocks   how often each cluster is used: once
//!             L1 table → L2 tables               where the clusters of the disk stand
//!             clusters of the disk               those that are not all zeros
//! ```

use extents::Extents;

/// The length of a cluster in bytes, as 2 to this power.
const CLUSTER_BITS: u32 = 16;
/// The length of a cluster in bytes.
pub const CLUSTER: u64 = 1 << CLUSTER_BITS;
/// Entries of a refcount block: 16 bits each.
const REFCOUNTS: u64 = CLUSTER / 2;
/// Entries of an L1, L2 or refcount table: 64 bits each.
const ENTRIES: u64 = CLUSTER / 8;
/// "Refcount is exactly one" in entries of L1 and L2 tables.
const COPIED: u64 = 1 << 63;
/// The length of the header in bytes, and the extension that says that none follow.
const HEADER_LENGTH: u32 = 112;
/// The most bytes of a disk: its L1 table may have 32 MiB in QEMU (block/qcow2.h, QCOW_MAX_L1_SIZE).
const LARGEST: u64 = (32 << 20) / 8 * ENTRIES * CLUSTER;

/// Why there is no image.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The disk has more bytes than QEMU accepts.
    #[error("a disk of {size} bytes is too large for qcow2 with clusters of 64 KiB: {LARGEST} at most")]
    TooLarge {
        /// Its length in bytes.
        size: u64,
    },
}

/// Plans an image of a disk. Clusters in which nothing stands take no room.
///
/// # Errors
/// A disk that is too large.
pub fn plan(disk: &Extents) -> Result<Extents, Error> {
    let size = disk.len().next_multiple_of(512);
    if size > LARGEST {
        return Err(Error::TooLarge { size });
    }
    let occupied = disk.occupied(CLUSTER);
    let data: u64 = occupied.iter().map(|range| range.end - range.start).sum();
    let l1_entries = size.div_ceil(CLUSTER * ENTRIES);
    let l1 = l1_entries.div_ceil(ENTRIES).max(1);
    let mut groups: Vec<u64> = occupied
        .iter()
        .flat_map(|range| range.start / ENTRIES..=(range.end - 1) / ENTRIES)
        .collect();
    groups.dedup();

    // Refcounts count their own clusters too.
    let others = 1 + l1 + groups.len() as u64 + data;
    let (mut table, mut blocks) = (1, 1);
    while (others + table + blocks).div_ceil(REFCOUNTS) > blocks || blocks.div_ceil(ENTRIES) > table {
        blocks = (others + table + blocks).div_ceil(REFCOUNTS);
        table = blocks.div_ceil(ENTRIES);
    }
    let total = others + table + blocks;
    let l1_start = 1 + table + blocks;
    let l2_start = l1_start + l1;
    let data_start = l2_start + groups.len() as u64;

    let mut image = Extents::zeros(total * CLUSTER);
    image.put_bytes(0, header(size, l1_entries, l1_start, table));
    let list = |first: u64, count: u64| {
        (first..first + count)
            .flat_map(|at| (at * CLUSTER).to_be_bytes())
            .collect::<Vec<u8>>()
    };
    image.put_bytes(CLUSTER, list(1 + table, blocks));
    let mut refcounts = [0, 1].repeat(total as usize);
    refcounts.resize((blocks * CLUSTER) as usize, 0);
    image.put_bytes((1 + table) * CLUSTER, refcounts);

    let mut l1_table = vec![0u64; l1_entries as usize];
    for (index, group) in groups.iter().enumerate() {
        if let Some(entry) = l1_table.get_mut(*group as usize) {
            *entry = ((l2_start + index as u64) * CLUSTER) | COPIED;
        }
    }
    image.put_bytes(l1_start * CLUSTER, bytes(&l1_table));
    let mut next = data_start;
    let mut l2_tables = vec![0u64; groups.len() * ENTRIES as usize];
    let mut table_of = 0;
    for range in &occupied {
        let len = range.end - range.start;
        image.put(next * CLUSTER, &disk.part(range.start * CLUSTER, len * CLUSTER));
        for cluster in range.clone() {
            // Ranges ascend, and so do groups.
            while groups.get(table_of).is_some_and(|group| *group < cluster / ENTRIES) {
                table_of += 1;
            }
            let at = table_of * ENTRIES as usize + (cluster % ENTRIES) as usize;
            if let Some(entry) = l2_tables.get_mut(at) {
                *entry = (next * CLUSTER) | COPIED;
            }
            next += 1;
        }
    }
    image.put_bytes(l2_start * CLUSTER, bytes(&l2_tables));
    image.set_len(total * CLUSTER);
    Ok(image)
}

fn bytes(entries: &[u64]) -> Vec<u8> {
    entries.iter().flat_map(|entry| entry.to_be_bytes()).collect()
}

fn header(size: u64, l1_entries: u64, l1_start: u64, table: u64) -> Vec<u8> {
    let mut header = Vec::new();
    header.extend_from_slice(b"QFI\xfb");
    header.extend_from_slice(&3u32.to_be_bytes());
    // No backing file.
    header.extend_from_slice(&[0; 12]);
    header.extend_from_slice(&CLUSTER_BITS.to_be_bytes());
    header.extend_from_slice(&size.to_be_bytes());
    // No encryption.
    header.extend_from_slice(&[0; 4]);
    // LARGEST keeps these within 32 bits.
    header.extend_from_slice(&(l1_entries as u32).to_be_bytes());
    header.extend_from_slice(&(l1_start * CLUSTER).to_be_bytes());
    header.extend_from_slice(&CLUSTER.to_be_bytes());
    header.extend_from_slice(&(table as u32).to_be_bytes());
    // No snapshots, no features.
    header.extend_from_slice(&[0; 12 + 24]);
    // Refcounts of 2 to the power of 4 bits.
    header.extend_from_slice(&4u32.to_be_bytes());
    header.extend_from_slice(&HEADER_LENGTH.to_be_bytes());
    // Compression by zlib, which nothing uses; and no extensions.
    header.extend_from_slice(&[0; 8 + 8]);
    header
}
