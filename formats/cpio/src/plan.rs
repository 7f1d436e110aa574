//! Planning an archive from a tree.

use std::collections::{BTreeMap, BTreeSet};

use extents::Extents;
use tree::{Device, Kind, NamedNode, Tree, show};

use crate::{MAGIC, MAX_FILE_LEN, MAX_NAME_LEN, TRAILER};

/// Length from which the content of a file is a piece, in bytes.
const MIN_LARGE: u64 = 48 << 10;
/// Length at which a piece ends whatever the names of its files, in bytes.
const MAX_PIECE: u64 = 1 << 20;
/// Mean number of paths in a piece.
const MEAN_PATHS: u64 = 64;
/// Length of which the archive is a multiple, in bytes.
const ALIGNMENT: u64 = 512;

/// Reason for which a tree has no archive.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The length of a file does not fit eight hexadecimal digits.
    #[error(
        "{} has {len} bytes, but a file in a cpio archive has at most {MAX_FILE_LEN}",
        show(path)
    )]
    LargeFile {
        /// Path of the file.
        path: Vec<u8>,
        /// Length of the file in bytes.
        len: u64,
    },
    /// The kernel skips names longer than `PATH_MAX`.
    #[error("the path {}... has {len} bytes, but in a cpio archive it has at most {}", show(path.get(..60).unwrap_or(path)), MAX_NAME_LEN - 1)]
    LongName {
        /// Path of the node.
        path: Vec<u8>,
        /// Length of the path in bytes.
        len: u64,
    },
    /// The name is reserved for the end of an archive.
    #[error("{} cannot be in a cpio archive: the name marks its end", show(path))]
    Trailer {
        /// Path of the node.
        path: Vec<u8>,
    },
}

/// A planned archive.
#[derive(Clone, Debug)]
pub struct Archive {
    /// Bytes of the archive.
    pub content: Extents,
    /// Offsets at which pieces end, ascending; the last one is the length of the archive. The content of a large
    /// file is a piece. A hash of each other path decides whether a piece ends there, so a change of one
    /// file leaves the other pieces as they are, at other offsets.
    pub pieces: Vec<u64>,
}

impl Archive {
    fn end_piece(&mut self) {
        let end = self.content.len();
        if self.pieces.last().copied().unwrap_or_default() < end {
            self.pieces.push(end);
        }
    }
}

/// Plans the archive of a tree in the order of [`Tree::walk`]. The names of a node with several
/// follow each other at the position of the last, where all their directories exist.
///
/// # Errors
/// A file, path or number of nodes beyond the limits of the format or the kernel.
pub fn plan(tree: &Tree) -> Result<Extents, Error> {
    Ok(plan_pieces(tree)?.content)
}

/// Plans the archive of a tree as [`plan`] does, and its division into pieces.
///
/// # Errors
/// The errors of [`plan`].
pub fn plan_pieces(tree: &Tree) -> Result<Archive, Error> {
    let mut names: BTreeMap<usize, Vec<Vec<u8>>> = BTreeMap::new();
    for named in tree.walk().filter(shares_inode) {
        names.entry(named.id.index()).or_default().push(named.path);
    }
    let mut archive = Archive {
        content: Extents::new(),
        pieces: Vec::new(),
    };
    let mut inodes = BTreeSet::new();
    for named in tree.walk() {
        if named.path.is_empty() {
            if !named.node.meta.implied {
                entry(&mut archive, b".", &named, 0, 1, true)?;
            }
            continue;
        }
        if shares_inode(&named) {
            let names = names.entry(named.id.index()).or_default();
            if names.last() != Some(&named.path) {
                continue;
            }
            let nlink = names.len() as u32;
            let inode = inode(names.first().unwrap_or(&named.path), &mut inodes);
            for (at, name) in names.iter().enumerate() {
                let last = at + 1 == names.len();
                entry(&mut archive, name, &named, inode, nlink, last)?;
            }
        } else {
            entry(&mut archive, &named.path, &named, 0, 1, true)?;
        }
        let len = archive.content.len() - archive.pieces.last().copied().unwrap_or_default();
        if hash(&named.path).is_multiple_of(MEAN_PATHS) || len >= MAX_PIECE {
            archive.end_piece();
        }
    }
    let header = Header {
        nlink: 1,
        ..Header::default()
    };
    archive.content.push_bytes(header.encode(TRAILER));
    archive.content.align_to(ALIGNMENT);
    archive.end_piece();
    Ok(archive)
}

