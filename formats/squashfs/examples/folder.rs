//! Packs a folder of the host, as `mksquashfs` would:
//! `cargo run --release --example folder -- FOLDER IMAGE gzip:7 2`

use std::collections::BTreeMap;
use std::error::Error;
use std::fs::{self, File};
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{FileExt, FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use extents::{Blob, Extents, Slice, emit};
use squashfs::{Compressor, Options, plan};
use tree::{Device, Kind, Meta, Time, Tree};

/// A file that is open only while it is read: there may be more than can be open at once.
#[derive(Debug)]
struct Closed {
    path: PathBuf,
    len: u64,
}

impl Blob for Closed {
    fn len(&self) -> u64 {
        self.len
    }

    fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        File::open(&self.path)?.read_exact_at(buf, offset)
    }
}

fn add(
    tree: &mut Tree,
    links: &mut BTreeMap<(u64, u64), Vec<u8>>,
    host: &Path,
    path: &[u8],
) -> Result<(), Box<dyn Error>> {
    let facts = fs::symlink_metadata(host)?;
    let meta = Meta {
        uid: facts.uid(),
        gid: facts.gid(),
        ..Meta::new(facts.mode() & 0o7777, Time::from_seconds(facts.mtime()))
    };
    let kind = facts.file_type();
    if !kind.is_dir() && facts.nlink() > 1 {
        if let Some(first) = links.get(&(facts.dev(), facts.ino())) {
            tree.link(path, first, &meta)?;
            return Ok(());
        }
        links.insert((facts.dev(), facts.ino()), path.to_vec());
    }
    // Linux packs 12 and 20 bits.
    let device = Device {
        major: (facts.rdev() >> 8 & 0xfff) as u32,
        minor: (facts.rdev() & 0xff | facts.rdev() >> 12 & 0xf_ff00) as u32,
    };
    let content = if kind.is_dir() {
        Kind::directory()
    } else if kind.is_symlink() {
        Kind::Symlink(fs::read_link(host)?.into_os_string().into_vec())
    } else if kind.is_file() {
        let (path, len) = (host.to_owned(), facts.len());
        Kind::File(Extents::from_slice(Slice::whole(Arc::new(Closed { path, len }))))
    } else if kind.is_char_device() {
        Kind::CharDevice(device)
    } else if kind.is_block_device() {
        Kind::BlockDevice(device)
    } else if kind.is_fifo() {
        Kind::Fifo
    } else {
        Kind::Socket
    };
    tree.insert(path, meta.clone(), content, &meta)?;
    if kind.is_dir() {
        for entry in fs::read_dir(host)? {
            let name = entry?.file_name();
            let mut below = path.to_vec();
            below.push(b'/');
            below.extend_from_slice(name.as_bytes());
            add(tree, links, &host.join(&name), &below)?;
        }
    }
    Ok(())
}

fn compressor(text: &str) -> Option<Compressor> {
    let (name, level) = text.split_once(':').unwrap_or((text, ""));
    let level = level.parse().ok();
    Some(match name {
        "gzip" => level.map_or(Compressor::GZIP, Compressor::Gzip),
        "zstd" => level.map_or(Compressor::ZSTD, Compressor::Zstd),
        "xz" => level.map_or(Compressor::XZ, Compressor::Xz),
        "lz4" => Compressor::Lz4,
        _ => return None,
    })
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [folder, image, rest @ ..] = arguments.as_slice() else {
        return Err("usage: folder FOLDER IMAGE [COMPRESSOR[:LEVEL] [JOBS]]".into());
    };
    let image = Path::new(image);
    let mut options = Options::new(image.parent().filter(|p| *p != Path::new("")).unwrap_or(Path::new(".")));
    if let Some(text) = rest.first() {
        options.compressor = compressor(text).ok_or("the compressors are gzip, zstd, xz and lz4")?;
    }
    options.jobs = rest.get(1).map_or(Ok(1), |text| text.parse())?;
    let mut tree = Tree::default();
    add(&mut tree, &mut BTreeMap::new(), Path::new(folder), b"")?;
    emit::to_path(plan(&tree, &options)?.extents(), image)?;
    Ok(())
}
