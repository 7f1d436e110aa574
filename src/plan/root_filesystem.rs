//! Images of the root filesystem, which is mounted instead of being unpacked into memory.

use extents::Extents;
use tree::{Kind, Meta, Time, Tree};

use super::formats::Filesystem;
use super::{Error, Options};
use crate::codec::compress::Compression;
use crate::config::Mount;
use crate::content_id::ContentId;
use crate::reporter::{Progress, Reporter};
use crate::system::Container;

/// Directories over which the init mounts.
const MOUNT_POINTS: [&str; 6] = ["dev", "proc", "run", "sys", "tmp", "var"];

/// Image of the root filesystem.
#[derive(Clone, Debug)]
pub struct Image {
    /// Content.
    pub content: Extents,
    /// Value of `root=` when the image is a disk without partitions.
    pub device: String,
    /// Kernel arguments with which the init verifies the image; none if it does not.
    pub verity_arguments: Vec<String>,
}

/// Adds the directories and files over which the init and the containers mount, which cannot be
/// created any more when the filesystem is read-only.
///
/// # Errors
/// Mount points that the tree cannot have.
pub fn with_mount_points(root: &Tree, containers: &[Container], time: i64) -> Result<Tree, Error> {
    let mut tree = root.clone();
    let mut missing: Vec<(Vec<u8>, Kind)> = MOUNT_POINTS
        .iter()
        .map(|path| (path.as_bytes().to_vec(), Kind::directory()))
        .collect();
    for container in containers {
        // The upper layer of an overlay is in memory, and takes what is missing.
        let Some(base) = &container.read_only_root else {
            continue;
        };
        for mount in &container.mounts {
            let point = tree.resolve_below(base.as_bytes(), mount.destination.as_bytes());
            let point = point.map_err(|source| Error::Tree {
                path: mount.destination.clone(),
                source,
            })?;
            missing.push((point, mount_point(root, mount)));
        }
    }
    let meta = |mode| Meta::new(mode, Time::from_seconds(time));
    for (path, kind) in missing {
        if tree.lookup_following(&path).is_none() {
            let mode = if kind.is_directory() { 0o755 } else { 0o644 };
            let put = tree.insert(&path, meta(mode), kind, &meta(0o755));
            put.map_err(|source| Error::Tree {
                path: tree::show(&path),
                source,
            })?;
        }
    }
    Ok(tree)
}

/// Returns what a mount needs to be mounted over: a file if it binds one, else a directory.
fn mount_point(root: &Tree, mount: &Mount) -> Kind {
    let source = root.lookup_following(mount.source.trim_start_matches('/').as_bytes());
    let is_file = source.is_some_and(|id| !root.node(id).kind.is_directory());
    if mount.kind == "bind" && is_file {
        Kind::File(Extents::default())
    } else {
        Kind::directory()
    }
}

/// Computes the identifier of a tree.
///
/// # Errors
/// A tree that cannot be read.
pub fn content_id(tree: &Tree) -> Result<ContentId, Error> {
    Ok(ContentId::from_content(&pax::plan(tree)?)?)
}

/// Returns the volume identifier of an ISO image, by which the init finds it.
pub fn volume_id(id: &ContentId) -> String {
    format!("MOBY_{:08X}", id.number("volume"))
}

