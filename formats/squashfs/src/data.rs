//! Storage of contents: data blocks and fragment blocks (rst 2, "Squashfs filesystem design").
//!
//! ```text
//! file 1:  block | block | tail ─┐        file 2:  tail ─┐
//!                                └─ fragment block: tail 1 | tail 2 | ...
//! ```
//!
//! Tails are assigned to fragment blocks by lengths alone, so all blocks are numbered before the
//! first is read, and any thread can compress any of them.

use std::io;
use std::ops::Range;

use extents::Extents;
use ordered::Spill;

use crate::content::{File, is_zero};
use crate::encoder::Encoder;
use crate::error::Error;
use crate::options::Options;
use crate::{MAX_FILE_LEN, duplicates};

/// Mark of a block that is not compressed (`SQUASHFS_COMPRESSED_BIT_BLOCK`).
const PLAIN: u32 = 1 << 24;

/// Position of a content.
#[derive(Clone, Debug, Default)]
pub(crate) struct Stored {
    /// Length of the file in bytes.
    pub(crate) len: u64,
    /// Offset of the first block in the filesystem, in bytes.
    pub(crate) start: u64,
    /// Number of blocks; those that `blocks` does not list are zeros.
    pub(crate) count: u64,
    /// Number and encoded size of the blocks that are not zeros.
    pub(crate) blocks: Vec<(u64, u32)>,
    /// Number of the fragment block of the tail, and offset in it in bytes.
    pub(crate) fragment: Option<(u32, u32)>,
}

impl Stored {
    /// Returns the number of bytes in blocks of zeros.
    pub(crate) fn sparse(&self, block_size: u32) -> u64 {
        let size = u64::from(block_size);
        let stored = |(number, _): &(u64, u32)| size.min(self.len - (number * size).min(self.len));
        let in_blocks = self.len.min(self.count * size);
        in_blocks.saturating_sub(self.blocks.iter().map(stored).sum())
    }
}

/// Fragment block.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fragment {
    /// Offset in the filesystem in bytes.
    pub(crate) start: u64,
    /// Length on disk in bytes, with the mark of plain blocks.
    pub(crate) size: u32,
}

impl Fragment {
    /// Encodes the entry in the fragment table (`struct squashfs_fragment_entry`).
    pub(crate) fn encode(&self) -> [u8; 16] {
        let mut entry = [0; 16];
        let (start, rest) = entry.split_at_mut(8);
        start.copy_from_slice(&self.start.to_le_bytes());
        let (size, _unused) = rest.split_at_mut(4);
        size.copy_from_slice(&self.size.to_le_bytes());
        entry
    }
}

/// Stored contents of all files.
pub(crate) struct Data {
    /// Blocks, which follow the superblock and the options of the compressor.
    pub(crate) blocks: Extents,
    /// Position of the content of each file.
    pub(crate) stored: Vec<Stored>,
    pub(crate) fragments: Vec<Fragment>,
}

/// Part of the image, in order.
enum Step {
    /// Blocks of the file with this index.
    Blocks(usize),
    /// Fragment block with these of the tails.
    Fragment(Range<usize>),
}

/// Work of a thread.
enum Piece {
    Block { file: usize, number: u64 },
    Fragment(Range<usize>),
}

/// Encoded block; a size of 0 is a block of zeros.
struct EncodedBlock {
    piece: Piece,
    /// Length before it was compressed, in bytes.
    plain_len: u64,
    size: u32,
    bytes: Vec<u8>,
}

