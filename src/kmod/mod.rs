//! `modules.dep` and `modules.alias`, computed from the modules themselves (depmod(8),
//! modules.dep(5)).
//!
//! Modules that are compressed are decompressed on the way: only kernels with
//! CONFIG_MODULE_DECOMPRESS load them as they are, not every modprobe can do it in their place,
//! and an initrd compresses better as a whole.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Seek;
use std::sync::Arc;

use extents::{Extents, FileBlob, Slice};
use tree::{Kind, Meta, Time, Tree};

use crate::codec::decompress;
use crate::time;

/// How modules are compressed (CONFIG_MODULE_COMPRESS_*), by the ends of their names.
const COMPRESSED: [&str; 3] = [".gz", ".xz", ".zst"];

/// Root's metadata of the default time.
fn meta(mode: u32) -> Meta {
    Meta::new(mode, Time::from_seconds(time::DEFAULT))
}

/// What `.modinfo` says of a module.
struct Module {
    path: String,
    depends: Vec<String>,
    aliases: Vec<String>,
}

/// The path of a module without its compression; none for any other file.
pub fn plain(path: &str) -> Option<&str> {
    let uncompressed = COMPRESSED.iter().find_map(|end| path.strip_suffix(end)).unwrap_or(path);
    uncompressed.ends_with(".ko").then_some(uncompressed)
}

/// What a module is called: its file's name up to the first dot, with underscores, as kmod has it.
pub fn name_of(path: &str) -> String {
    let file = path.rsplit('/').next().unwrap_or(path);
    file.split('.').next().unwrap_or(file).replace('-', "_")
}

