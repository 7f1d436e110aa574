//! Tar archives, read by the crate `tar`: root filesystems, container images, OVA appliances,
//! disks for Google Cloud.

use std::collections::BTreeMap;
use std::io::{self, Read};

use extents::Extents;
use indicatif::BinaryBytes;
use serde_json::Value;
use tar::{Archive, EntryType, Header};
use tree::Device;

use super::compressed::copy;
use super::contents::{Contents, Descend, Entry, Metadata, Node, text};
use super::source::Source;
use super::{Error, lazy, path};

const FORMAT: &str = "tar archive";
/// Prefix of the pax records of extended attributes, as GNU tar and bsdtar have it.
const XATTR: &[u8] = b"SCHILY.xattr.";
/// Number of entries that are read.
const MAX_ENTRIES: u64 = 4 << 20;

/// Lists the entries of a tar archive.
///
/// # Errors
/// A truncated archive, or one that the reader rejects.
pub fn open(head: &[u8], content: &Extents) -> Result<Option<Contents>, Error> {
    if head.get(257..262) != Some(b"ustar") {
        return Ok(None);
    }
    let rejected = |error: io::Error| Error::reader(FORMAT, error);
    let mut archive = Archive::new(Source::new(content.clone()));
    let mut entries: BTreeMap<String, Entry> = BTreeMap::new();
    for (index, entry) in archive.entries_with_seek().map_err(rejected)?.enumerate() {
        if index as u64 >= MAX_ENTRIES {
            return Err(Error::TooMany {
                format: FORMAT,
                items: "entries",
                limit: MAX_ENTRIES,
            });
        }
        let mut entry = entry.map_err(rejected)?;
        let path = relative(&entry.path_bytes());
        let len = entry.size();
        let target = entry.link_name_bytes().map(|target| target.into_owned());
        let node = match entry.header().entry_type() {
            EntryType::Regular | EntryType::Continuous if !path.ends_with('/') => {
                let file = content.part(entry.raw_file_position(), len);
                if file.len() < len {
                    return Err(Error::Truncated {
                        format: FORMAT,
                        found: format!("{path} has {} of {len} bytes", file.len()),
                    });
                }
                Node::File(file)
            }
            EntryType::GNUSparse => {
                let content = content.clone();
                let file = lazy::file(len, move |out| {
                    let mut archive = Archive::new(Source::new(content.clone()));
                    let entry = archive.entries_with_seek()?.nth(index);
                    let mut entry = entry.ok_or(io::ErrorKind::NotFound)??;
                    copy(|buf| entry.read(buf), out)
                });
                Node::File(file)
            }
            EntryType::Link => {
                let target = target.map(|target| relative(&target));
                if let Some(first) = target.and_then(|target| entries.get(&target)).cloned() {
                    entries.insert(path.clone(), Entry { path, ..first });
                }
                continue;
            }
            EntryType::Symlink => Node::Symlink(target.unwrap_or_default()),
            EntryType::Directory => Node::Directory,
            EntryType::Char => Node::CharDevice(device(entry.header())),
            EntryType::Block => Node::BlockDevice(device(entry.header())),
            EntryType::Fifo => Node::Fifo,
            _ => continue,
        };
        let path = path.trim_end_matches('/');
        // The root directory itself.
        if path.is_empty() || path == "." {
            continue;
        }
        let found = Entry {
            path: path.to_owned(),
            node,
            metadata: metadata(&mut entry).map_err(rejected)?,
        };
        entries.insert(path.to_owned(), found);
    }
    let files = entries.values().filter(|entry| entry.content().is_some()).count();
    Ok(Some(Contents {
        format: FORMAT,
        summary: format!("{}, {}, {} files", kind(&entries), BinaryBytes(content.len()), files),
        details: Vec::new(),
        entries: entries.into_values().collect(),
        descend: Descend::Boot,
    }))
}

/// Returns a path without `./` or `/` in front.
fn relative(path: &[u8]) -> String {
    let path = path::from_bytes(path);
    path.trim_start_matches("./").trim_start_matches('/').to_owned()
}

/// Returns the metadata of an entry, with extended attributes and times of pax records.
fn metadata(entry: &mut tar::Entry<'_, impl Read>) -> io::Result<Metadata> {
    let header = entry.header();
    // Fields that are no numbers are left out: only the content matters to a reader.
    let number = |value: io::Result<u64>| value.ok().map(|value| value as i64);
    let (mut uid, mut gid, mut mtime) = (number(header.uid()), number(header.gid()), number(header.mtime()));
    let mode = header.mode().ok().map(|mode| mode & 0o7777);
    let mut xattrs = BTreeMap::new();
    for record in entry.pax_extensions()?.into_iter().flatten() {
        let record = record?;
        let text = || record.value().unwrap_or_default();
        match record.key_bytes() {
            b"uid" => uid = text().parse().ok().or(uid),
            b"gid" => gid = text().parse().ok().or(gid),
            // A fraction of a second may follow.
            b"mtime" => {
                mtime = text()
                    .split('.')
                    .next()
                    .and_then(|seconds| seconds.parse().ok())
                    .or(mtime)
            }
            key => {
                if let Some(name) = key.strip_prefix(XATTR) {
                    xattrs.insert(name.to_vec(), record.value_bytes().to_vec());
                }
            }
        }
    }
    Ok(Metadata {
        mode,
        owner: uid.zip(gid).map(|(uid, gid)| (uid as u32, gid as u32)),
        mtime,
        xattrs: Some(xattrs),
    })
}

fn device(header: &Header) -> Option<Device> {
    Some(Device {
        major: header.device_major().ok()??,
        minor: header.device_minor().ok()??,
    })
}

/// Names the format that is built on tar, by the files that it prescribes.
fn kind(entries: &BTreeMap<String, Entry>) -> String {
    let json = |name: &str| -> Option<Value> { serde_json::from_str(&text(entries.get(name)?.content()?)?).ok() };
    if entries.contains_key("oci-layout") {
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
    if entries.keys().any(|name| name.ends_with(".ovf")) {
        "OVA appliance".into()
    } else if entries.contains_key("Dockerfile") {
        "tar archive with a Dockerfile".into()
    } else {
        FORMAT.into()
    }
}
