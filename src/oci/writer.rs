//! Writing to a layout directory: blobs under their digests, and names in `index.json`. LinuxKit, skopeo
//! and umoci may use the same directory.

use std::collections::BTreeSet;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use extents::{Blob, Extents};
use oci_spec::image::{Descriptor, ImageIndex, ImageManifest};
use serde_json::{Value, json};

use super::blob::MAX_JSON;
use super::graph::{ImageGraph, blob_path, set};
use super::layout::{REF_NAME, is_index, name_among, without_latest};
use super::{Error, Layout, Referrers, cached_file, lock, referrers};
use crate::diagnostic::size;

/// Layout directory, locked against other moby processes.
#[derive(Debug)]
pub struct Writer {
    dir: PathBuf,
    _lock: File,
}

/// Result of [`Writer::clean`].
#[derive(Clone, Copy, Debug, Default)]
pub struct Cleaned {
    /// Number of removed files.
    pub files: u64,
    /// Total length of the files, in bytes.
    pub bytes: u64,
}

impl Writer {
    /// Opens a layout directory, or creates it. Waits for other moby processes that write to it.
    ///
    /// # Errors
    /// A directory that cannot be created or written, and an `index.json` that cannot be read: replacing
    /// it would lose the names of all images.
    pub fn open(dir: &Path) -> Result<Writer, Error> {
        let opened = lock::file(dir, lock::WRITER).and_then(|file| file.lock().map(|()| file));
        let lock = opened.map_err(|source| update(&dir.join(lock::WRITER), source))?;
        let blobs = dir.join("blobs/sha256");
        std::fs::create_dir_all(&blobs).map_err(|source| update(&blobs, source))?;
        let writer = Writer {
            dir: dir.to_owned(),
            _lock: lock,
        };
        if !dir.join("oci-layout").exists() {
            writer.replace("oci-layout", &json!({"imageLayoutVersion": "1.0.0"}))?;
        }
        writer.index()?;
        Ok(writer)
    }

    /// Returns the directory of the blobs, where temporary files may be created too.
    pub fn blobs(&self) -> PathBuf {
        self.dir.join("blobs/sha256")
    }

    /// Writes the blobs of an image that are not here yet.
    ///
    /// # Errors
    /// A directory that cannot be written.
    pub fn write(&self, image: &ImageGraph) -> Result<(), Error> {
        for blob in &image.blobs {
            let path = self.dir.join(blob_path(&blob.digest));
            let is_there = std::fs::metadata(&path).is_ok_and(|file| file.len() == blob.content.len());
            // What is corrupt or cannot be read is replaced.
            if !is_there || digest(&path).as_ref() != Some(&blob.digest) {
                cached_file::write(&blob.content, &path).map_err(|source| update(&path, source))?;
            }
        }
        Ok(())
    }

    /// Reads a JSON blob; `None` if it is not here.
    ///
    /// # Errors
    /// A blob that cannot be read or is not JSON.
    pub fn json(&self, digest: &str) -> Result<Option<Value>, Error> {
        read(&self.dir.join(blob_path(digest)))
    }

    /// Returns the descriptors with a name.
    ///
    /// # Errors
    /// An `index.json` that cannot be read.
    pub fn descriptors_named(&self, name: &str) -> Result<Vec<Value>, Error> {
        let (_, mut entries) = self.index()?;
        entries.retain(|entry| is_named(entry, name));
        Ok(entries)
    }

    /// Gives a name to the blob of a descriptor, and takes it from the blob that has it now.
    ///
    /// # Errors
    /// An `index.json` that cannot be read, and a directory that cannot be written.
    pub fn set_name(&self, name: &str, descriptor: Value) -> Result<(), Error> {
        self.set_names(vec![(name.to_owned(), descriptor)])
    }

