//! `moby cache` on directories that others wrote, damaged or changed at the same time.

use std::fs;

use crate::common::layout::{Layer, Layout, tar};
use crate::common::site::{Site, files, good, refused};
use serde_json::{Value, json};

/// An image of one file, `a`.
fn image(layout: &Layout, content: &[u8]) -> Value {
    layout.manifest("amd64", &[Layer::gzip(&tar(&[(b'0', "a", "", content)]))])
}

#[test]
fn unreadable_index_is_left_unchanged() {
    let site = Site::new();
    let mut other = Layout::new(&site.path("other"));
    let one = image(&other, b"one");
    other.name("example.org/one", one);
    good(site.moby(&["-q", "pkg", "build", "init"]));
    let (index, blobs) = (site.path("cache/index.json"), site.path("cache/blobs/sha256"));
    let original = fs::read(&index).unwrap();
    let before = files(&blobs);
    let none = br#"{"schemaVersion": 2}"#.to_vec();
    for damaged in [&original[..original.len() - 1], b"", b"\0\0\0\0", b"[]", &none] {
        fs::write(&index, damaged).unwrap();
        for arguments in [
            &["cache", "import", "other"][..],
            &["cache", "rm", "example.org/one"],
            &["cache", "clean"],
            &["pkg", "build", "kernel"],
        ] {
            let message = refused(site.moby(arguments), 1);
            assert!(
                message.contains("cache/index.json") && message.contains("help: "),
                "{arguments:?}: {message}"
            );
            assert!(fs::read(&index).unwrap() == damaged, "{arguments:?}");
            assert_eq!(files(&blobs), before, "{arguments:?}");
        }
    }
    // Not a file at all, as when the system cannot read it.
    fs::remove_file(&index).unwrap();
    fs::create_dir(&index).unwrap();
    let message = refused(site.moby(&["cache", "import", "other"]), 1);
    assert!(message.contains("cache/index.json"), "{message}");
    fs::remove_dir(&index).unwrap();
    // Put back, all is there; without one, the directory is a new one.
    fs::write(&index, &original).unwrap();
    good(site.moby(&["cache", "import", "other"]));
    good(site.moby(&["cache", "verify"]));
    fs::write(&index, r#"{"schemaVersion": 2, "manifests": null}"#).unwrap();
    good(site.moby(&["cache", "import", "other"]));
    fs::remove_file(&index).unwrap();
    good(site.moby(&["cache", "import", "other"]));
    let listed = String::from_utf8(good(site.moby(&["cache", "ls"]))).unwrap();
    assert!(
        listed.contains("\nexample.org/one ") && listed.lines().count() == 2,
        "{listed}"
    );
}

#[test]
fn tag_annotation_alone_is_not_a_reference() {
    let site = Site::new();
    let (tag, containerd) = ("org.opencontainers.image.ref.name", "io.containerd.image.name");
    let mut saved = Layout::new(&site.path("saved"));
    for (name, annotations) in [
        // docker save, of two tags of one image.
        (
            "docker.io/library/both",
            json!({containerd: "docker.io/library/both:latest", tag: "latest"}),
        ),
        (
            "docker.io/library/both:1",
            json!({containerd: "docker.io/library/both:1", tag: "1"}),
        ),
        // LinuxKit: what its builder gave it, and one that got another name later.
        (
            "docker.io/linuxkit/a:hash",
            json!({containerd: "docker.io/linuxkit/a:hash", tag: "docker.io/linuxkit/a:hash"}),
        ),
        (
            "docker.io/linuxkit/a:v1",
            json!({containerd: "docker.io/linuxkit/a:old", tag: "docker.io/linuxkit/a:v1"}),
        ),
        // skopeo, and containerd alone.
        ("docker.io/library/short", json!({tag: "short"})),
        (
            "docker.io/library/long",
            json!({containerd: "docker.io/library/long:latest"}),
        ),
    ] {
        let one = image(&saved, name.as_bytes());
        saved.annotate(annotations, one);
    }
    let all = [
        "docker.io/library/both",
        "docker.io/library/both:1",
        "docker.io/library/long",
        "docker.io/library/short",
        "docker.io/linuxkit/a:hash",
        "docker.io/linuxkit/a:v1",
    ];
    good(site.moby(&["cache", "import", "saved"]));
    for directory in ["saved", "cache"] {
        assert_eq!(names(&site, directory), all, "{directory}");
        for name in all {
            let tar = good(site.moby(&[
                "cache",
                "--cache",
                directory,
                "export",
                name,
                "--arch",
                "amd64",
                "--format",
                "filesystem",
                "-o",
                "-",
            ]));
            assert!(contains(&tar, name), "{name} in {directory}");
        }
        for name in ["latest", "1", "linuxkit/a:old"] {
            let message = refused(
                site.moby(&["cache", "--cache", directory, "export", name, "-o", "x"]),
                1,
            );
            assert!(message.contains("no image"), "{message}");
        }
    }
}

#[test]
fn help_names_a_working_command() {
    let site = Site::new();
    let mut layout = Layout::new(&site.path("layout"));
    let one = image(&layout, b"one");
    layout.annotate(json!({}), one);
    site.run("sh", &["-c", "tar -cf oci.tar -C layout ."]);
    for (from, transport) in [("oci.tar", "oci-archive:oci.tar"), ("layout", "oci:layout")] {
        let message = refused(site.moby(&["cache", "import", from]), 1);
        assert!(message.contains(&format!("skopeo copy {transport} ")), "{message}");
        let message = refused(site.moby(&["cache", "import", from, "a"]), 1);
        assert!(message.contains("help: no image in it has a name"), "{message}");
    }
    let digest = format!("sha256:{}", "0".repeat(64));
    for (name, asked) in [
        ("localhost:5000/a/b:1", "localhost:5000/a/b:1"),
        ("localhost:5000/b", "localhost:5000/b"),
        ("c:2", "docker.io/library/c:2"),
    ] {
        site.write("m.yml", &format!("init: ['{name}@{digest}']\n"));
        let message = refused(site.build(&["-f", "tar", "m.yml"]), 1);
        assert!(
            message.contains(&format!("`moby cache pull {asked}@{digest}`")),
            "{message}"
        );
    }
}

#[test]
fn listed_images_can_be_removed() {
    let site = Site::new();
    let (usual, containerd) = ("org.opencontainers.image.ref.name", "io.containerd.image.name");
    let fill = || {
        let mut layout = Layout::new(&site.path("cache"));
        let one = image(&layout, b"one");
        for annotations in [
            json!({usual: "docker.io/t/late:latest"}),
            json!({usual: "docker.io/t/plain"}),
            json!({usual: "short"}),
            json!({usual: "1", containerd: "docker.io/t/saved:1"}),
            json!({containerd: "docker.io/t/only:latest"}),
        ] {
            layout.annotate(annotations, one.clone());
        }
    };
    let listed = [
        "docker.io/library/short",
        "docker.io/t/late",
        "docker.io/t/only",
        "docker.io/t/plain",
        "docker.io/t/saved:1",
    ];
    let short = ["short", "t/late", "t/only:latest", "t/plain:latest", "t/saved:1"];
    for (at, name) in listed.into_iter().enumerate() {
        for asked in [name, short[at]] {
            fill();
            assert_eq!(names(&site, "cache"), listed);
            good(site.moby(&["cache", "rm", asked]));
            let mut left = listed.to_vec();
            left.remove(at);
            assert_eq!(names(&site, "cache"), left, "{asked}");
            let message = refused(site.moby(&["cache", "rm", asked]), 1);
            assert!(message.contains("no such image"), "{message}");
        }
    }
    // Nor is a name there twice after an import.
    fill();
    let mut other = Layout::new(&site.path("other"));
    let two = image(&other, b"two");
    other.name("t/late", two);
    good(site.moby(&["cache", "import", "other"]));
    assert_eq!(names(&site, "cache"), listed);
    let tar = good(site.moby(&[
        "cache",
        "export",
        "t/late:latest",
        "--arch",
        "amd64",
        "--format",
        "filesystem",
        "-o",
        "-",
    ]));
    assert!(contains(&tar, "two"));
}

/// An index that lists an index, which lists an image for amd64 and one for arm64.
fn nested(layout: &Layout) -> (Value, Value) {
    let both = ["amd64", "arm64"].map(|arch| {
        let tar = tar(&[(b'0', "a", "", arch.as_bytes())]);
        layout.manifest(arch, &[Layer::gzip(&tar)])
    });
    let inner = layout.index(&both);
    (layout.index(std::slice::from_ref(&inner)), inner)
}

#[test]
fn indexes_in_indexes_are_imported_and_exported() {
    let site = Site::new();
    let mut layout = Layout::new(&site.path("layout"));
    let (outer, inner) = nested(&layout);
    layout.name("example.org/nested", outer);
    good(site.moby(&["cache", "import", "layout"]));
    good(site.moby(&["cache", "verify"]));
    assert_eq!(
        files(&site.path("cache/blobs/sha256")),
        files(&site.path("layout/blobs/sha256"))
    );
    let listed = String::from_utf8(good(site.moby(&["cache", "ls"]))).unwrap();
    assert!(listed.ends_with(" linux/amd64,linux/arm64\n"), "{listed}");
    good(site.moby(&["cache", "export", "example.org/nested", "-o", "nested.tar"]));
    good(site.moby(&["cache", "--cache", "again", "import", "nested.tar"]));
    good(site.moby(&["cache", "clean"]));
    for cache in ["cache", "again"] {
        for arch in ["amd64", "arm64"] {
            let tar = good(site.moby(&[
                "cache",
                "--cache",
                cache,
                "export",
                "example.org/nested",
                "--arch",
                arch,
                "--format",
                "filesystem",
                "-o",
                "-",
            ]));
            assert!(contains(&tar, arch));
        }
    }
    // Of a volume one platform is taken, wherever it is listed.
    site.write(
        "one.yml",
        "volumes:\n  - {name: one, image: example.org/nested, format: oci, platforms: [linux/arm64]}\nfiles: [{path: x, contents: y}]\n",
    );
    good(site.build(&["-f", "tar", "one.yml"]));
    let members = String::from_utf8(site.run("tar", &["-tf", "one.tar"])).unwrap();
    let blobs = members
        .lines()
        .filter(|line| line.contains("/blobs/sha256/") && !line.ends_with('/'))
        .count();
    assert_eq!(blobs, 5, "{members}");
    // The index within is missing: nothing is there.
    let hex = inner["digest"].as_str().unwrap().replace("sha256:", "");
    fs::remove_file(site.path("layout/blobs/sha256").join(hex)).unwrap();
    let message = refused(site.moby(&["cache", "--cache", "third", "import", "layout"]), 1);
    assert!(message.contains("example.org/nested"), "{message}");
}

#[test]
fn blobs_without_a_reference_are_verified() {
    let site = Site::new();
    let mut layout = Layout::new(&site.path("cache"));
    let one = image(&layout, b"one");
    let digest = one["digest"].as_str().unwrap().to_owned();
    layout.annotate(json!({}), one);
    let output = site.moby(&["cache", "verify"]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    good(output);
    assert!(said.contains(&format!("{digest}: intact")), "{said}");
    fs::write(site.path("cache/blobs").join(digest.replace(':', "/")), "damaged").unwrap();
    let message = refused(site.moby(&["cache", "verify"]), 1);
    assert!(message.contains(&digest), "{message}");
}

/// The digest of an image covers its configuration, unknown fields included.
#[test]
fn configuration_is_exported_unchanged() {
    let site = Site::new();
    let mut layout = Layout::new(&site.path("cache"));
    let config = br#"{"os":"linux","architecture":"amd64","config":{"Healthcheck":{"Test":["NONE"]},"Labels":{"b":"1","a":"2","c":"3"}},"rootfs":{"type":"layers","diff_ids":[]}}"#;
    let config = layout.blob(config, "application/vnd.oci.image.config.v1+json");
    let hex = config["digest"].as_str().unwrap().replace("sha256:", "");
    let manifest = json!({"schemaVersion": 2, "config": config, "layers": []});
    let manifest = layout.blob(
        manifest.to_string().as_bytes(),
        "application/vnd.oci.image.manifest.v1+json",
    );
    layout.name("example.org/one:1", manifest);
    let export = ["cache", "export", "--format", "docker", "-o", "-", "example.org/one:1"];
    let tar = good(site.moby(&export));
    let text = String::from_utf8(tar).unwrap();
    assert!(
        text.contains(&format!("{hex}.json")) && text.contains("Healthcheck"),
        "{text}"
    );
}

#[test]
fn recursive_indexes_are_refused() {
    let site = Site::new();
    let mut layout = Layout::new(&site.path("cache"));
    let mut deep = image(&layout, b"deep");
    for _ in 0..6 {
        deep = layout.index(&[deep]);
    }
    layout.name("example.org/deep", deep);
    let one = image(&layout, b"wide");
    let many: Vec<Value> = (0..70)
        .map(|at| {
            let mut one = one.clone();
            one["annotations"] = json!({"number": format!("{at}")});
            layout.index(&[one])
        })
        .collect();
    let wide = layout.index(&many);
    layout.name("example.org/wide", wide);
    for (name, expected) in [("example.org/deep", "4 deep"), ("example.org/wide", "64 indexes")] {
        for arguments in [
            &["cache", "export", name, "-o", "x"][..],
            &["cache", "verify"],
            &["cache", "ls"],
        ] {
            let message = refused(site.moby(arguments), 1);
            assert!(message.contains(name) && message.contains(expected), "{message}");
        }
    }
}

#[test]
fn bad_index_harms_no_other_image() {
    let site = Site::new();
    let mut layout = Layout::new(&site.path("cache"));
    let manifests: Vec<Value> = ["one", "two", "three"]
        .map(|name| image(&layout, name.as_bytes()))
        .into();
    let mut lost = Vec::new();
    for (at, name) in ["one", "two", "three"].into_iter().enumerate() {
        let index = layout.index(&manifests[at..=at]);
        let hex = index["digest"].as_str().unwrap().replace("sha256:", "");
        lost.push(site.path("cache/blobs/sha256").join(hex));
        layout.name(&format!("example.org/{name}"), index);
    }
    fs::remove_file(&lost[0]).unwrap();
    fs::write(&lost[1], "damaged").unwrap();
    // The others are listed, and the bad ones too.
    let output = site.moby(&["cache", "ls"]);
    let listed = String::from_utf8(output.stdout.clone()).unwrap();
    let lines: Vec<&str> = listed.lines().collect();
    assert_eq!(lines.len(), 4, "{listed}");
    assert_eq!(
        lines[0].split_whitespace().collect::<Vec<_>>(),
        ["IMAGE", "DIGEST", "SIZE", "USED", "PLATFORMS"]
    );
    let lines = &lines[1..];
    assert!(
        lines[0].starts_with("example.org/one ") && lines[0].ends_with(" corrupt"),
        "{listed}"
    );
    assert!(
        lines[1].starts_with("example.org/three ") && lines[1].ends_with(" linux/amd64"),
        "{listed}"
    );
    assert!(
        lines[2].starts_with("example.org/two ") && lines[2].ends_with(" corrupt"),
        "{listed}"
    );
    let message = refused(output, 1);
    for name in ["example.org/one", "example.org/two"] {
        assert!(message.contains(&format!("{name}: ")), "{message}");
    }
    assert!(!message.contains("example.org/three"), "{message}");
    // By its digest the manifest below the last is found.
    let digest = manifests[2]["digest"].as_str().unwrap();
    for asked in [format!("example.org/three@{digest}"), "example.org/three".into()] {
        let tar = good(site.moby(&[
            "cache",
            "export",
            &asked,
            "--arch",
            "amd64",
            "--format",
            "filesystem",
            "-o",
            "-",
        ]));
        assert!(contains(&tar, "three"));
    }
    let nowhere = format!("example.org/four@sha256:{}", "0".repeat(64));
    let message = refused(
        site.moby(&["cache", "export", &nowhere, "--format", "docker", "-o", "x"]),
        1,
    );
    assert!(message.contains("no image example.org/four"), "{message}");
}

/// Returns whether the content of the only file of a tar begins with a text.
fn contains(tar: &[u8], text: &str) -> bool {
    tar.get(512..).is_some_and(|rest| rest.starts_with(text.as_bytes()))
}

/// The names that are listed, in order.
fn names(site: &Site, directory: &str) -> Vec<String> {
    let listed = String::from_utf8(good(site.moby(&["cache", "--cache", directory, "ls", "--names"]))).unwrap();
    listed.lines().map(str::to_owned).collect()
}

/// Sets the modification times of all files below a directory to days ago.
fn age(directory: &std::path::Path, days: u64) {
    let time = std::time::SystemTime::now() - std::time::Duration::from_secs(days * 86_400);
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            age(&path, days);
        } else {
            fs::File::options()
                .append(true)
                .open(&path)
                .unwrap()
                .set_modified(time)
                .unwrap();
        }
    }
}

