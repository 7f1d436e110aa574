//! Tars, read by the crate `tar`: root filesystems, images of containers, appliances, Google's
//! disks.

use std::collections::BTreeMap;
use std::io::{self, Read};

use extents::Extents;
use serde_json::Value;
use tar::{Archive, EntryType};

use super::compressed::copy;
use super::source::Source;
use super::{Inside, Look, lazy, text};

/// The files of a tar.
pub fn tar(head: &[u8], content: &Extents) -> Result<Option<Inside>, String> {
    if head.get(257..262) != Some(b"ustar") {
        return Ok(None);
    }
    let wrong = |error: io::Error| format!("its tar cannot be read: {error}");
    let mut archive = Archive::new(Source::new(content.clone()));
    let mut files: BTreeMap<String, Extents> = BTreeMap::new();
    for (index, entry) in archive.entries_with_seek().map_err(wrong)?.enumerate() {
        let entry = entry.map_err(wrong)?;
        let name = |bytes: &[u8]| {
            let name = String::from_utf8_lossy(bytes);
            name.trim_start_matches("./").trim_start_matches('/').to_owned()
        };
        let path = name(&entry.path_bytes());
        let len = entry.size();
        match entry.header().entry_type() {
            EntryType::Regular | EntryType::Continuous if !path.ends_with('/') => {
                let file = content.part(entry.raw_file_position(), len);
                if file.len() < len {
                    return Err(format!("its tar is cut: {path} has {} of {len} bytes", file.len()));
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
                let target = entry.link_name_bytes().map(|target| name(&target));
                if let Some(file) = target.and_then(|target| files.get(&target)).cloned() {
                    files.insert(path, file);
                }
            }
            _ => {}
        }
    }
    Ok(Some(Inside {
        what: format!("{} of {} bytes with {} files", what(&files), content.len(), files.len()),
        files: files.into_iter().collect(),
        look: Look::Boot,
    }))
}

/// What kind of tar it is.
fn what(files: &BTreeMap<String, Extents>) -> String {
    let json = |name: &str| -> Option<Value> { serde_json::from_str(&text(files.get(name)?)?).ok() };
    let mut names = Vec::new();
    if files.contains_key("oci-layout") {
        let index = json("index.json").unwrap_or_default();
        for image in index
            .pointer("/manifests")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
        {
            let name = image.pointer("/annotations/org.opencontainers.image.ref.name");
            names.extend(name.and_then(Value::as_str).map(ToOwned::to_owned));
        }
        return format!("OCI archive ({})", names.join(", "));
    }
    if let Some(Value::Array(images)) = json("manifest.json") {
        for image in &images {
            let tags = image.pointer("/RepoTags").and_then(Value::as_array);
            names.extend(
                tags.into_iter()
                    .flatten()
                    .filter_map(Value::as_str)
                    .map(ToOwned::to_owned),
            );
        }
        return format!("archive for docker load ({})", names.join(", "));
    }
    match () {
        () if files.keys().any(|name| name.ends_with(".ovf")) => "appliance (OVA)".into(),
        () if files.contains_key("Dockerfile") => "tar with a Dockerfile".into(),
        () => "tar".into(),
    }
}
