//! A filesystem tree in memory: names and metadata, with contents that are [`Extents`].
//!
//! ```text
//! Tree ── nodes: [ 0 root dir, 1 file, 2 dir, ... ]      one node an inode
//!              dir ── entries: name → node, sorted by name in bytes
//! ```
//!
//! Two names with the same node are hard links of each other. Paths are bytes, separated by
//! `/`; empty components and `.` are skipped, `..` is refused. A symbolic link used as a parent
//! folder is followed within the tree and cannot leave it.

mod identity;
mod path;
mod walk;

use std::collections::BTreeMap;
use std::sync::Arc;

use extents::Extents;

pub use identity::Identity;
pub use path::{Error, brief, show};
pub use walk::Item;

/// A time of the Unix epoch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Time {
    /// Seconds since 1970-01-01T00:00:00Z.
    pub seconds: i64,
    /// Nanoseconds within the second, below 1,000,000,000.
    pub nanoseconds: u32,
}

impl Time {
    /// A whole second.
    pub const fn from_seconds(seconds: i64) -> Self {
        Time {
            seconds,
            nanoseconds: 0,
        }
    }
}

/// What is known of a node besides what it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Meta {
    /// Permission bits with set-uid, set-gid and sticky: `0o7777` at most.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Time of last modification.
    pub mtime: Time,
    /// Extended attributes by full name (`security.capability`, `user.x`).
    pub xattrs: BTreeMap<Vec<u8>, Vec<u8>>,
    /// Records that only a tar can hold, shared by many nodes (where a file came from, say).
    pub records: Option<Arc<BTreeMap<String, Vec<u8>>>>,
    /// Whether it is a folder that nothing described, and that is there only because something
    /// below it needs it.
    pub implied: bool,
}

impl Meta {
    /// Root's, with this mode and time.
    pub fn new(mode: u32, mtime: Time) -> Self {
        Meta {
            mode,
            mtime,
            ..Meta::default()
        }
    }
}

/// What a node is.
#[derive(Clone, Debug)]
pub enum Kind {
    /// A folder: names and their nodes.
    Directory(BTreeMap<Vec<u8>, Entry>),
    /// A regular file.
    File(Extents),
    /// A symbolic link with its target.
    Symlink(Vec<u8>),
    /// A character device.
    CharDevice(Device),
    /// A block device.
    BlockDevice(Device),
    /// A named pipe.
    Fifo,
    /// A socket.
    Socket,
}

impl Kind {
    /// An empty folder.
    pub fn directory() -> Self {
        Kind::Directory(BTreeMap::new())
    }

    /// Whether it is a folder.
    pub fn is_directory(&self) -> bool {
        matches!(self, Kind::Directory(_))
    }
}

/// A device number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Device {
    /// Which driver.
    pub major: u32,
    /// Which of the driver's devices.
    pub minor: u32,
}

impl Device {
    /// The number as Linux packs it (include/linux/kdev_t.h, `new_encode_dev`): 12 bits and 20.
    pub fn packed(self) -> u32 {
        self.minor & 0xff | (self.major & 0xfff) << 8 | (self.minor & 0xf_ff00) << 12
    }
}

/// A name in a folder.
#[derive(Clone, Copy, Debug)]
pub struct Entry {
    /// The node that it names.
    pub node: NodeId,
    /// Whether the name was made as a hard link to another. Of the names of a node the one
    /// that was not is the one that a tar writes with the content.
    pub link: bool,
}

/// Which node of a tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(u32);

impl NodeId {
    /// The root folder of every tree.
    pub const ROOT: NodeId = NodeId(0);

    /// A number below [`Tree::capacity`], for tables beside the tree.
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// An inode.
#[derive(Clone, Debug)]
pub struct Node {
    /// Mode, owner, times and the rest.
    pub meta: Meta,
    /// What it is.
    pub kind: Kind,
    names: u32,
}

impl Node {
    /// How many names it has; 1 for a folder.
    pub fn names(&self) -> u32 {
        self.names
    }
}

/// How much memory a name takes besides its text, in bytes.
const NAME_WEIGHT: u64 = 256;
/// How much memory names, targets and attributes may take, in bytes: for about three million
/// names. What is larger was made to be large.
const MOST_WEIGHT: u64 = 1 << 30;

/// A filesystem tree.
#[derive(Clone, Debug)]
pub struct Tree {
    nodes: Vec<Node>,
    /// The memory taken by all names that were ever put in, in bytes.
    weight: u64,
}

impl Default for Tree {
    fn default() -> Self {
        Tree::new(Meta::new(0o755, Time::default()))
    }
}

impl Tree {
    /// A tree that has only its root folder.
    pub fn new(root: Meta) -> Self {
        Tree {
            nodes: vec![Node {
                meta: root,
                kind: Kind::directory(),
                names: 1,
            }],
            weight: 0,
        }
    }

