//! Nodes of a tree, numbered and checked.

use tree::{Kind, Node, NodeId, Tree};

use crate::error::Error;
use crate::{MAX_FILE_LEN, xattr};

/// Node of the tree that gets an inode.
#[derive(Debug)]
pub(crate) struct NumberedNode<'a> {
    /// First path of the node.
    pub(crate) path: Vec<u8>,
    pub(crate) id: NodeId,
    pub(crate) node: &'a Node,
    /// Link count; a directory is also counted by its `.` and the `..` of its subdirectories.
    pub(crate) nlink: u32,
}

/// All nodes, a directory before its entries.
#[derive(Debug)]
pub(crate) struct Inventory<'a> {
    pub(crate) nodes: Vec<NumberedNode<'a>>,
    /// Index in `nodes`, by node of the tree.
    number: Vec<u32>,
    /// Index of the parent of each of `nodes`; the root is its own parent.
    parents: Vec<u32>,
}

impl<'a> Inventory<'a> {
    pub(crate) fn collect(tree: &'a Tree) -> Result<Self, Error> {
        let mut nodes: Vec<NumberedNode<'a>> = Vec::new();
        let mut number = vec![u32::MAX; tree.capacity()];
        for named in tree.walk() {
            let Some(slot) = number.get_mut(named.id.index()) else {
                continue;
            };
            if let Some(first) = nodes.get_mut(*slot as usize) {
                first.nlink = first.nlink.saturating_add(1);
                continue;
            }
            *slot = nodes.len() as u32;
            check(&named.path, named.node)?;
            let nlink = match &named.node.kind {
                Kind::Directory(entries) => {
                    let below = entries
                        .values()
                        .filter(|entry| tree.node(entry.node).kind.is_directory());
                    u32::try_from(below.count()).unwrap_or(u32::MAX).saturating_add(2)
                }
                _ => 1,
            };
            nodes.push(NumberedNode {
                path: named.path,
                id: named.id,
                node: named.node,
                nlink,
            });
        }
        let mut inventory = Inventory {
            parents: vec![0; nodes.len()],
            nodes,
            number,
        };
        inventory.find_parents();
        Ok(inventory)
    }

    fn find_parents(&mut self) {
        for (number, numbered) in (0..).zip(&self.nodes) {
            if let Kind::Directory(entries) = &numbered.node.kind {
                for entry in entries.values() {
                    let below = self.number(entry.node);
                    if let Some(parent) = self.parents.get_mut(below) {
                        *parent = number;
                    }
                }
            }
        }
    }

    /// Returns the names in a directory in bytewise order, with the indices of their nodes.
    pub(crate) fn names(&self, directory: usize) -> Vec<(&'a [u8], usize)> {
        let Some(Kind::Directory(entries)) = self.nodes.get(directory).map(|numbered| &numbered.node.kind) else {
            return Vec::new();
        };
        let parent = self.parents.get(directory).copied().unwrap_or_default() as usize;
        let mut names: Vec<(&[u8], usize)> = vec![(b".", directory), (b"..", parent)];
        names.extend(
            entries
                .iter()
                .map(|(name, entry)| (name.as_slice(), self.number(entry.node))),
        );
        names.sort_unstable();
        names
    }

    /// Returns the index in `nodes` of a node of the tree.
    pub(crate) fn number(&self, id: NodeId) -> usize {
        self.number.get(id.index()).copied().unwrap_or_default() as usize
    }
}

fn check(path: &[u8], node: &Node) -> Result<(), Error> {
    xattr::check(path, &node.meta)?;
    match &node.kind {
        Kind::File(content) if content.len() > MAX_FILE_LEN => Err(Error::LargeFile {
            path: path.to_vec(),
            len: content.len(),
        }),
        Kind::CharDevice(device) | Kind::BlockDevice(device) if device.major > 0xfff || device.minor > 0xf_ffff => {
            Err(Error::Device {
                path: path.to_vec(),
                major: device.major,
                minor: device.minor,
            })
        }
        _ => Ok(()),
    }
}
