//! Changes to a tree: insertion, hard links, removal and grafting.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::error::{Error, MAX_PATH_LEN};
use crate::node::{Entry, Kind, Meta, NodeId};
use crate::resolve::check_target;
use crate::store::{MAX_WEIGHT, Tree};

impl Tree {
    /// Inserts a node at a path, replacing what is there; a directory inserted over a directory
    /// only changes its metadata. Missing parent directories are created with the metadata
    /// `parents`; a parent that is not a directory is replaced by one.
    ///
    /// # Errors
    /// A path with `..`, a root that is not a directory, a path that is too long, a loop of
    /// symbolic links, a name or target that Linux does not accept, and exceeded memory.
    pub fn insert(&mut self, path: &[u8], meta: Meta, kind: Kind, parents: &Meta) -> Result<NodeId, Error> {
        let attributes = meta.xattrs.iter().map(|(name, value)| name.len() + value.len());
        let target = match &kind {
            Kind::Symlink(target) => {
                check_target(path, target)?;
                target.len()
            }
            _ => 0,
        };
        self.weigh(path, attributes.sum::<usize>() + target + path.len())?;
        let (directory, name) = self.create_parents(path, parents)?;
        let Some(name) = name else {
            if !kind.is_directory() {
                return Err(Error::IsRoot { path: path.to_vec() });
            }
            self.node_mut(directory).meta = meta;
            return Ok(directory);
        };
        if let Some(entry) = self.entry(directory, &name) {
            if kind.is_directory() && self.node(entry.node).kind.is_directory() {
                self.node_mut(entry.node).meta = meta;
                return Ok(entry.node);
            }
            self.remove_name(directory, &name);
        }
        let id = self.add(meta, kind);
        self.set_name(directory, name, Entry { node: id, link: false });
        Ok(id)
    }

    /// Adds the name `path` to the node at `target`, replacing what is at `path`.
    ///
    /// # Errors
    /// A target that does not exist or is a directory, a `path` that is the root, has `..` or is
    /// too long, a loop of symbolic links, a name that Linux does not accept, and exceeded memory.
    pub fn link(&mut self, path: &[u8], target: &[u8], parents: &Meta) -> Result<NodeId, Error> {
        let missing = || Error::NoTarget {
            path: path.to_vec(),
            target: target.to_vec(),
        };
        let node = self.lookup(target).ok_or_else(missing)?;
        if self.node(node).kind.is_directory() {
            return Err(missing());
        }
        self.weigh(path, path.len())?;
        let (directory, name) = self.create_parents(path, parents)?;
        let name = name.ok_or_else(|| Error::IsRoot { path: path.to_vec() })?;
        if self.entry(directory, &name).is_some_and(|entry| entry.node == node) {
            return Ok(node);
        }
        self.remove_name(directory, &name);
        // The target may have been below what the link replaces.
        if self.node(node).nlink == 0 {
            return Err(missing());
        }
        self.node_mut(node).nlink += 1;
        self.set_name(directory, name, Entry { node, link: true });
        Ok(node)
    }

    /// Removes the name at a path, with everything below it. Returns false if there is none.
    pub fn remove(&mut self, path: &[u8]) -> bool {
        match self.locate(path) {
            Some((directory, Some(name))) => self.remove_name(directory, &name),
            _ => false,
        }
    }

    /// Removes everything below a directory but keeps the directory.
    pub fn clear(&mut self, path: &[u8]) {
        if let Some(id) = self.lookup(path)
            && let Kind::Directory(entries) = &self.node(id).kind
        {
            let names: Vec<Vec<u8>> = entries.keys().cloned().collect();
            for name in names {
                self.remove_name(id, &name);
            }
        }
    }

