//! `moby build` from outside, on images that `moby pkg build` makes of inline files.

use std::fs;

use crate::common::layout::{Layer, Layout, tar};
use crate::common::site::{Site, YAML, files, good, refused};

#[test]
fn same_bits_in_any_directory_with_any_number_of_threads() {
    let (one, two) = (Site::new(), Site::new());
    let formats = "kernel+initrd,tar,docker,tar-kernel-initrd";
    good(one.build(&["-f", formats, "--jobs", "1", "machine.yml"]));
    fs::create_dir(two.path("out")).unwrap();
    good(two.build(&["-f", formats, "--jobs", "5", "--dir", "out", "machine.yml"]));
    let names = files(&two.path("out"));
    let expected = ["cmdline", "initrd.img", "initrd.tar", "kernel"].map(|name| format!("machine-{name}"));
    assert_eq!(names[..4], expected);
    assert_eq!(names[4..], ["machine.docker", "machine.tar"]);
    for name in names {
        let (a, b) = (
            fs::read(one.path(&name)).unwrap(),
            fs::read(two.path("out").join(&name)).unwrap(),
        );
        assert!(a == b, "{name} differs");
    }
    assert_eq!(fs::read(one.path("machine-kernel")).unwrap(), b"MZ, a kernel");
    assert_eq!(fs::read(one.path("machine-cmdline")).unwrap(), b"console=ttyS0");
    let piped = good(one.build(&["-f", "tar", "-o", "-", "machine.yml"]));
    assert!(piped == fs::read(one.path("machine.tar")).unwrap());
}

#[test]
fn tar_has_the_entries_of_linuxkit() {
    let site = Site::new();
    let tar = good(site.build(&["-f", "tar", "-o", "-", "machine.yml"]));
    let mut archive = tar::Archive::new(tar.as_slice());
    let mut names = Vec::new();
    for entry in archive.entries().unwrap() {
        let mut entry = entry.unwrap();
        let name = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        if name == "containers/onboot/000-one/config.json" {
            let mut text = String::new();
            std::io::Read::read_to_string(&mut entry, &mut text).unwrap();
            let config: serde_json::Value = serde_json::from_str(&text).unwrap();
            assert_eq!(config["process"]["user"]["uid"], 100);
            assert_eq!(config["process"]["args"][0], "/bin/one");
            let mounts = config["mounts"].as_array().unwrap();
            let data = mounts.iter().find(|mount| mount["destination"] == "/data").unwrap();
            assert_eq!(data["source"], "/containers/volumes/data/merged");
        }
        names.push(name);
    }
    for name in [
        "boot/kernel",
        "boot/cmdline",
        "bin/one",
        "etc/motd",
        "containers/onboot/000-one/lower/usr/noise",
        "containers/onboot/000-one/runtime.json",
        "containers/onboot/000-one/rootfs",
        "containers/volumes/data/merged",
    ] {
        assert!(
            names.iter().any(|other| other == name),
            "{name} is missing in {names:?}"
        );
    }
}

