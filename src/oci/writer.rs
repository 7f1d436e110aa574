//! A layout folder that is written to: blobs under their digests, and names in `index.json`.
//! LinuxKit, skopeo and umoci may use the same folder.

use std::collections::BTreeSet;
use std::fs::{DirEntry, File};
use std::io;
use std::path::{Path, PathBuf};

use extents::{Extents, emit};
use oci_spec::image::{Descriptor, ImageIndex, ImageManifest};
use serde_json::{Value, json};

use super::graph::{ImageGraph, blob_path, set};
use super::layout::{REF_NAME, is_index, name_among, plain};
use super::{Error, Layout, lock};

/// A layout folder, kept from other mobys as long as this exists.
#[derive(Debug)]
pub struct Writer {
    folder: PathBuf,
    _lock: File,
}

/// What cleaning did.
#[derive(Clone, Copy, Debug, Default)]
pub struct Cleaned {
    /// How many files were removed.
    pub files: u64,
    /// How long they were, in bytes.
    pub bytes: u64,
}

impl Writer {
    /// Opens a layout folder, and makes it when it is not there. Waits for another moby that
    /// writes to it.
    ///
    /// # Errors
    /// A folder that cannot be made or written, and an `index.json` that cannot be read: what would be
    /// written in its place would have lost the names of all images.
    pub fn open(folder: &Path) -> Result<Writer, Error> {
        let opened = lock::file(folder, lock::WRITER).and_then(|file| file.lock().map(|()| file));
        let lock = opened.map_err(|source| update(&folder.join(lock::WRITER), source))?;
        let blobs = folder.join("blobs/sha256");
        std::fs::create_dir_all(&blobs).map_err(|source| update(&blobs, source))?;
        let writer = Writer {
            folder: folder.to_owned(),
            _lock: lock,
        };
        if !folder.join("oci-layout").exists() {
            writer.replace("oci-layout", &json!({"imageLayoutVersion": "1.0.0"}))?;
        }
        writer.index()?;
        Ok(writer)
    }

    /// The folder of the blobs, which is good for temporary files too.
    pub fn blobs(&self) -> PathBuf {
        self.folder.join("blobs/sha256")
    }

    /// Writes the blobs of an image that are not there yet.
    ///
    /// # Errors
    /// A folder that cannot be written.
    pub fn write(&self, bundle: &ImageGraph) -> Result<(), Error> {
        for blob in &bundle.blobs {
            let path = self.folder.join(blob_path(&blob.digest));
            let there = std::fs::metadata(&path).is_ok_and(|file| file.len() == blob.content.len());
            // What is there may be damaged: the same bytes are written in its place.
            if !there || super::graph::digest_of(&file(&path)?).ok().as_ref() != Some(&blob.digest) {
                emit::to_path(&blob.content, &path).map_err(|source| update(&path, source))?;
            }
        }
        Ok(())
    }

    /// A blob of JSON that is there, when it is.
    ///
    /// # Errors
    /// A blob that cannot be read, or is no JSON.
    pub fn json(&self, digest: &str) -> Result<Option<Value>, Error> {
        read(&self.folder.join(blob_path(digest)))
    }

    /// The descriptors that are known by a name.
    ///
    /// # Errors
    /// An `index.json` that cannot be read.
    pub fn named(&self, name: &str) -> Result<Vec<Value>, Error> {
        let (_, mut entries) = self.index()?;
        entries.retain(|entry| is_named(entry, name));
        Ok(entries)
    }

    /// Gives a name to the blob of a descriptor, and takes it from others.
    ///
    /// # Errors
    /// An `index.json` that cannot be read, and a folder that cannot be written.
    pub fn name(&self, name: &str, mut descriptor: Value) -> Result<(), Error> {
        set(&mut descriptor, "annotations", json!({ REF_NAME: name }));
        let (top, mut entries) = self.index()?;
        entries.retain(|entry| !is_named(entry, name));
        entries.push(descriptor);
        self.set_index(top, entries)
    }

    /// Removes a name. Says whether it was there.
    ///
    /// # Errors
    /// As [`Writer::name`].
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

