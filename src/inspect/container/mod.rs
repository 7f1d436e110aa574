//! Disks out of their containers, and what is compressed as a whole.

mod packed;
mod vhdx;

use extents::Extents;

use super::compressed;
use packed::{How, Piece};

/// The most pieces of a disk that are looked into: tables in a damaged file may lead to the same
/// ones again and again.
const MOST_PIECES: usize = 4 << 20;
/// The most entries of a table that is read: a file within another may claim any length.
const MOST_ENTRIES: u64 = 16 << 20;

/// Numbers at places of a file; nothing where it ends before.
struct Numbers<'a> {
    content: &'a Extents,
    big_endian: bool,
}

impl Numbers<'_> {
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
        if count > MOST_ENTRIES {
            return Err(format!(
                "a table at byte {at} has {count} entries, more than are read here"
            ));
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

/// A disk that is put together of pieces of a file.
struct Disk<'a> {
    content: &'a Extents,
    disk: Extents,
    packed: Vec<Piece>,
    pieces: usize,
}

impl<'a> Disk<'a> {
    fn new(content: &'a Extents, len: u64) -> Disk<'a> {
        Disk {
            content,
            disk: Extents::zeros(len),
            packed: Vec::new(),
            pieces: 0,
        }
    }

    fn count(&mut self) -> Result<(), String> {
        self.pieces = self.pieces.saturating_add(1);
        match self.pieces > MOST_PIECES {
            true => Err(format!("it has more than {MOST_PIECES} pieces")),
            false => Ok(()),
        }
    }

    /// Puts what stands at `from` where it belongs on the disk, cut to it.
    fn put(&mut self, at: u64, from: u64, len: u64) -> Result<(), String> {
        self.count()?;
        let len = len.min(self.disk.len().saturating_sub(at));
        let part = self.content.part(from, len);
        if part.len() < len {
            return Err(format!("it is cut: {len} bytes at byte {from} are not all there"));
        }
        self.disk.put(at, &part);
        Ok(())
    }

    /// The same with what is compressed; later ones are further behind on the disk.
    fn put_packed(&mut self, at: u64, from: u64, len: u64) -> Result<(), String> {
        self.count()?;
        if at < self.disk.len() {
            self.packed.push(Piece { at, from, len });
        }
        Ok(())
    }

    fn finish(self) -> Extents {
        self.disk
    }

    /// The disk, of which compressed pieces have `unit` bytes each.
    fn finish_packed(mut self, unit: u64, how: How) -> Extents {
        packed::put(&mut self.disk, self.content, unit, how, self.packed);
        self.disk
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
        [b'K', b'D', b'M', b'V', ..] => vmdk(content)?,
        _ if head.starts_with(b"vhdxfile") => ("VHDX image", vhdx::vhdx(content)?),
        _ if head.get(64..68) == Some(&[0x7f, 0x10, 0xda, 0xbe]) => ("VDI image", vdi(content)?),
        _ if head.starts_with(b"conectix") => ("dynamic VHD image", dynamic_vhd(content)?),
        _ if footer.starts_with(b"conectix") => ("fixed VHD image", content.part(0, content.len() - 512)),
        _ => return whole(head, content),
    };
    Ok(Some((
        format!("{} of a disk of {} bytes", found.0, found.1.len()),
        found.1,
    )))
}

/// What is compressed as a whole; an initrd is looked into as it is.
fn whole(head: &[u8], content: &Extents) -> Result<Option<(String, Extents)>, String> {
    let Some(how) = compressed::how(head) else {
        return Ok(None);
    };
    let wrong = |error| format!("what {how} compressed cannot be read: {error}");
    if compressed::beginning(head, content, 6).map_err(wrong)? == b"070701" {
        return Ok(None);
    }
    let plain = compressed::whole(head, content).map_err(wrong)?;
    Ok(Some((format!("compressed by {how}, {} bytes", plain.len()), plain)))
}

fn qcow2(content: &Extents) -> Result<Extents, String> {
    let numbers = Numbers {
        content,
        big_endian: true,
    };
    let (version, bits, size) = (numbers.at(4, 4)?, numbers.at(20, 4)?, numbers.at(24, 8)?);
    if numbers.at(8, 8)? != 0 || !(9..=21).contains(&bits) {
        return Err("this qcow2 has a backing file, or clusters of a length that there is not".into());
    }
    // The field compression_type, when the header is long enough.
    let zstd = version > 2 && numbers.at(100, 4)? > 104 && numbers.at(104, 1)? == 1;
    let how = if zstd { How::Zstd } else { How::Deflate };
    let (cluster, entries) = (1u64 << bits, 1u64 << (bits - 3));
    // "Compressed Clusters Descriptor": the offset has so many bits, the sectors the rest.
    let offset_bits = 62 - (bits - 8);
    let mut disk = Disk::new(content, size);
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
            let at = (group as u64)
                .saturating_mul(entries)
                .saturating_add(index as u64)
                .saturating_mul(cluster);
            if entry & (1 << 62) != 0 {
                let from = entry & ((1 << offset_bits) - 1);
                let sectors = (entry & ((1 << 62) - 1)) >> offset_bits;
                let len = (sectors + 1).saturating_mul(512).saturating_sub(from % 512);
                disk.put_packed(at, from, len)?;
            } else if entry & OFFSET != 0 && entry & 1 == 0 {
                disk.put(at, entry & OFFSET, cluster)?;
            }
        }
    }
    Ok(disk.finish_packed(cluster, how))
}

