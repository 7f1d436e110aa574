//! Boot images, the boot catalog and partition tables, checked by xorriso, sgdisk and sfdisk, and
//! booted in QEMU (Debian packages `xorriso`, `gdisk`, `fdisk`, `isolinux`, `syslinux-common`,
//! `dosfstools`, `mtools`, `qemu-system-x86`, `ovmf`).

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use std::path::Path;
use std::process::Command;

use common::{OnDisk, base, boot_extent, check, extent_of, file, run, set, tree, xorriso};
use extents::Extents;
use iso9660_image::{BLOCK, BootEntry, BootImage, Error, Hybrid, Image, Options, Table, plan};
use tree::{Kind, Tree};

const ISOLINUX: &str = "/usr/lib/ISOLINUX/isolinux.bin";
const HYBRID_CODE: &str = "/usr/lib/ISOLINUX/isohdpfx.bin";
const MODULE: &str = "/usr/lib/syslinux/modules/bios/ldlinux.c32";
const FIRMWARE: &str = "/usr/share/ovmf/OVMF.fd";
const MARKER: &str = "hello-from-the-image";

fn read(path: &str) -> Vec<u8> {
    std::fs::read(path).unwrap_or_else(|error| panic!("{path} is missing, see xtask: {error}"))
}

/// Tree that isolinux boots, which prints the marker on the serial line.
fn isolinux() -> Tree {
    // isolinux prints the name of the kernel that it loads, even if there is none.
    let configuration = format!("SERIAL 0\nPROMPT 0\nDEFAULT x\nLABEL x\nKERNEL {MARKER}\n");
    let mut tree = tree(&[
        ("isolinux/isolinux.cfg", configuration.as_bytes()),
        ("etc/some", b"content"),
    ]);
    for (name, path) in [("isolinux.bin", ISOLINUX), ("ldlinux.c32", MODULE)] {
        let content = Kind::File(Extents::from_bytes(read(path)));
        tree.insert(format!("isolinux/{name}").as_bytes(), base(), content, &base())
            .unwrap();
    }
    tree
}

/// FAT image of `size` bytes from which the EFI shell prints the marker.
fn esp(size: u64) -> Extents {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("esp");
    std::fs::File::create(&path).unwrap().set_len(size).unwrap();
    std::fs::write(directory.path().join("startup.nsh"), format!("echo {MARKER}\r\n")).unwrap();
    let tool = |program: &str, arguments: &[&str]| {
        let output = Command::new(program)
            .args(arguments)
            .current_dir(directory.path())
            .output();
        let output = output.unwrap_or_else(|error| panic!("{program} is missing, see xtask: {error}"));
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    };
    tool("mkfs.vfat", &["-i", "12345678", "esp"]);
    tool("mcopy", &["-i", "esp", "startup.nsh", "::"]);
    Extents::from_bytes(std::fs::read(path).unwrap())
}

fn bios_and_efi(hybrid: Option<Hybrid>) -> Image {
    let options = set(Options::default(), |o| {
        o.volume_id = "BOOT".into();
        o.boot = vec![
            BootEntry::isolinux(BootImage::Path(b"isolinux/isolinux.bin".to_vec())),
            BootEntry::efi(BootImage::Hidden(esp(2 << 20))),
        ];
        o.hybrid = hybrid;
    });
    let tree = isolinux();
    let image = plan(&tree, &options).unwrap();
    let again = plan(&tree, &options).unwrap();
    assert!(image.extents().to_vec().unwrap() == again.extents().to_vec().unwrap());
    image
}

fn hybrid(table: Table) -> Hybrid {
    Hybrid {
        table,
        boot_code: read(HYBRID_CODE),
        id: None,
    }
}

/// Boots an image, and waits for the marker.
fn boots(image: &Image, drive: &str, firmware: &[&str]) {
    let disk = OnDisk::new(image);
    let serial = disk.directory().join("serial");
    let path = disk.path();
    let drive = drive.replace("{}", path.to_str().unwrap());
    let mut machine = Command::new("qemu-system-x86_64")
        .args([
            "-nodefaults",
            "-accel",
            "tcg",
            "-display",
            "none",
            "-no-reboot",
            "-m",
            "256",
            "-net",
            "none",
            "-snapshot",
        ])
        .args(drive.split(' '))
        .args(firmware)
        .arg("-serial")
        .arg(format!("file:{}", serial.display()))
        .spawn()
        .unwrap_or_else(|error| panic!("qemu-system-x86_64 is missing, see xtask: {error}"));
    let found = (0..900).any(|_| {
        std::thread::sleep(std::time::Duration::from_millis(100));
        String::from_utf8_lossy(&std::fs::read(&serial).unwrap_or_default()).contains(MARKER)
    });
    machine.kill().unwrap();
    machine.wait().unwrap();
    let log = std::fs::read(serial).unwrap_or_default();
    assert!(found, "{drive}: {}", String::from_utf8_lossy(&log));
}

