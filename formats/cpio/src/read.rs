//! Reading an archive back, for looking into an initrd.

use std::io;

use extents::Extents;

use crate::{HEADER, LONGEST_NAME, MAGIC, TRAILER};

/// Why an archive cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum Damaged {
    /// The bytes could not be read.
    #[error("reading the cpio archive at offset {0}: {1}")]
    Io(u64, io::Error),
    /// What stands there is not a header, or its sizes lead out of the archive.
    #[error("no newc header at offset {0} of the cpio archive")]
    Header(u64),
}

/// An entry of an archive.
#[derive(Clone, Debug)]
pub struct Member {
    /// Its name.
    pub name: Vec<u8>,
    /// Its inode number: the same for all names of a file.
    pub inode: u32,
    /// Type and permissions, as in `st_mode`.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Number of names.
    pub links: u32,
    /// Seconds since 1970.
    pub mtime: u32,
    /// Major and minor number of a device.
    pub device: (u32, u32),
    /// Content, or a symbolic link's target.
    pub content: Extents,
}

/// All entries up to the trailer, and the offset in bytes after it.
///
/// # Errors
/// Bytes that cannot be read or are no archive.
pub fn members(archive: &Extents) -> Result<(Vec<Member>, u64), Damaged> {
    let mut members = Vec::new();
    let mut at = 0;
    loop {
        let bad = || Damaged::Header(at);
        let mut header = [0; HEADER as usize];
        if archive.len().saturating_sub(at) < HEADER {
            return Err(bad());
        }
        archive
            .read_exact_at(&mut header, at)
            .map_err(|error| Damaged::Io(at, error))?;
        let digits = header.strip_prefix(MAGIC).ok_or_else(bad)?;
        let mut numbers = [0u32; 13];
        for (number, text) in numbers.iter_mut().zip(digits.chunks(8)) {
            let text = std::str::from_utf8(text).map_err(|_| bad())?;
            *number = u32::from_str_radix(text, 16).map_err(|_| bad())?;
        }
        let [
            inode,
            mode,
            uid,
            gid,
            links,
            mtime,
            size,
            _,
            _,
            major,
            minor,
            name_len,
            _,
        ] = numbers;
        if name_len == 0 || u64::from(name_len) > LONGEST_NAME {
            return Err(bad());
        }
        let mut name = vec![0; name_len as usize];
        let start = (at + HEADER + u64::from(name_len)).next_multiple_of(4);
        let end = start + u64::from(size);
        if end > archive.len() {
            return Err(bad());
        }
        archive
            .read_exact_at(&mut name, at + HEADER)
            .map_err(|error| Damaged::Io(at, error))?;
        name.pop();
        at = end.next_multiple_of(4);
        if name == TRAILER {
            return Ok((members, at));
        }
        members.push(Member {
            name,
            inode,
            mode,
            uid,
            gid,
            links,
            mtime,
            device: (major, minor),
            content: archive.part(start, u64::from(size)),
        });
    }
}
