//! Locks of signed images: their signers, and images that somebody has replaced.

use std::fs;
use std::process::Output;

use base64::prelude::{BASE64_STANDARD, Engine};
use serde_json::{Value, json};

use crate::common::layout::{Layer, Layout, digest as digest_of, tar};
use crate::common::site::{Site, good, refused};
use crate::common::trust::{self, digest, file, key};

const NAME: &str = "example.org/app:v1";

/// Fingerprint of a public key of `testdata/trust`: the SHA-256 of its DER.
fn fingerprint(name: &str) -> String {
    let pem = fs::read_to_string(file(name)).unwrap();
    let base64: String = pem.lines().filter(|line| !line.starts_with('-')).collect();
    digest_of(&BASE64_STANDARD.decode(base64).unwrap())
}

fn policy(site: &Site, keys: &[&str]) {
    let keys: Vec<String> = keys.iter().map(|name| key(name)).collect();
    let keys = keys.join(", ");
    site.write(
        "policy.yml",
        &format!("images:\n  - name: example.org/*\n    keys: [{keys}]\n"),
    );
}

fn sign(site: &Site, layout: &str, key_file: &str) {
    good(site.moby(&["-q", "sign", NAME, "--layout", layout, "--key", &key(key_file)]));
}

/// Runs a command with the policy and images of a layout.
fn with(site: &Site, layout: &str, command: &[&str]) -> Output {
    let all = [
        command,
        &[
            "--policy",
            "policy.yml",
            "--layout",
            layout,
            "--arch",
            "amd64",
            "machine.yml",
        ],
    ]
    .concat();
    site.moby(&all)
}

fn lock(site: &Site, layout: &str, more: &[&str]) -> Output {
    with(site, layout, &[&["lock"], more].concat())
}

fn build(site: &Site, layout: &str) -> Output {
    with(site, layout, &["build", "-f", "tar", "--locked"])
}

fn signers(site: &Site) -> Value {
    let lock: Value = serde_json::from_slice(&fs::read(site.path("machine.lock")).unwrap()).unwrap();
    lock["signers"].clone()
}

#[test]
fn signers_are_locked() {
    let (site, _) = trust::site(&[NAME]);
    site.run("cp", &["-r", "images", "unsigned"]);
    site.run("cp", &["-r", "images", "other"]);
    sign(&site, "images", "p256.key");
    sign(&site, "other", "ed25519.key");
    policy(&site, &["p256.pub", "ed25519.pub"]);
    let message = refused(lock(&site, "unsigned", &[]), 1);
    assert!(message.contains(&format!("{NAME} is not signed")), "{message}");
    assert!(message.contains("machine.yml:2:"), "{message}");
    assert!(!site.path("machine.lock").exists());
    good(lock(&site, "images", &[]));
    let locked = fs::read(site.path("machine.lock")).unwrap();
    assert_eq!(
        signers(&site),
        json!([{"name": NAME, "signer": fingerprint("p256.pub")}])
    );
    good(build(&site, "images"));
    // Another signer of the policy is not the one in the lock.
    let message = refused(build(&site, "other"), 1);
    for part in [
        NAME,
        "ed25519.pub",
        &fingerprint("ed25519.pub"),
        &fingerprint("p256.pub"),
        "moby lock --update",
    ] {
        assert!(message.contains(part), "{message}");
    }
    // The lock keeps its signer until it is updated.
    let message = refused(lock(&site, "other", &[]), 1);
    assert!(message.contains("but the lock names"), "{message}");
    assert!(fs::read(site.path("machine.lock")).unwrap() == locked);
    let said = refused(lock(&site, "other", &["--update"]), 0);
    let moved = format!(
        "signed by {}, before by {}",
        fingerprint("ed25519.pub"),
        fingerprint("p256.pub")
    );
    assert!(said.contains(&moved), "{said}");
    good(build(&site, "other"));
    // Both have signed: each counts.
    sign(&site, "other", "p256.key");
    good(build(&site, "other"));
    fs::write(site.path("machine.lock"), &locked).unwrap();
    good(build(&site, "other"));
    // Without a policy there is nothing to verify, and the digest is that of the lock.
    good(site.moby(&[
        "build",
        "-f",
        "tar",
        "--locked",
        "--layout",
        "unsigned",
        "--arch",
        "amd64",
        "machine.yml",
    ]));
}

#[test]
fn older_signed_image_is_refused_when_the_lock_has_a_newer_one() {
    let (site, _) = trust::site(&[NAME]);
    policy(&site, &["p256.pub"]);
    sign(&site, "images", "p256.key");
    let mut newer = Layout::new(&site.path("newer"));
    let manifest = newer.manifest("amd64", &[Layer::plain(&tar(&[(b'0', "file", "", b"newer")]))]);
    let index = newer.index(&[manifest]);
    newer.name(NAME, index);
    sign(&site, "newer", "p256.key");
    // Nothing in the signature says which of the two is newer.
    let unlocked = ["build", "-f", "tar"];
    for layout in ["images", "newer"] {
        good(with(&site, layout, &unlocked));
    }
    good(lock(&site, "newer", &[]));
    let [old, new] = ["images", "newer"].map(|layout| digest(&site, layout, NAME));
    for command in [&unlocked[..], &["build", "-f", "tar", "--locked"]] {
        let message = refused(with(&site, "images", command), 1);
        for part in [
            &format!("no image {NAME}@{new}"),
            &format!("images (which has {old} under this name)"),
        ] {
            assert!(message.contains(part), "{message}");
        }
        good(with(&site, "newer", command));
    }
    // The lock cannot be led back either.
    good(lock(&site, "images", &[]));
    let text = fs::read_to_string(site.path("machine.lock")).unwrap();
    assert!(text.contains(&new) && !text.contains(&old), "{text}");
}