/// Plans the filesystem.
///
/// # Errors
/// A tree that the filesystem cannot store, and reads and writes that fail.
pub fn plan(
    tree: &Tree,
    filesystem: Filesystem,
    id: &ContentId,
    options: &Options,
    reporter: &dyn Reporter,
) -> Result<Image, Error> {
    let begin = |operation| {
        reporter.progress(Progress::Begin {
            operation,
            total: content_len(tree),
        });
    };
    let progress = |bytes| reporter.progress(Progress::Advance(bytes));
    let time = Time::from_seconds(options.time);
    Ok(match filesystem {
        Filesystem::Squashfs => {
            let mut squashfs = squashfs::Options::default();
            squashfs.compressor = squashfs_compressor(options.compression)?;
            squashfs.jobs = options.jobs;
            squashfs.time = time;
            squashfs.temp_dir = options.temp_dir.clone();
            begin("building squashfs");
            let content = squashfs::plan_with_progress(tree, &squashfs, &progress)?.into_extents();
            let superblock = content.part(0, 48).to_vec()?;
            let digits: String = superblock.iter().map(|byte| format!("{byte:02x}")).collect();
            Image {
                content,
                device: format!("SQUASHFS={digits}"),
                verity_arguments: Vec::new(),
            }
        }
        Filesystem::Erofs => {
            let uuid = id.uuid("filesystem");
            let mut erofs = erofs::Options::default();
            erofs.compressor = erofs_compressor(options.compression)?;
            erofs.jobs = options.jobs;
            erofs.time = time;
            erofs.uuid = Some(disk::Uuid::from_u128(uuid));
            erofs.label = "root".into();
            erofs.temp_dir = options.temp_dir.clone();
            begin("building EROFS");
            Image {
                content: erofs::plan_with_progress(tree, &erofs, &progress)?.into_extents(),
                device: format!("UUID={}", uuid_text(uuid)),
                verity_arguments: Vec::new(),
            }
        }
        Filesystem::Ext4 => {
            let uuid = id.uuid("filesystem");
            let mut ext4 = ext4::Options::default();
            ext4.label = "root".into();
            ext4.uuid = Some(disk::Uuid::from_u128(uuid));
            ext4.time = time;
            Image {
                content: ext4::plan(tree, &ext4)?.into_extents(),
                device: format!("UUID={}", uuid_text(uuid)),
                verity_arguments: Vec::new(),
            }
        }
        Filesystem::Iso9660 => {
            let name = volume_id(id);
            let mut iso9660 = iso9660::Options::default();
            iso9660.volume_id = name.clone();
            iso9660.time = time;
            Image {
                content: iso9660::plan(tree, &iso9660)?.into_extents(),
                device: format!("LABEL={name}"),
                verity_arguments: Vec::new(),
            }
        }
    })
}

/// Returns the length of all files in bytes, those with several names once.
fn content_len(tree: &Tree) -> u64 {
    let names = tree.walk().filter(|named| !named.link);
    let len = |kind: &Kind| match kind {
        Kind::File(content) => content.len(),
        _ => 0,
    };
    names.map(|named| len(&named.node.kind)).sum()
}

/// Formats a UUID with dashes (RFC 9562, section 4).
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

/// Checks that a filesystem can be compressed as asked for.
///
/// # Errors
/// A compression that the filesystem does not have.
pub fn check(filesystem: Filesystem, compression: Option<Compression>) -> Result<(), Error> {
    match filesystem {
        Filesystem::Squashfs => squashfs_compressor(compression).map(drop),
        Filesystem::Erofs => erofs_compressor(compression).map(drop),
        Filesystem::Ext4 | Filesystem::Iso9660 => Ok(()),
    }
}

fn squashfs_compressor(compression: Option<Compression>) -> Result<squashfs::Compressor, Error> {
    Ok(match compression {
        None | Some(Compression::Gzip(None)) => squashfs::Compressor::GZIP,
        Some(Compression::Gzip(Some(level))) => squashfs::Compressor::Gzip(level),
        Some(Compression::Zstd(level)) => squashfs::Compressor::Zstd(level),
        Some(Compression::Xz(level)) => squashfs::Compressor::Xz(level),
        Some(Compression::Lz4) => squashfs::Compressor::Lz4,
        Some(Compression::None) => {
            return Err(Error::UncompressedSquashfs);
        }
    })
}

/// Returns the compressor of EROFS. The default is none, for fast reads.
fn erofs_compressor(compression: Option<Compression>) -> Result<erofs::Compressor, Error> {
    match compression {
        None | Some(Compression::None) => Ok(erofs::Compressor::None),
        Some(Compression::Lz4) => Ok(erofs::Compressor::Lz4),
        Some(other) => Err(Error::ErofsCompression(other)),
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
