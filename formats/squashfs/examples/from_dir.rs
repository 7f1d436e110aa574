//! Packs a directory into a squashfs image:
//! `cargo run --release --example from_dir -- DIRECTORY IMAGE [COMPRESSOR[:LEVEL] [JOBS]]`

use std::error::Error;
use std::path::Path;

use squashfs_image::{Compressor, Options, Tree, plan};

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [directory, image, rest @ ..] = arguments.as_slice() else {
        return Err("usage: from_dir DIRECTORY IMAGE [COMPRESSOR[:LEVEL] [JOBS]]".into());
    };
    let mut options = Options::default();
    if let Some(text) = rest.first() {
        options.compressor = compressor(text).ok_or("the compressors are gzip, zstd, xz and lz4")?;
    }
    options.jobs = rest.get(1).map_or(Ok(1), |text| text.parse())?;
    pack(directory.as_ref(), image.as_ref(), &options)
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

fn pack(directory: &Path, image: &Path, options: &Options) -> Result<(), Box<dyn Error>> {
    let tree = Tree::from_dir(directory)?;
    let extents = plan(&tree, options)?.into_extents();
    extents.write_to(image)?;
    println!("{}: {} bytes", image.display(), extents.len());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_is_packed() -> Result<(), Box<dyn Error>> {
        let dir = tempfile::tempdir()?;
        let image = dir.path().join("image");
        let mut options = Options::default();
        options.compressor = compressor("lz4").ok_or("no LZ4")?;
        pack(concat!(env!("CARGO_MANIFEST_DIR"), "/src").as_ref(), &image, &options)?;
        // `SQUASHFS_MAGIC`.
        assert_eq!(std::fs::read(image)?.get(..4), Some(&b"hsqs"[..]));
        Ok(())
    }
}
