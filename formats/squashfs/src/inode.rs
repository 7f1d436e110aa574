//! Inode table (rst 3.3, "Inodes").
//!
//! ```text
//! u16 type   u16 mode   u16 user   u16 group   u32 time   u32 number
//! fields of the type
//! ```
//!
//! Each type has a short form, and a long form with more bits, links and extended attributes. The
//! short form is used if it suffices.

use tree::Device;

use crate::data::Stored;
use crate::directory::Listing;
use crate::error::Error;
use crate::metadata::{Metadata, Place};
use crate::xattr;

/// Types in directory entries (`SQUASHFS_*_TYPE`).
pub(crate) mod kind {
    pub(crate) const DIRECTORY: u16 = 1;
    pub(crate) const FILE: u16 = 2;
    pub(crate) const SYMLINK: u16 = 3;
    pub(crate) const BLOCK_DEVICE: u16 = 4;
    pub(crate) const CHAR_DEVICE: u16 = 5;
    pub(crate) const FIFO: u16 = 6;
    pub(crate) const SOCKET: u16 = 7;
}

/// Difference between the types of the long and the short form (`SQUASHFS_L*_TYPE`).
const LONG: u16 = 7;
/// Fragment number of a file without tail (`SQUASHFS_INVALID_FRAG`).
const NO_FRAGMENT: u32 = u32::MAX;

/// Fields of all types.
pub(crate) struct Inode {
    pub(crate) kind: u16,
    pub(crate) mode: u16,
    pub(crate) uid: u16,
    pub(crate) gid: u16,
    pub(crate) mtime: u32,
    pub(crate) number: u32,
    pub(crate) nlink: u32,
    /// Number of the set of extended attributes, or [`xattr::NONE`].
    pub(crate) xattr: u32,
}

/// Fields of one type.
pub(crate) enum Content<'a> {
    Directory { listing: &'a Listing, parent: u32 },
    File { stored: &'a Stored, block_size: u32 },
    Symlink(&'a [u8]),
    Device(Device),
    Fifo,
}

/// Appends an inode to the table.
pub(crate) fn push(table: &mut Metadata, inode: &Inode, content: &Content) -> Result<Place, Error> {
    let place = table.place();
    match content {
        Content::Directory { listing, parent } => directory(table, inode, listing, *parent)?,
        Content::File { stored, block_size } => file(table, inode, stored, *block_size)?,
        Content::Symlink(target) => {
            let long = inode.xattr != xattr::NONE;
            header(table, inode, long)?;
            table.push(&inode.nlink.to_le_bytes())?;
            // At most 4095 bytes in a tree.
            table.push(&(target.len() as u32).to_le_bytes())?;
            table.push(target)?;
            if long {
                table.push(&inode.xattr.to_le_bytes())?;
            }
        }
        Content::Device(_) | Content::Fifo => {
            let long = inode.xattr != xattr::NONE;
            header(table, inode, long)?;
            table.push(&inode.nlink.to_le_bytes())?;
            if let Content::Device(number) = content {
                table.push(&number.encoded().to_le_bytes())?;
            }
            if long {
                table.push(&inode.xattr.to_le_bytes())?;
            }
        }
    }
    Ok(place)
}

fn header(table: &mut Metadata, inode: &Inode, long: bool) -> Result<(), Error> {
    let kind = inode.kind + if long { LONG } else { 0 };
    table.push(&kind.to_le_bytes())?;
    table.push(&inode.mode.to_le_bytes())?;
    table.push(&inode.uid.to_le_bytes())?;
    table.push(&inode.gid.to_le_bytes())?;
    table.push(&inode.mtime.to_le_bytes())?;
    table.push(&inode.number.to_le_bytes())
}

fn directory(table: &mut Metadata, inode: &Inode, listing: &Listing, parent: u32) -> Result<(), Error> {
    let short = u16::try_from(listing.len)
        .ok()
        .filter(|_| inode.xattr == xattr::NONE && listing.indices.is_empty());
    header(table, inode, short.is_none())?;
    match short {
        Some(len) => {
            table.push(&listing.block.to_le_bytes())?;
            table.push(&inode.nlink.to_le_bytes())?;
            table.push(&len.to_le_bytes())?;
            table.push(&listing.offset.to_le_bytes())?;
            table.push(&parent.to_le_bytes())?;
        }
        None => {
            table.push(&inode.nlink.to_le_bytes())?;
            table.push(&listing.len.to_le_bytes())?;
            table.push(&listing.block.to_le_bytes())?;
            table.push(&parent.to_le_bytes())?;
            // At most 65,535.
            table.push(&(listing.indices.len() as u16).to_le_bytes())?;
            table.push(&listing.offset.to_le_bytes())?;
            table.push(&inode.xattr.to_le_bytes())?;
            for index in &listing.indices {
                table.push(&index.offset.to_le_bytes())?;
                table.push(&index.block.to_le_bytes())?;
                // From 1 to 256 bytes.
                table.push(&(index.name.len().saturating_sub(1) as u32).to_le_bytes())?;
                table.push(&index.name)?;
            }
        }
    }
    Ok(())
}

fn file(table: &mut Metadata, inode: &Inode, stored: &Stored, block_size: u32) -> Result<(), Error> {
    let sparse = stored.sparse(block_size);
    let (fragment, offset) = stored.fragment.unwrap_or((NO_FRAGMENT, 0));
    let short = u32::try_from(stored.start)
        .ok()
        .zip(u32::try_from(stored.len).ok())
        .filter(|_| inode.xattr == xattr::NONE && inode.nlink == 1 && sparse == 0);
    header(table, inode, short.is_none())?;
    match short {
        Some((start, len)) => {
            table.push(&start.to_le_bytes())?;
            table.push(&fragment.to_le_bytes())?;
            table.push(&offset.to_le_bytes())?;
            table.push(&len.to_le_bytes())?;
        }
        None => {
            table.push(&stored.start.to_le_bytes())?;
            table.push(&stored.len.to_le_bytes())?;
            table.push(&sparse.to_le_bytes())?;
            table.push(&inode.nlink.to_le_bytes())?;
            table.push(&fragment.to_le_bytes())?;
            table.push(&offset.to_le_bytes())?;
            table.push(&inode.xattr.to_le_bytes())?;
        }
    }
    let mut next = 0;
    for (number, size) in &stored.blocks {
        table.push_zeros(number.saturating_sub(next) * 4)?;
        table.push(&size.to_le_bytes())?;
        next = number + 1;
    }
    table.push_zeros(stored.count.saturating_sub(next) * 4)
}
