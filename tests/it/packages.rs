//! Machines of `testdata/machines/`, booted in QEMU: what the packages of `pkg/` do, seen on the
//! console.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::common::machine::Machine;
use crate::common::{build, build_file, moby_run};

fn machine(name: &str, directory: &Path) {
    let yaml = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("testdata/machines")
        .join(name);
    build_file(&yaml, &["--compress", "lz4"], directory);
}

#[test]
fn packages_do_what_they_are_for() {
    let directory = tempfile::tempdir().unwrap();
    machine("packages.yml", directory.path());
    let mut machine = Machine::start(
        moby_run()
            .args(["--data", "a text for the machine"])
            .arg(directory.path().join("packages")),
    );
    for text in [
        "sysctl: there is no /proc/sys/kernel/no_such_thing",
        "keys 123 domain example.org",
        // What QEMU's network gives.
        "inet 10.0.2.15/24",
        "default via 10.0.2.2",
        "nameserver 10.0.2.3",
        "left sees left lo lonely",
        "joined ",
        "right sees eth0 lo right",
        "64 bytes from 10.9.0.1",
        "told: a text for the machine",
        "getty: a login on ttyS0",
        "This shell is in the container getty",
    ] {
        machine.until(text);
        if text == "joined " {
            let joined = machine.log.last().unwrap();
            assert!(joined.contains("inet 10.9.0.1/24"), "{joined}");
        }
    }
    machine.typed("echo typed $((6 * 7)) as $(id -un), $(ls /run/kept) is kept\n");
    machine.until("typed 42 as root, ipc is kept");
    // The shell ends, and another comes.
    machine.typed("exit\n");
    machine.until("This shell is in the container getty");
    machine.power_button();
    let log = machine.goes_down();
    // dhcpcd has the user that it looks for.
    assert!(!log.iter().any(|line| line.contains("getpwnam")), "{}", log.join("\n"));
}

/// Boots with disks until the texts have appeared, powers off, and returns the log. What begins with
/// `> ` is typed.
fn boot(name: &Path, disks: &[&Path], texts: &[&str]) -> String {
    let mut command = moby_run();
    command.arg(name);
    for disk in disks {
        command.arg("--disk").arg(disk);
    }
    let mut machine = Machine::start(&mut command);
    for text in texts {
        match text.strip_prefix("> ") {
            Some(typed) => machine.typed(&format!("{typed}\n")),
            None => machine.until(text),
        }
    }
    machine.power_button();
    let log = machine.goes_down().join("\n");
    assert!(!log.contains("disks are still"), "{log}");
    log
}

/// A disk of zeros.
fn disk(directory: &Path, name: &str, len: u64) -> PathBuf {
    let path = directory.join(name);
    File::create(&path).unwrap().set_len(len).unwrap();
    path
}

/// e2fsck, asked to change nothing, finds nothing to change in the first partition.
fn check_ext4(disk: &Path) {
    let output = Command::new("/usr/sbin/e2fsck")
        .arg("-fn")
        .arg(format!("{}?offset={}", disk.display(), 1 << 20))
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}");
    // A journal that was not written out would be skipped.
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(!told.contains("journal"), "{told}");
}

#[test]
fn data_disk_outlives_the_image() {
    let directory = tempfile::tempdir().unwrap();
    build("persistent.yml", &["--compress", "lz4"], directory.path());
    let data = disk(directory.path(), "data.img", 256 << 20);
    boot(
        &directory.path().join("persistent"),
        &[&data],
        &[
            "format: /dev/vda1 is ready",
            "extend: no free space after /dev/vda1",
            "mount: /dev/vda1 (ext4) on /var/lib/persistent",
            "swap: 33554432 bytes in /var/lib/persistent/swap",
            "boots: 1",
            "Swap:         327",
            "moby-init: started",
        ],
    );
    check_ext4(&data);
    // Another image, and a disk that has become longer.
    machine("persistent.yml", directory.path());
    File::options()
        .write(true)
        .open(&data)
        .unwrap()
        .set_len(512 << 20)
        .unwrap();
    let second = disk(directory.path(), "second.img", 256 << 20);
    let third = disk(directory.path(), "third.img", 400 << 20);
    boot(
        &directory.path().join("persistent"),
        &[&data, &second, &third],
        &[
            "extend: /dev/vda1 fills /dev/vda",
            "mount: /dev/vda1 (ext4) on /var/elsewhere",
            "mount: /dev/vdb1 (btrfs) on /var/second",
            "mount: /dev/vdc1 (xfs) on /var/third",
            "boots here: 2",
            "moby-init: started",
            "login:",
            "> root",
            "Password:",
            "> not the password",
            "Login incorrect",
            "login:",
            "> root",
            "Password:",
            "> abcdefgh",
            "This shell is in the container getty",
            "> echo typed $((6 * 7))",
            "typed 42",
        ],
    );
    check_ext4(&data);
}

/// A partition that the build has formatted and filled is mounted by its label, and written to.
#[test]
fn a_data_partition_is_mounted() {
    let directory = tempfile::tempdir().unwrap();
    build(
        "data-disk.yml",
        &["--compress", "lz4", "--format", "raw-bios"],
        directory.path(),
    );
    let disk = directory.path().join("data-disk-bios.img");
    boot(
        &disk,
        &[],
        &[
            "mount: /dev/vda2 (ext4) on /var/lib/data",
            "greetings from the data partition",
            "written",
            "moby-init: started",
        ],
    );
}

/// State of containerd from the boot before is no obstacle, and a service has the time to end.
#[test]
fn services_start_again_from_a_disk() {
    let directory = tempfile::tempdir().unwrap();
    machine("kept.yml", directory.path());
    let data = disk(directory.path(), "data.img", 256 << 20);
    for boots in ["boots 0", "boots 1"] {
        let log = boot(
            &directory.path().join("kept"),
            &[&data],
            &[
                "onboot 000-before",
                "/dev/mqueue",
                "/host/run/runc",
                "/host/var/lock",
                "1777",
                "/proc/self/fd/1",
                "name moby-525400123456, napi N, modules 0",
                "mount: /dev/vda1 (ext4) on /var",
                "containerd listens",
                boots,
                "moby-init: started",
                "service told ended: exit status 0",
            ],
        );
        for text in [
            "told, with 1048576 files",
            "service told ended: exit status 0",
            "slow has ended",
        ] {
            assert!(log.contains(text), "{text}: {log}");
        }
    }
    check_ext4(&data);
}

/// Boots a machine whose containerd fails: the boot goes on without a wait, and the console shows the reason.
#[test]
fn failed_containerd_is_reported() {
    let directory = tempfile::tempdir().unwrap();
    machine("broken.yml", directory.path());
    let texts = [
        "service hello",
        "containerd does not answer on",
        "moby-init: containerd: ",
        "moby-init: started",
    ];
    let log = boot(&directory.path().join("broken"), &[], &texts);
    assert!(log.contains("failed to load TOML"), "{log}");
}

#[test]
fn custom_init_boots() {
    let directory = tempfile::tempdir().unwrap();
    machine("custom-init.yml", directory.path());
    let mut machine = Machine::start(moby_run().arg(directory.path().join("custom-init")));
    for text in [
        "custom init: /containers/onboot/000-hello config.json lower rootfs runtime.json tmp",
        "custom init: runc is there",
        "custom init: /containers/onboot/001-sysctl config.json rootfs runtime.json",
    ] {
        machine.until(text);
    }
    machine.ends();
}
