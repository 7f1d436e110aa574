//! Disks with compressed clusters, decompressed on demand.

use std::collections::VecDeque;
use std::fmt::{self, Debug};
use std::io::{self, Read};
use std::sync::{Arc, Mutex, PoisonError};

use extents::{Blob, Extents, Slice};

use crate::codec::decompress;

/// Decompressed clusters kept in memory, in bytes: a filesystem reads its tables and its files in
/// turn.
const CACHE_LEN: u64 = 32 << 20;

/// Compression of a cluster.
#[derive(Clone, Copy, Debug)]
pub enum Compression {
    /// RFC 1951.
    Deflate,
    /// RFC 1950.
    Zlib,
    /// RFC 8878.
    Zstd,
}

/// Place of a compressed cluster.
#[derive(Clone, Copy, Debug)]
pub struct Cluster {
    /// Offset on the disk, in bytes.
    pub to: u64,
    /// Offset in the file, in bytes.
    pub from: u64,
    /// Maximum compressed length, in bytes.
    pub max_len: u64,
}

/// Places clusters of `cluster_len` uncompressed bytes on a disk. They are sorted by their place.
pub fn put(disk: &mut Extents, content: &Extents, cluster_len: u64, compression: Compression, clusters: Vec<Cluster>) {
    let places: Vec<u64> = clusters.iter().map(|cluster| cluster.to).collect();
    let len = disk.len();
    let blob = Arc::new(Compressed {
        content: content.clone(),
        len,
        cluster_len,
        compression,
        clusters,
        cache: Mutex::new(VecDeque::new()),
    });
    for to in places {
        if let Some(slice) = Slice::new(blob.clone(), to, cluster_len.min(len.saturating_sub(to))) {
            disk.put(to, &Extents::from_slice(slice));
        }
    }
}

struct Compressed {
    content: Extents,
    /// Length of the disk.
    len: u64,
    cluster_len: u64,
    compression: Compression,
    clusters: Vec<Cluster>,
    /// Clusters by their place, the last used first.
    cache: Mutex<VecDeque<(u64, Vec<u8>)>>,
}

impl Debug for Compressed {
    fn fmt(&self, out: &mut fmt::Formatter) -> fmt::Result {
        write!(
            out,
            "Compressed({} clusters of {} bytes)",
            self.clusters.len(),
            self.cluster_len
        )
    }
}

impl Compressed {
    fn decompress(&self, to: u64) -> io::Result<Vec<u8>> {
        let found = self.clusters.binary_search_by_key(&to, |cluster| cluster.to);
        let cluster = found.ok().and_then(|index| self.clusters.get(index));
        let cluster = cluster.ok_or(io::ErrorKind::UnexpectedEof)?;
        let compressed = self.content.part(cluster.from, cluster.max_len);
        let reader: Box<dyn Read> = match self.compression {
            Compression::Deflate => Box::new(flate2::read::DeflateDecoder::new(compressed.reader())),
            Compression::Zlib => Box::new(flate2::read::ZlibDecoder::new(compressed.reader())),
            Compression::Zstd => decompress::reader(compressed.reader())?,
        };
        let mut bytes = Vec::new();
        // The rest of the last sector is not part of the cluster and may make a reader fail.
        let read = reader.take(self.cluster_len).read_to_end(&mut bytes);
        let is_last = to.saturating_add(bytes.len() as u64) >= self.len;
        if bytes.len() as u64 == self.cluster_len || (read.is_ok() && is_last) {
            return Ok(bytes);
        }
        let error = read.err().map(|error| format!(": {error}")).unwrap_or_default();
        Err(io::Error::other(format!(
            "the cluster at byte {} expands to {} of {} bytes{error}",
            cluster.from,
            bytes.len(),
            self.cluster_len
        )))
    }
}

impl Blob for Compressed {
    fn len(&self) -> u64 {
        self.len
    }

    fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        let mut cache = self.cache.lock().unwrap_or_else(PoisonError::into_inner);
        let (mut buf, mut offset) = (buf, offset);
        while !buf.is_empty() {
            let to = offset.saturating_sub(offset % self.cluster_len.max(1));
            let cached = cache.iter().position(|(cached, _)| *cached == to);
            let bytes = match cached.and_then(|index| cache.remove(index)) {
                Some((_, bytes)) => bytes,
                None => self.decompress(to)?,
            };
            let skip = usize::try_from(offset.saturating_sub(to)).unwrap_or(usize::MAX);
            let rest = bytes.get(skip..).unwrap_or_default();
            let (head, tail) = buf.split_at_mut(rest.len().min(buf.len()));
            if head.is_empty() {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            head.copy_from_slice(rest.get(..head.len()).unwrap_or_default());
            offset = offset.saturating_add(head.len() as u64);
            buf = tail;
            cache.push_front((to, bytes));
            let capacity = usize::try_from(CACHE_LEN / self.cluster_len.max(1)).unwrap_or(usize::MAX);
            cache.truncate(capacity.max(1));
        }
        Ok(())
    }
}
