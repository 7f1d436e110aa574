//! Planning of an archive from a tree.

use std::collections::BTreeMap;
use std::sync::Arc;

use extents::{Blob, Extents, Slice};
use tree::{Kind, NodeId, Tree, show};

use crate::BLOCK;
use crate::encode::MAX_7_DIGITS;
use crate::headers::Headers;

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
    let mut headers = Headers::new(tree.clone());
    let mut holders = holders(tree);
    let mut links = Vec::new();
    // Directories that are open, each with the length of its path and its header.
    let mut open: Vec<(usize, u32)> = Vec::new();
    for named in tree.walk() {
        let slash = named.path.iter().rposition(|&byte| byte == b'/');
        while open.last().is_some_and(|(len, _)| *len > slash.unwrap_or(0)) {
            open.pop();
        }
        let parent = open.last().map_or(0, |(_, header)| *header);
        let name = named.path.get(slash.map_or(0, |slash| slash + 1)..).unwrap_or_default();
        let holder = holders.get_mut(&named.id);
        if let Some(holder) = &holder
            && holder.path != named.path
        {
            links.push((named.id, parent, name.to_vec()));
            continue;
        }
        match &named.node.kind {
            Kind::Socket => return Err(Error::Socket { path: named.path }),
            Kind::CharDevice(device) | Kind::BlockDevice(device)
                if u64::from(device.major.max(device.minor)) > MAX_7_DIGITS =>
            {
                return Err(Error::Device {
                    path: named.path,
                    major: device.major,
                    minor: device.minor,
                });
            }
            _ => {}
        }
        let header = headers.push(named.id, parent, name);
        if let Some(holder) = holder {
            holder.header = header;
        }
        if named.node.kind.is_directory() {
            open.push((named.path.len(), header));
        }
    }
    for (id, parent, name) in links {
        if let Some(holder) = holders.get(&id) {
            headers.push_link(id, parent, &name, holder.header);
        }
    }
    Ok(archive(tree, headers))
}

/// Puts the contents between the headers.
fn archive(tree: &Tree, headers: Headers) -> Extents {
    let headers = Arc::new(headers);
    let blob: Arc<dyn Blob> = headers.clone();
    let mut archive = Extents::new();
    // Headers without contents between them are one slice.
    let push_headers = |archive: &mut Extents, start: u64, end: u64| {
        if let Some(slice) = Slice::new(blob.clone(), start, end - start) {
            archive.push_slice(slice);
        }
    };
    let (mut start, mut end) = (0, 0);
    for header in headers.iter() {
        end = header.start + header.len;
        if let Kind::File(content) = &tree.node(header.node).kind
            && !header.is_link
            && !content.is_empty()
        {
            push_headers(&mut archive, start, end);
            archive.push(content);
            archive.align_to(BLOCK);
            start = end;
        }
    }
    push_headers(&mut archive, start, end);
    archive.push_zeros(2 * BLOCK);
    archive
}

/// Name that holds the content of a node with several names.
struct Holder {
    /// True for a name that is marked as a link.
    is_link: bool,
    path: Vec<u8>,
    /// Number of its header.
    header: u32,
}

/// Finds the name that holds the content of each node with several: the first that is not marked
/// as a link, otherwise the first.
fn holders(tree: &Tree) -> BTreeMap<NodeId, Holder> {
    let mut holders: BTreeMap<NodeId, Holder> = BTreeMap::new();
    for named in tree.walk().filter(|named| named.node.nlink() > 1) {
        let candidate = Holder {
            is_link: named.link,
            path: named.path,
            header: 0,
        };
        match holders.get_mut(&named.id) {
            Some(holder) => {
                if (candidate.is_link, &candidate.path) < (holder.is_link, &holder.path) {
                    *holder = candidate;
                }
            }
            None => {
                holders.insert(named.id, candidate);
            }
        }
    }
    holders
}
