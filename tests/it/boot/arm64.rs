//! Machines for arm64, built on whatever the host is and booted in QEMU.

use std::fs;
use std::net::TcpListener;
use std::path::Path;
use std::process::Command;
use std::sync::{Mutex, OnceLock};

use crate::common::machine::Machine;
use crate::common::shared::Shared;
use crate::common::{boots, build, get, moby};
use testing::program::checked;

/// A line that a container prints when the machine is up.
const MARKER: &str = "hello from a container";

/// `examples/minimal.yml` in the formats that arm64 has of its own; built once.
fn machines() -> &'static Path {
    static BUILT: OnceLock<Shared> = OnceLock::new();
    let make = |directory: &Path| {
        let formats = "kernel+initrd,uki,raw,raw-efi,iso,iso-efi,iso-efi-initrd,qcow2-efi";
        let arguments = ["--arch", "arm64", "--compress", "lz4", "-f", formats];
        build("minimal.yml", &arguments, directory);
    };
    BUILT.get_or_init(|| Shared::new("arm64", make)).path()
}

#[test]
fn kernels_disks_and_isos_boot() {
    let left = Mutex::new(vec![
        ("minimal", vec![]),
        ("minimal-efi.img", vec![]),
        ("minimal-hybrid.iso", vec![]),
        ("minimal-hybrid.iso", vec!["--usb"]),
        ("minimal-efi.qcow2", vec![]),
        // The root filesystem is on the ISO.
        ("minimal-efi.iso", vec![]),
    ]);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                loop {
                    let next = left.lock().unwrap().pop();
                    let Some((name, flags)) = next else { return };
                    let arguments = [&["--arch", "arm64"], &flags[..]].concat();
                    boots(&machines().join(name), &arguments, MARKER);
                }
            });
        }
    });
}

#[test]
fn formats_for_both_firmwares_are_for_uefi_alone() {
    let read = |name: &str| fs::read(machines().join(name)).unwrap();
    assert!(read("minimal.img") == read("minimal-efi.img"));
    assert!(read("minimal-hybrid.iso") == read("minimal-efi-initrd.iso"));
    let inspect = |arguments: &[&str]| {
        let out = moby()
            .arg("inspect")
            .args(arguments)
            .arg(machines().join("minimal.img"))
            .output()
            .unwrap();
        assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
        out.stdout
    };
    assert!(inspect(&["--cat", "1/EFI/BOOT/BOOTAA64.EFI"]) == read("minimal.efi"));
    let said = String::from_utf8(inspect(&[])).unwrap();
    assert!(
        said.contains("BOOTAA64.EFI") && !said.contains("syslinux") && said.contains("Linux kernel 6."),
        "{said}"
    );
}

#[test]
fn formats_for_a_bios_are_refused() {
    let directory = tempfile::tempdir().unwrap();
    let yaml = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/minimal.yml");
    for format in ["iso-bios", "raw-bios", "qcow2-bios", "vhd", "dynamic-vhd", "vmdk"] {
        let out = moby()
            .args(["build", "--rebuild", "--arch", "arm64", "-f", format, "--dir"])
            .arg(directory.path())
            .arg(&yaml)
            .output()
            .unwrap();
        assert_eq!(out.status.code(), Some(2));
        let said = String::from_utf8(out.stderr).unwrap();
        assert!(said.contains("is not for arm64") && said.contains("raw-efi"), "{said}");
    }
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0);
}

