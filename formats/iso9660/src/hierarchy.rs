//! The folders of an image: which records stand in which, under which names, in which order.
//!
//! ```text
//! tree                                   image (ISO 9660: eight levels, ECMA-119 6.8.2.1)
//! /1/2/3/4/5/6/7/deep/file               /1/2/3/4/5/6/7   record `deep` with CL ──┐
//!                                        /RR_MOVED/DEEP/FILE  ◀───────────────────┘
//! ```

use std::collections::VecDeque;

use tree::{Kind, NodeId, Tree};

use crate::names::{self, Name, Rules};

/// The deepest level of a folder; the root is level 1.
const DEEPEST: usize = 8;
/// The folder for those that would be deeper; [`MOVED_AGAIN`] when the tree has the name.
const MOVED: &[u8] = b"rr_moved";
const MOVED_AGAIN: &[u8] = b".rr_moved";

/// What a record stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    /// A folder of the image.
    Folder(usize),
    /// A folder that stands elsewhere in the image.
    Moved(usize),
    /// A file with content.
    File,
    /// Something that is described by its system use entries alone.
    Special,
}

/// A record of a folder.
#[derive(Clone, Debug)]
pub(crate) struct Record<'a> {
    /// The name in the tree.
    pub name: &'a [u8],
    /// The name in the image.
    pub identifier: Vec<u8>,
    /// The node; none for the folder of moved ones.
    pub node: Option<NodeId>,
    /// What it stands for.
    pub target: Target,
}

/// A folder of the image.
#[derive(Clone, Debug)]
pub(crate) struct Folder<'a> {
    /// The name in the tree.
    pub name: &'a [u8],
    /// The name in the image; one zero byte for the root (ECMA-119 7.6.2).
    pub identifier: Vec<u8>,
    /// The node; none for the folder of moved ones.
    pub node: Option<NodeId>,
    /// The folder in the image that it stands in; the root stands in itself.
    pub parent: usize,
    /// The folder that it stands in according to the tree, when it was moved.
    pub origin: Option<usize>,
    /// What is in it, in the order of the image.
    pub records: Vec<Record<'a>>,
    level: usize,
}

/// All folders; the first is the root.
#[derive(Debug)]
pub(crate) struct Hierarchy<'a> {
    /// Which rules the names follow; only [`Rules::Iso`] goes with Rock Ridge.
    pub rules: Rules,
    /// The folders.
    pub folders: Vec<Folder<'a>>,
    /// The folders in the order of the path table (ECMA-119 6.9.1).
    pub order: Vec<usize>,
    /// The folder of moved ones.
    pub moved: Option<usize>,
}

