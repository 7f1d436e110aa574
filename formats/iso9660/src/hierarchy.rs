//! Directories of an image: their records, names and order. Those below the eighth level are
//! relocated (RRIP 4.1.5).
//!
//! ```text
//! tree                                   image (ISO 9660: eight levels, ECMA-119 6.8.2.1)
//! /1/2/3/4/5/6/7/deep/file               /1/2/3/4/5/6/7   record `deep` with CL ──┐
//!                                        /RR_MOVED/DEEP/FILE  ◀───────────────────┘
//! ```

use std::collections::VecDeque;

use tree::{Kind, NodeId, Tree};

use crate::names::{self, Name, Rules};

/// Maximum level of a directory; the root has level 1.
const MAX_DEPTH: usize = 8;
/// Name of the directory of relocated ones; [`OTHER_RELOCATED`] if the tree has the name.
const RELOCATED: &[u8] = b"rr_moved";
const OTHER_RELOCATED: &[u8] = b".rr_moved";

/// Content of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    /// Directory of the image.
    Directory(usize),
    /// Directory that is relocated in the image.
    Relocated(usize),
    /// File with content.
    File,
    /// Node that only its system use entries describe.
    Special,
}

/// Record of a directory.
#[derive(Clone, Debug)]
pub(crate) struct Record<'a> {
    /// Name in the tree.
    pub name: &'a [u8],
    /// Name in the image.
    pub identifier: Vec<u8>,
    /// Node; none for the directory of relocated ones.
    pub node: Option<NodeId>,
    /// Content of the record.
    pub target: Target,
}

/// Directory of the image.
#[derive(Clone, Debug)]
pub(crate) struct Directory<'a> {
    /// Name in the tree.
    pub name: &'a [u8],
    /// Name in the image; one zero byte for the root (ECMA-119 7.6.2).
    pub identifier: Vec<u8>,
    /// Node; none for the directory of relocated ones.
    pub node: Option<NodeId>,
    /// Parent in the image; the root is its own parent.
    pub parent: usize,
    /// Parent in the tree of a relocated directory.
    pub origin: Option<usize>,
    /// Records, in the order of the image.
    pub records: Vec<Record<'a>>,
    level: usize,
}

/// All directories of an image; the first is the root.
#[derive(Debug)]
pub(crate) struct Hierarchy<'a> {
    /// Rules of the names; only [`Rules::Iso`] has Rock Ridge entries.
    pub rules: Rules,
    /// Directories in order of discovery.
    pub directories: Vec<Directory<'a>>,
    /// Directories in the order of the path table (ECMA-119 6.9.1).
    pub order: Vec<usize>,
    /// Directory of relocated ones.
    pub relocated: Option<usize>,
}

impl<'a> Hierarchy<'a> {
    /// Arranges the directories of a tree.
    pub(crate) fn new(tree: &'a Tree, rules: Rules) -> Self {
        let root = Directory {
            name: b"",
            identifier: vec![0],
            node: Some(NodeId::ROOT),
            parent: 0,
            origin: None,
            records: Vec::new(),
            level: 1,
        };
        let mut hierarchy = Hierarchy {
            rules,
            directories: vec![root],
            order: Vec::new(),
            relocated: None,
        };
        let mut at = 0;
        while let Some(directory) = hierarchy.directories.get(at) {
            if let Some(Kind::Directory(entries)) = directory.node.map(|id| &tree.node(id).kind) {
                for (name, entry) in entries.iter() {
                    hierarchy.add(tree, at, name, entry.node);
                }
            }
            at += 1;
        }
        hierarchy.assign_names();
        hierarchy.number();
        hierarchy
    }

    fn add(&mut self, tree: &'a Tree, at: usize, name: &'a [u8], node: NodeId) {
        let target = match tree.node(node).kind {
            Kind::Directory(_) => self.add_directory(tree, at, name, node),
            Kind::File(_) => Target::File,
            // Joliet stores only files and directories.
            _ if self.rules == Rules::Joliet => return,
            _ => Target::Special,
        };
        self.push(at, name, Some(node), target);
    }

