//! Calls that differ between operating systems: reading and writing at an offset, files without a
//! name, replacing a file, copying in the kernel, and hints.

use std::fs::File;
use std::io;
use std::path::Path;

/// Fills `buf` from `offset` on. On Windows this moves the file's position, on which nothing here
/// relies.
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

/// Opens a device or a pipe for writing.
///
/// # Errors
/// A path that cannot be opened, and a FIFO that no process reads from, which would be waited for.
#[cfg(target_os = "linux")]
pub(crate) fn open_stream(path: &Path) -> io::Result<File> {
    use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
    use std::os::unix::fs::OpenOptionsExt;
    let opened = File::options()
        .write(true)
        .custom_flags(OFlags::NONBLOCK.bits().cast_signed())
        .open(path);
    let file = opened.map_err(|error| {
        if error.raw_os_error() == Some(rustix::io::Errno::NXIO.raw_os_error()) {
            io::Error::other("no process reads from this pipe")
        } else {
            error
        }
    })?;
    fcntl_setfl(&file, fcntl_getfl(&file)? - OFlags::NONBLOCK)?;
    Ok(file)
}

#[cfg(not(target_os = "linux"))]
pub(crate) fn open_stream(path: &Path) -> io::Result<File> {
    File::options().write(true).open(path)
}

/// Creates a file without a name in `dir`, of which nothing is left when the process is killed.
/// `None` if the filesystem has no such files, or [`link()`] could not give it a name.
#[cfg(target_os = "linux")]
pub(crate) fn unnamed(dir: &Path) -> Option<File> {
    use rustix::fs::{CWD, Mode, OFlags};
    let flags = OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC;
    let file = rustix::fs::openat(CWD, dir, flags, Mode::from_raw_mode(0o666)).ok()?;
    let file = File::from(file);
    in_proc(&file).symlink_metadata().is_ok().then_some(file)
}

#[cfg(not(target_os = "linux"))]
pub(crate) fn unnamed(_: &Path) -> Option<File> {
    None
}

/// Returns the path of the link to an open file (open(2), `O_TMPFILE`).
#[cfg(target_os = "linux")]
fn in_proc(file: &File) -> std::path::PathBuf {
    use std::os::fd::AsRawFd;
    format!("/proc/self/fd/{}", file.as_raw_fd()).into()
}

/// Gives a file of [`unnamed`] a name that no other file has.
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

/// Renames a file and replaces the one that has the new name.
#[cfg(not(windows))]
pub(crate) fn rename(from: &Path, to: &Path) -> io::Result<()> {
    std::fs::rename(from, to)
}

/// Renames a file and replaces the one that has the new name. Scanners and indexers open new
/// files, and Windows refuses to rename a file that is open, so this tries again for two seconds.
#[cfg(windows)]
pub(crate) fn rename(from: &Path, to: &Path) -> io::Result<()> {
    use std::time::Duration;
    /// `ERROR_SHARING_VIOLATION`: another program has the file open.
    const IN_USE: i32 = 32;
    let mut pause = Duration::from_millis(1);
    loop {
        let result = std::fs::rename(from, to);
        let Err(error) = &result else { return result };
        let in_use = error.raw_os_error() == Some(IN_USE) || error.kind() == io::ErrorKind::PermissionDenied;
        if !in_use || to.is_dir() || pause > Duration::from_secs(1) {
            return result;
        }
        std::thread::sleep(pause);
        pause *= 2;
    }
}

/// Copies up to `len` bytes between files in the kernel, and returns their number. `None` if the
/// operating system or the filesystems cannot.
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

/// Returns the first range of a file at or after `offset` that is not a hole. `None` if there is none. Where holes
/// are not known, everything is data.
#[cfg(target_os = "linux")]
pub(crate) fn next_data(file: &File, offset: u64, len: u64) -> Option<std::ops::Range<u64>> {
    use rustix::fs::{SeekFrom, seek};
    match seek(file, SeekFrom::Data(offset)) {
        Ok(start) => {
            let end = seek(file, SeekFrom::Hole(start)).unwrap_or(len);
            (start < len).then(|| start..end.clamp(start + 1, len))
        }
        Err(rustix::io::Errno::NXIO) => None,
        Err(_) => (offset < len).then_some(offset..len),
    }
}

#[cfg(not(target_os = "linux"))]
pub(crate) fn next_data(_: &File, offset: u64, len: u64) -> Option<std::ops::Range<u64>> {
    (offset < len).then_some(offset..len)
}

/// Returns the length of the filesystem that `path` is on, in bytes.
#[cfg(target_os = "linux")]
pub(crate) fn disk_len(path: &Path) -> Option<u64> {
    let found = rustix::fs::statvfs(path).ok()?;
    found.f_blocks.checked_mul(found.f_frsize)
}

#[cfg(not(target_os = "linux"))]
pub(crate) fn disk_len(_: &Path) -> Option<u64> {
    None
}

/// Starts writing a range of a file back to the disk, if the operating system takes the hint.
#[cfg(target_os = "linux")]
pub(crate) fn write_back(file: &File, offset: u64, len: u64) {
    // An ignored hint loses nothing. The call does not wait: mm/fadvise.c starts writeback of dirty
    // pages, and drops only clean ones.
    let _ = rustix::fs::fadvise(
        file,
        offset,
        std::num::NonZeroU64::new(len),
        rustix::fs::Advice::DontNeed,
    );
}

#[cfg(not(target_os = "linux"))]
pub(crate) fn write_back(_: &File, _: u64, _: u64) {}
