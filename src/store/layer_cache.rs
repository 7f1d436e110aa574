//! Layer cache: decompressed layers, stored by diff_id and verified in every build.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use deflate::Recorded;
use extents::emit::StagedFile;
use extents::{Blob, Extents, FileBlob, Slice, emit};

use crate::codec::gzip_origin::GzipOrigin;
use crate::oci::layer::{ProgressFn, copy, mismatch};
use crate::oci::{Error, Image, Layer, cached_file, digest_of, lock, verify};
use crate::reporter::Progress;

/// Path of the layer cache in a cache directory.
const DIR: &str = "moby/layers/sha256";

/// Decompressed layers of a store.
#[derive(Debug)]
pub struct LayerCache {
    dir: Option<PathBuf>,
    cache: Option<PathBuf>,
    /// Read-only layer caches of other users.
    shared: Vec<PathBuf>,
    ready: Mutex<BTreeMap<String, Arc<FileBlob>>>,
    /// Leaves the verification of cached layers to [`LayerCache::verify_pending`].
    deferred: bool,
    pending: Mutex<VecDeque<Pending>>,
    /// Number of bytes that [`LayerCache::verify_pending`] has read.
    verified: AtomicU64,
    corrupt: AtomicBool,
    unwritable: OnceLock<Error>,
}

/// Cached layer that is used before it is verified.
#[derive(Debug)]
struct Pending {
    layer: Layer,
    compressed: Slice,
    cached: Arc<FileBlob>,
}

impl LayerCache {
    /// Creates the layer cache of a cache directory; without one, layers go to temporary files.
    /// Layers that a cache directory of `shared` has are not decompressed again.
    pub fn new(cache: Option<&Path>, shared: &[PathBuf]) -> Self {
        LayerCache {
            shared: shared.iter().map(|cache| cache.join(DIR)).collect(),
            dir: cache.map(|cache| cache.join(DIR)),
            cache: cache.map(Path::to_owned),
            ready: Mutex::default(),
            deferred: false,
            pending: Mutex::default(),
            verified: AtomicU64::new(0),
            corrupt: AtomicBool::new(false),
            unwritable: OnceLock::new(),
        }
    }

    /// Lets cached layers be used before they are verified. Until [`LayerCache::verify_pending`] has
    /// returned, no output that depends on them may be renamed into place.
    pub fn defer_verification(&mut self) {
        self.deferred = true;
    }

    /// Verifies the layers that were used unverified. Several threads may call it to share the work.
    ///
    /// # Errors
    /// A layer that is corrupt in its layout or in the cache. It is removed from the cache, and
    /// [`LayerCache::has_corrupt`] returns true.
    pub fn verify_pending(&self) -> Result<(), Error> {
        let next = || locked(&self.pending).pop_front();
        while let Some(pending) = next() {
            self.verify_compressed(&pending.layer, &pending.compressed)?;
            let len = pending.compressed.len() + pending.cached.len();
            self.verified.fetch_add(len, Ordering::Relaxed);
            let found = digest_of(&content(pending.cached)).unwrap_or_else(|error| error.to_string());
            if found != pending.layer.diff_id {
                self.corrupt.store(true, Ordering::Relaxed);
                self.remove(&pending.layer);
                return Err(mismatch(&pending.layer, "diff_id", &pending.layer.diff_id, found));
            }
        }
        Ok(())
    }

    /// Returns the number of bytes that were read to verify layers that had been used unverified.
    pub fn verified(&self) -> u64 {
        self.verified.load(Ordering::Relaxed)
    }

    /// Returns whether a corrupt cached layer was found; a second attempt decompresses it again.
    pub fn has_corrupt(&self) -> bool {
        self.corrupt.load(Ordering::Relaxed)
    }

    /// Returns the reason why layers go to temporary files although there is a cache directory.
    pub fn unwritable(&self) -> Option<&Error> {
        self.unwritable.get()
    }

