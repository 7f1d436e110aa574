//! Prints a checksum of each MiB of a file, computed on several threads:
//! `cargo run --example checksums -- FILE THREADS`

use std::error::Error;
use std::io;
use std::path::Path;

use extents::Extents;
use ordered_pieces::map;

/// Length of a piece in bytes.
const PIECE: u64 = 1 << 20;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [file, threads] = arguments.as_slice() else {
        return Err("usage: checksums FILE THREADS".into());
    };
    for sum in checksums(file.as_ref(), threads.parse()?)? {
        println!("{sum:08x}");
    }
    Ok(())
}

fn checksums(file: &Path, threads: usize) -> io::Result<Vec<u32>> {
    let file = Extents::open(file)?;
    let mut sums = Vec::new();
    map(
        (0..file.len()).step_by(PIECE as usize),
        threads,
        || (),
        |(), offset| {
            let bytes = file.part(offset, PIECE).to_vec()?;
            Ok(bytes
                .iter()
                .fold(0u32, |sum, byte| sum.wrapping_mul(31).wrapping_add((*byte).into())))
        },
        |sum| {
            sums.push(sum);
            Ok(())
        },
    )
    .map(|()| sums)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn number_of_threads_does_not_matter() -> io::Result<()> {
        let dir = tempfile::tempdir()?;
        let file = dir.path().join("file");
        std::fs::write(&file, (0..5_000_000u32).map(|i| (i / 77) as u8).collect::<Vec<u8>>())?;
        let sums = checksums(&file, 1)?;
        assert_eq!(sums.len(), 5);
        assert_ne!(sums[0], sums[1]);
        assert_eq!(checksums(&file, 4)?, sums);
        Ok(())
    }
}
