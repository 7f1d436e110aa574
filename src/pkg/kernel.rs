//! A Debian kernel package as a kernel image: `kernel`, and `kernel.tar` with the modules.

use std::path::PathBuf;

use tree::{Kind, Tree};

use super::{deb, meta, modules};

/// Unpacks the kernel among the .debs.
pub fn unpack(files: &[PathBuf], tree: &mut Tree) -> Result<(), String> {
    let mut all = Tree::new(meta(0o755));
    let is_image = |path: &&PathBuf| {
        path.file_name()
            .is_some_and(|name| name.to_string_lossy().starts_with("linux-image-"))
    };
    for file in files.iter().filter(is_image) {
        deb::unpack(file, &mut all, &|path| {
            path.starts_with("boot/")
                || path.starts_with("lib/modules")
                || path.starts_with("usr/lib/modules")
                || path == "lib"
        })?;
    }
    let parents = meta(0o755);
    let mut put = |path: &str, kind: Kind| {
        let inserted = tree.insert(path.as_bytes(), meta(0o644), kind, &parents);
        inserted.map(drop).map_err(|error| error.to_string())
    };
    let mut found = false;
    for item in all.walk() {
        let name = tree::show(&item.path);
        let Kind::File(content) = &item.node.kind else { continue };
        if name.starts_with("boot/vmlinuz-") {
            put("kernel", Kind::File(content.clone()))?;
            found = true;
        } else if name.starts_with("boot/config-") {
            put("kernel-config", Kind::File(content.clone()))?;
        }
    }
    if !found {
        return Err("there is no boot/vmlinuz-* in the linux-image packages".into());
    }
    all.remove(b"boot");
    modules::index(&mut all)?;
    let tar = pax::plan(&all).map_err(|error| error.to_string())?;
    put("kernel.tar", Kind::File(tar))
}
