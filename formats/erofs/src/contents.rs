//! Contents of files: flat, in chunks or compressed.

use std::io;

use extents::Extents;
use ordered::Spill;

use crate::compressor::{Compressor, Encoder};
use crate::error::Error;
use crate::options::Options;
use crate::piece::{PIECE, Piece};
use crate::{BLOCK, index};

/// Limits of the number of chunks of a file.
const MAX_CHUNKS: u64 = 1 << 16;
const MIN_CHUNKS: u64 = 16;

/// File of the tree.
pub(crate) struct File<'a> {
    /// First path of the file, for messages.
    pub(crate) path: &'a [u8],
    pub(crate) content: &'a Extents,
    /// Length of the inode with its attributes in bytes.
    pub(crate) head: u64,
}

/// Position of a content. Blocks count from the start of the contents.
#[derive(Debug)]
pub(crate) enum Stored {
    /// Blocks from `start` on; with `inline` the tail follows the inode.
    Flat { start: u64, inline: bool },
    /// First blocks of chunks of `BLOCK << doublings` bytes; `None` for a chunk of zeros.
    Chunks { doublings: u16, starts: Vec<Option<u64>> },
    /// Pieces, and the number of their blocks.
    Pieces { pieces: Vec<Piece>, blocks: u64 },
}

/// Contents of all files.
pub(crate) struct Contents {
    pub(crate) blocks: Extents,
    /// Position of the content of each file.
    pub(crate) stored: Vec<Stored>,
}

/// Returns whether the tail of a content follows its inode: if both fit one block.
pub(crate) fn is_inline(head: u64, size: u64) -> bool {
    let tail = size % BLOCK;
    tail > 0 && head + tail <= BLOCK
}

