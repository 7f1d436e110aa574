//! Trees from directories of the host.

use std::collections::BTreeMap;
use std::fs::{self, Metadata};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::UNIX_EPOCH;

use extents::{Blob, Extents, FileBlob};

use crate::error::Error;
use crate::node::{Kind, Meta, Time};
use crate::store::Tree;

/// Failure of [`Tree::from_dir`].
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FromDirError {
    /// A file of the host could not be read.
    #[error("cannot read {}: {source}", path.display())]
    Io {
        /// Path on the host.
        path: PathBuf,
        /// Error of the system.
        source: io::Error,
    },
    /// A name or target is not Unicode (on Windows).
    #[error("{} is not Unicode", path.display())]
    NotUnicode {
        /// Path on the host.
        path: PathBuf,
    },
    /// The tree refuses a file.
    #[error(transparent)]
    Tree(#[from] Error),
}

/// File of the host that is open only while it is read: a directory may hold more files than can
/// be open at once.
#[derive(Debug)]
struct HostFile {
    path: PathBuf,
    len: u64,
}

impl Blob for HostFile {
    fn len(&self) -> u64 {
        self.len
    }

    fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        FileBlob::open(&self.path)?.read_exact_at(buf, offset)
    }
}

impl Tree {
    /// Reads a directory of the host with everything below it. Mode, owner, time, hard links and
    /// devices are kept, on Linux extended attributes too. Windows has none of them but times:
    /// there all nodes belong to root, directories have the mode 0755 and files 0644.
    ///
    /// File contents are not read. They must not change as long as the tree is in use.
    ///
    /// # Errors
    /// A path that is not a directory, files that cannot be read, and those of [`Tree::insert`].
    pub fn from_dir(path: impl AsRef<Path>) -> Result<Tree, FromDirError> {
        let root = path.as_ref();
        let metadata = fs::metadata(root).map_err(failed(root))?;
        if !metadata.is_dir() {
            return Err(failed(root)(io::ErrorKind::NotADirectory.into()));
        }
        let mut tree = Tree::new(meta(root, &metadata)?);
        let mut first_names: BTreeMap<(u64, u64), Vec<u8>> = BTreeMap::new();
        let mut pending = vec![(root.to_owned(), Vec::new())];
        while let Some((directory, prefix)) = pending.pop() {
            for host in sorted_entries(&directory)? {
                let mut path = prefix.clone();
                if !path.is_empty() {
                    path.push(b'/');
                }
                path.extend(bytes(Path::new(host.file_name().unwrap_or_default()))?);
                let metadata = fs::symlink_metadata(&host).map_err(failed(&host))?;
                let meta = meta(&host, &metadata)?;
                if let Some(inode) = system::shared_inode(&metadata) {
                    if let Some(first) = first_names.get(&inode) {
                        tree.link(&path, first, &meta)?;
                        continue;
                    }
                    first_names.insert(inode, path.clone());
                }
                tree.insert(&path, meta.clone(), kind(&host, &metadata)?, &meta)?;
                if metadata.is_dir() {
                    pending.push((host, path));
                }
            }
        }
        Ok(tree)
    }
}

fn failed(path: &Path) -> impl Fn(io::Error) -> FromDirError {
    let path = path.to_owned();
    move |source| FromDirError::Io {
        path: path.clone(),
        source,
    }
}

/// Lists a directory in order of names, since the order of the system differs between machines.
fn sorted_entries(directory: &Path) -> Result<Vec<PathBuf>, FromDirError> {
    let entries = fs::read_dir(directory).map_err(failed(directory))?;
    let mut paths = entries
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<io::Result<Vec<PathBuf>>>()
        .map_err(failed(directory))?;
    paths.sort_unstable();
    Ok(paths)
}

fn meta(host: &Path, metadata: &Metadata) -> Result<Meta, FromDirError> {
    let (mode, uid, gid) = system::owner(metadata);
    let mut meta = Meta {
        uid,
        gid,
        ..Meta::new(mode, time(metadata))
    };
    system::read_xattrs(host, &mut meta).map_err(failed(host))?;
    Ok(meta)
}

