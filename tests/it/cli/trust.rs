//! Policies and signatures: what is used, what is refused and why, and what `moby sign` writes.

use std::fs;

use serde_json::{Value, json};

use crate::common::layout::{Layer, Layout, tar};
use crate::common::site::{Site, files, good, refused};
use crate::common::trust::{
    attach_bundle, attach_payload, bundle, digest, encoding, entry, file, key, payload, sign, sign_bytes, signatures,
    site, statement,
};

const SIGNED: &str = "https://sigstore.dev/cosign/sign/v1";

/// Writes a policy: a rule for each pattern, with the keys that sign its images.
fn policy(site: &Site, rules: &[(&str, &str)]) {
    let rule = |(pattern, rule): &(&str, &str)| {
        if rule.ends_with(".pub") {
            let keys: Vec<String> = rule.split(' ').map(key).collect();
            format!("  - name: {pattern}\n    keys: [{}]\n", keys.join(", "))
        } else {
            format!("  - name: {pattern}\n    rule: {rule}\n")
        }
    };
    let rules: String = rules.iter().map(rule).collect();
    site.write("policy.yml", &format!("images:\n{rules}default: reject\n"));
}

const BUILD: [&str; 11] = [
    "build",
    "--rebuild",
    "-f",
    "tar",
    "--arch",
    "amd64",
    "--layout",
    "images",
    "--policy",
    "policy.yml",
    "machine.yml",
];

/// Message of a build that the policy refuses. No output is left.
fn refusal(site: &Site) -> String {
    let message = refused(site.moby(&BUILD), 1);
    assert!(!files(&site.path("")).contains(&"machine.tar".to_owned()), "{message}");
    message
}

#[test]
fn only_signed_images_are_used() {
    let (site, _) = site(&["example.org/app:v1"]);
    policy(&site, &[("example.org/*", "p256.pub")]);
    let message = refusal(&site);
    let digest = digest(&site, "images", "example.org/app:v1");
    assert!(
        message.contains("machine.yml:2:5")
            && message.contains("example.org/app:v1 is not signed: there is no signature of"),
        "{message}"
    );
    assert!(
        message.contains("policy.yml:2 requires") && message.contains("moby sign example.org/app:v1 --key"),
        "{message}"
    );
    sign(&site, "example.org/app:v1", "p256.key");
    good(site.moby(&BUILD));
    assert!(site.path("machine.tar").is_file());
    // A signature of the index is also one of each image below it, by its own digest.
    assert!(digest.starts_with("sha256:"));
}

#[test]
fn each_form_of_each_key_suffices() {
    for name in ["p256", "p384", "ed25519"] {
        for dropped in ["", ".sig"] {
            let (site, mut layout) = site(&["example.org/app:v1"]);
            policy(&site, &[("example.org/*", &format!("{name}.pub"))]);
            sign(&site, "example.org/app:v1", &format!("{name}.key"));
            let dropped = signatures(&site, "images", "example.org/app:v1", dropped);
            let kept = ["", ".sig"].map(|form| signatures(&site, "images", "example.org/app:v1", form));
            let kept = kept.iter().find(|name| **name != dropped).unwrap();
            let (image, signature) = (
                entry(&site, "images", "example.org/app:v1"),
                entry(&site, "images", kept),
            );
            layout.clear();
            layout.name("example.org/app:v1", image);
            assert!(refusal(&site).contains("is not signed"));
            layout.name(kept, signature);
            good(site.moby(&BUILD));
        }
    }
}

