//! The one place where planned bytes are copied.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::mpsc;

use tempfile::NamedTempFile;

use crate::{Data, Extent, Extents, sys};

/// How files begin that have not got their names yet, where the system knows none without a name.
pub const TEMPORARY: &str = ".moby-";
/// Slices shorter than this are copied through memory, in bytes.
const BY_HAND: u64 = 64 << 10;
/// How much of what is copied through memory is written at once, in bytes.
const WRITE: usize = 1 << 20;
/// How much is copied before the system is told to bring it to the disk, in bytes.
const WRITE_BACK: u64 = 8 << 20;

/// Writes the file from its first to its last byte, zeros included.
///
/// # Errors
/// What reading a blob or writing fails with.
pub fn stream(file: &Extents, out: &mut dyn Write) -> io::Result<()> {
    let mut buf = vec![0; (1usize << 20).min(usize::try_from(file.len()).unwrap_or(usize::MAX))];
    let mut offset = 0;
    while offset < file.len() {
        let len = (file.len() - offset).min(buf.len() as u64);
        let (head, _) = buf.split_at_mut(len as usize);
        file.read_exact_at(head, offset)?;
        out.write_all(head)?;
        offset += len;
    }
    Ok(())
}

/// Writes the file under `path`, which is replaced only when all is written and synced: until
/// then the bytes are in a file of its folder that has no name, or a temporary one where the system
/// has no such files. Zeros become holes. A device or a pipe is written to, and not replaced.
///
/// # Errors
/// What reading a blob, or creating, writing, syncing or renaming the file fails with; the
/// temporary file is then removed.
pub fn to_path(file: &Extents, path: &Path) -> io::Result<()> {
    if is_stream(path) {
        let mut out = File::options().write(true).open(path)?;
        stream(file, &mut out)?;
        // A disk says only now whether all went well; pipes and the like have nothing to wait for.
        return match out.sync_all() {
            Err(error) if error.kind() != io::ErrorKind::InvalidInput => Err(error),
            _ => Ok(()),
        };
    }
    beside(file, path)?.persist()
}

/// Whether there is a device, a pipe or the like at a path.
pub fn is_stream(path: &Path) -> bool {
    std::fs::metadata(path).is_ok_and(|found| !found.is_file() && !found.is_dir())
}

/// Writes the file, and syncs it, in the folder of `path`, or where that leads when it is a
/// symbolic link.
///
/// # Errors
/// As [`to_path`].
pub fn beside(file: &Extents, path: &Path) -> io::Result<Written> {
    let found = match path.is_symlink() {
        true => path.canonicalize().ok(),
        false => None,
    };
    let path = found.as_deref().unwrap_or(path);
    if path.is_dir() {
        return Err(io::ErrorKind::IsADirectory.into());
    }
    let written = empty(path)?;
    fill(file, written.file())?;
    written.file().sync_all()?;
    Ok(written)
}

/// An empty file in the folder of `path`, to be written and read by others.
///
/// # Errors
/// What creating a file fails with.
pub fn empty(path: &Path) -> io::Result<Written> {
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    let temporary = match sys::unnamed(folder) {
        Some(file) => Temporary::Unnamed(file),
        None => Temporary::Named(named(folder, |path| {
            File::options().read(true).write(true).create_new(true).open(path)
        })?),
    };
    Ok(Written {
        temporary,
        folder: folder.to_owned(),
        path: path.to_owned(),
    })
}

fn named<F>(folder: &Path, make: impl FnMut(&Path) -> io::Result<F>) -> io::Result<NamedTempFile<F>> {
    tempfile::Builder::new().prefix(TEMPORARY).make_in(folder, make)
}

/// A file that is written and has not its name yet. It is removed when this is dropped.
#[derive(Debug)]
pub struct Written {
    temporary: Temporary,
    folder: PathBuf,
    path: PathBuf,
}

#[derive(Debug)]
enum Temporary {
    Unnamed(File),
    Named(NamedTempFile),
}

impl Written {
    /// The file itself.
    pub fn file(&self) -> &File {
        match &self.temporary {
            Temporary::Unnamed(file) => file,
            Temporary::Named(file) => file.as_file(),
        }
    }

