//! Writing of virtual files: the one place where planned bytes are copied.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::mpsc;

use tempfile::NamedTempFile;

use crate::{Data, Extent, Extents, sys};

/// Prefix of the names of temporary files, where the filesystem has no files without a name.
pub const TEMP_PREFIX: &str = ".extents-";
/// Minimum length of a slice that the kernel copies, in bytes; shorter ones are copied in memory.
const MIN_KERNEL_COPY: u64 = 64 << 10;
/// Length of a write of bytes copied in memory, in bytes.
const WRITE_LEN: usize = 1 << 20;
/// Interval of the hints to write back, in bytes.
const WRITE_BACK_LEN: u64 = 8 << 20;

/// Writes a file to a stream, from its first to its last byte, zeros included.
///
/// # Errors
/// A blob cannot be read, or the stream cannot be written.
pub fn stream(file: &Extents, out: &mut dyn Write) -> io::Result<()> {
    stream_with_progress(file, out, &|_| {})
}

/// Writes a file as [`stream`] does. `progress` gets the numbers of bytes that are written.
///
/// # Errors
/// The errors of [`stream`].
pub fn stream_with_progress(file: &Extents, out: &mut dyn Write, progress: &dyn Fn(u64)) -> io::Result<()> {
    chunks(file, |chunk| {
        out.write_all(chunk)?;
        progress(chunk.len() as u64);
        Ok(())
    })
}

/// Passes a file to `take` in chunks of at most 1 MiB, from its first to its last byte, zeros
/// included.
///
/// # Errors
/// A blob cannot be read, or the error of `take`.
pub fn chunks(file: &Extents, mut take: impl FnMut(&[u8]) -> io::Result<()>) -> io::Result<()> {
    let mut buf = vec![0; (1usize << 20).min(usize::try_from(file.len()).unwrap_or(usize::MAX))];
    let mut offset = 0;
    while offset < file.len() {
        let len = (file.len() - offset).min(buf.len() as u64);
        let (head, _) = buf.split_at_mut(len as usize);
        file.read_exact_at(head, offset)?;
        take(head)?;
        offset += len;
    }
    Ok(())
}

/// Writes a file to `path`. A file there is replaced once everything is written and synced; until
/// then the bytes are in a file without a name in its directory, or in one that begins with
/// [`TEMP_PREFIX`]. Zeros become holes. A device or a pipe is written to, not replaced.
///
/// # Errors
/// A blob cannot be read, or the file cannot be created, written, synced or renamed. The temporary
/// file is then removed.
pub fn to_path(file: &Extents, path: &Path) -> io::Result<()> {
    if is_stream(path) {
        return to_stream(file, path, &|_| {});
    }
    stage(file, path, &|_| {})?.persist()
}

/// Writes a file to a device or a pipe. `progress` gets the numbers of bytes that are written.
///
/// # Errors
/// A blob cannot be read, or the device or pipe cannot be opened, written or synced.
pub fn to_stream(file: &Extents, path: &Path, progress: &dyn Fn(u64)) -> io::Result<()> {
    let mut out = sys::open_stream(path)?;
    stream_with_progress(file, &mut out, progress)?;
    // A disk reports failed writes only now; pipes cannot be synced.
    match out.sync_all() {
        Err(error) if error.kind() != io::ErrorKind::InvalidInput => Err(error),
        _ => Ok(()),
    }
}

/// Returns the length in bytes of the filesystem that a directory is on, or will be created on. `None` where it is not
/// known.
pub fn disk_len(dir: &Path) -> Option<u64> {
    let dir = dir.ancestors().find(|path| path.exists())?;
    sys::disk_len(dir)
}

/// Returns whether `path` is a device, a pipe or the like, which is written to and not replaced.
pub fn is_stream(path: &Path) -> bool {
    std::fs::metadata(path).is_ok_and(|found| !found.is_file() && !found.is_dir())
}

