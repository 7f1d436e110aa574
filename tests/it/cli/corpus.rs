//! Hostile inputs that are kept in `testdata/hostile`, and larger ones that are generated: each is refused
//! with a message, or used, soon and with little memory.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::common::layout::{GZIP, Layer, Layout, Member, digest, tar};
use crate::common::site::{Site, files};

/// Longest time that a case may take on a busy host.
const PATIENCE: Duration = Duration::from_secs(30);

fn corpus() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/hostile")
}

/// Runs moby in a site with 700 MB of address space.
fn moby(site: &Site, arguments: &[&str]) -> Output {
    let start = Instant::now();
    let output = Command::new("sh")
        .args(["-c", "ulimit -v 700000; exec \"$0\" \"$@\"", env!("CARGO_BIN_EXE_moby")])
        .args(arguments)
        .current_dir(site.0.path())
        .env("MOBY_OFFLINE", "1")
        .env("MOBY_CACHE", site.path("cache"))
        .output()
        .unwrap();
    assert!(start.elapsed() < PATIENCE, "{arguments:?} took {:?}", start.elapsed());
    output
}

/// Checks that a command ended with a message, or succeeded where none is expected.
fn judge(what: &str, output: &Output, expected: Option<&str>, status: i32) {
    let message = String::from_utf8_lossy(&output.stderr);
    match expected {
        None => assert!(output.status.success(), "{what}: {message}"),
        Some(expected) => {
            assert_eq!(output.status.code(), Some(status), "{what}: {message}");
            assert!(message.contains(expected), "{what}: {expected:?} is not in {message}");
            assert!(message.len() < 20_000, "{what}: a message of {} bytes", message.len());
            assert!(!message.contains('\x1b'), "{what}: {message:?}");
        }
    }
}

#[test]
fn yaml_files_are_judged() {
    let site = Site::new();
    let names = files(&corpus().join("yaml"));
    assert!(names.len() > 20, "{names:?}");
    for name in names {
        let text = fs::read(corpus().join("yaml").join(&name)).unwrap();
        let first = String::from_utf8_lossy(text.split(|&byte| byte == b'\n').next().unwrap()).into_owned();
        let expected = match first.strip_prefix("# error: ") {
            Some(expected) => Some(expected),
            None => {
                assert_eq!(first, "# ok", "{name}");
                None
            }
        };
        fs::write(site.path(&name), &text).unwrap();
        judge(&name, &moby(&site, &["check", &name]), expected, 2);
    }
}

#[test]
fn generated_yaml_is_judged() {
    let site = Site::new();
    let list = |open: &str, count: usize| format!("init: {}{}\n", open.repeat(count), "]".repeat(count));
    let merged = (0..9).fold("files:\n  - &a0 {path: a}\n".to_owned(), |text, at| {
        text + &format!("  - &a{} {{<<: [*a{at}, *a{at}]}}\n", at + 1)
    });
    for (what, yaml, expected) in [
        ("deep lists", list("[", 200_000), "nested more than 64 deep"),
        (
            "comments",
            format!("{}init: [a, 5]\n", "#\n".repeat(500_000)),
            "`init[1]` must be a string",
        ),
        (
            "comments in a list",
            format!("init:\n{}  - 5\n", "  #\n".repeat(100_000)),
            "`init[0]` must be a string",
        ),
        (
            "many values",
            format!("init:\n{}", "- a\n".repeat(300_000)),
            "more than 200000 values",
        ),
        (
            "many mistakes",
            format!("init:\n{}", "- 5\n".repeat(100_000)),
            "more errors after this one",
        ),
        (
            "many unknown fields",
            (0..50_000).fold(String::new(), |text, at| text + &format!("k{at}: 1\n")),
            "unknown field `k0`",
        ),
        ("long key", format!("{}: a\n", "k".repeat(1 << 20)), "error: "),
        (
            "long line",
            format!("init: [\"{}\", 5]\n", "x".repeat(1 << 20)),
            "`init[1]` must be a string",
        ),
        ("merge keys", merged, "error: "),
    ] {
        site.write("a.yml", &yaml);
        judge(what, &moby(&site, &["check", "a.yml"]), Some(expected), 2);
    }
}

