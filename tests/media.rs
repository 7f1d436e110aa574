//! Disks and CDs: booted by every firmware that their format claims, checked by programs that we
//! did not write, and the same bits twice.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock};

use common::media::{unpacked, ways};
use common::{boots, build, moby};
use extents::{Extents, FileBlob, Slice, emit};
use moby::plan::formats::{Container, FORMATS, Format, Kind, Table};
use testing::program::checked;

/// What a container prints when the machine is up.
const MARKER: &str = "hello from second";

/// `examples/hello.yml` in every format that firmware starts; built once.
fn media() -> &'static Path {
    static MADE: OnceLock<tempfile::TempDir> = OnceLock::new();
    let make = || {
        let folder = tempfile::tempdir().unwrap();
        build("hello.yml", &["--format", &names().join(",")], folder.path());
        build("hello.yml", &["--format", "vhd"], &folder.path().join("vhd"));
        for (root, formats) in ROOTS {
            build(
                "hello.yml",
                &["--root", root, "--format", formats],
                &folder.path().join(root),
            );
        }
        let kernels: Vec<&str> = kernels().map(|format| format.name).collect();
        build(
            "hello.yml",
            &["--format", &kernels.join(",")],
            &folder.path().join("kernels"),
        );
        folder
    };
    MADE.get_or_init(make).path()
}

/// Where the root filesystem is besides where the formats have it: one medium of each kind.
const ROOTS: [(&str, &str); 3] = [("squashfs", "raw,iso"), ("ext4", "raw-efi"), ("erofs", "qcow2-bios")];
/// What is booted of these.
const BOOTED_ROOTS: [(&str, &[&str]); 5] = [
    ("squashfs/hello.img", &[]),
    ("squashfs/hello-hybrid.iso", &["--uefi"]),
    ("squashfs/hello-hybrid.iso", &["--stick"]),
    ("ext4/hello-efi.img", &["--uefi"]),
    ("erofs/hello.qcow2", &[]),
];

/// The formats of a kernel and a root filesystem.
fn kernels() -> impl Iterator<Item = &'static Format> {
    FORMATS
        .iter()
        .filter(|format| matches!(format.kind, Kind::KernelRoot(_)))
}

/// The root filesystem of such a format.
fn rootfs(format: &Format) -> PathBuf {
    media().join(format!("kernels/hello{}", format.files[1]))
}

fn formats() -> impl Iterator<Item = &'static Format> {
    FORMATS.iter().filter(|format| format.firmware().is_some())
}

/// All but one of two that have the same file name.
fn names() -> Vec<&'static str> {
    let all = formats().map(|format| format.name);
    all.filter(|name| *name != "vhd").collect()
}

fn file(format: &Format) -> PathBuf {
    let folder = if format.name == "vhd" { "vhd" } else { "" };
    media().join(folder).join(format!("hello{}", format.files[0]))
}

/// The disk of a format, taken out of what it is compressed in.
fn bootable(format: &Format) -> PathBuf {
    static UNPACKING: Mutex<()> = Mutex::new(());
    let _one_at_a_time = UNPACKING.lock().unwrap();
    unpacked(&file(format))
}

/// A medium, and how `moby run` starts it.
type Boot = (PathBuf, Vec<&'static str>);

/// Every format on every firmware that it claims. Disks in containers are the same disk, as
/// qemu-img says in another test, so that the second part has their boots on the second firmware.
fn matrix() -> (Vec<Boot>, Vec<Boot>) {
    let (mut first, mut second) = (Vec::new(), Vec::new());
    for (number, format) in formats().enumerate() {
        let firmware = format.firmware().unwrap();
        let file = bootable(format);
        // One boot is enough for the same bits.
        if ["aws", "digitalocean", "hetzner"].contains(&format.name) {
            let raw = formats().find(|format| format.name == "raw").unwrap();
            let same = fs::read(&file).unwrap() == fs::read(bootable(raw)).unwrap();
            assert!(same, "{}", format.name);
            continue;
        }
        let contained = matches!(format.kind, Kind::Disk(_, _, container) if container != Container::Raw);
        let later = contained && firmware.bios && firmware.efi;
        for flags in ways(format) {
            let efi = flags.contains(&"--uefi");
            match later && efi == (number % 2 == 0) {
                true => second.push((file.clone(), flags)),
                false => first.push((file.clone(), flags)),
            }
        }
    }
    first.extend(kernels().map(|format| (rootfs(format), vec![])));
    first.extend(BOOTED_ROOTS.map(|(file, arguments)| (media().join(file), arguments.to_vec())));
    (first, second)
}

/// Boots two machines at a time, down to the marker.
fn boot_all(matrix: Vec<Boot>) {
    let left = Mutex::new(matrix);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                loop {
                    let next = left.lock().unwrap().pop();
                    let Some((file, arguments)) = next else { return };
                    boots(&file, &arguments, MARKER);
                }
            });
        }
    });
}

