//! Lock files: made, honoured, demanded, refreshed.

use std::fs;

use crate::common::layout::{Layer, Layout, tar};
use crate::common::site::{Site, good, refused};
use serde_json::{Value, json};

const YAML: &str = "init:\n  - example.org/one\nfiles:\n  - path: etc/a\n    contents: a\n";

/// A layout with an image of one file, `a`, under a name for two architectures.
fn layout(site: &Site, directory: &str, name: &str, content: &str) -> Value {
    let mut layout = Layout::new(&site.path(directory));
    let manifests = ["amd64", "arm64"].map(|arch| {
        let content = format!("{content} for {arch}");
        layout.manifest(arch, &[Layer::gzip(&tar(&[(b'0', "a", "", content.as_bytes())]))])
    });
    let index = layout.index(&manifests);
    layout.name(name, index.clone());
    index
}

/// A site whose cache has an image, and a YAML that names it.
fn site() -> Site {
    let site = Site::new();
    layout(&site, "old", "example.org/one", "old");
    good(site.moby(&["-q", "cache", "import", "old"]));
    site.write("one.yml", YAML);
    site
}

fn lock(site: &Site, arguments: &[&str]) -> String {
    let out = site.moby(&[&["lock", "one.yml"], arguments].concat());
    let said = String::from_utf8_lossy(&out.stderr).into_owned();
    good(out);
    said
}

fn read(site: &Site) -> (String, Value) {
    let text = fs::read_to_string(site.path("one.lock")).unwrap();
    let value = serde_json::from_str(&text).unwrap();
    (text, value)
}

/// The content of `a` in the tar that a build writes.
fn built(site: &Site, arguments: &[&str]) -> String {
    let all = [&["--arch", "amd64", "-o", "out.tar", "one.yml"], arguments].concat();
    good(site.build(&all));
    String::from_utf8(site.run("tar", &["-xOf", "out.tar", "a"])).unwrap()
}

