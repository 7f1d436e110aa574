//! Decompression of a layer while its digests are computed.

use std::io::{self, Read, Write};

use extents::Slice;
use sha2::{Digest, Sha256};

use super::{Error, Layer, digest};
use crate::codec::decompress;
use crate::reporter::Progress;

/// Receiver of progress from several threads.
pub(crate) type ProgressFn<'a> = &'a (dyn Fn(Progress<'_>) + Sync);

/// Verifies both digests of a layer.
///
/// # Errors
/// A layer that is damaged or cannot be read.
pub(super) fn verify(layer: &Layer, compressed: &Slice) -> Result<(), Error> {
    let unwritable = |source| Error::Read {
        name: layer.image.clone(),
        location: layer.location.clone(),
        source,
    };
    copy(layer, compressed, &mut io::sink(), &|_| {}, &unwritable)
}

/// Decompresses a layer to `to`, and verifies both its digests. On an error, nothing that was written
/// may be used.
///
/// # Errors
/// A layer that is damaged, cannot be read or expands without end, and write errors as `unwritable`
/// returns them.
pub(crate) fn copy(
    layer: &Layer,
    compressed: &Slice,
    to: &mut dyn Write,
    progress: ProgressFn<'_>,
    unwritable: &dyn Fn(io::Error) -> Error,
) -> Result<(), Error> {
    let limit = decompress::limit(compressed.len());
    let unreadable = |source| Error::Read {
        name: layer.image.clone(),
        location: layer.location.clone(),
        source,
    };
    let mut source = Hashed {
        slice: compressed,
        at: 0,
        progress,
        hash: layer.expected.is_some().then(Sha256::new),
    };
    let mut hash = Sha256::new();
    let mut written = 0u64;
    let decompressed = (|| {
        let mut reader = decompress::reader(&mut source).map_err(unreadable)?;
        let mut buffer = vec![0; 256 << 10];
        loop {
            let read = reader.read(&mut buffer).map_err(unreadable)?;
            let Some(part) = buffer.get(..read).filter(|part| !part.is_empty()) else {
                return Ok(());
            };
            written += read as u64;
            if written > limit && compressed.len() < written {
                return Err(Error::Bomb {
                    name: layer.image.clone(),
                    location: layer.location.clone(),
                    compressed: compressed.len(),
                    limit,
                });
            }
            hash.update(part);
            to.write_all(part).map_err(unwritable)?;
        }
    })();
    if let Err(error @ (Error::Bomb { .. } | Error::Write { .. })) = decompressed {
        return Err(error);
    }
    // A wrong digest is a better message than a decompressor's.
    io::copy(&mut source, &mut io::sink()).map_err(unreadable)?;
    if let (Some((_, expected)), Some(hash)) = (&layer.expected, source.hash) {
        let found = digest(hash);
        if found != *expected {
            return Err(mismatch(layer, "digest", expected, found));
        }
    }
    decompressed?;
    let found = digest(hash);
    if found != layer.diff_id {
        return Err(mismatch(layer, "diff_id", &layer.diff_id, found));
    }
    Ok(())
}

/// Returns the error for a layer with a wrong property.
pub(crate) fn mismatch(layer: &Layer, property: &'static str, expected: &str, found: String) -> Error {
    Error::Mismatch {
        name: layer.image.clone(),
        location: layer.location.clone(),
        property,
        expected: expected.to_owned(),
        found,
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