    /// A node. Nodes come from this tree, so each exists.
    pub fn node(&self, id: NodeId) -> &Node {
        &self.nodes[id.index()]
    }

    /// A node, to change its metadata.
    pub fn node_mut(&mut self, id: NodeId) -> &mut Node {
        &mut self.nodes[id.index()]
    }

    /// One more than the greatest index of a node. Removed nodes keep theirs.
    pub fn capacity(&self) -> usize {
        self.nodes.len()
    }

    /// The node at a path, symbolic links in the folders before it followed, in the last
    /// component not.
    pub fn lookup(&self, path: &[u8]) -> Option<NodeId> {
        let (folder, name) = self.locate(path)?;
        match name {
            None => Some(folder),
            Some(name) => self.entry(folder, &name).map(|entry| entry.node),
        }
    }

    /// The node at a path, symbolic links followed in the last component too.
    pub fn lookup_following(&self, path: &[u8]) -> Option<NodeId> {
        let mut path = path.to_vec();
        path.extend_from_slice(b"/.");
        path::resolve(self, &path).ok().map(|(id, _)| id)
    }

    /// Puts a node at a path in place of what was there, except that a folder on a folder only
    /// changes its metadata. Missing parent folders are made with `parents` as metadata; a
    /// parent that is not a folder is replaced by one.
    ///
    /// # Errors
    /// A path with `..`, one that is the root and not a folder, one that is too long, a loop of
    /// symbolic links, names and targets that Linux cannot have, and more names than a real tree
    /// has.
    pub fn insert(&mut self, path: &[u8], meta: Meta, kind: Kind, parents: &Meta) -> Result<NodeId, Error> {
        let attributes = meta.xattrs.iter().map(|(name, value)| name.len() + value.len());
        let target = match &kind {
            Kind::Symlink(target) => {
                path::check_target(path, target)?;
                target.len()
            }
            _ => 0,
        };
        self.weigh(path, attributes.sum::<usize>() + target + path.len())?;
        let (folder, name) = self.make_parents(path, parents)?;
        let Some(name) = name else {
            if !kind.is_directory() {
                return Err(Error::IsRoot { path: path.to_vec() });
            }
            self.node_mut(folder).meta = meta;
            return Ok(folder);
        };
        if let Some(entry) = self.entry(folder, &name) {
            if kind.is_directory() && self.node(entry.node).kind.is_directory() {
                self.node_mut(entry.node).meta = meta;
                return Ok(entry.node);
            }
            self.remove_name(folder, &name);
        }
        let id = self.add(meta, kind);
        self.set_name(folder, name, Entry { node: id, link: false });
        Ok(id)
    }

    /// Gives the node at `target` a second name, `path`, in place of what was there.
    ///
    /// # Errors
    /// Those of [`Tree::insert`], a target that does not exist or is a folder.
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
        let (folder, name) = self.make_parents(path, parents)?;
        let name = name.ok_or_else(|| Error::IsRoot { path: path.to_vec() })?;
        if self.entry(folder, &name).is_some_and(|entry| entry.node == node) {
            return Ok(node);
        }
        self.remove_name(folder, &name);
        // The target may have been in what the link takes the place of.
        if self.node(node).names == 0 {
            return Err(missing());
        }
        self.node_mut(node).names += 1;
        self.set_name(folder, name, Entry { node, link: true });
        Ok(node)
    }

    /// Removes what is at a path, with everything below. Says whether there was something.
    pub fn remove(&mut self, path: &[u8]) -> bool {
        match self.locate(path) {
            Some((folder, Some(name))) => self.remove_name(folder, &name),
            _ => false,
        }
    }

    /// Removes everything below a folder, and leaves the folder.
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

    /// Whether there is a folder with something in it at a path.
    pub fn is_occupied(&self, path: &[u8]) -> bool {
        let kind = self.lookup(path).map(|id| &self.node(id).kind);
        matches!(kind, Some(Kind::Directory(entries)) if !entries.is_empty())
    }

