//! Writes a large sparse file with a file at an offset of 1 MiB:
//! `cargo run --example sparse -- SOURCE TARGET`

use std::io;
use std::path::Path;

use image_extents::Extents;

fn main() -> io::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [source, target] = arguments.as_slice() else {
        return Err(io::Error::other("usage: sparse SOURCE TARGET"));
    };
    write(source.as_ref(), target.as_ref())
}

fn write(source: &Path, target: &Path) -> io::Result<()> {
    let mut image = Extents::from_bytes(*b"header");
    image.put(1 << 20, &Extents::open(source)?);
    image.set_len(4 << 30);
    image.write_to(target)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn source_is_at_its_offset() -> io::Result<()> {
        let dir = tempfile::tempdir()?;
        let (source, target) = (dir.path().join("source"), dir.path().join("target"));
        std::fs::write(&source, vec![7; 100_000])?;
        write(&source, &target)?;
        let written = Extents::open(&target)?;
        assert_eq!(written.len(), 4 << 30);
        assert_eq!(written.part(0, 8).to_vec()?, b"header\0\0");
        assert_eq!(
            written.part(1 << 20, 100_001).to_vec()?,
            [vec![7; 100_000], vec![0]].concat()
        );
        Ok(())
    }
}
