//! Signatures beside openssl and sigstore's own implementation in JavaScript, in both directions, and in
//! registries.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use base64::prelude::{BASE64_STANDARD, Engine};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::common::registry::{Action, Proxy, Registry, Response};
use crate::common::site::{Site, good, refused};
use crate::common::trust::{
    attach_bundle, attach_payload, bundle, digest, encoding, entry, file, key, payload, sign, signatures, site,
    statement,
};

const SIGNED: &str = "https://sigstore.dev/cosign/sign/v1";
const KEYS: [&str; 3] = ["p256", "p384", "ed25519"];

fn policy(site: &Site, pattern: &str, key: &str) {
    site.write(
        "policy.yml",
        &format!("images:\n  - name: {pattern}\n    keys: [{key}]\n"),
    );
}

fn build(site: &Site) -> Output {
    site.moby(&[
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
    ])
}

/// Signature of a file by openssl, in base64.
fn openssl_sign(site: &Site, name: &str, key_file: &str) -> String {
    let arguments = if key_file.contains("ed25519") {
        ["pkeyutl", "-sign", "-rawin", "-inkey", key_file, "-in", name]
    } else {
        ["dgst", "-sha256", "-binary", "-sign", key_file, "-hex", name]
    };
    let arguments: Vec<&str> = arguments
        .into_iter()
        .filter(|one| !["-hex", "-binary"].contains(one))
        .collect();
    BASE64_STANDARD.encode(site.run("openssl", &arguments))
}

/// Returns true if openssl verifies a signature of a file.
fn openssl_verifies(site: &Site, name: &str, key_file: &str, signature: &[u8]) -> bool {
    fs::write(site.path("signature"), signature).unwrap();
    let arguments = if key_file.contains("ed25519") {
        vec![
            "pkeyutl",
            "-verify",
            "-rawin",
            "-pubin",
            "-inkey",
            key_file,
            "-in",
            name,
            "-sigfile",
            "signature",
        ]
    } else {
        vec!["dgst", "-sha256", "-verify", key_file, "-signature", "signature", name]
    };
    let output = Command::new("openssl")
        .args(arguments)
        .current_dir(site.path(""))
        .output();
    output.unwrap().status.success()
}

/// Runs a script of `testdata/npm` with the packages that xtask installed.
fn node(site: &Site, script: &str, arguments: &[&str]) -> Output {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let modules = root.join("target/npm/node_modules");
    assert!(
        modules.is_dir(),
        "run `cargo xtask test`, which installs the packages of testdata/npm"
    );
    let mut command = Command::new("node");
    command
        .arg(root.join("testdata/npm").join(script))
        .args(arguments)
        .current_dir(site.path(""));
    command
        .env("NODE_PATH", modules)
        .output()
        .unwrap_or_else(|error| panic!("node is missing: {error}"))
}

/// Blob of a layout.
fn blob(site: &Site, digest: &str) -> Vec<u8> {
    fs::read(site.path("images/blobs").join(digest.replace(':', "/"))).unwrap()
}

/// Manifest with a name in the layout `images`.
fn manifest(site: &Site, name: &str) -> Value {
    let entry = entry(site, "images", name);
    serde_json::from_slice(&blob(site, entry["digest"].as_str().unwrap())).unwrap()
}

