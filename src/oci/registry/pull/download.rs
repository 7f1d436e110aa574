//! Downloading blobs to a cache directory. A download that was interrupted continues.

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use extents::Extents;
use sha2::{Digest, Sha256};

use super::Pull;
use crate::oci::registry::{Error, FIRST_WAIT, MAX_TRIES, Request, header};
use crate::oci::{cached_file, digest, digest_of, lock};
use crate::reporter::Progress;

/// Number of blobs that are downloaded at once.
const MAX_DOWNLOADS: usize = 4;

/// A receiver of the layers of images that are pulled, while they arrive.
pub trait Layers: Sync {
    /// Begins a layer of a diff_id and a compressed size in bytes. None if it is not needed.
    fn begin(&self, diff_id: &str, size: u64) -> Option<Box<dyn LayerStream>>;
}

/// A layer that arrives. If it is dropped before its end, nothing of it is kept.
pub trait LayerStream {
    /// Passes the next compressed bytes on.
    fn write(&mut self, bytes: &[u8]);

    /// Ends the layer, after its compressed digest was found right.
    fn finish(self: Box<Self>);
}

/// A blob that an image needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Wanted {
    pub digest: String,
    pub size: u64,
    /// Digest of the decompressed layer, if it is passed on while it arrives.
    pub diff_id: Option<String>,
}

impl Pull<'_> {
    /// Downloads what the cache lacks or has corrupt, several blobs at once, and returns the number of bytes.
    pub(super) fn download_all(&self, name: &str, wanted: &[Wanted]) -> Result<u64, Error> {
        let mut missing: Vec<&Wanted> = wanted.iter().filter(|blob| !self.has_intact(blob)).collect();
        missing.sort_by_key(|blob| std::cmp::Reverse(blob.size));
        let total = missing.iter().map(|blob| blob.size).fold(0, u64::saturating_add);
        self.reporter.progress(Progress::Begin {
            operation: "pulling",
            total,
        });
        self.reporter.progress(Progress::Layer(name));
        let next = AtomicUsize::new(0);
        let failure = Mutex::new(None);
        let work = || {
            while let Some(blob) = missing.get(next.fetch_add(1, Ordering::Relaxed)) {
                if let Err(error) = self.download(blob) {
                    // The others need not go on.
                    next.store(missing.len(), Ordering::Relaxed);
                    if let Ok(mut failure) = failure.lock() {
                        failure.get_or_insert(error);
                    }
                }
            }
        };
        std::thread::scope(|scope| {
            for _ in 1..missing.len().min(MAX_DOWNLOADS) {
                // Without a thread the others do the work.
                let _ = std::thread::Builder::new().spawn_scoped(scope, work);
            }
            work();
        });
        match failure.into_inner() {
            Ok(Some(error)) => Err(error),
            _ => Ok(total),
        }
    }

    /// Returns whether the cache has a blob. Its digest is verified when it is used.
    pub(super) fn has(&self, blob: &Wanted) -> bool {
        let path = self.blob(&blob.digest);
        path.is_ok_and(|path| fs::metadata(path).is_ok_and(|file| file.is_file() && file.len() == blob.size))
    }

    /// Returns whether the cache has a blob of the right digest. One that is corrupt is removed.
    pub(super) fn has_intact(&self, blob: &Wanted) -> bool {
        let Ok(path) = self.blob(&blob.digest) else {
            return false;
        };
        let found = || digest_of(&Extents::open(&path)?);
        let is_intact = self.has(blob) && found().is_ok_and(|found| found == blob.digest);
        if !is_intact {
            // If it stays, its download fails.
            let _ = fs::remove_file(&path);
        }
        is_intact
    }

    /// Returns the path of a blob in the cache.
    pub(super) fn blob(&self, digest: &str) -> Result<PathBuf, Error> {
        let hex = digest.strip_prefix("sha256:").unwrap_or_default();
        if hex.len() != 64 || !hex.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(self.invalid(format!("{digest} is not a SHA-256 digest")));
        }
        Ok(self.cache.join("blobs/sha256").join(hex))
    }

    /// Downloads a blob to the cache. One process at a time downloads it.
    pub(super) fn download(&self, blob: &Wanted) -> Result<(), Error> {
        let path = self.blob(&blob.digest)?;
        let partial = Partial::open(self.cache, &path)?;
        if self.has(blob) {
            return Ok(());
        }
        let mut file = partial.file.try_clone().map_err(write_error(&partial.path))?;
        let mut wait = FIRST_WAIT;
        let mut tries = 0;
        let mut most = file.metadata().map_err(write_error(&partial.path))?.len();
        let (found, stream) = loop {
            tries += 1;
            match self.transfer_blob(blob, &mut file) {
                Ok(found) => break found,
                Err(error) if error.is_transient() => {
                    let now = file.metadata().map_err(write_error(&partial.path))?.len();
                    // A registry that gives more each time is not given up. One that ignores ranges begins again.
                    tries = if now > most { 1 } else { tries };
                    most = most.max(now);
                    if tries >= MAX_TRIES {
                        return Err(error);
                    }
                    std::thread::sleep(wait);
                    wait = (wait * 2).min(FIRST_WAIT * 16);
                }
                Err(error) => return Err(error),
            }
        };
        if found != blob.digest {
            file.set_len(0).map_err(write_error(&partial.path))?;
            return Err(self.wrong_digest(&blob.digest, found));
        }
        file.sync_all().map_err(write_error(&partial.path))?;
        if let Some(directory) = path.parent() {
            fs::create_dir_all(directory).map_err(write_error(directory))?;
        }
        cached_file::make_way(&path).map_err(write_error(&path))?;
        fs::rename(&partial.path, &path).map_err(write_error(&path))?;
        if let Some(stream) = stream {
            stream.finish();
        }
        Ok(())
    }

    /// Transfers the rest of a blob behind the part that is there, and returns the digest of all. A layer
    /// is passed on from its begin.
    fn transfer_blob(&self, blob: &Wanted, file: &mut File) -> Result<(String, Option<Box<dyn LayerStream>>), Error> {
        let failed = |error: io::Error| self.transfer(&blob.digest, error);
        let path = format!("{}/blobs/{}", self.repository(), blob.digest);
        let begin = || self.layers?.begin(blob.diff_id.as_deref()?, blob.size);
        let mut stream = begin();
        let mut hash = Sha256::new();
        file.seek(SeekFrom::Start(0)).map_err(failed)?;
        let read = read_prefix(file, blob.size, &mut |bytes| {
            hash.update(bytes);
            stream.iter_mut().for_each(|stream| stream.write(bytes));
        });
        let mut there = read.map_err(failed)?;
        if there == blob.size {
            file.set_len(there).map_err(failed)?;
            return Ok((digest(hash), stream));
        }
        let range = format!("bytes={there}-");
        let headers = [("Range", range.as_str())];
        let request = Request::get(&path, self.repository(), if there > 0 { &headers } else { &[] });
        let response = self.client.send(&self.endpoint, &request)?;
        if response.status().as_u16() == 404 {
            return Err(self.invalid(format!("its blob {} does not exist", blob.digest)));
        }
        let mut response = self.client.success(&self.endpoint, &request, response)?;
        let begins = || {
            header(&response, "content-range")?
                .strip_prefix("bytes ")?
                .split('-')
                .next()?
                .parse()
                .ok()
        };
        if there > 0 && (response.status().as_u16() != 206 || begins() != Some(there)) {
            // The registry sends all of it.
            there = 0;
            hash = Sha256::new();
            stream = begin();
        }
        file.set_len(there).map_err(failed)?;
        file.seek(SeekFrom::Start(there)).map_err(failed)?;
        let mut body = response.body_mut().with_config().limit(u64::MAX).reader();
        let mut buffer = vec![0; 128 << 10];
        let report = |arrived| {
            let (digest, total) = (blob.digest.as_str(), blob.size);
            self.reporter.progress(Progress::Blob { digest, total, arrived });
        };
        report(there);
        loop {
            let count = body.read(&mut buffer).map_err(failed)?;
            let Some(bytes) = buffer.get(..count).filter(|bytes| !bytes.is_empty()) else {
                break;
            };
            there += count as u64;
            if there > blob.size {
                return Err(self.invalid(format!("it sends more than the {} bytes of {}", blob.size, blob.digest)));
            }
            hash.update(bytes);
            if let Some(stream) = &mut stream {
                stream.write(bytes);
            }
            file.write_all(bytes).map_err(write_error(Path::new(&blob.digest)))?;
            self.reporter.progress(Progress::Advance(count as u64));
            report(there);
        }
        if there < blob.size {
            return Err(failed(io::ErrorKind::UnexpectedEof.into()));
        }
        Ok((digest(hash), stream))
    }
}

