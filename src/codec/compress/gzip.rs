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

use deflate::{Encoder, Segment, Stats};
use extents::{Data, Extents};

use crate::codec::gzip_origin::GzipOrigin;

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
        })
    };
    write_member(plain, parts, jobs, Vec::new, work, out, progress).map(drop)
}

/// Writes an archive whose pieces end at the offsets `pieces`. Returns what was done with its bytes.
pub fn write_pieces(
    plain: &Extents,
    pieces: &[u64],
    jobs: usize,
    out: &mut dyn Write,
    progress: super::ProgressFn<'_>,
) -> io::Result<Stats> {
    let read_record = |(): &mut (), origin: &GzipOrigin| origin.recorded().map(drop);
    ordered::map(origins(plain).into_iter(), jobs, || (), read_record, |()| Ok(()))?;
    let starts = std::iter::once(&0).chain(pieces);
    let parts = starts.zip(pieces).flat_map(|(start, end)| divide(*start, *end));
    let work = |(encoder, buffer): &mut (Encoder, Vec<u8>), part: Part| {
        let sum = read(plain, part, buffer)?;
        let segments = segments(plain, part)?;
        let mut bytes = Vec::with_capacity(part.len as usize / 2 + 64);
        let stats = encoder.encode(buffer, part.window as usize, &segments, &mut bytes)?;
        Ok(CompressedPart {
            bytes,
            sum,
            len: part.len,
            stats,
        })
    };
    write_member(plain, parts, jobs, Default::default, work, out, progress)
}

/// Returns the gzip files of which a content has parts, in the order of their digests.
pub fn origins(plain: &Extents) -> Vec<&GzipOrigin> {
    let slices = plain.extents().iter().filter_map(|extent| match extent.data() {
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
fn write_member<W>(
    plain: &Extents,
    parts: impl Iterator<Item = Part> + Send,
    jobs: usize,
    state: impl Fn() -> W + Sync,
    work: impl Fn(&mut W, Part) -> io::Result<CompressedPart> + Sync,
    out: &mut dyn Write,
    progress: super::ProgressFn<'_>,
) -> io::Result<Stats> {
    out.write_all(&HEADER)?;
    let mut sum = crc32fast::Hasher::new();
    let mut stats = Stats::default();
    ordered::map(parts, jobs, state, work, |done: CompressedPart| {
        sum.combine(&done.sum);
        stats += done.stats;
        progress(done.len);
        out.write_all(&done.bytes)
    })?;
    out.write_all(&FINAL)?;
    out.write_all(&sum.finalize().to_le_bytes())?;
    // The length is stored modulo 2^32.
    out.write_all(&(plain.len() as u32).to_le_bytes())?;
    Ok(stats)
}
