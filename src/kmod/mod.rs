//! Kernel modules: `modules.dep` and `modules.alias`, computed from the modules themselves
//! (depmod(8), modules.dep(5)).
//!
//! Compressed modules are decompressed: only kernels with CONFIG_MODULE_DECOMPRESS load them
//! compressed, not every modprobe decompresses them, and an initrd compresses better as a whole.

mod modinfo;
#[cfg(test)]
pub(crate) mod samples;

mod installed;

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Seek};
use std::sync::Arc;

use extents::{Extents, FileBlob, Slice};
use tree::{Kind, Meta, Tree};

use crate::codec::decompress;
use crate::time::default_meta;
pub use installed::Installed;

/// Extensions of compressed modules (CONFIG_MODULE_COMPRESS_*).
const COMPRESSED: [&str; 3] = [".gz", ".xz", ".zst"];
/// Directory of the modules, with a directory for each kernel version.
const DIRECTORY: &str = "lib/modules/";

/// A reason why modules cannot be indexed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A module cannot be read or decompressed.
    #[error("cannot read kernel module {path}: {source}")]
    Module {
        /// Path in the tree.
        path: String,
        /// Error of the reader.
        source: io::Error,
    },
    /// A file has a module's name only.
    #[error("{path} is not a kernel module")]
    NotAModule {
        /// Path in the tree.
        path: String,
    },
    /// The temporary file for decompressed modules cannot be used.
    #[error("cannot decompress kernel modules into a temporary file: {0}")]
    Temporary(#[source] io::Error),
    /// A file cannot be added to the tree.
    #[error("cannot add {path}: {source}")]
    Tree {
        /// Path in the tree.
        path: String,
        /// Reason.
        source: tree::Error,
    },
}

/// Metadata that `.modinfo` has of a module.
struct Module {
    /// Path below the directory of the kernel version.
    path: String,
    /// Names of modules.
    depends: Vec<String>,
    aliases: Vec<String>,
}

/// Returns the path of a module without the extension of its compression, or `None` for any other
/// file.
pub fn plain(path: &str) -> Option<&str> {
    let uncompressed = COMPRESSED
        .iter()
        .find_map(|extension| path.strip_suffix(extension))
        .unwrap_or(path);
    uncompressed.ends_with(".ko").then_some(uncompressed)
}

/// Returns the name of a module, like kmod: the file name up to the first dot, with underscores.
pub fn name_of(path: &str) -> String {
    let file = path.rsplit('/').next().unwrap_or(path);
    file.split('.').next().unwrap_or(file).replace('-', "_")
}

/// Decompresses the modules in a tree, and writes `modules.dep` and `modules.alias` for each kernel
/// version.
///
/// # Errors
/// Modules that cannot be read, and files that are not modules.
pub fn index(tree: &mut Tree) -> Result<(), Error> {
    decompress(tree)?;
    for (directory, modules) in read(tree)? {
        let mut dep = String::new();
        let mut alias = String::new();
        for (name, module) in &modules {
            dep.push_str(&format!("{}:", module.path));
            for path in dependencies(&modules, name).iter().rev() {
                dep.push_str(&format!(" {path}"));
            }
            dep.push('\n');
            for pattern in &module.aliases {
                alias.push_str(&format!("alias {pattern} {name}\n"));
            }
        }
        for (file, text) in [("modules.dep", dep), ("modules.alias", alias)] {
            put(
                tree,
                format!("{directory}/{file}"),
                default_meta(0o644),
                Extents::from_bytes(text.into_bytes()),
            )?;
        }
    }
    Ok(())
}

