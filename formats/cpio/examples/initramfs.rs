//! Packs a directory into an initramfs: `cargo run --example initramfs -- DIRECTORY ARCHIVE`

use std::error::Error;
use std::path::Path;

use newc_archive::{Tree, plan};

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [directory, archive] = arguments.as_slice() else {
        return Err("usage: initramfs DIRECTORY ARCHIVE".into());
    };
    pack(directory.as_ref(), archive.as_ref())
}

fn pack(directory: &Path, archive: &Path) -> Result<(), Box<dyn Error>> {
    let extents = plan(&Tree::from_dir(directory)?)?;
    extents.write_to(archive)?;
    println!("{}: {} bytes", archive.display(), extents.len());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_is_packed() -> Result<(), Box<dyn Error>> {
        let dir = tempfile::tempdir()?;
        let archive = dir.path().join("archive");
        pack(concat!(env!("CARGO_MANIFEST_DIR"), "/src").as_ref(), &archive)?;
        let (members, _) = newc_archive::members(&newc_archive::Extents::open(&archive)?)?;
        assert!(members.iter().any(|member| member.name == b"lib.rs"));
        Ok(())
    }
}
