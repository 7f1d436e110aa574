//! The root filesystem on a medium of its own: mounted where it is, in place of being unpacked
//! into memory.

use extents::Extents;
use serde_json::Value;
use tree::{Kind, Meta, Time, Tree};

use super::formats::Filesystem;
use super::{Error, Options};
use crate::codec::compress::Compression;
use crate::content_id::ContentId;
use crate::time;

/// What an init mounts over, or writes into after it has mounted something there.
const MOUNT_POINTS: [&str; 6] = ["dev", "proc", "run", "sys", "tmp", "var"];

/// A root filesystem as an image.
#[derive(Clone, Debug)]
pub struct Image {
    /// Its bytes.
    pub content: Extents,
    /// What `root=` calls it when it is not in a partition.
    pub device: String,
}

/// The tree with all that nobody can make any more when it is only read: what init and
/// containers mount over.
///
/// # Errors
/// What reading the containers' configurations fails with.
pub fn mountable(root: &Tree) -> Result<Tree, Error> {
    let mut tree = root.clone();
    let mut missing: Vec<(Vec<u8>, Kind)> = MOUNT_POINTS
        .iter()
        .map(|path| (path.as_bytes().to_vec(), Kind::directory()))
        .collect();
    for item in root.walk() {
        let Some(bundle) = item.path.strip_suffix(b"/config.json") else {
            continue;
        };
        let (Kind::File(content), true) = (&item.node.kind, item.path.starts_with(b"containers/")) else {
            continue;
        };
        let Some(base) = bound(root, bundle)? else {
            continue;
        };
        let config: Value = serde_json::from_slice(&content.to_vec()?).unwrap_or_default();
        let mounts = config.get("mounts").and_then(Value::as_array);
        for mount in mounts.into_iter().flatten() {
            let text = |key: &str| mount.get(key).and_then(Value::as_str).unwrap_or_default();
            let point = tree.resolve_below(&base, text("destination").as_bytes());
            let point = point.map_err(std::io::Error::other)?;
            missing.push((point, kind_of(root, text("type"), text("source"))));
        }
    }
    let meta = |mode| Meta::new(mode, Time::from_seconds(time::fixed()));
    for (path, kind) in missing {
        if tree.lookup_following(&path).is_none() {
            let mode = if kind.is_directory() { 0o755 } else { 0o644 };
            let put = tree.insert(&path, meta(mode), kind, &meta(0o755));
            put.map_err(std::io::Error::other)?;
        }
    }
    Ok(tree)
}

/// The folder that a container has for its root when that can only be read: another's, where two
/// share an image. The upper layer of an overlay is in memory, and takes what is missing.
fn bound(root: &Tree, bundle: &[u8]) -> Result<Option<Vec<u8>>, Error> {
    let runtime = root.lookup(&[bundle, b"/runtime.json"].concat());
    let Some(Kind::File(content)) = runtime.map(|id| &root.node(id).kind) else {
        return Ok(None);
    };
    let runtime: Value = serde_json::from_slice(&content.to_vec()?).unwrap_or_default();
    let rootfs = format!("/{}/rootfs", String::from_utf8_lossy(bundle));
    let mounts = runtime.get("mounts").and_then(Value::as_array);
    let text = |mount: &Value, key: &str| mount.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
    let mount = mounts
        .into_iter()
        .flatten()
        .find(|mount| text(mount, "destination") == rootfs);
    let binds = mount.filter(|mount| text(mount, "type") != "overlay");
    Ok(binds.map(|mount| text(mount, "source").trim_matches('/').as_bytes().to_vec()))
}

/// What a mount point is to be: a file where a file is bound.
fn kind_of(root: &Tree, kind: &str, source: &str) -> Kind {
    let source = root.lookup_following(source.trim_start_matches('/').as_bytes());
    let file = source.is_some_and(|id| !root.node(id).kind.is_directory());
    match kind == "bind" && file {
        true => Kind::File(Extents::default()),
        false => Kind::directory(),
    }
}

/// What a tree is known by.
///
/// # Errors
/// What reading it fails with.
pub fn identity(tree: &Tree) -> Result<ContentId, Error> {
    Ok(ContentId::of(&pax::plan(tree)?)?)
}