/// Reads the modules by directory of a kernel version and by name.
fn read(tree: &Tree) -> Result<BTreeMap<String, BTreeMap<String, Module>>, Error> {
    let mut versions: BTreeMap<String, BTreeMap<String, Module>> = BTreeMap::new();
    for named in tree.walk() {
        let path = tree::show(&named.path);
        let Kind::File(content) = &named.node.kind else {
            continue;
        };
        let Some(at) = path.find(DIRECTORY).map(|at| at + DIRECTORY.len()) else {
            continue;
        };
        let (directory, rest) = path.split_at(at);
        let Some((version, relative)) = rest.split_once('/') else {
            continue;
        };
        if !relative.ends_with(".ko") {
            continue;
        }
        let bytes = content.to_vec().map_err(|source| Error::Module {
            path: path.clone(),
            source,
        })?;
        let Some(entries) = modinfo::entries(&bytes) else {
            return Err(Error::NotAModule { path });
        };
        let values = |key: &str| {
            let found = entries
                .iter()
                .filter_map(|entry| entry.strip_prefix(key)?.strip_prefix('='));
            found.map(str::to_owned).collect::<Vec<String>>()
        };
        let depends = values("depends").join(",");
        let module = Module {
            path: relative.to_owned(),
            depends: depends
                .split(',')
                .filter(|name| !name.is_empty())
                .map(|name| name.replace('-', "_"))
                .collect(),
            aliases: values("alias"),
        };
        versions
            .entry(format!("{directory}{version}"))
            .or_default()
            .insert(name_of(relative), module);
    }
    Ok(versions)
}

/// Replaces compressed modules by decompressed ones.
fn decompress(tree: &mut Tree) -> Result<(), Error> {
    let mut compressed = Vec::new();
    for named in tree.walk() {
        let path = tree::show(&named.path);
        let Kind::File(content) = &named.node.kind else {
            continue;
        };
        if let Some(plain) = plain(&path).filter(|plain| *plain != path && path.contains(DIRECTORY)) {
            compressed.push((plain.to_owned(), named.path, named.node.meta.clone(), content.clone()));
        }
    }
    if compressed.is_empty() {
        return Ok(());
    }
    // The modules of a kernel take hundreds of megabytes, too much for memory.
    let mut file = tempfile::tempfile().map_err(Error::Temporary)?;
    let mut decompressed = Vec::new();
    for (plain, path, meta, content) in compressed {
        let content = decompress::to_extents(content.reader(), content.len()).map_err(|source| Error::Module {
            path: tree::show(&path),
            source,
        })?;
        let offset = file.stream_position().map_err(Error::Temporary)?;
        extents::emit::stream(&content, &mut file).map_err(Error::Temporary)?;
        tree.remove(&path);
        decompressed.push((plain, meta, offset, content.len()));
    }
    let blob: Arc<dyn extents::Blob> = Arc::new(FileBlob::new(file).map_err(Error::Temporary)?);
    for (plain, meta, offset, len) in decompressed {
        let slice = Slice::new(Arc::clone(&blob), offset, len);
        let slice = slice.ok_or_else(|| Error::Temporary(io::ErrorKind::UnexpectedEof.into()))?;
        put(tree, plain, meta, Extents::from_slice(slice))?;
    }
    Ok(())
}

fn put(tree: &mut Tree, path: String, file_meta: Meta, content: Extents) -> Result<(), Error> {
    let inserted = tree.insert(path.as_bytes(), file_meta, Kind::File(content), &default_meta(0o755));
    inserted.map(drop).map_err(|source| Error::Tree { path, source })
}

/// Returns the paths of all modules that a module needs, in the order in which they are loaded.
fn dependencies(modules: &BTreeMap<String, Module>, name: &str) -> Vec<String> {
    let depends = |name: &str| modules.get(name).map_or(&[][..], |module| &module.depends);
    let mut paths = Vec::new();
    let mut seen = BTreeSet::new();
    // Modules on the way, each with its dependencies that are not followed yet.
    let mut open = vec![(name, depends(name).iter())];
    while let Some((name, rest)) = open.last_mut() {
        if let Some(needed) = rest.next() {
            if seen.insert(needed.as_str()) {
                open.push((needed.as_str(), depends(needed).iter()));
            }
            continue;
        }
        let name = *name;
        open.pop();
        if !open.is_empty() {
            paths.extend(modules.get(name).map(|module| module.path.clone()));
        }
    }
    paths
}