/// A blob that is being downloaded, and the lock on it.
struct Partial {
    path: PathBuf,
    file: File,
    _lock: File,
}

impl Partial {
    /// Waits for other processes that download the blob.
    fn open(cache: &Path, blob: &Path) -> Result<Self, Error> {
        let name = blob.file_name().unwrap_or_default();
        let directory = cache.join("moby/downloads");
        fs::create_dir_all(&directory).map_err(write_error(&directory))?;
        let lock = Path::new("moby/downloads").join(name).with_extension("lock");
        let opened = lock::file(cache, &lock.to_string_lossy()).and_then(|file| file.lock().map(|()| file));
        let lock = opened.map_err(write_error(&cache.join(&lock)))?;
        let path = directory.join(name).with_extension("partial");
        cached_file::make_way(&path).map_err(write_error(&path))?;
        let file = File::options()
            .create(true)
            .truncate(false)
            .read(true)
            .write(true)
            .open(&path);
        let file = file.map_err(write_error(&path))?;
        Ok(Partial {
            path,
            file,
            _lock: lock,
        })
    }
}

/// Returns the error of a file of the cache that cannot be written.
pub(super) fn write_error(path: &Path) -> impl Fn(io::Error) -> Error {
    let path = path.to_owned();
    move |source| Error::Write {
        path: path.clone(),
        source,
    }
}

/// Reads up to `limit` bytes of a file, and returns their number.
fn read_prefix(file: &mut File, limit: u64, receive: &mut dyn FnMut(&[u8])) -> io::Result<u64> {
    let mut reader = BufReader::with_capacity(128 << 10, file.take(limit));
    let mut len = 0;
    loop {
        let bytes = reader.fill_buf()?;
        if bytes.is_empty() {
            return Ok(len);
        }
        receive(bytes);
        let count = bytes.len();
        reader.consume(count);
        len += count as u64;
    }
}
