//! A Debian kernel package as a kernel image: `kernel`, and `kernel.tar` with the modules and the
//! device trees of Raspberry Pis, the latter where LinuxKit's kernels have them: `boot/dtb`.

use std::path::PathBuf;

use tree::{Kind, Tree};

use super::{deb, meta, modules};

/// Unpacks the kernel among the .debs, with the modules that are wanted.
pub fn unpack(files: &[PathBuf], tree: &mut Tree, wanted: &dyn Fn(&str) -> bool) -> Result<(), String> {
    let mut all = Tree::new(meta(0o755));
    let is_image = |path: &&PathBuf| {
        path.file_name()
            .is_some_and(|name| name.to_string_lossy().starts_with("linux-image-"))
    };
    for file in files.iter().filter(is_image) {
        deb::unpack(file, &mut all, &|path| {
            let modules = path.starts_with("lib/modules") || path.starts_with("usr/lib/modules");
            path.starts_with("boot/")
                || path == "lib"
                || device_tree(path).is_some()
                || modules && (!path.ends_with(".ko") || wanted(path))
        })?;
    }
    let parents = meta(0o755);
    let mut put = |path: &str, kind: Kind| {
        let inserted = tree.insert(path.as_bytes(), meta(0o644), kind, &parents);
        inserted.map(drop).map_err(|error| error.to_string())
    };
    let mut found = false;
    let mut device_trees = Vec::new();
    for item in all.walk() {
        let name = tree::show(&item.path);
        let Kind::File(content) = &item.node.kind else { continue };
        if name.starts_with("boot/vmlinuz-") {
            put("kernel", Kind::File(content.clone()))?;
            found = true;
        } else if name.starts_with("boot/config-") {
            put("kernel-config", Kind::File(content.clone()))?;
        } else if let Some(path) = device_tree(&name) {
            device_trees.push((name, path, content.clone()));
        }
    }
    if !found {
        return Err("there is no boot/vmlinuz-* in the linux-image packages".into());
    }
    all.remove(b"boot");
    if all.lookup(b"usr/lib/modules").is_none() {
        all.remove(b"usr");
    }
    for (from, to, content) in device_trees {
        all.remove(from.as_bytes());
        let inserted = all.insert(to.as_bytes(), meta(0o644), Kind::File(content), &parents);
        inserted.map_err(|error| error.to_string())?;
    }
    modules::index(&mut all)?;
    let tar = pax::plan(&all).map_err(|error| error.to_string())?;
    put("kernel.tar", Kind::File(tar))
}

/// Where the device tree of a Raspberry Pi goes, if it is one: Debian has it at
/// `usr/lib/linux-image-VERSION/broadcom/bcm2*.dtb`.
fn device_tree(path: &str) -> Option<String> {
    let (_, rest) = path.strip_prefix("usr/lib/linux-image-")?.split_once('/')?;
    let name = rest.strip_prefix("broadcom/")?;
    let one = name.starts_with("bcm2") && name.ends_with(".dtb");
    one.then(|| format!("boot/dtb/{rest}"))
}

#[cfg(test)]
mod tests {
    use super::device_tree;

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