/// Writes a file to the directory of `path`, and syncs it, without giving it its name. If `path`
/// is a symbolic link, its target will be replaced. `progress` gets the numbers of bytes that are
/// written; holes are not counted.
///
/// # Errors
/// A blob cannot be read, `path` is a directory, or the file cannot be created, written or synced.
pub fn stage(file: &Extents, path: &Path, progress: &dyn Fn(u64)) -> io::Result<StagedFile> {
    let target = if path.is_symlink() {
        path.canonicalize().ok()
    } else {
        None
    };
    let path = target.as_deref().unwrap_or(path);
    if path.is_dir() {
        return Err(io::ErrorKind::IsADirectory.into());
    }
    let staged = stage_empty(path)?;
    fill(file, staged.file(), progress)?;
    staged.file().sync_all()?;
    Ok(staged)
}

/// Creates an empty file in the directory of `path`, open for reading and writing, without giving
/// it its name.
///
/// # Errors
/// The file cannot be created.
pub fn stage_empty(path: &Path) -> io::Result<StagedFile> {
    let dir = match path.parent() {
        Some(dir) if !dir.as_os_str().is_empty() => dir,
        _ => Path::new("."),
    };
    let temporary = match sys::unnamed(dir) {
        Some(file) => Temporary::Unnamed(file),
        None => Temporary::Named(named(dir, |path| {
            File::options().read(true).write(true).create_new(true).open(path)
        })?),
    };
    Ok(StagedFile {
        temporary,
        dir: dir.to_owned(),
        path: path.to_owned(),
    })
}

fn named<F>(dir: &Path, make: impl FnMut(&Path) -> io::Result<F>) -> io::Result<NamedTempFile<F>> {
    tempfile::Builder::new().prefix(TEMP_PREFIX).make_in(dir, make)
}

/// A file that does not have its name yet. It is removed when this is dropped.
#[derive(Debug)]
pub struct StagedFile {
    temporary: Temporary,
    dir: PathBuf,
    path: PathBuf,
}

#[derive(Debug)]
enum Temporary {
    Unnamed(File),
    Named(NamedTempFile),
}

impl StagedFile {
    /// Returns the file.
    pub fn file(&self) -> &File {
        match &self.temporary {
            Temporary::Unnamed(file) => file,
            Temporary::Named(file) => file.as_file(),
        }
    }

    /// Gives the file its name, and replaces the file that has it.
    ///
    /// # Errors
    /// The file cannot be linked or renamed. It is then removed.
    pub fn persist(self) -> io::Result<()> {
        match self.temporary {
            Temporary::Named(file) => persist(file, &self.path),
            Temporary::Unnamed(file) => match sys::link(&file, &self.path) {
                // Only a rename replaces a file.
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                    persist(named(&self.dir, |path| sys::link(&file, path))?, &self.path)
                }
                linked => linked,
            },
        }
    }
}

/// Closes a temporary file and gives it its name, which replaces the file that has it.
fn persist<F>(temporary: NamedTempFile<F>, path: &Path) -> io::Result<()> {
    let mut temporary = temporary.into_temp_path();
    sys::rename(&temporary, path)?;
    temporary.disable_cleanup(true);
    Ok(())
}

/// Writes all extents to an empty file and sets its length.
///
/// One thread copies, since threads that write to one file wait for each other. Another one has the
/// operating system write back the copied bytes, so that syncing the file is short. `progress` gets the
/// numbers of bytes that are written; holes are not counted.
///
/// # Errors
/// A blob cannot be read, or the file cannot be written.
pub fn fill(file: &Extents, out: &File, progress: &dyn Fn(u64)) -> io::Result<()> {
    out.set_len(file.len())?;
    std::thread::scope(|scope| {
        let (copied, ready) = mpsc::channel::<u64>();
        // Without the thread, only the sync takes longer.
        let _ = std::thread::Builder::new().spawn_scoped(scope, move || {
            let mut start = 0;
            for end in ready {
                sys::write_back(out, start, end - start);
                start = end;
            }
        });
        let mut run = Run::new(out);
        let mut hinted = 0;
        for extent in file.extents() {
            let mut done = 0;
            while done < extent.data().len() {
                let take = (extent.data().len() - done).min(WRITE_BACK_LEN);
                let part = Extent {
                    offset: extent.offset + done,
                    data: extent.data().part(done, take),
                };
                copy(&part, &mut run)?;
                done += take;
                progress(take);
                if part.end() - hinted >= WRITE_BACK_LEN {
                    run.flush()?;
                    hinted = part.end();
                    // A hint that cannot be sent loses nothing.
                    let _ = copied.send(hinted);
                }
            }
        }
        run.flush()
    })
}