#[test]
fn every_refused_image_is_reported_by_its_reason() {
    let names = [
        "example.org/unsigned:v1",
        "example.org/other-key:v1",
        "example.org/renamed:v1",
        "example.org/moved:v1",
        "example.org/attested:v1",
        "example.org/forged:v1",
        "example.org/tagged:v1",
        "docker.io/library/rejected",
        "quay.io/unknown/default",
        "example.org/good:v1",
    ];
    let (site, mut layout) = site(&names);
    policy(
        &site,
        &[
            ("example.org/*", "p256.pub p384.pub"),
            ("docker.io/library/*", "reject"),
        ],
    );
    let of = |name: &str| digest(&site, "images", name);
    // Signatures first: `moby sign` writes index.json by itself.
    let good_payload = payload(&of("example.org/good:v1"), "example.org/good").to_string();
    let good_signature = sign_bytes(&site, good_payload.as_bytes(), "p384.key");
    attach_payload(
        &mut layout,
        "example.org/good:v1",
        &of("example.org/good:v1"),
        good_payload.as_bytes(),
        &good_signature,
    );

    let other = payload(&of("example.org/other-key:v1"), "").to_string();
    let signature = sign_bytes(&site, other.as_bytes(), "ed25519.key");
    attach_payload(
        &mut layout,
        "example.org/other-key:v1",
        &of("example.org/other-key:v1"),
        other.as_bytes(),
        &signature,
    );

    let renamed = payload(&of("example.org/renamed:v1"), "example.org/original").to_string();
    let signature = sign_bytes(&site, renamed.as_bytes(), "p256.key");
    attach_payload(
        &mut layout,
        "example.org/renamed:v1",
        &of("example.org/renamed:v1"),
        renamed.as_bytes(),
        &signature,
    );

    attach_payload(
        &mut layout,
        "example.org/moved:v1",
        &of("example.org/moved:v1"),
        good_payload.as_bytes(),
        &good_signature,
    );

    let scanned = statement(&of("example.org/attested:v1"), "", "https://example.org/scan/failed");
    let signature = sign_bytes(&site, &encoding(&scanned), "p256.key");
    let scanned = bundle(&scanned, &signature).to_string();
    attach_bundle(&mut layout, &of("example.org/attested:v1"), scanned.as_bytes());

    let mut forged = payload(&of("example.org/forged:v1"), "");
    let signature = sign_bytes(&site, forged.to_string().as_bytes(), "p256.key");
    forged["optional"] = json!({"creator": "somebody"});
    let forged = forged.to_string();
    attach_payload(
        &mut layout,
        "example.org/forged:v1",
        &of("example.org/forged:v1"),
        forged.as_bytes(),
        &signature,
    );

    let tagged = payload(&of("example.org/tagged:v1"), "example.org/tagged:v0").to_string();
    let signature = sign_bytes(&site, tagged.as_bytes(), "p256.key");
    attach_payload(
        &mut layout,
        "example.org/tagged:v1",
        &of("example.org/tagged:v1"),
        tagged.as_bytes(),
        &signature,
    );

    let message = refusal(&site);
    let digests: Vec<String> = names.iter().map(|name| of(name)).collect();
    let keys = format!("{} or {}", key("p256.pub"), key("p384.pub"));
    let valid = "has no valid signature, which policy.yml:2 requires: a";
    for expected in [
        format!(
            "error: example.org/unsigned:v1 is not signed: there is no signature of {}",
            manifest(&site, names[0])
        ),
        format!("error: example.org/other-key:v1 {valid} signature was not made with {keys}"),
        format!(
            "error: example.org/renamed:v1 {valid} signature is for the image example.org/original, not for example.org/renamed:v1"
        ),
        format!(
            "error: example.org/moved:v1 {valid} signature is for {}, not for {}",
            digests[9], digests[3]
        ),
        format!(
            "error: example.org/attested:v1 {valid}n attestation of type https://example.org/scan/failed is not an image signature"
        ),
        format!("error: example.org/forged:v1 {valid} signature was not made with {keys}"),
        format!(
            "error: example.org/tagged:v1 {valid} signature is for the image example.org/tagged:v0, not for example.org/tagged:v1"
        ),
        "error: docker.io/library/rejected is rejected by policy.yml:4".to_owned(),
        "error: quay.io/unknown/default is rejected by the default of policy.yml".to_owned(),
    ] {
        assert!(message.contains(&expected), "{expected}\nis not in\n{message}");
    }
    assert_eq!(message.matches("error: ").count(), 9, "{message}");
    assert!(!message.contains("good"), "{message}");
}

/// Digest of the manifest below the index of an image.
fn manifest(site: &Site, name: &str) -> String {
    let path = site
        .path("images/blobs")
        .join(digest(site, "images", name).replace(':', "/"));
    let index: Value = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
    index["manifests"][0]["digest"].as_str().unwrap().to_owned()
}

