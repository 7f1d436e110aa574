//! Planning of a filesystem from a tree.

use extents::Extents;
use tree::{Image, Kind, Tree};

use crate::assembly::{Areas, Assembly};
use crate::contents::{self, File, Stored};
use crate::error::Error;
use crate::head::{Bodies, Body, Head};
use crate::inventory::Inventory;
use crate::options::Options;
use crate::piece::PIECE;
use crate::placement::{Placement, SLOT};
use crate::superblock::Superblock;
use crate::xattr::Shared;
use crate::{BLOCK, identifiers};

/// Plans a filesystem with the nodes of a tree. With a compressor the contents are read and
/// compressed now, into an unnamed file in [`Options::temp_dir`] that lives as long as the image;
/// without one they are not even read.
///
/// [`Image::file_extents`] has the contents that are not compressed.
///
/// # Errors
/// Nodes, attributes and lengths that EROFS cannot store, an invalid label, contents that cannot
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
    let inventory = Inventory::collect(tree)?;
    let shared = Shared::find(inventory.nodes.iter().map(|numbered| &numbered.node.meta));
    let heads = (0..).zip(&inventory.nodes);
    let heads: Vec<Head> = heads
        .map(|(number, numbered)| Head::new(number, numbered, &inventory, &shared, options))
        .collect::<Result<_, _>>()?;

    let files: Vec<File<'_>> = inventory
        .nodes
        .iter()
        .zip(&heads)
        .filter_map(|(numbered, head)| match &numbered.node.kind {
            Kind::File(content) => Some(File {
                path: &numbered.path,
                content,
                head: head.len(),
            }),
            _ => None,
        })
        .collect();
    let contents = contents::store(&files, options, progress)?;
    let bodies = Bodies::new(&inventory, &heads, contents.stored);

    let mut placement = Placement::new();
    let lens = heads.iter().zip(&bodies.all);
    let places: Vec<u64> = lens.map(|(head, body)| placement.place(body.end(head))).collect();
    let areas = Areas::new(&placement, shared.bytes().len(), bodies.blocks, contents.blocks.len())?;

    let mut assembly = Assembly {
        inventory: &inventory,
        heads: &heads,
        bodies: &bodies,
        places: &places,
        areas: &areas,
        options,
        image: Extents::zeros(BLOCK),
        pending: Vec::new(),
        directories: Extents::new(),
        files: Vec::new(),
    };
    assembly.write();
    let Assembly {
        mut image,
        directories,
        files,
        ..
    } = assembly;
    image.set_len(areas.shared * BLOCK);
    image.push_bytes(shared.bytes());
    image.align_to(BLOCK);
    image.push(&directories);
    image.set_len(areas.contents * BLOCK);
    image.push(&contents.blocks);
    image.set_len(u64::from(areas.end) * BLOCK);

    let uuid = options.uuid.unwrap_or_else(|| identifiers::uuid(tree, options));
    let has = |is: fn(&Body) -> bool| bodies.all.iter().any(is);
    let superblock = Superblock {
        // The root is placed first.
        root_nid: (places.first().copied().unwrap_or_default() / SLOT) as u16,
        inos: inventory.nodes.len() as u64,
        build_time: options.time,
        blocks: areas.end,
        xattr_blkaddr: if shared.bytes().is_empty() {
            0
        } else {
            areas.shared as u32
        },
        uuid,
        label: &options.label,
        chunks: has(|body| matches!(body, Body::File(Stored::Chunks { .. }))),
        compressed: has(|body| matches!(body, Body::File(Stored::Pieces { .. })))
            .then_some((options.compressor, (PIECE / BLOCK) as u16)),
    };
    image.put_bytes(0, superblock.encode());
    Ok(Image::new(image, Some(uuid), files))
}