fn copy(extent: &Extent, run: &mut Run<'_>) -> io::Result<()> {
    let len = extent.data().len();
    let mut done = 0;
    if let Data::Slice(slice) = extent.data()
        && len >= MIN_KERNEL_COPY
        && let Some((from, start)) = slice.blob().as_file()
    {
        let from_offset = start + slice.offset();
        while done < len {
            match sys::copy_range(from, from_offset + done, run.out, extent.offset() + done, len - done) {
                Some(copied) => done += copied,
                None => break,
            }
        }
    }
    run.add(extent, done)
}

/// Adjacent bytes of the file, gathered into one write.
struct Run<'a> {
    out: &'a File,
    offset: u64,
    bytes: Vec<u8>,
}

impl<'a> Run<'a> {
    fn new(out: &'a File) -> Self {
        Run {
            out,
            offset: 0,
            bytes: Vec::with_capacity(WRITE_LEN),
        }
    }

    /// Adds the bytes of an extent from `done` on.
    fn add(&mut self, extent: &Extent, mut done: u64) -> io::Result<()> {
        while done < extent.data().len() {
            let offset = extent.offset() + done;
            if self.bytes.len() == WRITE_LEN || self.offset + self.bytes.len() as u64 != offset {
                self.flush()?;
                self.offset = offset;
            }
            let start = self.bytes.len();
            let take = (extent.data().len() - done).min((WRITE_LEN - start) as u64);
            self.bytes.resize(start + take as usize, 0);
            extent.read_exact_at(self.bytes.get_mut(start..).unwrap_or_default(), done)?;
            done += take;
        }
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        if !self.bytes.is_empty() {
            sys::write_all_at(self.out, &self.bytes, self.offset)?;
            self.bytes.clear();
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{FileBlob, Slice};
    use std::sync::Arc;

    #[test]
    fn file_and_stream_get_the_same_bytes() {
        let dir = tempfile::tempdir().unwrap();
        let source = dir.path().join("source");
        let noise: Vec<u8> = (0..9_000_000u32)
            .map(|i| (i.wrapping_mul(2_654_435_761) >> 13) as u8)
            .collect();
        std::fs::write(&source, &noise).unwrap();
        let blob = Arc::new(FileBlob::open(&source).unwrap());
        let mut file = Extents::from_bytes(*b"head");
        file.push_zeros(5_000_000);
        file.push_slice(Slice::new(blob.clone(), 17, 8_999_000).unwrap());
        file.push_slice(Slice::new(blob, 3, 100).unwrap());
        file.push_zeros(77);
        let mut streamed = Vec::new();
        stream(&file, &mut streamed).unwrap();
        let path = dir.path().join("out");
        to_path(&file, &path).unwrap();
        assert!(std::fs::read(&path).unwrap() == streamed);
        // Nothing has a name before it is complete, where the system has files without a name.
        let replaced = stage(&file, &path, &|_| {}).unwrap();
        if cfg!(target_os = "linux") {
            assert!(matches!(replaced.temporary, Temporary::Unnamed(_)));
            assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 2);
        }
        drop(replaced);
        stage(&file, &path, &|_| {}).unwrap().persist().unwrap();
        assert!(std::fs::read(&path).unwrap() == streamed);
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 2);
    }

    #[test]
    fn file_is_replaced_or_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("out");
        to_path(&Extents::from_bytes(*b"old"), &path).unwrap();
        to_path(&Extents::from_bytes(*b"new"), &path).unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"new");
        // A directory cannot be replaced, and no temporary file stays.
        let taken = dir.path().join("taken");
        std::fs::create_dir(&taken).unwrap();
        std::fs::write(taken.join("file"), "").unwrap();
        to_path(&Extents::from_bytes(*b"new"), &taken).unwrap_err();
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 2);
    }
}
