//! An appliance, taken apart by tar, sha256sum, xmllint and qemu-img.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::path::Path;
use std::process::Command;

use extents::{Extents, emit};
use ova_image::{Error, Firmware, Options};

fn run(program: &str, arguments: &[&str], folder: &Path) -> String {
    let out = Command::new(program).args(arguments).current_dir(folder).output();
    let out = out.unwrap_or_else(|error| panic!("{program}: {error}"));
    assert!(
        out.status.success(),
        "{program} {arguments:?}: {}",
        String::from_utf8_lossy(&out.stderr)
    );
    assert!(out.stderr.is_empty(), "{}", String::from_utf8_lossy(&out.stderr));
    String::from_utf8(out.stdout).unwrap()
}

fn options(firmware: Firmware) -> Options {
    Options {
        name: "a-machine_1.0".to_owned(),
        cpus: 3,
        memory: 1536,
        firmware,
        time: 1_700_000_000,
    }
}

#[test]
fn everybody_finds_in_it_what_went_in() {
    let mut disk = Extents::zeros(9 << 20);
    disk.put_bytes(1 << 20, vec![7; 300_000]);
    let stream = vmdk::Options {
        id: 7,
        name: "disk.vmdk".to_owned(),
        jobs: 2,
        folder: std::env::temp_dir(),
    };
    let image = vmdk::stream_optimized(&disk, &stream).unwrap();
    for (firmware, word) in [(Firmware::Bios, "bios"), (Firmware::Efi, "efi")] {
        let archive = ova_image::plan(&image, disk.len(), &options(firmware)).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        emit::to_path(&archive, &folder.join("a.ova")).unwrap();
        emit::to_path(&disk, &folder.join("raw")).unwrap();
        let names = run("tar", &["-xvf", "a.ova"], folder);
        assert_eq!(names, "a-machine_1.0.ovf\na-machine_1.0.mf\na-machine_1.0-disk1.vmdk\n");
        assert_eq!(
            run("sha256sum", &["--check", "a-machine_1.0.mf"], folder),
            "a-machine_1.0.ovf: OK\na-machine_1.0-disk1.vmdk: OK\n"
        );
        let said = run("qemu-img", &["compare", "raw", "a-machine_1.0-disk1.vmdk"], folder);
        assert!(said.contains("identical"), "{said}");
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
            (item(17, "Parent"), run_value(folder, &item(6, "InstanceID")).as_str()),
            // The network is one that there is.
            (
                item(10, "Connection"),
                run_value(folder, "//*[local-name()='Network']/@*[local-name()='name']").as_str(),
            ),
        ] {
            assert_eq!(run_value(folder, &path), expected, "{path}");
        }
    }
}

fn run_value(folder: &Path, path: &str) -> String {
    let value = run(
        "xmllint",
        &["--xpath", &format!("string({path})"), "a-machine_1.0.ovf"],
        folder,
    );
    value.trim_end().to_owned()
}

#[test]
fn names_that_cannot_be() {
    for name in ["", "a/b", "a b", "<x>", &"n".repeat(81)] {
        let options = Options {
            name: name.to_owned(),
            ..options(Firmware::Bios)
        };
        let error = ova_image::plan(&Extents::new(), 0, &options).unwrap_err();
        assert!(matches!(error, Error::Name { .. }), "{error}");
    }
}