#[test]
fn signature_of_the_platforms_manifest_suffices() {
    let (site, mut layout) = site(&["example.org/app:v1"]);
    policy(&site, &[("example.org/*", "p256.pub")]);
    let signed = statement(&manifest(&site, "example.org/app:v1"), "example.org/app", SIGNED);
    let signature = sign_bytes(&site, &encoding(&signed), "p256.key");
    attach_bundle(
        &mut layout,
        &manifest(&site, "example.org/app:v1"),
        bundle(&signed, &signature).to_string().as_bytes(),
    );
    good(site.moby(&BUILD));
}

#[test]
fn one_valid_signature_among_damaged_ones_suffices() {
    let (site, mut layout) = site(&["example.org/app:v1"]);
    policy(&site, &[("example.org/*", "p256.pub")]);
    let digest = digest(&site, "images", "example.org/app:v1");
    for damaged in [&b"{"[..], b"[]", b"null", br#"{"mediaType":"x"}"#, b"\xff\xfe"] {
        attach_bundle(&mut layout, &digest, damaged);
    }
    attach_payload(&mut layout, "example.org/app:v1", &digest, b"{}", "not base64");
    let message = refusal(&site);
    assert!(message.contains("a signature is malformed"), "{message}");
    let signed = statement(&digest, "", SIGNED);
    let signature = sign_bytes(&site, &encoding(&signed), "p256.key");
    attach_bundle(&mut layout, &digest, bundle(&signed, &signature).to_string().as_bytes());
    good(site.moby(&BUILD));
}

#[test]
fn copies_under_another_name_need_the_signed_name() {
    let (site, mut layout) = site(&["example.org/app:v1"]);
    sign(&site, "example.org/app:v1", "p256.key");
    layout.reload();
    let image = entry(&site, "images", "example.org/app:v1");
    layout.name("mirror.example.com/app:v1", image);
    site.write("machine.yml", "init:\n  - mirror.example.com/app:v1\n");
    policy(&site, &[("mirror.example.com/*", "p256.pub")]);
    let message = refusal(&site);
    assert!(
        message.contains("is for the image example.org/app") && message.contains("signed-as: example.org/app"),
        "{message}"
    );
    let rules = fs::read_to_string(site.path("policy.yml")).unwrap();
    for (pattern, fits) in [("example.com/**", false), ("example.org/*", true), ("'**'", true)] {
        site.write(
            "policy.yml",
            &rules.replace("    keys", &format!("    signed-as: {pattern}\n    keys")),
        );
        assert_eq!(site.moby(&BUILD).status.success(), fits, "{pattern}");
    }
}

#[test]
fn signatures_travel_with_their_image() {
    let (site, _) = site(&["example.org/app:v1", "example.org/other:v1"]);
    policy(
        &site,
        &[("example.org/app", "p256.pub"), ("example.org/*", "accept-unsigned")],
    );
    sign(&site, "example.org/app:v1", "p256.key");
    good(site.moby(&["cache", "import", "images"]));
    let verify = ["cache", "verify", "--policy", "policy.yml"];
    let output = site.moby(&verify);
    let message = String::from_utf8_lossy(&output.stderr).into_owned();
    good(output);
    assert!(
        message.contains(&format!("example.org/app:v1: intact, signed with {}", key("p256.pub"))),
        "{message}"
    );
    assert!(
        message.contains("example.org/other:v1: intact, accepted unsigned"),
        "{message}"
    );
    // Only images are listed.
    let listed = String::from_utf8(good(site.moby(&["cache", "ls", "--names"]))).unwrap();
    assert_eq!(listed, "example.org/app:v1\nexample.org/other:v1\n");
    let listed = String::from_utf8(good(site.moby(&["cache", "ls"]))).unwrap();
    assert!(!listed.contains("sha256-"), "{listed}");
    // Through an archive into another cache.
    good(site.moby(&["cache", "export", "example.org/app:v1", "-o", "app.tar"]));
    good(site.moby(&["--cache", "second", "cache", "import", "app.tar"]));
    good(site.moby(&["--cache", "second", "cache", "verify", "--policy", "policy.yml"]));
    site.write("machine.yml", "init:\n  - example.org/app:v1\n");
    let build = [
        "build",
        "--rebuild",
        "-f",
        "tar",
        "--arch",
        "amd64",
        "--policy",
        "policy.yml",
        "machine.yml",
    ];
    good(site.moby(&[&build[..], &["--layout", "app.tar", "--cache", "none"]].concat()));
    // Without the image, nothing is left of its signatures.
    good(site.moby(&["--cache", "second", "cache", "rm", "example.org/app:v1"]));
    assert!(files(&site.path("second/blobs/sha256")).is_empty());
    // Of another image, they stay.
    good(site.moby(&["cache", "rm", "example.org/other:v1"]));
    let message = String::from_utf8(site.moby(&verify).stderr).unwrap();
    assert!(message.contains("signed with"), "{message}");
    // Damaged, they are reported.
    let name = signatures(&site, "cache", "example.org/app:v1", ".sig");
    let path = site.path("cache/blobs").join(
        entry(&site, "cache", &name)["digest"]
            .as_str()
            .unwrap()
            .replace(':', "/"),
    );
    let mut bytes = fs::read(&path).unwrap();
    bytes[0] ^= 1;
    fs::write(&path, bytes).unwrap();
    let message = refused(site.moby(&verify), 1);
    assert!(message.contains("is corrupt"), "{message}");
}

