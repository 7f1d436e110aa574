//! The images that moby reads, and `moby cache`, beside skopeo and umoci on the same directories.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use crate::common::layout::{Layer, Layout, tar};
use crate::common::site::{Site, files, good, refused};
use serde_json::{Value, json};

const INIT: &str = "docker.io/moby/init";

/// skopeo, which would ask for a policy otherwise.
fn skopeo(site: &Site, arguments: &[&str]) -> Vec<u8> {
    let mut all = vec!["--insecure-policy"];
    all.extend(arguments);
    site.run("skopeo", &all)
}

/// The files of an image as a tar, as moby sees them.
fn filesystem(site: &Site, image: &str, more: &[&str]) -> Vec<u8> {
    let mut all = vec!["cache", "export", image, "--format", "filesystem", "-o", "-"];
    all.extend(more);
    good(site.moby(&all))
}

fn list(site: &Site) -> Vec<String> {
    let lines = String::from_utf8(good(site.moby(&["cache", "ls", "--names"]))).unwrap();
    lines.lines().map(str::to_owned).collect()
}

#[test]
fn skopeo_and_umoci_read_the_cache_before_and_after() {
    let site = Site::new();
    good(site.moby(&["-q", "pkg", "build", "kernel", "init"]));
    let name = list(&site).into_iter().find(|name| name.starts_with(INIT)).unwrap();
    let source = format!("oci:cache:{name}");
    let before: Value = serde_json::from_slice(&skopeo(&site, &["inspect", &source])).unwrap();
    let files_before = filesystem(&site, &name, &[]);
    let umoci = String::from_utf8(site.run("umoci", &["ls", "--layout", "cache"])).unwrap();
    assert!(umoci.lines().any(|line| line == name), "{umoci}");
    // moby puts its own things there.
    good(site.build(&["-f", "tar", "machine.yml"]));
    assert!(site.path("cache/moby/layers").is_dir());
    // skopeo writes three kinds of archives of it, and into the directory itself.
    for target in [
        format!("oci-archive:oci.tar:{name}"),
        format!("docker-archive:saved.tar:{name}"),
        "oci:directory:example.org/renamed:1".into(),
        "oci:cache:example.org/added:1".into(),
    ] {
        skopeo(&site, &["copy", "-q", &source, &target]);
    }
    assert!(list(&site).contains(&"example.org/added:1".to_owned()));
    assert!(filesystem(&site, "example.org/added:1", &[]) == files_before);

    // All are imported into another cache, where names and files are the same.
    let other = |arguments: &[&str]| {
        let mut all = vec!["cache", "--cache", "other"];
        all.extend(arguments);
        site.moby(&all)
    };
    for archive in ["oci.tar", "saved.tar", "directory", "cache"] {
        good(other(&["import", archive]));
        let image = if archive == "directory" {
            "example.org/renamed:1"
        } else {
            &name
        };
        assert!(
            filesystem(&site, image, &["--cache", "other"]) == files_before,
            "{archive}"
        );
        let found: Value = serde_json::from_slice(&skopeo(&site, &["inspect", &format!("oci:other:{image}")])).unwrap();
        assert_eq!(found["Architecture"], before["Architecture"], "{archive}");
        if archive == "oci.tar" {
            assert_eq!(found["Layers"], before["Layers"]);
        }
        good(other(&["verify"]));
        good(other(&["rm", image]));
    }
    let left = String::from_utf8(good(other(&["ls"]))).unwrap();
    assert!(!left.contains("renamed") && left.contains("added"), "{left}");

    // What moby exports, skopeo and umoci read.
    for (format, transport) in [("oci", "oci-archive"), ("docker", "docker-archive")] {
        let file = format!("{format}.export");
        good(site.moby(&["cache", "export", &name, "--format", format, "-o", &file]));
        let copied = format!("oci:from-{format}:x:1");
        skopeo(&site, &["copy", "-q", &format!("{transport}:{file}:{name}"), &copied]);
        good(site.moby(&["cache", "import", &format!("from-{format}")]));
        assert!(filesystem(&site, "x:1", &[]) == files_before, "{format}");
        good(site.moby(&["cache", "rm", "x:1"]));
    }
    let image = format!("cache:{name}");
    site.run("umoci", &["unpack", "--rootless", "--image", &image, "bundle"]);
    assert_eq!(fs::read(site.path("bundle/rootfs/bin/one")).unwrap(), b"one");
    let noise = fs::read(site.path("init/noise")).unwrap();
    assert!(fs::read(site.path("bundle/rootfs/usr/noise")).unwrap() == noise);

    // What nobody needs goes; what somebody needs stays.
    let blobs = files(&site.path("cache/blobs/sha256"));
    fs::write(site.path("cache/blobs/sha256").join("0".repeat(64)), "left over").unwrap();
    good(site.moby(&["cache", "clean"]));
    assert_eq!(files(&site.path("cache/blobs/sha256")), blobs);
    let after: Value = serde_json::from_slice(&skopeo(&site, &["inspect", &source])).unwrap();
    assert_eq!(after, before);
    good(site.moby(&["cache", "rm", &name, "example.org/added:1"]));
    let message = refused(site.moby(&["cache", "rm", &name]), 1);
    assert!(
        message.contains(&name) && message.contains("moby cache ls"),
        "{message}"
    );
    assert!(files(&site.path("cache/blobs/sha256")).len() < blobs.len());
    assert_eq!(list(&site).len(), 1);
}

