//! Kernel images from Debian's kernel packages: `kernel`, and `kernel.tar` with the modules and
//! Raspberry Pi's device trees, the latter in LinuxKit's place for them, `boot/dtb`.

use std::path::{Path, PathBuf};

use tree::{Kind, Tree};

use super::error::cannot;
use super::put::put_file;
use crate::debian::deb;
use crate::diagnostic::Diagnostic;
use crate::kmod;
use crate::time::default_meta;

/// Unpacks the kernel among `debs`, with the modules for which `is_wanted` holds.
///
/// # Errors
/// Packages without a kernel, and those of [`deb::unpack`] and [`kmod::index`].
pub fn unpack(debs: &[PathBuf], tree: &mut Tree, is_wanted: &dyn Fn(&str) -> bool) -> Result<(), Diagnostic> {
    let mut all = Tree::new(default_meta(0o755));
    for deb in debs.iter().filter(|deb| is_kernel(deb)) {
        deb::unpack(deb, &mut all, &|path| {
            let is_module = path.starts_with("lib/modules") || path.starts_with("usr/lib/modules");
            path.starts_with("boot/")
                || path == "lib"
                || device_tree(path).is_some()
                || is_module && kmod::plain(path).is_none_or(|path| is_wanted(path.trim_start_matches("usr/")))
        })?;
    }
    let mut has_kernel = false;
    let mut device_trees = Vec::new();
    for named in all.walk() {
        let name = tree::show(&named.path);
        let Kind::File(content) = &named.node.kind else {
            continue;
        };
        if name.starts_with("boot/vmlinuz-") {
            put_file(tree, "kernel", 0o644, content.clone())?;
            has_kernel = true;
        } else if name.starts_with("boot/config-") {
            put_file(tree, "kernel-config", 0o644, content.clone())?;
        } else if let Some(path) = device_tree(&name) {
            device_trees.push((name, path, content.clone()));
        }
    }
    if !has_kernel {
        let message = "cannot find a kernel: no linux-image package has boot/vmlinuz-*";
        return Err(Diagnostic::error(message).help("name a package such as linux-image-amd64 under `kernel:`"));
    }
    all.remove(b"boot");
    move_out_of_usr(&mut all)?;
    for (from, to, content) in device_trees {
        all.remove(from.as_bytes());
        put_file(&mut all, &to, 0o644, content)?;
    }
    kmod::index(&mut all).map_err(|error| Diagnostic::error(error.to_string()).caused_by(error))?;
    let tar = pax::plan(&all).map_err(cannot("write kernel.tar"))?;
    put_file(tree, "kernel.tar", 0o644, tar)
}

/// Returns whether a .deb file is a kernel, not one of its dependencies.
pub fn is_kernel(deb: &Path) -> bool {
    deb.file_name()
        .is_some_and(|name| name.to_string_lossy().starts_with("linux-image-"))
}

/// Moves modules to `lib/modules`, where every modprobe and LinuxKit expect them. Debian 13 has
/// them below `usr`, and only its base system has the symbolic link that leads there.
fn move_out_of_usr(all: &mut Tree) -> Result<(), Diagnostic> {
    // A package that brings the link.
    if all.lookup(b"lib").is_some() && all.lookup(b"usr/lib/modules").is_some() {
        return Ok(());
    }
    let mut found = Vec::new();
    for named in all.walk() {
        let path = named.path.strip_prefix(b"usr/");
        let Some(path) = path.filter(|path| path.starts_with(b"lib/modules")) else {
            continue;
        };
        let kind = match &named.node.kind {
            Kind::Directory(_) => Kind::directory(),
            other => other.clone(),
        };
        found.push((path.to_owned(), named.node.meta.clone(), kind));
    }
    all.remove(b"usr");
    for (path, file_meta, kind) in found {
        let inserted = all.insert(&path, file_meta, kind, &default_meta(0o755));
        inserted.map_err(cannot(format!("add {}", tree::show(&path))))?;
    }
    Ok(())
}

/// Returns the place of a Raspberry Pi's device tree, if `path` is one. Debian has them at
/// `usr/lib/linux-image-VERSION/broadcom/bcm2*.dtb`.
fn device_tree(path: &str) -> Option<String> {
    let (_, rest) = path.strip_prefix("usr/lib/linux-image-")?.split_once('/')?;
    let name = rest.strip_prefix("broadcom/")?;
    let is_raspberry_pi = name.starts_with("bcm2") && name.ends_with(".dtb");
    is_raspberry_pi.then(|| format!("boot/dtb/{rest}"))
}

#[cfg(test)]
mod tests {
    use extents::Extents;
    use tree::{Kind, Meta, Tree};

    use super::{device_tree, unpack};
    use crate::kmod::samples::{module, xz};

    #[test]
    fn compressed_modules_are_chosen_by_their_names_without_it() {
        let mut data = Tree::default();
        for (path, content) in [
            ("boot/vmlinuz-6.12.1", b"MZ".to_vec()),
            ("usr/lib/modules/6.12.1/modules.builtin", b"kernel/fs/b.ko\n".to_vec()),
            ("usr/lib/modules/6.12.1/kernel/fs/a.ko.xz", xz(&module(&["depends="]))),
            (
                "usr/lib/modules/6.12.1/kernel/fs/unwanted.ko.xz",
                xz(&module(&["depends="])),
            ),
        ] {
            let (kind, meta) = (Kind::File(Extents::from_bytes(content)), Meta::default());
            data.insert(path.as_bytes(), meta.clone(), kind, &meta).unwrap();
        }
        let data = pax::plan(&data).unwrap().to_vec().unwrap();
        let mut deb = b"!<arch>\n".to_vec();
        let len = data.len();
        deb.extend(format!("{:<48}{len:<10}`\n", "data.tar").bytes());
        deb.extend(data);
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("linux-image-6.12.1_1_amd64.deb");
        std::fs::write(&file, deb).unwrap();
        let mut tree = Tree::default();
        unpack(&[file], &mut tree, &|path| path == "lib/modules/6.12.1/kernel/fs/a.ko").unwrap();
        let id = tree.lookup(b"kernel.tar").unwrap();
        let Kind::File(tar) = &tree.node(id).kind else { panic!() };
        let entries = pax::entries(tar).map(|entry| tree::show(&entry.unwrap().path));
        let names: Vec<String> = entries.collect();
        let files = names
            .iter()
            .filter(|name| name.contains(".ko") || name.contains("/modules."));
        let expected = ["kernel/fs/a.ko", "modules.alias", "modules.builtin", "modules.dep"];
        let expected = expected.map(|name| format!("lib/modules/6.12.1/{name}"));
        assert_eq!(files.collect::<Vec<_>>(), expected.iter().collect::<Vec<_>>());
    }

    #[test]
    fn device_trees_of_raspberry_pis_go_where_linuxkit_has_them() {
        let of = |path: &str| device_tree(&format!("usr/lib/linux-image-6.1.0-9-arm64/{path}"));
        assert_eq!(
            of("broadcom/bcm2711-rpi-4-b.dtb").unwrap(),
            "boot/dtb/broadcom/bcm2711-rpi-4-b.dtb"
        );
        assert_eq!(of("broadcom/northstar2/ns2-svk.dtb"), None);
        assert_eq!(of("amlogic/meson-gxl.dtb"), None);
    }
}
