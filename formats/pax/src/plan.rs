//! Planning of an archive from a tree.

use std::collections::BTreeMap;
use std::sync::Arc;

use extents::{Blob, Extents, Slice};
use tree::{Device, Kind, Meta, NodeId, Tree, show};

use crate::BLOCK;
use crate::encode::{Attributes, Fields, MAX_7_DIGITS};
use crate::headers::Builder;

/// Reason for which a tree has no archive.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// No type of entry stores a socket.
    #[error("{} is a socket, which a tar archive cannot store", show(path))]
    Socket {
        /// Path of the node.
        path: Vec<u8>,
    },
    /// A device number of more than seven octal digits.
    #[error(
        "{} has the device number {major}:{minor}, but a tar archive stores numbers up to 2097151",
        show(path)
    )]
    Device {
        /// Path of the node.
        path: Vec<u8>,
        /// Number of the driver.
        major: u32,
        /// Number of the device.
        minor: u32,
    },
}

/// Plans the archive of a tree: every name once, in the order of [`Tree::walk`], then the hard
/// links to the names that hold the contents, and two zero blocks. Implied directories are left
/// out, since every program that unpacks an archive creates them.
///
/// # Errors
/// A socket, and a device number beyond the limit of the format.
pub fn plan(tree: &Tree) -> Result<Extents, Error> {
    let mut parts = Parts::default();
    let holders = holders(tree);
    let mut links = Vec::new();
    for item in tree.walk() {
        let meta = &item.node.meta;
        if meta.implied {
            continue;
        }
        let path: &[u8] = if item.path.is_empty() { b"." } else { &item.path };
        if let Some(holder) = holders.get(&item.id)
            && *holder != item.path
        {
            links.push((item.path, holder, meta));
            continue;
        }
        let none = Device::default();
        match &item.node.kind {
            Kind::Directory(_) => parts.push(path, meta, b'5', b"", none, None),
            Kind::File(content) => parts.push(path, meta, b'0', b"", none, Some(content)),
            Kind::Symlink(target) => parts.push(path, meta, b'2', target, none, None),
            Kind::CharDevice(device) | Kind::BlockDevice(device) => {
                let flag = if matches!(item.node.kind, Kind::CharDevice(_)) {
                    b'3'
                } else {
                    b'4'
                };
                if u64::from(device.major.max(device.minor)) > MAX_7_DIGITS {
                    return Err(Error::Device {
                        path: item.path,
                        major: device.major,
                        minor: device.minor,
                    });
                }
                parts.push(path, meta, flag, b"", *device, None);
            }
            Kind::Fifo => parts.push(path, meta, b'6', b"", none, None),
            Kind::Socket => return Err(Error::Socket { path: item.path }),
        }
    }
    for (path, holder, meta) in links {
        parts.push(&path, meta, b'1', holder, Device::default(), None);
    }
    Ok(parts.finish())
}

/// Headers, each with its length in bytes and the content that follows it.
#[derive(Default)]
struct Parts<'a> {
    headers: Builder,
    entries: Vec<(u64, Option<&'a Extents>)>,
}

impl<'a> Parts<'a> {
    fn push(
        &mut self,
        path: &[u8],
        meta: &Meta,
        typeflag: u8,
        link: &[u8],
        device: Device,
        content: Option<&'a Extents>,
    ) {
        let fields = Fields {
            path,
            link,
            typeflag,
            mode: meta.mode,
            uid: meta.uid,
            gid: meta.gid,
            mtime: meta.mtime,
            device,
            size: content.map_or(0, Extents::len),
        };
        let attributes = Attributes {
            xattrs: meta.xattrs.clone(),
            records: meta.records.clone(),
        };
        let len = self.headers.push(&fields, attributes);
        self.entries.push((len, content));
    }

    fn finish(self) -> Extents {
        let headers: Arc<dyn Blob> = Arc::new(self.headers.finish());
        let mut archive = Extents::new();
        let mut start = 0;
        for (len, content) in self.entries {
            if let Some(slice) = Slice::new(headers.clone(), start, len) {
                archive.push_slice(slice);
            }
            start += len;
            if let Some(content) = content {
                archive.push(content);
                archive.align_to(BLOCK);
            }
        }
        archive.push_zeros(2 * BLOCK);
        archive
    }
}

/// Finds the name that holds the content of each node with several: the first that is not marked
/// as a link, otherwise the first.
fn holders(tree: &Tree) -> BTreeMap<NodeId, Vec<u8>> {
    let mut holders: BTreeMap<NodeId, (bool, Vec<u8>)> = BTreeMap::new();
    for item in tree.walk().filter(|item| item.node.nlink() > 1) {
        let name = (item.link, item.path);
        let holder = holders.entry(item.id).or_insert_with(|| name.clone());
        if name < *holder {
            *holder = name;
        }
    }
    holders.into_iter().map(|(id, (_, path))| (id, path)).collect()
}
