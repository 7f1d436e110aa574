//! Compression and decompression of streams.

pub mod compress;
pub(crate) mod decompress;
pub(crate) mod gzip_origin;