/// A layout with an image of one file, `a`, for two architectures, under a name.
fn two_arches(directory: &Path, name: &str) -> Value {
    let mut layout = Layout::new(directory);
    let image = |arch: &str| layout.manifest(arch, &[Layer::plain(&tar(&[(b'0', "a", "", arch.as_bytes())]))]);
    let (amd64, arm64) = (image("amd64"), image("arm64"));
    let index = layout.index(&[arm64, amd64]);
    layout.name(name, index.clone());
    index
}

#[test]
fn empty_layout_of_umoci_is_read() {
    let site = Site::new();
    site.run("umoci", &["init", "--layout", "cache"]);
    assert_eq!(list(&site), [""; 0]);
    good(site.moby(&["-q", "pkg", "build", "init"]));
    assert_eq!(list(&site).len(), 1);
}

#[test]
fn references_expand_as_in_docker() {
    let site = Site::new();
    // LinuxKit stores names without `:latest`, skopeo as they were given.
    for (number, stored) in ["docker.io/library/nginx", "docker.io/library/nginx:latest", "nginx"]
        .iter()
        .enumerate()
    {
        let directory = format!("layout{number}");
        let index = two_arches(&site.path(&directory), stored);
        let digest = index["digest"].as_str().unwrap();
        for asked in [
            "nginx".to_owned(),
            "nginx:latest".into(),
            "library/nginx".into(),
            "docker.io/library/nginx".into(),
            "docker.io/library/nginx:latest".into(),
            format!("nginx@{digest}"),
            format!("docker.io/library/nginx:latest@{digest}"),
        ] {
            site.write("one.yml", &format!("init: [\"{asked}\"]\n"));
            let tar = good(site.build(&["-f", "tar", "-o", "-", "--layout", &directory, "one.yml"]));
            assert!(member(&tar, "a").is_some(), "{asked} in {stored}");
        }
        // Not other names, nor other digests.
        for asked in [
            "nginx:1".to_owned(),
            "example.org/nginx".into(),
            format!("nginx@sha256:{}", "0".repeat(64)),
        ] {
            site.write("one.yml", &format!("init: [\"{asked}\"]\n"));
            let message = refused(
                site.build(&["-f", "tar", "-o", "-", "--layout", &directory, "one.yml"]),
                1,
            );
            assert!(
                message.contains("no image") && message.contains(&directory),
                "{message}"
            );
        }
    }
}

/// The content of a member of a tar.
fn member(tar: &[u8], name: &str) -> Option<Vec<u8>> {
    let mut archive = tar::Archive::new(tar);
    for entry in archive.entries().unwrap() {
        let mut entry = entry.unwrap();
        if *entry.path_bytes() == *name.as_bytes() {
            let mut content = Vec::new();
            std::io::Read::read_to_end(&mut entry, &mut content).unwrap();
            return Some(content);
        }
    }
    None
}

