//! Writes the hash area of a filesystem, or verifies it:
//! `cargo run --release --example protect -- DATA HASH_AREA [ROOT_HASH] [--jobs JOBS]`

use std::error::Error;
use std::path::Path;

use verity_tree::{Extents, Options, plan, verify};

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments: Vec<String> = std::env::args().skip(1).collect();
    let mut jobs = std::thread::available_parallelism()?.get();
    if let Some(at) = arguments.iter().position(|argument| argument == "--jobs") {
        jobs = arguments.get(at + 1).ok_or("--jobs needs a number")?.parse()?;
        arguments.drain(at..at + 2);
    }
    match arguments.as_slice() {
        [data, area] => println!("{}", protect(data.as_ref(), area.as_ref(), jobs)?),
        [data, area, root_hash] => {
            let root_hash = bytes(root_hash).ok_or("the root hash is not hexadecimal")?;
            verify(&Extents::open(data)?, &Extents::open(area)?, &root_hash, jobs)?;
        }
        _ => return Err("usage: protect DATA HASH_AREA [ROOT_HASH] [--jobs JOBS]".into()),
    }
    Ok(())
}

/// Writes a hash area and returns the root hash in hexadecimal.
fn protect(data: &Path, area: &Path, jobs: usize) -> Result<String, Box<dyn Error>> {
    let mut options = Options::default();
    options.jobs = jobs;
    let planned = plan(&Extents::open(data)?, &options)?;
    planned.extents.write_to(area)?;
    Ok(planned.root_hash.iter().map(|byte| format!("{byte:02x}")).collect())
}

fn bytes(text: &str) -> Option<Vec<u8>> {
    let pairs = (0..text.len()).step_by(2);
    pairs
        .map(|at| u8::from_str_radix(text.get(at..at + 2)?, 16).ok())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn veritysetup_accepts_the_written_hash_area() -> Result<(), Box<dyn Error>> {
        let dir = tempfile::tempdir()?;
        let (data, area) = (dir.path().join("data"), dir.path().join("area"));
        std::fs::write(&data, vec![7; 5 * 4096])?;
        let root_hash = protect(&data, &area, 2)?;
        let arguments = ["verify", &data.to_string_lossy(), &area.to_string_lossy()];
        testing::program::checked("veritysetup", &arguments, root_hash.as_ref());
        assert_eq!(bytes(&root_hash).map(|hash| hash.len()), Some(32));
        Ok(())
    }
}