/// Stores the contents of all files; the first block is at offset `base` in bytes. `progress` gets the
/// numbers of bytes of files that are done.
pub(crate) fn store(files: &[File<'_>], options: &Options, base: u64, progress: &dyn Fn(u64)) -> Result<Data, Error> {
    if let Some(file) = files.iter().find(|file| file.content.len() > MAX_FILE_LEN) {
        return Err(Error::LargeFile {
            path: file.path.clone(),
            len: file.content.len(),
        });
    }
    let block_size = u64::from(options.block_size);
    let first = duplicates::first_of(files, options)?;
    let mut layout = Layout::new(block_size);
    let mut stored: Vec<Stored> = Vec::with_capacity(files.len());
    for (index, file) in files.iter().enumerate() {
        let unique = first.get(index) == Some(&index);
        let place = if unique {
            layout.add(index, file.content.len())
        } else {
            Stored::default()
        };
        stored.push(place);
    }
    let (steps, tails) = layout.finish();

    let pieces = steps
        .into_iter()
        .flat_map(|step| -> Box<dyn Iterator<Item = Piece> + Send> {
            match step {
                Step::Fragment(tails) => Box::new(std::iter::once(Piece::Fragment(tails))),
                Step::Blocks(file) => {
                    let content = files.get(file).map(|file| file.content);
                    let count = content.map_or(0, |content| content.len() / block_size);
                    let numbers = files.get(file).map(|file| file.blocks(options.block_size));
                    let numbers = numbers.into_iter().flatten().take_while(move |number| *number < count);
                    Box::new(numbers.map(move |number| Piece::Block { file, number }))
                }
            }
        });

    let all: u64 = files.iter().map(|file| file.content.len()).sum();
    let mut done = 0;
    let encode = |(encoder, plain): &mut (Encoder, Vec<u8>), piece: Piece| {
        plain.clear();
        match &piece {
            Piece::Block { file, number } => {
                if let Some(file) = files.get(*file) {
                    file.read(number * block_size, block_size, plain)?;
                }
                if is_zero(plain) {
                    return Ok(EncodedBlock {
                        piece,
                        plain_len: plain.len() as u64,
                        size: 0,
                        bytes: Vec::new(),
                    });
                }
            }
            Piece::Fragment(range) => {
                for file in tails.get(range.clone()).unwrap_or_default() {
                    if let Some(file) = files.get(*file) {
                        let len = file.content.len() % block_size;
                        file.read(file.content.len() - len, len, plain)?;
                    }
                }
            }
        }
        // At most 1 MiB.
        let (bytes, mark) = match encoder.compress(plain)? {
            Some(bytes) => (bytes.to_vec(), 0),
            None => (plain.clone(), PLAIN),
        };
        Ok(EncodedBlock {
            piece,
            plain_len: plain.len() as u64,
            size: bytes.len() as u32 | mark,
            bytes,
        })
    };

    let spill_error = |source: io::Error| Error::Spill {
        temp_dir: options.temp_dir.clone(),
        source,
    };
    let mut spill = Spill::new(&options.temp_dir);
    let mut fragments = Vec::new();
    ordered::map(
        pieces,
        options.jobs,
        || (Encoder::new(options.compressor, options.block_size), Vec::new()),
        encode,
        |block: EncodedBlock| {
            done += block.plain_len;
            progress(block.plain_len);
            let start = base + spill.len();
            spill.push(&block.bytes).map_err(spill_error)?;
            match block.piece {
                Piece::Fragment(_) => fragments.push(Fragment {
                    start,
                    size: block.size,
                }),
                Piece::Block { file, number } if block.size > 0 => {
                    if let Some(place) = stored.get_mut(file) {
                        if place.blocks.is_empty() {
                            place.start = start;
                        }
                        place.blocks.push((number, block.size));
                    }
                }
                Piece::Block { .. } => {}
            }
            Ok(())
        },
    )?;
    // Holes, and files with the content of another.
    progress(all.saturating_sub(done));
    for (index, first) in first.into_iter().enumerate().filter(|(index, first)| index != first) {
        let place = stored.get(first).cloned().unwrap_or_default();
        if let Some(duplicate) = stored.get_mut(index) {
            *duplicate = place;
        }
    }
    Ok(Data {
        blocks: spill.finish().map_err(spill_error)?,
        stored,
        fragments,
    })
}

/// Allocator of blocks and fragments.
struct Layout {
    block_size: u64,
    steps: Vec<Step>,
    /// Files with tails, in order.
    tails: Vec<usize>,
    /// First tail of the open fragment block, and its length in bytes.
    open: (usize, u64),
    fragments: u32,
}

impl Layout {
    fn new(block_size: u64) -> Self {
        Layout {
            block_size,
            steps: Vec::new(),
            tails: Vec::new(),
            open: (0, 0),
            fragments: 0,
        }
    }

    fn add(&mut self, file: usize, len: u64) -> Stored {
        let (count, tail) = (len / self.block_size, len % self.block_size);
        if count > 0 {
            self.steps.push(Step::Blocks(file));
        }
        let fragment = (tail > 0).then(|| {
            if self.open.1 + tail > self.block_size {
                self.close();
            }
            // Below the size of a block.
            let offset = self.open.1 as u32;
            self.open.1 += tail;
            self.tails.push(file);
            (self.fragments, offset)
        });
        Stored {
            len,
            start: 0,
            count,
            blocks: Vec::new(),
            fragment,
        }
    }

    fn close(&mut self) {
        if self.open.1 > 0 {
            self.steps.push(Step::Fragment(self.open.0..self.tails.len()));
            self.open = (self.tails.len(), 0);
            // At most the number of files, which has 32 bits.
            self.fragments += 1;
        }
    }

    fn finish(mut self) -> (Vec<Step>, Vec<usize>) {
        self.close();
        (self.steps, self.tails)
    }
}
