//! Compressed clusters ("Compressed Clusters Descriptor").
//!
//! An entry of an L2 table says at which byte a compressed cluster begins, and into how many sectors
//! of 512 bytes behind the first it reaches. One that does not get smaller stands as it is.

use std::io;
use std::ops::RangeInclusive;
use std::path::PathBuf;

use deflate::Deflate;
use extents::Extents;
use ordered::Spill;
use zstd::Frames;

use crate::tables::{COMPRESSED, COPIED, Map, assemble};
use crate::{CLUSTER, CLUSTER_BITS, Error, size};

/// The unit of what a descriptor counts, in bytes.
const SECTOR: u64 = 512;
/// Where in a descriptor the number of sectors stands; below it is the offset.
const SECTORS_AT: u32 = 62 - (CLUSTER_BITS - 8);

/// A compressor that QEMU can undo, and how hard it tries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compressor {
    /// Deflate without a head; level 1 to 9.
    Zlib(u32),
    /// A zstd frame a cluster; level 1 to 22. (QEMU 5.1.)
    Zstd(u32),
}

impl Compressor {
    /// As it is called everywhere.
    pub fn name(self) -> &'static str {
        match self {
            Compressor::Zlib(_) => "zlib",
            Compressor::Zstd(_) => "zstd",
        }
    }

    /// The levels that there are.
    pub fn levels(self) -> RangeInclusive<u32> {
        match self {
            Compressor::Zlib(_) => 1..=9,
            Compressor::Zstd(_) => zstd::LEVELS,
        }
    }

    /// How hard it tries.
    pub fn level(self) -> u32 {
        match self {
            Compressor::Zlib(level) | Compressor::Zstd(level) => level,
        }
    }

    /// The number in the header ("compression_type").
    fn number(self) -> u8 {
        match self {
            Compressor::Zlib(_) => 0,
            Compressor::Zstd(_) => 1,
        }
    }

    fn encoder(self) -> Encoder {
        match self {
            // The window that QEMU reads with.
            Compressor::Zlib(level) => Encoder::Zlib(Deflate::raw_4k(level)),
            Compressor::Zstd(level) => Encoder::Zstd(Frames::new(level)),
        }
    }
}

/// What the caller decides.
#[derive(Clone, Debug)]
pub struct Options {
    /// How clusters are compressed.
    pub compressor: Compressor,
    /// How many threads compress.
    pub jobs: usize,
    /// The folder for the file without a name in which compressed clusters are kept.
    pub folder: PathBuf,
}

/// Makes an image of a disk with compressed clusters. They are compressed now, into a file that lives
/// as long as the image; those of zeros take no room. The number of threads changes nothing in it.
///
/// # Errors
/// A disk that is too large, a level that there is not, or what reading the disk or writing the
/// compressed clusters fails with.
pub fn compressed(disk: &Extents, options: &Options) -> Result<Extents, Error> {
    let (size, compressor) = (size(disk)?, options.compressor);
    if !compressor.levels().contains(&compressor.level()) {
        let level = compressor.level();
        return Err(Error::Level { compressor, level });
    }
    let spill_error = |source: io::Error| Error::Spill {
        folder: options.folder.clone(),
        source,
    };
    let mut map = Map::default();
    let mut plain = Extents::new();
    let mut packed = Packed::new(&options.folder);
    ordered::map(
        disk.occupied(CLUSTER).into_iter().flatten(),
        options.jobs,
        || (compressor.encoder(), vec![0; CLUSTER as usize], Vec::new()),
        |(encoder, content, out), cluster| Ok((cluster, make(disk, cluster, encoder, content, out)?)),
        |(cluster, made): (u64, Made)| {
            match made {
                Made::Zeros => {}
                Made::Plain => {
                    map.set(cluster, plain.len() | COPIED);
                    plain.push(&disk.part(cluster * CLUSTER, CLUSTER));
                    plain.align_to(CLUSTER);
                }
                Made::Packed(bytes) => map.set(cluster, packed.push(&bytes).map_err(spill_error)?),
            }
            Ok(())
        },
    )?;
    let bytes = packed.spill.finish().map_err(spill_error)?;
    Ok(assemble(size, map, &plain, &bytes, &packed.counts, compressor.number()))
}

/// What became of a cluster.
enum Made {
    Zeros,
    Plain,
    Packed(Vec<u8>),
}

fn make(
    disk: &Extents,
    cluster: u64,
    encoder: &mut Encoder,
    content: &mut [u8],
    out: &mut Vec<u8>,
) -> Result<Made, Error> {
    let offset = cluster * CLUSTER;
    let len = CLUSTER.min(disk.len().saturating_sub(offset));
    let (there, rest) = content.split_at_mut(len as usize);
    let read = disk.read_exact_at(there, offset);
    read.map_err(|source| Error::Read { offset, source })?;
    rest.fill(0);
    if content.iter().all(|byte| *byte == 0) {
        return Ok(Made::Zeros);
    }
    Ok(match encoder.compress(content, out) {
        true => Made::Packed(out.clone()),
        false => Made::Plain,
    })
}

/// Compresses one cluster after another; what came before changes nothing.
enum Encoder {
    Zlib(Deflate),
    Zstd(Frames),
}

impl Encoder {
    /// Whether a cluster became smaller; it is then in `out`.
    fn compress(&mut self, content: &[u8], out: &mut Vec<u8>) -> bool {
        out.clear();
        let room = content.len().saturating_sub(1);
        match self {
            Encoder::Zlib(deflate) => deflate.compress(content, room, out),
            Encoder::Zstd(frames) => {
                frames.compress(content, out);
                out.len() <= room
            }
        }
    }
}

/// Compressed clusters, one after another.
struct Packed {
    spill: Spill,
    /// How many of them have a sector in each cluster of the image.
    counts: Vec<u16>,
}

impl Packed {
    fn new(folder: &std::path::Path) -> Self {
        Packed {
            spill: Spill::new(folder),
            counts: Vec::new(),
        }
    }

    /// Appends one and returns its descriptor, with an offset from the first.
    fn push(&mut self, bytes: &[u8]) -> io::Result<u64> {
        let start = self.spill.len();
        self.spill.push(bytes)?;
        let end = self.spill.len().next_multiple_of(SECTOR);
        self.counts.resize(end.div_ceil(CLUSTER) as usize, 0);
        let touched = (start / CLUSTER) as usize;
        for count in self.counts.iter_mut().skip(touched) {
            // Each has some bytes, so that no more than 65,535 have any in one cluster.
            *count = count.saturating_add(1);
        }
        let more = (end / SECTOR).saturating_sub(start / SECTOR + 1);
        Ok(COMPRESSED | more << SECTORS_AT | start)
    }
}
