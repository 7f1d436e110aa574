//! What is in a tree, found out and checked before anything is planned.

use tree::{Kind, Node, NodeId, Tree};

use crate::{Error, LARGEST_FILE, xattr};

/// A node of the tree by its first path.
#[derive(Debug)]
pub(crate) struct Item<'a> {
    pub(crate) path: Vec<u8>,
    pub(crate) node: &'a Node,
    /// How many names it has; for a folder with its own `.` and the `..` of those below.
    pub(crate) nlink: u32,
}

/// All nodes, the root first, a folder before what is in it.
#[derive(Debug)]
pub(crate) struct Inventory<'a> {
    pub(crate) items: Vec<Item<'a>>,
    /// By node: the number of its item.
    number: Vec<u32>,
    /// By item: the number of the folder above; of the root its own.
    above: Vec<u32>,
}

impl<'a> Inventory<'a> {
    pub(crate) fn collect(tree: &'a Tree) -> Result<Self, Error> {
        let mut items: Vec<Item<'a>> = Vec::new();
        let mut number = vec![u32::MAX; tree.capacity()];
        for item in tree.walk() {
            let Some(slot) = number.get_mut(item.id.index()) else {
                continue;
            };
            if let Some(first) = items.get_mut(*slot as usize) {
                first.nlink = first.nlink.saturating_add(1);
                continue;
            }
            *slot = items.len() as u32;
            check(&item.path, item.node)?;
            let nlink = match &item.node.kind {
                Kind::Directory(entries) => {
                    let below = entries
                        .values()
                        .filter(|entry| tree.node(entry.node).kind.is_directory());
                    u32::try_from(below.count()).unwrap_or(u32::MAX).saturating_add(2)
                }
                _ => 1,
            };
            items.push(Item {
                path: item.path,
                node: item.node,
                nlink,
            });
        }
        let mut inventory = Inventory {
            above: vec![0; items.len()],
            items,
            number,
        };
        inventory.find_above();
        Ok(inventory)
    }

    fn find_above(&mut self) {
        for (number, item) in (0..).zip(&self.items) {
            if let Kind::Directory(entries) = &item.node.kind {
                for entry in entries.values() {
                    let below = self.number(entry.node);
                    if let Some(above) = self.above.get_mut(below) {
                        *above = number;
                    }
                }
            }
        }
    }

    /// The names in a folder, sorted, and the numbers of their items.
    pub(crate) fn names(&self, folder: usize) -> Vec<(&'a [u8], usize)> {
        let Some(Kind::Directory(entries)) = self.items.get(folder).map(|item| &item.node.kind) else {
            return Vec::new();
        };
        let above = self.above.get(folder).copied().unwrap_or_default() as usize;
        let mut names: Vec<(&[u8], usize)> = vec![(b".", folder), (b"..", above)];
        names.extend(
            entries
                .iter()
                .map(|(name, entry)| (name.as_slice(), self.number(entry.node))),
        );
        names.sort_unstable();
        names
    }

    /// The number of a node's item.
    pub(crate) fn number(&self, id: NodeId) -> usize {
        self.number.get(id.index()).copied().unwrap_or_default() as usize
    }
}

fn check(path: &[u8], node: &Node) -> Result<(), Error> {
    xattr::check(path, &node.meta)?;
    match &node.kind {
        Kind::File(content) if content.len() > LARGEST_FILE => Err(Error::LargeFile {
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