impl<'a> Hierarchy<'a> {
    /// The folders for a tree.
    pub(crate) fn new(tree: &'a Tree, rules: Rules) -> Self {
        let root = Folder {
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
            folders: vec![root],
            order: Vec::new(),
            moved: None,
        };
        let mut at = 0;
        while let Some(folder) = hierarchy.folders.get(at) {
            if let Some(Kind::Directory(entries)) = folder.node.map(|id| &tree.node(id).kind) {
                for (name, entry) in entries {
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
            Kind::Directory(_) => self.add_folder(tree, at, name, node),
            Kind::File(_) => Target::File,
            // Joliet has no word for anything else.
            _ if self.rules == Rules::Joliet => return,
            _ => Target::Special,
        };
        self.push(at, name, Some(node), target);
    }

    fn add_folder(&mut self, tree: &'a Tree, at: usize, name: &'a [u8], node: NodeId) -> Target {
        let level = self.folders.get(at).map_or(1, |folder| folder.level);
        let moves = self.rules == Rules::Iso && level >= DEEPEST;
        let parent = if moves { self.moved(tree) } else { at };
        let id = self.folders.len();
        self.folders.push(Folder {
            name,
            identifier: Vec::new(),
            node: Some(node),
            parent,
            origin: moves.then_some(at),
            records: Vec::new(),
            level: if moves { 3 } else { level + 1 },
        });
        if moves {
            self.push(parent, name, Some(node), Target::Folder(id));
            Target::Moved(id)
        } else {
            Target::Folder(id)
        }
    }

    /// The folder of moved ones, made when it is asked for.
    fn moved(&mut self, tree: &Tree) -> usize {
        if let Some(moved) = self.moved {
            return moved;
        }
        let name = if tree.lookup(MOVED).is_some() {
            MOVED_AGAIN
        } else {
            MOVED
        };
        let id = self.folders.len();
        self.folders.push(Folder {
            name,
            identifier: Vec::new(),
            node: None,
            parent: 0,
            origin: None,
            records: Vec::new(),
            level: 2,
        });
        self.push(0, name, None, Target::Folder(id));
        self.moved = Some(id);
        id
    }

    fn push(&mut self, at: usize, name: &'a [u8], node: Option<NodeId>, target: Target) {
        if let Some(folder) = self.folders.get_mut(at) {
            folder.records.push(Record {
                name,
                identifier: Vec::new(),
                node,
                target,
            });
        }
    }

    /// Gives every record its name, and sorts them by it (ECMA-119 9.3).
    fn assign_names(&mut self) {
        let mut identifiers: Vec<(usize, Vec<u8>)> = Vec::new();
        for folder in &mut self.folders {
            let records = std::mem::take(&mut folder.records);
            let originals: Vec<(&[u8], bool)> = records
                .iter()
                .map(|record| (record.name, matches!(record.target, Target::Folder(_))))
                .collect();
            let names = names::assign(&originals, self.rules);
            let mut named: Vec<(Name, Record<'a>)> = names.into_iter().zip(records).collect();
            named.sort_by(|a, b| a.0.cmp(&b.0));
            for (name, mut record) in named {
                record.identifier = name.identifier(self.rules);
                if let Target::Folder(id) = record.target {
                    identifiers.push((id, record.identifier.clone()));
                }
                folder.records.push(record);
            }
        }
        for (id, identifier) in identifiers {
            if let Some(folder) = self.folders.get_mut(id) {
                folder.identifier = identifier;
            }
        }
    }

    /// Orders the folders by level, then the number of the parent, then the name.
    fn number(&mut self) {
        let mut queue = VecDeque::from([0]);
        while let Some(at) = queue.pop_front() {
            self.order.push(at);
            let records = self.folders.get(at).map_or(&[][..], |folder| &folder.records);
            queue.extend(records.iter().filter_map(|record| match record.target {
                Target::Folder(id) => Some(id),
                _ => None,
            }));
        }
    }

    /// The folders in the order in which they stand in the image: the root, those that were
    /// moved, the others. Readers that go through the image once (libarchive) then know a moved
    /// folder, and all that is below it, before they learn where it belongs.
    pub(crate) fn placement(&self) -> Vec<usize> {
        let mut below = vec![false; self.folders.len()];
        let (mut moved, mut others) = (Vec::new(), Vec::new());
        for &at in &self.order {
            let parent = self.folders.get(at).map_or(0, |folder| folder.parent);
            let is_moved = self.moved == Some(at) || below.get(parent).copied().unwrap_or(false);
            if let Some(below) = below.get_mut(at) {
                *below = is_moved;
            }
            if at != 0 {
                if is_moved { &mut moved } else { &mut others }.push(at);
            }
        }
        [vec![0], moved, others].concat()
    }

    /// The path in the tree of a folder, for messages.
    pub(crate) fn path(&self, at: usize) -> Vec<u8> {
        let mut names = Vec::new();
        let mut next = at;
        while let Some(folder) = self.folders.get(next).filter(|_| next != 0) {
            names.push(folder.name);
            next = folder.origin.unwrap_or(folder.parent);
        }
        names.reverse();
        names.join(&b'/')
    }
}