    /// Gives it its name, in place of a file that has the name already.
    ///
    /// # Errors
    /// What linking or renaming fails with; the temporary file is then removed.
    pub fn persist(self) -> io::Result<()> {
        match self.temporary {
            Temporary::Named(file) => persist(file, &self.path),
            Temporary::Unnamed(file) => match sys::link(&file, &self.path) {
                // Only renaming takes the place of a file.
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                    persist(named(&self.folder, |path| sys::link(&file, path))?, &self.path)
                }
                linked => linked,
            },
        }
    }
}

/// Closes a temporary file and gives it its name, in place of a file that has the name already.
fn persist<F>(temporary: NamedTempFile<F>, path: &Path) -> io::Result<()> {
    let mut temporary = temporary.into_temp_path();
    sys::rename(&temporary, path)?;
    temporary.disable_cleanup(true);
    Ok(())
}

/// Writes all extents into an empty file and sets its length.
///
/// One thread copies, as those that write to one file wait for each other. Another has the system
/// bring to the disk what is copied, so that syncing the file waits for little.
///
/// # Errors
/// What reading a blob or writing fails with.
pub fn fill(file: &Extents, out: &File) -> io::Result<()> {
    out.set_len(file.len())?;
    std::thread::scope(|scope| {
        let (copied, ready) = mpsc::channel::<u64>();
        scope.spawn(move || {
            let mut begun = 0;
            for end in ready {
                sys::write_back(out, begun, end - begun);
                begun = end;
            }
        });
        let mut run = Run::new(out);
        let mut told = 0;
        for extent in file.extents() {
            let mut done = 0;
            while done < extent.data().len() {
                let take = (extent.data().len() - done).min(WRITE_BACK);
                let part = Extent {
                    offset: extent.offset + done,
                    data: extent.data().part(done, take),
                };
                copy(&part, &mut run)?;
                done += take;
                if part.end() - told >= WRITE_BACK {
                    run.flush()?;
                    told = part.end();
                    // Nobody listens where the system takes no hint.
                    let _ = copied.send(told);
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
        && len >= BY_HAND
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

/// Bytes that follow each other in the file, and are written at once.
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
            bytes: Vec::with_capacity(WRITE),
        }
    }

    /// Adds what of an extent is not done.
    fn add(&mut self, extent: &Extent, mut done: u64) -> io::Result<()> {
        while done < extent.data().len() {
            let offset = extent.offset() + done;
            if self.bytes.len() == WRITE || self.offset + self.bytes.len() as u64 != offset {
                self.flush()?;
                self.offset = offset;
            }
            let start = self.bytes.len();
            let take = (extent.data().len() - done).min((WRITE - start) as u64);
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
    fn a_file_and_a_pipe_get_the_same_bytes() {
        let folder = tempfile::tempdir().unwrap();
        let source = folder.path().join("source");
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
        let path = folder.path().join("out");
        to_path(&file, &path).unwrap();
        assert!(std::fs::read(&path).unwrap() == streamed);
        // Nothing of a file has a name before it is whole, where the system has such files.
        let replaced = beside(&file, &path).unwrap();
        if cfg!(target_os = "linux") {
            assert!(matches!(replaced.temporary, Temporary::Unnamed(_)));
            assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 2);
        }
        drop(replaced);
        beside(&file, &path).unwrap().persist().unwrap();
        assert!(std::fs::read(&path).unwrap() == streamed);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 2);
    }

    #[test]
    fn a_file_is_replaced_or_left_as_it_was() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("out");
        to_path(&Extents::from_bytes(*b"old"), &path).unwrap();
        to_path(&Extents::from_bytes(*b"new"), &path).unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"new");
        // A folder is in the way: an error, and no temporary file stays.
        let taken = folder.path().join("taken");
        std::fs::create_dir(&taken).unwrap();
        std::fs::write(taken.join("file"), "").unwrap();
        to_path(&Extents::from_bytes(*b"new"), &taken).unwrap_err();
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 2);
    }
}
