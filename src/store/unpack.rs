//! Decompression of layers while they are downloaded.

use std::io::{self, Read, Write};
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;

use extents::emit::{self, StagedFile};
use sha2::{Digest, Sha256};

use super::layer_cache;
use crate::codec::decompress;
use crate::oci::registry::{LayerStream, Layers};
use crate::oci::{cached_file, digest, lock};

/// Number of parts of a layer that wait for decompression: a slow disk slows the download down.
const MAX_PARTS: usize = 16;

/// Layer cache of a cache directory, which receives layers while they are downloaded. What goes wrong
/// here costs time only: the build decompresses the layer itself.
#[derive(Clone, Debug)]
pub struct Unpacker {
    cache: PathBuf,
}

impl Unpacker {
    /// Creates the receiver of a cache directory.
    pub fn new(cache: PathBuf) -> Self {
        Unpacker { cache }
    }
}

impl Layers for Unpacker {
    fn begin(&self, diff_id: &str, size: u64) -> Option<Box<dyn LayerStream>> {
        let path = layer_cache::path(&self.cache, diff_id)?;
        if path.is_file() {
            return None;
        }
        std::fs::create_dir_all(path.parent()?).ok()?;
        cached_file::make_way(&path).ok()?;
        // Without O_TMPFILE, the lock keeps `moby cache clean` from removing the file.
        let lock = lock::decompressing(&self.cache).ok()?;
        let staged = emit::stage_empty(&path).ok()?;
        let mut file = staged.file().try_clone().ok()?;
        let (parts, received) = sync_channel(MAX_PARTS);
        let work = move || {
            let source = Parts {
                received,
                part: Vec::new(),
                at: 0,
            };
            decompress_to(source, size, &mut file).ok()
        };
        let worker = std::thread::Builder::new().spawn(work).ok()?;
        Some(Box::new(Stream {
            diff_id: diff_id.to_owned(),
            staged,
            parts: Some(parts),
            worker,
            _lock: lock,
        }))
    }
}

/// Layer that arrives.
struct Stream {
    diff_id: String,
    staged: StagedFile,
    parts: Option<SyncSender<Vec<u8>>>,
    /// Returns the digest of the decompressed layer.
    worker: JoinHandle<Option<String>>,
    _lock: std::fs::File,
}

impl LayerStream for Stream {
    fn write(&mut self, bytes: &[u8]) {
        // A worker that has failed receives nothing.
        if self
            .parts
            .as_ref()
            .is_some_and(|parts| parts.send(bytes.to_vec()).is_err())
        {
            self.parts = None;
        }
    }

    fn finish(self: Box<Self>) {
        let Stream {
            diff_id,
            staged,
            parts,
            worker,
            _lock,
        } = *self;
        drop(parts);
        if worker.join().ok().flatten().as_ref() == Some(&diff_id) {
            // Another process may have been faster.
            let _ = staged.persist();
        }
    }
}

/// Reader of the parts of a layer.
struct Parts {
    received: Receiver<Vec<u8>>,
    part: Vec<u8>,
    at: usize,
}

impl Read for Parts {
    /// Fills the buffer, as the algorithm is detected from its first bytes.
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut filled = 0;
        while let Some(rest) = buffer.get_mut(filled..).filter(|rest| !rest.is_empty()) {
            let mut part = self.part.get(self.at..).unwrap_or_default();
            if part.is_empty() {
                let Ok(next) = self.received.recv() else { break };
                (self.part, self.at) = (next, 0);
                continue;
            }
            let count = part.read(rest)?;
            self.at += count;
            filled += count;
        }
        Ok(filled)
    }
}

/// Decompresses a layer, and returns the digest of what it has written.
fn decompress_to(source: Parts, size: u64, file: &mut std::fs::File) -> io::Result<String> {
    let mut reader = decompress::reader(source)?;
    let limit = decompress::limit(size);
    let mut hash = Sha256::new();
    let mut written: u64 = 0;
    let mut buffer = vec![0; 256 << 10];
    loop {
        let count = reader.read(&mut buffer)?;
        let Some(bytes) = buffer.get(..count).filter(|bytes| !bytes.is_empty()) else {
            return Ok(digest(hash));
        };
        written = written.saturating_add(count as u64);
        if written > limit {
            return Err(io::Error::other("it expands beyond the limit"));
        }
        hash.update(bytes);
        file.write_all(bytes)?;
    }
}