#[test]
fn architecture_selects_from_an_index() {
    let site = Site::new();
    two_arches(&site.path("cache"), "example.org/both:1");
    for arch in ["amd64", "arm64"] {
        let tar = filesystem(&site, "example.org/both:1", &["--arch", arch]);
        assert_eq!(member(&tar, "a").unwrap(), arch.as_bytes());
        let inspect = ["inspect", "--override-arch", arch, "oci:cache:example.org/both:1"];
        let found: Value = serde_json::from_slice(&skopeo(&site, &inspect)).unwrap();
        assert_eq!(found["Architecture"], arch);
    }
    let lines = String::from_utf8(good(site.moby(&["cache", "ls"]))).unwrap();
    assert!(lines.contains("linux/arm64,linux/amd64"), "{lines}");
    site.write("one.yml", "init: [\"example.org/both:1\"]\n");
    let message = refused(site.build(&["-f", "tar", "--arch", "riscv64", "one.yml"]), 1);
    for text in ["example.org/both:1", "linux/riscv64", "linux/amd64", "one.yml:1:8"] {
        assert!(message.contains(text), "{message}");
    }
}

#[test]
fn single_image_is_for_its_architecture_only() {
    let site = Site::new();
    let mut layout = Layout::new(&site.path("cache"));
    // Two of one name, as LinuxKit's cache may have them, and one that nobody lists with a platform.
    for arch in ["amd64", "arm64"] {
        let image = layout.manifest(arch, &[Layer::plain(&tar(&[(b'0', "a", "", arch.as_bytes())]))]);
        layout.name("example.org/one:1", image.clone());
        let mut without_platform = image;
        without_platform.as_object_mut().unwrap().remove("platform");
        layout.name(&format!("example.org/{arch}:1"), without_platform);
    }
    for (arch, other) in [("amd64", "arm64"), ("arm64", "amd64")] {
        let tar = filesystem(&site, "example.org/one:1", &["--arch", arch]);
        assert_eq!(member(&tar, "a").unwrap(), arch.as_bytes());
        let archive = format!("docker-archive:{arch}.tar:example.org/{arch}:1");
        skopeo(
            &site,
            &["copy", "-q", &format!("oci:cache:example.org/{arch}:1"), &archive],
        );
        site.write("one.yml", &format!("init: [\"example.org/{arch}:1\"]\n"));
        for layout in [
            &["--cache", "cache"][..],
            &["--layout", &format!("{arch}.tar"), "--cache", "none"],
        ] {
            let build = |arch| site.build(&[layout, &["-f", "tar", "--arch", arch, "-o", "-", "one.yml"]].concat());
            good(build(arch));
            let message = refused(build(other), 1);
            for text in [
                &format!("linux/{other}"),
                &format!("only for linux/{arch}"),
                "one.yml:1:8",
            ] {
                assert!(message.contains(text), "{message}");
            }
        }
    }
}

/// A digest that the specification allows and nobody uses is not called damage.
#[test]
fn other_digest_algorithms_are_refused_by_name() {
    let site = Site::new();
    let mut layout = Layout::new(&site.path("cache"));
    let mut image = layout.manifest("amd64", &[]);
    image["digest"] = Value::from(format!("sha512:{}", "0".repeat(128)));
    layout.name("example.org/one:1", image);
    fs::create_dir_all(site.path("cache/blobs/sha512")).unwrap();
    fs::write(site.path("cache/blobs/sha512").join("0".repeat(128)), "{}").unwrap();
    site.write("one.yml", "init: [\"example.org/one:1\"]\n");
    let message = refused(site.build(&["-f", "tar", "one.yml"]), 1);
    assert!(message.contains("only sha256 is supported"), "{message}");
}

