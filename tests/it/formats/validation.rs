//! Disks and ISO images as other programs see them, the same bits twice, and what is refused.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use testing::program::checked;

use super::{bootable, built, file, formats, names, rootfs};
use crate::common::formats::{named, with_rootfs};
use crate::common::{build, moby};

#[test]
fn checkers_find_no_error() {
    for format in formats() {
        let file = file(format);
        match (format.kind, format.disk()) {
            ("iso", _) => {
                let said = checked("xorriso", &["-no_rc", "-report_about", "WARNING", "-indev"], &file);
                assert!(!said.contains("WARNING"), "{said}");
                let name = file.to_str().unwrap();
                let report = ["-no_rc", "-indev", name, "-report_el_torito"];
                let said = checked("xorriso", &report, Path::new("plain"));
                assert_eq!(said.contains("BIOS  y"), format.bios, "{said}");
                assert_eq!(said.contains("UEFI  y"), format.efi, "{said}");
                if format.efi {
                    let said = checked("sgdisk", &["-v"], &file);
                    assert!(said.contains("No problems found"), "{said}");
                }
            }
            (_, Some((table @ ("mbr" | "gpt"), driver))) => {
                let raw = raw(&bootable(format), driver);
                let said = checked("sfdisk", &["--verify"], &raw);
                assert!(said.contains("No errors detected"), "{said}");
                if table == "gpt" {
                    let said = checked("sgdisk", &["-v"], &raw);
                    assert!(said.contains("No problems found"), "{said}");
                }
                // The partition begins at 1 MiB; what is behind it is not looked at.
                let bytes = fs::read(&raw).unwrap();
                let volume = built().join("volume");
                fs::write(&volume, &bytes[1 << 20..]).unwrap();
                let said = checked("fsck.fat", &["-n"], &volume);
                assert_eq!(said.lines().count(), 2, "{said}");
            }
            (_, Some(("ext4", driver))) => {
                let raw = raw(&file, driver);
                let said = checked("sfdisk", &["--verify"], &raw);
                assert!(said.contains("No errors detected"), "{said}");
                let volume = built().join("volume");
                fs::write(&volume, &fs::read(&raw).unwrap()[1 << 20..]).unwrap();
                checked("e2fsck", &["-fn"], &volume);
            }
            other => panic!("{other:?} is not checked"),
        }
    }
}

/// The names in what a program lists, without what each line begins with.
fn listed_names(text: &str, skip: &str) -> BTreeSet<String> {
    let lines = text.lines().filter_map(|line| line.strip_prefix(skip));
    let lines = lines.map(|line| line.trim_matches(['/', '\'']).to_owned());
    lines.filter(|line| !line.is_empty() && line != ".").collect()
}