#[test]
fn moby_verifies_what_openssl_signs() {
    let (site, mut layout) = site(&["example.org/app:v1"]);
    let digest = digest(&site, "images", "example.org/app:v1");
    for (name, options) in [
        ("a", &["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"][..]),
        ("b", &["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-384"]),
        ("ed25519", &["-algorithm", "ED25519"]),
        ("rsa2048", &["-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"]),
        ("rsa3072", &["-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:3072"]),
        ("rsa4096", &["-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:4096"]),
    ] {
        let (private, public) = (format!("{name}.key"), format!("{name}.pub"));
        site.run("openssl", &[&["genpkey", "-out", &private][..], options].concat());
        site.run("openssl", &["pkey", "-in", &private, "-pubout", "-out", &public]);
        policy(&site, "example.org/*", &public);
        let message = refused(build(&site), 1);
        assert!(message.contains("example.org/app:v1"), "{message}");
        let payload = payload(&digest, "example.org/app").to_string();
        site.write("payload", &payload);
        let signature = openssl_sign(&site, "payload", &private);
        attach_payload(
            &mut layout,
            "example.org/app:v1",
            &digest,
            payload.as_bytes(),
            &signature,
        );
        good(build(&site));
        // And without it, by a bundle.
        let signed = statement(&digest, "", SIGNED);
        fs::write(site.path("statement"), encoding(&signed)).unwrap();
        let signature = openssl_sign(&site, "statement", &private);
        let image = entry(&site, "images", "example.org/app:v1");
        layout.clear();
        layout.name("example.org/app:v1", image);
        attach_bundle(&mut layout, &digest, bundle(&signed, &signature).to_string().as_bytes());
        good(build(&site));
    }
    // Short RSA keys and other curves are refused by name.
    for (options, expected) in [
        (
            &["-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:1024"][..],
            "RSA keys of 1024 bits are not supported",
        ),
        (
            &["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-521"],
            "ECDSA P-521 keys are not supported",
        ),
        (&["-algorithm", "ED448"], "1.3.101.113 keys are not supported"),
    ] {
        site.run("openssl", &[&["genpkey", "-out", "other.key"][..], options].concat());
        site.run("openssl", &["pkey", "-in", "other.key", "-pubout", "-out", "other.pub"]);
        policy(&site, "example.org/*", "other.pub");
        let message = refused(build(&site), 2);
        assert!(message.contains(expected), "{message}");
    }
}

#[test]
fn openssl_and_sigstore_verify_what_moby_signs() {
    for name in KEYS {
        let (site, _) = site(&["example.org/app:v1"]);
        let (private, public) = (format!("{name}.key"), key(&format!("{name}.pub")));
        // Files.
        site.write("output", "an output\n");
        good(site.moby(&["sign", "output", "--key", &key(&private)]));
        let signature = BASE64_STANDARD
            .decode(fs::read(site.path("output.sig")).unwrap())
            .unwrap();
        assert!(openssl_verifies(&site, "output", &public, &signature), "{name}");
        site.write("changed", "another output\n");
        assert!(!openssl_verifies(&site, "changed", &public, &signature), "{name}");
        // It passes a digest to node, which Ed25519 does not take.
        if name != "ed25519" {
            good(node(&site, "verify.cjs", &["output.sigstore.json", &public, "output"]));
            refused(
                node(&site, "verify.cjs", &["output.sigstore.json", &public, "changed"]),
                1,
            );
        }
        // Images.
        sign(&site, "example.org/app:v1", &private);
        let manifest_of = |form: &str| manifest(&site, &signatures(&site, "images", "example.org/app:v1", form));
        let payload = &manifest_of(".sig")["layers"][0];
        fs::write(site.path("payload"), blob(&site, payload["digest"].as_str().unwrap())).unwrap();
        let signature = payload["annotations"]["dev.cosignproject.cosign/signature"]
            .as_str()
            .unwrap();
        assert!(
            openssl_verifies(&site, "payload", &public, &BASE64_STANDARD.decode(signature).unwrap()),
            "{name}"
        );
        let referrer = manifest_of("")["manifests"][0]["digest"].as_str().unwrap().to_owned();
        let referrer: Value = serde_json::from_slice(&blob(&site, &referrer)).unwrap();
        fs::write(
            site.path("bundle"),
            blob(&site, referrer["layers"][0]["digest"].as_str().unwrap()),
        )
        .unwrap();
        good(node(&site, "verify.cjs", &["bundle", &public]));
        let other = key(if name == "p256" { "p384.pub" } else { "p256.pub" });
        refused(node(&site, "verify.cjs", &["bundle", &other]), 1);
    }
}

