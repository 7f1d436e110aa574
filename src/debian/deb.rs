//! Debian packages (deb(5)): an ar archive of `debian-binary`, `control.tar` and `data.tar`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use extents::Extents;
use pax::Body;
use tree::{Kind, Meta, Tree};

use super::meta;
use crate::codec::decompress;

/// The tar of a package: `control` or `data`.
fn tar(path: &Path, which: &str) -> Result<Extents, String> {
    let bytes = std::fs::read(path).map_err(|error| format!("cannot read {}: {error}", path.display()))?;
    member(&bytes, which).map_err(|what| format!("{} is not a Debian package: {what}", path.display()))
}

/// The same of a package in memory.
///
/// # Errors
/// What is wrong with it.
pub fn member(bytes: &[u8], which: &str) -> Result<Extents, String> {
    let mut rest = bytes.strip_prefix(b"!<arch>\n").ok_or("no ar archive")?;
    // A header: name 16, time 12, owner 6, group 6, mode 8, size 10, end 2 (ar(5)).
    while let Some((header, after)) = rest.split_at_checked(60) {
        let text = |range: std::ops::Range<usize>| {
            String::from_utf8_lossy(header.get(range).unwrap_or_default())
                .trim()
                .to_owned()
        };
        if header.get(58..60) != Some(b"`\n") {
            return Err("a damaged header".into());
        }
        let size: usize = text(48..58).parse().map_err(|_| "a damaged header")?;
        let (content, after) = after.split_at_checked(size).ok_or("it is cut off")?;
        if text(0..16).trim_end_matches('/').starts_with(&format!("{which}.tar")) {
            return decompress::whole(content, content.len() as u64).map_err(|error| error.to_string());
        }
        rest = after.get(size % 2..).unwrap_or_default();
    }
    Err(format!("there is no {which}.tar in it"))
}

/// The fields of the control file.
pub fn control(path: &Path) -> Result<BTreeMap<String, String>, String> {
    let archive = tar(path, "control")?;
    for entry in pax::entries(&archive) {
        let entry = entry.map_err(|error| format!("{}: {error}", path.display()))?;
        if let Body::Node(Kind::File(content)) = &entry.body
            && entry.path.ends_with(b"control")
        {
            let text = content.to_vec().map_err(|error| error.to_string())?;
            let text = String::from_utf8_lossy(&text).replace("\n ", " ");
            let fields = text.lines().filter_map(|line| line.split_once(':'));
            return Ok(fields
                .map(|(key, value)| (key.to_owned(), value.trim().to_owned()))
                .collect());
        }
    }
    Err(format!("{} has no control file", path.display()))
}

/// What Debian 12 has outside of `usr`, and later releases have within.
const IN_USR: [&str; 3] = ["usr/lib64/ld-linux-", "usr/lib/ld-linux-", "usr/bin/busybox"];

/// Whether the packages are of a release whose files are all below `usr`: `/bin`, `/sbin`, `/lib` and
/// `/lib64` are links there, which no package brings. The C library and a static busybox tell.
pub fn all_in_usr(files: &[PathBuf]) -> Result<bool, String> {
    let telling = files.iter().filter(|file| {
        let name = file.file_name().unwrap_or_default().to_string_lossy();
        ["libc6_", "busybox-static_"]
            .iter()
            .any(|start| name.starts_with(start))
    });
    for file in telling {
        for entry in pax::entries(&tar(file, "data")?) {
            let path = entry.map_err(|error| format!("{}: {error}", file.display()))?.path;
            let path = path.strip_prefix(b"./").unwrap_or(&path);
            if IN_USR.iter().any(|start| path.starts_with(start.as_bytes())) {
                return Ok(true);
            }
        }
    }
    Ok(false)
}

/// Unpacks the data of a package over a tree, as far as it is wanted.
pub fn unpack(path: &Path, tree: &mut Tree, wanted: &dyn Fn(&str) -> bool) -> Result<(), String> {
    let archive = tar(path, "data")?;
    let failed = |error: &dyn std::fmt::Display| format!("{}: {error}", path.display());
    let parents = meta(0o755);
    for entry in pax::entries(&archive) {
        let entry = entry.map_err(|error| failed(&error))?;
        let name = String::from_utf8_lossy(&entry.path).into_owned();
        let name = name.trim_start_matches("./").trim_end_matches('/');
        if name.is_empty() || !wanted(name) {
            continue;
        }
        let meta = Meta {
            uid: entry.meta.uid,
            gid: entry.meta.gid,
            ..meta(entry.meta.mode)
        };
        let kind = match entry.body {
            Body::Link(target) => {
                tree.link(name.as_bytes(), &target, &parents)
                    .map_err(|error| failed(&error))?;
                continue;
            }
            // A folder that is a link by now stays one: /lib to usr/lib.
            Body::Node(Kind::Directory(_)) if tree.lookup_following(name.as_bytes()).is_some() => continue,
            Body::Node(kind) => kind,
        };
        tree.insert(name.as_bytes(), meta, kind, &parents)
            .map_err(|error| failed(&error))?;
    }
    Ok(())
}