#[test]
fn root_filesystems_have_the_tree() {
    let directory = tempfile::tempdir().unwrap();
    build("hello.yml", &["--format", "tar"], directory.path());
    // tar has a word to say of records that it does not know.
    let quiet = "--warning=no-unknown-keyword";
    let path = directory.path().join("hello.tar");
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
    for format in with_rootfs() {
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
fn uki_is_the_program_on_the_esp() {
    let directory = tempfile::tempdir().unwrap();
    build("hello.yml", &["--format", "uki"], directory.path());
    let disk = file(named("raw-efi"));
    let image = format!("{}@@1M", disk.display());
    let program = directory.path().join("BOOTX64.EFI");
    checked("mcopy", &["-n", "-i", &image, "::/EFI/BOOT/BOOTX64.EFI"], &program);
    assert!(fs::read(&program).unwrap() == fs::read(directory.path().join("hello.efi")).unwrap());
}

/// The disk in an image, converted by qemu-img, which also checks the formats that it can.
fn raw(file: &Path, driver: &str) -> PathBuf {
    if driver == "raw" {
        return file.to_owned();
    }
    if driver != "vpc" {
        checked("qemu-img", &["check", "-f", driver], file);
    }
    let raw = built().join("converted");
    let name = file.to_str().unwrap();
    checked("qemu-img", &["convert", "-f", driver, "-O", "raw", name], &raw);
    raw
}

#[test]
fn an_iso_for_both_firmwares_has_kernel_and_initrd_once() {
    let iso = |name: &str| file(named(name));
    let len = |name: &str| fs::metadata(iso(name)).unwrap().len();
    assert!(len("iso") < len("iso-efi-initrd") + (1 << 20));
    // As a file on the ISO it is the same as in the unified kernel image.
    let directory = tempfile::tempdir().unwrap();
    build("hello.yml", &["--format", "kernel+initrd"], directory.path());
    let to = format!("-o{}", directory.path().display());
    checked(
        "7z",
        &["e", "-y", &to, "-ir!boot/kernel", "-ir!boot/initrd.img"],
        &iso("iso"),
    );
    for (name, original) in [("kernel", "hello-kernel"), ("initrd.img", "hello-initrd.img")] {
        let same = fs::read(directory.path().join(name)).unwrap() == fs::read(directory.path().join(original)).unwrap();
        assert!(same, "{name}");
    }
}

#[test]
fn disk_image_formats_hold_the_disk_of_the_raw_format() {
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
fn cloud_formats_follow_the_import_rules() {
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
    let directory = bootable(named("ova")).parent().unwrap().to_owned();
    for line in fs::read_to_string(directory.join("hello.mf")).unwrap().lines() {
        let (name, digest) = line.split_once(")= ").unwrap();
        let sum = checked("sha256sum", &[], &directory.join(name.strip_prefix("SHA256(").unwrap()));
        assert!(sum.starts_with(digest), "{line}: {sum}");
    }
    // Google: disk.raw of whole GiB, sparse in an old GNU tar.
    assert_eq!(fs::metadata(bootable(named("gcp"))).unwrap().len() % (1 << 30), 0);
    let said = checked("tar", &["-tzvf"], &file(named("gcp")));
    assert!(said.trim().ends_with("disk.raw") && said.lines().count() == 1, "{said}");
    assert!(fs::metadata(file(named("gcp"))).unwrap().len() < 200 << 20);
}

#[test]
fn same_bits_twice_and_through_a_pipe() {
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
    let roots: Vec<&str> = with_rootfs().map(|format| format.name).collect();
    build(
        "hello.yml",
        &["--jobs", "3", "--format", &roots.join(",")],
        again.path(),
    );
    for name in with_rootfs().flat_map(|format| &format.files) {
        let name = format!("hello{name}");
        let first = fs::read(built().join("kernels").join(&name)).unwrap();
        assert!(first == fs::read(again.path().join(&name)).unwrap(), "{name}");
    }
    for name in ["raw", "iso"] {
        let yaml = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/hello.yml");
        let out = moby()
            .args(["--quiet", "build", "--rebuild", "-f", name, "-o", "-"])
            .arg(yaml)
            .output()
            .unwrap();
        assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
        assert!(out.stdout == fs::read(file(named(name))).unwrap(), "{name}");
    }
}

/// A build that must fail, and what it says.
fn refused(yaml: &str, arguments: &[&str]) -> String {
    build_failing(yaml, arguments, 1)
}

fn build_failing(yaml: &str, arguments: &[&str], status: i32) -> String {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("machine.yml");
    fs::write(&path, yaml).unwrap();
    let out = moby()
        .args(["build", "--rebuild"])
        .args(arguments)
        .arg("--dir")
        .arg(directory.path())
        .arg(path)
        .output()
        .unwrap();
    assert_eq!(
        out.status.code(),
        Some(status),
        "{}",
        String::from_utf8_lossy(&out.stderr)
    );
    assert_eq!(
        fs::read_dir(directory.path()).unwrap().count(),
        1,
        "something was written"
    );
    String::from_utf8(out.stderr).unwrap()
}

#[test]
fn impossible_outputs_are_refused() {
    let example = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/minimal.yml")).unwrap();
    let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/");
    let example = example.replace("@pkg:", &format!("@pkg:{directory}"));
    let said = refused(&example, &["-f", "raw-bios", "--size", "8M"]);
    assert!(said.contains("it needs at least") && said.contains("--size"), "{said}");
    let said = refused("files: [{path: a, contents: b}]\n", &["-f", "iso"]);
    assert!(said.contains("there is no kernel to boot"), "{said}");
    let said = build_failing(&example, &["-f", "raw-bios", "--arch", "arm64"], 2);
    assert!(said.contains("raw-bios is not for arm64"), "{said}");
    let long = example.replacen("cmdline: \"", &format!("cmdline: \"{} ", "x".repeat(3000)), 1);
    assert_ne!(long, example);
    let said = refused(&long, &["-f", "iso-bios"]);
    assert!(said.contains("syslinux passes on at most 2047"), "{said}");
    let missing = format!("{example}boot:\n  bios: example.org/no/loader\n");
    let said = refused(&missing, &["-f", "raw-bios"]);
    assert!(said.contains("example.org/no/loader"), "{said}");
    // A loader image that has not what it should.
    let wrong = format!("{example}boot:\n  bios: \"@pkg:{directory}../pkg/hello\"\n");
    let said = refused(&wrong, &["-f", "raw-bios"]);
    assert!(said.contains("the boot loader has no file"), "{said}");
}

#[test]
fn large_initrd_gets_a_warning() {
    let directory = tempfile::tempdir().unwrap();
    let large = directory.path().join("large");
    fs::File::create(&large).unwrap().set_len(700 << 20).unwrap();
    let examples = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/");
    let example = fs::read_to_string(Path::new(examples).join("minimal.yml")).unwrap();
    let yaml = directory.path().join("machine.yml");
    let files = format!("files: [{{path: large, source: {}}}]\n", large.display());
    fs::write(&yaml, example.replace("@pkg:", &format!("@pkg:{examples}")) + &files).unwrap();
    let said = |arguments: &[&str]| {
        let out = moby()
            .args(["build", "--rebuild", "--dir"])
            .arg(directory.path())
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
fn size_makes_a_disk_larger() {
    let directory = tempfile::tempdir().unwrap();
    build(
        "minimal.yml",
        &["-f", "raw,raw-bios", "--size", "1G", "--compress", "lz4"],
        directory.path(),
    );
    for name in ["minimal.img", "minimal-bios.img"] {
        let path = directory.path().join(name);
        assert_eq!(fs::metadata(&path).unwrap().len(), 1 << 30);
        checked("sfdisk", &["--verify"], &path);
    }
    let said = checked("sgdisk", &["-v"], &directory.path().join("minimal.img"));
    assert!(said.contains("No problems found"), "{said}");
}