#[test]
fn cosign_save_and_unnamed_entries_are_found() {
    let (site, mut layout) = site(&["example.org/app:v1"]);
    policy(&site, &[("example.org/*", "p256.pub")]);
    sign(&site, "example.org/app:v1", "p256.key");
    let image = entry(&site, "images", "example.org/app:v1");
    let signature = entry(
        &site,
        "images",
        &signatures(&site, "images", "example.org/app:v1", ".sig"),
    );
    layout.clear();
    let annotations = |kind: &str| json!({"kind": format!("dev.cosignproject.cosign/{kind}"), "org.opencontainers.image.ref.name": "example.org/app:v1"});
    layout.annotate(annotations("sigs"), signature);
    layout.annotate(annotations("imageIndex"), image);
    good(site.moby(&BUILD));
    good(site.moby(&["cache", "import", "images"]));
    good(site.moby(&["cache", "verify", "--policy", "policy.yml"]));
}

#[test]
fn keys_are_rotated_without_an_interruption() {
    let (site, _) = site(&["example.org/app:v1"]);
    sign(&site, "example.org/app:v1", "p256.key");
    policy(&site, &[("example.org/*", "p256.pub")]);
    good(site.moby(&BUILD));
    // Machines learn the new key before anything is signed with it.
    policy(&site, &[("example.org/*", "p256.pub ed25519.pub")]);
    good(site.moby(&BUILD));
    // The new key signs beside the old one: either policy is satisfied.
    sign(&site, "example.org/app:v1", "ed25519.key");
    for keys in ["p256.pub", "ed25519.pub", "p256.pub ed25519.pub"] {
        policy(&site, &[("example.org/*", keys)]);
        good(site.moby(&BUILD));
    }
    // Without the old key, what only it signed is refused.
    policy(&site, &[("example.org/*", "p384.pub")]);
    fs::remove_file(site.path("machine.tar")).unwrap();
    assert!(refusal(&site).contains("was not made with"));
}

#[test]
fn signatures_are_reproducible() {
    let snapshot = |site: &Site| {
        let blobs = files(&site.path("images/blobs/sha256"));
        (blobs, fs::read(site.path("images/index.json")).unwrap())
    };
    let make = |keys: &[&str]| {
        let (site, _) = site(&["example.org/app:v1"]);
        for key in keys {
            sign(&site, "example.org/app:v1", key);
        }
        snapshot(&site)
    };
    for key in ["p256.key", "p384.key", "ed25519.key"] {
        assert!(make(&[key]) == make(&[key]), "{key}");
    }
    // Signing again adds nothing.
    let again = make(&["p256.key", "p256.key"]);
    let (_, index) = make(&["p256.key"]);
    assert!(again.1 == index);
}

