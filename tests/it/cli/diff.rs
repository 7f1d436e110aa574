//! `moby diff` between outputs, YAML files and images.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::fs;
use std::process::{Command, Output};

use serde_json::Value;

use crate::common::images;
use crate::common::layout::{Layer, Layout, tar};
use crate::common::site::{Site, good, refused};

const PACKAGE: &str = "Package: hello\nStatus: install ok installed\nVersion: 2.10-3\nArchitecture: amd64\n";

/// A site with an image of two tags, and a YAML for each.
fn site() -> Site {
    let site = Site::new();
    let mut layout = Layout::new(&site.path("layout"));
    let newer = PACKAGE.replace("2.10-3", "2.12-1");
    for (tag, status, content) in [("1", PACKAGE, "one"), ("2", newer.as_str(), "two!")] {
        let layer = Layer::plain(&tar(&[
            (b'0', "bin/a", "", content.as_bytes()),
            (b'0', "bin/same", "", b"same"),
            (b'2', "bin/link", content, b""),
            (b'0', "var/lib/dpkg/status", "", status.as_bytes()),
        ]));
        let image = layout.manifest("amd64", &[layer]);
        layout.name(&format!("example.org/app:{tag}"), image);
    }
    for (name, tag, extra) in [
        ("old.yml", "1", ""),
        (
            "new.yml",
            "2",
            "  capabilities: [CAP_CHOWN]\nfiles:\n- {path: etc/new, contents: new}\n",
        ),
    ] {
        let image = format!("example.org/app:{tag}");
        site.write(
            name,
            &format!("init:\n- {image}\nservices:\n- name: app\n  image: {image}\n{extra}"),
        );
    }
    site
}

fn diff(site: &Site, arguments: &[&str]) -> Output {
    let mut all = vec!["-q", "diff", "--arch", "amd64", "--layout", "layout"];
    all.extend(arguments);
    site.moby(&all)
}