#[test]
fn lock_has_one_item_a_line_and_every_architecture() {
    let site = site();
    let said = lock(&site, &[]);
    assert!(said.contains("wrote one.lock"), "{said}");
    let (text, value) = read(&site);
    let index: Value = serde_json::from_slice(&fs::read(site.path("old/index.json")).unwrap()).unwrap();
    let digest = &index["manifests"][0]["digest"];
    assert_eq!(value["version"], 1);
    assert_eq!(value["images"][0]["digest"], *digest);
    assert_eq!(value["images"][0]["reference"], "example.org/one");
    let platforms = value["platforms"].as_array().unwrap();
    let names: Vec<&str> = platforms
        .iter()
        .map(|item| item["platform"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["linux/amd64", "linux/arm64"]);
    for item in platforms {
        assert!(item["config"].as_str().unwrap().starts_with("sha256:"), "{item}");
        assert!(text.contains(&format!("    {item}")), "{text}");
    }
    // No path of this machine, and the same text elsewhere.
    assert!(!text.contains(site.0.path().to_str().unwrap()), "{text}");
    let other = Site::new();
    layout(&other, "old", "example.org/one", "old");
    other.write("one.yml", YAML);
    good(other.moby(&["lock", "one.yml", "--layout", "old"]));
    assert_eq!(fs::read_to_string(other.path("one.lock")).unwrap(), text);
    assert!(lock(&site, &[]).contains("one.lock is up to date"));
}

#[test]
fn moved_tag_does_not_change_a_locked_build() {
    let site = site();
    lock(&site, &[]);
    let (before, value) = read(&site);
    layout(&site, "new", "example.org/one", "new");
    let (old, new) = ("old for amd64", "new for amd64");
    // A layout comes before the cache: without a lock its image is taken.
    let layout = ["--layout", "new"];
    assert_eq!(built(&site, &layout), old);
    assert_eq!(built(&site, &["--layout", "new", "--locked"]), old);
    fs::rename(site.path("one.lock"), site.path("kept")).unwrap();
    assert_eq!(built(&site, &layout), new);
    fs::rename(site.path("kept"), site.path("one.lock")).unwrap();
    // The lock stays until it is updated.
    lock(&site, &layout);
    assert_eq!(read(&site).0, before);
    let said = lock(&site, &["--layout", "new", "--update"]);
    let digests = [&value, &read(&site).1].map(|lock| lock["images"][0]["digest"].as_str().unwrap().to_owned());
    let moved = format!("example.org/one moved from {} to {}", digests[0], digests[1]);
    assert!(said.contains(&moved), "{said}");
    assert_eq!(built(&site, &layout), new);
    // The image of the lock is not in the cache.
    let message = refused(site.build(&["-o", "out.tar", "--arch", "amd64", "one.yml"]), 1);
    assert!(
        message.contains(&digests[1]) && message.contains("one.yml:2:5"),
        "{message}"
    );
    // A single image, by name.
    let message = refused(site.moby(&["lock", "one.yml", "--update=example.org/two"]), 1);
    assert!(message.contains("did you mean `example.org/one`?"), "{message}");
    lock(&site, &["--update=example.org/one:latest"]);
    assert_eq!(read(&site).0, before);
}

#[test]
fn platform_stays_although_another_one_was_added() {
    let site = site();
    lock(&site, &[]);
    // The same image for amd64 in an index with another one for arm64.
    let mut other = Layout::new(&site.path("other"));
    let manifests = [("amd64", "old for amd64"), ("arm64", "new for arm64")]
        .map(|(arch, content)| other.manifest(arch, &[Layer::gzip(&tar(&[(b'0', "a", "", content.as_bytes())]))]));
    let index = other.index(&manifests);
    other.name("example.org/one", index);
    fs::remove_dir_all(site.path("cache")).unwrap();
    assert_eq!(built(&site, &["--layout", "other", "--locked"]), "old for amd64");
    let build = ["--arch", "arm64", "-o", "out.tar", "--layout", "other", "one.yml"];
    let message = refused(site.build(&build), 1);
    assert!(message.contains("no image example.org/one@sha256:"), "{message}");
}

#[test]
fn forged_name_is_not_taken_for_a_digest() {
    let site = site();
    lock(&site, &[]);
    let digest = read(&site).1["images"][0]["digest"].as_str().unwrap().to_owned();
    layout(&site, "forged", &format!("example.org/one@{digest}"), "forged");
    assert_eq!(built(&site, &["--layout", "forged"]), "old for amd64");
}

#[test]
fn locked_build_names_what_differs() {
    let site = site();
    let locked = ["-o", "out.tar", "--arch", "amd64", "--locked", "one.yml"];
    let message = refused(site.build(&locked), 1);
    assert!(
        message.contains("one.lock does not exist") && message.contains("help: run `moby lock one.yml`"),
        "{message}"
    );
    lock(&site, &[]);
    good(site.build(&locked));
    let stale = |yaml: &str| {
        site.write("one.yml", yaml);
        refused(site.build(&locked), 1)
    };
    let message = stale(&YAML.replace("contents: a", "contents: b"));
    assert!(
        message.contains("the configuration has changed since one.lock was written"),
        "{message}"
    );
    let message = stale(&YAML.replace("/one", "/on2"));
    assert!(message.contains("example.org/on2 is not in one.lock"), "{message}");
    assert!(message.contains("one.yml:2:5"), "{message}");
    assert!(
        message.contains("one.lock locks example.org/one, which the YAML does not use"),
        "{message}"
    );
    // Without --locked they are notes.
    let second = "init:\n  - example.org/one\n  - \"@pkg:init\"\n";
    let message = stale(second);
    assert!(message.contains("@pkg:init is not in one.lock"), "{message}");
    let out = site.moby(&["build", "--rebuild", "--arch", "amd64", "-o", "out.tar", "one.yml"]);
    let said = String::from_utf8_lossy(&out.stderr).into_owned();
    good(out);
    assert!(said.contains("note: @pkg:init is not in one.lock"), "{said}");
    // Sources that change.
    lock(&site, &[]);
    good(site.build(&locked));
    site.write("init/noise", "other");
    let message = stale(second);
    assert!(
        message.contains("@pkg:init has changed since one.lock was written"),
        "{message}"
    );
    let mut command = site.command(&["build", "--rebuild", "--locked", "-o", "out.tar", "-"]);
    let yaml = fs::File::open(site.path("one.yml")).unwrap();
    let message = refused(command.stdin(yaml).output().unwrap(), 1);
    assert!(message.contains("cannot use --locked with standard input"), "{message}");
}

#[test]
fn damaged_lock_is_refused() {
    let site = site();
    lock(&site, &[]);
    let (text, _) = read(&site);
    for (from, to, expected) in [
        ("\"version\": 1", "\"version\": 7", "version 7"),
        (
            "\"images\"",
            "\"image\"",
            "one.lock is not a lock file: unknown field `image`",
        ),
        ("{\n", "<<<<<<<\n{\n", "one.lock is not a lock file: "),
    ] {
        fs::write(site.path("one.lock"), text.replacen(from, to, 1)).unwrap();
        for arguments in [
            &["build", "--rebuild", "-o", "out.tar", "one.yml"][..],
            &["lock", "one.yml"],
        ] {
            let message = refused(site.moby(arguments), 1);
            assert!(message.contains(expected) && message.contains("help: "), "{message}");
        }
    }
}

/// Writes a Debian package with one file, `usr/bin/tool`.
fn deb(site: &Site, directory: &str, version: &str) {
    let control = format!("Package: tool\nVersion: {version}\nArchitecture: amd64\n");
    let mut bytes = b"!<arch>\n".to_vec();
    for (name, content) in [
        ("debian-binary", b"2.0\n".to_vec()),
        ("control.tar", tar(&[(b'0', "./control", "", control.as_bytes())])),
        ("data.tar", tar(&[(b'0', "./usr/bin/tool", "", version.as_bytes())])),
    ] {
        bytes.extend(format!("{name:<16}{:<12}{:<6}{:<6}{:<8}{:<10}`\n", 0, 0, 0, 644, content.len()).bytes());
        bytes.extend(&content);
        bytes.resize(bytes.len().next_multiple_of(2), b'\n');
    }
    let path = site.path(directory);
    fs::create_dir_all(&path).unwrap();
    fs::write(path.join(format!("tool_{version}_amd64.deb")), bytes).unwrap();
}

#[test]
fn packages_are_built_of_the_locked_debian_versions() {
    let site = Site::new();
    site.package("tool", "  - debian: [tool]\n");
    site.write("one.yml", "init:\n  - \"@pkg:tool\"\n");
    deb(&site, "debs", "1.0");
    let lock = |arguments: &[&str]| {
        let all = [&["lock", "one.yml", "--arch", "amd64", "--debs", "debs"], arguments].concat();
        let out = site.moby(&all);
        let said = String::from_utf8_lossy(&out.stderr).into_owned();
        good(out);
        said
    };
    let version = |arguments: &[&str]| {
        let all = [
            &["--arch", "amd64", "-o", "out.tar", "--debs", "debs", "one.yml"],
            arguments,
        ]
        .concat();
        good(site.build(&all));
        String::from_utf8(site.run("tar", &["-xOf", "out.tar", "usr/bin/tool"])).unwrap()
    };
    lock(&[]);
    let (_, value) = read(&site);
    assert_eq!(value["debian"][0]["name"], "tool");
    assert_eq!(value["debian"][0]["version"], "1.0");
    assert_eq!(value["packages"][0]["name"], "@pkg:tool");
    // A newer version arrives before the package is built.
    deb(&site, "debs", "2.0");
    assert_eq!(version(&["--locked"]), "1.0");
    // The image that another build made of the newer one is not taken.
    fs::rename(site.path("one.lock"), site.path("kept")).unwrap();
    fs::remove_dir_all(site.path("cache")).unwrap();
    assert_eq!(version(&[]), "2.0");
    fs::rename(site.path("kept"), site.path("one.lock")).unwrap();
    assert_eq!(version(&["--locked"]), "1.0");
    let said = lock(&["--update=@pkg:tool"]);
    assert!(said.contains("tool for amd64 moved from 1.0 to 2.0"), "{said}");
    assert_eq!(version(&["--locked"]), "2.0");
    // The locked version is gone.
    fs::remove_file(site.path("debs/tool_2.0_amd64.deb")).unwrap();
    fs::remove_dir_all(site.path("cache")).unwrap();
    let message = refused(
        site.build(&["-o", "out.tar", "--debs", "debs", "--arch", "amd64", "one.yml"]),
        1,
    );
    assert!(
        message.contains("cannot find tool 2.0 for amd64, which the lock has, in debs"),
        "{message}"
    );
}

#[test]
fn docker_save_images_are_locked_by_their_configuration() {
    let site = Site::new();
    let save = |directory: &str, content: &str| {
        let tar = tar(&[(b'0', "a", "", content.as_bytes())]);
        let layer = Layer::plain(&tar);
        let config = json!({"architecture": "amd64", "os": "linux", "config": {}, "rootfs": {"type": "layers", "diff_ids": [layer.diff_id]}});
        fs::create_dir_all(site.path(directory)).unwrap();
        fs::write(site.path(directory).join("layer.tar"), &tar).unwrap();
        fs::write(site.path(directory).join("config.json"), config.to_string()).unwrap();
        let manifest =
            json!([{"Config": "config.json", "RepoTags": ["example.org/one:latest"], "Layers": ["layer.tar"]}]);
        fs::write(site.path(directory).join("manifest.json"), manifest.to_string()).unwrap();
    };
    save("old", "old");
    save("new", "new");
    site.write("one.yml", YAML);
    lock(&site, &["--layout", "old"]);
    assert_eq!(built(&site, &["--layout", "old", "--locked"]), "old");
    assert_eq!(built(&site, &["--layout", "new", "--layout", "old"]), "old");
    let message = refused(
        site.build(&["-o", "out.tar", "--arch", "amd64", "--layout", "new", "one.yml"]),
        1,
    );
    assert!(message.contains("no image example.org/one@sha256:"), "{message}");
}