/// Decompresses the modules in a tree, and adds the two files to its `lib/modules/VERSION`.
pub fn index(tree: &mut Tree) -> Result<(), String> {
    decompress(tree)?;
    let mut versions: BTreeMap<String, BTreeMap<String, Module>> = BTreeMap::new();
    for item in tree.walk() {
        let path = tree::show(&item.path);
        let Kind::File(content) = &item.node.kind else { continue };
        let Some(at) = path.find("lib/modules/").map(|at| at + 12) else {
            continue;
        };
        let (folder, rest) = path.split_at(at);
        let Some((version, relative)) = rest.split_once('/') else {
            continue;
        };
        if !relative.ends_with(".ko") {
            continue;
        }
        let bytes = content.to_vec().map_err(|error| format!("{path}: {error}"))?;
        let info = modinfo(&bytes).ok_or_else(|| format!("{path} is not a kernel module"))?;
        let values = |key: &str| {
            let found = info.iter().filter_map(|line| line.strip_prefix(key)?.strip_prefix('='));
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
            .entry(format!("{folder}{version}"))
            .or_default()
            .insert(name_of(relative), module);
    }
    for (folder, modules) in versions {
        let mut dep = String::new();
        let mut alias = String::new();
        for (name, module) in &modules {
            let mut all = Vec::new();
            closure(&modules, name, &mut all, &mut BTreeSet::new());
            dep.push_str(&format!("{}:", module.path));
            for needed in all.iter().rev() {
                dep.push_str(&format!(" {needed}"));
            }
            dep.push('\n');
            for pattern in &module.aliases {
                alias.push_str(&format!("alias {pattern} {name}\n"));
            }
        }
        for (file, text) in [("modules.dep", dep), ("modules.alias", alias)] {
            let kind = Kind::File(Extents::from_bytes(text.into_bytes()));
            let inserted = tree.insert(format!("{folder}/{file}").as_bytes(), meta(0o644), kind, &meta(0o755));
            inserted.map_err(|error| error.to_string())?;
        }
    }
    Ok(())
}

/// Puts modules that are compressed into the tree without their compression.
fn decompress(tree: &mut Tree) -> Result<(), String> {
    let mut packed = Vec::new();
    for item in tree.walk() {
        let path = tree::show(&item.path);
        let Kind::File(content) = &item.node.kind else { continue };
        if let Some(plain) = plain(&path).filter(|plain| *plain != path && path.contains("lib/modules/")) {
            packed.push((plain.to_owned(), item.path, item.node.meta.clone(), content.clone()));
        }
    }
    if packed.is_empty() {
        return Ok(());
    }
    // A whole kernel's take hundreds of megabytes, which are not kept in memory.
    let failed = |error: std::io::Error| format!("cannot decompress modules into a temporary file: {error}");
    let mut file = tempfile::tempfile().map_err(failed)?;
    let mut put = Vec::new();
    for (plain, path, file_meta, content) in packed {
        let content = decompress::whole(content.reader(), content.len())
            .map_err(|error| format!("{}: {error}", tree::show(&path)))?;
        let offset = file.stream_position().map_err(failed)?;
        extents::emit::stream(&content, &mut file).map_err(failed)?;
        tree.remove(&path);
        put.push((plain, file_meta, offset, content.len()));
    }
    let blob: Arc<dyn extents::Blob> = Arc::new(FileBlob::new(file).map_err(failed)?);
    for (plain, file_meta, offset, len) in put {
        let content = Slice::new(Arc::clone(&blob), offset, len).ok_or("modules are cut off")?;
        let kind = Kind::File(Extents::from_slice(content));
        let inserted = tree.insert(plain.as_bytes(), file_meta, kind, &meta(0o755));
        inserted.map_err(|error| error.to_string())?;
    }
    Ok(())
}

/// Everything that a module needs, what must be loaded first at the front.
fn closure(modules: &BTreeMap<String, Module>, name: &str, all: &mut Vec<String>, met: &mut BTreeSet<String>) {
    for needed in modules.get(name).into_iter().flat_map(|module| &module.depends) {
        if met.insert(needed.clone()) {
            closure(modules, needed, all, met);
            all.extend(modules.get(needed).map(|module| module.path.clone()));
        }
    }
}

/// The lines of the section `.modinfo` of an ELF file (gABI, Sections).
fn modinfo(bytes: &[u8]) -> Option<Vec<String>> {
    let number = |at: usize, len: usize| -> Option<usize> {
        let field = bytes.get(at..at.checked_add(len)?)?;
        let value = field
            .iter()
            .rev()
            .fold(0u64, |value, &byte| value << 8 | u64::from(byte));
        usize::try_from(value).ok()
    };
    // ELF, 64 bits, little endian: what amd64, arm64 and riscv64 are.
    if !bytes.starts_with(b"\x7fELF\x02\x01") {
        return None;
    }
    let (table, size, count, names) = (number(0x28, 8)?, number(0x3a, 2)?, number(0x3c, 2)?, number(0x3e, 2)?);
    // A field of a section's header: sh_name, sh_offset, sh_size.
    let field = |index: usize, at: usize, len: usize| {
        let header = table.checked_add(index.checked_mul(size)?)?;
        number(header.checked_add(at)?, len)
    };
    let names = field(names, 0x18, 8)?;
    for index in 0..count {
        let name = names.checked_add(field(index, 0, 4)?)?;
        if bytes.get(name..)?.starts_with(b".modinfo\0") {
            let (start, len) = (field(index, 0x18, 8)?, field(index, 0x20, 8)?);
            let section = bytes.get(start..start.checked_add(len)?)?;
            let lines = section.split(|&byte| byte == 0).filter(|line| !line.is_empty());
            return Some(lines.map(|line| String::from_utf8_lossy(line).into_owned()).collect());
        }
    }
    None
}

#[cfg(test)]
pub(crate) mod samples {
    use std::io::Write;

    /// A module that has nothing but `.modinfo`.
    pub fn module(info: &[&str]) -> Vec<u8> {
        let info = info.join("\0") + "\0";
        let names = b"\0.modinfo\0.shstrtab\0";
        let mut file = b"\x7fELF\x02\x01".to_vec();
        file.resize(64, 0);
        file.extend(info.as_bytes());
        file.extend(names);
        let table = file.len() as u64;
        // Where a section's name is among the names, where the section is, and its length.
        for (name, offset, len) in [(0, 0, 0), (1, 64, info.len()), (10, 64 + info.len(), names.len())] {
            let mut header = [0; 64];
            header[0] = name;
            header[0x18..0x20].copy_from_slice(&(offset as u64).to_le_bytes());
            header[0x20..0x28].copy_from_slice(&(len as u64).to_le_bytes());
            file.extend(header);
        }
        file[0x28..0x30].copy_from_slice(&table.to_le_bytes());
        for (at, number) in [(0x3a, 64), (0x3c, 3), (0x3e, 2)] {
            file[at] = number;
        }
        file
    }

    pub fn gz(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    /// As the kernel's makefile has it: `xz --check=crc32`.
    pub fn xz(bytes: &[u8]) -> Vec<u8> {
        let mut options = lzma_rust2::XzOptions::with_preset(0);
        options.check_type = lzma_rust2::CheckType::Crc32;
        let mut writer = lzma_rust2::XzWriter::new(Vec::new(), options).unwrap();
        writer.write_all(bytes).unwrap();
        writer.finish().unwrap()
    }

    pub fn zst(bytes: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        let mut writer = zstd::Stream::new(&mut out, 3);
        writer.write_all(bytes).unwrap();
        writer.finish().unwrap();
        out
    }
}

#[cfg(test)]
mod tests {
    use extents::Extents;
    use tree::{Kind, Meta, Tree};

    use super::samples::{gz, module, xz, zst};
    use super::{index, modinfo, name_of};

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
    fn a_module_whose_compression_is_damaged_is_named() {
        let mut tree = Tree::default();
        let (path, meta) = ("lib/modules/6.12.1/kernel/a.ko.xz", Meta::default());
        let mut damaged = xz(&module(&["depends="]));
        damaged.truncate(damaged.len() / 2);
        let kind = Kind::File(Extents::from_bytes(damaged));
        tree.insert(path.as_bytes(), meta.clone(), kind, &meta).unwrap();
        let said = index(&mut tree).unwrap_err();
        assert!(said.starts_with(&format!("{path}: ")), "{said}");
    }

    #[test]
    fn numbers_of_any_size_are_no_panic() {
        // Where the section headers are, how long one is, and which has the names.
        for (at, len) in [(0x28, 8), (0x3a, 2), (0x3c, 2), (0x3e, 2)] {
            for byte in [0, 1, 0x40, 0x7f, 0xff] {
                let mut file = b"\x7fELF\x02\x01".to_vec();
                file.resize(0x40, 0xff);
                file.splice(at..at + len, std::iter::repeat_n(byte, len));
                file.extend([byte; 200]);
                assert_eq!(modinfo(&file), None);
            }
        }
    }
}