const DISC: &str =
    "-device ahci,id=a -drive if=none,id=d,media=cdrom,format=raw,file={} -device ide-cd,bus=a.0,drive=d";
const USB: &str = "-device qemu-xhci -drive if=none,id=d,format=raw,file={} -device usb-storage,drive=d";

#[test]
fn bios_boots_it_from_a_disc_and_from_a_usb_drive() {
    for table in [Table::Gpt, Table::Mbr] {
        let image = bios_and_efi(Some(hybrid(table)));
        boots(&image, DISC, &[]);
        boots(&image, USB, &[]);
    }
    boots(&bios_and_efi(None), DISC, &[]);
}

#[test]
fn uefi_boots_it_from_a_disc_and_from_a_usb_drive() {
    assert!(Path::new(FIRMWARE).exists(), "{FIRMWARE} is missing, see xtask");
    let firmware = ["-bios", FIRMWARE];
    for table in [Table::Gpt, Table::Mbr] {
        boots(&bios_and_efi(Some(hybrid(table))), USB, &firmware);
    }
    boots(&bios_and_efi(Some(hybrid(Table::Gpt))), DISC, &firmware);
}

#[test]
fn an_efi_image_above_32_mib_is_found_on_a_disc() {
    let options = set(Options::default(), |o| {
        o.boot = vec![BootEntry::efi(BootImage::Hidden(esp(40 << 20)))]
    });
    boots(&plan(&isolinux(), &options).unwrap(), DISC, &["-bios", FIRMWARE]);
}

#[test]
fn a_file_in_a_partition_is_stored_once() {
    let (large, odd) = (file(&[1; 1 << 20]), file(&[2; 1 << 20]));
    let content = |kind: &Kind| match kind {
        Kind::File(content) => content.clone(),
        _ => Extents::new(),
    };
    // One begins at a block boundary, the other does not.
    let mut partition = esp(4 << 20);
    partition.put(1 << 20, &content(&large));
    partition.put((2 << 20) + 512, &content(&odd));
    let mut tree = tree(&[("etc/some", b"content")]);
    for (name, kind) in [("boot/large", &large), ("boot/odd", &odd)] {
        tree.insert(name.as_bytes(), base(), kind.clone(), &base()).unwrap();
    }
    tree.link(b"boot/again", b"boot/large", &base()).unwrap();
    for table in [Table::Gpt, Table::Mbr] {
        let options = set(Options::default(), |o| {
            o.boot = vec![BootEntry::efi(BootImage::Hidden(partition.clone()))];
            o.hybrid = Some(Hybrid {
                table,
                ..Hybrid::default()
            });
        });
        let image = plan(&tree, &options).unwrap();
        check(&tree, &image);
        let (first, _) = boot_extent(&image, 0);
        for name in ["boot/large", "boot/again"] {
            assert_eq!(extent_of(&image, &tree, name), Some((first + 512, 1 << 20)), "{name}");
        }
        let (odd, _) = extent_of(&image, &tree, "boot/odd").unwrap();
        assert!(odd < first);
    }
}

#[test]
fn xorriso_finds_the_boot_images() {
    let image = bios_and_efi(None);
    let text = xorriso(&["-report_el_torito", "plain"], &OnDisk::new(&image));
    let (bios, _) = extent_of(&image, &isolinux(), "isolinux/isolinux.bin").unwrap();
    let (efi, sectors) = boot_extent(&image, 1);
    assert_eq!((boot_extent(&image, 0).0, sectors * 512), (bios, 2 << 20));
    for line in [
        format!("El Torito boot img :   1  BIOS  y   none  0x0000  0x00      4 {bios:>11}"),
        format!("El Torito boot img :   2  UEFI  y   none  0x0000  0x00   4096 {efi:>11}"),
        "El Torito img path :   1  /isolinux/isolinux.bin".to_owned(),
        "El Torito img opts :   1  boot-info-table isohybrid-suitable".to_owned(),
    ] {
        assert!(text.lines().any(|other| other.trim_end() == line), "{line}\n{text}");
    }
}

#[test]
fn only_the_table_of_a_boot_image_changes() {
    let image = bios_and_efi(None);
    let (block, len) = extent_of(&image, &isolinux(), "isolinux/isolinux.bin").unwrap();
    let found = image.extents().part(block * BLOCK, len).to_vec().unwrap();
    let original = read(ISOLINUX);
    assert!(found[..8] == original[..8] && found[64..] == original[64..]);
    let number = |at: usize| u32::from_le_bytes(found[at..at + 4].try_into().unwrap());
    let mut padded = original[64..].to_vec();
    padded.resize(padded.len().next_multiple_of(4), 0);
    let words = padded
        .chunks(4)
        .map(|word| u32::from_le_bytes(word.try_into().unwrap()));
    assert_eq!(
        [number(8), number(12), number(16), number(20)],
        [16, block as u32, len as u32, words.fold(0, u32::wrapping_add)]
    );
    assert_eq!(found[24..64], [0; 40]);
}