#[test]
fn policy_in_the_yaml_is_relative_to_it() {
    let (site, _) = site(&["example.org/app:v1"]);
    policy(&site, &[("example.org/*", "p256.pub")]);
    let text = fs::read_to_string(site.path("policy.yml")).unwrap();
    site.write("sub/policy.yml", &text);
    fs::remove_file(site.path("policy.yml")).unwrap();
    fs::copy(file("p256.pub"), site.path("sub/own.pub")).unwrap();
    site.write(
        "sub/machine.yml",
        "init:\n  - example.org/app:v1\ntrust:\n  policy: policy.yml\n",
    );
    let build = [
        "build",
        "--rebuild",
        "-f",
        "tar",
        "--arch",
        "amd64",
        "--layout",
        "images",
        "sub/machine.yml",
    ];
    let message = refused(site.moby(&build), 1);
    assert!(
        message.contains("is not signed") && message.contains("sub/policy.yml:2"),
        "{message}"
    );
    // The command line wins.
    site.write("all.yml", "default: accept-unsigned\n");
    good(site.moby(&[&build[..], &["--policy", "all.yml"]].concat()));
    sign(&site, "example.org/app:v1", "p256.key");
    good(site.moby(&build));
    // Keys are relative to the policy.
    site.write(
        "sub/policy.yml",
        "images:\n  - name: example.org/app\n    keys: [own.pub]\n",
    );
    good(site.moby(&build));
    site.write(
        "sub/policy.yml",
        "images:\n  - name: example.org/app\n    keys: [none.pub]\n",
    );
    for command in [&build[..], &["check", "sub/machine.yml"]] {
        let message = refused(site.moby(command), 2);
        assert!(
            message.contains("sub/policy.yml:3:12") && message.contains("cannot use the key sub/none.pub"),
            "{message}"
        );
    }
}

#[test]
fn names_in_linuxkits_trust_are_not_ignored() {
    let (site, _) = site(&["docker.io/linuxkit/app:v1"]);
    site.write("machine.yml", "init:\n  - linuxkit/app:v1\ntrust:\n  org: [linuxkit]\n");
    let build = [
        "build",
        "--rebuild",
        "-f",
        "tar",
        "--arch",
        "amd64",
        "--layout",
        "images",
        "machine.yml",
    ];
    let output = site.moby(&build);
    let message = String::from_utf8_lossy(&output.stderr).into_owned();
    good(output);
    assert!(
        message.contains("warning: signatures are not verified: `trust` requires them for linuxkit"),
        "{message}"
    );
    for trust in [
        "org: [linuxkit]",
        "image: [linuxkit/app]",
        "image: ['docker.io/linuxkit/app:v1']",
    ] {
        site.write(
            "machine.yml",
            &format!("init:\n  - linuxkit/app:v1\ntrust:\n  {trust}\n"),
        );
        policy(&site, &[("docker.io/linuxkit/*", "accept-unsigned")]);
        let message = refused(site.moby(&[&build[..], &["--policy", "policy.yml"]].concat()), 1);
        assert!(
            message.contains("`trust` names docker.io/linuxkit/app:v1, but policy.yml:2 accepts it unsigned"),
            "{message}"
        );
    }
    for trust in ["org: [other]", "image: [linuxkit/app2, 'linuxkit/app:v2']"] {
        site.write(
            "machine.yml",
            &format!("init:\n  - linuxkit/app:v1\ntrust:\n  {trust}\n"),
        );
        good(site.moby(&[&build[..], &["--policy", "policy.yml"]].concat()));
    }
}

#[test]
fn archives_of_docker_save_cannot_be_signed() {
    let site = Site::new();
    let mut layout = Layout::new(&site.path("images"));
    let manifest = layout.manifest("amd64", &[Layer::plain(&tar(&[(b'0', "file", "", b"x")]))]);
    layout.name("example.org/app:v1", manifest);
    good(site.moby(&["cache", "import", "images"]));
    good(site.moby(&[
        "cache",
        "export",
        "example.org/app:v1",
        "--format",
        "docker",
        "--arch",
        "amd64",
        "-o",
        "app.tar",
    ]));
    site.write("machine.yml", "init:\n  - example.org/app:v1\n");
    policy(&site, &[("example.org/*", "p256.pub")]);
    let build = [
        "build",
        "--rebuild",
        "-f",
        "tar",
        "--arch",
        "amd64",
        "--layout",
        "app.tar",
        "--policy",
        "policy.yml",
        "machine.yml",
    ];
    let message = refused(site.moby(&build), 1);
    assert!(
        message.contains("an archive of docker save has no manifest"),
        "{message}"
    );
    site.write(
        "machine.yml",
        "init:\n  - example.org/app:v1\nvolumes:\n  - name: v\n    image: example.org/app:v1\n    format: oci\n",
    );
    let message = refused(site.moby(&build), 1);
    assert_eq!(
        message.matches("an archive of docker save has no manifest").count(),
        2,
        "{message}"
    );
}

