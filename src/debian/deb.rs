//! Debian packages (deb(5)): an ar archive of `debian-binary`, `control.tar` and `data.tar`.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::{Path, PathBuf};

use extents::Extents;
use pax::Body;
use tree::{Kind, Meta, Tree};

use super::error::{Error, Invalid};
use crate::bounded;
use crate::codec::decompress;
use crate::time::default_meta;

/// One of the tar archives of a package.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Member {
    /// Metadata.
    Control,
    /// Files to install.
    Data,
}

impl Member {
    fn name(self) -> &'static str {
        match self {
            Member::Control => "control",
            Member::Data => "data",
        }
    }
}

/// Returns a tar archive of the package `bytes`, decompressed.
///
/// # Errors
/// A violation of deb(5).
pub fn member(bytes: &[u8], member: Member) -> Result<Extents, Invalid> {
    let mut rest = bytes.strip_prefix(b"!<arch>\n").ok_or(Invalid::NotAr)?;
    // A header: name 16, time 12, owner 6, group 6, mode 8, size 10, end 2 (ar(5)).
    while let Some((header, after)) = rest.split_at_checked(60) {
        let field = |range: Range<usize>| {
            let bytes = header.get(range).unwrap_or_default();
            String::from_utf8_lossy(bytes).trim().to_owned()
        };
        if header.get(58..60) != Some(b"`\n") {
            return Err(Invalid::Header);
        }
        let len: usize = field(48..58).parse().map_err(|_| Invalid::Header)?;
        let (content, after) = after.split_at_checked(len).ok_or(Invalid::Truncated)?;
        let name = field(0..16);
        if name
            .trim_end_matches('/')
            .starts_with(&format!("{}.tar", member.name()))
        {
            return Ok(decompress::to_extents(content, content.len() as u64)?);
        }
        rest = after.get(len % 2..).unwrap_or_default();
    }
    Err(Invalid::NoMember(member.name()))
}

/// Maximum length of a package, in bytes. The largest of Debian's have a few hundred MiB.
const MAX_DEB: u64 = 1 << 30;
/// Maximum length of a control file, in bytes.
const MAX_CONTROL: u64 = 1 << 20;

fn open(path: &Path, member: Member) -> Result<Extents, Error> {
    let bytes = bounded::regular(path, MAX_DEB).map_err(|source| Error::File {
        action: "read",
        path: path.to_owned(),
        source,
    })?;
    self::member(&bytes, member).map_err(invalid(path))
}

fn invalid<E: Into<Invalid>>(path: &Path) -> impl Fn(E) -> Error {
    move |source| Error::Deb {
        path: path.to_owned(),
        source: source.into(),
    }
}

/// Returns the fields of a package's control file (deb-control(5)).
///
/// # Errors
/// A file that cannot be read or is not a package.
pub fn control(path: &Path) -> Result<BTreeMap<String, String>, Error> {
    Ok(fields(&control_file(path)?))
}

fn fields(control: &str) -> BTreeMap<String, String> {
    let text = control.replace("\n ", " ");
    let fields = text.lines().filter_map(|line| line.split_once(':'));
    fields
        .map(|(key, value)| (key.to_owned(), value.trim().to_owned()))
        .collect()
}

fn control_file(path: &Path) -> Result<String, Error> {
    let archive = open(path, Member::Control)?;
    for entry in pax::entries(&archive) {
        let entry = entry.map_err(invalid(path))?;
        if let Body::Node(Kind::File(content)) = &entry.body
            && entry.path.ends_with(b"control")
        {
            let text = content.part(0, MAX_CONTROL).to_vec().map_err(invalid(path))?;
            return Ok(String::from_utf8_lossy(&text).into_owned());
        }
    }
    Err(invalid(path)(Invalid::NoControl))
}

