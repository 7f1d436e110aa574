//! The contents of files: data blocks and fragment blocks (rst 2, "Squashfs filesystem design").
//!
//! ```text
//! file 1:  block | block | tail ─┐        file 2:  tail ─┐
//!                                └─ fragment block: tail 1 | tail 2 | ...
//! ```
//!
//! Which tails share a fragment block is known from the lengths alone; so all blocks are numbered
//! before the first is read, and any thread can make any of them.

use std::io;
use std::ops::Range;

use extents::Extents;
use ordered::Spill;

use crate::compressor::Encoder;
use crate::{Error, LARGEST_FILE, Options, same};

/// Marks a block that is not compressed (`SQUASHFS_COMPRESSED_BIT_BLOCK`).
const PLAIN: u32 = 1 << 24;

/// A file of the tree, by its first path.
pub(crate) struct File<'a> {
    pub(crate) path: Vec<u8>,
    pub(crate) content: &'a Extents,
}

/// Where a content went.
#[derive(Clone, Debug, Default)]
pub(crate) struct Stored {
    /// The length of the file in bytes.
    pub(crate) len: u64,
    /// Where its first block begins, in bytes from the start of the filesystem.
    pub(crate) start: u64,
    /// How many blocks the list has; those that `blocks` does not name are zeros.
    pub(crate) count: u64,
    /// Number and length on disk of the blocks that are not zeros.
    pub(crate) blocks: Vec<(u64, u32)>,
    /// The fragment block of the tail, and where it begins in it.
    pub(crate) fragment: Option<(u32, u32)>,
}

impl Stored {
    /// How many bytes of the file are blocks of zeros.
    pub(crate) fn sparse(&self, block_size: u32) -> u64 {
        let size = u64::from(block_size);
        let stored = |(number, _): &(u64, u32)| size.min(self.len - (number * size).min(self.len));
        let in_blocks = self.len.min(self.count * size);
        in_blocks.saturating_sub(self.blocks.iter().map(stored).sum())
    }
}

/// A fragment block.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fragment {
    /// Where it begins, in bytes from the start of the filesystem.
    pub(crate) start: u64,
    /// Its length on disk, with the mark.
    pub(crate) size: u32,
}

impl Fragment {
    /// As it stands in the fragment table (`struct squashfs_fragment_entry`).
    pub(crate) fn encode(&self) -> [u8; 16] {
        let mut entry = [0; 16];
        let (start, rest) = entry.split_at_mut(8);
        start.copy_from_slice(&self.start.to_le_bytes());
        let (size, _unused) = rest.split_at_mut(4);
        size.copy_from_slice(&self.size.to_le_bytes());
        entry
    }
}

/// All contents.
pub(crate) struct Data {
    /// The blocks, to stand right behind the superblock and the compressor's options.
    pub(crate) blocks: Extents,
    /// By file.
    pub(crate) stored: Vec<Stored>,
    pub(crate) fragments: Vec<Fragment>,
}

/// The numbers of the blocks of a file in which something stands.
pub(crate) fn blocks(content: &Extents, block_size: u32) -> impl Iterator<Item = u64> + use<> {
    content.occupied(block_size.into()).into_iter().flatten()
}

/// Appends a part of a file.
pub(crate) fn read(file: &File<'_>, start: u64, len: u64, out: &mut Vec<u8>) -> Result<(), Error> {
    let at = out.len();
    out.resize(at + len as usize, 0);
    let (_, part) = out.split_at_mut(at);
    let done = file.content.read_exact_at(part, start);
    done.map_err(|source| Error::Read {
        path: file.path.clone(),
        source,
    })
}

/// Whether there are only zeros.
pub(crate) fn is_zero(bytes: &[u8]) -> bool {
    bytes
        .chunks(256)
        .all(|chunk| chunk.iter().fold(0, |all, byte| all | byte) == 0)
}

