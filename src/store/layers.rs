//! Decompressed layers: kept once, by diff_id, and verified at every use.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use extents::{Extents, FileBlob, Slice, emit};

use crate::oci::layer::{Watch, copy, mismatch};
use crate::oci::{Error, Image, Layer, digest_of, lock, verify};
use crate::reporter::Progress;

/// The decompressed layers of a store.
#[derive(Debug)]
pub struct Layers {
    folder: Option<PathBuf>,
    cache: Option<PathBuf>,
    ready: Mutex<BTreeMap<String, Arc<FileBlob>>>,
    /// Whether [`Layers::settle`] verifies what is kept.
    deferred: bool,
    /// What it is to verify.
    doubts: Mutex<VecDeque<Doubt>>,
    /// Whether it found something that is kept damaged.
    damaged: AtomicBool,
}

/// A kept layer that is used, and not verified yet.
#[derive(Debug)]
struct Doubt {
    layer: Layer,
    compressed: Slice,
    kept: Arc<FileBlob>,
}

impl Layers {
    /// Those of a cache folder; without one they live in temporary files.
    pub fn new(cache: Option<&Path>) -> Self {
        Layers {
            folder: cache.map(|cache| cache.join("moby/layers/sha256")),
            cache: cache.map(Path::to_owned),
            ready: Mutex::default(),
            deferred: false,
            doubts: Mutex::default(),
            damaged: AtomicBool::new(false),
        }
    }

    /// Lets kept layers be used before they are verified. [`Layers::settle`] verifies them, and before
    /// it has done so nothing that is made of them may be shown to anybody.
    pub fn defer(&mut self) {
        self.deferred = true;
    }

    /// Verifies what was deferred; several threads may do it together.
    ///
    /// # Errors
    /// A layer that is damaged, in its layout or as it is kept. One that is kept is then removed, and
    /// [`Layers::damaged`] says so.
    pub fn settle(&self) -> Result<(), Error> {
        let next = || self.doubts.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
        while let Some(doubt) = next() {
            self.verify_compressed(&doubt.layer, &doubt.compressed)?;
            let found = digest_of(&whole(doubt.kept)).unwrap_or_else(|error| error.to_string());
            if found != doubt.layer.diff_id {
                self.damaged.store(true, Ordering::Relaxed);
                self.forget(&doubt.layer);
                return Err(mismatch(&doubt.layer, "diff_id", &doubt.layer.diff_id, found));
            }
        }
        Ok(())
    }

    /// Whether something that is kept was found damaged, so that all is to be done again.
    pub fn damaged(&self) -> bool {
        self.damaged.load(Ordering::Relaxed)
    }

    /// Makes all layers of the images ready, `jobs` at a time, the largest first.
    ///
    /// # Errors
    /// Those of [`Layers::get`].
    pub fn prepare(&self, images: &[Image], jobs: usize, progress: Watch<'_>) -> Result<(), Error> {
        let mut wanted: Vec<&Layer> = images.iter().flat_map(|image| &image.layers).collect();
        wanted.sort_by_key(|layer| {
            (
                std::cmp::Reverse(layer.expected.as_ref().map(|(size, _)| *size)),
                &layer.diff_id,
            )
        });
        wanted.dedup_by_key(|layer| (&layer.diff_id, layer.digest()));
        let sizes = wanted.iter().filter_map(|layer| layer.expected.as_ref());
        progress(Progress::Total(sizes.map(|(size, _)| *size).sum()));
        let next = AtomicUsize::new(0);
        let work = || -> Result<(), Error> {
            while let Some(layer) = wanted.get(next.fetch_add(1, Ordering::Relaxed)) {
                progress(Progress::Layer(&layer.image));
                self.get_telling(layer, progress)?;
            }
            Ok(())
        };
        std::thread::scope(|scope| {
            let threads: Vec<_> = (1..jobs.clamp(1, wanted.len().max(1)))
                .map(|_| scope.spawn(work))
                .collect();
            let mut result = work();
            for thread in threads {
                let other = thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
                result = result.and(other);
            }
            result
        })
    }

