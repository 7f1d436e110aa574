//! EROFS, read by the crate `lamfold-erofs`.

use std::io;

use extents::Extents;
use indicatif::BinaryBytes;
use lamfold::{BlockCache, FileKind, FoldError, FoldFrontend, NoVerifier, SubstrateCtx};
use lamfold_erofs::Erofs;

use super::listing::Listing;
use super::{erofs_index, erofs_inode};
use crate::inspect::compressed::copy;
use crate::inspect::contents::{Contents, Descend, Metadata, Node};
use crate::inspect::source::Source;
use crate::inspect::{Error, lazy};

const FORMAT: &str = "EROFS filesystem";
/// Offset of the superblock, in bytes, and its magic number (fs/erofs/erofs_fs.h).
const SUPERBLOCK: usize = 1024;
const MAGIC: [u8; 4] = 0xe0f5_e1e2_u32.to_le_bytes();

/// Lists the files of an EROFS filesystem.
///
/// # Errors
/// A filesystem that the reader rejects.
pub fn open(head: &[u8], content: &Extents) -> Result<Option<Contents>, Error> {
    if head.get(SUPERBLOCK..SUPERBLOCK + 4) != Some(&MAGIC) {
        return Ok(None);
    }
    let rejected = |error: FoldError| Error::reader(FORMAT, error);
    let mut cache = BlockCache::new(0);
    let mut context = SubstrateCtx {
        cache: &mut cache,
        verifier: &NoVerifier,
    };
    let mut volume = Erofs::open(Source::new(content.clone()), &mut context).map_err(rejected)?;
    let mut listing = Listing::new(FORMAT);
    let mut directories = vec![(String::new(), volume.root())];
    while let Some((path, directory)) = directories.pop() {
        for entry in volume.read_dir(directory, &mut context).map_err(rejected)? {
            let path = listing.path(&path, &entry.name)?;
            let inode = erofs_inode::read(content, entry.node)?;
            let node = match entry.kind {
                FileKind::Directory => {
                    directories.push((path.clone(), entry.node));
                    Node::Directory
                }
                FileKind::Regular => {
                    let metadata = volume.metadata(entry.node, &mut context);
                    let len = metadata.map_err(rejected)?.size;
                    let content = content.clone();
                    Node::File(lazy::file(len, move |out| read(&content, entry.node, out)))
                }
                FileKind::Symlink => {
                    let target = volume.read_link(entry.node, &mut context).map_err(rejected)?;
                    Node::Symlink(target.unwrap_or_default())
                }
                FileKind::Other => Node::special(inode.mode, Some(inode.device)),
            };
            let metadata = Metadata {
                mode: Some(inode.mode & 0o7777),
                owner: Some(inode.owner),
                mtime: inode.mtime,
                xattrs: None,
            };
            listing.add(path, node, metadata);
        }
    }
    Ok(Some(Contents {
        format: FORMAT,
        summary: format!("{FORMAT}, {}", BinaryBytes(content.len())),
        details: Vec::new(),
        entries: listing.into_entries(),
        descend: Descend::Boot,
    }))
}

fn read(content: &Extents, node: lamfold::NodeId, out: &mut dyn io::Write) -> io::Result<()> {
    if erofs_index::read(content, node, out)? {
        return Ok(());
    }
    let mut cache = BlockCache::new(0);
    let mut context = SubstrateCtx {
        cache: &mut cache,
        verifier: &NoVerifier,
    };
    let mut volume = Erofs::open(Source::new(content.clone()), &mut context).map_err(io::Error::other)?;
    let mut at = 0u64;
    let read = |buf: &mut [u8]| {
        let len = volume.read_at(node, at, buf, &mut context).map_err(io::Error::other)?;
        at = at.saturating_add(len as u64);
        Ok(len)
    };
    copy(read, out)
}
