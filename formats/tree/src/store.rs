//! Storage of the nodes, and the steps of which every change consists.

use crate::error::Error;
use crate::node::{Entry, Kind, Meta, Node, NodeId, Time};

/// Estimate of the memory that a name takes besides its text, in bytes.
const NAME_WEIGHT: u64 = 256;
/// Limit of the memory for names, targets and attributes, in bytes: about three million names.
/// It stops malicious archives; real trees stay far below it.
pub(crate) const MAX_WEIGHT: u64 = 1 << 30;

/// A filesystem tree.
#[derive(Clone, Debug)]
pub struct Tree {
    nodes: Vec<Node>,
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
        Tree {
            nodes: vec![Node {
                meta: root,
                kind: Kind::directory(),
                nlink: 1,
            }],
            weight: 0,
        }
    }

    /// Returns a node. The identifier has to come from this tree.
    pub fn node(&self, id: NodeId) -> &Node {
        &self.nodes[id.index()]
    }

    /// Returns a node for changing its metadata. The identifier has to come from this tree.
    pub fn node_mut(&mut self, id: NodeId) -> &mut Node {
        &mut self.nodes[id.index()]
    }

    /// Returns a number above the index of every node. Removed nodes keep their index.
    pub fn capacity(&self) -> usize {
        self.nodes.len()
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
        let id = NodeId(self.nodes.len() as u32);
        self.nodes.push(Node { meta, kind, nlink: 1 });
        id
    }

    pub(crate) fn entry(&self, directory: NodeId, name: &[u8]) -> Option<Entry> {
        match &self.node(directory).kind {
            Kind::Directory(entries) => entries.get(name).copied(),
            _ => None,
        }
    }

    pub(crate) fn set_name(&mut self, directory: NodeId, name: Vec<u8>, entry: Entry) {
        if let Kind::Directory(entries) = &mut self.node_mut(directory).kind {
            entries.insert(name, entry);
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
        match &mut self.node_mut(directory).kind {
            Kind::Directory(entries) => entries.remove(name).map(|entry| entry.node),
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
