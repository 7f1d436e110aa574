//! The contents of files: flat, in chunks or compressed.

use std::io;

use extents::Extents;
use ordered::Spill;

use crate::compressor::{Compressor, Encoder};
use crate::{BLOCK, Error, Options, index};

/// How much is compressed at once, in bytes.
pub(crate) const PIECE: u64 = 128 << 10;
/// The most chunks of a file, and the fewest.
const MOST_CHUNKS: u64 = 1 << 16;
const FEWEST_CHUNKS: u64 = 16;

/// A file of the tree, by its first path.
pub(crate) struct File<'a> {
    pub(crate) path: &'a [u8],
    pub(crate) content: &'a Extents,
    /// The length of its inode with the attributes, in bytes.
    pub(crate) head: u64,
}

/// Up to 128 KiB of a file.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Piece {
    /// Its first block, from the start of the contents.
    pub(crate) start: u64,
    /// How many blocks it was compressed to; 0 when it was not.
    pub(crate) blocks: u16,
}

/// Where a content went. Blocks count from the start of the contents.
#[derive(Debug)]
pub(crate) enum Stored {
    /// Whole blocks from the first on, and the tail behind the inode or in one more block.
    Flat { start: u64, inline: bool },
    /// Chunks of a block and of that doubled so many times; nothing where there are only zeros.
    Chunks { doublings: u16, starts: Vec<Option<u64>> },
    /// Pieces, and how many blocks they have in all.
    Pieces { pieces: Vec<Piece>, blocks: u64 },
}

/// All contents.
pub(crate) struct Contents {
    pub(crate) blocks: Extents,
    /// By file.
    pub(crate) stored: Vec<Stored>,
}

/// Whether what is left of a content stands behind its inode: when both fit one block.
pub(crate) fn is_inline(head: u64, size: u64) -> bool {
    let tail = size % BLOCK;
    tail > 0 && head + tail <= BLOCK
}