#[test]
fn moby_verifies_what_sigstore_signs() {
    for name in KEYS {
        let (site, mut layout) = site(&["example.org/app:v1"]);
        let digest = digest(&site, "images", "example.org/app:v1");
        policy(&site, "example.org/*", &key(&format!("{name}.pub")));
        site.write("statement", &statement(&digest, "", SIGNED).to_string());
        let signed = good(node(
            &site,
            "sign.cjs",
            &["dsse", &key(&format!("{name}.key")), "statement"],
        ));
        let mut altered = signed.clone();
        let at = altered.windows(9).position(|bytes| bytes == b"\"payload\"").unwrap() + 20;
        altered[at] = if altered[at] == b'A' { b'B' } else { b'A' };
        attach_bundle(&mut layout, &digest, &altered);
        let message = refused(build(&site), 1);
        assert!(
            message.contains("example.org/app:v1 has no valid signature"),
            "{message}"
        );
        attach_bundle(&mut layout, &digest, &signed);
        good(build(&site));
        assert!(file("p256.pub").is_file());
    }
}

/// moby with a cache of its own that may use registries.
fn online(site: &Site, cache: &str, arguments: &[&str]) -> Output {
    let all = [&["--cache", cache][..], arguments].concat();
    super::registry::command(site, &all).output().unwrap()
}

fn raw(site: &Site, name: &str) -> Vec<u8> {
    let from = format!("docker://{name}");
    site.run(
        "skopeo",
        &["--insecure-policy", "inspect", "--raw", "--tls-verify=false", &from],
    )
}

#[test]
fn signatures_are_pushed_and_pulled() {
    let (site, _) = site(&["example.org/app:v1"]);
    let registry = Registry::start(&site.path(""), "", "");
    let name = format!("{}/team/app:v1", registry.host());
    let digest = digest(&site, "images", "example.org/app:v1");
    good(online(&site, "plain", &["cache", "import", "images"]));
    good(online(&site, "plain", &["cache", "push", "example.org/app:v1", &name]));
    let verify = |cache: &str| online(&site, cache, &["cache", "verify", "--policy", "policy.yml"]);
    let rule = |keys: &str| {
        let host = registry.host();
        site.write(
            "policy.yml",
            &format!("images:\n  - name: {host}/**\n    signed-as: example.org/app\n    keys: [{keys}]\n"),
        );
    };
    rule(&key("p256.pub"));
    // Pulled before it is signed.
    good(online(&site, "early", &["cache", "pull", &name, "--arch", "amd64"]));
    assert!(refused(verify("early"), 1).contains("is not signed"));
    sign(&site, "example.org/app:v1", "p256.key");
    good(online(&site, "signed", &["cache", "import", "images"]));
    good(online(&site, "signed", &["cache", "push", "example.org/app:v1", &name]));
    let tag = format!("{}/team/app:{}", registry.host(), digest.replace(':', "-"));
    let one: Value = serde_json::from_slice(&raw(&site, &format!("{tag}.sig"))).unwrap();
    assert_eq!(one["layers"].as_array().unwrap().len(), 1);
    good(online(&site, "pulled", &["cache", "pull", &name, "--arch", "amd64"]));
    good(verify("pulled"));
    // A build fetches what the cache lacks, unless it must not use the network.
    site.write("machine.yml", &format!("init:\n  - {name}\n"));
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
    let message = refused(online(&site, "early", &[&build[..], &["--offline"]].concat()), 1);
    assert!(message.contains("is not signed"), "{message}");
    good(online(&site, "early", &build));
    good(online(&site, "early", &[&build[..], &["--offline"]].concat()));
    // So does one that pulls the image.
    good(online(&site, "none", &build));
    // A lock needs the signatures, and no layer.
    let lock = ["lock", "--policy", "policy.yml", "machine.yml"];
    let message = refused(online(&site, "locked", &[&lock[..], &["--offline"]].concat()), 1);
    assert!(message.contains("no image"), "{message}");
    good(online(&site, "locked", &lock));
    let locked = fs::read_to_string(site.path("machine.lock")).unwrap();
    assert!(locked.contains("\"signer\":\"sha256:"), "{locked}");
    fs::remove_file(site.path("machine.lock")).unwrap();
    // A second signer adds a signature; the first one stays.
    fs::remove_dir_all(site.path("images")).unwrap();
    good(online(
        &site,
        "plain",
        &["sign", "example.org/app:v1", "--key", &key("ed25519.key")],
    ));
    good(online(&site, "plain", &["cache", "push", "example.org/app:v1", &name]));
    let two: Value = serde_json::from_slice(&raw(&site, &format!("{tag}.sig"))).unwrap();
    assert_eq!(two["layers"].as_array().unwrap().len(), 2, "{two}");
    let listed: Value = serde_json::from_slice(&raw(&site, &tag)).unwrap();
    assert_eq!(listed["manifests"].as_array().unwrap().len(), 2, "{listed}");
    for name in ["p256.pub", "ed25519.pub"] {
        rule(&key(name));
        fs::remove_dir_all(site.path("none")).unwrap();
        good(online(&site, "none", &build));
    }
    // skopeo copies a layout with the signatures as it does any image.
    let layout = site.path("copied").display().to_string();
    for (from, to) in [
        (name.clone(), "team/app:v1".to_owned()),
        (
            format!("{tag}.sig"),
            format!("team/app:{}.sig", digest.replace(':', "-")),
        ),
    ] {
        let (from, to) = (
            format!("docker://{from}"),
            format!("oci:{layout}:{}/{to}", registry.host()),
        );
        site.run(
            "skopeo",
            &[
                "--insecure-policy",
                "copy",
                "-q",
                "--all",
                "--preserve-digests",
                "--src-tls-verify=false",
                &from,
                &to,
            ],
        );
    }
    good(online(
        &site,
        "empty",
        &[&build[..], &["--offline", "--layout", "copied"]].concat(),
    ));
}