#[test]
fn layer_compression_does_not_change_the_tree() {
    let site = Site::new();
    let noise: Vec<u8> = (0..900_000u32)
        .flat_map(|i| (i.wrapping_mul(2_654_435_761) >> 9).to_le_bytes())
        .collect();
    let lower = tar(&[
        (b'5', "d", "", b""),
        (b'0', "d/noise", "", &noise),
        (b'0', "d/gone", "", b"x"),
        (b'0', "kind", "", b"a file"),
    ]);
    let upper = tar(&[
        (b'0', "d/.wh.gone", "", b""),
        (b'1', "d/again", "d/noise", b""),
        (b'5', "kind", "", b""),
        (b'2', "kind/link", "../d", b""),
    ]);
    let mut layout = Layout::new(&site.path("cache"));
    for (name, layers) in [
        ("plain", [Layer::plain(&lower), Layer::plain(&upper)]),
        ("gzip", [Layer::gzip(&lower), Layer::gzip(&upper)]),
        ("zstd", [Layer::zstd(&lower), Layer::zstd(&upper)]),
    ] {
        let image = layout.manifest("amd64", &layers);
        layout.name(&format!("example.org/{name}"), image);
    }
    // A media type that says something else than the bytes are: the bytes are right.
    let wrong = Layer {
        media_type: crate::common::layout::GZIP,
        ..Layer::zstd(&lower)
    };
    let image = layout.manifest("amd64", &[wrong, Layer::gzip(&upper)]);
    layout.name("example.org/mixed", image);
    let all = ["plain", "gzip", "zstd", "mixed"].map(|name| {
        // Nothing is taken from layers that another image left.
        fs::remove_dir_all(site.path("cache/moby")).ok();
        filesystem(&site, &format!("example.org/{name}"), &[])
    });
    assert!(all.iter().all(|tar| *tar == all[0]));
    assert!(member(&all[0], "d/noise").unwrap() == noise);
    assert_eq!(member(&all[0], "d/gone"), None);
    let listed = String::from_utf8(crate::common::layout::through("tar", &["-tv"], &all[0])).unwrap();
    assert!(
        listed.contains("d/again link to d/noise") || listed.contains("d/noise link to d/again"),
        "{listed}"
    );
    assert!(listed.contains("kind/link -> ../d"), "{listed}");
}

#[test]
fn opaque_whiteouts_hide_on_request() {
    let site = Site::new();
    let lower = tar(&[
        (b'5', "var", "", b""),
        (b'5', "var/data", "", b""),
        (b'0', "var/data/old", "", b"old"),
        (b'5', "var/data/both", "", b""),
        (b'0', "var/data/both/old", "", b"old"),
        (b'0', "var/other", "", b"stays"),
        (b'5', "bare", "", b""),
    ]);
    // The mark hides what is below, and nothing of its own layer, wherever it stands.
    let upper = tar(&[
        (b'5', "var/data", "", b""),
        (b'0', "var/data/before", "", b"new"),
        (b'5', "var/data/both", "", b""),
        (b'0', "var/data/both/new", "", b"new"),
        (b'0', "var/data/.wh..wh..opq", "", b""),
        (b'0', "var/data/after", "", b"new"),
        (b'0', "bare/.wh..wh..opq", "", b""),
        (b'5', "fresh", "", b""),
        (b'0', "fresh/.wh..wh..opq", "", b""),
    ]);
    let mut layout = Layout::new(&site.path("cache"));
    let image = layout.manifest("amd64", &[Layer::gzip(&lower), Layer::gzip(&upper)]);
    layout.name("docker.io/library/opaque:1", image);
    let names = |tar: &[u8]| {
        let listed = String::from_utf8(crate::common::layout::through("tar", &["-t"], tar)).unwrap();
        let lines = listed.lines().map(|line| line.trim_end_matches('/').to_owned());
        lines.filter(|line| !line.is_empty()).collect::<BTreeSet<_>>()
    };
    // The files that umoci sees.
    site.run(
        "umoci",
        &[
            "unpack",
            "--rootless",
            "--image",
            "cache:docker.io/library/opaque:1",
            "bundle",
        ],
    );
    let umoci: BTreeSet<String> = site
        .run("sh", &["-c", "cd bundle/rootfs && find . -mindepth 1 -printf '%P\n'"])
        .split(|&byte| byte == b'\n')
        .filter(|line| !line.is_empty())
        .map(|line| String::from_utf8(line.to_vec()).unwrap())
        .collect();
    let hidden = ["var/data/old", "var/data/both/old"];
    assert!(umoci.contains("var/data/both/new") && hidden.iter().all(|name| !umoci.contains(*name)));
    assert_eq!(names(&filesystem(&site, "opaque:1", &[])), umoci);

    site.write("one.yml", "init: [\"opaque:1\"]\n");
    let build = |more: &[&str]| {
        let mut all = vec!["build", "--rebuild", "--no-sbom", "-f", "tar", "-o", "-", "one.yml"];
        all.extend(more);
        let output = site.moby(&all);
        let message = String::from_utf8(output.stderr.clone()).unwrap();
        (names(&good(output)), message)
    };
    let (plain, message) = build(&[]);
    for text in ["docker.io/library/opaque:1", "/var/data ", "--opaque-whiteouts"] {
        assert!(message.contains(text), "{message}");
    }
    assert!(!message.contains("bare") && !message.contains("fresh"), "{message}");
    assert!(umoci.is_subset(&plain) && hidden.iter().all(|name| plain.contains(*name)));
    let (opaque, message) = build(&["--opaque-whiteouts"]);
    assert!(!message.contains("whiteout"), "{message}");
    let gone: Vec<&str> = plain.difference(&opaque).map(String::as_str).collect();
    assert_eq!(gone, ["var/data/both/old", "var/data/old"]);
}

