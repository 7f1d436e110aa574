//! An appliance, taken apart by tar, sha256sum, xmllint and qemu-img.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::path::Path;
use std::process::Command;

use extents::{Extents, emit};
use ova_image::{Error, Firmware, Options};

fn run(program: &str, arguments: &[&str], dir: &Path) -> String {
    let out = Command::new(program).args(arguments).current_dir(dir).output();
    let out = out.unwrap_or_else(|error| panic!("{program}: {error}"));
    assert!(
        out.status.success(),
        "{program} {arguments:?}: {}",
        String::from_utf8_lossy(&out.stderr)
    );
    assert!(out.stderr.is_empty(), "{}", String::from_utf8_lossy(&out.stderr));
    String::from_utf8(out.stdout).unwrap()
}

const CAPACITY: u64 = 9 << 20;

fn options(firmware: Firmware) -> Options {
    let mut options = Options::default();
    options.name = "a-machine_1.0".to_owned();
    options.capacity = CAPACITY;
    options.cpus = 3;
    options.memory_mib = 1536;
    options.firmware = firmware;
    options.time = 1_700_000_000;
    options
}

#[test]
fn other_programs_read_the_appliance() {
    let mut disk = Extents::zeros(CAPACITY);
    disk.put_bytes(1 << 20, vec![7; 300_000]);
    let mut stream = vmdk::Options::default();
    stream.kind = vmdk::Kind::Stream;
    let image = vmdk::plan(&disk, &stream).unwrap();
    for (firmware, word) in [(Firmware::Bios, "bios"), (Firmware::Efi, "efi")] {
        let archive = ova_image::plan(&image, &options(firmware)).unwrap();
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path();
        emit::to_path(&archive, &dir.join("a.ova")).unwrap();
        emit::to_path(&disk, &dir.join("raw")).unwrap();
        let names = run("tar", &["-xvf", "a.ova"], dir);
        assert_eq!(names, "a-machine_1.0.ovf\na-machine_1.0.mf\na-machine_1.0-disk1.vmdk\n");
        assert_eq!(
            run("sha256sum", &["--check", "a-machine_1.0.mf"], dir),
            "a-machine_1.0.ovf: OK\na-machine_1.0-disk1.vmdk: OK\n"
        );
        let report = run("qemu-img", &["compare", "raw", "a-machine_1.0-disk1.vmdk"], dir);
        assert!(report.contains("identical"), "{report}");
        let item = |resource: u32, field: &str| {
            format!("//*[local-name()='Item'][*[local-name()='ResourceType']={resource}]/*[local-name()='{field}']")
        };
        for (path, expected) in [
            (
                "//*[local-name()='File']/@*[local-name()='href']".to_owned(),
                "a-machine_1.0-disk1.vmdk",
            ),
            (
                "//*[local-name()='File']/@*[local-name()='size']".to_owned(),
                image.len().to_string().as_str(),
            ),
            (
                "//*[local-name()='Disk']/@*[local-name()='capacity']".to_owned(),
                "9437184",
            ),
            ("//*[local-name()='VirtualSystemType']".to_owned(), "vmx-10"),
            ("//*[local-name()='Config']/@*[local-name()='value']".to_owned(), word),
            (item(3, "VirtualQuantity"), "3"),
            (item(4, "VirtualQuantity"), "1536"),
            (item(17, "HostResource"), "ovf:/disk/disk1"),
            // The disk hangs on the controller.
            (item(17, "Parent"), run_value(dir, &item(6, "InstanceID")).as_str()),
            // The network is one that there is.
            (
                item(10, "Connection"),
                run_value(dir, "//*[local-name()='Network']/@*[local-name()='name']").as_str(),
            ),
        ] {
            assert_eq!(run_value(dir, &path), expected, "{path}");
        }
    }
}

fn run_value(dir: &Path, path: &str) -> String {
    let value = run(
        "xmllint",
        &["--xpath", &format!("string({path})"), "a-machine_1.0.ovf"],
        dir,
    );
    value.trim_end().to_owned()
}

#[test]
fn impossible_names_are_refused() {
    for name in ["", "a/b", "a b", "<x>", &"n".repeat(81)] {
        let mut options = options(Firmware::Bios);
        options.name = name.to_owned();
        let error = ova_image::plan(&Extents::new(), &options).unwrap_err();
        assert!(matches!(error, Error::Name { .. }), "{error}");
    }
}