fn listed(site: &Site) -> Vec<Value> {
    let text = good(site.moby(&["cache", "ls", "--json"]));
    serde_json::from_slice::<Value>(&text)
        .unwrap()
        .as_array()
        .unwrap()
        .clone()
}

fn noise(seed: u32, len: u32) -> Vec<u8> {
    (0..len)
        .map(|at| (at.wrapping_add(seed).wrapping_mul(2_654_435_761) >> 13) as u8)
        .collect()
}

#[test]
fn images_are_removed_by_their_last_use() {
    let site = Site::new();
    let mut layout = Layout::new(&site.path("layout"));
    for (seed, name) in [(1, "old"), (2, "used"), (3, "other")] {
        let content = noise(seed, 300_000);
        let image = layout.manifest("amd64", &[Layer::plain(&tar(&[(b'0', "a", "", &content)]))]);
        if name == "old" {
            let hex = image["digest"]
                .as_str()
                .unwrap()
                .trim_start_matches("sha256:")
                .to_owned();
            let signature = layout.manifest("amd64", &[Layer::plain(b"a signature")]);
            layout.name(&format!("example.org/old:sha256-{hex}.sig"), signature);
        }
        layout.name(&format!("example.org/{name}"), image);
    }
    good(site.moby(&["-q", "cache", "import", "layout"]));
    let images = listed(&site);
    // The signature is not one of them.
    assert_eq!(images.len(), 3);
    for image in &images {
        let size = image["size"].as_u64().unwrap();
        assert!(size > 300_000, "{image}");
        assert_eq!(image["platforms"], json!(["linux/amd64"]), "{image}");
    }
    let text = String::from_utf8(good(site.moby(&["cache", "ls"]))).unwrap();
    let header: Vec<&str> = text.lines().next().unwrap().split_whitespace().collect();
    assert_eq!(header, ["IMAGE", "DIGEST", "SIZE", "USED", "PLATFORMS"]);
    age(&site.path("cache"), 60);
    let before = listed(&site);
    site.write("one.yml", "init:\n  - example.org/used\n");
    good(site.build(&["--arch", "amd64", "-o", "out.tar", "one.yml"]));
    let after = listed(&site);
    let moved = before
        .iter()
        .zip(&after)
        .filter(|(before, after)| before["lastUsed"] != after["lastUsed"]);
    let moved: Vec<&Value> = moved.map(|(_, after)| &after["name"]).collect();
    assert_eq!(moved, ["example.org/used"]);
    // The least recently used go first, with their signatures.
    good(site.moby(&["cache", "rm", "--unused-for", "90d"]));
    assert_eq!(listed(&site).len(), 3);
    good(site.moby(&["-q", "cache", "clean", "--keep-size", "1000K"]));
    let left: Vec<Value> = listed(&site).iter().map(|image| image["name"].clone()).collect();
    assert_eq!(left, ["example.org/other", "example.org/used"]);
    good(site.moby(&["-q", "cache", "rm", "--unused-for", "30d"]));
    let left: Vec<Value> = listed(&site).iter().map(|image| image["name"].clone()).collect();
    assert_eq!(left, ["example.org/used"]);
    good(site.moby(&["-q", "cache", "verify"]));
    good(site.build(&["--arch", "amd64", "-o", "out.tar", "one.yml"]));
    let message = refused(site.moby(&["cache", "rm", "--unused-for", "30"]), 2);
    assert!(message.contains("such as 12h, 30d or 4w"), "{message}");
    refused(site.moby(&["cache", "rm"]), 2);
}