/// What is to be done, in the order of the image.
enum Step {
    /// The blocks of a file.
    Blocks(usize),
    /// A fragment block, from these of the tails.
    Fragment(Range<usize>),
}

/// What a thread works on.
enum Piece {
    Block { file: usize, number: u64 },
    Fragment(Range<usize>),
}

/// A block that is made; a length of 0 is a block of zeros.
struct Made {
    piece: Piece,
    size: u32,
    bytes: Vec<u8>,
}

/// Stores the contents of all files, the first block at `base` bytes.
pub(crate) fn store(files: &[File<'_>], options: &Options, base: u64) -> Result<Data, Error> {
    if let Some(file) = files.iter().find(|file| file.content.len() > LARGEST_FILE) {
        return Err(Error::LargeFile {
            path: file.path.clone(),
            len: file.content.len(),
        });
    }
    let block_size = u64::from(options.block_size);
    let first = same::first_of(files, options)?;
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
                    let numbers = content.map(|content| blocks(content, options.block_size));
                    let numbers = numbers.into_iter().flatten().take_while(move |number| *number < count);
                    Box::new(numbers.map(move |number| Piece::Block { file, number }))
                }
            }
        });

    let make = |(encoder, plain): &mut (Encoder, Vec<u8>), piece: Piece| {
        plain.clear();
        match &piece {
            Piece::Block { file, number } => {
                if let Some(file) = files.get(*file) {
                    read(file, number * block_size, block_size, plain)?;
                }
                if is_zero(plain) {
                    return Ok(Made {
                        piece,
                        size: 0,
                        bytes: Vec::new(),
                    });
                }
            }
            Piece::Fragment(range) => {
                for file in tails.get(range.clone()).unwrap_or_default() {
                    if let Some(file) = files.get(*file) {
                        let len = file.content.len() % block_size;
                        read(file, file.content.len() - len, len, plain)?;
                    }
                }
            }
        }
        // At most 1 MiB.
        let (bytes, mark) = match encoder.compress(plain)? {
            Some(bytes) => (bytes.to_vec(), 0),
            None => (plain.clone(), PLAIN),
        };
        Ok(Made {
            piece,
            size: bytes.len() as u32 | mark,
            bytes,
        })
    };

    let spill_error = |source: io::Error| Error::Spill {
        folder: options.folder.clone(),
        source,
    };
    let mut spill = Spill::new(&options.folder);
    let mut fragments = Vec::new();
    ordered::map(
        pieces,
        options.jobs,
        || (options.compressor.encoder(options.block_size), Vec::new()),
        make,
        |made: Made| {
            let start = base + spill.len();
            spill.push(&made.bytes).map_err(spill_error)?;
            match made.piece {
                Piece::Fragment(_) => fragments.push(Fragment { start, size: made.size }),
                Piece::Block { file, number } if made.size > 0 => {
                    if let Some(place) = stored.get_mut(file) {
                        if place.blocks.is_empty() {
                            place.start = start;
                        }
                        place.blocks.push((number, made.size));
                    }
                }
                Piece::Block { .. } => {}
            }
            Ok(())
        },
    )?;
    for (index, first) in first.into_iter().enumerate().filter(|(index, first)| index != first) {
        let place = stored.get(first).cloned().unwrap_or_default();
        if let Some(same) = stored.get_mut(index) {
            *same = place;
        }
    }
    Ok(Data {
        blocks: spill.finish().map_err(spill_error)?,
        stored,
        fragments,
    })
}

/// Gives out blocks and fragments.
struct Layout {
    block_size: u64,
    steps: Vec<Step>,
    /// The files with tails, in order.
    tails: Vec<usize>,
    /// The first tail of the fragment block that is open, and how many bytes are in it.
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
            // No more than there are files, and those have 32 bits.
            self.fragments += 1;
        }
    }

    fn finish(mut self) -> (Vec<Step>, Vec<usize>) {
        self.close();
        (self.steps, self.tails)
    }
}