/// The blobs of a cache with one image: manifest, configuration and layer.
fn blobs(site: &Site) -> Vec<(&'static str, PathBuf)> {
    let all = files(&site.path("cache/blobs/sha256"));
    let paths = all.iter().map(|name| site.path("cache/blobs/sha256").join(name));
    let kind = |path: PathBuf| {
        let bytes = fs::read(&path).unwrap();
        let json: Option<Value> = serde_json::from_slice(&bytes).ok();
        let kind = match json {
            None => "layer",
            Some(json) if json["rootfs"].is_object() => "config",
            Some(_) => "manifest",
        };
        (kind, path)
    };
    paths.map(kind).collect()
}

#[test]
fn damage_names_image_and_digest() {
    let site = Site::new();
    let mut layout = Layout::new(&site.path("cache"));
    let image = layout.manifest("amd64", &[Layer::gzip(&tar(&[(b'0', "a", "", &[7; 5000])]))]);
    layout.name("example.org/one:1", image);
    site.write("one.yml", "init: [\"example.org/one:1\"]\n");
    let expected = good(site.build(&["-f", "tar", "-o", "-", "one.yml"]));
    assert_eq!(blobs(&site).len(), 3);
    for (kind, path) in blobs(&site) {
        let bytes = fs::read(&path).unwrap();
        let hex = path.file_name().unwrap().to_str().unwrap();
        let mut flipped = bytes.clone();
        *flipped.last_mut().unwrap() ^= 0x20;
        let mut longer = bytes.clone();
        longer.push(0);
        for (what, damaged) in [
            ("flipped", Some(flipped)),
            ("truncated", Some(bytes[..bytes.len() - 1].to_vec())),
            ("longer", Some(longer)),
            ("empty", Some(Vec::new())),
            ("missing", None),
        ] {
            match &damaged {
                Some(damaged) => fs::write(&path, damaged).unwrap(),
                None => fs::remove_file(&path).unwrap(),
            }
            // Layers decompressed earlier do not hide it.
            let build = refused(site.build(&["-f", "tar", "-o", "out.tar", "one.yml"]), 1);
            let verify = refused(site.moby(&["cache", "verify"]), 1);
            for message in [&build, &verify] {
                assert!(message.contains("example.org/one:1"), "{kind} {what}: {message}");
                assert!(message.contains(hex), "{kind} {what}: {message}");
                assert!(message.contains("help: "), "{kind} {what}: {message}");
            }
            assert!(build.contains("one.yml:1:8"), "{kind} {what}: {build}");
            assert!(!site.path("out.tar").exists());
            // The same in an archive, made by tar.
            site.run(
                "tar",
                &["-C", "cache", "-cf", "archive.tar", "oci-layout", "index.json", "blobs"],
            );
            let import = refused(site.moby(&["cache", "--cache", "new", "import", "archive.tar"]), 1);
            assert!(
                import.contains("example.org/one:1") && import.contains(hex),
                "{kind} {what}: {import}"
            );
            assert_eq!(list_of(&site, "new"), "");
        }
        fs::write(&path, &bytes).unwrap();
    }
    good(site.moby(&["cache", "verify"]));
    assert!(good(site.build(&["-f", "tar", "-o", "-", "one.yml"])) == expected);
    // Importing the image again repairs a blob.
    fs::rename(site.path("cache"), site.path("whole")).unwrap();
    good(site.moby(&["cache", "import", "whole"]));
    let (_, layer) = blobs(&site).into_iter().find(|(kind, _)| *kind == "layer").unwrap();
    let mut bytes = fs::read(&layer).unwrap();
    bytes[30] ^= 1;
    fs::write(&layer, bytes).unwrap();
    refused(site.moby(&["cache", "verify"]), 1);
    good(site.moby(&["cache", "import", "whole"]));
    good(site.moby(&["cache", "verify"]));
}

