//! ext4, read by the crate `ext4-view`.

use std::io;

use ext4_view::{Ext4, Ext4Error, FileType, Metadata as Inode};
use extents::Extents;
use indicatif::BinaryBytes;

use super::listing::Listing;
use crate::inspect::compressed::copy;
use crate::inspect::contents::{Contents, Descend, Metadata, Node};
use crate::inspect::source::Source;
use crate::inspect::{Error, lazy, path};

const FORMAT: &str = "ext4 filesystem";
/// Offset of the magic number, in bytes (Documentation/filesystems/ext4/super.rst).
const MAGIC: usize = 1024 + 0x38;

/// Lists the files of an ext4 filesystem.
///
/// # Errors
/// A filesystem that the reader rejects.
pub fn open(head: &[u8], content: &Extents) -> Result<Option<Contents>, Error> {
    if head.get(MAGIC..MAGIC + 2) != Some(&[0x53, 0xef]) {
        return Ok(None);
    }
    let rejected = |error: Ext4Error| Error::reader(FORMAT, error);
    let volume = mount(content).map_err(rejected)?;
    let mut listing = Listing::new(FORMAT);
    let mut directories = vec![(String::new(), ext4_view::PathBuf::new("/"))];
    while let Some((path, directory)) = directories.pop() {
        for entry in volume.read_dir(&directory).map_err(rejected)? {
            let entry = entry.map_err(rejected)?;
            let name = entry.file_name();
            if name == "." || name == ".." {
                continue;
            }
            let path = listing.path(&path, &path::from_bytes(name.as_ref()))?;
            let within = entry.path();
            let inode = entry.metadata().map_err(rejected)?;
            let node = match inode.file_type() {
                FileType::Directory => {
                    directories.push((path.clone(), within));
                    Node::Directory
                }
                FileType::Regular => {
                    let len = inode.len();
                    let content = content.clone();
                    let file = lazy::file(len, move |out| {
                        let mut file = mount(&content)
                            .and_then(|volume| volume.open(&within))
                            .map_err(io::Error::other)?;
                        copy(|buf| file.read_bytes(buf).map_err(io::Error::other), out)
                    });
                    Node::File(file)
                }
                FileType::Symlink => {
                    let target = volume.read_link(&within).map_err(rejected)?;
                    Node::Symlink(target.as_ref().to_vec())
                }
                FileType::CharacterDevice => Node::CharDevice(None),
                FileType::BlockDevice => Node::BlockDevice(None),
                FileType::Fifo => Node::Fifo,
                FileType::Socket => Node::Socket,
            };
            listing.add(path, node, metadata(&inode));
        }
    }
    let label = volume.label().to_str().unwrap_or_default().to_owned();
    Ok(Some(Contents {
        format: FORMAT,
        summary: format!("{FORMAT} {label:?}, {}", BinaryBytes(content.len())),
        details: Vec::new(),
        entries: listing.into_entries(),
        descend: Descend::Boot,
    }))
}

fn metadata(inode: &Inode) -> Metadata {
    Metadata {
        mode: Some(inode.mode().into()),
        owner: Some((inode.uid(), inode.gid())),
        mtime: Some(inode.modified().seconds()),
        xattrs: None,
    }
}

fn mount(content: &Extents) -> Result<Ext4, Ext4Error> {
    Ext4::load(Box::new(Source::new(content.clone())))
}
