//! Filesystems, each read by a crate that had no part in writing it. The content of a file is
//! read on demand.

mod erofs;
mod erofs_index;
mod erofs_inode;
mod ext4;
mod fat;
mod iso;
mod listing;
mod squashfs;

use extents::Extents;

use super::Error;
use super::contents::Contents;

/// Lists the files of a filesystem, if `content` is one that moby knows.
///
/// # Errors
/// A corrupt filesystem.
pub fn open(head: &[u8], content: &Extents) -> Result<Option<Contents>, Error> {
    for open in [iso::open, squashfs::open, erofs::open, ext4::open, fat::open] {
        if let Some(contents) = open(head, content)? {
            return Ok(Some(contents));
        }
    }
    Ok(None)
}
