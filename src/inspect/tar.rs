//! Tar archives, read by the crate `tar`: root filesystems, container images, OVA appliances,
//! disks for Google Cloud.

use std::collections::BTreeMap;
use std::io::{self, Read};

use extents::Extents;
use indicatif::BinaryBytes;
use serde_json::Value;
use tar::{Archive, EntryType};

use super::compressed::copy;
use super::contents::{Contents, Descend, text};
use super::source::Source;
use super::{Error, lazy};

const FORMAT: &str = "tar archive";
/// Number of entries that are read.
const MAX_ENTRIES: u64 = 4 << 20;

/// Lists the files of a tar archive.
///
/// # Errors
/// A truncated archive, or one that the reader rejects.
pub fn open(head: &[u8], content: &Extents) -> Result<Option<Contents>, Error> {
    if head.get(257..262) != Some(b"ustar") {
        return Ok(None);
    }
    let rejected = |error: io::Error| Error::reader(FORMAT, error);
    let mut archive = Archive::new(Source::new(content.clone()));
    let mut files: BTreeMap<String, Extents> = BTreeMap::new();
    for (index, entry) in archive.entries_with_seek().map_err(rejected)?.enumerate() {
        if index as u64 >= MAX_ENTRIES {
            return Err(Error::TooMany {
                format: FORMAT,
                items: "entries",
                limit: MAX_ENTRIES,
            });
        }
        let entry = entry.map_err(rejected)?;
        let path = relative(&entry.path_bytes());
        let len = entry.size();
        match entry.header().entry_type() {
            EntryType::Regular | EntryType::Continuous if !path.ends_with('/') => {
                let file = content.part(entry.raw_file_position(), len);
                if file.len() < len {
                    return Err(Error::Truncated {
                        format: FORMAT,
                        found: format!("{path} has {} of {len} bytes", file.len()),
                    });
                }
                files.insert(path, file);
            }
            EntryType::GNUSparse => {
                let content = content.clone();
                let file = lazy::file(len, move |out| {
                    let mut archive = Archive::new(Source::new(content.clone()));
                    let entry = archive.entries_with_seek()?.nth(index);
                    let mut entry = entry.ok_or(io::ErrorKind::NotFound)??;
                    copy(|buf| entry.read(buf), out)
                });
                files.insert(path, file);
            }
            EntryType::Link => {
                let target = entry.link_name_bytes().map(|target| relative(&target));
                if let Some(file) = target.and_then(|target| files.get(&target)).cloned() {
                    files.insert(path, file);
                }
            }
            _ => {}
        }
    }
    Ok(Some(Contents {
        summary: format!(
            "{}, {}, {} files",
            kind(&files),
            BinaryBytes(content.len()),
            files.len()
        ),
        details: Vec::new(),
        files: files.into_iter().collect(),
        descend: Descend::Boot,
    }))
}

/// Returns a path without `./` or `/` in front.
fn relative(path: &[u8]) -> String {
    let path = String::from_utf8_lossy(path);
    path.trim_start_matches("./").trim_start_matches('/').to_owned()
}

/// Names the format that is built on tar, by the files that it prescribes.
fn kind(files: &BTreeMap<String, Extents>) -> String {
    let json = |name: &str| -> Option<Value> { serde_json::from_str(&text(files.get(name)?)?).ok() };
    if files.contains_key("oci-layout") {
        let index = json("index.json").unwrap_or_default();
        let images = index.pointer("/manifests").and_then(Value::as_array);
        let names = images.into_iter().flatten().filter_map(|image| {
            let name = image.pointer("/annotations/org.opencontainers.image.ref.name");
            name.and_then(Value::as_str)
        });
        return format!("OCI archive ({})", names.collect::<Vec<_>>().join(", "));
    }
    if let Some(Value::Array(images)) = json("manifest.json") {
        let tags = images
            .iter()
            .filter_map(|image| image.pointer("/RepoTags").and_then(Value::as_array))
            .flatten()
            .filter_map(Value::as_str);
        return format!("Docker archive ({})", tags.collect::<Vec<_>>().join(", "));
    }
    if files.keys().any(|name| name.ends_with(".ovf")) {
        "OVA appliance".into()
    } else if files.contains_key("Dockerfile") {
        "tar archive with a Dockerfile".into()
    } else {
        FORMAT.into()
    }
}