fn list_of(site: &Site, cache: &str) -> String {
    String::from_utf8(good(site.moby(&["cache", "--cache", cache, "ls", "--names"]))).unwrap()
}

#[test]
fn docker_archives_are_verified() {
    let site = Site::new();
    let mut layout = Layout::new(&site.path("cache"));
    let image = layout.manifest("amd64", &[Layer::gzip(&tar(&[(b'0', "a", "", &[7; 5000])]))]);
    layout.name("example.org/one:1", image);
    skopeo(
        &site,
        &[
            "copy",
            "-q",
            "oci:cache:example.org/one:1",
            "docker-archive:saved.tar:example.org/one:1",
        ],
    );
    site.write("one.yml", "init: [\"example.org/one:1\"]\n");
    let build = |layout: &str| {
        // Layers are known by the digests of their tars: one that was whole before would be taken.
        fs::remove_dir_all(site.path("none")).ok();
        site.build(&["--cache", "none", "--layout", layout, "-f", "tar", "-o", "-", "one.yml"])
    };
    let expected = good(build("saved.tar"));
    assert!(member(&expected, "a").unwrap() == [7; 5000]);
    fs::create_dir(site.path("saved")).unwrap();
    site.run("tar", &["-C", "saved", "-xf", "saved.tar"]);
    assert!(good(build("saved")) == expected);
    // A layer that is a link to another's, before it and behind it.
    site.run(
        "sh",
        &[
            "-c",
            "cp -r saved linked && cd linked && mkdir zz && for l in *.tar; do mv $l zz/$l && ln -s zz/$l $l; done",
        ],
    );
    for order in ["*.tar *.json zz", "zz *.json *.tar"] {
        site.run("sh", &["-c", &format!("cd linked && tar -cf ../linked.tar {order}")]);
        assert!(good(build("linked.tar")) == expected, "{order}");
    }
    let layer = files(&site.path("saved"))
        .into_iter()
        .find(|name| name.len() == 68)
        .unwrap();
    let bytes = fs::read(site.path("saved").join(&layer)).unwrap();
    for (damaged, expected) in [
        ([&bytes[..600], &[8], &bytes[601..]].concat(), "diff_id"),
        (bytes[..1024].to_vec(), "diff_id"),
    ] {
        fs::write(site.path("saved").join(&layer), damaged).unwrap();
        let import = ["cache", "--cache", "imported", "import", "saved"];
        for message in [refused(build("saved"), 1), refused(site.moby(&import), 1)] {
            assert!(
                message.contains("example.org/one:1") && message.contains(expected),
                "{message}"
            );
        }
        assert_eq!(list_of(&site, "imported"), "");
    }
    fs::remove_file(site.path("saved").join(&layer)).unwrap();
    let message = refused(build("saved"), 1);
    assert!(
        message.contains("example.org/one:1") && message.contains("is missing"),
        "{message}"
    );
    // A manifest that names a file outside of the directory.
    let manifest = fs::read_to_string(site.path("saved/manifest.json")).unwrap();
    fs::write(site.path("saved/manifest.json"), manifest.replace(&layer, "../one.yml")).unwrap();
    let message = refused(build("saved"), 1);
    assert!(message.contains("../one.yml"), "{message}");
}

