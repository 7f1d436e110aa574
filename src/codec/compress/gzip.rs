//! One gzip member (RFC 1952), made of parts by several threads.
//!
//! ```text
//! header 10 B | part 0 ... | part 1 ... | ... | final empty block | CRC-32 | length
//! ```
//!
//! Each part ends at a byte (RFC 1951, section 3.2.4), so that parts can be concatenated. With a level, parts are
//! equally long and compressed as pigz does it: the dictionary of a part is the plain data before it. Without
//! one, the parts are the pieces of an archive, whose bits depend on nothing but the piece, and what comes
//! from a gzip file is copied from there.

use std::collections::BTreeMap;
use std::io::{self, Write};

use deflate::{Encoder, Recorded, Segment, Stats};
use extents::{Data, Extents};

use crate::codec::gzip_origin::GzipOrigin;
use crate::content_id::ContentId;
use crate::pieces::{Key, NewPiece, Piece, PieceCache};

/// Length of a part, in bytes. Smaller parts compress worse.
const PART: u64 = 1 << 20;
/// Maximum distance of a match, in bytes (RFC 1951, section 2).
const WINDOW: u64 = 32 << 10;
/// Magic, method deflate, no flags, no time, no extra flags, operating system unknown.
const HEADER: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255];
/// Final block: fixed codes, end of block only.
const FINAL: [u8; 2] = [3, 0];

/// Part of a content.
#[derive(Clone, Copy)]
struct Part {
    start: u64,
    /// Number of bytes before the start in which matches may lie.
    window: u64,
    len: u64,
}

/// Compressed part, with the checksum of its content.
struct CompressedPart {
    bytes: Vec<u8>,
    sum: crc32fast::Hasher,
    len: u64,
    stats: Stats,
    /// Key of a part that the piece cache does not have.
    new: Option<Key>,
}

/// Part that the piece cache does not have, in the bytes that were written.
struct New {
    key: Key,
    crc: u32,
    len: u64,
    /// Offset and length of the compressed bytes.
    at: (u64, u64),
}

/// Result of [`write_pieces`].
#[derive(Default)]
pub struct Written {
    /// Work that was done with the bytes of the content.
    pub stats: Stats,
    /// Number of parts that the piece cache had.
    pub reused: u64,
    /// Number of parts that were made.
    pub made: u64,
    /// Number of bytes of gzip files' contents that were inflated to record the blocks.
    pub inflated: u64,
    new: Vec<New>,
}

impl Written {
    /// Adds the parts that the piece cache does not have to it, from the file that was written.
    pub fn cache(self, file: &Extents, cache: &PieceCache) {
        for New { key, crc, len, at } in self.new {
            let bytes = file.part(at.0, at.1);
            let len = len as u32;
            cache.add(NewPiece { key, crc, len, bytes });
        }
    }
}

/// Writes a content, compressed anew.
pub fn write(
    plain: &Extents,
    level: Option<u32>,
    jobs: usize,
    out: &mut dyn Write,
    progress: super::ProgressFn<'_>,
) -> io::Result<()> {
    let parts = divide(0, plain.len());
    let work = |buffer: &mut Vec<u8>, part: Part| {
        let sum = read(plain, part, buffer)?;
        let (before, bytes) = buffer.split_at(part.window as usize);
        let mut out = Vec::new();
        deflate::compress_part(before, bytes, level, &mut out)?;
        let len = part.len;
        let stats = Stats {
            compressed: len,
            ..Stats::default()
        };
        Ok(CompressedPart {
            bytes: out,
            sum,
            len,
            stats,
            new: None,
        })
    };
    write_member(plain, parts, jobs, Vec::new, work, out, progress).map(drop)
}

/// Writes an archive whose pieces end at the offsets `pieces`. Parts that the piece cache has are not read.
pub fn write_pieces(
    plain: &Extents,
    pieces: &[u64],
    jobs: usize,
    out: &mut dyn Write,
    cache: &PieceCache,
    progress: super::ProgressFn<'_>,
) -> io::Result<Written> {
    let starts = std::iter::once(&0).chain(pieces);
    let parts = starts.zip(pieces).flat_map(|(start, end)| divide(*start, *end));
    let keyed = |part: Part| match cache.program() {
        Some(program) => key(plain, part, program).map(|key| (part, Some(key))),
        None => Ok((part, None)),
    };
    let parts: Vec<(Part, Option<Key>)> = parts.map(keyed).collect::<io::Result<_>>()?;
    let is_missing = |key: &Option<Key>| !key.is_some_and(|key| cache.has(&key));
    let missing = parts.iter().filter(|(_, key)| is_missing(key));
    let missing: Vec<Extents> = missing.map(|(part, _)| part.of(plain)).collect();
    let read_record = |(): &mut (), origin: &GzipOrigin| {
        let is_new = !origin.is_recorded();
        let recorded = origin.recorded()?.filter(|_| is_new);
        Ok(recorded.map_or(0, Recorded::len))
    };
    let mut inflated = 0;
    let add = |len: u64| {
        inflated += len;
        Ok::<(), io::Error>(())
    };
    ordered::map(origins(&missing).into_iter(), jobs, || (), read_record, add)?;
    drop(missing);
    let work = |(encoder, buffer): &mut (Encoder, Vec<u8>), (part, key): (Part, Option<Key>)| {
        if let Some(found) = key.and_then(|key| cache.get(&key))
            && u64::from(found.len) == part.len
        {
            return Ok(found.into());
        }
        let sum = read(plain, part, buffer)?;
        let segments = segments(plain, part)?;
        let mut bytes = Vec::with_capacity(part.len as usize / 2 + 64);
        let stats = encoder.encode(buffer, part.window as usize, &segments, &mut bytes)?;
        Ok(CompressedPart {
            bytes,
            sum,
            len: part.len,
            stats,
            new: key,
        })
    };
    let mut written = write_member(plain, parts.into_iter(), jobs, Default::default, work, out, progress)?;
    written.inflated = inflated;
    Ok(written)
}

