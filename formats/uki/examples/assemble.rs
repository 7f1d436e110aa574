//! Assembles a unified kernel image: `cargo run --example assemble -- STUB KERNEL INITRD CMDLINE IMAGE`

use std::error::Error;

use uki_image::{Extents, Parts, plan};

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [stub, kernel, initrd, cmdline, image] = arguments.as_slice() else {
        return Err("usage: assemble STUB KERNEL INITRD CMDLINE IMAGE".into());
    };
    assemble(
        &Extents::open(stub)?,
        Extents::open(kernel)?,
        Extents::open(initrd)?,
        cmdline,
    )?
    .write_to(image)?;
    Ok(())
}

fn assemble(stub: &Extents, kernel: Extents, initrd: Extents, cmdline: &str) -> Result<Extents, Box<dyn Error>> {
    let mut parts = Parts::default();
    parts.kernel = kernel;
    parts.initrd = initrd;
    parts.cmdline = cmdline.to_owned();
    Ok(plan(stub, &parts)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sections_have_the_parts() -> Result<(), Box<dyn Error>> {
        let stub = Extents::open("/usr/lib/systemd/boot/efi/linuxx64.efi.stub")?;
        let kernel = Extents::from_bytes(vec![7; 5000]);
        let image = assemble(&stub, kernel, Extents::from_bytes(vec![9; 10]), "quiet")?;
        let bytes = image.to_vec()?;
        let pe = goblin::pe::PE::parse(&bytes)?;
        let section = |name| {
            let section = pe.sections.iter().find(|section| section.name().ok() == Some(name));
            section.and_then(|section| {
                let start = section.pointer_to_raw_data as usize;
                bytes.get(start..start + section.virtual_size as usize)
            })
        };
        assert_eq!(section(".linux"), Some([7; 5000].as_slice()));
        assert_eq!(section(".initrd"), Some([9; 10].as_slice()));
        assert_eq!(section(".cmdline"), Some(b"quiet".as_slice()));
        Ok(())
    }
}
