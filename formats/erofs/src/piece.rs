//! Pieces into which a content is cut for compression.

/// Length of a piece in bytes; the last piece of a file may be shorter.
pub(crate) const PIECE: u64 = 128 << 10;

/// Stored piece of a file.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Piece {
    /// First block, from the start of the contents.
    pub(crate) start: u64,
    /// Number of compressed blocks; 0 for a piece that is not compressed.
    pub(crate) blocks: u16,
}