fn different(output: Output) -> String {
    assert_eq!(
        output.status.code(),
        Some(1),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn changes_of_packages_containers_and_files_are_listed() {
    let site = site();
    let text = different(diff(&site, &["old.yml", "new.yml"]));
    for line in [
        "package hello (deb): 2.10-3 -> 2.12-1",
        "container services/app, config.json:",
        "  /process/capabilities/bounding: ",
        "+ /etc/new (file)",
        "~ /bin/link: target one -> two!",
        "~ /bin/a: content 3 bytes, sha256:",
    ] {
        assert!(text.lines().any(|found| found.starts_with(line)), "{line}: {text}");
    }
    assert!(
        !text.contains("bin/same") && !text.contains("/config.json: content"),
        "{text}"
    );
    let json = different(diff(&site, &["--json", "new.yml", "old.yml"]));
    let json: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["packages"][0]["old"], "2.12-1");
    assert_eq!(json["packages"][0]["new"], "2.10-3");
    let removed = json["files"].as_array().unwrap().iter();
    let removed: Vec<_> = removed
        .filter(|file| file["changes"]["type"]["new"].is_null())
        .collect();
    assert!(removed.iter().any(|file| file["path"] == "etc/new"), "{json:#}");
    assert!(good(diff(&site, &["old.yml", "old.yml"])).is_empty());
}

#[test]
fn images_are_compared_by_reference() {
    let site = site();
    let text = different(diff(&site, &["example.org/app:1", "example.org/app:2"]));
    assert!(text.contains("hello (deb)") && text.contains("~ /bin/a"), "{text}");
    assert!(good(diff(&site, &["example.org/app:1", "example.org/app:1"])).is_empty());
    let message = refused(diff(&site, &["example.org/app:1", "example.org/none:1"]), 2);
    assert!(message.contains("example.org/none:1"), "{message}");
    site.write("garbage", "neither an image nor an output");
    let message = refused(diff(&site, &["garbage", "old.yml"]), 2);
    assert!(message.contains("unknown format"), "{message}");
}

#[test]
fn equal_contents_in_other_bytes_differ_by_bytes_only() {
    let site = site();
    for level in ["1", "9"] {
        let (compress, name) = (format!("gzip:{level}"), format!("m{level}"));
        let arguments = ["--arch", "amd64", "--layout", "layout", "--compress", &compress];
        good(site.build(&[&arguments[..], &["--name", &name, "old.yml"]].concat()));
    }
    let text = different(diff(&site, &["m1-initrd.img", "m9-initrd.img"]));
    assert_eq!(text.lines().count(), 1, "{text}");
    assert!(text.starts_with("equal contents in different bytes"), "{text}");
    fs::copy(site.path("m1-initrd.img"), site.path("copy.img")).unwrap();
    assert!(good(diff(&site, &["m1-initrd.img", "copy.img"])).is_empty());
}

#[test]
fn what_has_no_part_in_common_is_an_error() {
    let site = site();
    site.write("cmdline", "console=ttyS0\n");
    good(site.build(&["--arch", "amd64", "--layout", "layout", "-f", "tar", "old.yml"]));
    let message = refused(diff(&site, &["cmdline", "old.tar"]), 2);
    assert!(message.contains("no part in common"), "{message}");
    site.write("other", "console=ttyS1\n");
    let text = different(diff(&site, &["cmdline", "other"]));
    assert_eq!(
        text,
        "kernel argument - console=ttyS0\nkernel argument + console=ttyS1\n"
    );
}

/// Every format gives back the system that it was built from, as far as it stores it.
#[test]
fn outputs_of_every_format_are_equal_to_their_yaml() {
    let site = tempfile::tempdir().unwrap();
    images::write(&mut Layout::new(&site.path().join("layout")));
    let out = site.path().join("out");
    let formats = [
        "tar",
        "kernel+initrd",
        "kernel+squashfs",
        "kernel+erofs",
        "iso-bios",
        "raw-bios",
        "raw-ext4",
        "qcow2-bios",
        "docker-archive",
    ];
    let output = images::build(site.path(), "amd64", "built-in", &formats, &out)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    // As one YAML: kernel and machine.
    let part = |name: &str| fs::read_to_string(images::directory().join(name)).unwrap();
    let yaml = site.path().join("m.yml");
    fs::write(&yaml, format!("{}{}", part("kernel-built-in.yml"), part("machine.yml"))).unwrap();
    let mut compared = 0;
    for file in fs::read_dir(&out).unwrap() {
        let file = file.unwrap().path();
        let mut command = Command::new(env!("CARGO_BIN_EXE_moby"));
        command
            .args(["-q", "diff", "--arch", "amd64", "--layout"])
            .arg(site.path().join("layout"))
            .args(["--cache".as_ref(), site.path().join("cache").as_os_str()])
            .args([file.as_path(), &yaml])
            .current_dir(images::directory())
            .env("PATH", "")
            .env("MOBY_OFFLINE", "1");
        let output = command.output().unwrap();
        let text = [output.stdout.as_slice(), &output.stderr].concat();
        assert!(
            output.status.success(),
            "{}: {}",
            file.display(),
            String::from_utf8_lossy(&text)
        );
        compared += 1;
    }
    assert!(compared >= formats.len(), "{compared}");
}

/// Images, YAML files and outputs of different formats, each with each other.
#[test]
fn any_two_kinds_are_compared() {
    let site = site();
    for name in ["old", "new"] {
        let yaml = format!("{name}.yml");
        let build = [
            "--arch",
            "amd64",
            "--layout",
            "layout",
            "-f",
            "tar,kernel+initrd,docker-archive",
            &yaml,
        ];
        good(site.build(&build));
    }
    let sides = |name: &str, tag: &str| {
        let outputs = [".yml", ".tar", "-initrd.img", "-docker.tar"].map(|suffix| format!("{name}{suffix}"));
        let image = format!("example.org/app:{tag}");
        outputs.into_iter().chain([image]).collect::<Vec<_>>()
    };
    let (old, new) = (sides("old", "1"), sides("new", "2"));
    for one in &old {
        for other in &new {
            let output = diff(&site, &["--json", one, other]);
            assert_eq!(output.status.code(), Some(1), "{one} {other}");
            let json: Value = serde_json::from_slice(&output.stdout).unwrap();
            let packages = json["packages"].as_array().unwrap();
            let hello = packages.iter().find(|package| package["name"] == "hello");
            let hello = hello.unwrap_or_else(|| panic!("{one} {other}: {json:#}"));
            assert_eq!(
                (&hello["old"], &hello["new"]),
                (&"2.10-3".into(), &"2.12-1".into()),
                "{one} {other}"
            );
        }
        // All but the image itself hold one system.
        for other in old.iter().filter(|other| other.contains("old") && one.contains("old")) {
            assert_eq!(
                diff(&site, &["--json", one, other]).status.code(),
                Some(0),
                "{one} {other}"
            );
        }
    }
}
