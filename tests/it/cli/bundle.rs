//! Bundles: created on one machine, used on another that has nothing else.

use std::fs;

use crate::common::layout::{Layer, Layout, digest, tar};
use crate::common::site::{Site, files, good, refused};
#[cfg(feature = "sign")]
use crate::common::trust;
use serde_json::{Value, json};

/// A build from the bundle alone.
const BUILD: [&str; 8] = [
    "build",
    "--arch",
    "amd64",
    "-f",
    "tar",
    "--layout",
    "site.tar",
    "machine.yml",
];

/// A site whose YAML names packages, an image for two architectures, and a file.
fn site() -> Site {
    let site = Site::new();
    let mut layout = Layout::new(&site.path("images"));
    let manifests = ["amd64", "arm64"].map(|arch| {
        let content = format!("for {arch}");
        layout.manifest(arch, &[Layer::gzip(&tar(&[(b'0', "a", "", content.as_bytes())]))])
    });
    let index = layout.index(&manifests);
    let hex = index["digest"]
        .as_str()
        .unwrap()
        .trim_start_matches("sha256:")
        .to_owned();
    layout.name("example.org/app:v1", index);
    let signature = layout.manifest("amd64", &[Layer::plain(b"a signature")]);
    layout.name(&format!("example.org/app:sha256-{hex}.sig"), signature);
    good(site.moby(&["-q", "cache", "import", "images"]));
    site.write(
        "site/app.yml",
        "init:\n  - \"@pkg:../init\"\n  - example.org/app:v1\nfiles:\n  - path: etc/banner\n    source: etc/banner\n",
    );
    site.write("etc/banner", "hello\n");
    site
}

fn create(site: &Site, arguments: &[&str]) {
    let all = [
        &["-q", "bundle", "create", "site/app.yml", "--arch", "amd64"],
        arguments,
    ]
    .concat();
    good(site.moby(&all));
}

/// A machine beyond the air gap: the bundles, and nothing else.
fn beyond(site: &Site, bundles: &[&str]) -> Site {
    let other = Site(tempfile::tempdir().unwrap());
    for bundle in bundles {
        fs::copy(site.path(bundle), other.path(bundle)).unwrap();
    }
    other
}

fn build(site: &Site, arguments: &[&str]) -> Vec<u8> {
    let all = [&["--arch", "amd64", "-o", "out.tar", "site/app.yml"], arguments].concat();
    good(site.build(&all));
    fs::read(site.path("out.tar")).unwrap()
}

#[test]
fn build_from_a_bundle_needs_nothing_else() {
    let site = site();
    create(&site, &["-o", "site.tar"]);
    let expected = build(&site, &["--offline"]);
    let other = beyond(&site, &["site.tar"]);
    good(other.moby(&["bundle", "verify", "site.tar"]));
    assert!(build(&other, &["--offline", "--layout", "site.tar"]) == expected);
    assert!(build(&other, &["--offline", "--layout", "site.tar", "--locked"]) == expected);
    // Nothing was unpacked but decompressed layers.
    assert_eq!(files(&other.path("cache")), ["moby"]);
    // Unpacked files are found on disk, where they can be changed.
    other.run("tar", &["-xf", "site.tar", "files"]);
    for name in ["site", "etc"] {
        fs::rename(other.path("files").join(name), other.path(name)).unwrap();
    }
    assert!(build(&other, &["--layout", "site.tar"]) == expected);
    other.write("etc/banner", "changed\n");
    assert!(build(&other, &["--layout", "site.tar"]) != expected);
    // An import takes the images, and what refers to them.
    good(other.moby(&["-q", "cache", "import", "site.tar"]));
    let index = fs::read_to_string(other.path("cache/index.json")).unwrap();
    assert!(index.contains("example.org/app:sha256-"), "{index}");
    build(&other, &["--offline"]);
}

#[test]
fn bundles_have_the_same_bits_everywhere() {
    let (one, other) = (site(), site());
    create(&one, &["-o", "site.tar"]);
    good(other.moby(&["-q", "pkg", "build", "init", "kernel"]));
    create(&other, &["-o", "site.tar", "-j", "1"]);
    assert!(fs::read(one.path("site.tar")).unwrap() == fs::read(other.path("site.tar")).unwrap());
    // The lock that was there is the lock of the bundle.
    good(one.moby(&["-q", "lock", "site/app.yml"]));
    create(&one, &["-o", "locked.tar"]);
    let lock = one.run("tar", &["-xOf", "locked.tar", "files/site/app.lock"]);
    assert!(lock == fs::read(one.path("site/app.lock")).unwrap());
}