    /// Lays another tree over the folder at `path`: what it names wins, folders are joined. What is
    /// in a folder where the other has a symbolic link goes to where that leads, so that a `lib`
    /// that is a link to `usr/lib` loses nobody's modules.
    ///
    /// # Errors
    /// Those of [`Tree::insert`], and anything else in place of a folder with something in it.
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
                displaced.extend(self.detach(&to).map(|folder| (to.clone(), folder)));
            }
            if let Some(first) = copies.get(&item.id) {
                let first = first.clone();
                self.link(&to, &first, parents)?;
                self.mark(&to, item.link);
                continue;
            }
            let kind = match &item.node.kind {
                Kind::Directory(_) => Kind::directory(),
                kind => kind.clone(),
            };
            self.insert(&to, item.node.meta.clone(), kind, parents)?;
            if item.node.names > 1 {
                self.mark(&to, item.link);
                copies.insert(item.id, to);
            }
        }
        for (link, folder) in displaced {
            let to = self.lookup_following(&link);
            if to.is_some_and(|to| !self.node(to).kind.is_directory()) {
                return Err(Error::Occupied { path: link });
            }
            let (made, _) = self.make_parents(&[&link, b"/its".as_slice()].concat(), parents)?;
            if to.is_none() {
                self.node_mut(made).meta = self.node(folder).meta.clone();
            }
            self.fill(made, folder);
        }
        Ok(())
    }

    /// Takes what is at a path out of the tree, without losing it.
    fn detach(&mut self, path: &[u8]) -> Option<NodeId> {
        let (folder, name) = self.locate(path)?;
        match &mut self.node_mut(folder).kind {
            Kind::Directory(entries) => entries.remove(&name?).map(|entry| entry.node),
            _ => None,
        }
    }

    /// Moves what a folder outside of the tree holds into one of the tree, below what that has.
    fn fill(&mut self, to: NodeId, from: NodeId) {
        let mut folders = vec![(to, from)];
        while let Some((to, from)) = folders.pop() {
            let Kind::Directory(entries) = &mut self.node_mut(from).kind else {
                continue;
            };
            for (name, entry) in std::mem::take(entries) {
                match self.entry(to, &name) {
                    None => self.set_name(to, name, entry),
                    Some(there) => {
                        let both = [there, entry]
                            .iter()
                            .all(|entry| self.node(entry.node).kind.is_directory());
                        match both {
                            true => folders.push((there.node, entry.node)),
                            false => self.forget(entry.node),
                        }
                    }
                }
            }
        }
    }

    /// Says of a name that exists whether it is a link ([`Entry::link`]).
    fn mark(&mut self, path: &[u8], link: bool) {
        if let Some((folder, Some(name))) = self.locate(path)
            && let Kind::Directory(entries) = &mut self.node_mut(folder).kind
            && let Some(entry) = entries.get_mut(&name)
        {
            entry.link = link;
        }
    }

    /// Counts a name of so many bytes, with what belongs to it.
    pub(crate) fn weigh(&mut self, path: &[u8], bytes: usize) -> Result<(), Error> {
        self.weight = self.weight.saturating_add(NAME_WEIGHT).saturating_add(bytes as u64);
        match self.weight > MOST_WEIGHT {
            true => Err(Error::TooMany { path: path.to_vec() }),
            false => Ok(()),
        }
    }

    fn add(&mut self, meta: Meta, kind: Kind) -> NodeId {
        let id = NodeId(self.nodes.len() as u32);
        self.nodes.push(Node { meta, kind, names: 1 });
        id
    }

    fn entry(&self, folder: NodeId, name: &[u8]) -> Option<Entry> {
        match &self.node(folder).kind {
            Kind::Directory(entries) => entries.get(name).copied(),
            _ => None,
        }
    }

    fn set_name(&mut self, folder: NodeId, name: Vec<u8>, entry: Entry) {
        if let Kind::Directory(entries) = &mut self.node_mut(folder).kind {
            entries.insert(name, entry);
        }
    }

    fn remove_name(&mut self, folder: NodeId, name: &[u8]) -> bool {
        let removed = match &mut self.node_mut(folder).kind {
            Kind::Directory(entries) => entries.remove(name),
            _ => None,
        };
        if let Some(entry) = removed {
            self.forget(entry.node);
        }
        removed.is_some()
    }

    /// Counts one name less of a node, and of all below it.
    fn forget(&mut self, node: NodeId) {
        let mut gone = vec![node];
        while let Some(id) = gone.pop() {
            let node = self.node_mut(id);
            node.names = node.names.saturating_sub(1);
            if let Kind::Directory(entries) = &mut node.kind {
                gone.extend(std::mem::take(entries).values().map(|entry| entry.node));
            } else if node.names == 0 {
                node.kind = Kind::Fifo;
            }
        }
    }
}

#[cfg(test)]
mod tests;