#[test]
fn every_medium_boots_on_every_firmware_that_it_claims() {
    let (first, second) = matrix();
    assert!(first.len() >= 35 && second.len() >= 6);
    boot_all(first);
}

#[test]
#[ignore = "the disk of these is booted on that firmware already: `cargo xtask test --all`"]
fn every_container_boots_on_its_other_firmware() {
    boot_all(matrix().1);
}

#[test]
fn checkers_find_nothing() {
    for format in formats() {
        let file = file(format);
        match format.kind {
            Kind::Iso(firmware) => {
                let said = checked("xorriso", &["-no_rc", "-report_about", "WARNING", "-indev"], &file);
                assert!(!said.contains("WARNING"), "{said}");
                let name = file.to_str().unwrap();
                let report = ["-no_rc", "-indev", name, "-report_el_torito"];
                let said = checked("xorriso", &report, Path::new("plain"));
                assert_eq!(said.contains("BIOS  y"), firmware.bios, "{said}");
                assert_eq!(said.contains("UEFI  y"), firmware.efi, "{said}");
                if firmware.efi {
                    let said = checked("sgdisk", &["-v"], &file);
                    assert!(said.contains("No problems found"), "{said}");
                }
            }
            Kind::Disk(table, _, container) => {
                let raw = raw(&bootable(format), container);
                let said = checked("sfdisk", &["--verify"], &raw);
                assert!(said.contains("No errors detected"), "{said}");
                if table == Table::Gpt {
                    let said = checked("sgdisk", &["-v"], &raw);
                    assert!(said.contains("No problems found"), "{said}");
                }
                // The partition begins at 1 MiB; what is behind it is not looked at.
                let bytes = fs::read(&raw).unwrap();
                let volume = media().join("volume");
                fs::write(&volume, &bytes[1 << 20..]).unwrap();
                let said = checked("fsck.fat", &["-n"], &volume);
                assert_eq!(said.lines().count(), 2, "{said}");
            }
            Kind::Extlinux(container) => {
                let raw = raw(&file, container);
                let said = checked("sfdisk", &["--verify"], &raw);
                assert!(said.contains("No errors detected"), "{said}");
                let volume = media().join("volume");
                fs::write(&volume, &fs::read(&raw).unwrap()[1 << 20..]).unwrap();
                checked("e2fsck", &["-fn"], &volume);
            }
            _ => unreachable!(),
        }
    }
}

/// No format has one, but the crate makes them: the partition of `raw` behind a table of each kind.
#[test]
fn a_hybrid_master_boot_record_boots() {
    /// The sectors of a GPT behind the last partition (UEFI 2.10, 5.3.1).
    const TAIL: u64 = 33;
    let raw = formats().find(|format| format.name == "raw").unwrap();
    let raw = Arc::new(FileBlob::open(&bootable(raw)).unwrap());
    let raw = Extents::from_slice(Slice::whole(raw));
    let content = raw.part(disk::ALIGNMENT, raw.len() - disk::ALIGNMENT - TAIL * disk::SECTOR);
    let mut boot = disk::Partition::new(disk::PartitionType::Esp, content);
    boot.label = "boot".into();
    boot.guid = disk::Uuid::from_u128(1);
    boot.bootable = true;
    let mut layout = disk::DiskLayout::new(disk::Table::Hybrid {
        guid: disk::Uuid::from_u128(2),
        signature: 3,
    });
    layout.boot_code = fs::read("/usr/lib/syslinux/mbr/mbr.bin").unwrap();
    layout.partitions.push(boot);
    let hybrid = disk::plan(&layout, None, disk::SECTOR).unwrap();
    let path = media().join("hybrid.img");
    emit::to_path(&hybrid, &path).unwrap();
    let said = checked("sgdisk", &["-v"], &path);
    assert!(said.contains("No problems found"), "{said}");
    boots(&path, &[], MARKER);
    boots(&path, &["--uefi"], MARKER);
}

/// The names in what a program lists, without what each line begins with.
fn listed_names(text: &str, skip: &str) -> BTreeSet<String> {
    let lines = text.lines().filter_map(|line| line.strip_prefix(skip));
    let lines = lines.map(|line| line.trim_matches(['/', '\'']).to_owned());
    lines.filter(|line| !line.is_empty() && line != ".").collect()
}

