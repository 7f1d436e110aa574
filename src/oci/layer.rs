//! Decompression of a layer while its digests are computed.

use std::io::{self, Read, Write};
use std::panic::resume_unwind;
use std::sync::mpsc;
use std::thread;

use deflate::Recorded;
use extents::{Extents, Slice};
use sha2::{Digest, Sha256};

use super::{Error, Layer, digest};
use crate::codec::decompress;
use crate::reporter::{Counter, Progress};

/// Length of the parts in which a layer is decompressed, in bytes.
const PART_LEN: usize = 256 << 10;
/// Maximum number of decompressed parts that wait to be written.
const MAX_PARTS: usize = 4;

/// Receiver of progress from several threads.
pub(crate) type ProgressFn<'a> = &'a (dyn Fn(Progress<'_>) + Sync);

/// Verifies both digests of a layer.
///
/// # Errors
/// A layer that is corrupt or cannot be read.
pub(super) fn verify(layer: &Layer, compressed: &Slice) -> Result<(), Error> {
    copy(layer, compressed, &mut io::sink(), &|_| {}, &|source| {
        unreadable(layer, source)
    })
    .map(drop)
}

/// Decompresses a layer to `to`, and verifies both its digests. One thread decompresses while another
/// hashes and writes. On an error, nothing that was written may be used. Returns the record of a gzip blob, so
/// that parts of it can be used again.
///
/// # Errors
/// A layer that is corrupt, cannot be read or exceeds the decompression limit, and write errors as `unwritable`
/// returns them.
pub(crate) fn copy(
    layer: &Layer,
    compressed: &Slice,
    to: &mut (dyn Write + Send),
    progress: ProgressFn<'_>,
    unwritable: &(dyn Fn(io::Error) -> Error + Sync),
) -> Result<Option<Recorded>, Error> {
    let mut source = Hashed {
        slice: compressed,
        at: 0,
        progress,
        hash: layer.expected.is_some().then(Sha256::new),
    };
    let mut hash = Sha256::new();
    let mut write = |part: Vec<u8>| {
        hash.update(&part);
        to.write_all(&part).map_err(unwritable)
    };
    let with_thread = thread::scope(|scope| {
        let (sender, receiver) = mpsc::sync_channel(MAX_PARTS);
        let write = &mut write;
        let writing = thread::Builder::new().spawn_scoped(scope, move || receiver.iter().try_for_each(write));
        let writing = writing.ok()?;
        let read = decompress(layer, &mut source, &mut |part| Ok(sender.send(part).is_ok()));
        drop(sender);
        let written = writing.join().unwrap_or_else(|panic| resume_unwind(panic));
        Some(written.and(read))
    });
    // Where no thread can be started, this one does all the work.
    let decompressed =
        with_thread.unwrap_or_else(|| decompress(layer, &mut source, &mut |part| write(part).map(|()| true)));
    if let Err(error @ (Error::Bomb { .. } | Error::Write { .. })) = decompressed {
        return Err(error);
    }
    // A wrong digest is a better message than a decompressor's.
    io::copy(&mut source, &mut io::sink()).map_err(|source| unreadable(layer, source))?;
    if let (Some((_, expected)), Some(hash)) = (&layer.expected, source.hash) {
        let found = digest(hash);
        if found != *expected {
            return Err(mismatch(layer, "digest", expected, found));
        }
    }
    let recorded = decompressed?;
    let found = digest(hash);
    if found != layer.diff_id {
        return Err(mismatch(layer, "diff_id", &layer.diff_id, found));
    }
    Ok(recorded)
}

/// Passes the decompressed bytes on, in parts, until `take` returns false. Returns the record of a gzip blob that was
/// read to its end.
fn decompress(
    layer: &Layer,
    source: &mut Hashed<'_>,
    take: &mut dyn FnMut(Vec<u8>) -> Result<bool, Error>,
) -> Result<Option<Recorded>, Error> {
    let slice = source.slice;
    let compressed = slice.len();
    let limit = decompress::limit(compressed);
    let progress = source.progress;
    let mut reader = decompress::Reader::new(source).map_err(|source| unreadable(layer, source))?;
    let mut len = 0u64;
    loop {
        let mut part = vec![0; PART_LEN];
        let read = reader.read(&mut part).map_err(|source| unreadable(layer, source))?;
        part.truncate(read);
        len += read as u64;
        if len > limit && compressed < len {
            return Err(Error::Bomb {
                name: layer.image.clone(),
                location: layer.location.clone(),
                compressed,
                limit,
            });
        }
        progress(Progress::Count(Counter::Inflated, part.len() as u64));
        if part.is_empty() {
            return Ok(reader.into_recorded(Extents::from_slice(slice.clone())));
        }
        if !take(part)? {
            return Ok(None);
        }
    }
}

fn unreadable(layer: &Layer, source: io::Error) -> Error {
    Error::Read {
        name: layer.image.clone(),
        location: layer.location.clone(),
        source,
    }
}

/// Returns the error for a layer with a wrong property.
pub(crate) fn mismatch(layer: &Layer, property: &'static str, expected: &str, found: String) -> Error {
    Error::Mismatch {
        name: layer.image.clone(),
        location: layer.location.clone(),
        property,
        expected: expected.to_owned(),
        found,
        arch: layer.arch,
    }
}

/// Reader of a blob that computes its digest.
struct Hashed<'a> {
    slice: &'a Slice,
    at: u64,
    progress: ProgressFn<'a>,
    hash: Option<Sha256>,
}

impl Read for Hashed<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let take = (self.slice.len() - self.at).min(buffer.len() as u64);
        let part = buffer.get_mut(..take as usize).unwrap_or_default();
        self.slice.read_exact_at(part, self.at)?;
        if let Some(hash) = &mut self.hash {
            hash.update(&*part);
        }
        self.at += take;
        (self.progress)(Progress::Advance(take));
        Ok(part.len())
    }
}