#[test]
fn shared_cache_is_read_and_never_written() {
    let site = Site::new();
    site.write("one.yml", "init:\n  - \"@pkg:init\"\n");
    good(site.build(&["--arch", "amd64", "-o", "out.tar", "one.yml"]));
    let expected = fs::read(site.path("out.tar")).unwrap();
    fs::rename(site.path("cache"), site.path("shared")).unwrap();
    let hash = |directory: &str| {
        let mut all = Vec::new();
        let mut open = vec![site.path(directory)];
        while let Some(directory) = open.pop() {
            for entry in fs::read_dir(directory).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    open.push(path);
                } else {
                    let time = fs::metadata(&path).unwrap().modified().unwrap();
                    all.push((fs::read(&path).unwrap(), time, path));
                }
            }
        }
        all.sort();
        all
    };
    let before = hash("shared");
    let build = |arguments: &[&str]| {
        let all = [&["--arch", "amd64", "-o", "out.tar", "one.yml"], arguments].concat();
        good(site.build(&all));
        assert!(fs::read(site.path("out.tar")).unwrap() == expected);
    };
    build(&["--cache-from", "shared", "-j", "4"]);
    assert!(hash("shared") == before);
    // Nothing was built or decompressed again: the own cache has the record of the build alone.
    let records_only = || files(&site.path("cache")) == ["moby"] && files(&site.path("cache/moby")) == ["builds"];
    assert!(records_only(), "{:?}", files(&site.path("cache/moby")));
    let mut command = site.command(&[
        "-q",
        "build",
        "--rebuild",
        "--arch",
        "amd64",
        "-o",
        "out.tar",
        "one.yml",
    ]);
    good(command.env("MOBY_CACHE_FROM", site.path("shared")).output().unwrap());
    assert!(records_only());
    // A corrupt layer there is decompressed into the own cache.
    let layer = site.path("shared/moby/layers/sha256");
    let layer = layer.join(&files(&layer)[0]);
    fs::write(&layer, "corrupt").unwrap();
    build(&["--cache-from", "shared", "-j", "4"]);
    assert_eq!(files(&site.path("cache/moby/layers/sha256")).len(), 1);
    assert_eq!(fs::read(&layer).unwrap(), b"corrupt");
    let message = refused(site.build(&["--cache-from", "nowhere", "-o", "out.tar", "one.yml"]), 1);
    assert!(message.contains("nowhere"), "{message}");
}

