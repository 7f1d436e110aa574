//! Nodes in chunks, which clones of a tree share until one of them changes.

use std::sync::Arc;

use crate::node::{Kind, Node, NodeId};

/// Maximum number of nodes of a chunk, as a power of two.
const CHUNK_BITS: u32 = 8;
/// Maximum number of nodes of a chunk.
const CHUNK_LEN: usize = 1 << CHUNK_BITS;

/// Nodes by identifier: the number of a chunk, then the position in it. A chunk may have fewer nodes
/// than its maximum; the identifiers of the others are not used.
#[derive(Clone, Debug, Default)]
pub(crate) struct Nodes(Vec<Arc<Vec<Node>>>);

impl Nodes {
    /// Returns a number above the index of every node.
    pub fn capacity(&self) -> usize {
        self.0
            .last()
            .map_or(0, |last| ((self.0.len() - 1) << CHUNK_BITS) + last.len())
    }

    /// Returns a node. The identifier has to come from here.
    pub fn get(&self, id: NodeId) -> &Node {
        let (chunk, at) = place(id);
        &self.0[chunk][at]
    }

    /// Returns a node for changing it, after copying its chunk if a clone has it too. The identifier
    /// has to come from here.
    pub fn get_mut(&mut self, id: NodeId) -> &mut Node {
        let (chunk, at) = place(id);
        &mut Arc::make_mut(&mut self.0[chunk])[at]
    }

    /// Adds a node.
    pub fn push(&mut self, node: Node) -> NodeId {
        let id = NodeId(self.capacity() as u32);
        match self.0.last_mut() {
            Some(last) if last.len() < CHUNK_LEN => Arc::make_mut(last).push(node),
            // Small trees have one chunk, which grows.
            last => {
                let capacity = if last.is_some() { CHUNK_LEN } else { 1 };
                let mut chunk = Vec::with_capacity(capacity);
                chunk.push(node);
                self.0.push(Arc::new(chunk));
            }
        }
        id
    }

    /// Takes all nodes of another tree, and returns the new identifier of its root.
    pub fn append(&mut self, other: Nodes) -> NodeId {
        let shift = (self.0.len() as u32) << CHUNK_BITS;
        for mut chunk in other.0 {
            if chunk.iter().any(|node| node.kind.is_directory()) {
                for node in Arc::make_mut(&mut chunk) {
                    if let Kind::Directory(entries) = &mut node.kind {
                        for entry in Arc::make_mut(entries).values_mut() {
                            entry.node.0 += shift;
                        }
                    }
                }
            }
            self.0.push(chunk);
        }
        NodeId(shift)
    }
}

/// Returns the number of a chunk and the position in it.
fn place(id: NodeId) -> (usize, usize) {
    (id.index() >> CHUNK_BITS, id.index() & (CHUNK_LEN - 1))
}
