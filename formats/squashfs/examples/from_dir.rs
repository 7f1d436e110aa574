//! Packs a directory of the host as mksquashfs does:
//! `cargo run --release --example from_dir -- DIRECTORY IMAGE [COMPRESSOR[:LEVEL] [JOBS]]`
//!
//! Without arguments it packs its own source directory into a temporary file.

use std::error::Error;
use std::path::PathBuf;

use extents::emit;
use squashfs_image::{Compressor, Options, plan};
use tree::Tree;

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
    let temporary = tempfile::tempdir()?;
    let (directory, image) = match arguments.as_slice() {
        [] => (
            PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/src")),
            temporary.path().join("image"),
        ),
        [directory, image, ..] => (directory.into(), image.into()),
        _ => return Err("usage: from_dir DIRECTORY IMAGE [COMPRESSOR[:LEVEL] [JOBS]]".into()),
    };
    let mut options = Options::default();
    if let Some(parent) = image.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        options.temp_dir = parent.to_owned();
    }
    if let Some(text) = arguments.get(2) {
        options.compressor = compressor(text).ok_or("the compressors are gzip, zstd, xz and lz4")?;
    }
    options.jobs = arguments.get(3).map_or(Ok(1), |text| text.parse())?;
    let tree = Tree::from_dir(&directory)?;
    let extents = plan(&tree, &options)?.into_extents();
    emit::to_path(&extents, &image)?;
    println!("{}: {} bytes", image.display(), extents.len());
    Ok(())
}
