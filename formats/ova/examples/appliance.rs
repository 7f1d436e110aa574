//! Makes an appliance of a raw disk: `cargo run --example appliance -- NAME DISK OVA`

use std::error::Error;
use std::path::Path;

use ova_image::{Extents, Options, plan};

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [name, disk, ova] = arguments.as_slice() else {
        return Err("usage: appliance NAME DISK OVA".into());
    };
    write(name, disk.as_ref(), ova.as_ref())
}

fn write(name: &str, disk: &Path, ova: &Path) -> Result<(), Box<dyn Error>> {
    let disk = Extents::open(disk)?;
    let mut image = vmdk::Options::default();
    image.kind = vmdk::Kind::Stream;
    image.file_name = format!("{name}-disk1.vmdk");
    let image = vmdk::plan(&disk, &image)?;
    let mut machine = Options::default();
    machine.name = name.to_owned();
    machine.capacity = disk.len();
    plan(&image, &machine)?.write_to(ova)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tar_lists_the_appliance() -> Result<(), Box<dyn Error>> {
        let dir = tempfile::tempdir()?;
        let (disk, ova) = (dir.path().join("disk"), dir.path().join("ova"));
        std::fs::write(&disk, vec![1; 3 << 20])?;
        write("machine", &disk, &ova)?;
        let listing = std::process::Command::new("tar").arg("-tf").arg(&ova).output()?;
        assert_eq!(
            String::from_utf8(listing.stdout)?,
            "machine.ovf\nmachine.mf\nmachine-disk1.vmdk\n"
        );
        Ok(())
    }
}
