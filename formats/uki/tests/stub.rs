//! Images with systemd's stub, read by goblin and binutils.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::process::Command;

use extents::{Extents, emit};
use uki_image::{Error, Parts, plan};

fn stub() -> Extents {
    let bytes = std::fs::read("/usr/lib/systemd/boot/efi/linuxx64.efi.stub").expect("systemd-boot-efi");
    Extents::from_bytes(bytes)
}

fn parts() -> Parts {
    let mut parts = Parts::default();
    parts.kernel = Extents::from_bytes(vec![7; 100_001]);
    parts.initrd = Extents::from_bytes(vec![9; 5000]);
    parts.cmdline = "console=ttyS0".into();
    parts.os_release = "ID=example\n".into();
    parts.uname = "6.1.0".into();
    parts
}

#[test]
fn sections_are_found() {
    let image = plan(&stub(), &parts()).unwrap();
    let bytes = image.to_vec().unwrap();
    assert_eq!(bytes, plan(&stub(), &parts()).unwrap().to_vec().unwrap());
    let pe = goblin::pe::PE::parse(&bytes).unwrap();
    let section = |name: &str| {
        let found = pe
            .sections
            .iter()
            .find(|section| section.name().ok() == Some(name))
            .unwrap();
        let start = found.pointer_to_raw_data as usize;
        assert_eq!(found.virtual_address % 4096, 0);
        assert_eq!(start % 512, 0);
        bytes[start..start + found.virtual_size as usize].to_vec()
    };
    assert_eq!(section(".linux"), vec![7; 100_001]);
    assert_eq!(section(".initrd"), vec![9; 5000]);
    assert_eq!(section(".cmdline"), b"console=ttyS0");
    assert_eq!(section(".osrel"), b"ID=example\n");
    assert_eq!(section(".uname"), b"6.1.0");
    // Sections do not overlap, and lie within the image.
    let mut places: Vec<(u32, u32)> = pe
        .sections
        .iter()
        .map(|s| (s.virtual_address, s.virtual_address + s.virtual_size))
        .collect();
    places.sort_unstable();
    assert!(places.windows(2).all(|pair| pair[0].1 <= pair[1].0), "{places:x?}");
    // In the file there are no gaps between them, and large ones begin at whole blocks.
    let raw = pe.sections.iter().map(|s| (s.pointer_to_raw_data, s.size_of_raw_data));
    let mut raw: Vec<(u32, u32)> = raw.filter(|(_, len)| *len > 0).collect();
    raw.sort_unstable();
    let ours = raw.split_off(raw.len() - 5);
    assert!(
        ours.windows(2).all(|pair| pair[0].0 + pair[0].1 == pair[1].0),
        "{ours:x?}"
    );
    assert!(ours[1..].iter().all(|(start, _)| start % 4096 == 0), "{ours:x?}");
    let optional = pe.header.optional_header.unwrap();
    assert!(places.last().unwrap().1 <= optional.windows_fields.size_of_image);
    assert_eq!(bytes.len() % 8, 0);
}

#[test]
fn objdump_and_objcopy_agree() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("uki.efi");
    emit::to_path(&plan(&stub(), &parts()).unwrap(), &path).unwrap();
    let out = Command::new("objcopy")
        .args([
            "--dump-section",
            &format!(".linux={}", dir.path().join("kernel").display()),
        ])
        .arg(&path)
        .arg(dir.path().join("copy"))
        .output()
        .expect("binutils");
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    assert_eq!(std::fs::read(dir.path().join("kernel")).unwrap(), vec![7; 100_001]);
    let out = Command::new("objdump").arg("-p").arg(&path).output().expect("binutils");
    let text = String::from_utf8_lossy(&out.stdout).into_owned();
    assert!(out.status.success() && text.contains("EFI application"), "{text}");
}

#[test]
fn impossible_images_are_refused() {
    let error = |stub: Extents, parts: Parts| plan(&stub, &parts).unwrap_err();
    assert!(matches!(
        error(Extents::from_bytes(*b"nothing"), parts()),
        Error::Stub(_)
    ));
    assert!(matches!(
        error(stub().part(0, 4000), parts()),
        Error::Stub("it is truncated")
    ));
    let mut huge = parts();
    huge.initrd = Extents::zeros(1 << 31);
    assert!(matches!(error(stub(), huge), Error::TooLarge { .. }));
    // The stub has a .sbat, and a section only once.
    let twice = uki_image::Section {
        name: ".sbat".into(),
        content: Extents::zeros(1),
    };
    assert!(matches!(
        uki_image::append(&stub(), std::slice::from_ref(&twice)),
        Err(Error::DuplicateSection { .. })
    ));
    let many = vec![twice; 8];
    assert!(matches!(
        uki_image::append(&stub(), &many),
        Err(Error::TooManySections { max: 7, count: 8 })
    ));
}