/// Stores the contents of all files. `progress` gets the numbers of bytes of files that are done.
pub(crate) fn store(files: &[File<'_>], options: &Options, progress: &dyn Fn(u64)) -> Result<Contents, Error> {
    let all = files.iter().map(|file| file.content.len()).sum::<u64>();
    let compressed = match options.compressor {
        Compressor::None => Compressed::default(),
        Compressor::Lz4 => Compressed::compress(files, options, progress)?,
    };
    progress(all.saturating_sub(compressed.plain_len));
    let mut pieces = compressed.pieces.into_iter();
    let mut blocks = Blocks::default();
    let mut stored = Vec::with_capacity(files.len());
    for file in files {
        let encoded = pieces.next().unwrap_or_default();
        stored.push(match chunks(file.content) {
            Some(doublings) => blocks.add_chunks(file, doublings),
            None if is_worthwhile(file, &encoded) => blocks.add_pieces(file, &encoded, &compressed.bytes),
            None => blocks.add_flat(file),
        });
    }
    Ok(Contents {
        blocks: blocks.0,
        stored,
    })
}

/// Returns the binary logarithm of the blocks in a chunk if at least half of the chunks of a content
/// are zeros, so that storing it in chunks is worthwhile.
fn chunks(content: &Extents) -> Option<u16> {
    let doublings = content
        .len()
        .div_ceil(BLOCK * MAX_CHUNKS)
        .next_power_of_two()
        .trailing_zeros();
    let size = BLOCK << doublings;
    let count = content.len().div_ceil(size);
    let occupied: u64 = content.occupied(size).iter().map(|range| range.end - range.start).sum();
    // The limit is MAX_FILE_LEN, far below 16 bits.
    (count >= MIN_CHUNKS && occupied <= count / 2).then_some(doublings as u16)
}

/// Returns the length of piece `number` of a file in bytes.
fn piece_len(file: &File<'_>, number: u64) -> u64 {
    PIECE.min(file.content.len().saturating_sub(number * PIECE))
}

/// Offset among all compressed bytes and number of blocks; `None` for a piece that stays plain.
type EncodedPiece = Option<(u64, u16)>;

/// Returns whether pieces and their index take less space than the plain content.
fn is_worthwhile(file: &File<'_>, encoded: &[EncodedPiece]) -> bool {
    let size = file.content.len();
    let blocks = |(number, piece): (u64, &EncodedPiece)| match piece {
        Some((_, blocks)) => u64::from(*blocks),
        None => piece_len(file, number).div_ceil(BLOCK),
    };
    let flat = if is_inline(file.head, size) {
        size
    } else {
        size.next_multiple_of(BLOCK)
    };
    !encoded.is_empty() && (0..).zip(encoded).map(blocks).sum::<u64>() * BLOCK + index::len(size) < flat
}

/// Output of the compressor.
#[derive(Default)]
struct Compressed {
    /// Pieces of each file; none for a file that is not worth trying.
    pieces: Vec<Vec<EncodedPiece>>,
    bytes: Extents,
    /// Length of all pieces before they were compressed, in bytes.
    plain_len: u64,
}

impl Compressed {
    fn compress(files: &[File<'_>], options: &Options, progress: &dyn Fn(u64)) -> Result<Self, Error> {
        let worth_trying = |file: &File<'_>| file.content.len() > BLOCK && chunks(file.content).is_none();
        let numbers = files
            .iter()
            .enumerate()
            .filter(|(_, file)| worth_trying(file))
            .flat_map(|(index, file)| (0..file.content.len().div_ceil(PIECE)).map(move |number| (index, file, number)));
        let spill_error = |source: io::Error| Error::Spill {
            temp_dir: options.temp_dir.clone(),
            source,
        };
        let mut spill = Spill::new(&options.temp_dir);
        let mut pieces = vec![Vec::new(); files.len()];
        let mut plain_len = 0;
        ordered::map(
            numbers,
            options.jobs,
            || (Encoder::new(), Vec::new()),
            |(encoder, plain), (index, file, number)| {
                let bytes = compress(encoder, plain, file, number)?;
                Ok((index, piece_len(file, number), bytes))
            },
            |(index, len, bytes): (usize, u64, Vec<u8>)| {
                plain_len += len;
                progress(len);
                // At most 31 blocks.
                let blocks = (bytes.len() as u64 / BLOCK) as u16;
                let piece = (blocks > 0).then_some((spill.len(), blocks));
                spill.push(&bytes).map_err(spill_error)?;
                if let Some(pieces) = pieces.get_mut(index) {
                    pieces.push(piece);
                }
                Ok(())
            },
        )?;
        let bytes = spill.finish().map_err(spill_error)?;
        Ok(Compressed {
            pieces,
            bytes,
            plain_len,
        })
    }
}

/// Compresses a piece to complete blocks, padded at the front; empty if that saves no block.
fn compress(encoder: &mut Encoder, plain: &mut Vec<u8>, file: &File<'_>, number: u64) -> Result<Vec<u8>, Error> {
    let len = piece_len(file, number);
    let limit = len.div_ceil(BLOCK).saturating_sub(1) * BLOCK;
    if limit == 0 {
        return Ok(Vec::new());
    }
    plain.resize(len as usize, 0);
    let read = file.content.read_exact_at(plain, number * PIECE);
    read.map_err(|source| Error::Read {
        path: file.path.to_vec(),
        source,
    })?;
    let Some(bytes) = encoder.compress(plain, limit as usize) else {
        return Ok(Vec::new());
    };
    let mut padded = vec![0; bytes.len().next_multiple_of(BLOCK as usize) - bytes.len()];
    padded.extend_from_slice(bytes);
    Ok(padded)
}

/// Blocks of contents, allocated one after another.
#[derive(Default)]
struct Blocks(Extents);

impl Blocks {
    /// Appends a content, and returns its first block.
    fn push(&mut self, content: &Extents) -> u64 {
        let start = self.0.len() / BLOCK;
        self.0.push(content);
        self.0.align_to(BLOCK);
        start
    }

    fn add_flat(&mut self, file: &File<'_>) -> Stored {
        let len = file.content.len();
        let inline = is_inline(file.head, len);
        let blocks_len = if inline { len - len % BLOCK } else { len };
        Stored::Flat {
            start: self.push(&file.content.part(0, blocks_len)),
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

    fn add_pieces(&mut self, file: &File<'_>, encoded: &[EncodedPiece], compressed: &Extents) -> Stored {
        let first = self.0.len();
        let mut pieces = Vec::with_capacity(encoded.len());
        for (number, piece) in (0..).zip(encoded) {
            let (content, blocks) = match piece {
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
