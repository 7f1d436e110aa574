//! Packs a directory into an EROFS image: `cargo run --example from_dir -- DIRECTORY IMAGE`

use std::error::Error;
use std::path::Path;

use erofs_image::{Options, Tree, plan};

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
        // `EROFS_SUPER_MAGIC_V1`.
        assert_eq!(bytes.get(1024..1028), Some(&0xe0f5_e1e2_u32.to_le_bytes()[..]));
        Ok(())
    }
}