    fn add_directory(&mut self, tree: &'a Tree, at: usize, name: &'a [u8], node: NodeId) -> Target {
        let level = self.directories.get(at).map_or(1, |directory| directory.level);
        let relocate = self.rules == Rules::Iso && level >= MAX_DEPTH;
        let parent = if relocate { self.relocated(tree) } else { at };
        let id = self.directories.len();
        self.directories.push(Directory {
            name,
            identifier: Vec::new(),
            node: Some(node),
            parent,
            origin: relocate.then_some(at),
            records: Vec::new(),
            level: if relocate { 3 } else { level + 1 },
        });
        if relocate {
            self.push(parent, name, Some(node), Target::Directory(id));
            Target::Relocated(id)
        } else {
            Target::Directory(id)
        }
    }

    /// Returns the directory of relocated ones, which is created on first use.
    fn relocated(&mut self, tree: &Tree) -> usize {
        if let Some(relocated) = self.relocated {
            return relocated;
        }
        let name = if tree.lookup(RELOCATED).is_some() {
            OTHER_RELOCATED
        } else {
            RELOCATED
        };
        let id = self.directories.len();
        self.directories.push(Directory {
            name,
            identifier: Vec::new(),
            node: None,
            parent: 0,
            origin: None,
            records: Vec::new(),
            level: 2,
        });
        self.push(0, name, None, Target::Directory(id));
        self.relocated = Some(id);
        id
    }

    fn push(&mut self, at: usize, name: &'a [u8], node: Option<NodeId>, target: Target) {
        if let Some(directory) = self.directories.get_mut(at) {
            directory.records.push(Record {
                name,
                identifier: Vec::new(),
                node,
                target,
            });
        }
    }

    /// Assigns names to all records, and sorts them (ECMA-119 9.3).
    fn assign_names(&mut self) {
        let mut identifiers: Vec<(usize, Vec<u8>)> = Vec::new();
        for directory in &mut self.directories {
            let records = std::mem::take(&mut directory.records);
            let originals: Vec<(&[u8], bool)> = records
                .iter()
                .map(|record| (record.name, matches!(record.target, Target::Directory(_))))
                .collect();
            let names = names::assign(&originals, self.rules);
            let mut named: Vec<(Name, Record<'a>)> = names.into_iter().zip(records).collect();
            named.sort_by(|a, b| a.0.cmp(&b.0));
            for (name, mut record) in named {
                record.identifier = name.identifier(self.rules);
                if let Target::Directory(id) = record.target {
                    identifiers.push((id, record.identifier.clone()));
                }
                directory.records.push(record);
            }
        }
        for (id, identifier) in identifiers {
            if let Some(directory) = self.directories.get_mut(id) {
                directory.identifier = identifier;
            }
        }
    }

    /// Orders the directories by level, number of the parent and name.
    fn number(&mut self) {
        let mut queue = VecDeque::from([0]);
        while let Some(at) = queue.pop_front() {
            self.order.push(at);
            let records = self.directories.get(at).map_or(&[][..], |directory| &directory.records);
            queue.extend(records.iter().filter_map(|record| match record.target {
                Target::Directory(id) => Some(id),
                _ => None,
            }));
        }
    }

    /// Returns the directories in the order of their positions: the root, relocated ones, the
    /// others. Readers that read the image once (libarchive) then know a relocated directory, with
    /// everything below it, before its parent.
    pub(crate) fn placement(&self) -> Vec<usize> {
        let mut below = vec![false; self.directories.len()];
        let (mut relocated, mut others) = (Vec::new(), Vec::new());
        for &at in &self.order {
            let parent = self.directories.get(at).map_or(0, |directory| directory.parent);
            let is_relocated = self.relocated == Some(at) || below.get(parent).copied().unwrap_or(false);
            if let Some(below) = below.get_mut(at) {
                *below = is_relocated;
            }
            if at != 0 {
                if is_relocated { &mut relocated } else { &mut others }.push(at);
            }
        }
        [vec![0], relocated, others].concat()
    }

    /// Returns the path of a directory in the tree, for messages.
    pub(crate) fn path(&self, at: usize) -> Vec<u8> {
        let mut names = Vec::new();
        let mut next = at;
        while let Some(directory) = self.directories.get(next).filter(|_| next != 0) {
            names.push(directory.name);
            next = directory.origin.unwrap_or(directory.parent);
        }
        names.reverse();
        names.join(&b'/')
    }
}