/// Returns the time of last modification; the epoch if the system has none.
fn time(metadata: &Metadata) -> Time {
    let Ok(modified) = metadata.modified() else {
        return Time::default();
    };
    match modified.duration_since(UNIX_EPOCH) {
        Ok(after) => Time {
            seconds: i64::try_from(after.as_secs()).unwrap_or(i64::MAX),
            nanoseconds: after.subsec_nanos(),
        },
        Err(before) => {
            let before = before.duration();
            let seconds = i64::try_from(before.as_secs()).map_or(i64::MIN, |seconds| -seconds);
            match before.subsec_nanos() {
                0 => Time::from_seconds(seconds),
                nanoseconds => Time {
                    seconds: seconds.saturating_sub(1),
                    nanoseconds: 1_000_000_000 - nanoseconds,
                },
            }
        }
    }
}

fn kind(host: &Path, metadata: &Metadata) -> Result<Kind, FromDirError> {
    let file_type = metadata.file_type();
    Ok(if file_type.is_dir() {
        Kind::directory()
    } else if file_type.is_symlink() {
        Kind::Symlink(bytes(&fs::read_link(host).map_err(failed(host))?)?)
    } else if file_type.is_file() {
        let (path, len) = (host.to_owned(), metadata.len());
        Kind::File(Extents::from_blob(Arc::new(HostFile { path, len })))
    } else {
        system::special(metadata)
    })
}

/// Returns a name or target as bytes.
#[cfg(unix)]
fn bytes(path: &Path) -> Result<Vec<u8>, FromDirError> {
    use std::os::unix::ffi::OsStrExt;
    Ok(path.as_os_str().as_bytes().to_vec())
}

/// Returns a name or target as bytes, with `/` between components.
#[cfg(not(unix))]
fn bytes(path: &Path) -> Result<Vec<u8>, FromDirError> {
    let text = path
        .to_str()
        .ok_or_else(|| FromDirError::NotUnicode { path: path.to_owned() })?;
    Ok(text.replace('\\', "/").into_bytes())
}

#[cfg(unix)]
mod system {
    //! Metadata that only Unix has.

    use std::fs::Metadata;
    use std::io;
    use std::os::unix::fs::{FileTypeExt, MetadataExt};
    use std::path::Path;

    use crate::node::{Device, Kind, Meta};

    /// Returns mode, user and group.
    pub(super) fn owner(metadata: &Metadata) -> (u32, u32, u32) {
        (metadata.mode() & 0o7777, metadata.uid(), metadata.gid())
    }

    /// Returns the device and inode number of a file with several hard links.
    pub(super) fn shared_inode(metadata: &Metadata) -> Option<(u64, u64)> {
        (!metadata.is_dir() && metadata.nlink() > 1).then(|| (metadata.dev(), metadata.ino()))
    }

    /// Returns a device, named pipe or socket.
    pub(super) fn special(metadata: &Metadata) -> Kind {
        let number = metadata.rdev();
        let device = Device {
            major: rustix::fs::major(number as rustix::fs::Dev),
            minor: rustix::fs::minor(number as rustix::fs::Dev),
        };
        let file_type = metadata.file_type();
        if file_type.is_char_device() {
            Kind::CharDevice(device)
        } else if file_type.is_block_device() {
            Kind::BlockDevice(device)
        } else if file_type.is_fifo() {
            Kind::Fifo
        } else {
            Kind::Socket
        }
    }

    #[cfg(target_os = "linux")]
    pub(super) fn read_xattrs(path: &Path, meta: &mut Meta) -> io::Result<()> {
        use rustix::fs::{lgetxattr, llistxattr};
        use rustix::io::Errno;
        /// Limits of Linux, in bytes (include/uapi/linux/limits.h: `XATTR_LIST_MAX`, `XATTR_SIZE_MAX`).
        const MAX_LEN: usize = 65_536;
        let mut names = vec![0; MAX_LEN];
        let len = match llistxattr(path, &mut names) {
            // The filesystem stores none.
            Err(Errno::OPNOTSUPP) => return Ok(()),
            result => result?,
        };
        names.truncate(len);
        for name in names.split(|byte| *byte == 0).filter(|name| !name.is_empty()) {
            let mut value = vec![0; MAX_LEN];
            let len = lgetxattr(path, name, &mut value)?;
            value.truncate(len);
            value.shrink_to_fit();
            meta.xattrs.insert(name.to_vec(), value);
        }
        Ok(())
    }

    #[cfg(not(target_os = "linux"))]
    pub(super) fn read_xattrs(_: &Path, _: &mut Meta) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(not(unix))]
mod system {
    //! Defaults for metadata that only Unix has.