#[test]
fn platforms_are_those_that_were_chosen() {
    let site = site();
    let platforms = || {
        let listed = good(site.moby(&["bundle", "ls", "--json", "x.tar"]));
        let listed: Value = serde_json::from_slice(&listed).unwrap();
        let images = listed["images"].as_array().unwrap().clone();
        let app = images.iter().find(|image| image["name"] == "example.org/app:v1");
        app.unwrap()["platforms"].clone()
    };
    create(&site, &["-o", "x.tar"]);
    assert_eq!(platforms(), json!(["linux/amd64"]));
    create(&site, &["-o", "x.tar", "--arch", "arm64"]);
    assert_eq!(platforms(), json!(["linux/amd64", "linux/arm64"]));
    create(&site, &["-o", "x.tar", "--all-platforms"]);
    assert_eq!(platforms(), json!(["linux/amd64", "linux/arm64"]));
    let listed = String::from_utf8(good(site.moby(&["bundle", "ls", "x.tar"]))).unwrap();
    let lines: Vec<&str> = listed.lines().collect();
    assert!(
        lines[0].starts_with("IMAGE ") && lines[0].ends_with("PLATFORMS"),
        "{listed}"
    );
    let column = lines[0].find("DIGEST").unwrap();
    assert!(
        lines[1..]
            .iter()
            .take_while(|line| !line.is_empty())
            .all(|line| &line[column - 1..column] == " "),
        "{listed}"
    );
    assert!(
        listed.contains("site/app.yml ") && listed.contains("etc/banner "),
        "{listed}"
    );
}

#[test]
fn bundle_on_a_base_has_only_what_is_new() {
    let site = site();
    create(&site, &["-o", "old.tar"]);
    site.write("init/noise", "other");
    create(&site, &["-o", "new.tar", "--base", "old.tar"]);
    create(&site, &["-o", "all.tar"]);
    let expected = build(&site, &["--offline"]);
    let other = beyond(&site, &["old.tar", "new.tar"]);
    assert!(build(&other, &["--layout", "new.tar", "--layout", "old.tar"]) == expected);
    let blobs = |bundle: &str| {
        let listed = site.run("tar", &["-tf", bundle]);
        let listed = String::from_utf8(listed).unwrap();
        let blobs = listed
            .lines()
            .filter(|line| line.starts_with("blobs/sha256/") && !line.ends_with('/'));
        blobs.map(str::to_owned).collect::<Vec<_>>()
    };
    let (old, new, all) = (blobs("old.tar"), blobs("new.tar"), blobs("all.tar"));
    assert!(!new.is_empty() && new.iter().all(|blob| !old.contains(blob)), "{new:?}");
    assert!(all.iter().all(|blob| old.contains(blob) || new.contains(blob)));
    good(other.moby(&["bundle", "verify", "new.tar", "--layout", "old.tar"]));
    let message = refused(other.moby(&["bundle", "verify", "new.tar"]), 1);
    assert!(
        message.contains("is missing") && message.contains("help: pass the base bundle with --layout"),
        "{message}"
    );
    // The cache may have the base.
    good(other.moby(&["-q", "cache", "import", "old.tar"]));
    good(other.moby(&["-q", "cache", "import", "new.tar"]));
    good(other.moby(&["-q", "cache", "verify"]));
}

#[test]
fn damaged_bundle_is_refused_by_name() {
    let site = site();
    create(&site, &["-o", "site.tar"]);
    let whole = fs::read(site.path("site.tar")).unwrap();
    let find = |text: &[u8]| whole.windows(text.len()).position(|part| part == text).unwrap();
    let check = |at: usize, expected: &str| {
        let mut damaged = whole.clone();
        damaged[at] ^= 1;
        fs::write(site.path("site.tar"), damaged).unwrap();
        let message = refused(site.moby(&["bundle", "verify", "site.tar"]), 1);
        assert!(message.contains(expected), "{message}");
    };
    check(find(b"hello\n"), "files/etc/banner in site.tar is corrupt");
    check(find(b"a signature"), &digest(b"a signature")[7..]);
    check(find(b"init:\n  - \"@pkg"), "files/site/app.yml in site.tar is corrupt");
    // A build notices, too.
    let message = refused(
        beyond(&site, &["site.tar"]).build(&["--layout", "site.tar", "-o", "o", "site/app.yml"]),
        2,
    );
    assert!(
        message.contains("files/site/app.yml in site.tar is corrupt"),
        "{message}"
    );
    fs::write(site.path("site.tar"), &whole[..whole.len() / 2]).unwrap();
    refused(site.moby(&["bundle", "verify", "site.tar"]), 1);
    let message = refused(site.moby(&["bundle", "ls", "images"]), 1);
    assert!(
        message.contains("images is not a bundle: it has no bundle.json"),
        "{message}"
    );
}

