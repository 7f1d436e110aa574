//! `moby build` with nothing around it: no network, no privileges, no other program, no home.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::common::moby;

const FORMATS: &str = "kernel+initrd,tar,iso,raw,raw-bios,raw-efi,qcow2-bios";

/// An example with the names of the images in place of the packages' directories, which are built.
fn named(example: &str) -> Vec<u8> {
    let yaml = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples").join(example);
    let built = tempfile::tempdir().unwrap();
    crate::common::build_file(&yaml, &["-f", "tar"], built.path());
    let out = moby().args(["build", "--dry-run"]).arg(yaml).output().unwrap();
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    out.stdout
}

#[test]
fn same_bits_unprivileged_without_network_or_programs() {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name);
    fs::write(path("minimal.yml"), named("minimal.yml")).unwrap();
    // The loaders are built, and all is made once as usual.
    let cache = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/test-cache");
    let usual = moby()
        .args(["build", "--rebuild", "-f", FORMATS, "--dir"])
        .arg(path("usual"))
        .arg(path("minimal.yml"))
        .output()
        .unwrap();
    assert!(usual.status.success(), "{}", String::from_utf8_lossy(&usual.stderr));

    // Away from the source tree, with a layout that cannot be written.
    fs::copy(env!("CARGO_BIN_EXE_moby"), path("moby")).unwrap();
    let images = path("images");
    let copied = Command::new("cp")
        .args(["-r", "--reflink=auto"])
        .arg(&cache)
        .arg(&images)
        .status()
        .unwrap();
    assert!(copied.success());
    fs::remove_dir_all(images.join("moby")).unwrap();
    let readable = Command::new("chmod")
        .args(["-R", "a+rX,a-w"])
        .arg(directory.path())
        .status()
        .unwrap();
    assert!(readable.success());
    fs::create_dir(path("out")).unwrap_or_else(|_| {
        // Not root: the directory is ours, and was made read-only a moment ago.
        Command::new("chmod").arg("u+w").arg(directory.path()).status().unwrap();
        fs::create_dir(path("out")).unwrap();
    });
    let open = Command::new("chmod").arg("777").arg(path("out")).status().unwrap();
    assert!(open.success());

    // The programs that take things away are found by their full names: PATH is empty for moby.
    let script =
        r#"umask 077; cd out; exec env -i LC_ALL=tr_TR.UTF-8 TZ=Asia/Tokyo PATH= HOME=/nowhere "$0"/moby "$@""#;
    let mut command = Command::new("unshare");
    command.args(["--user", "--net"]);
    if can_become_nobody() {
        command = Command::new("setpriv");
        command.args([
            "--reuid",
            "65534",
            "--regid",
            "65534",
            "--clear-groups",
            "--no-new-privs",
            "unshare",
            "--user",
            "--net",
        ]);
    }
    let out = command
        .args(["bash", "-c", script])
        .arg(directory.path())
        .args([
            "build",
            "--rebuild",
            "--cache",
            "cache",
            "-j",
            "3",
            "-f",
            FORMATS,
            "--layout",
        ])
        .arg(&images)
        .arg(path("minimal.yml"))
        .current_dir(directory.path())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&out.stderr).into_owned();
    Command::new("chmod")
        .args(["-R", "u+w"])
        .arg(directory.path())
        .status()
        .unwrap();
    assert!(out.status.success(), "{said}");
    let mut compared = 0;
    for entry in fs::read_dir(path("usual")).unwrap() {
        let name = entry.unwrap().file_name();
        let (one, other) = (
            fs::read(path("usual").join(&name)).unwrap(),
            fs::read(path("out").join(&name)),
        );
        assert!(other.is_ok_and(|other| other == one), "{name:?}: {said}");
        compared += 1;
    }
    assert_eq!(compared, 9);
}

/// Returns whether the tests run as root, who can become nobody.
fn can_become_nobody() -> bool {
    let out = Command::new("id").arg("-u").output().unwrap();
    out.stdout == b"0\n"
}

#[test]
fn missing_boot_loader_names_its_package() {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name);
    fs::write(path("minimal.yml"), named("minimal.yml")).unwrap();
    fs::copy(env!("CARGO_BIN_EXE_moby"), path("moby")).unwrap();
    // All images but those of the loaders.
    let images = path("images");
    let cache = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/test-cache");
    let copied = Command::new("cp")
        .args(["-r", "--reflink=auto"])
        .arg(&cache)
        .arg(&images)
        .status()
        .unwrap();
    assert!(copied.success());
    let index = fs::read_to_string(images.join("index.json")).unwrap();
    let mut index: serde_json::Value = serde_json::from_str(&index).unwrap();
    let all = index["manifests"].as_array_mut().unwrap();
    all.retain(|entry| {
        let text = entry.to_string();
        !text.contains("/syslinux:") && !text.contains("/systemd-boot:")
    });
    fs::write(images.join("index.json"), index.to_string()).unwrap();
    for (format, package) in [("raw-bios", "pkg/syslinux"), ("raw-efi", "pkg/systemd-boot")] {
        let out = Command::new(path("moby"))
            .args(["build", "--rebuild", "--cache"])
            .arg(&images)
            .args(["-f", format, "--dir"])
            .arg(path("out"))
            .arg(path("minimal.yml"))
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&out.stderr);
        assert_eq!(out.status.code(), Some(1), "{said}");
        assert!(
            said.contains(&format!("help: run `moby pkg build {package}`")),
            "{said}"
        );
        assert!(!path("out").exists(), "something was written");
    }
}