/// Files that Debian 12 has outside of `usr`, and later releases have inside.
const USR_MERGED_FILES: [&str; 3] = ["usr/lib64/ld-linux-", "usr/lib/ld-linux-", "usr/bin/busybox"];
/// Packages that have one of these files.
const USR_MERGED_PACKAGES: [&str; 2] = ["libc6_", "busybox-static_"];

/// Returns whether the packages come from a release with all files below `usr`, where `/bin`, `/sbin`,
/// `/lib` and `/lib64` are symbolic links that no package contains.
///
/// # Errors
/// A file that cannot be read or is not a package.
pub fn is_usr_merged(files: &[PathBuf]) -> Result<bool, Error> {
    let candidates = files.iter().filter(|file| {
        let name = file.file_name().unwrap_or_default().to_string_lossy();
        USR_MERGED_PACKAGES.iter().any(|start| name.starts_with(start))
    });
    for file in candidates {
        for entry in pax::entries(&open(file, Member::Data)?) {
            let path = entry.map_err(invalid(file))?.path;
            let path = path.strip_prefix(b"./").unwrap_or(&path);
            if USR_MERGED_FILES.iter().any(|start| path.starts_with(start.as_bytes())) {
                return Ok(true);
            }
        }
    }
    Ok(false)
}

/// Adds a package's control file to a tree that has files of the package: as
/// `var/lib/dpkg/status.d/NAME`, where scanners look in distroless images.
///
/// # Errors
/// A file that cannot be read or is not a package, and a path that the tree refuses.
pub fn record(path: &Path, tree: &mut Tree) -> Result<(), Error> {
    let control = control_file(path)?;
    let name = fields(&control).remove("Package").unwrap_or_default();
    let is_valid = |byte: u8| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte);
    // The name of a package (deb-control(5)) becomes the name of a file.
    if !name.starts_with(|first: char| first.is_ascii_alphanumeric()) || !name.bytes().all(is_valid) {
        return Err(invalid(path)(Invalid::Name(name)));
    }
    let content = Extents::from_bytes(format!("{}\n", control.trim_end()).into_bytes());
    let to = format!("var/lib/dpkg/status.d/{name}");
    let inserted = tree.insert(
        to.as_bytes(),
        default_meta(0o644),
        Kind::File(content),
        &default_meta(0o755),
    );
    inserted.map(drop).map_err(|source| Error::Unpack {
        path: path.to_owned(),
        source,
    })
}

/// Unpacks the files of a package for which `is_wanted` holds into a tree. Returns whether any of them
/// is not a directory.
///
/// # Errors
/// A file that cannot be read or is not a package, and a path that the tree refuses.
pub fn unpack(path: &Path, tree: &mut Tree, is_wanted: &dyn Fn(&str) -> bool) -> Result<bool, Error> {
    let mut has_files = false;
    let archive = open(path, Member::Data)?;
    let refused = |source| Error::Unpack {
        path: path.to_owned(),
        source,
    };
    let parents = default_meta(0o755);
    for entry in pax::entries(&archive) {
        let entry = entry.map_err(invalid(path))?;
        let name = String::from_utf8_lossy(&entry.path).into_owned();
        let name = name.trim_start_matches("./").trim_end_matches('/');
        if name.is_empty() || !is_wanted(name) {
            continue;
        }
        let meta = Meta {
            uid: entry.meta.uid,
            gid: entry.meta.gid,
            ..default_meta(entry.meta.mode)
        };
        has_files |= !matches!(entry.body, Body::Node(Kind::Directory(_)));
        let kind = match entry.body {
            Body::Link(target) => {
                tree.link(name.as_bytes(), &target, &parents).map_err(refused)?;
                continue;
            }
            // A directory may be a symbolic link by now and stays one: /lib to usr/lib.
            Body::Node(Kind::Directory(_)) if tree.lookup_following(name.as_bytes()).is_some() => continue,
            Body::Node(kind) => kind,
        };
        tree.insert(name.as_bytes(), meta, kind, &parents).map_err(refused)?;
    }
    Ok(has_files)
}