    /// Gives names to the blobs of descriptors, all at once, and takes them from the blobs that have them
    /// now. If a name is repeated, the last blob gets it.
    ///
    /// # Errors
    /// An `index.json` that cannot be read, and a directory that cannot be written.
    pub fn set_names(&self, named: Vec<(String, Value)>) -> Result<(), Error> {
        if named.is_empty() {
            return Ok(());
        }
        let (top, mut entries) = self.index()?;
        let mut taken: BTreeSet<String> = BTreeSet::new();
        let mut added = Vec::new();
        for (name, mut descriptor) in named.into_iter().rev() {
            if taken.insert(without_latest(&name)) {
                set(&mut descriptor, "annotations", json!({ REF_NAME: name }));
                added.push(descriptor);
            }
        }
        entries.retain(|entry| !name_of(entry).is_some_and(|name| taken.contains(&name)));
        entries.extend(added.into_iter().rev());
        self.set_index(top, entries)
    }

    /// Adds manifests that refer to `digest`, the digest of an image with this name or of a manifest of it, to
    /// those in the layout, and names them.
    ///
    /// # Errors
    /// Signatures in the layout that are corrupt, and a directory that cannot be written.
    pub fn attach(&self, name: &str, digest: &str, referrers: Referrers) -> Result<(), Error> {
        let mut all = if self.dir.join("index.json").exists() {
            Layout::open(&self.dir)?.referrers(digest)?
        } else {
            Referrers::default()
        };
        all.merge(referrers);
        let named = referrers::named(name, &[(digest.to_owned(), all)]);
        for (name, graph) in named.map_err(|source| update(&self.dir, source))? {
            self.write(&graph)?;
            self.set_name(&name, graph.top)?;
        }
        Ok(())
    }

    /// Removes a name; false if there was none.
    ///
    /// # Errors
    /// An `index.json` that cannot be read, and a directory that cannot be written.
    pub fn remove(&self, name: &str) -> Result<bool, Error> {
        let (top, mut entries) = self.index()?;
        let before = entries.len();
        entries.retain(|entry| !is_named(entry, name));
        let found = entries.len() < before;
        if found {
            self.set_index(top, entries)?;
        }
        Ok(found)
    }

    /// Removes unreferenced blobs, cached layers without an image, the cached layers of `corrupt`, temporary
    /// files of killed processes, and what has the name of a blob or layer but is not a file. Files with
    /// other names stay: they are not moby's.
    ///
    /// # Errors
    /// A layout that cannot be read, and files that cannot be removed.
    pub fn clean(&self, corrupt: &[Error]) -> Result<Cleaned, Error> {
        let (blobs, diff_ids) = self.reachable()?;
        let mut cleaned = Cleaned::default();
        // Builds write layers there, and take this lock only.
        let exclusive = lock::exclusive(&self.dir);
        let layers = self.dir.join("moby/layers/sha256");
        for (dir, keep, temporary) in [(self.blobs(), blobs, true), (layers, diff_ids, exclusive.is_some())] {
            let Ok(files) = std::fs::read_dir(&dir) else {
                continue;
            };
            for file in files.flatten() {
                let (name, path) = (file.file_name(), file.path());
                let is_corrupt =
                    |error: &Error| matches!(error, Error::CorruptCache { path: other, .. } if *other == path);
                let is_needed = name.to_str().is_some_and(|name| keep.contains(name))
                    && path.is_file()
                    && !corrupt.iter().any(is_corrupt);
                let is_own = cached_file::is_digest(&name) || (temporary && cached_file::is_temporary(&name));
                if is_needed || !is_own {
                    continue;
                }
                match cached_file::remove(&path) {
                    Ok(Some(bytes)) => cleaned.bytes += bytes,
                    Ok(None) => continue,
                    Err(source) => return Err(update(&path, source)),
                }
                cleaned.files += 1;
            }
        }
        Ok(cleaned)
    }

