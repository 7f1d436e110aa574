//! Planning an archive from a tree.

use std::collections::BTreeMap;

use extents::Extents;
use tree::{Device, Item, Kind, Tree, show};

use crate::{LARGEST, LONGEST_NAME, MAGIC, TRAILER};

/// The inode number of the first entry.
const FIRST_INODE: u32 = 721;
/// The archive is filled to a multiple of this many bytes.
const END: u64 = 512;

/// What the format cannot hold.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The size of a file does not fit eight hexadecimal digits.
    #[error(
        "{} has {size} bytes; a file in an initrd can have at most {LARGEST} (4 GiB less one)",
        show(path)
    )]
    TooLarge {
        /// Its path.
        path: Vec<u8>,
        /// Its size in bytes.
        size: u64,
    },
    /// The kernel skips names that are longer than PATH_MAX.
    #[error("the path {}... has {len} bytes; in an initrd it can have at most {}", show(path.get(..60).unwrap_or(path)), LONGEST_NAME - 1)]
    LongName {
        /// Its path.
        path: Vec<u8>,
        /// Its length in bytes.
        len: u64,
    },
    /// The name that ends an archive.
    #[error("{} cannot be in an initrd: it would be its end", show(path))]
    Trailer {
        /// Its path.
        path: Vec<u8>,
    },
    /// More nodes than there are inode numbers.
    #[error("an initrd can have at most {} files", u32::MAX - FIRST_INODE)]
    TooMany,
}

/// Plans the archive of a tree, in the order of [`Tree::walk`]; the names of a node with
/// several follow each other where the first of them stands in that order and all their
/// folders are there already.
///
/// # Errors
/// What newc or the kernel has no room for, with the path.
pub fn plan(tree: &Tree) -> Result<Extents, Error> {
    let mut names: BTreeMap<usize, Vec<Vec<u8>>> = BTreeMap::new();
    for item in tree.walk().filter(shares_inode) {
        names.entry(item.id.index()).or_default().push(item.path);
    }
    let mut archive = Extents::new();
    let mut inode = FIRST_INODE;
    for item in tree.walk() {
        if item.path.is_empty() {
            if !item.node.meta.implied {
                entry(&mut archive, b".", &item, inode, 2, true)?;
                inode += 1;
            }
            continue;
        }
        if shares_inode(&item) {
            let names = names.entry(item.id.index()).or_default();
            // Only at the last of the names do all their folders exist.
            if names.last() != Some(&item.path) {
                continue;
            }
            let count = names.len() as u32;
            for (at, name) in names.iter().enumerate() {
                let last = at + 1 == names.len();
                entry(&mut archive, name, &item, inode, count, last)?;
            }
        } else {
            let links = if item.node.kind.is_directory() { 2 } else { 1 };
            entry(&mut archive, &item.path, &item, inode, links, true)?;
        }
        inode = inode.checked_add(1).ok_or(Error::TooMany)?;
    }
    let header = Header {
        inode,
        links: 1,
        ..Header::default()
    };
    archive.push_bytes(header.encode(TRAILER));
    archive.align_to(END);
    Ok(archive)
}

/// Whether other names follow the same inode. The kernel makes a symbolic link anew for each
/// of its names, so each gets its own with its target.
fn shares_inode(item: &Item<'_>) -> bool {
    item.node.names() > 1 && !matches!(item.node.kind, Kind::Symlink(_))
}

fn entry(
    archive: &mut Extents,
    path: &[u8],
    item: &Item<'_>,
    inode: u32,
    links: u32,
    content: bool,
) -> Result<(), Error> {
    if path.len() as u64 >= LONGEST_NAME {
        return Err(Error::LongName {
            path: path.to_vec(),
            len: path.len() as u64,
        });
    }
    if path == TRAILER {
        return Err(Error::Trailer { path: path.to_vec() });
    }
    let meta = &item.node.meta;
    let (format, device, target) = match &item.node.kind {
        Kind::Directory(_) => (0o04_0000, Device::default(), None),
        Kind::File(_) => (0o10_0000, Device::default(), None),
        Kind::Symlink(target) => (0o12_0000, Device::default(), Some(target)),
        Kind::CharDevice(device) => (0o02_0000, *device, None),
        Kind::BlockDevice(device) => (0o06_0000, *device, None),
        Kind::Fifo => (0o01_0000, Device::default(), None),
        Kind::Socket => (0o14_0000, Device::default(), None),
    };
    let data = match (&item.node.kind, target) {
        (Kind::File(data), _) if content => data.clone(),
        (_, Some(target)) if content => Extents::from_bytes(target.as_slice()),
        _ => Extents::new(),
    };
    let size = u32::try_from(data.len()).map_err(|_| Error::TooLarge {
        path: path.to_vec(),
        size: data.len(),
    })?;
    let header = Header {
        inode,
        mode: format | (meta.mode & 0o7777),
        uid: meta.uid,
        gid: meta.gid,
        links,
        // Time has 32 bits here; those before 1970 and after 2106 become the nearest.
        mtime: meta.mtime.seconds.clamp(0, i64::from(u32::MAX)) as u32,
        size,
        device,
    };
    archive.push_bytes(header.encode(path));
    archive.push(&data);
    archive.align_to(4);
    Ok(())
}

#[derive(Default)]
struct Header {
    inode: u32,
    mode: u32,
    uid: u32,
    gid: u32,
    links: u32,
    mtime: u32,
    size: u32,
    device: Device,
}

impl Header {
    /// The header, the name with its NUL, and the padding.
    fn encode(&self, name: &[u8]) -> Vec<u8> {
        let mut bytes = MAGIC.to_vec();
        let numbers = [
            self.inode,
            self.mode,
            self.uid,
            self.gid,
            self.links,
            self.mtime,
            self.size,
            // The device that the archive's files are on; it only has to be one and the same.
            3,
            1,
            self.device.major,
            self.device.minor,
            name.len() as u32 + 1,
            0,
        ];
        for number in numbers {
            bytes.extend(format!("{number:08x}").bytes());
        }
        bytes.extend(name);
        bytes.push(0);
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        bytes
    }
}