impl From<Piece> for CompressedPart {
    fn from(piece: Piece) -> Self {
        let len = u64::from(piece.len);
        CompressedPart {
            bytes: piece.bytes,
            sum: crc32fast::Hasher::new_with_initial_len(piece.crc, len),
            len,
            stats: Stats::default(),
            new: None,
        }
    }
}

impl Part {
    /// Returns the content of the part with its window.
    fn of(self, plain: &Extents) -> Extents {
        plain.part(self.start - self.window, self.window + self.len)
    }
}

/// Returns the key of a part: a hash of its content, of the gzip files that the content is from, and of the program.
fn key(plain: &Extents, part: Part, program: &str) -> io::Result<Key> {
    let content = part.of(plain);
    let mut purpose = format!("gzip part {} of {program}", part.window);
    for extent in content.extents() {
        let origin = match extent.data() {
            Data::Slice(slice) => GzipOrigin::of(&**slice.blob()),
            Data::Bytes { .. } => None,
        };
        purpose.push(' ');
        purpose.push_str(origin.map_or("-", GzipOrigin::digest));
    }
    Ok(Key(ContentId::from_content(&content)?.derive(&purpose)))
}

/// Returns the gzip files of which contents have parts, in the order of their digests.
pub fn origins(contents: &[Extents]) -> Vec<&GzipOrigin> {
    let extents = contents.iter().flat_map(|content| content.extents());
    let slices = extents.filter_map(|extent| match extent.data() {
        Data::Slice(slice) => GzipOrigin::of(&**slice.blob()),
        Data::Bytes { .. } => None,
    });
    let origins: BTreeMap<&str, &GzipOrigin> = slices.map(|origin| (origin.digest(), origin)).collect();
    origins.into_values().collect()
}

/// Divides a piece. Matches stay within it.
fn divide(start: u64, end: u64) -> impl Iterator<Item = Part> + Send {
    let count = (end - start).div_ceil(PART);
    (0..count).map(move |index| {
        let at = start + index * PART;
        Part {
            start: at,
            window: WINDOW.min(at - start),
            len: PART.min(end - at),
        }
    })
}

/// Reads a part with its window, and computes its checksum.
fn read(plain: &Extents, part: Part, buffer: &mut Vec<u8>) -> io::Result<crc32fast::Hasher> {
    buffer.resize((part.window + part.len) as usize, 0);
    plain.read_exact_at(buffer, part.start - part.window)?;
    let mut sum = crc32fast::Hasher::new();
    sum.update(buffer.get(part.window as usize..).unwrap_or_default());
    Ok(sum)
}

/// Returns the segments of a part with its window.
fn segments(plain: &Extents, part: Part) -> io::Result<Vec<Segment<'_>>> {
    let mut at = part.start - part.window;
    let end = part.start + part.len;
    let mut segments = Vec::new();
    let extents = plain.extents();
    let first = extents.partition_point(|extent| extent.end() <= at);
    for extent in extents.iter().skip(first).take_while(|extent| extent.offset() < end) {
        let from = extent.offset().max(at);
        let origin = match extent.data() {
            Data::Slice(slice) => match GzipOrigin::of(&**slice.blob()) {
                Some(origin) => origin
                    .recorded()?
                    .map(|recorded| (recorded, slice.offset() + (from - extent.offset()))),
                None => None,
            },
            Data::Bytes { .. } => None,
        };
        segments.push(Segment {
            len: (from - at) as usize,
            origin: None,
        });
        at = extent.end().min(end);
        segments.push(Segment {
            len: (at - from) as usize,
            origin,
        });
    }
    segments.push(Segment {
        len: (end - at) as usize,
        origin: None,
    });
    segments.retain(|segment| segment.len > 0);
    Ok(segments)
}

/// Writes one member from its parts.
fn write_member<I: Send, W>(
    plain: &Extents,
    parts: impl Iterator<Item = I> + Send,
    jobs: usize,
    state: impl Fn() -> W + Sync,
    work: impl Fn(&mut W, I) -> io::Result<CompressedPart> + Sync,
    out: &mut dyn Write,
    progress: super::ProgressFn<'_>,
) -> io::Result<Written> {
    out.write_all(&HEADER)?;
    let mut at = HEADER.len() as u64;
    let mut sum = crc32fast::Hasher::new();
    let mut written = Written::default();
    ordered::map(parts, jobs, state, work, |done: CompressedPart| {
        sum.combine(&done.sum);
        written.stats += done.stats;
        if done.stats == Stats::default() {
            written.reused += 1;
        } else {
            written.made += 1;
        }
        let len = done.bytes.len() as u64;
        if let Some(key) = done.new {
            let crc = done.sum.finalize();
            written.new.push(New {
                key,
                crc,
                len: done.len,
                at: (at, len),
            });
        }
        at += len;
        progress(done.len);
        out.write_all(&done.bytes)
    })?;
    out.write_all(&FINAL)?;
    out.write_all(&sum.finalize().to_le_bytes())?;
    // The length is stored modulo 2^32.
    out.write_all(&(plain.len() as u32).to_le_bytes())?;
    Ok(written)
}