#[test]
fn mistakes_in_the_yaml_are_shown_where_they_are() {
    let site = Site::new();
    site.write("broken/build.yml", "a: [");
    for (wrong, status, expected) in [
        (
            "onbot: []",
            2,
            &["unknown field `onbot`", "did you mean `onboot`?", "bad.yml:1:1"][..],
        ),
        (
            "files:\n  - path: a\n    mode: 0644\n",
            2,
            &[
                "`files[0].mode` must be a string",
                "bad.yml:3:11",
                "octal digits in quotes: \"0644\"",
            ],
        ),
        (
            "files:\n  - path: a\n    contents: x\n    mode: \"9\"\n",
            2,
            &["octal", "bad.yml:4:11"],
        ),
        (
            "services:\n  - {name: a, image: b}\n  - {name: a, image: b}\n",
            2,
            &["duplicate service name: a", "bad.yml:3:"],
        ),
        (
            "volumes:\n  - {name: a}\n  - {name: a}\n",
            2,
            &["duplicate volume name: a", "bad.yml:3:12"],
        ),
        (
            "onboot:\n  - name: a\n    image: nothing/here\n",
            1,
            &["no image docker.io/nothing/here", "bad.yml:3:12"],
        ),
        (
            "files:\n  - path: a\n    source: not-there\n",
            1,
            &["cannot read not-there", "bad.yml:3:13"],
        ),
        ("files:\n  - path: ../../evil\n    contents: x\n", 2, &["bad.yml:2:11"]),
        (
            "files:\n  - path: a\n  - {path: /, contents: x}\n  - {path: b, directory: true, contents: x}\n  - {path: c, contents: x, uid: nobody}\n  - {path: d, symlink: e, source: f}\n  - {path: g, source: h, contents: x}\n",
            2,
            &[
                "a has no contents",
                "bad.yml:2:11",
                "`path` is missing or names the root directory",
                "bad.yml:3:12",
                "b is a directory and cannot have contents",
                "bad.yml:4:26",
                "unknown user or group \"nobody\"",
                "bad.yml:5:33",
                "d is a symlink and cannot have a source",
                "bad.yml:6:24",
                "g has more than one of contents",
                "bad.yml:7:12",
            ],
        ),
        (
            "onboot:\n  - {name: a, image: a, capabilities.add: [CAP_KILL, CAP_KIL]}\n  - {name: b, image: a, rlimits: [\"nofiles,1,2\"]}\n  - {name: c, image: a, binds: [\"/a:/a\", /b]}\nservices:\n  - {name: d, image: a, devices: [{path: /dev/x, mode: x}]}\n  - {name: e, image: a, binds: [\"dat:/data\"]}\n  - {name: f, image: a, mounts: [{type: bind, source: data, destination: /d}]}\n  - {name: g, image: a, additionalGids: [g, 4, h2]}\nvolumes:\n  - {name: data, readonly: true}\n  - {name: other, image: a, format: oci, platforms: [linux]}\n",
            2,
            &[
                "unknown capability: CAP_KIL\n",
                "did you mean `CAP_KILL`?",
                "bad.yml:2:54",
                "unknown limit: RLIMIT_NOFILES",
                "bad.yml:3:35",
                "cannot parse bind, missing ':': /b",
                "bad.yml:4:42",
                "cannot parse the mode \"x\" of device /dev/x",
                "bad.yml:6:56",
                "volume dat not found",
                "did you mean `data`?",
                "bad.yml:7:33",
                "volume data is read-only",
                "bad.yml:8:55",
                "unknown user or group \"h2\"",
                "bad.yml:9:48",
                "\"linux\" is not a platform",
                "bad.yml:12:54",
            ],
        ),
        (
            "init:\n  - \"@pkg:nope\"\n  - \"@pkg:broken\"\n",
            2,
            &["nope/build.yml", "bad.yml:2:5", "broken/build.yml:1:4", "bad.yml:3:5"],
        ),
        (
            "services:\n  - name: a\n    image: b\n    resources:\n      cpu: {shares: -5}\n      memory: {swappiness: -1}\n      blockio: {weight: 70000}\n      network: {classID: 4294967296}\n",
            2,
            &[
                "`services[0].resources.cpu.shares` must be at least 0, not -5",
                "bad.yml:5:21",
                "`services[0].resources.memory.swappiness` must be at least 0, not -1",
                "bad.yml:6:28",
                "`services[0].resources.blockio.weight` must be from 0 to 65535, not 70000",
                "bad.yml:7:25",
                "`services[0].resources.network.classID` must be from 0 to 4294967295, not 4294967296",
                "bad.yml:8:26",
            ],
        ),
        (
            "boot: {timeout: 4294967296}\nservices:\n  - {name: a, image: b, uid: -1, uidMappings: [{hostID: -1}]}\n",
            2,
            &[
                "`boot.timeout` must be from 0 to 4294967295, not 4294967296",
                "bad.yml:1:17",
                "`services[0].uid` must be from 0 to 4294967295, not -1",
                "bad.yml:3:30",
                "`services[0].uidMappings[0].hostID` must be from 0 to 4294967295, not -1",
                "bad.yml:3:57",
            ],
        ),
        (
            "services:\n  - {name: a, image: b, uid: 1.0, gid: 99999999999999999999}\n",
            2,
            &[
                "must be a string or an integer, not a number with a fraction",
                "help: write an integer as digits only",
                "not a number of more than 63 bits",
            ],
        ),
        ("init: [a, *x]\n", 2, &["bad.yml:1"]),
        ("init: [\"\"]\n", 2, &["it is empty", "bad.yml:1:8"]),
        (
            "services:\n  - name: web\n    image: \"\"\n",
            2,
            &["it is empty", "bad.yml:3:12"],
        ),
    ] {
        site.write("bad.yml", wrong);
        let message = refused(site.build(&["-f", "tar", "bad.yml"]), status);
        for text in expected {
            assert!(message.contains(text), "{wrong:?} gave {message}");
        }
        assert!(!site.path("bad.tar").exists());
        // Whatever is wrong with the YAML itself is seen without images, too.
        let checked = site.moby(&["check", "bad.yml"]);
        assert_eq!(
            checked.status.code(),
            Some(if status == 2 || wrong.contains("source:") { 2 } else { 0 }),
            "{wrong:?}"
        );
    }
    assert!(!site.path("../evil").exists());
    fs::write(site.path("bad.yml"), b"files: []\ninit: [\xc3\xa4\xff]\n").unwrap();
    assert!(refused(site.moby(&["check", "bad.yml"]), 2).contains("bad.yml:2:9"));
}