/// Arguments of a build of the image `evil`.
const BUILD: [&str; 14] = [
    "-q",
    "build",
    "--rebuild",
    "--offline",
    "--layout",
    "layout",
    "--arch",
    "amd64",
    "-f",
    "tar",
    "--dir",
    "out",
    "--no-sbom",
    "evil.yml",
];

/// A site with an image `evil` in `layout`, and a YAML that uses it as init and in a container.
fn site(describe: impl FnOnce(&mut Layout) -> Value) -> Site {
    let site = Site::new();
    let mut layout = Layout::new(&site.path("layout"));
    let image = describe(&mut layout);
    layout.name("docker.io/library/evil", image);
    site.write("evil.yml", "init: [evil]\nonboot: [{name: c, image: evil}]\n");
    site
}

/// Merges the fields of an object into another, deeply.
fn merge(into: &mut Value, from: &Value) {
    match (into, from) {
        (Value::Object(into), Value::Object(from)) => {
            for (key, value) in from {
                merge(into.entry(key.clone()).or_insert(Value::Null), value);
            }
        }
        (into, from) => *into = from.clone(),
    }
}

#[test]
fn image_configurations_are_judged() {
    let cases: Vec<Value> = serde_json::from_slice(&fs::read(corpus().join("images.json")).unwrap()).unwrap();
    assert!(cases.len() > 10);
    for case in cases {
        let layer = Layer::plain(&tar(&[(b'0', "a", "", b"x")]));
        let mut config = json!({
            "architecture": "amd64", "os": "linux", "config": {"Entrypoint": ["/a"]},
            "rootfs": {"type": "layers", "diff_ids": [layer.diff_id]},
        });
        merge(&mut config, &case["image"]);
        let site = site(|layout| {
            let config = layout.blob(
                config.to_string().as_bytes(),
                "application/vnd.oci.image.config.v1+json",
            );
            let layer = layout.blob(&layer.stored, layer.media_type);
            let manifest = json!({"schemaVersion": 2, "config": config, "layers": [layer]});
            layout.blob(
                manifest.to_string().as_bytes(),
                "application/vnd.oci.image.manifest.v1+json",
            )
        });
        let output = moby(&site, &BUILD);
        judge(&case.to_string(), &output, case["error"].as_str(), 1);
        assert_eq!(site.path("out/evil.tar").exists(), case["error"].is_null(), "{case}");
    }
}

#[test]
fn long_values_are_cut_in_messages() {
    let site = site(|layout| {
        let config = format!(
            r#"{{"architecture":"amd64","os":"linux","config":"{}"}}"#,
            "x".repeat(1 << 20)
        );
        let config = layout.blob(config.as_bytes(), "application/vnd.oci.image.config.v1+json");
        let manifest = json!({"schemaVersion": 2, "config": config, "layers": []});
        layout.blob(
            manifest.to_string().as_bytes(),
            "application/vnd.oci.image.manifest.v1+json",
        )
    });
    judge(
        "a long field",
        &moby(&site, &BUILD),
        Some("is not an image configuration"),
        1,
    );
    let format = "x".repeat(100_000);
    let output = moby(&site, &["build", "--rebuild", "-f", &format, "evil.yml"]);
    judge("a long format", &output, Some("unknown format"), 2);
}

#[test]
fn a_manifest_of_terabytes_is_not_read() {
    let site = site(|layout| {
        let mut image = layout.manifest("amd64", &[]);
        image["size"] = json!(1u64 << 40);
        image
    });
    let blobs = site.path("layout/blobs/sha256");
    for name in files(&blobs) {
        let file = fs::File::options().write(true).open(blobs.join(name)).unwrap();
        file.set_len(1 << 40).unwrap();
    }
    judge("a manifest", &moby(&site, &BUILD), Some("at most 16 MiB are read"), 1);
    let output = moby(&site, &["cache", "import", "layout"]);
    judge("import", &output, Some("at most 16 MiB are read"), 1);
}

