//! Disks out of their containers.

use std::cell::Cell;

use extents::Extents;

/// How many entries of tables are read: for disks of 512 GiB in clusters of 64 KiB.
const MOST_ENTRIES: u64 = 1 << 23;

/// Numbers at places of a file; nothing where it ends before.
struct Numbers<'a> {
    content: &'a Extents,
    big_endian: bool,
    /// How many entries of tables were read.
    entries: Cell<u64>,
}

impl<'a> Numbers<'a> {
    fn of(content: &'a Extents, big_endian: bool) -> Self {
        Numbers {
            content,
            big_endian,
            entries: Cell::new(0),
        }
    }

    fn at(&self, at: u64, len: usize) -> Result<u64, String> {
        let mut bytes = vec![0; len];
        let read = self.content.read_exact_at(&mut bytes, at);
        read.map_err(|error| format!("it is cut at byte {at}: {error}"))?;
        if !self.big_endian {
            bytes.reverse();
        }
        Ok(bytes.iter().fold(0, |value, byte| value << 8 | u64::from(*byte)))
    }

    /// A table of numbers of `len` bytes each.
    fn table(&self, at: u64, len: usize, count: u64) -> Result<Vec<u64>, String> {
        self.entries.set(self.entries.get().saturating_add(count));
        if self.entries.get() > MOST_ENTRIES {
            return Err(format!("its tables have more than {MOST_ENTRIES} entries"));
        }
        let size = count.saturating_mul(len as u64);
        let table = self.content.part(at, size);
        if table.len() < size {
            return Err(format!("a table at byte {at} is cut"));
        }
        let bytes = table.to_vec().map_err(|error| error.to_string())?;
        let number = |bytes: &[u8]| {
            let step = |value: u64, byte: &u8| value << 8 | u64::from(*byte);
            match self.big_endian {
                true => bytes.iter().fold(0, step),
                false => bytes.iter().rev().fold(0, step),
            }
        };
        Ok(bytes.chunks(len).map(number).collect())
    }
}

/// A disk and what it was in, when it was in something.
pub fn unwrap(head: &[u8], content: &Extents) -> Result<Option<(String, Extents)>, String> {
    let footer = content
        .part(content.len().saturating_sub(512), 512)
        .to_vec()
        .unwrap_or_default();
    let found = match head {
        [b'Q', b'F', b'I', 0xfb, ..] => ("qcow2 image", qcow2(content)?),
        [b'K', b'D', b'M', b'V', ..] => ("VMDK image", vmdk(content)?),
        _ if head.get(64..68) == Some(&[0x7f, 0x10, 0xda, 0xbe]) => ("VDI image", vdi(content)?),
        _ if head.starts_with(b"conectix") => ("dynamic VHD image", dynamic_vhd(content)?),
        _ if footer.starts_with(b"conectix") => ("fixed VHD image", content.part(0, content.len() - 512)),
        _ => return Ok(None),
    };
    Ok(Some((
        format!("{} of a disk of {} bytes", found.0, found.1.len()),
        found.1,
    )))
}

/// Puts what stands at `from` where it belongs on the disk, cut to it.
fn put(disk: &mut Extents, content: &Extents, at: u64, from: u64, len: u64) {
    let len = len.min(disk.len().saturating_sub(at));
    disk.put(at, &content.part(from, len));
}

fn qcow2(content: &Extents) -> Result<Extents, String> {
    let numbers = Numbers::of(content, true);
    let (bits, size) = (numbers.at(20, 4)?, numbers.at(24, 8)?);
    if numbers.at(8, 8)? != 0 || !(9..=21).contains(&bits) {
        return Err("this qcow2 has a backing file, or clusters of a length that there is not".into());
    }
    let (cluster, entries) = (1u64 << bits, 1u64 << (bits - 3));
    let mut disk = Extents::zeros(size);
    const OFFSET: u64 = 0x00ff_ffff_ffff_fe00;
    for (group, l2) in numbers
        .table(numbers.at(40, 8)?, 8, numbers.at(36, 4)?)?
        .into_iter()
        .enumerate()
    {
        if l2 & OFFSET == 0 {
            continue;
        }
        for (index, entry) in numbers.table(l2 & OFFSET, 8, entries)?.into_iter().enumerate() {
            if entry & (1 << 62) != 0 {
                return Err("this qcow2 has compressed clusters, which are not read".into());
            }
            let at = (group as u64)
                .saturating_mul(entries)
                .saturating_add(index as u64)
                .saturating_mul(cluster);
            if entry & OFFSET != 0 && entry & 1 == 0 {
                put(&mut disk, content, at, entry & OFFSET, cluster);
            }
        }
    }
    Ok(disk)
}

fn vmdk(content: &Extents) -> Result<Extents, String> {
    let numbers = Numbers::of(content, false);
    let sectors = |at| numbers.at(at, 8).map(|value| value.saturating_mul(512));
    let (size, grain, entries, directory) = (sectors(12)?, sectors(20)?, numbers.at(44, 4)?, sectors(56)?);
    if numbers.at(77, 2)? != 0 || grain == 0 || entries == 0 {
        return Err("this VMDK is compressed, which is not read, or has grains of no length".into());
    }
    let tables = size.div_ceil(grain.saturating_mul(entries));
    let mut disk = Extents::zeros(size);
    for (group, table) in numbers.table(directory, 4, tables)?.into_iter().enumerate() {
        for (index, entry) in numbers.table(table * 512, 4, entries)?.into_iter().enumerate() {
            let at = (group as u64 * entries + index as u64).saturating_mul(grain);
            if entry > 1 {
                put(&mut disk, content, at, entry * 512, grain);
            }
        }
    }
    Ok(disk)
}

fn vdi(content: &Extents) -> Result<Extents, String> {
    let numbers = Numbers::of(content, false);
    let (map, data) = (numbers.at(340, 4)?, numbers.at(344, 4)?);
    let (size, block, blocks) = (numbers.at(368, 8)?, numbers.at(376, 4)?, numbers.at(384, 4)?);
    let mut disk = Extents::zeros(size);
    for (index, entry) in numbers.table(map, 4, blocks)?.into_iter().enumerate() {
        // The two greatest are blocks that are not there.
        if entry < 0xffff_fffe {
            put(&mut disk, content, index as u64 * block, data + entry * block, block);
        }
    }
    Ok(disk)
}

fn dynamic_vhd(content: &Extents) -> Result<Extents, String> {
    let numbers = Numbers::of(content, true);
    let (size, header) = (numbers.at(48, 8)?, numbers.at(16, 8)?);
    let field = |at: u64, len| numbers.at(header.saturating_add(at), len);
    let (table, entries, block) = (field(16, 8)?, field(28, 4)?, field(32, 4)?);
    let bitmap = block.div_ceil(512).div_ceil(8).next_multiple_of(512);
    let mut disk = Extents::zeros(size);
    for (index, entry) in numbers.table(table, 4, entries)?.into_iter().enumerate() {
        if entry != u64::from(u32::MAX) {
            put(&mut disk, content, index as u64 * block, entry * 512 + bitmap, block);
        }
    }
    Ok(disk)
}