#[test]
fn partition_tables_are_valid() {
    let image = bios_and_efi(Some(hybrid(Table::Gpt)));
    let (esp, sectors) = boot_extent(&image, 1);
    assert_eq!((esp * BLOCK % (1 << 20), image.extents().len() % (1 << 20)), (0, 0));
    let disk = OnDisk::new(&image);
    let text = run("sgdisk", &["-v", "{}"], &disk);
    assert!(
        text.contains("No problems found") && !text.contains("Caution"),
        "{text}"
    );
    let text = run("sgdisk", &["-i", "2", "{}"], &disk);
    assert!(text.contains("C12A7328-F81F-11D2-BA4B-00A0C93EC93B"), "{text}");
    assert!(text.contains(&format!("First sector: {} ", esp * 4)), "{text}");
    assert!(text.contains(&format!("Partition size: {sectors} sectors")), "{text}");
    let text = run("sfdisk", &["--verify", "{}"], &disk);
    assert!(text.contains("No errors detected"), "{text}");
    let text = xorriso(&["-report_system_area", "plain"], &disk);
    assert!(text.contains("GPT") && text.contains("isohybrid"), "{text}");

    let disk = OnDisk::new(&bios_and_efi(Some(hybrid(Table::Mbr))));
    let text = run("sfdisk", &["--verify", "{}"], &disk);
    assert!(text.contains("No errors detected"), "{text}");
    let text = xorriso(&["-report_system_area", "plain"], &disk);
    assert!(text.contains("isohybrid") && text.contains("0xef"), "{text}");
}

#[test]
fn an_efi_image_with_a_name_is_a_partition_too() {
    let mut tree = tree(&[("a", b"1"), ("z", b"2")]);
    tree.insert(b"boot/efi.img", base(), Kind::File(esp(1 << 20)), &base())
        .unwrap();
    let link = Kind::Symlink(b"boot/efi.img".to_vec());
    tree.insert(b"link.img", base(), link, &base()).unwrap();
    let options = set(Options::default(), |o| {
        o.joliet = true;
        o.boot = vec![BootEntry::efi(BootImage::Path(b"link.img".to_vec()))];
        o.hybrid = Some(Hybrid::default());
    });
    let image = plan(&tree, &options).unwrap();
    let (efi, sectors) = boot_extent(&image, 0);
    assert_eq!(extent_of(&image, &tree, "boot/efi.img"), Some((efi, sectors * 512)));
    assert_eq!(efi % 512, 0);
    check(&tree, &image);
    let text = run("sgdisk", &["-v", "{}"], &OnDisk::new(&image));
    assert!(text.contains("No problems found"), "{text}");
}

#[test]
fn options_that_cannot_boot_are_refused() {
    let refused = |boot: Vec<BootEntry>, hybrid: Option<Hybrid>| {
        let mut tree = tree(&[("short", b"x")]);
        tree.insert(b"long", base(), file(&[0; 4096]), &base()).unwrap();
        let options = set(Options::default(), |o| {
            o.boot = boot;
            o.hybrid = hybrid;
        });
        plan(&tree, &options).unwrap_err()
    };
    let path = |path: &str| BootImage::Path(path.as_bytes().to_vec());
    let entries = |name: &str| vec![BootEntry::isolinux(path(name))];
    assert!(matches!(refused(entries("missing"), None), Error::NoBootImage { .. }));
    assert!(matches!(refused(entries("/"), None), Error::NoBootImage { .. }));
    assert!(matches!(
        refused(entries("short"), None),
        Error::SmallBootImage { min: 64, .. }
    ));
    assert!(matches!(
        refused(vec![BootEntry::efi(path("long")); 33], None),
        Error::ManyBootImages { count: 33 }
    ));
    assert!(matches!(
        refused(entries("long"), Some(hybrid(Table::Gpt))),
        Error::NotIsolinux { index: 0 }
    ));
    assert!(matches!(
        refused(vec![], Some(hybrid(Table::Gpt))),
        Error::NothingToStart
    ));
    let long = Hybrid {
        boot_code: vec![0; 433],
        ..Hybrid::default()
    };
    assert!(matches!(refused(vec![], Some(long)), Error::BootCode { len: 433, .. }));
    let mbr = Hybrid {
        table: Table::Mbr,
        ..Hybrid::default()
    };
    let four = vec![BootEntry::efi(path("long")); 4];
    assert!(matches!(refused(four, Some(mbr)), Error::ManyPartitions { count: 4 }));
}
