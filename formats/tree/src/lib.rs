//! In-memory filesystem tree: names and metadata, with contents that are [`extents::Extents`], and the
//! [`Image`] that filesystem writers plan from it.
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
//! A tree is filled node by node ([`Tree::insert`], [`Tree::link`]), from a directory of the host
//! ([`Tree::from_dir`]) or from another tree ([`Tree::graft`]):
//!
//! ```
//! use extents::Extents;
//! use filesystem_tree::{Kind, Meta, Time, Tree};
//!
//! let meta = |mode| Meta::new(mode, Time::from_seconds(1_700_000_000));
//! let mut tree = Tree::new(meta(0o755));
//! let content = Kind::File(Extents::from_bytes(*b"hello\n"));
//! tree.insert(b"etc/motd", meta(0o644), content, &meta(0o755))?;
//! tree.link(b"etc/issue", b"etc/motd", &meta(0o755))?;
//! let names: Vec<Vec<u8>> = tree.walk().map(|item| item.path).collect();
//! assert_eq!(names, [&b""[..], b"etc", b"etc/issue", b"etc/motd"]);
//! # Ok::<(), filesystem_tree::Error>(())
//! ```

mod edit;
mod error;
mod fingerprint;
mod from_dir;
mod image;
mod node;
mod resolve;
mod store;
mod walk;

pub use error::{Error, brief, show};
pub use fingerprint::TreeFingerprint;
pub use from_dir::FromDirError;
pub use image::{FileExtent, Image};
pub use node::{Device, Entry, Kind, Meta, Node, NodeId, Time};
pub use store::Tree;
pub use walk::Item;

#[cfg(test)]
mod tests;
