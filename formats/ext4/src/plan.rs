//! Planning of a filesystem from a tree.

use std::sync::Arc;

use tree::{FileExtent, Image, NodeId, Tree};

use crate::checksum::Checksum;
use crate::error::Error;
use crate::group::Usage;
use crate::inode;
use crate::inventory::{self, Body, Hashing, Inventory};
use crate::layout::{self, Layout};
use crate::options::Options;
use crate::superblock::{self, Superblock};
use crate::writer::Writer;
use crate::{BLOCK, identifiers};

/// Plans a filesystem with the nodes of a tree. File contents are not read.
///
/// [`Image::file_extents`] has the runs of each file; the extents of a run have at most 32,768
/// blocks.
///
/// # Errors
/// Nodes, attributes and lengths that ext4 cannot store, and options that contradict each other.
pub fn plan(tree: &Tree, options: &Options) -> Result<Image, Error> {
    check_label(&options.label)?;
    let uuid = options.uuid.unwrap_or_else(|| identifiers::uuid(tree, options));
    let hashing = Hashing {
        checksum: (!options.boot).then(|| Checksum::of_filesystem(uuid)),
        seed: identifiers::hash_seed(uuid),
    };
    let inventory = inventory::collect(tree, options, hashing)?;
    let layout = layout::choose(&inventory, options)?;
    let mut writer = Writer::new(&layout, hashing.checksum, options.time);
    let journal = writer.reserved_inodes();
    writer.tree_inodes(&inventory);
    writer.inode_tables();

    let directories: Vec<u32> = inventory
        .inodes
        .iter()
        .filter(|planned| planned.inode.mode & inode::S_IFMT == inode::S_IFDIR)
        .map(|planned| planned.inode.number)
        .collect();
    let usage = Usage {
        geometry: &layout.geometry,
        end: layout.end,
        last_inode: inventory.last_inode.into(),
        directories: &directories,
        checksum: hashing.checksum,
    };
    let groups = usage.encode();
    let superblock = Superblock {
        geometry: &layout.geometry,
        label: &options.label,
        uuid,
        hash_seed: hashing.seed,
        time: options.time,
        free_blocks: groups.free_blocks,
        free_inodes: groups.free_inodes,
        journal,
        modern: !options.boot,
    };
    let descriptors: Arc<[u8]> = groups.descriptors.into();
    writer.bytes(superblock::OFFSET, superblock.encode(0));
    writer.bytes(BLOCK, descriptors.clone());
    for group in layout.geometry.backups() {
        let start = layout.geometry.copies(group).start * BLOCK;
        writer.bytes(start, superblock.encode(group));
        writer.bytes(start + BLOCK, descriptors.clone());
    }
    for (block, bitmap) in groups.bitmaps {
        writer.bytes(block * BLOCK, bitmap);
    }
    let extents = writer.finish();
    Ok(Image::new(extents, Some(uuid), file_extents(&inventory, &layout)))
}

/// Lists the runs of all files in bytes.
fn file_extents(inventory: &Inventory<'_>, layout: &Layout) -> Vec<(NodeId, FileExtent)> {
    let mut extents = Vec::new();
    for (planned, placement) in inventory.inodes.iter().zip(&layout.inodes) {
        let (Some(node), Body::File(content, _)) = (planned.node, &planned.body) else {
            continue;
        };
        for run in &placement.runs {
            let logical = run.logical * BLOCK;
            let extent = FileExtent {
                logical,
                physical: run.first * BLOCK,
                len: (run.count * BLOCK).min(content.len().saturating_sub(logical)),
            };
            extents.push((node, extent));
        }
    }
    extents
}

fn check_label(label: &str) -> Result<(), Error> {
    let label_error = |fault| {
        Err(Error::Label {
            label: label.to_owned(),
            fault,
        })
    };
    if label.len() > 16 {
        return label_error("it has more than 16 bytes");
    }
    if label.contains('\0') {
        return label_error("it has a zero byte");
    }
    Ok(())
}