#[test]
fn root_filesystems_have_the_tree() {
    let folder = tempfile::tempdir().unwrap();
    build("hello.yml", &["--format", "tar"], folder.path());
    // tar has a word to say of records that it does not know.
    let quiet = "--warning=no-unknown-keyword";
    let path = folder.path().join("hello.tar");
    let wanted = listed_names(&checked("tar", &[quiet, "-tf"], &path), "");
    let wanted: BTreeSet<String> = wanted.into_iter().filter(|name| !name.starts_with("boot/")).collect();
    // Of files also the length: -rw-r--r-- 0/0 123 2017-04-18 16:30 etc/motd
    let listed = checked("tar", &[quiet, "--numeric-owner", "-tvf"], &path);
    let files: BTreeSet<(u64, &str)> = listed
        .lines()
        .filter(|line| line.starts_with('-'))
        .map(|line| {
            let mut fields = line.split_whitespace().skip(2);
            (fields.next().unwrap().parse().unwrap(), fields.nth(2).unwrap())
        })
        .filter(|(_, name)| !name.starts_with("boot/"))
        .collect();
    assert!(wanted.len() > 1000 && files.len() > 800);
    for format in kernels() {
        let file = rootfs(format);
        match format.name {
            "kernel+squashfs" => {
                let there = listed_names(&checked("unsquashfs", &["-l", "-q"], &file), "squashfs-root/");
                assert_eq!(wanted.difference(&there).next(), None);
            }
            "kernel+erofs" => drop(checked("fsck.erofs", &[], &file)),
            "kernel+ext4" => drop(checked("e2fsck", &["-fn"], &file)),
            "kernel+iso" => {
                let name = file.to_str().unwrap();
                let said = checked("xorriso", &["-no_rc", "-indev", name, "-find"], Path::new("/"));
                assert_eq!(wanted.difference(&listed_names(&said, "'/")).next(), None);
            }
            other => panic!("{other} is not checked"),
        }
        // Read by crates that had no part in it.
        let said = moby().args(["inspect", "--ls"]).arg(&file).output().unwrap();
        let said = String::from_utf8(said.stdout).unwrap();
        let there: BTreeSet<(u64, &str)> = said
            .lines()
            .filter_map(|line| line.trim().split_once(' '))
            .map(|(len, name)| (len.parse().unwrap(), name))
            .collect();
        assert_eq!(files.difference(&there).next(), None, "{}", format.name);
    }
}

#[test]
fn a_unified_kernel_image_is_what_a_disk_starts() {
    let folder = tempfile::tempdir().unwrap();
    build("hello.yml", &["--format", "uki"], folder.path());
    let disk = file(formats().find(|format| format.name == "raw-efi").unwrap());
    let image = format!("{}@@1M", disk.display());
    let program = folder.path().join("BOOTX64.EFI");
    checked("mcopy", &["-n", "-i", &image, "::/EFI/BOOT/BOOTX64.EFI"], &program);
    assert!(fs::read(&program).unwrap() == fs::read(folder.path().join("hello.efi")).unwrap());
}

/// The disk in a container, taken out by qemu-img, which also checks the containers that it can.
fn raw(file: &Path, container: Container) -> PathBuf {
    let format = match container {
        Container::Raw | Container::Gcp | Container::Packed(_) => return file.to_owned(),
        Container::Qcow2 | Container::CompressedQcow2 => "qcow2",
        Container::Vhdx => "vhdx",
        Container::FixedVhd | Container::DynamicVhd => "vpc",
        Container::Vmdk | Container::StreamVmdk | Container::Ova => "vmdk",
        Container::Vdi => "vdi",
    };
    if format != "vpc" {
        checked("qemu-img", &["check", "-f", format], file);
    }
    let raw = media().join("converted");
    let name = file.to_str().unwrap();
    checked("qemu-img", &["convert", "-f", format, "-O", "raw", name], &raw);
    raw
}

#[test]
fn a_cd_for_both_firmwares_has_kernel_and_initrd_once() {
    let iso = |name: &str| file(formats().find(|format| format.name == name).unwrap());
    let len = |name: &str| fs::metadata(iso(name)).unwrap().len();
    assert!(len("iso") < len("iso-efi-initrd") + (1 << 20));
    // As a file on the CD it is the same as in the unified kernel image.
    let folder = tempfile::tempdir().unwrap();
    build("hello.yml", &["--format", "kernel+initrd"], folder.path());
    let to = format!("-o{}", folder.path().display());
    checked(
        "7z",
        &["e", "-y", &to, "-ir!boot/kernel", "-ir!boot/initrd.img"],
        &iso("iso"),
    );
    for (name, original) in [("kernel", "hello-kernel"), ("initrd.img", "hello-initrd.img")] {
        let same = fs::read(folder.path().join(name)).unwrap() == fs::read(folder.path().join(original)).unwrap();
        assert!(same, "{name}");
    }
}

