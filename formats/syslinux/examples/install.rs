//! Makes a FAT filesystem with syslinux from the program extlinux:
//! `cargo run --example install -- /usr/bin/extlinux FILESYSTEM`

use std::error::Error;
use std::path::Path;

use syslinux_install::{Extents, Run, SECTOR, from_program};
use tree::{Kind, Meta, Tree};

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [extlinux, filesystem] = arguments.as_slice() else {
        return Err("usage: install EXTLINUX FILESYSTEM".into());
    };
    write(extlinux.as_ref(), filesystem.as_ref())
}

fn write(extlinux: &Path, filesystem: &Path) -> Result<(), Box<dyn Error>> {
    const NAME: &[u8] = b"LDLINUX.SYS";
    let loader = from_program(&std::fs::read(extlinux)?)?;
    let mut files = Tree::default();
    let content = Kind::File(Extents::from_bytes(loader.file()));
    let node = files.insert(NAME, Meta::default(), content, &Meta::default())?;
    let image = fat::plan(&files, &fat::Options::default())?;
    let sector = SECTOR as u64;
    let runs: Vec<Run> = image
        .file_extents(node)
        .map(|extent| Run {
            first: extent.physical / sector,
            count: extent.len.div_ceil(sector),
        })
        .collect();
    let mut volume = image.into_extents();
    loader.install_fat(&mut volume, &runs, "")?;
    volume.write_to(filesystem)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filesystem_has_the_boot_sector() -> Result<(), Box<dyn Error>> {
        let dir = tempfile::tempdir()?;
        let filesystem = dir.path().join("filesystem");
        write("/usr/bin/extlinux".as_ref(), &filesystem)?;
        let sector = Extents::open(&filesystem)?.part(3, 8).to_vec()?;
        assert_eq!(sector, b"SYSLINUX");
        Ok(())
    }
}