#[test]
fn names_of_images_cannot_control_the_terminal() {
    let site = Site::new();
    let mut layout = Layout::new(&site.path("layout"));
    let image = layout.manifest("amd64", &[]);
    layout.name("\u{1b}[2Jevil", image);
    for arguments in [["cache", "import", "layout"].as_slice(), &["cache", "ls"]] {
        let output = moby(&site, arguments);
        assert!(output.status.success());
        let text = [output.stdout, output.stderr].concat();
        assert!(!text.contains(&0x1b), "{}", String::from_utf8_lossy(&text));
    }
}

#[test]
fn indexes_without_an_image_say_what_they_have() {
    for (expected, describe) in [
        (
            "it is empty",
            (|layout: &mut Layout| layout.index(&[])) as fn(&mut Layout) -> Value,
        ),
        ("it lists attestations only", |layout| {
            let image = layout.manifest("amd64", &[]);
            let attestation = layout.attestation(&image, &json!({}));
            layout.index(&[attestation])
        }),
        ("none of its 1 entries has a platform", |layout| {
            let mut image = layout.manifest("amd64", &[]);
            image.as_object_mut().unwrap().remove("platform");
            layout.index(&[image])
        }),
        ("nested more than 4 deep", |layout| {
            let image = layout.manifest("amd64", &[]);
            (0..6).fold(image, |below, _| layout.index(&[below]))
        }),
    ] {
        let output = moby(&site(describe), &BUILD);
        judge(expected, &output, Some(expected), 1);
        let message = String::from_utf8_lossy(&output.stderr);
        assert!(!message.contains("--arch"), "{message}");
    }
}

#[test]
fn cut_and_mixed_layers_are_refused() {
    let members: [Member; 2] = [(b'0', "a", "", &[1; 512]), (b'0', "b", "", b"x")];
    let original = tar(&members);
    let mut zstd = Layer::zstd(&original).stored;
    zstd.extend_from_slice(b"garbage behind it");
    for (what, stored, media_type, diff_id, expected) in [
        (
            "within a header",
            original[..1024 + 100].to_vec(),
            GZIP,
            digest(&original[..1024 + 100]),
            "the archive ends within it",
        ),
        (
            "within a file",
            original[..700].to_vec(),
            GZIP,
            digest(&original[..700]),
            "a",
        ),
        (
            "zstd and more",
            zstd,
            GZIP,
            digest(&original),
            "other bytes follow the last frame",
        ),
    ] {
        let site = site(|layout| {
            layout.manifest(
                "amd64",
                &[Layer {
                    stored,
                    media_type,
                    diff_id,
                }],
            )
        });
        let output = moby(&site, &BUILD);
        judge(what, &output, Some(expected), 1);
        assert!(!site.path("out/evil.tar").exists(), "{what}");
    }
}

#[test]
fn text_of_an_image_cannot_look_like_a_message() {
    let site = site(|layout| {
        let mut image = layout.manifest("amd64", &[]);
        image["platform"] = json!({"os": "linux\n\nerror: forged", "architecture": "amd64"});
        layout.index(&[image])
    });
    let output = moby(&site, &BUILD);
    judge("a platform", &output, Some("is not available for linux/amd64"), 1);
    let message = String::from_utf8_lossy(&output.stderr);
    assert!(
        !message.lines().any(|line| line.starts_with("error: forged")),
        "{message}"
    );
}

/// Arguments of a build of the image `evil` with an SBOM in the root filesystem.
fn build_with_sbom() -> Vec<&'static str> {
    BUILD.into_iter().filter(|argument| *argument != "--no-sbom").collect()
}

#[test]
fn package_databases_are_limited() {
    for (count, expected) in [
        (20_000, None),
        (20_001, Some("database of more than 32 MiB or 20000 packages")),
    ] {
        let status: String = (0..count)
            .map(|at| format!("Package: p{at}\nStatus: install ok installed\nVersion: 1\n\n"))
            .collect();
        let layer = || Layer::plain(&tar(&[(b'0', "var/lib/dpkg/status", "", status.as_bytes())]));
        let site = site(|layout| layout.manifest("amd64", &[layer()]));
        let output = moby(&site, &build_with_sbom());
        judge("dpkg", &output, expected, 1);
        if expected.is_some() {
            judge("help", &output, Some("help: build with --no-sbom"), 1);
            judge("without SBOM", &moby(&site, &BUILD), None, 0);
            // A command that only shows packages names what it has not read.
            let output = moby(&site, &["inspect", "--sbom", "out/evil.tar"]);
            judge("inspect", &output, None, 0);
            let document = String::from_utf8_lossy(&output.stdout).into_owned();
            assert!(document.contains("database of more than 32 MiB"), "{document}");
        }
    }
}

