//! Resolution of paths, with symbolic links followed inside the tree.

use crate::error::{Error, MAX_PATH_LEN};
use crate::node::{Entry, Kind, Meta, NodeId};
use crate::store::Tree;

/// Maximum number of symbolic links that one path may lead through, as in Linux (`MAXSYMLINKS`).
const MAX_SYMLINKS: usize = 40;
/// Maximum length of a name, in bytes (Linux, include/uapi/linux/limits.h: `NAME_MAX`).
const MAX_NAME_LEN: usize = 255;
/// Maximum length of the target of a symbolic link, in bytes (`PATH_MAX` less the NUL at its end).
const MAX_TARGET_LEN: usize = 4095;

/// Iterates over the components of a path, without empty ones and `.`.
fn components(path: &[u8]) -> impl DoubleEndedIterator<Item = &[u8]> {
    path.split(|&b| b == b'/').filter(|c| !c.is_empty() && *c != b".")
}

/// Refuses a name that Linux does not accept.
fn check_name(path: &[u8], name: &[u8]) -> Result<(), Error> {
    let fault = match name {
        name if name.len() > MAX_NAME_LEN => "has more than 255 bytes",
        name if name.contains(&0) => "has a zero byte",
        _ => return Ok(()),
    };
    let path = path.to_vec();
    Err(Error::Name { path, fault })
}

/// Refuses a target of a symbolic link that Linux does not accept.
pub(crate) fn check_target(path: &[u8], target: &[u8]) -> Result<(), Error> {
    let fault = match target {
        [] => "is empty",
        target if target.len() > MAX_TARGET_LEN => "has more than 4095 bytes",
        target if target.contains(&0) => "has a zero byte",
        _ => return Ok(()),
    };
    let path = path.to_vec();
    Err(Error::Target { path, fault })
}

/// Names of a resolved path, each with its node if it exists.
type Steps<'a> = Vec<(Option<NodeId>, &'a [u8])>;

/// Follows the components of `path` from a root with all symbolic links resolved, none of them out
/// of the root. No name exists below one that is missing.
fn follow<'a>(
    tree: &'a Tree,
    root: Option<NodeId>,
    path: &[u8],
    components_of_path: impl DoubleEndedIterator<Item = &'a [u8]>,
) -> Result<Steps<'a>, Error> {
    let mut steps = Steps::new();
    let mut pending: Vec<&[u8]> = components_of_path.rev().collect();
    let mut links = 0;
    while let Some(name) = pending.pop() {
        if name == b".." {
            steps.pop();
            continue;
        }
        let here = steps.last().map_or(root, |(node, _)| *node);
        let node = here.and_then(|here| tree.entry(here, name)).map(|entry| entry.node);
        if let Some(Kind::Symlink(target)) = node.map(|node| &tree.node(node).kind) {
            links += 1;
            if links > MAX_SYMLINKS {
                return Err(Error::Loop { path: path.to_vec() });
            }
            if target.starts_with(b"/") {
                steps.clear();
            }
            pending.extend(components(target).rev());
        } else {
            steps.push((node, name));
        }
    }
    Ok(steps)
}

/// Returns the node at a path, all symbolic links resolved within the tree, and the length of the
/// node's own path in bytes.
fn resolve<'a>(
    tree: &'a Tree,
    path: &[u8],
    components_of_path: impl DoubleEndedIterator<Item = &'a [u8]>,
) -> Result<(NodeId, usize), Error> {
    let steps = follow(tree, Some(NodeId::ROOT), path, components_of_path)?;
    let len = steps.iter().map(|(_, name)| 1 + name.len()).sum();
    match steps.last() {
        None => Ok((NodeId::ROOT, 0)),
        Some((Some(node), _)) => Ok((*node, len)),
        Some((None, _)) => Err(Error::NoTarget {
            path: path.to_vec(),
            target: path.to_vec(),
        }),
    }
}

impl Tree {
    /// Returns the node at a path. Symbolic links are followed in all components but the last.
    pub fn lookup(&self, path: &[u8]) -> Option<NodeId> {
        let (directory, name) = self.locate(path)?;
        match name {
            None => Some(directory),
            Some(name) => self.entry(directory, &name).map(|entry| entry.node),
        }
    }

