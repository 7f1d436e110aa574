//! Finding places in a tree.

use std::fmt;

use crate::{Entry, Kind, Meta, NodeId, Tree};

/// How many symbolic links one path may lead through, as in the kernel (`MAXSYMLINKS`).
const MAX_SYMLINKS: usize = 40;

/// The longest path of a node, in bytes, symbolic links resolved. Linux opens none above 4096
/// (`PATH_MAX`); an image is unpacked below a path of its own, and seen as a root when it runs.
const LONGEST_PATH: usize = 8192;

/// The longest name, in bytes (Linux, include/uapi/linux/limits.h: `NAME_MAX`).
const LONGEST_NAME: usize = 255;
/// The longest target of a symbolic link, in bytes (`PATH_MAX` with the zero byte at its end).
const LONGEST_TARGET: usize = 4095;

/// How much of a path a message has, in bytes.
const LONGEST_SHOWN: usize = 400;

/// Why a path cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Error {
    /// The path has a `..` component.
    Upward {
        /// The path.
        path: Vec<u8>,
    },
    /// The path is the root, where only a folder can be.
    IsRoot {
        /// The path.
        path: Vec<u8>,
    },
    /// The path leads through too many symbolic links.
    Loop {
        /// The path.
        path: Vec<u8>,
    },
    /// The path is longer than any that can be opened.
    TooLong {
        /// The path.
        path: Vec<u8>,
    },
    /// The tree has more names than its memory may hold.
    TooMany {
        /// The path that was one too many.
        path: Vec<u8>,
    },
    /// A name that Linux cannot have.
    Name {
        /// The path that has it.
        path: Vec<u8>,
        /// What is wrong with it.
        what: &'static str,
    },
    /// A symbolic link that Linux cannot have.
    Target {
        /// The path of the link.
        path: Vec<u8>,
        /// What is wrong with its target.
        what: &'static str,
    },
    /// Something that is not a folder in place of a folder that is not empty.
    Occupied {
        /// The path of the folder.
        path: Vec<u8>,
    },
    /// A hard link to something that does not exist, or is a folder.
    NoTarget {
        /// The name of the link.
        path: Vec<u8>,
        /// What it should be a link to.
        target: Vec<u8>,
    },
}

/// A path as text for a message: what is not printable is escaped.
pub fn show(path: &[u8]) -> String {
    match std::str::from_utf8(path) {
        Ok(text) if !text.chars().any(char::is_control) => text.to_owned(),
        _ => path.escape_ascii().to_string(),
    }
}

/// The beginning of a path as [`show`] has it, for paths that are made to flood a terminal.
pub fn brief(path: &[u8]) -> String {
    match path.split_at_checked(LONGEST_SHOWN) {
        Some((start, rest)) if !rest.is_empty() => format!("{}...", show(start)),
        _ => show(path),
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Upward { path } => write!(f, "the path `{}` has a `..` component", brief(path)),
            Error::IsRoot { path } => write!(
                f,
                "the path `{}` is the root folder and cannot be replaced",
                brief(path)
            ),
            Error::Loop { path } => write!(f, "the path `{}` leads through too many symbolic links", brief(path)),
            Error::TooLong { path } => {
                write!(
                    f,
                    "the path `{}` leads to one of more than {LONGEST_PATH} bytes",
                    brief(path)
                )
            }
            Error::TooMany { path } => write!(
                f,
                "there are more names and attributes than a real tree has, `{}` is one too many",
                brief(path)
            ),
            Error::Name { path, what } => write!(
                f,
                "the path `{}` has a name that {what}, and Linux has no such names",
                brief(path)
            ),
            Error::Target { path, what } => write!(
                f,
                "the symbolic link `{}` has a target that {what}, and Linux has no such links",
                brief(path)
            ),
            Error::Occupied { path } => write!(
                f,
                "`{}` is a folder with files in it, and nothing else can take its place\nhelp: give one of the two another path",
                brief(path)
            ),
            Error::NoTarget { path, target } => {
                write!(
                    f,
                    "`{}` is a hard link to `{}`, which is no file of the tree",
                    brief(path),
                    brief(target)
                )
            }
        }
    }
}

impl std::error::Error for Error {}

/// The components of a path that mean something, in order.
fn components(path: &[u8]) -> impl DoubleEndedIterator<Item = &[u8]> {
    path.split(|&b| b == b'/').filter(|c| !c.is_empty() && *c != b".")
}

/// Whether Linux can have a name.
fn check_name(path: &[u8], name: &[u8]) -> Result<(), Error> {
    let what = match name {
        name if name.len() > LONGEST_NAME => "has more than 255 bytes",
        name if name.contains(&0) => "has a zero byte",
        _ => return Ok(()),
    };
    let path = path.to_vec();
    Err(Error::Name { path, what })
}

/// Whether Linux can have a symbolic link with a target.
pub(crate) fn check_target(path: &[u8], target: &[u8]) -> Result<(), Error> {
    let what = match target {
        [] => "is empty",
        target if target.len() > LONGEST_TARGET => "has more than 4095 bytes",
        target if target.contains(&0) => "has a zero byte",
        _ => return Ok(()),
    };
    let path = path.to_vec();
    Err(Error::Target { path, what })
}

/// The names on the way to a place, with the node of each that is there.
type Way = Vec<(Option<NodeId>, Vec<u8>)>;