    /// Verifies every file of a layer cache. Returns the number of intact layers, and the others.
    pub fn verify(cache: &Path) -> (usize, Vec<Error>) {
        let (mut intact, mut corrupt) = (0, Vec::new());
        let mut paths: Vec<PathBuf> = std::fs::read_dir(cache.join(DIR))
            .into_iter()
            .flatten()
            .flatten()
            .map(|entry| entry.path())
            .collect();
        paths.sort();
        for path in paths {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            // Another process may be writing it, or it is not moby's.
            if !cached_file::is_digest(OsStr::new(&*name)) {
                continue;
            }
            let found = FileBlob::open(&path).and_then(|blob| digest_of(&content(Arc::new(blob))));
            match found {
                Ok(digest) if digest.strip_prefix("sha256:") == Some(&*name) => intact += 1,
                // Another process may have removed it.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                found => {
                    let found = match found {
                        Ok(digest) => format!("its digest is {digest}"),
                        Err(error) => error.to_string(),
                    };
                    corrupt.push(Error::CorruptCache { path, found });
                }
            }
        }
        (intact, corrupt)
    }

    /// Makes all layers of the images ready, in `jobs` threads, the largest first.
    ///
    /// # Errors
    /// A layer that is missing, corrupt or expands without end, and a full disk.
    pub fn prepare(&self, images: &[Image], jobs: usize, progress: ProgressFn<'_>) -> Result<(), Error> {
        let mut wanted: Vec<&Layer> = images.iter().flat_map(|image| &image.layers).collect();
        wanted.sort_by_key(|layer| {
            (
                std::cmp::Reverse(layer.expected.as_ref().map(|(size, _)| *size)),
                &layer.diff_id,
                layer.digest(),
            )
        });
        wanted.dedup_by_key(|layer| (&layer.diff_id, layer.digest()));
        // Several blobs may be one layer. Outputs depend on the one that is used, so it is always the first; the
        // others are only verified.
        let mut diff_ids = BTreeSet::new();
        let (wanted, others): (Vec<&Layer>, Vec<&Layer>) =
            wanted.into_iter().partition(|layer| diff_ids.insert(&layer.diff_id));
        let sizes = wanted.iter().filter_map(|layer| layer.expected.as_ref());
        let total = sizes.fold(0u64, |total, (size, _)| total.saturating_add(*size));
        progress(Progress::Begin {
            operation: "reading layers",
            total,
        });
        let next = AtomicUsize::new(0);
        let work = || -> Result<(), Error> {
            while let Some(layer) = wanted.get(next.fetch_add(1, Ordering::Relaxed)) {
                progress(Progress::Layer(&layer.image));
                self.get_with_progress(layer, progress)?;
            }
            Ok(())
        };
        for layer in others {
            self.verify_compressed(layer, &layer.open()?)?;
        }
        std::thread::scope(|scope| {
            // Where no thread can be started, this one does all the work.
            let threads: Vec<_> = (1..jobs.clamp(1, wanted.len().max(1)))
                .map_while(|_| std::thread::Builder::new().spawn_scoped(scope, work).ok())
                .collect();
            let mut result = work();
            for thread in threads {
                let other = thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
                result = result.and(other);
            }
            result
        })
    }

    /// Returns the tar of a layer.
    ///
    /// # Errors
    /// A layer that is missing, corrupt or expands without end, and a full disk.
    pub fn get(&self, layer: &Layer) -> Result<Arc<FileBlob>, Error> {
        self.get_with_progress(layer, &|_| {})
    }

    fn get_with_progress(&self, layer: &Layer, progress: ProgressFn<'_>) -> Result<Arc<FileBlob>, Error> {
        if let Some(ready) = locked(&self.ready).get(&layer.diff_id) {
            return Ok(ready.clone());
        }
        let compressed = layer.open()?;
        let cached = if self.deferred {
            self.open(layer, &compressed)
        } else {
            self.open_verified(layer, &compressed)
        };
        let blob = if let Some(cached) = cached {
            if self.deferred {
                locked(&self.pending).push_back(Pending {
                    layer: layer.clone(),
                    compressed: compressed.clone(),
                    cached: cached.clone(),
                });
            } else {
                self.verify_compressed(layer, &compressed)?;
            }
            progress(Progress::Advance(compressed.len()));
            cached
        } else if let Some(shared) = self.open_shared(layer, &compressed) {
            self.verify_compressed(layer, &compressed)?;
            progress(Progress::Advance(compressed.len()));
            shared
        } else {
            let (blob, recorded) = self.decompress(layer, &compressed, progress)?;
            let blob = identify(layer, &compressed, blob);
            if let (Some(origin), Some(recorded)) = (GzipOrigin::of(&*blob), recorded) {
                origin.set_recorded(recorded);
            }
            blob
        };
        locked(&self.ready).insert(layer.diff_id.clone(), blob.clone());
        Ok(blob)
    }

    /// Verifies the blob of a cached layer: a corrupt layout is an error even if nothing is read from it.
    fn verify_compressed(&self, layer: &Layer, compressed: &Slice) -> Result<(), Error> {
        match &layer.expected {
            Some((size, digest)) => verify(&layer.image, &layer.location, compressed, Some(*size), digest)
                .map_err(|error| error.with_arch(layer.arch)),
            None => Ok(()),
        }
    }

    fn path(&self, layer: &Layer) -> Option<PathBuf> {
        Some(self.dir.as_ref()?.join(file_name(&layer.diff_id)?))
    }

    /// Opens and verifies a layer in the read-only caches. A corrupt one cannot be removed there, and is
    /// decompressed into the user's cache.
    fn open_shared(&self, layer: &Layer, compressed: &Slice) -> Option<Arc<FileBlob>> {
        let name = file_name(&layer.diff_id)?;
        self.shared.iter().find_map(|dir| {
            let shared = identify(layer, compressed, FileBlob::open(&dir.join(name)).ok()?);
            let found = digest_of(&content(shared.clone()));
            found.is_ok_and(|digest| digest == layer.diff_id).then_some(shared)
        })
    }

    /// Opens a cached layer without verifying it.
    fn open(&self, layer: &Layer, compressed: &Slice) -> Option<Arc<FileBlob>> {
        let blob = FileBlob::open(&self.path(layer)?).ok()?;
        Some(identify(layer, compressed, blob))
    }

    /// Opens and verifies a cached layer. The file stays open: another process may replace or remove the
    /// path at any time.
    fn open_verified(&self, layer: &Layer, compressed: &Slice) -> Option<Arc<FileBlob>> {
        let cached = self.open(layer, compressed)?;
        if digest_of(&content(cached.clone())).is_ok_and(|digest| digest == layer.diff_id) {
            return Some(cached);
        }
        // Windows cannot remove an open file.
        drop(cached);
        self.remove(layer);
        None
    }

    fn remove(&self, layer: &Layer) {
        locked(&self.ready).remove(&layer.diff_id);
        if let Some(path) = self.path(layer) {
            cached_file::remove(&path).ok();
        }
    }

    fn decompress(
        &self,
        layer: &Layer,
        compressed: &Slice,
        progress: ProgressFn<'_>,
    ) -> Result<(FileBlob, Option<Recorded>), Error> {
        if let Some((size, _)) = &layer.expected
            && *size != compressed.len()
        {
            let (expected, found) = (format!("{size} bytes"), format!("{} bytes", compressed.len()));
            return Err(mismatch(layer, "size", &expected, found));
        }
        // Without O_TMPFILE, the lock keeps `moby cache clean` from removing the file.
        let lock = self.cache.as_deref().map(lock::decompressing);
        let Some(written) = self.create(layer) else {
            let failed = |source| Error::Write {
                dir: std::env::temp_dir(),
                source,
            };
            let mut file = tempfile::tempfile().map_err(failed)?;
            let recorded = copy(layer, compressed, &mut file, progress, &failed)?;
            return Ok((FileBlob::new(file).map_err(failed)?, recorded));
        };
        let failed = |source| self.failed(source);
        let recorded = copy(layer, compressed, &mut written.file(), progress, &failed)?;
        // The path may be removed at any time; the open file stays.
        let file = written.file().try_clone().map_err(failed)?;
        // Another process may have been faster, and Windows cannot replace a file that is being read.
        written.persist().ok();
        drop(lock);
        Ok((FileBlob::new(file).map_err(failed)?, recorded))
    }

    /// Creates the file of a layer. None without a cache directory, and if it cannot be written: the
    /// build only takes longer then, and [`LayerCache::unwritable`] returns the reason.
    fn create(&self, layer: &Layer) -> Option<StagedFile> {
        let (path, dir) = (self.path(layer)?, self.dir.as_ref()?);
        let created = std::fs::create_dir_all(dir)
            .and_then(|()| cached_file::make_way(&path))
            .and_then(|()| emit::stage_empty(&path));
        created.map_err(|source| self.unwritable.set(self.failed(source))).ok()
    }

    fn failed(&self, source: io::Error) -> Error {
        Error::Write {
            dir: self.dir.clone().unwrap_or_else(std::env::temp_dir),
            source,
        }
    }
}