#[test]
fn documents_of_images_are_limited() {
    let packages = |len: usize| -> Vec<Value> {
        (0..len)
            .map(|at| json!({"name": format!("package-{at:09}-{}", "x".repeat(75))}))
            .collect()
    };
    for (documents, expected) in [
        (1, None),
        (2, Some("the SBOMs of docker.io/library/evil have more than 16 MiB")),
    ] {
        let site = site(|layout| {
            let image = layout.manifest("amd64", &[]);
            let mut listed = vec![image.clone()];
            for number in 0..documents {
                let document = json!({"spdxVersion": "SPDX-2.3", "comment": number, "packages": packages(100_000)});
                listed.push(layout.attestation(&image, &document));
            }
            layout.index(&listed)
        });
        judge("attestations", &moby(&site, &build_with_sbom()), expected, 1);
    }
}

/// A site whose cache has the image `evil`, and a decompressed layer.
fn cached() -> Site {
    let site = site(|layout| layout.manifest("amd64", &[Layer::gzip(&tar(&[(b'0', "a", "", &[7; 5000])]))]));
    judge("import", &moby(&site, &["cache", "import", "layout"]), None, 0);
    judge("build", &moby(&site, &BUILD), None, 0);
    site
}

/// Paths of the blobs and of the cached layer.
fn cached_files(site: &Site) -> Vec<PathBuf> {
    let directories = ["cache/blobs/sha256", "cache/moby/layers/sha256"].map(|name| site.path(name));
    let paths = directories.iter().flat_map(|directory| {
        let names = files(directory).into_iter();
        names.map(|name| directory.join(name))
    });
    paths.collect()
}

#[cfg(unix)]
#[test]
fn only_files_of_the_cache_are_removed_and_written() {
    use std::os::unix::fs::symlink;
    let commands = [
        ["cache", "clean"].as_slice(),
        &["cache", "import", "layout"],
        &["cache", "rm", "evil"],
        &["cache", "clean", "--keep-size", "1"],
    ];
    // Directories of the cache that lead to the files of somebody else.
    for name in [
        "moby/used",
        "moby/layers/sha256",
        "blobs/sha256",
        "moby/kernels",
        "moby/downloads",
    ] {
        let site = cached();
        for other in ["precious", ".hidden", "config.json", "sha256-0"] {
            site.write(&format!("home/{other}"), other);
        }
        let directory = site.path("cache").join(name);
        fs::remove_dir_all(&directory).ok();
        symlink(site.path("home"), &directory).unwrap();
        for command in commands {
            moby(&site, command);
        }
        for other in ["precious", ".hidden", "config.json", "sha256-0"] {
            assert_eq!(
                fs::read_to_string(site.path("home").join(other)).unwrap(),
                other,
                "{name}"
            );
        }
    }
    // Files of the cache that lead to a file of somebody else.
    let site = cached();
    site.write("precious", "precious");
    for file in cached_files(&site) {
        fs::remove_file(&file).unwrap();
        symlink(site.path("precious"), &file).unwrap();
    }
    for used in files(&site.path("cache/moby/used")) {
        let used = site.path("cache/moby/used").join(used);
        fs::remove_file(&used).unwrap();
        symlink(site.path("precious"), &used).unwrap();
    }
    judge("import", &moby(&site, &["cache", "import", "layout"]), None, 0);
    judge("clean", &moby(&site, &["cache", "clean"]), None, 0);
    judge("build", &moby(&site, &BUILD), None, 0);
    judge("verify", &moby(&site, &["cache", "verify"]), None, 0);
    assert_eq!(fs::read_to_string(site.path("precious")).unwrap(), "precious");
}

