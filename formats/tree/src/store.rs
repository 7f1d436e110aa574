//! Storage of the nodes, and the steps of which every change consists.

use std::sync::Arc;

use crate::error::Error;
use crate::node::{Entry, Kind, Meta, Node, NodeId, Time};
use crate::nodes::Nodes;

/// Estimate of the memory that a name takes besides its text, in bytes.
const NAME_WEIGHT: u64 = 256;
/// Maximum memory for names, targets and attributes, in bytes: about three million names.
/// It stops malicious archives; real trees stay far below it.
pub(crate) const MAX_WEIGHT: u64 = 1 << 30;

/// A filesystem tree. Clones share their nodes until one of them changes.
#[derive(Clone, Debug)]
pub struct Tree {
    pub(crate) nodes: Nodes,
    /// Estimated memory of all names that were ever inserted, in bytes.
    pub(crate) weight: u64,
}

impl Default for Tree {
    fn default() -> Self {
        Tree::new(Meta::new(0o755, Time::default()))
    }
}

impl Tree {
    /// Creates a tree that has only a root directory with this metadata.
    pub fn new(root: Meta) -> Self {
        let mut tree = Tree {
            nodes: Nodes::default(),
            weight: 0,
        };
        tree.add(root, Kind::directory());
        tree
    }

    /// Returns a node. The identifier has to come from this tree.
    pub fn node(&self, id: NodeId) -> &Node {
        self.nodes.get(id)
    }

    /// Returns a node for changing its metadata. The identifier has to come from this tree.
    pub fn node_mut(&mut self, id: NodeId) -> &mut Node {
        self.nodes.get_mut(id)
    }

    /// Returns whether the root directory is empty.
    pub fn is_empty(&self) -> bool {
        matches!(&self.node(NodeId::ROOT).kind, Kind::Directory(entries) if entries.is_empty())
    }

    /// Returns a number above the index of every node. Removed nodes keep their index.
    pub fn capacity(&self) -> usize {
        self.nodes.capacity()
    }

    /// Adds a name and `bytes` of text that belong to it to the estimate of memory.
    pub(crate) fn weigh(&mut self, path: &[u8], bytes: usize) -> Result<(), Error> {
        self.weight = self.weight.saturating_add(NAME_WEIGHT).saturating_add(bytes as u64);
        if self.weight > MAX_WEIGHT {
            return Err(Error::TooMany { path: path.to_vec() });
        }
        Ok(())
    }

    /// Adds a node that has no name yet.
    pub(crate) fn add(&mut self, meta: Meta, kind: Kind) -> NodeId {
        self.nodes.push(Node { meta, kind, nlink: 1 })
    }

    pub(crate) fn entry(&self, directory: NodeId, name: &[u8]) -> Option<Entry> {
        match &self.node(directory).kind {
            Kind::Directory(entries) => entries.get(name).copied(),
            _ => None,
        }
    }

    pub(crate) fn set_name(&mut self, directory: NodeId, name: Vec<u8>, entry: Entry) {
        if let Kind::Directory(entries) = &mut self.node_mut(directory).kind {
            Arc::make_mut(entries).insert(name, entry);
        }
    }

    pub(crate) fn remove_name(&mut self, directory: NodeId, name: &[u8]) -> bool {
        let removed = self.detach(directory, name);
        if let Some(node) = removed {
            self.unlink(node);
        }
        removed.is_some()
    }

    /// Removes an entry but keeps its node, which stays outside of the tree.
    pub(crate) fn detach(&mut self, directory: NodeId, name: &[u8]) -> Option<NodeId> {
        // Nothing is copied for a name that is not there.
        self.entry(directory, name)?;
        match &mut self.node_mut(directory).kind {
            Kind::Directory(entries) => Arc::make_mut(entries).remove(name).map(|entry| entry.node),
            _ => None,
        }
    }

    /// Decrements the link count of a node and of everything below it.
    pub(crate) fn unlink(&mut self, node: NodeId) {
        let mut pending = vec![node];
        while let Some(id) = pending.pop() {
            let node = self.node_mut(id);
            node.nlink = node.nlink.saturating_sub(1);
            if let Kind::Directory(entries) = &mut node.kind {
                pending.extend(std::mem::take(entries).values().map(|entry| entry.node));
            } else if node.nlink == 0 {
                node.kind = Kind::Fifo;
            }
        }
    }
}
