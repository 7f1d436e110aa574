//! Disks and CDs: booted by every firmware that their format claims, checked by programs that we
//! did not write, and the same bits twice.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, OnceLock};

use common::{build, console, moby, until};
use moby::output::format::{FORMATS, Format, Kind};

/// What a container prints when the machine is up.
const MARKER: &str = "hello from second";

/// `examples/hello.yml` in every format that firmware starts; built once.
fn media() -> &'static Path {
    static MADE: OnceLock<tempfile::TempDir> = OnceLock::new();
    let make = || {
        let folder = tempfile::tempdir().unwrap();
        build("hello.yml", &["--format", &names().join(",")], folder.path());
        folder
    };
    MADE.get_or_init(make).path()
}

fn formats() -> impl Iterator<Item = &'static Format> {
    FORMATS.iter().filter(|format| format.firmware().is_some())
}

fn names() -> Vec<&'static str> {
    formats().map(|format| format.name).collect()
}

fn file(format: &Format) -> PathBuf {
    media().join(format!("hello{}", format.files[0]))
}

/// Runs a checker, which must be content, and returns what it says.
fn checked(program: &str, arguments: &[&str], file: &Path) -> String {
    let folders = format!("{}:/usr/sbin:/sbin", std::env::var("PATH").unwrap());
    let mut command = Command::new(program);
    let out = command
        .env("PATH", folders)
        .args(arguments)
        .arg(file)
        .output()
        .expect(program);
    let text = format!(
        "{}{}",
        String::from_utf8_lossy(&out.stdout),
        String::from_utf8_lossy(&out.stderr)
    );
    assert!(out.status.success(), "{program} {}: {text}", file.display());
    text
}

/// A machine that ends with the test, whatever its end.
struct Machine(Child);

impl Drop for Machine {
    fn drop(&mut self) {
        // Ctrl-A c leads to QEMU's monitor. Killing moby would leave QEMU behind.
        if let Some(stdin) = self.0.stdin.as_mut() {
            stdin.write_all(b"\x01cquit\n").ok();
        }
        self.0.wait().ok();
    }
}

/// Boots a medium down to the container's marker.
fn boots(file: &Path, arguments: &[&str]) {
    let machine = moby()
        .args(["run", "--mem", "1536"])
        .args(arguments)
        .arg(file)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut machine = Machine(machine);
    let lines = console(machine.0.stdout.take().unwrap());
    let mut log = vec![format!("{} {arguments:?}", file.display())];
    until(&lines, MARKER, &mut log);
}

#[test]
fn every_medium_boots_on_every_firmware_that_it_claims() {
    let mut matrix: Vec<(PathBuf, Vec<&str>)> = Vec::new();
    for format in formats() {
        let firmware = format.firmware().unwrap();
        for (claimed, flags) in [(firmware.bios, vec![]), (firmware.efi, vec!["--uefi"])] {
            if !claimed {
                continue;
            }
            if matches!(format.kind, Kind::Iso(_)) {
                matrix.push((file(format), [&flags[..], &["--stick"]].concat()));
            }
            matrix.push((file(format), flags));
        }
    }
    assert!(matrix.len() >= 12);
    let left = Mutex::new(matrix);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                loop {
                    let next = left.lock().unwrap().pop();
                    let Some((file, arguments)) = next else { return };
                    boots(&file, &arguments);
                }
            });
        }
    });
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
            _ => {
                let said = checked("sfdisk", &["--verify"], &file);
                assert!(said.contains("No errors detected"), "{said}");
                // The partition begins at 1 MiB.
                let bytes = fs::read(&file).unwrap();
                let volume = media().join("volume");
                fs::write(&volume, &bytes[1 << 20..]).unwrap();
                let said = checked("fsck.fat", &["-n"], &volume);
                assert_eq!(said.lines().count(), 2, "{said}");
            }
        }
    }
}

#[test]
fn the_same_bits_twice_and_through_a_pipe() {
    let again = tempfile::tempdir().unwrap();
    build(
        "hello.yml",
        &["--jobs", "1", "--format", &names().join(",")],
        again.path(),
    );
    for format in formats() {
        let name = format!("hello{}", format.files[0]);
        assert!(
            fs::read(file(format)).unwrap() == fs::read(again.path().join(&name)).unwrap(),
            "{name}"
        );
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