    use std::fs::Metadata;
    use std::io;
    use std::path::Path;

    use crate::node::{Kind, Meta};

    pub(super) fn owner(metadata: &Metadata) -> (u32, u32, u32) {
        let mode = if metadata.is_dir() { 0o755 } else { 0o644 };
        (mode, 0, 0)
    }

    pub(super) fn shared_inode(_: &Metadata) -> Option<(u64, u64)> {
        None
    }

    pub(super) fn special(_: &Metadata) -> Kind {
        Kind::Fifo
    }

    pub(super) fn read_xattrs(_: &Path, _: &mut Meta) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
#[cfg(unix)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};
    use std::time::{Duration, SystemTime};

    use super::*;

    fn write(path: PathBuf, content: &str) {
        fs::write(path, content).unwrap();
    }

    #[test]
    fn a_directory_of_the_host_is_read_in_order_of_names() {
        let host = tempfile::tempdir().unwrap();
        let path = |name: &str| host.path().join(name);
        fs::create_dir(path("b")).unwrap();
        fs::create_dir(path("empty")).unwrap();
        write(path("z"), "shared");
        fs::hard_link(path("z"), path("b/link")).unwrap();
        fs::hard_link(path("z"), path("a")).unwrap();
        write(path("b/run"), "#!/bin/sh");
        fs::set_permissions(path("b/run"), PermissionsExt::from_mode(0o4750)).unwrap();
        let before_1970 = SystemTime::UNIX_EPOCH - Duration::from_millis(1500);
        fs::File::open(path("b/run"))
            .unwrap()
            .set_modified(before_1970)
            .unwrap();
        symlink("../missing", path("b/symlink")).unwrap();
        let _socket = std::os::unix::net::UnixListener::bind(path("socket")).unwrap();

        let tree = Tree::from_dir(host.path()).unwrap();
        let names: Vec<String> = tree.walk().map(|named| crate::show(&named.path)).collect();
        assert_eq!(
            names,
            ["", "a", "b", "b/link", "b/run", "b/symlink", "empty", "socket", "z"]
        );
        let node = |path: &str| tree.node(tree.lookup(path.as_bytes()).unwrap());
        assert_eq!(tree.lookup(b"a"), tree.lookup(b"b/link"));
        assert_eq!((tree.lookup(b"a"), node("z").nlink()), (tree.lookup(b"z"), 3));
        assert!(matches!(&node("z").kind, Kind::File(content) if content.to_vec().unwrap() == b"shared"));
        assert!(matches!(&node("b/symlink").kind, Kind::Symlink(target) if target == b"../missing"));
        assert!(matches!(node("socket").kind, Kind::Socket));
        let run = &node("b/run").meta;
        assert_eq!(
            (run.mode, run.mtime.seconds, run.mtime.nanoseconds),
            (0o4750, -2, 500_000_000)
        );
        let links: Vec<bool> = tree
            .walk()
            .filter(|named| named.node.nlink() > 1)
            .map(|named| named.link)
            .collect();
        assert_eq!(links, [false, true, true], "the first in order of names is not a link");
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn extended_attributes_are_read() {
        let host = tempfile::tempdir().unwrap();
        let path = host.path().join("file");
        write(path.clone(), "");
        match rustix::fs::lsetxattr(&path, "user.name", b"value", rustix::fs::XattrFlags::empty()) {
            // Then there are none to be read either.
            Err(rustix::io::Errno::OPNOTSUPP) => {
                let tree = Tree::from_dir(host.path()).unwrap();
                assert!(tree.node(tree.lookup(b"file").unwrap()).meta.xattrs.is_empty());
            }
            result => {
                result.unwrap();
                let tree = Tree::from_dir(host.path()).unwrap();
                let xattrs = &tree.node(tree.lookup(b"file").unwrap()).meta.xattrs;
                assert_eq!(xattrs.get(&b"user.name"[..]), Some(&b"value".to_vec()));
            }
        }
    }

    #[test]
    fn only_directories_are_read() {
        let host = tempfile::tempdir().unwrap();
        let path = host.path().join("file");
        write(path.clone(), "");
        for path in [path, host.path().join("missing")] {
            let error = Tree::from_dir(&path).unwrap_err();
            assert!(
                matches!(&error, FromDirError::Io { path: found, .. } if *found == path),
                "{error}"
            );
        }
    }
}
