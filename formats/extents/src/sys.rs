//! The calls that differ between operating systems: reading and writing at a place, files without
//! a name, renaming over a file, copying within the kernel, and hints.

use std::fs::File;
use std::io;
use std::path::Path;

/// Fills `buf` from `offset` on. On Windows this moves the file's position, which nothing here
/// relies on.
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

/// Writes all of `buf` at `offset`, as [`read_exact_at`] reads.
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

/// A file to write and read in a folder that has no name, so that nothing of it is left after a kill. `None`
/// where there is no such thing, or where [`link()`] could give it none.
#[cfg(target_os = "linux")]
pub(crate) fn unnamed(folder: &Path) -> Option<File> {
    use rustix::fs::{CWD, Mode, OFlags};
    let flags = OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC;
    let file = rustix::fs::openat(CWD, folder, flags, Mode::from_raw_mode(0o666)).ok()?;
    let file = File::from(file);
    in_proc(&file).symlink_metadata().is_ok().then_some(file)
}

#[cfg(not(target_os = "linux"))]
pub(crate) fn unnamed(_: &Path) -> Option<File> {
    None
}

/// The link to an open file (open(2), O_TMPFILE).
#[cfg(target_os = "linux")]
fn in_proc(file: &File) -> std::path::PathBuf {
    use std::os::fd::AsRawFd;
    format!("/proc/self/fd/{}", file.as_raw_fd()).into()
}

/// Gives a file of [`unnamed`] a name, which no other file may have yet.
#[cfg(target_os = "linux")]
pub(crate) fn link(file: &File, path: &Path) -> io::Result<()> {
    use rustix::fs::{AtFlags, CWD};
    Ok(rustix::fs::linkat(
        CWD,
        in_proc(file),
        CWD,
        path,
        AtFlags::SYMLINK_FOLLOW,
    )?)
}

#[cfg(not(target_os = "linux"))]
pub(crate) fn link(_: &File, _: &Path) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

/// Renames a file, in place of one that has the name already.
#[cfg(not(windows))]
pub(crate) fn rename(from: &Path, to: &Path) -> io::Result<()> {
    std::fs::rename(from, to)
}

/// Renames a file, in place of one that has the name already. Scanners and indexers open files
/// that are new, and Windows refuses to rename a file as long as they do.
#[cfg(windows)]
pub(crate) fn rename(from: &Path, to: &Path) -> io::Result<()> {
    use std::time::Duration;
    /// ERROR_SHARING_VIOLATION: another program has the file open.
    const IN_USE: i32 = 32;
    let mut pause = Duration::from_millis(1);
    loop {
        let result = std::fs::rename(from, to);
        let Err(error) = &result else { return result };
        let in_use = error.raw_os_error() == Some(IN_USE) || error.kind() == io::ErrorKind::PermissionDenied;
        // No longer than about two seconds in all.
        if !in_use || to.is_dir() || pause > Duration::from_secs(1) {
            return result;
        }
        std::thread::sleep(pause);
        pause *= 2;
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

/// Has the system begin to bring what was written to the disk, where it takes such a hint.
#[cfg(target_os = "linux")]
pub(crate) fn write_back(file: &File, offset: u64, len: u64) {
    // Nothing is lost by a hint that is not taken. The call waits for nothing: mm/fadvise.c starts the
    // writing of dirty pages, and forgets only those that are on the disk already.
    let _ = rustix::fs::fadvise(
        file,
        offset,
        std::num::NonZeroU64::new(len),
        rustix::fs::Advice::DontNeed,
    );
}

#[cfg(not(target_os = "linux"))]
pub(crate) fn write_back(_: &File, _: u64, _: u64) {}