#[test]
fn volumes_and_boot_loaders_are_verified() {
    let (site, _) = site(&["example.org/volume:v1", "example.org/loader:v1"]);
    policy(&site, &[("example.org/*", "p256.pub")]);
    site.write(
        "machine.yml",
        "boot:\n  efi: example.org/loader:v1\nvolumes:\n  - name: v\n    image: example.org/volume:v1\n    format: oci\n",
    );
    let build = [
        "build",
        "--rebuild",
        "-f",
        "iso-efi",
        "--arch",
        "amd64",
        "--layout",
        "images",
        "--policy",
        "policy.yml",
        "machine.yml",
    ];
    let message = refused(site.moby(&build), 1);
    assert!(
        message.contains("machine.yml:2:8") && message.contains("example.org/loader:v1 is not signed"),
        "{message}"
    );
    assert!(
        message.contains("machine.yml:5:12") && message.contains("example.org/volume:v1 is not signed"),
        "{message}"
    );
    sign(&site, "example.org/volume:v1", "p256.key");
    let message = refused(site.moby(&build), 1);
    assert!(!message.contains("volume:v1 is not signed"), "{message}");
}

#[test]
fn files_are_signed() {
    let site = Site::new();
    site.write("output", "an output\n");
    good(site.moby(&["sign", "output", "--key", &key("p256.key")]));
    let (signature, bundle) = (
        fs::read(site.path("output.sig")).unwrap(),
        fs::read(site.path("output.sigstore.json")).unwrap(),
    );
    let parsed: Value = serde_json::from_slice(&bundle).unwrap();
    assert_eq!(
        parsed["messageSignature"]["signature"].as_str().unwrap().as_bytes(),
        signature
    );
    // The encrypted key is the same key.
    for (password, status) in [("pass word", 0), ("wrong", 1), ("", 1)] {
        let mut command = site.command(&["sign", "output", "--key", &key("encrypted.key")]);
        let output = command.env("COSIGN_PASSWORD", password).output().unwrap();
        assert_eq!(
            output.status.code(),
            Some(status),
            "{password:?}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        if status != 0 {
            assert!(String::from_utf8_lossy(&output.stderr).contains("the password is wrong"));
        }
    }
    assert!(fs::read(site.path("output.sig")).unwrap() == signature);
    assert!(fs::read(site.path("output.sigstore.json")).unwrap() == bundle);
    for (text, expected) in [
        ("nothing", "it is not a private key in PEM text"),
        (
            "-----BEGIN EC PRIVATE KEY-----\nAAAA\n-----END EC PRIVATE KEY-----\n",
            "openssl pkcs8 -topk8",
        ),
        (
            "-----BEGIN PRIVATE KEY-----\nMAA=\n-----END PRIVATE KEY-----\n",
            "it is not an ECDSA key on P-256 or P-384, nor an Ed25519 key",
        ),
        (
            "-----BEGIN ENCRYPTED SIGSTORE PRIVATE KEY-----\ne30=\n-----END ENCRYPTED SIGSTORE PRIVATE KEY-----\n",
            "missing field",
        ),
    ] {
        site.write("bad.key", text);
        let message = refused(site.moby(&["sign", "output", "--key", "bad.key"]), 1);
        assert!(
            message.contains("cannot use the key bad.key") && message.contains(expected),
            "{text}: {message}"
        );
    }
    let message = refused(
        site.moby(&["sign", "nothing-here", "--key", &key("p256.key"), "--layout", "."]),
        1,
    );
    assert!(message.contains("error: "), "{message}");
}
