//! Sections appended to those of a program.

use std::io::Read;

use extents::Extents;

use crate::{Error, Section};

/// Minimum alignment of sections in memory, in bytes.
const PAGE: u64 = 4096;
/// "Section Flags": initialized data, readable.
const FLAGS: u32 = 0x4000_0040;
/// Length of a section header in bytes ("Section Table").
const HEADER: usize = 40;
/// Alignment of a certificate table in bytes ("The Attribute Certificate Table").
const CERTIFICATE: u64 = 8;
/// Minimum size in memory that firmware refuses to load, in bytes.
const TOO_LARGE: u64 = 1 << 31;

/// Offsets in the optional header ("Optional Header (Image Only)", PE32+), in bytes.
const INITIALIZED_DATA: usize = 8;
const SECTION_ALIGNMENT: usize = 32;
const FILE_ALIGNMENT: usize = 36;
const SIZE_OF_IMAGE: usize = 56;
const SIZE_OF_HEADERS: usize = 60;
const CHECKSUM: usize = 64;
const SUBSYSTEM: usize = 68;
const DIRECTORIES: usize = 108;
/// Offset of the certificate table's entry among the data directories, in bytes.
const SECURITY: usize = 112 + 4 * 8;

/// Headers of a program, which are changed in place.
struct Headers(Vec<u8>);

impl Headers {
    fn number(&self, at: usize, len: usize) -> Result<u64, Error> {
        let bytes = at.checked_add(len).and_then(|end| self.0.get(at..end));
        let bytes = bytes.ok_or(Error::Stub("its headers are truncated"))?;
        Ok(bytes.iter().rev().fold(0, |value, byte| value << 8 | u64::from(*byte)))
    }

    fn dword(&self, at: usize) -> Result<u64, Error> {
        self.number(at, 4)
    }

    fn put(&mut self, at: usize, bytes: &[u8]) {
        for (to, from) in self.0.iter_mut().skip(at).zip(bytes) {
            *to = *from;
        }
    }

    /// Writes a number of 32 bits. [`TOO_LARGE`] keeps all numbers within them.
    fn put_dword(&mut self, at: usize, value: u64) {
        self.put(at, &(value as u32).to_le_bytes());
    }
}