#[test]
fn referrers_api_is_used_where_there_is_one() {
    let (site, _) = site(&["example.org/app:v1"]);
    let registry = Registry::start(&site.path(""), "", "");
    sign(&site, "example.org/app:v1", "p256.key");
    let digest = digest(&site, "images", "example.org/app:v1");
    good(online(&site, "signed", &["cache", "import", "images"]));
    let name = format!("{}/team/app:v1", registry.host());
    good(online(&site, "signed", &["cache", "push", "example.org/app:v1", &name]));
    let index = raw(
        &site,
        &format!("{}/team/app:{}", registry.host(), digest.replace(':', "-")),
    );
    let index = String::from_utf8(index).unwrap();
    let subject = digest.clone();
    // No tags of signatures, as with cosign 3 and a registry with the API.
    let proxy = Proxy::start(&registry, move |_, head| {
        let answer = |status, body: &str| {
            let headers = "Content-Type: application/vnd.oci.image.index.v1+json\r\n".to_owned();
            Action::Respond(Response {
                status,
                headers,
                body: body.to_owned(),
            })
        };
        if head.line.contains(&format!("/referrers/{subject}")) {
            answer("200 OK", &index)
        } else if head.line.contains("/referrers/") {
            answer("200 OK", r#"{"schemaVersion":2,"manifests":[]}"#)
        } else if head.line.contains("/manifests/sha256-") {
            answer("404 Not Found", "{}")
        } else {
            Action::Pass
        }
    });
    let name = format!("{}/team/app:v1", proxy.host());
    let host = proxy.host();
    site.write(
        "policy.yml",
        &format!(
            "images:\n  - name: {host}/**\n    signed-as: '**'\n    keys: [{}]\n",
            key("p256.pub")
        ),
    );
    good(online(&site, "pulled", &["cache", "pull", &name, "--arch", "amd64"]));
    good(online(&site, "pulled", &["cache", "verify", "--policy", "policy.yml"]));
    let requests = proxy.requests.lock().unwrap().join("\n");
    assert!(requests.contains("/referrers/"), "{requests}");
}

#[test]
fn guide_to_trust_works_as_it_is_written() {
    let (site, _) = site(&["example.org/team/app:v1", "docker.io/moby/other:v1"]);
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/how-to/trust.md");
    let page = fs::read_to_string(page).unwrap();
    site.write(
        "machine.yml",
        "init:\n  - example.org/team/app:v1\n  - docker.io/moby/other:v1\n",
    );
    site.write("machine.iso", "an output\n");
    good(site.moby(&["cache", "import", "images"]));
    let mut commands: Vec<&str> = page.lines().filter_map(|line| line.strip_prefix("    ")).collect();
    // Neither cosign nor the registry example.org is here.
    commands.retain(|command| {
        !command.starts_with("cosign")
            && !command.contains("cache push")
            && !command.contains(": ")
            && !command.ends_with(':')
    });
    // The policy is shown before its key is made.
    commands.sort_by_key(|command| match command.split(' ').next() {
        Some("openssl") => 0,
        _ if command.starts_with("moby sign") => 1,
        _ => 2,
    });
    assert!(commands.len() >= 7, "{commands:?}");
    let policies: Vec<&str> = page
        .split("\n```yaml policy.yml\n")
        .skip(1)
        .map(|block| block.split_once("\n```").unwrap().0)
        .collect();
    site.write("policy.yml", &format!("{}\n", policies[0]));
    let program = Path::new(env!("CARGO_BIN_EXE_moby")).parent().unwrap();
    let path = format!("{}:{}", program.display(), std::env::var("PATH").unwrap());
    for command in commands {
        // The images have no kernel, which a tar does not need.
        let more = if command.starts_with("moby build") {
            " -f tar --arch amd64"
        } else {
            ""
        };
        let mut shell = Command::new("sh");
        shell
            .args(["-ec", &format!("{command}{more}")])
            .current_dir(site.path(""))
            .env("PATH", &path);
        shell.env("MOBY_OFFLINE", "1").env("MOBY_CACHE", site.path("cache"));
        let output = shell.output().unwrap();
        assert!(
            output.status.success(),
            "{command}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
    // The other policies are valid, too.
    Sigstore::new(&site).write_root();
    assert_eq!(policies.len(), 3);
    for policy in policies {
        site.write("policy.yml", &format!("{policy}\n"));
        site.write("machine.yml", "trust:\n  policy: policy.yml\n");
        good(site.moby(&["check", "machine.yml"]));
    }
}

/// A certificate authority, a transparency log and a trusted root, made by openssl.
struct Sigstore<'a> {
    site: &'a Site,
    now: u64,
}

impl Sigstore<'_> {
    fn new(site: &Site) -> Sigstore<'_> {
        let mut sigstore = Sigstore { site, now: 0 };
        for (name, curve) in [
            ("root", "P-384"),
            ("authority", "P-384"),
            ("log", "P-256"),
            ("signer", "P-256"),
            ("stranger", "P-256"),
        ] {
            let curve = format!("ec_paramgen_curve:{curve}");
            site.run(
                "openssl",
                &[
                    "genpkey",
                    "-algorithm",
                    "EC",
                    "-pkeyopt",
                    &curve,
                    "-out",
                    &format!("{name}.key"),
                ],
            );
        }
        site.write(
            "extensions",
            "[ca]\nbasicConstraints=critical,CA:TRUE\nkeyUsage=critical,keyCertSign\n\
             [signer]\nkeyUsage=critical,digitalSignature\nextendedKeyUsage=codeSigning\n\
             subjectAltName=critical,URI:https://example.org/ci/release@main\n\
             1.3.6.1.4.1.57264.1.8=ASN1:UTF8String:https://issuer.example.org\n\
             [server]\nextendedKeyUsage=serverAuth\nsubjectAltName=URI:https://example.org/ci/release@main\n\
             1.3.6.1.4.1.57264.1.8=ASN1:UTF8String:https://issuer.example.org\n",
        );
        site.run(
            "openssl",
            &[
                "req", "-new", "-x509", "-sha384", "-days", "9", "-key", "root.key", "-subj", "/CN=root", "-out",
                "root.crt",
            ],
        );
        sigstore.certificate("authority", "ca", "/CN=authority", "root");
        sigstore.certificate("signer", "signer", "/", "authority");
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        sigstore.now = now.unwrap().as_secs();
        sigstore
    }

    /// Has a certificate issued: `name.crt`.
    fn certificate(&self, name: &str, extensions: &str, subject: &str, issuer: &str) {
        let (key, crt, csr) = (format!("{name}.key"), format!("{name}.crt"), format!("{name}.csr"));
        self.site.run(
            "openssl",
            &["req", "-new", "-key", &key, "-subj", subject, "-out", &csr],
        );
        let (ca, ca_key) = (format!("{issuer}.crt"), format!("{issuer}.key"));
        self.site.run(
            "openssl",
            &[
                "x509",
                "-req",
                "-in",
                &csr,
                "-CA",
                &ca,
                "-CAkey",
                &ca_key,
                "-CAcreateserial",
                "-days",
                "3",
                "-sha384",
                "-extfile",
                "extensions",
                "-extensions",
                extensions,
                "-out",
                &crt,
            ],
        );
    }

    fn der(&self, name: &str) -> Vec<u8> {
        self.site
            .run("openssl", &["x509", "-in", &format!("{name}.crt"), "-outform", "DER"])
    }

    fn log_key(&self) -> Vec<u8> {
        self.site
            .run("openssl", &["pkey", "-in", "log.key", "-pubout", "-outform", "DER"])
    }

    fn log_id(&self) -> Vec<u8> {
        Sha256::digest(self.log_key()).to_vec()
    }

    /// Writes `trusted_root.json`.
    fn write_root(&self) {
        let certificate = |name: &str| json!({"rawBytes": BASE64_STANDARD.encode(self.der(name))});
        let valid = json!({"start": "2020-01-01T00:00:00.000Z"});
        let root = json!({
            "mediaType": "application/vnd.dev.sigstore.trustedroot+json;version=0.1",
            "certificateAuthorities": [{
                "certChain": {"certificates": [certificate("authority"), certificate("root")]}, "validFor": valid,
            }],
            "tlogs": [{
                "publicKey": {"rawBytes": BASE64_STANDARD.encode(self.log_key()), "validFor": valid},
                "logId": {"keyId": BASE64_STANDARD.encode(self.log_id())},
            }],
        });
        self.site.write("trusted_root.json", &root.to_string());
    }

    fn sign(&self, bytes: &[u8], key_file: &str) -> String {
        fs::write(self.site.path("bytes"), bytes).unwrap();
        openssl_sign(self.site, "bytes", key_file)
    }

    /// Bundle of a statement, with an entry in the log at a time.
    fn bundle(&self, statement: &Value, certificate: &str, time: u64) -> Value {
        let pem = fs::read(self.site.path(&format!("{certificate}.crt"))).unwrap();
        let signature = self.sign(&encoding(statement), &format!("{certificate}.key"));
        let hex = |bytes: &[u8]| -> String { bytes.iter().map(|byte| format!("{byte:02x}")).collect() };
        let payload = statement.to_string();
        let body = json!({
            "apiVersion": "0.0.1", "kind": "dsse",
            "spec": {
                "payloadHash": {"algorithm": "sha256", "value": hex(&Sha256::digest(payload.as_bytes()))},
                "signatures": [{"signature": signature, "verifier": BASE64_STANDARD.encode(&pem)}],
            },
        });
        let body = body.to_string();
        let promised = format!(
            r#"{{"body":"{}","integratedTime":{time},"logID":"{}","logIndex":7}}"#,
            BASE64_STANDARD.encode(&body),
            hex(&self.log_id())
        );
        let promise = self.sign(promised.as_bytes(), "log.key");
        // A tree of two entries, of which this is the second.
        let other = Sha256::digest(b"\0other");
        let leaf = Sha256::new_with_prefix([0]).chain_update(&body).finalize();
        let root = Sha256::new_with_prefix([1])
            .chain_update(other)
            .chain_update(leaf)
            .finalize();
        let tree = format!("log.example.org - 5\n2\n{}\n", BASE64_STANDARD.encode(root));
        let note = BASE64_STANDARD.decode(self.sign(tree.as_bytes(), "log.key")).unwrap();
        let note = BASE64_STANDARD.encode([&self.log_id()[..4], &note].concat());
        json!({
            "mediaType": crate::common::trust::BUNDLE,
            "verificationMaterial": {
                "certificate": {"rawBytes": BASE64_STANDARD.encode(self.der(certificate))},
                "tlogEntries": [{
                    "logIndex": "7", "logId": {"keyId": BASE64_STANDARD.encode(self.log_id())},
                    "kindVersion": {"kind": "dsse", "version": "0.0.1"}, "integratedTime": time.to_string(),
                    "inclusionPromise": {"signedEntryTimestamp": promise},
                    "inclusionProof": {
                        "logIndex": "1", "rootHash": BASE64_STANDARD.encode(root), "treeSize": "2",
                        "hashes": [BASE64_STANDARD.encode(other)],
                        "checkpoint": {"envelope": format!("{tree}\n\u{2014} log.example.org {note}\n")},
                    },
                    "canonicalizedBody": BASE64_STANDARD.encode(&body),
                }],
            },
            "dsseEnvelope": {
                "payload": BASE64_STANDARD.encode(payload), "payloadType": crate::common::trust::IN_TOTO,
                "signatures": [{"sig": signature}],
            },
        })
    }
}