/// Follows a path from a root, all symbolic links resolved, none of them out of the root. Behind a
/// name that is missing there is nothing.
fn follow(tree: &Tree, root: Option<NodeId>, path: &[u8]) -> Result<Way, Error> {
    let mut way = Way::new();
    let mut todo: Vec<Vec<u8>> = components(path).rev().map(<[u8]>::to_vec).collect();
    let mut links = 0;
    while let Some(name) = todo.pop() {
        if name == b".." {
            way.pop();
            continue;
        }
        let here = way.last().map_or(root, |(node, _)| *node);
        let node = here.and_then(|here| tree.entry(here, &name)).map(|entry| entry.node);
        if let Some(Kind::Symlink(target)) = node.map(|node| &tree.node(node).kind) {
            links += 1;
            if links > MAX_SYMLINKS {
                return Err(Error::Loop { path: path.to_vec() });
            }
            if target.starts_with(b"/") {
                way.clear();
            }
            todo.extend(components(target).rev().map(<[u8]>::to_vec));
        } else {
            way.push((node, name));
        }
    }
    Ok(way)
}

/// The node at a path, all symbolic links resolved within the tree. The length of the node's own
/// path is returned too, in bytes.
pub(crate) fn resolve(tree: &Tree, path: &[u8]) -> Result<(NodeId, usize), Error> {
    let way = follow(tree, Some(NodeId::ROOT), path)?;
    let len = way.iter().map(|(_, name)| 1 + name.len()).sum();
    match way.last() {
        None => Ok((NodeId::ROOT, 0)),
        Some((Some(node), _)) => Ok((*node, len)),
        Some((None, _)) => Err(Error::NoTarget {
            path: path.to_vec(),
            target: path.to_vec(),
        }),
    }
}

impl Tree {
    /// The path that `path` has when the folder at `base` is taken for the root: symbolic links are
    /// followed, also those that lead to what is missing, and none leads out of it.
    ///
    /// # Errors
    /// A loop of symbolic links, and a path that is too long.
    pub fn resolve_below(&self, base: &[u8], path: &[u8]) -> Result<Vec<u8>, Error> {
        let mut resolved = base.to_vec();
        for (_, name) in follow(self, self.lookup_following(base), path)? {
            resolved.push(b'/');
            resolved.extend(name);
        }
        match resolved.len() > LONGEST_PATH {
            true => Err(Error::TooLong { path: path.to_vec() }),
            false => Ok(resolved),
        }
    }

    /// The folder that holds the last component of a path, and that component; none for the
    /// root. Nothing when a parent is missing.
    pub(crate) fn locate(&self, path: &[u8]) -> Option<(NodeId, Option<Vec<u8>>)> {
        let (folder, name, _) = self.locate_with_length(path)?;
        Some((folder, name))
    }

    /// The same with the length of the path of the whole, in bytes.
    fn locate_with_length(&self, path: &[u8]) -> Option<(NodeId, Option<Vec<u8>>, usize)> {
        if components(path).any(|c| c == b"..") {
            return None;
        }
        let Some(name) = components(path).next_back() else {
            return Some((NodeId::ROOT, None, 0));
        };
        let mut parents: Vec<&[u8]> = components(path).collect();
        parents.pop();
        let (folder, len) = resolve(self, &parents.join(&b'/')).ok()?;
        self.node(folder)
            .kind
            .is_directory()
            .then(|| (folder, Some(name.to_vec()), len + 1 + name.len()))
    }

    /// As [`Tree::locate`], with the folders that are missing made.
    pub(crate) fn make_parents(&mut self, path: &[u8], meta: &Meta) -> Result<(NodeId, Option<Vec<u8>>), Error> {
        if components(path).any(|c| c == b"..") {
            return Err(Error::Upward { path: path.to_vec() });
        }
        let too_long = || Error::TooLong { path: path.to_vec() };
        if path.len() > LONGEST_PATH {
            return Err(too_long());
        }
        if let Some(name) = components(path).next_back() {
            check_name(path, name)?;
        }
        if let Some((folder, name, len)) = self.locate_with_length(path) {
            return match len > LONGEST_PATH {
                true => Err(too_long()),
                false => Ok((folder, name)),
            };
        }
        let mut parents: Vec<&[u8]> = components(path).collect();
        let name = parents.pop().map(<[u8]>::to_vec);
        let last = name.as_ref().map_or(0, Vec::len);
        // The folders that lead to where we are, each with the length of its path.
        let mut stack: Vec<(NodeId, usize)> = Vec::new();
        let mut todo: Vec<Vec<u8>> = parents.iter().rev().map(|c| c.to_vec()).collect();
        let mut links = 0;
        while let Some(component) = todo.pop() {
            let (here, len) = stack.last().copied().unwrap_or((NodeId::ROOT, 0));
            if component == b".." {
                stack.pop();
                continue;
            }
            let len = len + 1 + component.len();
            if len + last > LONGEST_PATH {
                return Err(too_long());
            }
            let found = self.entry(here, &component).map(|entry| entry.node);
            if let Some(id) = found {
                match &self.node(id).kind {
                    Kind::Directory(_) => {
                        stack.push((id, len));
                        continue;
                    }
                    Kind::Symlink(target) => {
                        links += 1;
                        if links > MAX_SYMLINKS {
                            return Err(Error::Loop { path: path.to_vec() });
                        }
                        if target.starts_with(b"/") {
                            stack.clear();
                        }
                        todo.extend(components(target).rev().map(<[u8]>::to_vec));
                        continue;
                    }
                    _ => {}
                }
            }
            check_name(path, &component)?;
            self.weigh(path, len)?;
            stack.push((self.make_folder(here, component, meta.clone()), len));
        }
        Ok((stack.last().map_or(NodeId::ROOT, |(id, _)| *id), name))
    }

    fn make_folder(&mut self, folder: NodeId, name: Vec<u8>, meta: Meta) -> NodeId {
        self.remove_name(folder, &name);
        let id = self.add(meta, Kind::directory());
        self.set_name(folder, name, Entry { node: id, link: false });
        id
    }
}