    /// Returns the node at a path. Symbolic links are followed in the last component too.
    pub fn lookup_following(&self, path: &[u8]) -> Option<NodeId> {
        resolve(self, path, components(path)).ok().map(|(id, _)| id)
    }

    /// Returns whether there is a directory at a path that is not empty.
    pub fn is_occupied(&self, path: &[u8]) -> bool {
        let kind = self.lookup(path).map(|id| &self.node(id).kind);
        matches!(kind, Some(Kind::Directory(entries)) if !entries.is_empty())
    }

    /// Resolves `path` as if the directory at `base` were the root: symbolic links are followed,
    /// also those to missing nodes, and none leads out of `base`. The result begins with `base`.
    ///
    /// # Errors
    /// A loop of symbolic links, and a path that is too long.
    pub fn resolve_below(&self, base: &[u8], path: &[u8]) -> Result<Vec<u8>, Error> {
        let mut resolved = base.to_vec();
        for (_, name) in follow(self, self.lookup_following(base), path, components(path))? {
            resolved.push(b'/');
            resolved.extend(name);
        }
        if resolved.len() > MAX_PATH_LEN {
            return Err(Error::TooLong { path: path.to_vec() });
        }
        Ok(resolved)
    }

    /// Returns the parent directory of a path and its last component, which is `None` for the
    /// root. Returns `None` if a parent is missing.
    pub(crate) fn locate(&self, path: &[u8]) -> Option<(NodeId, Option<Vec<u8>>)> {
        let (directory, name, _) = self.locate_with_len(path)?;
        Some((directory, name))
    }

    /// Locates a path as [`Tree::locate`] does, with the length of the resolved path in bytes.
    pub(crate) fn locate_with_len(&self, path: &[u8]) -> Option<(NodeId, Option<Vec<u8>>, usize)> {
        if components(path).any(|c| c == b"..") {
            return None;
        }
        let Some(name) = components(path).next_back() else {
            return Some((NodeId::ROOT, None, 0));
        };
        let mut parents = components(path);
        parents.next_back();
        let (directory, len) = resolve(self, path, parents).ok()?;
        self.node(directory)
            .kind
            .is_directory()
            .then(|| (directory, Some(name.to_vec()), len + 1 + name.len()))
    }

    /// Locates a path as [`Tree::locate`] does, creating the directories that are missing. A file in
    /// place of a directory is replaced by one.
    pub(crate) fn create_parents(&mut self, path: &[u8], meta: &Meta) -> Result<(NodeId, Option<Vec<u8>>), Error> {
        if components(path).any(|c| c == b"..") {
            return Err(Error::Upward { path: path.to_vec() });
        }
        let too_long = || Error::TooLong { path: path.to_vec() };
        if path.len() > MAX_PATH_LEN {
            return Err(too_long());
        }
        let mut parents = components(path);
        let Some(name) = parents.next_back() else {
            return Ok((NodeId::ROOT, None));
        };
        check_name(path, name)?;
        let name = name.to_vec();
        let steps = follow(self, Some(NodeId::ROOT), path, parents)?;
        let len_of = |steps: &[(Option<NodeId>, &[u8])]| steps.iter().map(|(_, name)| 1 + name.len()).sum::<usize>();
        if len_of(&steps) + 1 + name.len() > MAX_PATH_LEN {
            return Err(too_long());
        }
        let is_directory = |node: Option<NodeId>| node.is_some_and(|node| self.node(node).kind.is_directory());
        let existing = steps.iter().take_while(|(node, _)| is_directory(*node)).count();
        let (existing, missing) = steps.split_at(existing);
        let mut here = existing.last().and_then(|(node, _)| *node).unwrap_or(NodeId::ROOT);
        let mut len = len_of(existing);
        // The tree changes, so that its names cannot stay borrowed.
        let missing: Vec<Vec<u8>> = missing.iter().map(|(_, name)| name.to_vec()).collect();
        for component in missing {
            check_name(path, &component)?;
            len += 1 + component.len();
            self.weigh(path, len)?;
            here = self.create_directory(here, component, meta.clone());
        }
        Ok((here, Some(name)))
    }

    fn create_directory(&mut self, parent: NodeId, name: Vec<u8>, meta: Meta) -> NodeId {
        self.remove_name(parent, &name);
        let id = self.add(meta, Kind::directory());
        self.set_name(parent, name, Entry { node: id, link: false });
        id
    }
}
