//! Compressed clusters ("Compressed Clusters Descriptor").
//!
//! The L2 entry of a compressed cluster has the byte at which it begins, and the number of
//! sectors of 512 bytes that it reaches into after the first. A cluster that compression does not
//! make smaller is stored as it is.

use std::io;
use std::path::Path;

use deflate::Deflate;
use extents::Extents;
use ordered::Spill;
use zstd::Frames;

use crate::tables::{COMPRESSED, COPIED, Map, assemble};
use crate::{CLUSTER, CLUSTER_BITS, Compressor, Error, Options, SECTOR};

/// Bit of a descriptor at which the number of sectors begins; the bits below are the offset.
const SECTORS_SHIFT: u32 = 62 - (CLUSTER_BITS - 8);

/// Compresses a disk of `size` bytes, and plans its image.
pub(crate) fn plan(disk: &Extents, size: u64, compressor: Compressor, options: &Options) -> Result<Extents, Error> {
    let level = compressor.level();
    if !compressor.levels().contains(&level) {
        return Err(Error::Level { compressor, level });
    }
    let spill_error = |source: io::Error| Error::Spill {
        temp_dir: options.temp_dir.clone(),
        source,
    };
    let mut map = Map::default();
    let mut plain = Extents::new();
    let mut compressed = CompressedClusters::new(&options.temp_dir);
    ordered::map(
        disk.occupied(CLUSTER).into_iter().flatten(),
        options.jobs,
        || (Encoder::new(compressor), vec![0; CLUSTER as usize], Vec::new()),
        |(encoder, content, out), cluster| Ok((cluster, encode(disk, cluster, encoder, content, out)?)),
        |(cluster, encoded): (u64, Encoded)| {
            match encoded {
                Encoded::Zeros => {}
                Encoded::Plain => {
                    map.set(cluster, plain.len() | COPIED);
                    plain.push(&disk.part(cluster * CLUSTER, CLUSTER));
                    plain.align_to(CLUSTER);
                }
                Encoded::Compressed(bytes) => map.set(cluster, compressed.push(&bytes).map_err(spill_error)?),
            }
            Ok(())
        },
    )?;
    let bytes = compressed.spill.finish().map_err(spill_error)?;
    Ok(assemble(
        size,
        map,
        &plain,
        &bytes,
        &compressed.counts,
        compressor.header_number(),
    ))
}

/// Outcome of compressing a cluster.
enum Encoded {
    Zeros,
    Plain,
    Compressed(Vec<u8>),
}

fn encode(
    disk: &Extents,
    cluster: u64,
    encoder: &mut Encoder,
    content: &mut [u8],
    out: &mut Vec<u8>,
) -> Result<Encoded, Error> {
    let offset = cluster * CLUSTER;
    let len = CLUSTER.min(disk.len().saturating_sub(offset));
    let (there, rest) = content.split_at_mut(len as usize);
    let read = disk.read_exact_at(there, offset);
    read.map_err(|source| Error::Read { offset, source })?;
    rest.fill(0);
    if content.iter().all(|byte| *byte == 0) {
        return Ok(Encoded::Zeros);
    }
    if encoder.compress(content, out) {
        Ok(Encoded::Compressed(out.clone()))
    } else {
        Ok(Encoded::Plain)
    }
}

/// A compressor of independent clusters.
enum Encoder {
    Zlib(Deflate),
    Zstd(Frames),
}

impl Encoder {
    fn new(compressor: Compressor) -> Self {
        match compressor {
            // QEMU reads with a window of 4 KiB.
            Compressor::Zlib(level) => Encoder::Zlib(Deflate::raw_4k(level)),
            Compressor::Zstd(level) => Encoder::Zstd(Frames::new(level)),
        }
    }

    /// Compresses a cluster into `out`, and returns whether it became smaller.
    fn compress(&mut self, content: &[u8], out: &mut Vec<u8>) -> bool {
        out.clear();
        let max_len = content.len().saturating_sub(1);
        match self {
            Encoder::Zlib(deflate) => deflate.compress(content, max_len, out),
            Encoder::Zstd(frames) => {
                frames.compress(content, out);
                out.len() <= max_len
            }
        }
    }
}

/// Compressed clusters, one after another.
struct CompressedClusters {
    spill: Spill,
    /// Number of compressed clusters with a sector in each cluster of the image.
    counts: Vec<u16>,
}

impl CompressedClusters {
    fn new(temp_dir: &Path) -> Self {
        CompressedClusters {
            spill: Spill::new(temp_dir),
            counts: Vec::new(),
        }
    }

    /// Appends a compressed cluster and returns its descriptor, with an offset from the first.
    fn push(&mut self, bytes: &[u8]) -> io::Result<u64> {
        let start = self.spill.len();
        self.spill.push(bytes)?;
        let end = self.spill.len().next_multiple_of(SECTOR);
        self.counts.resize(end.div_ceil(CLUSTER) as usize, 0);
        let touched = (start / CLUSTER) as usize;
        for count in self.counts.iter_mut().skip(touched) {
            // Each has at least one byte, so at most 65,535 have any in one cluster.
            *count = count.saturating_add(1);
        }
        let more = (end / SECTOR).saturating_sub(start / SECTOR + 1);
        Ok(COMPRESSED | more << SECTORS_SHIFT | start)
    }
}