    /// The tar of a layer.
    ///
    /// # Errors
    /// A layer that is missing, damaged or expands without end, and a full disk.
    pub fn get(&self, layer: &Layer) -> Result<Arc<FileBlob>, Error> {
        self.get_telling(layer, &|_| {})
    }

    fn get_telling(&self, layer: &Layer, progress: Watch<'_>) -> Result<Arc<FileBlob>, Error> {
        if let Some(ready) = self.lock().get(&layer.diff_id) {
            return Ok(ready.clone());
        }
        let compressed = layer.location.open(&layer.image)?;
        let kept = match self.deferred {
            true => self.open(layer),
            false => self.kept(layer),
        };
        let blob = match kept {
            Some(kept) => {
                match self.deferred {
                    true => self.doubt(layer, &compressed, &kept),
                    false => self.verify_compressed(layer, &compressed)?,
                }
                progress(Progress::Read(compressed.len()));
                kept
            }
            None => known(layer, self.decompress(layer, &compressed, progress)?),
        };
        self.lock().insert(layer.diff_id.clone(), blob.clone());
        Ok(blob)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, Arc<FileBlob>>> {
        self.ready.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn doubt(&self, layer: &Layer, compressed: &Slice, kept: &Arc<FileBlob>) {
        let mut doubts = self.doubts.lock().unwrap_or_else(PoisonError::into_inner);
        doubts.push_back(Doubt {
            layer: layer.clone(),
            compressed: compressed.clone(),
            kept: kept.clone(),
        });
    }

    /// The layout must still hold what it says, though nothing more is read of a layer that is kept.
    fn verify_compressed(&self, layer: &Layer, compressed: &Slice) -> Result<(), Error> {
        match &layer.expected {
            Some((size, digest)) => verify(&layer.image, &layer.location, compressed, Some(*size), digest),
            None => Ok(()),
        }
    }

    fn path(&self, layer: &Layer) -> Option<PathBuf> {
        let hex = layer.diff_id.strip_prefix("sha256:")?;
        let safe = hex.len() == 64 && hex.bytes().all(|byte| byte.is_ascii_hexdigit());
        self.folder.as_ref().filter(|_| safe).map(|folder| folder.join(hex))
    }

    /// A layer decompressed before.
    fn open(&self, layer: &Layer) -> Option<Arc<FileBlob>> {
        let blob = FileBlob::open(&self.path(layer)?).ok()?;
        Some(known(layer, blob))
    }

    /// A layer decompressed before, if it still is what it should be. It is the file that was verified:
    /// under its path there may be another by now, or none.
    fn kept(&self, layer: &Layer) -> Option<Arc<FileBlob>> {
        let kept = self.open(layer)?;
        if digest_of(&whole(kept.clone())).is_ok_and(|digest| digest == layer.diff_id) {
            return Some(kept);
        }
        // Windows removes no file that is open.
        drop(kept);
        self.forget(layer);
        None
    }

    /// What is damaged, by whatever, is made again.
    fn forget(&self, layer: &Layer) {
        self.lock().remove(&layer.diff_id);
        if let Some(path) = self.path(layer) {
            std::fs::remove_file(path).ok();
        }
    }

    fn decompress(&self, layer: &Layer, compressed: &Slice, progress: Watch<'_>) -> Result<FileBlob, Error> {
        if let Some((size, _)) = &layer.expected
            && *size != compressed.len()
        {
            return Err(mismatch(
                layer,
                "size",
                &format!("{size} bytes"),
                format!("{} bytes", compressed.len()),
            ));
        }
        let path = self.path(layer);
        // A cache that cannot be written costs time, not the build.
        let path = path.filter(|path| {
            path.parent()
                .is_some_and(|folder| std::fs::create_dir_all(folder).is_ok())
        });
        // Where files without a name are unknown, cleaning leaves those alone that are being written.
        let lock = path.as_ref().and(self.cache.as_deref()).map(lock::decompressing);
        let in_cache = path.and_then(|path| emit::stage_empty(&path).ok());
        let Some(written) = in_cache else {
            let mut file = tempfile::tempfile().map_err(|source| self.unwritable(source))?;
            copy(layer, compressed, &mut file, progress, &|source| {
                self.unwritable(source)
            })?;
            return FileBlob::new(file).map_err(|source| self.unwritable(source));
        };
        copy(layer, compressed, &mut written.file(), progress, &|source| {
            self.unwritable(source)
        })?;
        // What was written is read, not what has the name: that may be removed at any time.
        let file = written.file().try_clone().map_err(|source| self.unwritable(source))?;
        // Another moby may have been faster, and Windows replaces no file that is being read.
        written.persist().ok();
        drop(lock);
        FileBlob::new(file).map_err(|source| self.unwritable(source))
    }

    fn unwritable(&self, source: io::Error) -> Error {
        Error::Write {
            folder: self.folder.clone().unwrap_or_else(std::env::temp_dir),
            source,
        }
    }
}

/// A layer that is, or will turn out to be, what its diff_id says.
fn known(layer: &Layer, blob: FileBlob) -> Arc<FileBlob> {
    Arc::new(blob.with_digest(layer.diff_id.as_bytes()))
}

fn whole(kept: Arc<FileBlob>) -> Extents {
    Extents::from_slice(Slice::whole(kept))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::fs;

    use super::*;
    use crate::oci::{Location, Writer};

    /// A layer of noise in a file outside of the cache, so that no image of the cache needs it.
    fn layer(folder: &Path) -> (Layer, Vec<u8>) {
        let noise: Vec<u8> = (0..900_000u32)
            .map(|i| (i.wrapping_mul(2_654_435_761) >> 13) as u8)
            .collect();
        let file = folder.join("layer");
        fs::write(&file, &noise).unwrap();
        let layer = Layer {
            image: "example.org/noise".into(),
            location: Location { file, member: None },
            expected: None,
            diff_id: digest_of(&Extents::from_bytes(noise.clone())).unwrap(),
        };
        (layer, noise)
    }

    fn read(blob: &Arc<FileBlob>) -> Vec<u8> {
        whole(blob.clone()).to_vec().unwrap()
    }

    #[test]
    fn a_cache_may_be_cleaned_while_it_is_used() {
        let folder = tempfile::tempdir().unwrap();
        let cache = folder.path().join("cache");
        let (layer, noise) = layer(folder.path());
        let clean = || Writer::open(&cache).unwrap().clean().unwrap().files;
        // While it is decompressed.
        let layers = Layers::new(Some(&cache));
        let blob = layers.get_telling(&layer, &|_| assert_eq!(clean(), 0)).unwrap();
        assert!(read(&blob) == noise);
        assert_eq!(fs::read_dir(cache.join("moby/layers/sha256")).unwrap().count(), 1);
        // While one that is kept is read.
        let mut deferred = Layers::new(Some(&cache));
        deferred.defer();
        let kept = [
            Layers::new(Some(&cache)).get(&layer).unwrap(),
            deferred.get(&layer).unwrap(),
        ];
        assert_eq!(clean(), 1);
        assert!(kept.iter().chain([&blob]).all(|blob| read(blob) == noise));
        deferred.settle().unwrap();
    }

    #[test]
    fn files_of_builds_that_run_stay_and_those_of_others_go() {
        let folder = tempfile::tempdir().unwrap();
        let kept = folder.path().join("moby/layers/sha256");
        fs::create_dir_all(&kept).unwrap();
        fs::write(kept.join(format!("{}1", emit::TEMP_PREFIX)), "half").unwrap();
        let build = lock::decompressing(folder.path()).unwrap();
        assert_eq!(Writer::open(folder.path()).unwrap().clean().unwrap().files, 0);
        drop(build);
        assert_eq!(Writer::open(folder.path()).unwrap().clean().unwrap().files, 1);
    }
}