/// Returns the path of a layer in a cache directory; none for a digest that is not SHA-256.
#[cfg(feature = "registry")]
pub(super) fn path(cache: &Path, diff_id: &str) -> Option<PathBuf> {
    Some(cache.join(DIR).join(file_name(diff_id)?))
}

/// Returns the name of a layer's file.
fn file_name(diff_id: &str) -> Option<&str> {
    let hex = diff_id.strip_prefix("sha256:")?;
    let is_safe = hex.len() == 64 && hex.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_safe.then_some(hex)
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Attaches the diff_id, and the compressed blob if it has a digest. Both were or will be verified.
fn identify(layer: &Layer, compressed: &Slice, blob: FileBlob) -> Arc<FileBlob> {
    let blob = blob.with_digest(layer.diff_id.as_bytes());
    let expected = layer.expected.as_ref();
    let origin = expected.and_then(|(_, digest)| GzipOrigin::new(compressed, digest));
    Arc::new(match origin {
        Some(origin) => blob.with_origin(origin),
        None => blob,
    })
}

fn content(cached: Arc<FileBlob>) -> Extents {
    Extents::from_blob(cached)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::fs;

    use super::*;
    use crate::oci::{Location, Writer};

    /// Creates a layer of noise outside of the cache, so that no image of the cache refers to it.
    fn layer(dir: &Path) -> (Layer, Vec<u8>) {
        let noise: Vec<u8> = (0..900_000u32)
            .map(|i| (i.wrapping_mul(2_654_435_761) >> 13) as u8)
            .collect();
        let file = dir.join("layer");
        fs::write(&file, &noise).unwrap();
        let layer = Layer {
            image: "example.org/noise".into(),
            location: Location { file, member: None },
            expected: None,
            diff_id: digest_of(&Extents::from_bytes(noise.clone())).unwrap(),
            arch: None,
        };
        (layer, noise)
    }

    fn read(blob: &Arc<FileBlob>) -> Vec<u8> {
        content(blob.clone()).to_vec().unwrap()
    }

    #[test]
    fn a_cache_may_be_cleaned_while_it_is_used() {
        let dir = tempfile::tempdir().unwrap();
        let cache = dir.path().join("cache");
        let (layer, noise) = layer(dir.path());
        let clean = || Writer::open(&cache).unwrap().clean(&[]).unwrap().files;
        // While it is decompressed.
        let layers = LayerCache::new(Some(&cache), &[]);
        let blob = layers.get_with_progress(&layer, &|_| assert_eq!(clean(), 0)).unwrap();
        assert!(read(&blob) == noise);
        assert_eq!(fs::read_dir(cache.join("moby/layers/sha256")).unwrap().count(), 1);
        // While a cached one is read.
        let mut deferred = LayerCache::new(Some(&cache), &[]);
        deferred.defer_verification();
        let blobs = [
            LayerCache::new(Some(&cache), &[]).get(&layer).unwrap(),
            deferred.get(&layer).unwrap(),
        ];
        assert_eq!(clean(), 1);
        assert!(blobs.iter().chain([&blob]).all(|blob| read(blob) == noise));
        deferred.verify_pending().unwrap();
    }

    #[test]
    fn files_of_builds_that_run_stay_and_those_of_others_go() {
        let dir = tempfile::tempdir().unwrap();
        let layers = dir.path().join("moby/layers/sha256");
        fs::create_dir_all(&layers).unwrap();
        fs::write(layers.join(format!("{}1", emit::TEMP_PREFIX)), "half").unwrap();
        let build = lock::decompressing(dir.path()).unwrap();
        assert_eq!(Writer::open(dir.path()).unwrap().clean(&[]).unwrap().files, 0);
        drop(build);
        assert_eq!(Writer::open(dir.path()).unwrap().clean(&[]).unwrap().files, 1);
    }
}