    /// Removes blobs that no name leads to, decompressed layers that no image has, and what
    /// interrupted work left.
    ///
    /// # Errors
    /// A layout that cannot be read, and files that cannot be removed.
    pub fn clean(&self) -> Result<Cleaned, Error> {
        let (blobs, diff_ids) = self.reachable()?;
        let mut cleaned = Cleaned::default();
        // Builds put layers there, and take no other lock.
        let alone = lock::nobody_decompresses(&self.folder);
        let own = self.folder.join("moby/layers/sha256");
        for (folder, keep, unfinished) in [(self.blobs(), blobs, true), (own, diff_ids, alone.is_some())] {
            let Ok(files) = std::fs::read_dir(&folder) else {
                continue;
            };
            for file in files.flatten() {
                let name = file.file_name().to_string_lossy().into_owned();
                if keep.contains(&name) || (!unfinished && name.starts_with(emit::TEMP_PREFIX)) {
                    continue;
                }
                cleaned.bytes += match remove(&file) {
                    Ok(Some(bytes)) => bytes,
                    Ok(None) => continue,
                    Err(source) => return Err(update(&file.path(), source)),
                };
                cleaned.files += 1;
            }
        }
        Ok(cleaned)
    }

    /// The hexadecimal digits of all blobs that names lead to, and of the layers decompressed.
    fn reachable(&self) -> Result<(BTreeSet<String>, BTreeSet<String>), Error> {
        let (mut blobs, mut diff_ids) = (BTreeSet::new(), BTreeSet::new());
        if !self.folder.join("index.json").exists() {
            return Ok((blobs, diff_ids));
        }
        let layout = Layout::open(&self.folder)?;
        let hex = |descriptor: &Descriptor| descriptor.digest().digest().to_owned();
        let mut open: Vec<Descriptor> = layout.descriptors().map(|(_, descriptor)| descriptor.clone()).collect();
        while let Some(descriptor) = open.pop() {
            // Seen before, or not here, as the other platforms of an index.
            if !blobs.insert(hex(&descriptor)) || !layout.has_blob(&descriptor) {
                continue;
            }
            let name = descriptor.digest().to_string();
            if is_index(descriptor.media_type()) {
                let index: ImageIndex = layout.json(&name, &descriptor, "an image index")?;
                open.extend(index.manifests().iter().cloned());
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

    /// `index.json`, and the descriptors in it: none when there is no such file, which is the only case
    /// that may be taken for an empty one.
    fn index(&self) -> Result<(Value, Vec<Value>), Error> {
        let path = self.folder.join("index.json");
        let top = read(&path)?.unwrap_or_else(|| json!({"schemaVersion": 2, "manifests": []}));
        let entries = match top.get("manifests") {
            Some(Value::Array(entries)) => entries.clone(),
            // As Go writes an empty list.
            Some(Value::Null) => Vec::new(),
            _ => return Err(unreadable(&path, "it has no list `manifests`".into())),
        };
        Ok((top, entries))
    }

    fn set_index(&self, mut top: Value, entries: Vec<Value>) -> Result<(), Error> {
        set(&mut top, "manifests", Value::Array(entries));
        self.replace("index.json", &top)
    }

    fn replace(&self, name: &str, value: &Value) -> Result<(), Error> {
        let path = self.folder.join(name);
        let bytes = Extents::from_bytes(value.to_string().into_bytes());
        emit::to_path(&bytes, &path).map_err(|source| update(&path, source))
    }
}

/// Removes a regular file, and returns its length. Nothing when it is none, or when another was faster.
fn remove(file: &DirEntry) -> io::Result<Option<u64>> {
    let removed = file.metadata().and_then(|meta| match meta.is_file() {
        true => std::fs::remove_file(file.path()).map(|()| Some(meta.len())),
        false => Ok(None),
    });
    match removed {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        removed => removed,
    }
}

fn update(path: &Path, source: io::Error) -> Error {
    Error::Update {
        path: path.to_owned(),
        source,
    }
}

fn file(path: &Path) -> Result<Extents, Error> {
    let opened = extents::FileBlob::open(path).map_err(|source| update(path, source))?;
    Ok(Extents::from_slice(extents::Slice::whole(std::sync::Arc::new(opened))))
}

/// Whether a descriptor has a name, with or without `:latest`, as it is listed and found.
fn is_named(entry: &Value, name: &str) -> bool {
    let annotations = entry.get("annotations");
    let its = name_among(|key| annotations?.get(key)?.as_str());
    its.is_some_and(|its| plain(its) == plain(name))
}

/// A file of JSON; nothing when there is no such file.
fn read(path: &Path) -> Result<Option<Value>, Error> {
    let bytes = match std::fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(unreadable(path, error.to_string())),
    };
    let value = serde_json::from_slice(&bytes);
    value.map(Some).map_err(|error| unreadable(path, error.to_string()))
}

fn unreadable(path: &Path, what: String) -> Error {
    Error::Unreadable {
        path: path.to_owned(),
        what,
    }
}