#[test]
#[cfg(target_os = "linux")]
fn optional_source_that_cannot_be_read_is_an_error() {
    let site = Site::new();
    // That it is there is all that anybody may know of it.
    site.write(
        "bad.yml",
        "files:\n  - {path: a, source: /proc/sys/vm/drop_caches, optional: true}\n",
    );
    let message = refused(site.build(&["-f", "tar", "bad.yml"]), 1);
    assert!(
        message.contains("cannot read /proc/sys/vm/drop_caches") && !message.contains("help"),
        "{message}"
    );
}

#[test]
fn an_alias_bomb_is_refused() {
    let site = Site::new();
    let mut yaml = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x]\n");
    for level in 1..12 {
        let alias = format!("*a{}", level - 1);
        yaml.push_str(&format!("a{level}: &a{level} [{}]\n", vec![alias; 9].join(", ")));
    }
    site.write("bad.yml", &yaml);
    assert!(refused(site.moby(&["check", "bad.yml"]), 2).contains("more than"));
}

#[test]
fn a_read_only_volume_cannot_be_bound_writable() {
    let site = Site::new();
    site.write(
        "bad.yml",
        &YAML.replace("  - name: data", "  - name: data\n    readonly: true"),
    );
    let message = refused(site.build(&["-f", "tar", "bad.yml"]), 2);
    assert!(
        message.contains("volume data is read-only") && message.contains("bad.yml:12:"),
        "{message}"
    );
}

#[test]
fn mistakes_in_a_label_name_the_label() {
    let site = Site::new();
    good(site.moby(&["check", "machine.yml"]));
    let recipe = fs::read_to_string(site.path("init/build.yml")).unwrap();
    let config = "config:\n  capabilities: [CAP_BOGUS]\n";
    site.write("init/build.yml", &format!("{recipe}{config}"));
    good(site.moby(&["check", "machine.yml"]));
    let message = refused(site.build(&["-f", "tar", "machine.yml"]), 1);
    assert!(
        message.contains("cannot combine the YAML with the image configuration of docker.io/moby/init:")
            && message.contains("unknown capability: CAP_BOGUS"),
        "{message}"
    );
    assert!(message.contains("machine.yml:9:"), "{message}");
}

#[test]
fn damaged_images_are_refused() {
    let site = Site::new();
    good(site.moby(&["-q", "pkg", "build", "kernel", "init"]));
    let large = site.blob(true);
    let original = fs::read(&large).unwrap();
    let middle = original.len() / 2;
    let mut flipped = original.clone();
    flipped[middle] ^= 1;
    for (damaged, expected) in [
        (Some(flipped), "expected digest"),
        (Some(original[..middle].to_vec()), "expected size"),
        (None, "is missing"),
    ] {
        match damaged {
            Some(bytes) => fs::write(&large, bytes).unwrap(),
            None => fs::remove_file(&large).unwrap(),
        }
        let message = refused(site.build(&["-f", "tar", "machine.yml"]), 1);
        assert!(message.contains(expected), "{message}");
        assert!(!site.path("machine.tar").exists());
    }
    fs::write(&large, &original).unwrap();
    good(site.build(&["-f", "tar", "machine.yml"]));
    let first = fs::read(site.path("machine.tar")).unwrap();
    fs::remove_file(site.path("machine.tar")).unwrap();
    // That a layer is kept decompressed changes nothing, and nothing is shown before all is verified.
    let mut flipped = original.clone();
    flipped[middle] ^= 1;
    fs::write(&large, flipped).unwrap();
    for jobs in ["1", "4"] {
        for output in ["machine.tar", "-"] {
            let output = site.build(&["-j", jobs, "-f", "tar", "-o", output, "machine.yml"]);
            assert!(output.stdout.is_empty());
            let message = refused(output, 1);
            assert!(message.contains("expected digest"), "{message}");
            assert!(message.contains("machine.yml:"), "{message}");
            assert!(!site.path("machine.tar").exists());
        }
    }
    fs::write(&large, &original).unwrap();
    // A corrupt cached layer is decompressed again.
    let layers = site.path("cache/moby/layers/sha256");
    let spoil = || {
        for name in files(&layers) {
            let mut bytes = fs::read(layers.join(&name)).unwrap();
            bytes[600] ^= 1;
            fs::write(layers.join(name), bytes).unwrap();
        }
    };
    for jobs in ["1", "4"] {
        spoil();
        let output = site.build(&["-j", jobs, "-f", "tar", "-o", "-", "machine.yml"]);
        assert!(output.status.success() && output.stdout == first);
        spoil();
        good(site.build(&["-j", jobs, "-f", "tar", "machine.yml"]));
        assert!(first == fs::read(site.path("machine.tar")).unwrap());
    }
}