#[test]
fn containers_have_the_disk_of_the_raw_format() {
    let named = |name: &str| formats().find(|format| format.name == name).unwrap();
    for (name, driver, same) in [
        ("qcow2", "qcow2", "raw"),
        ("qcow2-bios", "qcow2", "raw-bios"),
        ("qcow2-efi", "qcow2", "raw-efi"),
        ("vhd", "vpc", "raw-bios"),
        ("dynamic-vhd", "vpc", "raw-bios"),
        ("azure", "vpc", "raw"),
        ("vmdk", "vmdk", "raw-bios"),
        ("vdi", "vdi", "raw"),
        ("vhdx", "vhdx", "raw"),
        ("stream-vmdk", "vmdk", "raw"),
        ("ova", "vmdk", "raw"),
        ("openstack", "qcow2", "raw"),
        ("aws", "raw", "raw"),
    ] {
        let raw = file(named(same));
        let arguments = ["compare", "-f", "raw", "-F", driver, raw.to_str().unwrap()];
        let said = checked("qemu-img", &arguments, &bootable(named(name)));
        assert!(said.contains("Images are identical"), "{name}: {said}");
    }
}

#[test]
fn clouds_get_what_they_import() {
    let named = |name: &str| formats().find(|format| format.name == name).unwrap();
    // Azure: a fixed VHD of whole MiB, with the footer at the end.
    let bytes = fs::read(file(named("azure"))).unwrap();
    let (disk, footer) = bytes.split_at(bytes.len() - 512);
    assert_eq!(disk.len() % (1 << 20), 0);
    assert_eq!(&footer[..8], b"conectix");
    assert_eq!(
        u64::from_be_bytes(footer[48..56].try_into().unwrap()),
        disk.len() as u64
    );
    // VMware and VirtualBox: the description first, then what it is to agree with.
    let ova = file(named("ova"));
    let said = checked("tar", &["-tf"], &ova);
    assert_eq!(
        said.lines().collect::<Vec<_>>(),
        ["hello.ovf", "hello.mf", "hello-disk1.vmdk"]
    );
    let folder = bootable(named("ova")).parent().unwrap().to_owned();
    for line in fs::read_to_string(folder.join("hello.mf")).unwrap().lines() {
        let (name, digest) = line.split_once(")= ").unwrap();
        let sum = checked("sha256sum", &[], &folder.join(name.strip_prefix("SHA256(").unwrap()));
        assert!(sum.starts_with(digest), "{line}: {sum}");
    }
    // Google: disk.raw of whole GiB, sparse in an old GNU tar.
    assert_eq!(fs::metadata(bootable(named("gcp"))).unwrap().len() % (1 << 30), 0);
    let said = checked("tar", &["-tzvf"], &file(named("gcp")));
    assert!(said.trim().ends_with("disk.raw") && said.lines().count() == 1, "{said}");
    assert!(fs::metadata(file(named("gcp"))).unwrap().len() < 200 << 20);
}

#[test]
fn the_same_bits_twice_and_through_a_pipe() {
    let again = tempfile::tempdir().unwrap();
    build(
        "hello.yml",
        &["--jobs", "1", "--format", &names().join(",")],
        again.path(),
    );
    for format in formats().filter(|format| format.name != "vhd") {
        let name = format!("hello{}", format.files[0]);
        assert!(
            fs::read(file(format)).unwrap() == fs::read(again.path().join(&name)).unwrap(),
            "{name}"
        );
    }
    let roots: Vec<&str> = kernels().map(|format| format.name).collect();
    build(
        "hello.yml",
        &["--jobs", "3", "--format", &roots.join(",")],
        again.path(),
    );
    for name in kernels().flat_map(|format| format.files) {
        let name = format!("hello{name}");
        let first = fs::read(media().join("kernels").join(&name)).unwrap();
        assert!(first == fs::read(again.path().join(&name)).unwrap(), "{name}");
    }
    for name in ["raw", "iso"] {
        let yaml = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/hello.yml");
        let out = moby()
            .args(["--quiet", "build", "-f", name, "-o", "-"])
            .arg(yaml)
            .output()
            .unwrap();
        assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
        let format = formats().find(|format| format.name == name).unwrap();
        assert!(out.stdout == fs::read(file(format)).unwrap(), "{name}");
    }
}