fn vmdk(content: &Extents) -> Result<(&'static str, Extents), String> {
    // Where the grain directory is says the header, or, if that says all ones, its copy at the end.
    let at_end = content.part(56, 8).to_vec().is_ok_and(|bytes| bytes == [0xff; 8]);
    let header = match at_end {
        true => content.part(content.len().saturating_sub(1024), 512),
        false => content.part(0, 512),
    };
    let fields = Numbers {
        content: &header,
        big_endian: false,
    };
    let numbers = Numbers {
        content,
        big_endian: false,
    };
    if fields.at(0, 4)? != u64::from(u32::from_le_bytes(*b"KDMV")) {
        return Err("it is cut: the header at its end is missing".into());
    }
    let sectors = |at| fields.at(at, 8).map(|value| value.saturating_mul(512));
    let (size, grain, entries, directory) = (sectors(12)?, sectors(20)?, fields.at(44, 4)?, sectors(56)?);
    let packed = match fields.at(77, 2)? {
        0 => false,
        1 => true,
        other => {
            return Err(format!(
                "this VMDK is compressed in the way {other}, which is not known"
            ));
        }
    };
    if grain == 0 || entries == 0 || grain > 1 << 30 {
        return Err("this VMDK has grains or tables of a length that there is not".into());
    }
    let tables = size.div_ceil(grain.saturating_mul(entries));
    let mut disk = Disk::new(content, size);
    for (group, table) in numbers.table(directory, 4, tables)?.into_iter().enumerate() {
        // A table of which no grain is there may be missing.
        if table == 0 {
            continue;
        }
        for (index, entry) in numbers
            .table(table.saturating_mul(512), 4, entries)?
            .into_iter()
            .enumerate()
        {
            let index = (group as u64).saturating_mul(entries).saturating_add(index as u64);
            let (at, from) = (index.saturating_mul(grain), entry.saturating_mul(512));
            if entry > 1 && packed {
                // "Grain marker": the sector on the disk, the length, the compressed bytes.
                disk.put_packed(at, from.saturating_add(12), numbers.at(from.saturating_add(8), 4)?)?;
            } else if entry > 1 {
                disk.put(at, from, grain)?;
            }
        }
    }
    Ok(match packed {
        true => ("compressed VMDK image", disk.finish_packed(grain, How::Zlib)),
        false => ("VMDK image", disk.finish()),
    })
}

fn vdi(content: &Extents) -> Result<Extents, String> {
    let numbers = Numbers {
        content,
        big_endian: false,
    };
    let (map, data) = (numbers.at(340, 4)?, numbers.at(344, 4)?);
    let (size, block, blocks) = (numbers.at(368, 8)?, numbers.at(376, 4)?, numbers.at(384, 4)?);
    let mut disk = Disk::new(content, size);
    for (index, entry) in numbers.table(map, 4, blocks)?.into_iter().enumerate() {
        // The two greatest are blocks that are not there.
        if entry < 0xffff_fffe {
            let at = (index as u64).saturating_mul(block);
            disk.put(at, data.saturating_add(entry.saturating_mul(block)), block)?;
        }
    }
    Ok(disk.finish())
}

fn dynamic_vhd(content: &Extents) -> Result<Extents, String> {
    let numbers = Numbers {
        content,
        big_endian: true,
    };
    let (size, header) = (numbers.at(48, 8)?, numbers.at(16, 8)?);
    let field = |at: u64, len| numbers.at(header.saturating_add(at), len);
    let (table, entries, block) = (field(16, 8)?, field(28, 4)?, field(32, 4)?);
    let bitmap = block.div_ceil(512).div_ceil(8).next_multiple_of(512);
    let mut disk = Disk::new(content, size);
    for (index, entry) in numbers.table(table, 4, entries)?.into_iter().enumerate() {
        if entry != u64::from(u32::MAX) {
            let at = (index as u64).saturating_mul(block);
            disk.put(at, entry.saturating_mul(512).saturating_add(bitmap), block)?;
        }
    }
    Ok(disk.finish())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_without_end_is_not_read() {
        // As a small file has it within that says that it is a long one.
        let content = Extents::zeros(1 << 50);
        let numbers = Numbers {
            content: &content,
            big_endian: true,
        };
        assert_eq!(numbers.table(0, 4, 1 << 20), Ok(vec![0; 1 << 20]));
        let error = numbers.table(512, 4, 0xf000_0000).unwrap_err();
        assert!(error.contains("byte 512") && error.contains("4026531840"), "{error}");
    }
}
