//! Reports the compression of a file in blocks of 4 KiB: `cargo run --example blocks -- FILE`

use std::error::Error;

use deflate_blocks::Deflate;

/// Length of a block in bytes.
const BLOCK: usize = 4096;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [file] = arguments.as_slice() else {
        return Err("usage: blocks FILE".into());
    };
    let content = std::fs::read(file)?;
    println!("{} of {} bytes", compressed_len(&content), content.len());
    Ok(())
}

/// Returns the length of all blocks, with those that do not become shorter left as they are.
fn compressed_len(content: &[u8]) -> usize {
    let mut deflate = Deflate::zlib(9);
    let mut out = Vec::new();
    for block in content.chunks(BLOCK) {
        if !deflate.compress(block, block.len() - 1, &mut out) {
            out.extend_from_slice(block);
        }
    }
    out.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repetition_is_compressed() {
        assert!(compressed_len(&[b'a'; 10 * BLOCK]) < 1000);
        assert_eq!(compressed_len(b"abc"), 3);
    }
}
