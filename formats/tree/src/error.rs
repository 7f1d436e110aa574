//! Reasons for which a tree refuses a path or a node, and paths as text.

/// Maximum length of the resolved path of a node, in bytes. Linux opens no path above 4096 (`PATH_MAX`);
/// an image may be unpacked below another path and become the root when it runs.
pub(crate) const MAX_PATH_LEN: usize = 8192;

/// Maximum length of the part of a path that a message shows, in bytes.
const MAX_SHOWN_LEN: usize = 400;

/// Reason for which a path or node cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The path has a `..` component.
    #[error("the path `{}` has a `..` component", brief(path))]
    Upward {
        /// Path of the node.
        path: Vec<u8>,
    },
    /// The path is the root, which is always a directory.
    #[error("the path `{}` is the root directory and cannot be replaced", brief(path))]
    IsRoot {
        /// Path of the node.
        path: Vec<u8>,
    },
    /// The path leads through more than 40 symbolic links.
    #[error("the path `{}` leads through too many symbolic links", brief(path))]
    Loop {
        /// Path of the node.
        path: Vec<u8>,
    },
    /// The path, with symbolic links resolved, is too long to be opened.
    #[error("the path `{}` resolves to more than {MAX_PATH_LEN} bytes", brief(path))]
    TooLong {
        /// Path of the node.
        path: Vec<u8>,
    },
    /// The tree reached its limit of memory for names and attributes.
    #[error("the names and attributes exceed the memory limit of the tree at `{}`", brief(path))]
    TooMany {
        /// First path beyond the limit.
        path: Vec<u8>,
    },
    /// A name that Linux does not accept.
    #[error("the path `{}` has a name that Linux does not accept: it {fault}", brief(path))]
    Name {
        /// Path with the name.
        path: Vec<u8>,
        /// Fault of the name, as a predicate.
        fault: &'static str,
    },
    /// A target of a symbolic link that Linux does not accept.
    #[error(
        "the symbolic link `{}` has a target that Linux does not accept: it {fault}",
        brief(path)
    )]
    Target {
        /// Path of the link.
        path: Vec<u8>,
        /// Fault of the target, as a predicate.
        fault: &'static str,
    },
    /// A directory that is not empty would be replaced by something else.
    #[error(
        "`{}` is a directory that is not empty and cannot be replaced by another type of file",
        brief(path)
    )]
    Occupied {
        /// Path of the directory.
        path: Vec<u8>,
    },
    /// The target of a hard link does not exist or is a directory.
    #[error(
        "`{}` is a hard link to `{}`, which is not a file in the tree",
        brief(path),
        brief(target)
    )]
    NoTarget {
        /// Path of the link.
        path: Vec<u8>,
        /// Path of the target.
        target: Vec<u8>,
    },
}

impl Error {
    /// Returns advice for the user, to be shown apart from the message.
    pub fn help(&self) -> Option<&'static str> {
        match self {
            Error::Occupied { .. } => Some("give one of the two another path"),
            _ => None,
        }
    }
}

/// Formats a path for a message; bytes that are not printable are escaped.
pub fn show(path: &[u8]) -> String {
    match std::str::from_utf8(path) {
        Ok(text) if !text.chars().any(char::is_control) => text.to_owned(),
        _ => path.escape_ascii().to_string(),
    }
}

/// Formats at most the first 400 bytes of a path as [`show`] does, so that a hostile path cannot
/// flood a terminal.
pub fn brief(path: &[u8]) -> String {
    match path.split_at_checked(MAX_SHOWN_LEN) {
        Some((start, rest)) if !rest.is_empty() => format!("{}...", show(start)),
        _ => show(path),
    }
}
