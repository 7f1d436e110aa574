//! Boot images, the catalogue and the partition tables, judged by xorriso, sgdisk, sfdisk, and by
//! machines that start from them (Debian packages `xorriso`, `gdisk`, `fdisk`, `isolinux`, `syslinux-common`,
//! `dosfstools`, `mtools`, `qemu-system-x86`, `ovmf`).

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use std::path::Path;
use std::process::Command;

use common::{OnDisk, base, check, file, run, tree, xorriso};
use extents::Extents;
use iso9660::{BLOCK, BootEntry, BootImage, Error, Hybrid, Image, Options, Table, plan};
use tree::{Kind, Tree};

const ISOLINUX: &str = "/usr/lib/ISOLINUX/isolinux.bin";
const HYBRID_CODE: &str = "/usr/lib/ISOLINUX/isohdpfx.bin";
const MODULE: &str = "/usr/lib/syslinux/modules/bios/ldlinux.c32";
const FIRMWARE: &str = "/usr/share/ovmf/OVMF.fd";
const SAID: &str = "hello-from-the-image";

fn read(path: &str) -> Vec<u8> {
    std::fs::read(path).unwrap_or_else(|error| panic!("{path} is missing, see xtask: {error}"))
}

/// A tree that isolinux starts from, and says so on the serial line.
fn isolinux() -> Tree {
    // isolinux says which kernel it loads; that it is not there does not matter.
    let configuration = format!("SERIAL 0\nPROMPT 0\nDEFAULT x\nLABEL x\nKERNEL {SAID}\n");
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

/// A FAT image of so many bytes from which the shell of EFI says that it was found.
fn esp(size: u64) -> Extents {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("esp");
    std::fs::File::create(&path).unwrap().set_len(size).unwrap();
    std::fs::write(folder.path().join("startup.nsh"), format!("echo {SAID}\r\n")).unwrap();
    let tool = |program: &str, arguments: &[&str]| {
        let output = Command::new(program)
            .args(arguments)
            .current_dir(folder.path())
            .output();
        let output = output.unwrap_or_else(|error| panic!("{program} is missing, see xtask: {error}"));
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    };
    tool("mkfs.vfat", &["-i", "12345678", "esp"]);
    tool("mcopy", &["-i", "esp", "startup.nsh", "::"]);
    Extents::from_bytes(std::fs::read(path).unwrap())
}

fn bios_and_efi(hybrid: Option<Hybrid>) -> Image {
    let options = Options {
        volume_id: "BOOT".into(),
        boot: vec![
            BootEntry::isolinux(BootImage::Path(b"isolinux/isolinux.bin".to_vec())),
            BootEntry::efi(BootImage::Hidden(esp(2 << 20))),
        ],
        hybrid,
        ..Options::default()
    };
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

/// Starts a machine from the image, and waits until it has said what it should.
fn boots(image: &Image, drive: &str, firmware: &[&str]) {
    let disk = OnDisk::new(image);
    let serial = disk.folder().join("serial");
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
    let said = (0..900).any(|_| {
        std::thread::sleep(std::time::Duration::from_millis(100));
        String::from_utf8_lossy(&std::fs::read(&serial).unwrap_or_default()).contains(SAID)
    });
    machine.kill().unwrap();
    machine.wait().unwrap();
    let log = std::fs::read(serial).unwrap_or_default();
    assert!(said, "{drive}: {}", String::from_utf8_lossy(&log));
}

const CD: &str = "-device ahci,id=a -drive if=none,id=d,media=cdrom,format=raw,file={} -device ide-cd,bus=a.0,drive=d";
const USB: &str = "-device qemu-xhci -drive if=none,id=d,format=raw,file={} -device usb-storage,drive=d";

#[test]
fn a_bios_starts_it_from_a_cd_and_from_a_stick() {
    for table in [Table::Gpt, Table::Mbr] {
        let image = bios_and_efi(Some(hybrid(table)));
        boots(&image, CD, &[]);
        boots(&image, USB, &[]);
    }
    boots(&bios_and_efi(None), CD, &[]);
}

#[test]
fn efi_starts_it_from_a_cd_and_from_a_stick() {
    assert!(Path::new(FIRMWARE).exists(), "{FIRMWARE} is missing, see xtask");
    let firmware = ["-bios", FIRMWARE];
    for table in [Table::Gpt, Table::Mbr] {
        boots(&bios_and_efi(Some(hybrid(table))), USB, &firmware);
    }
    boots(&bios_and_efi(Some(hybrid(Table::Gpt))), CD, &firmware);
}

#[test]
fn an_efi_image_above_32_mib_is_found_on_a_cd() {
    let options = Options {
        boot: vec![BootEntry::efi(BootImage::Hidden(esp(40 << 20)))],
        ..Options::default()
    };
    boots(&plan(&isolinux(), &options).unwrap(), CD, &["-bios", FIRMWARE]);
}

#[test]
fn what_is_in_a_partition_is_there_once() {
    let (large, odd) = (file(&[1; 1 << 20]), file(&[2; 1 << 20]));
    let content = |kind: &Kind| match kind {
        Kind::File(content) => content.clone(),
        _ => Extents::new(),
    };
    // One begins at a block of the image, the other does not.
    let mut partition = esp(4 << 20);
    partition.put(1 << 20, &content(&large));
    partition.put((2 << 20) + 512, &content(&odd));
    let mut tree = tree(&[("etc/some", b"content")]);
    for (name, kind) in [("boot/large", &large), ("boot/odd", &odd)] {
        tree.insert(name.as_bytes(), base(), kind.clone(), &base()).unwrap();
    }
    tree.link(b"boot/again", b"boot/large", &base()).unwrap();
    for table in [Table::Gpt, Table::Mbr] {
        let options = Options {
            boot: vec![BootEntry::efi(BootImage::Hidden(partition.clone()))],
            hybrid: Some(Hybrid {
                table,
                ..Hybrid::default()
            }),
            ..Options::default()
        };
        let image = plan(&tree, &options).unwrap();
        check(&tree, &image);
        let (first, _) = image.boot_extent(0).unwrap();
        for name in ["boot/large", "boot/again"] {
            assert_eq!(image.extent_of(name.as_bytes()), Some((first + 512, 1 << 20)), "{name}");
        }
        let (odd, _) = image.extent_of(b"boot/odd").unwrap();
        assert!(odd < first);
    }
}

#[test]
fn xorriso_finds_the_boot_images() {
    let image = bios_and_efi(None);
    let text = xorriso(&["-report_el_torito", "plain"], &OnDisk::new(&image));
    let (bios, _) = image.extent_of(b"isolinux/isolinux.bin").unwrap();
    let (efi, len) = image.boot_extent(1).unwrap();
    assert_eq!((image.boot_extent(0).unwrap().0, len), (bios, 2 << 20));
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
    let (block, len) = image.extent_of(b"isolinux/isolinux.bin").unwrap();
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
fn partition_tables_are_sound() {
    let image = bios_and_efi(Some(hybrid(Table::Gpt)));
    let (esp, len) = image.boot_extent(1).unwrap();
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
    assert!(
        text.contains(&format!("Partition size: {} sectors", len / 512)),
        "{text}"
    );
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
    let options = Options {
        joliet: true,
        boot: vec![BootEntry::efi(BootImage::Path(b"link.img".to_vec()))],
        hybrid: Some(Hybrid::default()),
        ..Options::default()
    };
    let image = plan(&tree, &options).unwrap();
    assert_eq!(image.extent_of(b"boot/efi.img"), image.boot_extent(0));
    assert_eq!(image.boot_extent(0).unwrap().0 % 512, 0);
    check(&tree, &image);
    let text = run("sgdisk", &["-v", "{}"], &OnDisk::new(&image));
    assert!(text.contains("No problems found"), "{text}");
}

#[test]
fn what_cannot_be_started_is_refused() {
    let refused = |boot: Vec<BootEntry>, hybrid: Option<Hybrid>| {
        let mut tree = tree(&[("short", b"x")]);
        tree.insert(b"long", base(), file(&[0; 4096]), &base()).unwrap();
        let options = Options {
            boot,
            hybrid,
            ..Options::default()
        };
        plan(&tree, &options).unwrap_err()
    };
    let path = |path: &str| BootImage::Path(path.as_bytes().to_vec());
    let entries = |name: &str| vec![BootEntry::isolinux(path(name))];
    assert!(matches!(refused(entries("missing"), None), Error::NoBootImage { .. }));
    assert!(matches!(refused(entries("/"), None), Error::NoBootImage { .. }));
    assert!(matches!(
        refused(entries("short"), None),
        Error::SmallBootImage { least: 64, .. }
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