#[test]
fn keyless_signatures_need_identity_authority_and_log() {
    let (site, mut layout) = site(&["example.org/app:v1"]);
    let digest = digest(&site, "images", "example.org/app:v1");
    let sigstore = Sigstore::new(&site);
    sigstore.write_root();
    let rule = |identity: &str, issuer: &str| {
        site.write(
            "policy.yml",
            &format!(
                "images:\n  - name: example.org/*\n    keyless:\n      - identity: {identity}\n        issuer: {issuer}\n        \
                 trusted-root: trusted_root.json\n"
            ),
        );
    };
    let (identity, issuer) = ("https://example.org/ci/release@main", "https://issuer.example.org");
    let signed = statement(&digest, "example.org/app", SIGNED);
    let image = entry(&site, "images", "example.org/app:v1");
    let mut attach = |bundle: &Value| {
        layout.clear();
        layout.name("example.org/app:v1", image.clone());
        attach_bundle(&mut layout, &digest, bundle.to_string().as_bytes());
    };
    let good_bundle = sigstore.bundle(&signed, "signer", sigstore.now);
    attach(&good_bundle);
    for pattern in [identity, "https://example.org/ci/release@*", "https://example.org/**"] {
        rule(pattern, issuer);
        good(build(&site));
    }
    fs::remove_file(site.path("machine.tar")).unwrap();
    for (identity, issuer, expected) in [
        (
            "https://example.org/ci/other@main",
            issuer,
            "it is by https://example.org/ci/release@main, not by",
        ),
        (
            "https://example.org/ci/*",
            "https://other.example.org",
            "the identity is from https://issuer.example.org, not from",
        ),
    ] {
        rule(identity, issuer);
        let message = refused(build(&site), 1);
        assert!(message.contains(expected), "{message}");
    }
    rule(identity, issuer);
    // Certificates of a stranger, of a server, and of another time.
    site.run(
        "openssl",
        &[
            "req",
            "-new",
            "-x509",
            "-days",
            "9",
            "-key",
            "stranger.key",
            "-subj",
            "/CN=authority",
            "-out",
            "stranger.crt",
        ],
    );
    fs::copy(site.path("signer.key"), site.path("forged.key")).unwrap();
    sigstore.certificate("forged", "signer", "/", "stranger");
    fs::copy(site.path("signer.key"), site.path("server.key")).unwrap();
    sigstore.certificate("server", "server", "/", "authority");
    let later = sigstore.now + 60;
    for (certificate, time, expected) in [
        ("forged", later, "its certificate is from an unknown authority"),
        ("server", later, "it is not for signing code"),
        ("signer", sigstore.now - 86_400, "was not valid when it was logged"),
        (
            "signer",
            0,
            "neither the log nor a timestamp authority has signed its time",
        ),
    ] {
        attach(&sigstore.bundle(&signed, certificate, time));
        let message = refused(build(&site), 1);
        assert!(message.contains(expected), "{expected}: {message}");
    }
    // Each part of the evidence, changed.
    let entry = "/verificationMaterial/tlogEntries/0";
    let (zeros, number) = (json!(BASE64_STANDARD.encode([0; 32])), json!("3"));
    for (path, value, expected) in [
        ("/logId/keyId", zeros.clone(), "its log is unknown"),
        ("/logIndex", number.clone(), "the signed time is not by the log"),
        (
            "/inclusionProof/rootHash",
            zeros.clone(),
            "its proof of inclusion is wrong",
        ),
        ("/inclusionProof/treeSize", number, "its proof of inclusion is wrong"),
        ("/inclusionProof/hashes", json!([]), "its proof of inclusion is wrong"),
        ("/inclusionProof/checkpoint", Value::Null, "has no checkpoint"),
        ("/inclusionProof", Value::Null, "its proof of inclusion is missing"),
        (
            "/inclusionPromise",
            Value::Null,
            "neither the log nor a timestamp authority has signed its time",
        ),
    ] {
        let mut changed = good_bundle.clone();
        *changed.pointer_mut(&format!("{entry}{path}")).unwrap() = value;
        attach(&changed);
        let message = refused(build(&site), 1);
        assert!(message.contains(expected), "{path}: {message}");
    }
    let mut unlogged = good_bundle.clone();
    *unlogged.pointer_mut("/verificationMaterial/tlogEntries").unwrap() = json!([]);
    attach(&unlogged);
    assert!(refused(build(&site), 1).contains("it has no log entry"));
    // The log entry of another signature.
    let other = sigstore.bundle(&statement(&digest, "", SIGNED), "signer", sigstore.now);
    let mut swapped = good_bundle.clone();
    *swapped.pointer_mut(entry).unwrap() = other.pointer(entry).unwrap().clone();
    attach(&swapped);
    assert!(refused(build(&site), 1).contains("its log entry is for other content: its hash differs"));
    // For another image, by the right signer.
    attach(&sigstore.bundle(&statement(&digest, "example.org/other", SIGNED), "signer", sigstore.now));
    assert!(refused(build(&site), 1).contains("is for the image example.org/other"));
    // A rule with keys, and one with identities.
    attach(&good_bundle);
    policy(&site, "example.org/*", &key("p256.pub"));
    assert!(refused(build(&site), 1).contains("a signature is keyless, and the rule names keys only"));
    rule(identity, issuer);
    good(build(&site));
    site.write("trusted_root.json", "{}");
    let message = refused(build(&site), 2);
    assert!(
        message.contains("policy.yml:6:23") && message.contains("cannot use the trusted root trusted_root.json"),
        "{message}"
    );
}
