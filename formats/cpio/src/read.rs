//! Reading of archives.

use std::io;

use extents::Extents;

use crate::{HEADER_LEN, MAGIC, MAX_NAME_LEN, TRAILER};

/// Failure to read an archive.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// Bytes at this offset could not be read.
    #[error("cannot read the cpio archive at offset {0}: {1}")]
    Io(u64, io::Error),
    /// Bytes at this offset are not a header, or a length in it exceeds the archive.
    #[error("no newc header at offset {0} of the cpio archive")]
    Header(u64),
}

/// Entry of an archive.
#[derive(Clone, Debug)]
pub struct Member {
    /// Name without its NUL.
    pub name: Vec<u8>,
    /// Inode number, which all names of a file share.
    pub inode: u32,
    /// Type and permissions, as in `st_mode`.
    pub mode: u32,
    /// User ID of the owner.
    pub uid: u32,
    /// Group ID of the owner.
    pub gid: u32,
    /// Link count.
    pub nlink: u32,
    /// Time of last modification, in seconds since 1970.
    pub mtime: u32,
    /// Major and minor number of a device; 0 for other types.
    pub device: (u32, u32),
    /// Content of a file or target of a symbolic link.
    pub content: Extents,
}

/// Reads all entries up to the trailer, and returns the offset after it in bytes.
///
/// # Errors
/// Bytes that cannot be read, and bytes that are not an archive.
pub fn members(archive: &Extents) -> Result<(Vec<Member>, u64), ReadError> {
    let mut members = Vec::new();
    let mut at = 0;
    loop {
        let bad = || ReadError::Header(at);
        let mut header = [0; HEADER_LEN as usize];
        if archive.len().saturating_sub(at) < HEADER_LEN {
            return Err(bad());
        }
        archive
            .read_exact_at(&mut header, at)
            .map_err(|error| ReadError::Io(at, error))?;
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
            nlink,
            mtime,
            size,
            _,
            _,
            major,
            minor,
            name_len,
            _,
        ] = numbers;
        if name_len == 0 || u64::from(name_len) > MAX_NAME_LEN {
            return Err(bad());
        }
        let mut name = vec![0; name_len as usize];
        let start = (at + HEADER_LEN + u64::from(name_len)).next_multiple_of(4);
        let end = start + u64::from(size);
        if end > archive.len() {
            return Err(bad());
        }
        archive
            .read_exact_at(&mut name, at + HEADER_LEN)
            .map_err(|error| ReadError::Io(at, error))?;
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
            nlink,
            mtime,
            device: (major, minor),
            content: archive.part(start, u64::from(size)),
        });
    }
}
