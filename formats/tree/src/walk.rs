//! Traversal of a tree.

use std::collections::btree_map;

use crate::node::{Entry, Kind, Node, NodeId};
use crate::store::Tree;

/// Node under one of its names, as [`Tree::walk`] yields it.
#[derive(Clone, Debug)]
pub struct NamedNode<'a> {
    /// Path from the root, without a leading `/`; empty for the root.
    pub path: Vec<u8>,
    /// Identifier of the node.
    pub id: NodeId,
    /// The node itself.
    pub node: &'a Node,
    /// Marks a name that was added as a hard link ([`Entry::link`]).
    pub link: bool,
}

impl Tree {
    /// Iterates over all names from the root down, a directory before its entries, entries in
    /// bytewise order of their names.
    pub fn walk(&self) -> impl Iterator<Item = NamedNode<'_>> {
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
    /// Directories that are open, each with the length of its path.
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
    type Item = NamedNode<'a>;

    fn next(&mut self) -> Option<NamedNode<'a>> {
        if !self.started {
            self.started = true;
            let node = self.tree.node(NodeId::ROOT);
            self.open(node);
            return Some(NamedNode {
                path: Vec::new(),
                id: NodeId::ROOT,
                node,
                link: false,
            });
        }
        loop {
            let (len, entries) = self.stack.last_mut()?;
            self.path.truncate(*len);
            if let Some((name, entry)) = entries.next() {
                if !self.path.is_empty() {
                    self.path.push(b'/');
                }
                self.path.extend_from_slice(name);
                let node = self.tree.node(entry.node);
                self.open(node);
                return Some(NamedNode {
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
