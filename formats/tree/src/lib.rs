//! In-memory filesystem trees, from which filesystem writers plan images. Contents are [`Extents`].
//!
//! ```text
//! Tree ── nodes: [ 0 root directory, 1 file, 2 directory, ... ]     one node per inode
//!              directory ── entries: name → node, sorted by name in bytewise order
//! ```
//!
//! Two names of one node are hard links of each other. Paths are bytes, separated by `/`; empty
//! components and `.` are skipped, `..` is refused. A symbolic link used as a parent directory is
//! followed within the tree and cannot leave it. Names, targets and numbers of links follow the
//! limits of Linux (include/uapi/linux/limits.h).
//!
//! Nodes are stored in chunks, which clones of a tree share until one of them changes: a clone takes
//! little memory.
//!
//! A tree is filled node by node ([`Tree::insert`], [`Tree::link`]), from a directory of the host
//! ([`Tree::from_dir`]) or from another tree ([`Tree::graft`]).
//!
#![doc = include_str!("../README.md")]

mod edit;
mod error;
mod fingerprint;
mod from_dir;
mod image;
mod node;
mod nodes;
mod resolve;
mod store;
mod walk;

pub use error::{Error, brief, show};
pub use extents::Extents;
pub use fingerprint::TreeFingerprint;
pub use from_dir::FromDirError;
pub use image::{FileExtent, Image};
pub use node::{Device, Entry, Kind, Meta, Node, NodeId, Time};
pub use store::Tree;
pub use uuid::Uuid;
pub use walk::NamedNode;

#[cfg(test)]
mod tests;