    /// Moves another tree over the directory at `path`. Its nodes replace those of this tree;
    /// directories are merged. If it has a symbolic link in place of a directory, the entries of
    /// the directory move to where the link leads: with a `lib` that becomes a link to `usr/lib`,
    /// `lib/modules` becomes `usr/lib/modules`.
    ///
    /// # Errors
    /// A file other than a symbolic link to a directory in place of a directory that is not empty,
    /// a path that is too long, a loop of symbolic links, a name that Linux does not accept, and
    /// exceeded memory.
    pub fn graft(&mut self, path: &[u8], other: Tree, parents: &Meta) -> Result<(), Error> {
        let meta = other.node(NodeId::ROOT).meta.clone();
        let top = self.insert(path, meta, Kind::directory(), parents)?;
        let len = self.locate_with_len(path).map_or(0, |(_, _, len)| len);
        if let Some(named) = other.walk().find(|named| len + 1 + named.path.len() > MAX_PATH_LEN) {
            let path = below(path, &named.path);
            return Err(Error::TooLong { path });
        }
        self.weight = self.weight.saturating_add(other.weight);
        if self.weight > MAX_WEIGHT {
            return Err(Error::TooMany { path: path.to_vec() });
        }
        let root = self.nodes.append(other.nodes);
        let mut displaced: Vec<(Vec<u8>, NodeId)> = Vec::new();
        let mut directories = vec![(top, root, path.to_vec())];
        while let Some((to, from, path)) = directories.pop() {
            for (name, entry) in self.take_entries(from) {
                let existing = self.entry(to, &name).map(|existing| existing.node);
                if let Some(existing) = existing {
                    match (&self.node(existing).kind, &self.node(entry.node).kind) {
                        (Kind::Directory(_), Kind::Directory(_)) => {
                            self.node_mut(existing).meta = self.node(entry.node).meta.clone();
                            directories.push((existing, entry.node, below(&path, &name)));
                            continue;
                        }
                        (Kind::Directory(entries), kind) if !entries.is_empty() => {
                            let path = below(&path, &name);
                            if !matches!(kind, Kind::Symlink(_)) {
                                return Err(Error::Occupied { path });
                            }
                            displaced.push((path, existing));
                        }
                        _ => self.unlink(existing),
                    }
                }
                self.set_name(to, name, entry);
            }
        }
        // In the order of a walk, since of two entries with one name the first stays.
        displaced.sort_by(|(one, _), (other, _)| one.split(is_separator).cmp(other.split(is_separator)));
        for (link, directory) in displaced {
            let to = self.lookup_following(&link);
            if to.is_some_and(|to| !self.node(to).kind.is_directory()) {
                return Err(Error::Occupied { path: link });
            }
            // The name below the link is never created, only its parent.
            let (parent, _) = self.create_parents(&below(&link, b"its"), parents)?;
            if to.is_none() {
                self.node_mut(parent).meta = self.node(directory).meta.clone();
            }
            self.merge(parent, directory);
        }
        Ok(())
    }

    /// Takes the entries of a directory, which is empty then.
    fn take_entries(&mut self, directory: NodeId) -> BTreeMap<Vec<u8>, Entry> {
        match &mut self.node_mut(directory).kind {
            Kind::Directory(entries) => Arc::unwrap_or_clone(std::mem::take(entries)),
            _ => BTreeMap::new(),
        }
    }

    /// Moves the entries of a detached directory into one of the tree, whose own entries win.
    fn merge(&mut self, to: NodeId, from: NodeId) {
        let mut directories = vec![(to, from)];
        while let Some((to, from)) = directories.pop() {
            for (name, entry) in self.take_entries(from) {
                let Some(existing) = self.entry(to, &name) else {
                    self.set_name(to, name, entry);
                    continue;
                };
                let is_directory = |entry: Entry| self.node(entry.node).kind.is_directory();
                if is_directory(existing) && is_directory(entry) {
                    directories.push((existing.node, entry.node));
                } else {
                    self.unlink(entry.node);
                }
            }
        }
    }
}

fn is_separator(byte: &u8) -> bool {
    *byte == b'/'
}

/// Joins a path and a name below it.
fn below(path: &[u8], name: &[u8]) -> Vec<u8> {
    if path.is_empty() {
        return name.to_vec();
    }
    [path, b"/", name].concat()
}
