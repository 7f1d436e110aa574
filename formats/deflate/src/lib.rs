//! Deflate (RFC 1951) for writers of images: independent blocks with a limit to their length, parts of a stream
//! that end at a byte, and parts of existing gzip files (RFC 1952) that are copied bit for bit instead of
//! being compressed again. The compressor is zlib-rs, through flate2; the inflater is this crate's.
//!
#![doc = include_str!("../README.md")]

mod bits;
mod block;
mod compressor;
mod error;
mod huffman;
mod inflate;
mod reader;
mod record;
mod reuse;
mod sync;

pub use compressor::Deflate;
pub use error::Error;
pub use extents::Extents;
pub use reader::GzipReader;
pub use record::Recorded;
pub use reuse::{Encoder, Segment, Stats};
pub use sync::compress as compress_part;

/// Maximum distance of a match, in bytes (RFC 1951, section 2).
const WINDOW: usize = 32 << 10;
/// Maximum length of a match, in bytes.
const MAX_MATCH: u32 = 258;
/// Maximum length of a code of a literal, length or distance, in bits.
const MAX_CODE_LEN: u8 = 15;
/// Maximum number of bytes in a stored block.
const MAX_STORED: usize = 0xffff;