#[test]
fn damage_names_the_image_with_the_exact_reference() {
    let site = Site::new();
    let directory = site.path("layout");
    let mut layout = Layout::new(&directory);
    for (tag, content) in [("1", b"one"), ("10", b"ten")] {
        let layer = Layer::plain(&tar(&[(b'0', "a", "", content)]));
        let blob = directory.join("blobs").join(layer.diff_id.replace(':', "/"));
        let manifest = layout.manifest("amd64", &[layer]);
        layout.name(&format!("docker.io/t/app:{tag}"), manifest);
        if tag == "10" {
            let mut bytes = fs::read(&blob).unwrap();
            bytes[512] ^= 1;
            fs::write(blob, bytes).unwrap();
        }
    }
    site.write("bad.yml", "init:\n  - t/app:1\n  - t/app:10\n");
    for jobs in ["1", "4"] {
        let build = &[
            "--arch", "amd64", "--layout", "layout", "-j", jobs, "-f", "tar", "bad.yml",
        ];
        let message = refused(site.build(build), 1);
        assert!(
            message.contains("t/app:10") && message.contains("bad.yml:3:5"),
            "{message}"
        );
    }
}

#[test]
fn packages_are_the_same_bits_twice() {
    let (one, two) = (Site::new(), Site::new());
    for site in [&one, &two] {
        good(site.moby(&["-q", "pkg", "build", "kernel", "init"]));
    }
    assert_eq!(
        files(&one.path("cache/blobs/sha256")),
        files(&two.path("cache/blobs/sha256"))
    );
    let index = |site: &Site| fs::read(site.path("cache/index.json")).unwrap();
    assert!(index(&one) == index(&two));
}

#[test]
fn directory_with_only_a_dockerfile_gets_help() {
    let site = Site::new();
    site.write("docker/build.yml", "image: x\n");
    site.write("docker/Dockerfile", "FROM scratch\n");
    let message = refused(site.moby(&["pkg", "build", "docker"]), 1);
    assert!(
        message.contains("docker save") && message.contains("--layout"),
        "{message}"
    );
    site.write("machine.yml", "init: [\"@pkg:docker\"]\n");
    let message = refused(site.moby(&["check", "machine.yml"]), 2);
    let (place, help) = (
        message.find("machine.yml:1:8"),
        message.find("= help: or build it with Docker"),
    );
    assert!(place.is_some() && place < help, "{message}");
}

#[test]
fn wrong_commands_end_with_2() {
    let site = Site::new();
    assert!(refused(site.build(&["-f", "tra", "machine.yml"]), 2).contains("did you mean `tar`?"));
    refused(site.build(&["-f", "kernel+initrd", "-o", "x", "machine.yml"]), 2);
    refused(site.build(&["--compress", "gzip:11", "machine.yml"]), 2);
    refused(site.build(&["not-there.yml"]), 2);
    let names = String::from_utf8(good(site.moby(&["formats", "--names"]))).unwrap();
    for name in ["kernel+initrd", "tar", "iso-bios", "raw-efi", "qcow2-bios"] {
        assert!(names.lines().any(|line| line == name), "{names}");
    }
    let both = refused(site.build(&["-f", "vhd,dynamic-vhd", "machine.yml"]), 2);
    assert!(both.contains("both write NAME.vhd"), "{both}");
    refused(site.build(&["-f", "raw", "--size", "1X", "machine.yml"]), 2);
    let help = String::from_utf8(good(site.moby(&["check", "--help"]))).unwrap();
    assert!(help.contains("merged from left to right as in `moby build`"), "{help}");
    site.write("one.yml", "services: [{name: a, image: b}]");
    let merged = refused(site.moby(&["check", "one.yml", "one.yml"]), 2);
    assert!(
        merged.contains("duplicate service name: a") && merged.contains("into one machine"),
        "{merged}"
    );
    site.write("volume.yml", "volumes: [{name: a, readonly: true}]");
    site.write("other.yml", "volumes: [{name: a}]");
    good(site.moby(&["check", "volume.yml", "volume.yml"]));
    let merged = refused(site.moby(&["check", "volume.yml", "other.yml"]), 2);
    assert!(
        merged.contains("duplicate volume name: a") && merged.contains("other.yml:1:18"),
        "{merged}"
    );
    good(site.build(&[
        "-f",
        "tar",
        "--no-sbom",
        "--no-sbom",
        "--name",
        "x",
        "--name",
        "y",
        "machine.yml",
    ]));
    assert!(!site.path("x.tar").exists() && site.path("y.tar").exists());
    let root = refused(site.build(&["--root", "iso", "-f", "raw", "machine.yml"]), 2);
    assert!(root.contains("--root iso does not apply to raw"), "{root}");
    let schema: serde_json::Value = serde_json::from_slice(&good(site.moby(&["schema"]))).unwrap();
    assert!(schema["properties"]["services"].is_object());
}
