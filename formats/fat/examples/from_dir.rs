//! Packs a directory into a FAT image: `cargo run --example from_dir -- DIRECTORY IMAGE`

use std::error::Error;
use std::path::Path;

use fat_image::{Options, Tree, plan};

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [directory, image] = arguments.as_slice() else {
        return Err("usage: from_dir DIRECTORY IMAGE".into());
    };
    pack(directory.as_ref(), image.as_ref())
}

fn pack(directory: &Path, image: &Path) -> Result<(), Box<dyn Error>> {
    let tree = Tree::from_dir(directory)?;
    let extents = plan(&tree, &Options::default())?.into_extents();
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
        pack(concat!(env!("CARGO_MANIFEST_DIR"), "/src").as_ref(), &image)?;
        let bytes = std::fs::read(image)?;
        // FAT 1.03, "Boot Sector and BPB": the signature of the boot sector.
        assert_eq!(bytes.get(510..512), Some(&[0x55, 0xaa][..]));
        Ok(())
    }
}