/// Returns an inode number for a file with several names. It follows from the first of them, so that other files
/// do not change it. Files with one name have the number 0: nothing looks at it.
fn inode(name: &[u8], used: &mut BTreeSet<u32>) -> u32 {
    let mut inode = (hash(name) as u32).max(1);
    // The tree is in memory, so there are fewer files than numbers.
    while !used.insert(inode) {
        inode = inode.wrapping_add(1).max(1);
    }
    inode
}

/// Returns the hash of a path (FNV-1a), with all bits mixed (the finalizer of MurmurHash3).
fn hash(path: &[u8]) -> u64 {
    let hash = path.iter().fold(0xcbf2_9ce4_8422_2325u64, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    });
    let hash = (hash ^ (hash >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    let hash = (hash ^ (hash >> 33)).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    hash ^ (hash >> 33)
}

/// Returns whether the node is stored once for several names. The kernel creates a symbolic link
/// for each of its names, so each of them is stored with the target.
fn shares_inode(named: &NamedNode<'_>) -> bool {
    named.node.nlink() > 1 && !matches!(named.node.kind, Kind::Symlink(_))
}

fn entry(
    archive: &mut Archive,
    path: &[u8],
    named: &NamedNode<'_>,
    inode: u32,
    nlink: u32,
    content: bool,
) -> Result<(), Error> {
    if path.len() as u64 >= MAX_NAME_LEN {
        return Err(Error::LongName {
            path: path.to_vec(),
            len: path.len() as u64,
        });
    }
    if path == TRAILER {
        return Err(Error::Trailer { path: path.to_vec() });
    }
    let meta = &named.node.meta;
    let (format, device, target) = match &named.node.kind {
        Kind::Directory(_) => (0o04_0000, Device::default(), None),
        Kind::File(_) => (0o10_0000, Device::default(), None),
        Kind::Symlink(target) => (0o12_0000, Device::default(), Some(target)),
        Kind::CharDevice(device) => (0o02_0000, *device, None),
        Kind::BlockDevice(device) => (0o06_0000, *device, None),
        Kind::Fifo => (0o01_0000, Device::default(), None),
        Kind::Socket => (0o14_0000, Device::default(), None),
    };
    let data = match (&named.node.kind, target) {
        (Kind::File(data), _) if content => data.clone(),
        (_, Some(target)) if content => Extents::from_bytes(target.as_slice()),
        _ => Extents::new(),
    };
    let size = u32::try_from(data.len()).map_err(|_| Error::LargeFile {
        path: path.to_vec(),
        len: data.len(),
    })?;
    let header = Header {
        inode,
        mode: format | (meta.mode & 0o7777),
        uid: meta.uid,
        gid: meta.gid,
        nlink,
        // The field has 32 bits, so times before 1970 and after 2106 become the nearest.
        mtime: meta.mtime.seconds.clamp(0, i64::from(u32::MAX)) as u32,
        size,
        device,
    };
    archive.content.push_bytes(header.encode(path));
    if data.len() >= MIN_LARGE {
        archive.end_piece();
    }
    archive.content.push(&data);
    if data.len() >= MIN_LARGE {
        archive.end_piece();
    }
    archive.content.align_to(4);
    Ok(())
}

#[derive(Default)]
struct Header {
    inode: u32,
    mode: u32,
    uid: u32,
    gid: u32,
    nlink: u32,
    mtime: u32,
    size: u32,
    device: Device,
}

impl Header {
    /// Encodes the header, the name with its NUL, and the padding.
    fn encode(&self, name: &[u8]) -> Vec<u8> {
        let mut bytes = MAGIC.to_vec();
        let numbers = [
            self.inode,
            self.mode,
            self.uid,
            self.gid,
            self.nlink,
            self.mtime,
            self.size,
            // Device number of the filesystem that the files are on: any, but one for all.
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
