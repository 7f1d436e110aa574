//! A kernel that has all built in: no initrd is made for it. The one of `kernel/vm` is compiled
//! and booted when the tests that are left out are asked for: `cargo xtask test --all`.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use std::fs;
use std::path::Path;

use common::site::{Site, YAML, good, refused};
use common::{boots, build, moby};

/// What the container prints when the machine is up.
const MARKER: &str = "hello from a container";

/// The files in a folder that are, or may be, initrds.
fn initrds(folder: &Path) -> Vec<String> {
    let files = fs::read_dir(folder).unwrap();
    let names = files.map(|file| file.unwrap().file_name().into_string().unwrap());
    names.filter(|name| name.contains("initrd")).collect()
}

#[test]
fn a_kernel_is_believed_what_it_has_built_in() {
    let site = Site::new();
    let list = "kernel/drivers/block/virtio_blk.ko\\nkernel/fs/squashfs/squashfs.ko\\n";
    let file = format!("  - path: lib/modules/6.1.0/modules.builtin\n    contents: \"{list}\"\n");
    site.write("vm.yml", &format!("{YAML}{file}"));
    let output = site.moby(&["build", "-f", "kernel+squashfs", "--dir", "out", "vm.yml"]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    good(output);
    assert!(said.contains("the kernel has squashfs built in"), "{said}");
    assert!(site.path("out/vm-squashfs.img").is_file());
    assert_eq!(initrds(&site.path("out")), [""; 0]);
    let said = refused(site.build(&["-f", "kernel+erofs", "--dir", "out", "vm.yml"]), 1);
    assert!(
        said.contains("erofs neither built in nor as a module (lib/modules/6.1.0/modules.builtin)"),
        "{said}"
    );
}

#[test]
fn what_compiles_a_kernel_is_asked_for_by_name() {
    let site = Site::new();
    let recipe = "image: vm\narches: [amd64]\ncontents:\n  - linux: linux-source-6.1\n    config: [tinyconfig]\n";
    site.write("vm/build.yml", recipe);
    // No program is found.
    let said = refused(site.moby(&["pkg", "build", "--arch", "amd64", "vm"]), 1);
    if cfg!(all(target_os = "linux", target_arch = "x86_64")) {
        assert!(said.contains("make, gcc, ld, perl, flex, bison, bc"), "{said}");
        assert!(said.contains("apt-get install build-essential flex bison"), "{said}");
    }
}

#[test]
#[ignore = "compiles a kernel, which takes 10 to 40 minutes"]
fn it_boots_every_root_filesystem_without_an_initrd() {
    let folder = tempfile::tempdir().unwrap();
    let (plain, packed, disk) = (folder.path(), folder.path().join("lz4"), folder.path().join("disk"));
    build(
        "vm.yml",
        &["--format", "kernel+squashfs,kernel+erofs,kernel+iso,kernel+ext4"],
        plain,
    );
    build(
        "vm.yml",
        &["--compress", "lz4", "--format", "kernel+squashfs,kernel+erofs"],
        &packed,
    );
    build("vm.yml", &["--root", "squashfs", "--format", "raw-efi,raw-bios"], &disk);
    build("vm.yml", &["--root", "squashfs", "--format", "iso"], &disk);
    for folder in [plain, &packed, &disk] {
        assert_eq!(initrds(folder), [""; 0]);
    }
    for name in ["vm-squashfs.img", "vm-erofs.img", "vm.iso", "vm-ext4.img"] {
        boots(&plain.join(name), &[], MARKER);
    }
    for name in ["vm-squashfs.img", "vm-erofs.img"] {
        boots(&packed.join(name), &[], MARKER);
    }
    // Nor is there one within the disks.
    for (name, arguments) in [("vm-efi.img", &["--uefi"][..]), ("vm-bios.img", &[])] {
        let listed = moby().arg("inspect").arg("--ls").arg(disk.join(name)).output().unwrap();
        let listed = String::from_utf8(listed.stdout).unwrap();
        assert!(
            listed.to_lowercase().contains("kernel") || listed.contains("EFI/BOOT"),
            "{listed}"
        );
        assert!(!listed.contains("initrd"), "{listed}");
        boots(&disk.join(name), arguments, MARKER);
    }
    // A CD has one, without modules, which finds the CD.
    boots(&disk.join("vm-hybrid.iso"), &[], MARKER);
}