/// A build that must fail, and what it says.
fn refused(yaml: &str, arguments: &[&str]) -> String {
    ends(yaml, arguments, 1)
}

fn ends(yaml: &str, arguments: &[&str], status: i32) -> String {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("machine.yml");
    fs::write(&path, yaml).unwrap();
    let out = moby()
        .arg("build")
        .args(arguments)
        .arg("--dir")
        .arg(folder.path())
        .arg(path)
        .output()
        .unwrap();
    assert_eq!(
        out.status.code(),
        Some(status),
        "{}",
        String::from_utf8_lossy(&out.stderr)
    );
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "something was written");
    String::from_utf8(out.stderr).unwrap()
}

#[test]
fn what_cannot_be_made_is_said() {
    let example = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/minimal.yml")).unwrap();
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/");
    let example = example.replace("@pkg:", &format!("@pkg:{folder}"));
    let said = refused(&example, &["-f", "raw-bios", "--size", "8M"]);
    assert!(said.contains("bytes are missing") && said.contains("--size"), "{said}");
    let said = refused("files: [{path: a, contents: b}]\n", &["-f", "iso"]);
    assert!(said.contains("there is no kernel to boot"), "{said}");
    let said = ends(&example, &["-f", "raw-bios", "--arch", "arm64"], 2);
    assert!(said.contains("raw-bios is not for arm64"), "{said}");
    let long = example.replacen("cmdline: \"", &format!("cmdline: \"{} ", "x".repeat(3000)), 1);
    assert_ne!(long, example);
    let said = refused(&long, &["-f", "iso-bios"]);
    assert!(said.contains("syslinux takes 2047"), "{said}");
    let missing = format!("{example}boot:\n  bios: example.org/no/loader\n");
    let said = refused(&missing, &["-f", "raw-bios"]);
    assert!(said.contains("example.org/no/loader"), "{said}");
    // A loader image that has not what it should.
    let wrong = format!("{example}boot:\n  bios: \"@pkg:{folder}../pkg/hello\"\n");
    let said = refused(&wrong, &["-f", "raw-bios"]);
    assert!(said.contains("the boot loader has no file"), "{said}");
}

#[test]
fn an_initrd_for_much_memory_is_warned_of() {
    let folder = tempfile::tempdir().unwrap();
    let large = folder.path().join("large");
    fs::File::create(&large).unwrap().set_len(700 << 20).unwrap();
    let examples = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/");
    let example = fs::read_to_string(Path::new(examples).join("minimal.yml")).unwrap();
    let yaml = folder.path().join("machine.yml");
    let files = format!("files: [{{path: large, source: {}}}]\n", large.display());
    fs::write(&yaml, example.replace("@pkg:", &format!("@pkg:{examples}")) + &files).unwrap();
    let said = |arguments: &[&str]| {
        let out = moby()
            .args(["build", "--dir"])
            .arg(folder.path())
            .args(arguments)
            .arg(&yaml)
            .output()
            .unwrap();
        let said = String::from_utf8(out.stderr).unwrap();
        assert!(out.status.success(), "{said}");
        said
    };
    // It is there twice.
    let warned = said(&["-f", "kernel+initrd", "--compress", "none"]);
    let numbers = warned
        .split("needs more than ")
        .nth(1)
        .unwrap_or_else(|| panic!("{warned}"));
    let needed: u64 = numbers.split_whitespace().next().unwrap().parse().unwrap();
    assert!((1400..2000).contains(&needed), "{warned}");
    assert!(warned.contains("--root squashfs"), "{warned}");
    // It is the way out.
    let quiet = said(&["-f", "raw-bios", "--root", "squashfs", "--compress", "lz4"]);
    assert!(!quiet.contains("warning"), "{quiet}");
}

#[test]
fn a_size_makes_a_disk_larger() {
    let folder = tempfile::tempdir().unwrap();
    build(
        "minimal.yml",
        &["-f", "raw,raw-bios", "--size", "1G", "--compress", "lz4"],
        folder.path(),
    );
    for name in ["minimal.img", "minimal-bios.img"] {
        let path = folder.path().join(name);
        assert_eq!(fs::metadata(&path).unwrap().len(), 1 << 30);
        checked("sfdisk", &["--verify"], &path);
    }
    let said = checked("sgdisk", &["-v"], &folder.path().join("minimal.img"));
    assert!(said.contains("No problems found"), "{said}");
}