/// The name of a CD, by which it is found.
pub fn volume_id(identity: &ContentId) -> String {
    format!("MOBY_{:08X}", identity.number("volume"))
}

/// Makes the filesystem.
///
/// # Errors
/// What it has no room for, and what reading or writing fails with.
pub fn plan(tree: &Tree, filesystem: Filesystem, identity: &ContentId, options: &Options) -> Result<Image, Error> {
    let time = Time::from_seconds(time::fixed());
    Ok(match filesystem {
        Filesystem::Squashfs => {
            let mut squashfs = squashfs::Options::default();
            squashfs.compressor = squashfs_compressor(options.compression)?;
            squashfs.jobs = options.jobs;
            squashfs.time = time;
            squashfs.temp_dir = options.spill();
            let content = squashfs::plan(tree, &squashfs)?.into_extents();
            let superblock = content.part(0, 48).to_vec()?;
            let digits: String = superblock.iter().map(|byte| format!("{byte:02x}")).collect();
            Image {
                content,
                device: format!("SQUASHFS={digits}"),
            }
        }
        Filesystem::Erofs => {
            let uuid = identity.uuid("filesystem");
            let mut erofs = erofs::Options::default();
            erofs.compressor = erofs_compressor(options.compression)?;
            erofs.jobs = options.jobs;
            erofs.time = time;
            erofs.uuid = Some(disk::Uuid::from_u128(uuid));
            erofs.label = "root".into();
            erofs.temp_dir = options.spill();
            Image {
                content: erofs::plan(tree, &erofs)?.into_extents(),
                device: format!("UUID={}", uuid_text(uuid)),
            }
        }
        Filesystem::Ext4 => {
            let uuid = identity.uuid("filesystem");
            let mut ext4 = ext4::Options::default();
            ext4.label = "root".into();
            ext4.uuid = Some(disk::Uuid::from_u128(uuid));
            ext4.time = time;
            Image {
                content: ext4::plan(tree, &ext4)?.into_extents(),
                device: format!("UUID={}", uuid_text(uuid)),
            }
        }
        Filesystem::Iso9660 => {
            let name = volume_id(identity);
            let mut iso9660 = iso9660::Options::default();
            iso9660.volume_id = name.clone();
            iso9660.time = time;
            Image {
                content: iso9660::plan(tree, &iso9660)?.into_extents(),
                device: format!("LABEL={name}"),
            }
        }
    })
}

/// A UUID as it is read aloud.
pub fn uuid_text(uuid: u128) -> String {
    let digits = format!("{uuid:032x}");
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if [8, 12, 16, 20].contains(&at) {
            text.push('-');
        }
        text.push(digit);
    }
    text
}

fn squashfs_compressor(compression: Option<Compression>) -> Result<squashfs::Compressor, Error> {
    Ok(match compression {
        None | Some(Compression::Gzip(None)) => squashfs::Compressor::GZIP,
        Some(Compression::Gzip(Some(level))) => squashfs::Compressor::Gzip(level),
        Some(Compression::Zstd(level)) => squashfs::Compressor::Zstd(level),
        Some(Compression::Xz(level)) => squashfs::Compressor::Xz(level),
        Some(Compression::Lz4) => squashfs::Compressor::Lz4,
        Some(Compression::None) => {
            return Err(Error::Filesystem(
                "squashfs is always compressed\nhelp: `--compress lz4` is the fastest; ext4 is not compressed".into(),
            ));
        }
    })
}

/// EROFS is not compressed when nothing is said: it is for those who want to read fast.
fn erofs_compressor(compression: Option<Compression>) -> Result<erofs::Compressor, Error> {
    match compression {
        None | Some(Compression::None) => Ok(erofs::Compressor::None),
        Some(Compression::Lz4) => Ok(erofs::Compressor::Lz4),
        Some(other) => Err(Error::Filesystem(format!(
            "EROFS is compressed by lz4, not by {other}\nhelp: give `--compress lz4`, or `--root squashfs`"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uuids_have_their_dashes() {
        let text = uuid_text(0x00010203_0405_0607_0809_0a0b0c0d0e0f);
        assert_eq!(text, "00010203-0405-0607-0809-0a0b0c0d0e0f");
    }
}