/// Stores the contents of all files.
pub(crate) fn store(files: &[File<'_>], options: &Options) -> Result<Contents, Error> {
    let compressed = match options.compressor {
        Compressor::None => Compressed::default(),
        Compressor::Lz4 => Compressed::make(files, options)?,
    };
    let mut pieces = compressed.pieces.into_iter();
    let mut blocks = Blocks::default();
    let mut stored = Vec::with_capacity(files.len());
    for file in files {
        let made = pieces.next().unwrap_or_default();
        stored.push(match chunks(file.content) {
            Some(doublings) => blocks.add_chunks(file, doublings),
            None if is_worthwhile(file, &made) => blocks.add_pieces(file, &made, &compressed.bytes),
            None => blocks.add_flat(file),
        });
    }
    Ok(Contents {
        blocks: blocks.0,
        stored,
    })
}

/// How often a block is doubled to be a chunk of a content that is better stored in chunks: when at
/// least half of them are zeros.
fn chunks(content: &Extents) -> Option<u16> {
    let doublings = content
        .len()
        .div_ceil(BLOCK * MOST_CHUNKS)
        .next_power_of_two()
        .trailing_zeros();
    let size = BLOCK << doublings;
    let count = content.len().div_ceil(size);
    let occupied: u64 = content.occupied(size).iter().map(|range| range.end - range.start).sum();
    // LARGEST_FILE is far from 16 bits.
    (count >= FEWEST_CHUNKS && occupied <= count / 2).then_some(doublings as u16)
}

/// How many bytes of the file piece `number` has.
fn piece_len(file: &File<'_>, number: u64) -> u64 {
    PIECE.min(file.content.len().saturating_sub(number * PIECE))
}

/// Where compressed bytes are, from the start of all of them, and how many blocks.
type Made = Option<(u64, u16)>;

/// Whether pieces take less room than the content does as it is.
fn is_worthwhile(file: &File<'_>, made: &[Made]) -> bool {
    let size = file.content.len();
    let blocks = |(number, made): (u64, &Made)| match made {
        Some((_, blocks)) => u64::from(*blocks),
        None => piece_len(file, number).div_ceil(BLOCK),
    };
    let flat = if is_inline(file.head, size) {
        size
    } else {
        size.next_multiple_of(BLOCK)
    };
    !made.is_empty() && (0..).zip(made).map(blocks).sum::<u64>() * BLOCK + index::len(size) < flat
}

/// What the compressor made.
#[derive(Default)]
struct Compressed {
    /// By file; none where a piece stays as it is, and no pieces where nothing was tried.
    pieces: Vec<Vec<Made>>,
    bytes: Extents,
}

impl Compressed {
    fn make(files: &[File<'_>], options: &Options) -> Result<Self, Error> {
        let worth_trying = |file: &File<'_>| file.content.len() > BLOCK && chunks(file.content).is_none();
        let numbers = files
            .iter()
            .enumerate()
            .filter(|(_, file)| worth_trying(file))
            .flat_map(|(index, file)| (0..file.content.len().div_ceil(PIECE)).map(move |number| (index, file, number)));
        let spill_error = |source: io::Error| Error::Spill {
            folder: options.folder.clone(),
            source,
        };
        let mut spill = Spill::new(&options.folder);
        let mut pieces = vec![Vec::new(); files.len()];
        ordered::map(
            numbers,
            options.jobs,
            || (Encoder::new(), Vec::new()),
            |(encoder, plain), (index, file, number)| Ok((index, compress(encoder, plain, file, number)?)),
            |(index, bytes): (usize, Vec<u8>)| {
                // At most 31 blocks.
                let blocks = (bytes.len() as u64 / BLOCK) as u16;
                let made = (blocks > 0).then_some((spill.len(), blocks));
                spill.push(&bytes).map_err(spill_error)?;
                if let Some(pieces) = pieces.get_mut(index) {
                    pieces.push(made);
                }
                Ok(())
            },
        )?;
        let bytes = spill.finish().map_err(spill_error)?;
        Ok(Compressed { pieces, bytes })
    }
}

/// A piece as whole blocks, with zeros in front; nothing when that saves no block.
fn compress(encoder: &mut Encoder, plain: &mut Vec<u8>, file: &File<'_>, number: u64) -> Result<Vec<u8>, Error> {
    let len = piece_len(file, number);
    let most = len.div_ceil(BLOCK).saturating_sub(1) * BLOCK;
    if most == 0 {
        return Ok(Vec::new());
    }
    plain.resize(len as usize, 0);
    let read = file.content.read_exact_at(plain, number * PIECE);
    read.map_err(|source| Error::Read {
        path: file.path.to_vec(),
        source,
    })?;
    let Some(bytes) = encoder.compress(plain, most as usize) else {
        return Ok(Vec::new());
    };
    let mut padded = vec![0; bytes.len().next_multiple_of(BLOCK as usize) - bytes.len()];
    padded.extend_from_slice(bytes);
    Ok(padded)
}

/// Blocks, given out one after another.
#[derive(Default)]
struct Blocks(Extents);

impl Blocks {
    /// Appends a content, and says in which block it begins.
    fn push(&mut self, content: &Extents) -> u64 {
        let start = self.0.len() / BLOCK;
        self.0.push(content);
        self.0.align_to(BLOCK);
        start
    }

    fn add_flat(&mut self, file: &File<'_>) -> Stored {
        let len = file.content.len();
        let inline = is_inline(file.head, len);
        let whole = if inline { len - len % BLOCK } else { len };
        Stored::Flat {
            start: self.push(&file.content.part(0, whole)),
            inline,
        }
    }

    fn add_chunks(&mut self, file: &File<'_>, doublings: u16) -> Stored {
        let size = BLOCK << doublings;
        let mut starts = vec![None; file.content.len().div_ceil(size) as usize];
        for number in file.content.occupied(size).into_iter().flatten() {
            let start = self.push(&file.content.part(number * size, size));
            if let Some(slot) = starts.get_mut(number as usize) {
                *slot = Some(start);
            }
        }
        Stored::Chunks { doublings, starts }
    }

    fn add_pieces(&mut self, file: &File<'_>, made: &[Made], compressed: &Extents) -> Stored {
        let first = self.0.len();
        let mut pieces = Vec::with_capacity(made.len());
        for (number, made) in (0..).zip(made) {
            let (content, blocks) = match made {
                Some((start, blocks)) => (compressed.part(*start, u64::from(*blocks) * BLOCK), *blocks),
                None => (file.content.part(number * PIECE, PIECE), 0),
            };
            let start = self.push(&content);
            pieces.push(Piece { start, blocks });
        }
        let blocks = (self.0.len() - first) / BLOCK;
        Stored::Pieces { pieces, blocks }
    }
}
