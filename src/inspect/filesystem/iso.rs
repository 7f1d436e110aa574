//! ISO 9660, read by the crate `hadris-iso`.

use std::io;

use extents::Extents;
use hadris_fs::sync::Volume;
use hadris_fs::{FileType, Metadata as Inode, MountOptions, OpenOptions};
use hadris_iso::sync::IsoFs;
use indicatif::BinaryBytes;
use tree::Device;

use super::listing::Listing;
use crate::inspect::compressed::copy;
use crate::inspect::contents::{Contents, Descend, Metadata, Node};
use crate::inspect::source::Source;
use crate::inspect::{Error, lazy, partitions, path};

const FORMAT: &str = "ISO 9660 filesystem";

/// Lists the files of an ISO image, and the partitions of a hybrid one.
///
/// # Errors
/// A filesystem that the reader rejects.
pub fn open(head: &[u8], content: &Extents) -> Result<Option<Contents>, Error> {
    if head.get(0x8001..0x8006) != Some(b"CD001") {
        return Ok(None);
    }
    let volume = mount(content)?;
    let mut listing = Listing::new(FORMAT);
    let mut walk = volume.walk("/").map_err(|error| Error::reader(FORMAT, error))?;
    while let Some(item) = walk.next_entry() {
        let item = item.map_err(|error| Error::reader(FORMAT, error))?;
        let within = item.path().to_vec();
        let path = listing.path("", path::from_bytes(&within).trim_start_matches('/'))?;
        let metadata = item.entry().metadata();
        // Old images, and moby's, have both numbers in the second one (Linux, fs/isofs/rock.c).
        let device = metadata.device().map(|device| match (device.major(), device.minor()) {
            (0, both) if both > 0xff => Device {
                major: both >> 8,
                minor: both & 0xff,
            },
            (major, minor) => Device { major, minor },
        });
        let node = match metadata.file_type() {
            FileType::File => Node::File(content_of(content, within, metadata.len())),
            FileType::Symlink => {
                let target = volume.read_link(&within);
                Node::Symlink(target.map_err(|error| Error::reader(FORMAT, error))?)
            }
            FileType::Dir => Node::Directory,
            FileType::CharDevice => Node::CharDevice(device),
            FileType::BlockDevice => Node::BlockDevice(device),
            FileType::Fifo => Node::Fifo,
            FileType::Socket => Node::Socket,
            _ => continue,
        };
        listing.add(path, node, self::metadata(metadata));
    }
    let label = head.get(0x8028..0x8048).unwrap_or_default();
    let label = String::from_utf8_lossy(label);
    let mut details = Vec::new();
    let mut entries = listing.into_entries();
    if let Some(disk) = partitions::open(head, content)? {
        details.push(disk.summary);
        details.extend(disk.details);
        // The first partition is the filesystem itself.
        entries.extend(disk.entries.into_iter().skip(1));
    }
    Ok(Some(Contents {
        format: FORMAT,
        summary: format!("ISO image {:?}, {}", label.trim(), BinaryBytes(content.len())),
        details,
        entries,
        descend: Descend::Boot,
    }))
}

/// Returns the content of the file at a path.
fn content_of(content: &Extents, path: Vec<u8>, len: u64) -> Extents {
    let content = content.clone();
    lazy::file(len, move |out| {
        let volume = mount(&content).map_err(io::Error::other)?;
        let file = volume.open(&path, OpenOptions::new().read());
        let mut file = file.map_err(io::Error::other)?;
        copy(|buf| file.read(buf).map_err(io::Error::other), out)
    })
}

fn metadata(inode: &Inode) -> Metadata {
    Metadata {
        mode: Some(inode.permissions().bits()),
        owner: inode.owner().map(|owner| (owner.uid(), owner.gid())),
        mtime: inode.modified().map(|time| time.unix_seconds()),
        xattrs: None,
    }
}

fn mount(content: &Extents) -> Result<Volume<IsoFs<Source>>, Error> {
    let volume = IsoFs::mount(Source::new(content.clone()), MountOptions::new());
    // The error holds the source, which is no text.
    Ok(Volume::new(
        volume.map_err(|error| Error::reader(FORMAT, error.to_string()))?,
    ))
}
