//! Planning of a filesystem from a tree.

use extents::Extents;
use tree::{Image, Tree};

use crate::data::{self, Fragment};
use crate::encoder::Encoder;
use crate::error::Error;
use crate::nodes::Nodes;
use crate::options::{Options, seconds};
use crate::superblock::{self, Superblock, flags};
use crate::survey::Survey;
use crate::table::table;
use crate::{PADDING, metadata};

/// Plans a filesystem with the nodes of a tree. The contents are read and compressed now, into an
/// unnamed file in [`Options::temp_dir`] that lives as long as the image.
///
/// [`Image::file_extents`] is empty for all files, since their contents are compressed.
///
/// # Errors
/// Nodes, attributes and lengths that squashfs cannot store, invalid options, contents that cannot
/// be read, and compressed blocks that cannot be written.
pub fn plan(tree: &Tree, options: &Options) -> Result<Image, Error> {
    plan_with_progress(tree, options, &|_| {})
}

/// Plans a filesystem as [`plan`] does. `progress` gets the numbers of bytes of files that are done;
/// their sum is that of the lengths of all files.
///
/// # Errors
/// The errors of [`plan`].
pub fn plan_with_progress(tree: &Tree, options: &Options, progress: &dyn Fn(u64)) -> Result<Image, Error> {
    options.check()?;
    let survey = Survey::collect(tree)?;
    let encoder = || Encoder::new(options.compressor, options.block_size);

    let mut image = Extents::zeros(superblock::LEN);
    let mut flags = flags::DUPLICATES | flags::EXPORTABLE | flags::ALWAYS_FRAGMENTS;
    if let Some(bytes) = options.compressor.options() {
        let mut block = Vec::new();
        metadata::push_block(&mut block, &bytes, None);
        image.push_bytes(block);
        flags |= flags::COMPRESSOR_OPTIONS;
    }
    let data = data::store(&survey.files, options, image.len(), progress)?;
    image.push(&data.blocks);
    let nodes = Nodes::encode(tree, options, &survey, &data)?;

    // The order is fixed: Linux takes the start of each table for the end of the one before.
    let inode_table_start = image.len();
    image.push_bytes(nodes.inodes.finish()?.0);
    let directory_table_start = image.len();
    image.push_bytes(nodes.directories.finish()?.0);
    let fragments = table(data.fragments.iter().map(Fragment::encode), encoder(), image.len())?;
    image.push_bytes(fragments.bytes);
    let references = nodes.places.iter().map(|place| place.reference().to_le_bytes());
    let export = table(references, encoder(), image.len())?;
    image.push_bytes(export.bytes);
    let ids = table(nodes.ids.entries(), encoder(), image.len())?;
    image.push_bytes(ids.bytes);
    let xattr_id_table_start = if nodes.xattrs.is_empty() {
        flags |= flags::NO_XATTRS;
        superblock::NO_TABLE
    } else {
        let (bytes, start) = nodes.xattrs.finish(encoder(), image.len())?;
        image.push_bytes(bytes);
        start
    };
    if data.fragments.is_empty() {
        flags |= flags::NO_FRAGMENTS;
    }

    let superblock = Superblock {
        inodes: nodes.places.len() as u32,
        mkfs_time: seconds(options.time),
        block_size: options.block_size,
        fragments: data.fragments.len() as u32,
        compression: options.compressor.id(),
        flags,
        no_ids: nodes.ids.count(),
        root_inode: nodes.places.last().copied().unwrap_or_default().reference(),
        bytes_used: image.len(),
        id_table_start: ids.list,
        xattr_id_table_start,
        inode_table_start,
        directory_table_start,
        fragment_table_start: fragments.list,
        lookup_table_start: export.list,
    };
    image.put_bytes(0, superblock.encode());
    image.align_to(PADDING);
    Ok(Image::new(image, None, Vec::new()))
}
