//! Directory table: the names of each directory (rst 3.4, "Directory table").
//!
//! ```text
//! header  u32 entries - 1   u32 metadata block of the inodes   u32 number of an inode
//!   entry   u16 offset in that block   i16 difference to that number   u16 type   u16 length - 1   name
//!   entry   ...                                                                  at most 256
//! header  ...
//! ```
//!
//! Names are in bytewise order. A directory of several metadata blocks has an index in its inode: a
//! header begins in each of the blocks, and the index has the first name after it, so that Linux
//! need not read from the start.

use std::collections::VecDeque;

use crate::METADATA_BLOCK;
use crate::error::Error;
use crate::metadata::{Metadata, Place};

/// Maximum number of entries after a header (`SQUASHFS_DIR_COUNT`).
const MAX_ENTRIES: usize = 256;
/// Length of a header in bytes.
const HEADER: usize = 12;
/// Length of an entry without its name, in bytes.
const ENTRY: usize = 8;
/// Maximum number of entries of an index: their number has 16 bits.
const MAX_INDICES: usize = 0xffff;
/// Number added to the length of a listing, by which Linux counts "." and "..".
pub(crate) const DOTS: u32 = 3;

/// Name with its inode.
#[derive(Clone, Copy)]
pub(crate) struct Name<'a> {
    pub(crate) name: &'a [u8],
    pub(crate) place: Place,
    pub(crate) number: u32,
    pub(crate) kind: u16,
}

/// Point in a listing from which it can be read (`struct squashfs_dir_index`).
#[derive(Clone, Debug)]
pub(crate) struct Index {
    /// Offset of the header in the listing in bytes.
    pub(crate) offset: u32,
    /// Offset of its metadata block in the table in bytes.
    pub(crate) block: u32,
    /// First name after it.
    pub(crate) name: Vec<u8>,
}

/// Position of the names of a directory.
#[derive(Clone, Debug, Default)]
pub(crate) struct Listing {
    /// Offset of the first metadata block in the table in bytes.
    pub(crate) block: u32,
    /// Offset in that block in bytes.
    pub(crate) offset: u16,
    /// Length in bytes, including [`DOTS`].
    pub(crate) len: u32,
    pub(crate) indices: Vec<Index>,
}

/// Appends the names of the directory at `path` to the table.
pub(crate) fn push<'a>(
    table: &mut Metadata,
    path: &[u8],
    names: impl Iterator<Item = Name<'a>>,
) -> Result<Listing, Error> {
    let large = || Error::LargeDirectory { path: path.to_vec() };
    let block = |place: Place| u32::try_from(place.block).map_err(|_| Error::LargeTable { table: "directory" });
    let mut names = names.peekable();
    let mut listing = Listing {
        len: DOTS,
        ..Listing::default()
    };
    if names.peek().is_none() {
        return Ok(listing);
    }
    listing.block = block(table.place())?;
    listing.offset = table.place().offset;
    let mut last_block = listing.block;
    let mut run: VecDeque<Name> = VecDeque::new();
    while let Some(first) = names.next() {
        let place = table.place();
        let this_block = block(place)?;
        if this_block != last_block && listing.indices.len() < MAX_INDICES {
            listing.indices.push(Index {
                offset: listing.len - DOTS,
                block: this_block,
                name: first.name.to_vec(),
            });
            last_block = this_block;
        }
        let mut end = HEADER + ENTRY + first.name.len();
        run.push_back(first);
        while let Some(next) = names.next_if(|next| {
            let near = i64::from(next.number) - i64::from(first.number);
            run.len() < MAX_ENTRIES
                && next.place.block == first.place.block
                && i16::try_from(near).is_ok()
                && usize::from(place.offset) + end < METADATA_BLOCK
        }) {
            end += ENTRY + next.name.len();
            run.push_back(next);
        }
        let inodes = u32::try_from(first.place.block).map_err(|_| Error::LargeTable { table: "inode" })?;
        table.push(&(run.len() as u32 - 1).to_le_bytes())?;
        table.push(&inodes.to_le_bytes())?;
        table.push(&first.number.to_le_bytes())?;
        for name in run.drain(..) {
            table.push(&name.place.offset.to_le_bytes())?;
            // Checked above to have 16 bits.
            table.push(&(name.number.wrapping_sub(first.number) as u16).to_le_bytes())?;
            table.push(&name.kind.to_le_bytes())?;
            // From 1 to 256 bytes.
            table.push(&(name.name.len().saturating_sub(1) as u16).to_le_bytes())?;
            table.push(name.name)?;
        }
        let end = u32::try_from(end).map_err(|_| large())?;
        listing.len = listing.len.checked_add(end).ok_or_else(large)?;
    }
    Ok(listing)
}
