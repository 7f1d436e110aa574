//! Inodes before the positions of their contents are known, and what follows them on disk.

use tree::Kind;

use crate::contents::{Stored, is_inline};
use crate::error::Error;
use crate::inventory::{Inventory, NumberedNode};
use crate::options::Options;
use crate::xattr::Shared;
use crate::{BLOCK, directory, index, inode};

/// Length of the block number of a chunk in bytes; attributes end at a multiple of it.
const CHUNK: u64 = 4;

/// Length and extended attributes of an inode.
pub(crate) struct Head {
    /// Length of the content in bytes.
    pub(crate) size: u64,
    pub(crate) extended: bool,
    pub(crate) xattrs: Vec<u8>,
}

impl Head {
    pub(crate) fn new(
        number: usize,
        numbered: &NumberedNode<'_>,
        inventory: &Inventory<'_>,
        shared: &Shared<'_>,
        options: &Options,
    ) -> Result<Self, Error> {
        let size = match &numbered.node.kind {
            Kind::Directory(_) => directory::len(inventory.names(number).iter().map(|(name, _)| *name)),
            Kind::File(content) => content.len(),
            Kind::Symlink(target) => target.len() as u64,
            _ => 0,
        };
        Ok(Head {
            size,
            extended: inode::is_extended(size, numbered.nlink, &numbered.node.meta, options.time),
            xattrs: shared.encode(&numbered.path, &numbered.node.meta)?,
        })
    }

    /// Returns the length of the inode with its attributes in bytes.
    pub(crate) fn len(&self) -> u64 {
        (inode::len(self.extended) + self.xattrs.len()) as u64
    }
}

/// Content of an inode.
pub(crate) enum Body {
    Nothing,
    /// Entries of a directory or target of a symbolic link. `start` is the first block, from the
    /// start of the directories; with `inline` the tail follows the inode.
    Bytes {
        start: u64,
        inline: bool,
    },
    File(Stored),
}

impl Body {
    /// Returns the end of everything that follows the inode, in bytes from the start of the inode.
    pub(crate) fn end(&self, head: &Head) -> u64 {
        let start = head.len();
        match self {
            Body::Bytes { inline: true, .. } | Body::File(Stored::Flat { inline: true, .. }) => {
                start + head.size % BLOCK
            }
            Body::Nothing | Body::Bytes { .. } | Body::File(Stored::Flat { .. }) => start,
            Body::File(Stored::Chunks { starts, .. }) => start + starts.len() as u64 * CHUNK,
            Body::File(Stored::Pieces { .. }) => start.next_multiple_of(index::ALIGN) + index::len(head.size),
        }
    }
}

/// Contents of all inodes.
pub(crate) struct Bodies {
    pub(crate) all: Vec<Body>,
    /// Number of blocks of the directories.
    pub(crate) blocks: u64,
}

impl Bodies {
    /// Assigns blocks to directories and long targets; `stored` has the files in order.
    pub(crate) fn new(inventory: &Inventory<'_>, heads: &[Head], stored: Vec<Stored>) -> Self {
        let mut stored = stored.into_iter();
        let mut blocks = 0;
        let all = inventory
            .nodes
            .iter()
            .zip(heads)
            .map(|(numbered, head)| match &numbered.node.kind {
                Kind::File(_) => stored.next().map_or(Body::Nothing, Body::File),
                Kind::Directory(_) | Kind::Symlink(_) => {
                    let (start, inline) = (blocks, is_inline(head.len(), head.size));
                    blocks += if inline {
                        head.size / BLOCK
                    } else {
                        head.size.div_ceil(BLOCK)
                    };
                    Body::Bytes { start, inline }
                }
                _ => Body::Nothing,
            });
        Bodies {
            all: all.collect(),
            blocks,
        }
    }
}