pub(crate) fn append(program: &Extents, sections: &[Section]) -> Result<Extents, Error> {
    let bytes = program.to_vec()?;
    let mut headers = Headers(bytes);
    let pe = headers.dword(0x3c)? as usize;
    if headers.0.get(..2) != Some(b"MZ") || headers.dword(pe)? != u64::from(u32::from_le_bytes(*b"PE\0\0")) {
        return Err(Error::Stub("it is not a UEFI application"));
    }
    let count = headers.number(pe + 6, 2)? as usize;
    let optional_len = headers.number(pe + 20, 2)? as usize;
    let optional = pe + 24;
    let table = optional + optional_len;
    if headers.number(optional, 2)? != 0x20b
        || optional_len < SECURITY + 8
        || headers.dword(optional + DIRECTORIES)? < 5
    {
        return Err(Error::Stub(
            "it is not a 64-bit program with an entry for a certificate table",
        ));
    }
    // 10 is an EFI application ("Windows Subsystem").
    if headers.number(optional + SUBSYSTEM, 2)? != 10 {
        return Err(Error::Stub("it is not a UEFI application"));
    }
    let power = |value: u64| (value.is_power_of_two()).then_some(value);
    let alignments = (
        power(headers.dword(optional + SECTION_ALIGNMENT)?),
        power(headers.dword(optional + FILE_ALIGNMENT)?),
    );
    let (Some(section_alignment), Some(file_alignment)) = alignments else {
        return Err(Error::Stub("its alignments are not powers of two"));
    };
    let section_alignment = section_alignment.max(PAGE);

    let mut first_data = headers.dword(optional + SIZE_OF_HEADERS)?;
    let (mut memory_end, mut file_end) = (first_data, first_data);
    let mut names: Vec<Vec<u8>> = Vec::new();
    for index in 0..count {
        let at = table + index * HEADER;
        let (size, start) = (headers.dword(at + 8)?, headers.dword(at + 12)?);
        let (raw_size, raw_start) = (headers.dword(at + 16)?, headers.dword(at + 20)?);
        memory_end = memory_end.max(start + size.max(raw_size));
        file_end = file_end.max(raw_start + raw_size);
        if raw_size > 0 {
            first_data = first_data.min(raw_start);
        }
        names.push(headers.0.get(at..at + 8).unwrap_or_default().to_vec());
    }
    if file_end > program.len() {
        return Err(Error::Stub("it is truncated"));
    }
    let max = (first_data as usize).saturating_sub(table + count * HEADER) / HEADER;
    if sections.len() > max {
        return Err(Error::TooManySections {
            max,
            count: sections.len(),
        });
    }

    // Behind the sections of the stub are symbols for debuggers, which are dropped.
    headers.put(pe + 12, &[0; 8]);
    headers.put(optional + SECURITY, &[0; 8]);
    let mut data = headers.dword(optional + INITIALIZED_DATA)?;
    let mut tail = Extents::new();
    let tail_start = file_end.next_multiple_of(file_alignment);
    for (index, section) in sections.iter().enumerate() {
        let mut name = section.name.clone().into_bytes();
        name.resize(name.len().max(8), 0);
        if name.len() > 8 {
            let name = section.name.clone();
            return Err(Error::SectionName { name });
        }
        if names.contains(&name) {
            let name = section.name.clone();
            return Err(Error::DuplicateSection { name });
        }
        let len = section.content.len();
        let start = memory_end.next_multiple_of(section_alignment);
        let raw_start = tail_start + tail.len();
        // The next section begins at a block of any disk, without a gap before it: signatures cover the
        // headers and all sections, one after another.
        let raw = (raw_start + len).next_multiple_of(file_alignment.max(PAGE)) - raw_start;
        memory_end = start.saturating_add(raw);
        if memory_end >= TOO_LARGE {
            return Err(Error::TooLarge { size: memory_end });
        }
        let at = table + (count + index) * HEADER;
        headers.put(at, &[0; HEADER]);
        headers.put(at, &name);
        for (offset, value) in [(8, len), (12, start), (16, raw), (20, raw_start), (36, FLAGS.into())] {
            headers.put_dword(at + offset, value);
        }
        names.push(name);
        data += raw;
        tail.push(&section.content);
        tail.set_len(raw_start + raw - tail_start);
    }
    headers.put(pe + 6, &((count + sections.len()) as u16).to_le_bytes());
    headers.put_dword(optional + INITIALIZED_DATA, data);
    headers.put_dword(
        optional + SIZE_OF_IMAGE,
        memory_end.next_multiple_of(headers.dword(optional + SECTION_ALIGNMENT)?),
    );
    headers.put_dword(optional + CHECKSUM, 0);

    headers.0.truncate(file_end as usize);
    headers.0.resize(tail_start as usize, 0);
    let mut image = Extents::from_bytes(headers.0);
    image.push(&tail);
    image.align_to(CERTIFICATE);
    let sum = checksum(&image)?;
    image.put_bytes((optional + CHECKSUM) as u64, sum.to_le_bytes());
    Ok(image)
}

/// Computes the checksum of a program whose field for it is zero: the sum of its 16-bit words with
/// the carries added, plus its length, as ImageHlp computes it.
fn checksum(image: &Extents) -> Result<u32, Error> {
    let mut reader = image.reader();
    let mut buffer = vec![0; 1 << 18];
    let mut sum = 0u64;
    loop {
        let mut have = 0;
        // Full buffers, so that no word is split.
        while have < buffer.len() {
            match reader.read(buffer.get_mut(have..).unwrap_or_default())? {
                0 => break,
                len => have += len,
            }
        }
        let words = buffer.get(..have).unwrap_or_default().chunks_exact(2);
        sum += words
            .map(|word| u64::from(u16::from_le_bytes([word[0], word[1]])))
            .sum::<u64>();
        if have < buffer.len() {
            break;
        }
    }
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    // Images are below 2 GiB.
    Ok((sum + image.len()) as u32)
}
