//! Converts a raw disk to VMDK: `cargo run --example raw_to_vmdk -- DISK IMAGE`

use std::error::Error;
use std::path::Path;

use vmdk_image::{Extents, Options, plan};

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [disk, image] = arguments.as_slice() else {
        return Err("usage: raw_to_vmdk DISK IMAGE".into());
    };
    convert(disk.as_ref(), image.as_ref())
}

fn convert(disk: &Path, image: &Path) -> Result<(), Box<dyn Error>> {
    let planned = plan(&Extents::open(disk)?, &Options::default())?;
    planned.write_to(image)?;
    println!("{}: {} bytes", image.display(), planned.len());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn qemu_reads_the_converted_disk() -> Result<(), Box<dyn Error>> {
        let dir = tempfile::tempdir()?;
        let (disk, image) = (dir.path().join("disk"), dir.path().join("image"));
        let mut content = Extents::zeros(8 << 20);
        content.put_bytes(1 << 20, *b"content");
        content.write_to(&disk)?;
        convert(&disk, &image)?;
        let disk = disk.to_string_lossy();
        let report = testing::disk::qemu_img(&["compare", "-f", "raw", "-F", "vmdk", &disk], &image);
        assert!(report.contains("Images are identical"), "{report}");
        Ok(())
    }
}
