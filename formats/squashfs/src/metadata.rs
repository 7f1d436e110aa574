//! Metadata blocks: tables cut into 8 KiB, each piece compressed by itself (rst 3, "Metadata blocks").
//!
//! ```text
//! u16  length of what follows; bit 15: it is not compressed
//! ...
//! ```
//!
//! A place in a table is the offset of its block in the table, and an offset in the decompressed
//! block.

use crate::METADATA_BLOCK;
use crate::encoder::Encoder;
use crate::error::Error;

/// Mark of a block that is not compressed (`SQUASHFS_COMPRESSED_BIT`).
const PLAIN: u16 = 1 << 15;

/// Place in a table.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Place {
    /// Offset of the block in the table in bytes.
    pub(crate) block: u64,
    /// Offset in the decompressed block in bytes.
    pub(crate) offset: u16,
}

impl Place {
    /// Packs the place into one number, by which inodes and attributes are referred to.
    pub(crate) fn reference(self) -> u64 {
        self.block << 16 | u64::from(self.offset)
    }
}

/// Table under construction.
pub(crate) struct Metadata {
    encoder: Encoder,
    pending: Vec<u8>,
    bytes: Vec<u8>,
    starts: Vec<u64>,
}

impl Metadata {
    pub(crate) fn new(encoder: Encoder) -> Self {
        Metadata {
            encoder,
            pending: Vec::with_capacity(METADATA_BLOCK),
            bytes: Vec::new(),
            starts: Vec::new(),
        }
    }

    /// Returns the place of the next byte.
    pub(crate) fn place(&self) -> Place {
        Place {
            block: self.bytes.len() as u64,
            // Less than 8192: a full block is closed at once.
            offset: self.pending.len() as u16,
        }
    }

    pub(crate) fn push(&mut self, mut bytes: &[u8]) -> Result<(), Error> {
        while !bytes.is_empty() {
            let (head, tail) = bytes.split_at(bytes.len().min(METADATA_BLOCK - self.pending.len()));
            self.pending.extend_from_slice(head);
            bytes = tail;
            if self.pending.len() == METADATA_BLOCK {
                self.close()?;
            }
        }
        Ok(())
    }

    /// Appends zeros.
    pub(crate) fn push_zeros(&mut self, mut len: u64) -> Result<(), Error> {
        const ZEROS: [u8; METADATA_BLOCK] = [0; METADATA_BLOCK];
        while len > 0 {
            let (head, _) = ZEROS.split_at(len.min(METADATA_BLOCK as u64) as usize);
            self.push(head)?;
            len -= head.len() as u64;
        }
        Ok(())
    }

    /// Returns the blocks, and the offset of each in the table.
    pub(crate) fn finish(mut self) -> Result<(Vec<u8>, Vec<u64>), Error> {
        self.close()?;
        Ok((self.bytes, self.starts))
    }

    fn close(&mut self) -> Result<(), Error> {
        if self.pending.is_empty() {
            return Ok(());
        }
        self.starts.push(self.bytes.len() as u64);
        push_block(&mut self.bytes, &self.pending, self.encoder.compress(&self.pending)?);
        self.pending.clear();
        Ok(())
    }
}

/// Appends one block: compressed, or plain if there is no shorter form.
pub(crate) fn push_block(bytes: &mut Vec<u8>, plain: &[u8], compressed: Option<&[u8]>) {
    let (mark, content) = match compressed {
        Some(compressed) => (0, compressed),
        None => (PLAIN, plain),
    };
    // At most 8192.
    bytes.extend_from_slice(&(content.len() as u16 | mark).to_le_bytes());
    bytes.extend_from_slice(content);
}
