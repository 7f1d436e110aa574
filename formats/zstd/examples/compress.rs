//! Compresses a file to one frame: `cargo run --release --example compress -- FILE COMPRESSED [LEVEL]`

use std::error::Error;
use std::fs::File;
use std::io;
use std::path::Path;

use zstd_frames::Stream;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [file, compressed, rest @ ..] = arguments.as_slice() else {
        return Err("usage: compress FILE COMPRESSED [LEVEL]".into());
    };
    let level = rest.first().map_or(Ok(3), |text| text.parse())?;
    compress(file.as_ref(), compressed.as_ref(), level)?;
    Ok(())
}

fn compress(file: &Path, compressed: &Path, level: u32) -> io::Result<()> {
    let mut out = File::create(compressed)?;
    let mut stream = Stream::new(&mut out, level);
    io::copy(&mut File::open(file)?, &mut stream)?;
    stream.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_compressed() -> io::Result<()> {
        let dir = tempfile::tempdir()?;
        let (file, compressed) = (dir.path().join("file"), dir.path().join("compressed"));
        std::fs::write(&file, [b'a'; 100_000])?;
        compress(&file, &compressed, 1)?;
        let frame = std::fs::read(compressed)?;
        // RFC 8878, 3.1.1: the magic number.
        assert_eq!(frame.get(..4), Some(&0xfd2f_b528_u32.to_le_bytes()[..]));
        assert!(frame.len() < 1000);
        Ok(())
    }
}