/// QEMU does not run the firmware: it gets kernel, initrd, device tree and arguments from the SD card, as
/// config.txt and cmdline.txt name them.
#[test]
fn raspberry_pi_boots_from_its_sd_card() {
    let directory = tempfile::tempdir().unwrap();
    let arguments = ["--arch", "arm64", "--compress", "lz4", "-f", "rpi,rpi3"];
    build("rpi.yml", &arguments, directory.path());
    let image = directory.path().join("rpi-rpi.img");
    let said = checked("sfdisk", &["--verify"], &image);
    assert!(said.contains("No errors detected"), "{said}");
    let said = checked("sfdisk", &["--dump"], &image);
    assert!(said.contains("start=        2048") && said.contains("type=c"), "{said}");
    let volume = directory.path().join("volume");
    let mut disk = fs::read(&image).unwrap();
    fs::write(&volume, disk.split_off(1 << 20)).unwrap();
    let said = checked("fsck.fat", &["-n"], &volume);
    assert_eq!(said.lines().count(), 2, "{said}");

    // What mtools reads from the disk is what GNU tar reads from the tar.
    let [from_disk, from_tar] = ["disk", "tar"].map(|name| {
        let path = directory.path().join(name);
        fs::create_dir(&path).unwrap();
        path
    });
    checked(
        "mcopy",
        &["-s", "-n", "-i", volume.to_str().unwrap(), "::*"],
        &from_disk,
    );
    checked(
        "tar",
        &["-C", from_tar.to_str().unwrap(), "-xf"],
        &directory.path().join("rpi.tar"),
    );
    checked("diff", &["-r", from_tar.to_str().unwrap()], &from_disk);

    let read = |name: &str| fs::read_to_string(from_disk.join(name)).unwrap();
    let config = read("config.txt");
    for line in ["arm_64bit=1", "kernel=kernel8.img", "initramfs initrd.img followkernel"] {
        assert!(config.lines().any(|other| other == line), "{config}");
    }
    for name in ["bootcode.bin", "start.elf", "start4.elf", "bcm2711-rpi-4-b.dtb"] {
        assert!(fs::metadata(from_disk.join(name)).unwrap().len() > 0);
    }
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let network = format!("user,id=network,hostfwd=tcp:127.0.0.1:{port}-:80");
    let mut command = Command::new("qemu-system-aarch64");
    command
        .args(["-machine", "raspi3b", "-accel", "tcg", "-display", "none", "-no-reboot"])
        // The second line is the one that is led out to the pins.
        .args(["-serial", "null", "-serial", "mon:stdio"])
        .args(["-kernel", "kernel8.img", "-initrd", "initrd.img"])
        // A Pi 3 has its network at USB, with an address of its maker's.
        .args(["-netdev", &network])
        .args(["-device", "usb-net,netdev=network,mac=b8:27:eb:00:00:01"])
        .args(["-dtb", "bcm2837-rpi-3-b.dtb", "-append", read("cmdline.txt").trim()])
        .current_dir(&from_disk);
    let mut machine = Machine::start(&mut command);
    machine.until(MARKER);
    assert!(get(port).contains("nginx on moby"));
}

#[test]
fn an_sd_card_needs_device_trees() {
    let directory = tempfile::tempdir().unwrap();
    let out = moby()
        .args([
            "build",
            "--rebuild",
            "--arch",
            "arm64",
            "-f",
            "rpi",
            "--compress",
            "none",
            "--dir",
        ])
        .arg(directory.path())
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/minimal.yml"))
        .output()
        .unwrap();
    assert_eq!(out.status.code(), Some(1));
    let said = String::from_utf8(out.stderr).unwrap();
    assert!(
        said.contains("no device trees") && said.contains("kernel/rpi"),
        "{said}"
    );
}

#[test]
fn missing_cross_compiler_is_named() {
    let other = if cfg!(target_arch = "x86_64") { "arm64" } else { "amd64" };
    let directory = tempfile::tempdir().unwrap();
    let out = moby()
        .args(["pkg", "build", "--arch", other, "--cache"])
        .arg(directory.path())
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("pkg/init"))
        .env("PATH", directory.path())
        .output()
        .unwrap();
    assert_eq!(out.status.code(), Some(1));
    let said = String::from_utf8(out.stderr).unwrap();
    assert!(
        said.contains(&format!("cannot link programs for {other}")) && said.contains("apt-get install gcc-"),
        "{said}"
    );
}