#[cfg(test)]
mod tests {
    use super::samples::{gz, module, xz, zst};
    use super::*;

    #[test]
    fn names_are_as_kmod_has_them() {
        assert_eq!(name_of("kernel/drivers/net/virtio-net.ko"), "virtio_net");
        assert_eq!(name_of("kernel/drivers/net/virtio-net.ko.xz"), "virtio_net");
        assert_eq!(name_of("a.b-c.ko"), "a");
    }

    #[test]
    fn compressed_modules_are_decompressed_and_listed() {
        let mut tree = Tree::default();
        let mut put = |path: &str, content: &[u8]| {
            let (kind, meta) = (Kind::File(Extents::from_bytes(content)), Meta::default());
            let path = format!("lib/modules/6.12.1/kernel/{path}");
            tree.insert(path.as_bytes(), meta.clone(), kind, &meta).unwrap();
        };
        let disk = module(&["alias=virtio:d2v*", "depends=virtio-ring,virtio"]);
        put("drivers/virtio-blk.ko.xz", &xz(&disk));
        put("drivers/virtio.ko.zst", &zst(&module(&["depends="])));
        put("drivers/virtio_ring.ko.gz", &gz(&module(&["depends=virtio"])));
        put("fs/plain.ko", &module(&["alias=fs-plain"]));
        put("fs/no-module.xz", b"no xz either");
        index(&mut tree).unwrap();
        let read = |path: &str| {
            let id = tree.lookup(format!("lib/modules/6.12.1/{path}").as_bytes())?;
            match &tree.node(id).kind {
                Kind::File(content) => Some(content.to_vec().unwrap()),
                _ => None,
            }
        };
        assert_eq!(read("kernel/drivers/virtio-blk.ko").unwrap(), disk);
        assert_eq!(read("kernel/drivers/virtio-blk.ko.xz"), None);
        assert_eq!(read("kernel/fs/no-module.xz").unwrap(), b"no xz either");
        assert_eq!(
            String::from_utf8(read("modules.dep").unwrap()).unwrap(),
            "kernel/fs/plain.ko:\nkernel/drivers/virtio.ko:\nkernel/drivers/virtio-blk.ko: kernel/drivers/virtio_ring.ko kernel/drivers/virtio.ko\nkernel/drivers/virtio_ring.ko: kernel/drivers/virtio.ko\n"
        );
        assert_eq!(
            String::from_utf8(read("modules.alias").unwrap()).unwrap(),
            "alias fs-plain plain\nalias virtio:d2v* virtio_blk\n"
        );
    }

    #[test]
    fn a_long_chain_of_dependencies_is_followed() {
        let count = 50_000;
        let module = |number: usize| Module {
            path: format!("{number}.ko"),
            depends: vec![(number + 1).to_string()],
            aliases: Vec::new(),
        };
        let modules: BTreeMap<String, Module> = (0..count).map(|number| (number.to_string(), module(number))).collect();
        let found = dependencies(&modules, "0");
        assert_eq!(found.len(), count - 1);
        assert_eq!(found.first(), Some(&format!("{}.ko", count - 1)));
        assert_eq!(found.last(), Some(&"1.ko".to_owned()));
    }

    #[test]
    fn a_module_whose_compression_is_corrupt_is_named() {
        let mut tree = Tree::default();
        let (path, meta) = ("lib/modules/6.12.1/kernel/a.ko.xz", Meta::default());
        let mut corrupt = xz(&module(&["depends="]));
        corrupt.truncate(corrupt.len() / 2);
        let kind = Kind::File(Extents::from_bytes(corrupt));
        tree.insert(path.as_bytes(), meta.clone(), kind, &meta).unwrap();
        let error = index(&mut tree).unwrap_err();
        assert!(
            matches!(&error, Error::Module { path: found, .. } if found == path),
            "{error}"
        );
    }
}
