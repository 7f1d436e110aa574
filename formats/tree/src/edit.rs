//! Changes to a tree: insertion, hard links, removal and grafting.

use std::collections::BTreeMap;

use crate::error::Error;
use crate::node::{Entry, Kind, Meta, NodeId};
use crate::resolve::check_target;
use crate::store::Tree;

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

    /// Copies another tree over the directory at `path`. Its nodes replace those of this tree;
    /// directories are merged. If it has a symbolic link in place of a directory, the entries of
    /// the directory move to where the link leads: with a `lib` that becomes a link to `usr/lib`,
    /// `lib/modules` becomes `usr/lib/modules`.
    ///
    /// # Errors
    /// A file other than a symbolic link to a directory in place of a directory that is not empty,
    /// a path that is too long, a loop of symbolic links, a root that is not a directory, a name or
    /// target that Linux does not accept, and exceeded memory.
    pub fn graft(&mut self, path: &[u8], other: &Tree, parents: &Meta) -> Result<(), Error> {
        let mut copies: BTreeMap<NodeId, Vec<u8>> = BTreeMap::new();
        let mut displaced: Vec<(Vec<u8>, NodeId)> = Vec::new();
        for item in other.walk() {
            let mut to = path.to_vec();
            if !item.path.is_empty() {
                if !to.is_empty() {
                    to.push(b'/');
                }
                to.extend_from_slice(&item.path);
            }
            if !item.node.kind.is_directory() && self.is_occupied(&to) {
                if !matches!(item.node.kind, Kind::Symlink(_)) {
                    return Err(Error::Occupied { path: to });
                }
                displaced.extend(self.detach_at(&to).map(|directory| (to.clone(), directory)));
            }
            if let Some(first) = copies.get(&item.id) {
                let first = first.clone();
                self.link(&to, &first, parents)?;
                self.set_link_flag(&to, item.link);
                continue;
            }
            let kind = match &item.node.kind {
                Kind::Directory(_) => Kind::directory(),
                kind => kind.clone(),
            };
            self.insert(&to, item.node.meta.clone(), kind, parents)?;
            if item.node.nlink > 1 {
                self.set_link_flag(&to, item.link);
                copies.insert(item.id, to);
            }
        }
        for (link, directory) in displaced {
            let to = self.lookup_following(&link);
            if to.is_some_and(|to| !self.node(to).kind.is_directory()) {
                return Err(Error::Occupied { path: link });
            }
            // The name below the link is never created, only its parent.
            let (parent, _) = self.create_parents(&[&link, b"/its".as_slice()].concat(), parents)?;
            if to.is_none() {
                self.node_mut(parent).meta = self.node(directory).meta.clone();
            }
            self.merge(parent, directory);
        }
        Ok(())
    }

    fn detach_at(&mut self, path: &[u8]) -> Option<NodeId> {
        let (directory, name) = self.locate(path)?;
        self.detach(directory, &name?)
    }

    /// Moves the entries of a detached directory into one of the tree, whose own entries win.
    fn merge(&mut self, to: NodeId, from: NodeId) {
        let mut directories = vec![(to, from)];
        while let Some((to, from)) = directories.pop() {
            let Kind::Directory(entries) = &mut self.node_mut(from).kind else {
                continue;
            };
            for (name, entry) in std::mem::take(entries) {
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

    /// Sets [`Entry::link`] of an existing name.
    fn set_link_flag(&mut self, path: &[u8], link: bool) {
        if let Some((directory, Some(name))) = self.locate(path)
            && let Kind::Directory(entries) = &mut self.node_mut(directory).kind
            && let Some(entry) = entries.get_mut(&name)
        {
            entry.link = link;
        }
    }
}