#[cfg(unix)]
#[test]
fn what_is_not_a_file_in_the_cache_is_replaced() {
    for kind in ["directory", "pipe", "link to nothing", "link to itself"] {
        let site = cached();
        for file in cached_files(&site) {
            fs::remove_file(&file).unwrap();
            match kind {
                "directory" => {
                    fs::create_dir(&file).unwrap();
                    fs::write(file.join("file"), "").unwrap();
                }
                "pipe" => assert!(Command::new("mkfifo").arg(&file).status().unwrap().success()),
                "link to nothing" => std::os::unix::fs::symlink("/nonexistent/file", &file).unwrap(),
                _ => std::os::unix::fs::symlink(&file, &file).unwrap(),
            }
        }
        judge(kind, &moby(&site, &["cache", "verify"]), Some("error: "), 1);
        judge(kind, &moby(&site, &["cache", "clean"]), None, 0);
        judge(kind, &moby(&site, &["cache", "import", "layout"]), None, 0);
        judge(kind, &moby(&site, &["cache", "verify"]), None, 0);
        judge(kind, &moby(&site, &BUILD), None, 0);
    }
}

#[test]
fn many_names_are_imported_at_once() {
    let site = Site::new();
    let mut layout = Layout::new(&site.path("layout"));
    let image = layout.manifest("amd64", &[]);
    let named = |at: usize| {
        let mut image = image.clone();
        image["annotations"] = json!({"org.opencontainers.image.ref.name": format!("docker.io/library/evil:{at}")});
        image
    };
    let index = json!({"schemaVersion": 2, "manifests": (0..20_000).map(named).collect::<Vec<_>>()});
    layout.name("docker.io/library/evil:0", image.clone());
    site.write("layout/index.json", &index.to_string());
    judge("import", &moby(&site, &["-q", "cache", "import", "layout"]), None, 0);
    let names = moby(&site, &["cache", "ls", "--names"]);
    judge("ls", &names, None, 0);
    assert_eq!(String::from_utf8_lossy(&names.stdout).lines().count(), 20_000);
}

#[test]
fn names_of_extended_attributes_are_checked() {
    let record = |name: &str| {
        let rest = format!(" SCHILY.xattr.{name}=value\n");
        // The length counts its own digits.
        let len = (rest.len()..)
            .find(|len| len.to_string().len() + rest.len() == *len)
            .unwrap();
        format!("{len}{rest}")
    };
    let longest = format!("user.{}", "x".repeat(250));
    for (name, is_valid) in [
        (longest.as_str(), true),
        (&format!("{longest}x"), false),
        ("", false),
        ("user.a\0b", false),
    ] {
        let archive = tar(&[(b'x', "pax", "", record(name).as_bytes()), (b'0', "a", "", b"x")]);
        let site = site(|layout| layout.manifest("amd64", &[Layer::plain(&archive)]));
        let expected = (!is_valid).then_some("does not accept the name of an extended attribute");
        judge(name, &moby(&site, &BUILD), expected, 1);
    }
}

#[test]
fn corrupt_cached_layers_are_found_and_removed() {
    let site = site(|layout| layout.manifest("amd64", &[Layer::gzip(&tar(&[(b'0', "a", "", &[7; 5000])]))]));
    judge("import", &moby(&site, &["cache", "import", "layout"]), None, 0);
    judge("build", &moby(&site, &BUILD), None, 0);
    judge("verify", &moby(&site, &["cache", "verify"]), None, 0);
    let layers = site.path("cache/moby/layers/sha256");
    let layer = layers.join(&files(&layers)[0]);
    let mut bytes = fs::read(&layer).unwrap();
    bytes[600] ^= 1;
    fs::write(&layer, bytes).unwrap();
    let output = moby(&site, &["cache", "verify"]);
    judge("verify", &output, Some("the cached layer"), 1);
    judge("verify", &output, Some("help: run `moby cache clean`"), 1);
    judge("clean", &moby(&site, &["cache", "clean"]), None, 0);
    assert!(!layer.exists());
    judge("verify", &moby(&site, &["cache", "verify"]), None, 0);
    judge("build", &moby(&site, &BUILD), None, 0);
}