    /// Returns the hexadecimal digests of all referenced blobs, and the diff_ids of their layers.
    fn reachable(&self) -> Result<(BTreeSet<String>, BTreeSet<String>), Error> {
        let (mut blobs, mut diff_ids) = (BTreeSet::new(), BTreeSet::new());
        if !self.dir.join("index.json").exists() {
            return Ok((blobs, diff_ids));
        }
        let layout = Layout::open(&self.dir)?;
        let hex = |descriptor: &Descriptor| descriptor.digest().digest().to_owned();
        let mut open: Vec<(Option<String>, Descriptor)> = layout
            .descriptors()
            .map(|(name, descriptor)| (name, descriptor.clone()))
            .collect();
        while let Some((image, descriptor)) = open.pop() {
            // Seen before, or another platform of an index that is not here.
            if !blobs.insert(hex(&descriptor)) || !layout.has_blob(&descriptor) {
                continue;
            }
            let name = image.clone().unwrap_or_else(|| descriptor.digest().to_string());
            if is_index(descriptor.media_type()) {
                let index: ImageIndex = layout.json(&name, &descriptor, "an image index")?;
                open.extend(index.manifests().iter().map(|listed| (image.clone(), listed.clone())));
                continue;
            }
            let manifest: ImageManifest = layout.json(&name, &descriptor, "an image manifest")?;
            blobs.extend(manifest.layers().iter().map(hex));
            blobs.insert(hex(manifest.config()));
            let config: Option<Value> = layout.json(&name, manifest.config(), "a configuration").ok();
            let listed = config
                .as_ref()
                .and_then(|config| config.pointer("/rootfs/diff_ids")?.as_array());
            let listed = listed.into_iter().flatten().filter_map(Value::as_str);
            diff_ids.extend(listed.map(|id| id.trim_start_matches("sha256:").to_owned()));
        }
        Ok((blobs, diff_ids))
    }

    /// Reads `index.json` and its descriptors. Only a missing file counts as an empty index.
    fn index(&self) -> Result<(Value, Vec<Value>), Error> {
        let path = self.dir.join("index.json");
        let top = read(&path)?.unwrap_or_else(|| json!({"schemaVersion": 2, "manifests": []}));
        let entries = match top.get("manifests") {
            Some(Value::Array(entries)) => entries.clone(),
            // Go writes an empty list so.
            Some(Value::Null) => Vec::new(),
            _ => return Err(unreadable(&path, "the list `manifests` is missing".into())),
        };
        Ok((top, entries))
    }

    fn set_index(&self, mut top: Value, entries: Vec<Value>) -> Result<(), Error> {
        set(&mut top, "manifests", Value::Array(entries));
        self.replace("index.json", &top)
    }

    fn replace(&self, name: &str, value: &Value) -> Result<(), Error> {
        let path = self.dir.join(name);
        let bytes = Extents::from_bytes(value.to_string().into_bytes());
        cached_file::write(&bytes, &path).map_err(|source| update(&path, source))
    }
}

fn update(path: &Path, source: io::Error) -> Error {
    Error::Update {
        path: path.to_owned(),
        source,
    }
}

/// Returns the digest of a file; `None` if it cannot be read.
fn digest(path: &Path) -> Option<String> {
    let file = extents::FileBlob::open(path).ok()?;
    super::graph::digest_of(&Extents::from_blob(std::sync::Arc::new(file))).ok()
}

/// Returns whether a descriptor has a name, with or without `:latest`.
fn is_named(entry: &Value, name: &str) -> bool {
    name_of(entry).is_some_and(|its| its == without_latest(name))
}

/// Returns the name of a descriptor, without `:latest`.
fn name_of(entry: &Value) -> Option<String> {
    let annotations = entry.get("annotations")?;
    name_among(|key| annotations.get(key)?.as_str()).map(without_latest)
}

/// Reads a JSON file; `None` if there is no such file.
fn read(path: &Path) -> Result<Option<Value>, Error> {
    let mut bytes = Vec::new();
    let opened = extents::FileBlob::open(path).and_then(|blob| {
        if blob.len() > MAX_JSON {
            return Err(io::Error::other(format!(
                "it has {}; at most {} are read",
                size(blob.len()),
                size(MAX_JSON)
            )));
        }
        bytes.resize(blob.len() as usize, 0);
        blob.read_exact_at(&mut bytes, 0)
    });
    match opened {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(unreadable(path, error.to_string())),
    }
    let value = serde_json::from_slice(&bytes);
    value.map(Some).map_err(|error| unreadable(path, error.to_string()))
}

fn unreadable(path: &Path, reason: String) -> Error {
    Error::Unreadable {
        path: path.to_owned(),
        reason,
    }
}