#[test]
fn a_volume_can_be_an_oci_layout() {
    let site = Site::new();
    two_arches(&site.path("cache"), "docker.io/library/both");
    site.write(
        "one.yml",
        "volumes:\n  - {name: all, image: both, format: oci}\n  - {name: one, image: both, format: oci, platforms: [linux/arm64]}\nfiles: [{path: x, contents: y}]\n",
    );
    good(site.build(&["-f", "tar", "one.yml"]));
    fs::create_dir(site.path("out")).unwrap();
    site.run("tar", &["-C", "out", "-xf", "one.tar", "--no-same-owner"]);
    let inspect = |volume: &str, arch: &str| -> Value {
        let source = format!("oci:out/containers/volumes/{volume}/lower:docker.io/library/both");
        serde_json::from_slice(&skopeo(&site, &["inspect", "--override-arch", arch, &source])).unwrap()
    };
    for (volume, arch) in [("all", "amd64"), ("all", "arm64"), ("one", "arm64")] {
        assert_eq!(inspect(volume, arch)["Architecture"], arch);
    }
    for volume in ["all", "one"] {
        let directory = format!("out/containers/volumes/{volume}/lower");
        let listed = String::from_utf8(site.run("umoci", &["ls", "--layout", &directory])).unwrap();
        assert_eq!(listed.trim(), "docker.io/library/both");
    }
    let blobs = |volume: &str| files(&site.path(&format!("out/containers/volumes/{volume}/lower/blobs/sha256"))).len();
    assert_eq!((blobs("all"), blobs("one")), (7, 4));
    // moby reads it too.
    site.write("two.yml", "init: [both]\n");
    let layout = "out/containers/volumes/one/lower";
    let tar = good(site.build(&[
        "--cache", "none", "--layout", layout, "--arch", "arm64", "-f", "tar", "-o", "-", "two.yml",
    ]));
    assert_eq!(member(&tar, "a").unwrap(), b"arm64");
    // A platform that the image is not there for.
    site.write(
        "bad.yml",
        "volumes:\n  - {name: a, image: both, format: oci, platforms: [linux/s390x]}\n",
    );
    let message = refused(site.build(&["-f", "tar", "bad.yml"]), 1);
    assert!(
        message.contains("docker.io/library/both") && message.contains("linux/arm64"),
        "{message}"
    );
    site.write(
        "bad.yml",
        "volumes:\n  - {name: a, image: both, format: oci, platforms: [arm64]}\n",
    );
    let message = refused(site.build(&["-f", "tar", "bad.yml"]), 2);
    assert!(
        message.contains("bad.yml:2:") && message.contains("linux/amd64"),
        "{message}"
    );
}

#[test]
fn sbom_path_and_time_follow_the_options() {
    let site = Site::new();
    let mut layout = Layout::new(&site.path("cache"));
    let image = layout.manifest("amd64", &[Layer::plain(&tar(&[(b'0', "a", "", b"x")]))]);
    let document = json!({"spdxVersion": "SPDX-2.3", "packages": [{"name": "a-package", "packageFileName": "/a"}]});
    let attestation = layout.attestation(&image, &document);
    let index = layout.index(&[image, attestation]);
    layout.name("docker.io/library/one", index);
    site.write("one.yml", "init: [one]\nonboot: [{name: c, image: one}]\n");
    let build = |more: &[&str]| {
        let mut all = vec!["-f", "tar", "-o", "-", "--arch", "amd64"];
        all.extend(more);
        all.push("one.yml");
        good(site.build(&all))
    };
    let parsed = |tar: &[u8], path: &str| -> Value { serde_json::from_slice(&member(tar, path).unwrap()).unwrap() };
    let usual = parsed(&build(&[]), "sbom.spdx.json");
    let names: Vec<&Value> = usual["packages"]
        .as_array()
        .unwrap()
        .iter()
        .map(|package| &package["packageFileName"])
        .collect();
    assert_eq!(names, ["/a", "containers/onboot/000-c/lower/a"]);
    assert_eq!(usual["creationInfo"]["created"], "2017-04-18T16:30:00Z");
    let elsewhere = build(&["--sbom-output", "usr/share/system.json"]);
    assert_eq!(parsed(&elsewhere, "usr/share/system.json"), usual);
    assert!(member(&elsewhere, "sbom.spdx.json").is_none());
    assert!(member(&build(&["--no-sbom"]), "sbom.spdx.json").is_none());
    let now = parsed(&build(&["--sbom-current-time"]), "sbom.spdx.json");
    let year: u32 = now["creationInfo"]["created"].as_str().unwrap()[..4].parse().unwrap();
    assert!(year >= 2025, "{year}");
    // Attestations that are damaged are not passed over.
    let blob = files(&site.path("cache/blobs/sha256")).into_iter().find(|name| {
        fs::read_to_string(site.path("cache/blobs/sha256").join(name)).is_ok_and(|text| text.contains("predicate"))
    });
    let blob = site.path("cache/blobs/sha256").join(blob.unwrap());
    fs::remove_file(&blob).unwrap();
    let message = refused(site.build(&["-f", "tar", "-o", "-", "--arch", "amd64", "one.yml"]), 1);
    assert!(
        message.contains("docker.io/library/one") && message.contains("is missing"),
        "{message}"
    );
    build(&["--no-sbom"]);
}