#[test]
fn everything_in_the_cache_is_verified() {
    let site = Site::new();
    site.write(
        "one.yml",
        "kernel:\n  image: \"@pkg:kernel\"\n  cmdline: a\n  tar: none\ninit:\n  - \"@pkg:init\"\n",
    );
    // Formats that mount a root filesystem need to know the drivers of the kernel; the build fails later.
    let _ = site.build(&["--arch", "amd64", "-f", "kernel+squashfs", "--dir", "out", "one.yml"]);
    let said = |output: std::process::Output| String::from_utf8_lossy(&output.stderr).into_owned();
    let output = site.moby(&["cache", "verify"]);
    assert!(output.status.success(), "{}", said(output));
    let message = said(output);
    assert!(message.contains("kernel driver lists: 1 intact"), "{message}");
    let kernels = site.path("cache/moby/kernels");
    let path = kernels.join(&files(&kernels)[0]);
    let text = fs::read_to_string(&path).unwrap();
    for damaged in [text.replace("false", "true "), text[..text.len() / 2].to_owned()] {
        fs::write(&path, damaged).unwrap();
        let message = refused(site.moby(&["cache", "verify"]), 1);
        assert!(
            message.contains("moby/kernels/") && message.contains("help: run `moby cache clean`"),
            "{message}"
        );
    }
    good(site.moby(&["-q", "cache", "clean"]));
    good(site.moby(&["-q", "cache", "verify"]));
    // A blob that no image needs.
    fs::write(site.path("cache/blobs/sha256").join("0".repeat(64)), "stray").unwrap();
    let message = refused(site.moby(&["cache", "verify"]), 1);
    assert!(message.contains(&"0".repeat(64)), "{message}");
    good(site.moby(&["-q", "cache", "clean"]));
    good(site.moby(&["-q", "cache", "verify"]));
}
