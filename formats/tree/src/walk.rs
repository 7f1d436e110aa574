//! Going through a tree.

use std::collections::btree_map;

use crate::{Entry, Kind, Node, NodeId, Tree};

/// A name met on the way through a tree.
#[derive(Clone, Debug)]
pub struct Item<'a> {
    /// The path from the root, without a leading `/`; empty for the root.
    pub path: Vec<u8>,
    /// Which node.
    pub id: NodeId,
    /// The node.
    pub node: &'a Node,
    /// Whether the name was made as a hard link ([`Entry::link`]).
    pub link: bool,
}

impl Tree {
    /// All names from the root down: a folder before what is in it, by name in bytes.
    pub fn walk(&self) -> impl Iterator<Item = Item<'_>> {
        Walk {
            tree: self,
            path: Vec::new(),
            stack: Vec::new(),
            started: false,
        }
    }
}

struct Walk<'a> {
    tree: &'a Tree,
    path: Vec<u8>,
    /// The folders that are open, and how long the path is without their entry.
    stack: Vec<(usize, btree_map::Iter<'a, Vec<u8>, Entry>)>,
    started: bool,
}

impl<'a> Walk<'a> {
    fn open(&mut self, node: &'a Node) {
        if let Kind::Directory(entries) = &node.kind {
            self.stack.push((self.path.len(), entries.iter()));
        }
    }
}

impl<'a> Iterator for Walk<'a> {
    type Item = Item<'a>;

    fn next(&mut self) -> Option<Item<'a>> {
        if !self.started {
            self.started = true;
            let node = self.tree.node(NodeId::ROOT);
            self.open(node);
            return Some(Item {
                path: Vec::new(),
                id: NodeId::ROOT,
                node,
                link: false,
            });
        }
        loop {
            let (length, entries) = self.stack.last_mut()?;
            self.path.truncate(*length);
            if let Some((name, entry)) = entries.next() {
                if !self.path.is_empty() {
                    self.path.push(b'/');
                }
                self.path.extend_from_slice(name);
                let node = self.tree.node(entry.node);
                self.open(node);
                return Some(Item {
                    path: self.path.clone(),
                    id: entry.node,
                    node,
                    link: entry.link,
                });
            }
            self.stack.pop();
        }
    }
}