#[test]
fn bundle_that_leads_outside_is_refused() {
    let site = site();
    create(&site, &["-o", "site.tar"]);
    site.write("secret", "secret\n");
    fs::create_dir(site.path("unpacked")).unwrap();
    site.run("tar", &["-xf", "site.tar", "-C", "unpacked"]);
    let path = site.path("unpacked/bundle.json");
    let text = fs::read_to_string(&path).unwrap();
    good(site.moby(&["-q", "bundle", "verify", "unpacked"]));
    fs::write(&path, text.replace("files/etc/banner", "../secret")).unwrap();
    let message = refused(site.moby(&["bundle", "verify", "unpacked"]), 1);
    assert!(
        message.contains("\"../secret\", which is outside of the archive"),
        "{message}"
    );
}

#[test]
fn missing_parts_are_errors_before_anything_is_written() {
    let site = site();
    site.write(
        "site/app.yml",
        "init:\n  - example.org/other\nfiles:\n  - path: a\n    source: nowhere\n",
    );
    let message = refused(site.moby(&["bundle", "create", "site/app.yml", "-o", "site.tar"]), 1);
    assert!(
        message.contains("no image example.org/other") && message.contains("cannot read nowhere"),
        "{message}"
    );
    assert!(!site.path("site.tar").exists());
    let message = refused(site.moby(&["bundle", "create", "-", "-o", "site.tar"]), 2);
    assert!(message.contains("cannot bundle standard input"), "{message}");
    let message = refused(
        site.moby(&["bundle", "create", "site/app.yml", "-f", "rav", "-o", "site.tar"]),
        2,
    );
    assert!(message.contains("did you mean `raw`?"), "{message}");
}

#[cfg(feature = "sign")]
#[test]
fn bundle_has_the_policy_and_its_keys() {
    let (site, _) = trust::site(&["example.org/app:v1"]);
    let machine = fs::read_to_string(site.path("machine.yml")).unwrap();
    site.write("machine.yml", &format!("{machine}trust: {{policy: policy.yml}}\n"));
    let policy = |site: &Site, name: &str, key: &str| {
        site.write(name, &format!("images:\n  - name: example.org/*\n    keys: [{key}]\n"));
    };
    for (key, copy) in [
        ("p256.pub", "keys/team.pub"),
        ("ed25519.pub", "own.pub"),
        ("p384.pub", "other.pub"),
    ] {
        site.write(copy, &fs::read_to_string(trust::file(key)).unwrap());
    }
    policy(&site, "policy.yml", "keys/team.pub");
    let create = |more: &[&str]| {
        let all = [
            "bundle",
            "create",
            "machine.yml",
            "--arch",
            "amd64",
            "--layout",
            "images",
            "-o",
            "site.tar",
        ];
        site.moby(&[&all[..], more].concat())
    };
    let message = refused(create(&[]), 1);
    assert!(message.contains("example.org/app:v1 is not signed"), "{message}");
    trust::sign(&site, "example.org/app:v1", "p256.key");
    trust::sign(&site, "example.org/app:v1", "ed25519.key");
    good(create(&[]));
    let listed = String::from_utf8(good(site.moby(&["bundle", "ls", "site.tar", "--json"]))).unwrap();
    let listed: Value = serde_json::from_str(&listed).unwrap();
    let files = listed["files"].as_array().unwrap().iter();
    let files: Vec<(&str, &str)> = files
        .map(|file| (file["kind"].as_str().unwrap(), file["path"].as_str().unwrap()))
        .collect();
    for file in [("policy", "policy.yml"), ("key", "keys/team.pub")] {
        assert!(files.contains(&file), "{files:?}");
    }
    good(site.moby(&["bundle", "verify", "site.tar"]));
    let other = beyond(&site, &["site.tar", "own.pub", "other.pub"]);
    let build = |more: &[&str]| other.moby(&[&BUILD[..], more].concat());
    let note = "note: verifying signatures with policy.yml of the bundle";
    let said = refused(build(&[]), 0);
    assert!(said.contains(note), "{said}");
    // A policy of the site wins: with a key that has signed too, with another one, and where the YAML names it.
    policy(&other, "own.yml", "own.pub");
    let said = refused(build(&["--policy", "own.yml"]), 0);
    assert!(!said.contains(note), "{said}");
    policy(&other, "own.yml", "other.pub");
    let message = refused(build(&["--policy", "own.yml"]), 1);
    assert!(
        message.contains("own.yml:2") && message.contains("was not made with other.pub"),
        "{message}"
    );
    policy(&other, "policy.yml", "own.pub");
    let said = refused(build(&[]), 0);
    assert!(!said.contains(note), "{said}");
    other.write("policy.yml", "default: reject\n");
    let message = refused(build(&[]), 1);
    assert!(message.contains("rejected by the default of policy.yml"), "{message}");
    // One for a bundle whose YAML names none.
    site.write("machine.yml", &machine);
    good(create(&["--policy", "policy.yml"]));
    let other = beyond(&site, &["site.tar"]);
    let said = refused(other.moby(&BUILD), 0);
    assert!(said.contains(note), "{said}");
}
