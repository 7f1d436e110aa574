//! The calls that differ between operating systems: reading and writing at a place, and
//! copying within the kernel.

use std::fs::File;
use std::io;

/// Fills `buf` from `offset` on, leaving the file's position alone.
pub(crate) fn read_exact_at(file: &File, buf: &mut [u8], offset: u64) -> io::Result<()> {
    #[cfg(unix)]
    return std::os::unix::fs::FileExt::read_exact_at(file, buf, offset);
    #[cfg(windows)]
    {
        use std::os::windows::fs::FileExt;
        let (mut buf, mut offset) = (buf, offset);
        while !buf.is_empty() {
            match file.seek_read(buf, offset) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(n) => {
                    buf = buf.split_at_mut(n).1;
                    offset += n as u64;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

/// Writes all of `buf` at `offset`, leaving the file's position alone.
pub(crate) fn write_all_at(file: &File, buf: &[u8], offset: u64) -> io::Result<()> {
    #[cfg(unix)]
    return std::os::unix::fs::FileExt::write_all_at(file, buf, offset);
    #[cfg(windows)]
    {
        use std::os::windows::fs::FileExt;
        let (mut buf, mut offset) = (buf, offset);
        while !buf.is_empty() {
            let n = file.seek_write(buf, offset)?;
            if n == 0 {
                return Err(io::ErrorKind::WriteZero.into());
            }
            buf = buf.split_at(n).1;
            offset += n as u64;
        }
        Ok(())
    }
}

/// Copies up to `len` bytes between files within the kernel. `None` when this system or
/// these file systems cannot; the caller then copies by hand.
#[cfg(target_os = "linux")]
pub(crate) fn copy_range(from: &File, from_offset: u64, to: &File, to_offset: u64, len: u64) -> Option<u64> {
    let (mut from_offset, mut to_offset) = (from_offset, to_offset);
    let len = usize::try_from(len).unwrap_or(usize::MAX);
    match rustix::fs::copy_file_range(from, Some(&mut from_offset), to, Some(&mut to_offset), len) {
        Ok(0) | Err(_) => None,
        Ok(copied) => Some(copied as u64),
    }
}

#[cfg(not(target_os = "linux"))]
pub(crate) fn copy_range(_: &File, _: u64, _: &File, _: u64, _: u64) -> Option<u64> {
    None
}
