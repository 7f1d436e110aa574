//! EROFS, read by the crate `lamfold-erofs`.

use std::io;

use extents::Extents;
use lamfold::{BlockCache, FileKind, FoldFrontend, NoVerifier, SubstrateCtx};
use lamfold_erofs::Erofs;

use super::{Files, erofs_index, wrong};
use crate::inspect::compressed::copy;
use crate::inspect::source::Source;
use crate::inspect::{Inside, Look, lazy};

/// Where the superblock is, in bytes, with its magic number (fs/erofs/erofs_fs.h).
const SUPERBLOCK: usize = 1024;
const MAGIC: [u8; 4] = 0xe0f5_e1e2_u32.to_le_bytes();

/// The files of an EROFS filesystem.
pub fn erofs(head: &[u8], content: &Extents) -> Result<Option<Inside>, String> {
    if head.get(SUPERBLOCK..SUPERBLOCK + 4) != Some(&MAGIC) {
        return Ok(None);
    }
    let wrong = wrong("EROFS");
    let mut cache = BlockCache::new(0);
    let mut context = SubstrateCtx {
        cache: &mut cache,
        verifier: &NoVerifier,
    };
    let mut volume = Erofs::open(Source::new(content.clone()), &mut context).map_err(|error| wrong(&error))?;
    let mut files = Files::default();
    let mut folders = vec![(String::new(), volume.root())];
    while let Some((path, folder)) = folders.pop() {
        let entries = volume.read_dir(folder, &mut context);
        for entry in entries.map_err(|error| wrong(&error))? {
            let path = files.path(&path, &entry.name)?;
            match entry.kind {
                FileKind::Directory => folders.push((path, entry.node)),
                FileKind::Regular => {
                    let about = volume.metadata(entry.node, &mut context);
                    let len = about.map_err(|error| wrong(&error))?.size;
                    let content = content.clone();
                    let file = lazy::file(len, move |out| read(&content, entry.node, out));
                    files.add(path, file);
                }
                _ => {}
            }
        }
    }
    Ok(Some(Inside {
        what: format!("EROFS filesystem of {} bytes", content.len()),
        files: files.sorted(),
        look: Look::Boot,
    }))
}

fn read(content: &Extents, node: lamfold::NodeId, out: &mut dyn io::Write) -> io::Result<()> {
    if erofs_index::read(content, node, out)? {
        return Ok(());
    }
    let failed = |error: lamfold::FoldError| io::Error::other(error.to_string());
    let mut cache = BlockCache::new(0);
    let mut context = SubstrateCtx {
        cache: &mut cache,
        verifier: &NoVerifier,
    };
    let mut volume = Erofs::open(Source::new(content.clone()), &mut context).map_err(failed)?;
    let mut at = 0u64;
    let read = |buf: &mut [u8]| {
        let len = volume.read_at(node, at, buf, &mut context).map_err(failed)?;
        at = at.saturating_add(len as u64);
        Ok(len)
    };
    copy(read, out)
}
