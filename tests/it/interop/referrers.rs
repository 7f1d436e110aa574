//! SBOMs, provenance and signatures that refer to an image in a registry.

use std::fs;
use std::process::Output;

use serde_json::Value;

use crate::common::layout::digest as digest_of;
use crate::common::registry::{Action, Proxy, Registry, Response};
use crate::common::site::{Site, good, refused};
use crate::common::trust::{self, digest, key, sign};

fn moby(site: &Site, arguments: &[&str]) -> Output {
    super::registry::command(site, arguments).output().unwrap()
}

/// Reads a manifest by skopeo.
fn raw(site: &Site, name: &str) -> Vec<u8> {
    let from = format!("docker://{name}");
    site.run(
        "skopeo",
        &["--insecure-policy", "inspect", "--raw", "--tls-verify=false", &from],
    )
}

fn json(site: &Site, name: &str) -> Value {
    serde_json::from_slice(&raw(site, name)).unwrap()
}

/// A site with an image `m:latest` in its cache, which a build wrote, and the documents of the build.
fn site() -> Site {
    let site = Site::new();
    let key = key("p256.key");
    let arguments = [
        "-f",
        "oci",
        "--sbom",
        "spdx,cyclonedx",
        "--provenance",
        "--provenance-key",
        &key,
        "--name",
        "m",
        "machine.yml",
    ];
    good(site.build(&arguments));
    good(site.moby(&["cache", "import", "m-oci.tar"]));
    site
}

/// Artifact types of the documents of a build.
const DOCUMENTS: [(&str, &str); 4] = [
    ("m.spdx.json", "application/spdx+json"),
    ("m.cdx.json", "application/vnd.cyclonedx+json"),
    ("m.provenance.json", "application/vnd.in-toto+json"),
    ("m.provenance.sigstore.json", trust::BUNDLE),
];

#[test]
fn documents_are_attached_under_the_tag_of_their_image() {
    let site = site();
    let registry = Registry::start(&site.path(""), "", "");
    let name = format!("{}/team/m:v1", registry.host());
    let push = |documents: &[&str]| {
        let mut arguments = vec!["cache", "push", "m:latest", &name];
        arguments.extend(documents.iter().flat_map(|document| ["--attach", document]));
        moby(&site, &arguments)
    };
    good(push(&["m.spdx.json", "m.cdx.json"]));
    let image = raw(&site, &name);
    let subject = digest_of(&image);
    let tag = format!("{}/team/m:{}", registry.host(), subject.replace(':', "-"));
    assert_eq!(json(&site, &tag)["manifests"].as_array().unwrap().len(), 2);
    // What is there stays, and nothing is listed twice.
    good(push(&["m.provenance.json", "m.provenance.sigstore.json", "m.cdx.json"]));
    let index = raw(&site, &tag);
    good(push(&[]));
    good(push(&["m.spdx.json"]));
    assert!(raw(&site, &tag) == index);
    let index: Value = serde_json::from_slice(&index).unwrap();
    assert_eq!(index["mediaType"], "application/vnd.oci.image.index.v1+json");
    let listed = index["manifests"].as_array().unwrap();
    assert_eq!(listed.len(), DOCUMENTS.len(), "{index:#}");
    for ((file, artifact_type), listed) in DOCUMENTS.iter().zip(listed) {
        assert_eq!(listed["artifactType"], *artifact_type, "{listed:#}");
        let digest = listed["digest"].as_str().unwrap();
        let manifest = json(&site, &format!("{}/team/m@{digest}", registry.host()));
        assert_eq!(manifest["artifactType"], *artifact_type, "{manifest:#}");
        assert_eq!(manifest["subject"]["digest"], subject.as_str(), "{manifest:#}");
        assert_eq!(manifest["subject"]["size"], image.len(), "{manifest:#}");
        assert_eq!(manifest["annotations"], listed["annotations"]);
        let layer = &manifest["layers"][0];
        assert_eq!(layer["mediaType"], *artifact_type, "{manifest:#}");
        assert_eq!(layer["annotations"]["org.opencontainers.image.title"], *file);
        // skopeo copies the document as it does any image.
        let from = format!("docker://{}/team/m@{digest}", registry.host());
        let to = format!("dir:{file}.copied");
        site.run(
            "skopeo",
            &["--insecure-policy", "copy", "-q", "--src-tls-verify=false", &from, &to],
        );
        let blob = layer["digest"].as_str().unwrap().trim_start_matches("sha256:");
        let copied = fs::read(site.path(&format!("{file}.copied")).join(blob)).unwrap();
        assert!(copied == fs::read(site.path(file)).unwrap(), "{file}");
    }
    let slsa = "https://slsa.dev/provenance/v1";
    assert_eq!(listed[2]["annotations"]["in-toto.io/predicate-type"], slsa);
    assert_eq!(listed[3]["annotations"]["dev.sigstore.bundle.predicateType"], slsa);
}

#[test]
fn documents_about_something_else_are_refused() {
    let site = site();
    site.write("text.json", "an SBOM");
    site.write("other.json", "{\"bomFormat\": \"other\"}");
    good(site.build(&["-f", "tar", "--provenance", "--name", "other", "machine.yml"]));
    good(site.moby(&["sign", "m-oci.tar", "--key", &key("p256.key")]));
    for (file, expected) in [
        ("text.json", "cannot attach text.json: it is not JSON"),
        ("other.json", "cannot attach other.json: it is of an unknown kind"),
        ("none.json", "cannot attach none.json: No such file"),
        (
            "other.provenance.json",
            "cannot attach other.provenance.json: it is about other.tar (sha256:",
        ),
        ("m-oci.tar.sigstore.json", "the bundle has no in-toto statement"),
    ] {
        // Nothing is pushed: no registry is there.
        let arguments = ["cache", "push", "m:latest", "127.0.0.1:1/m:v1", "--attach", file];
        let message = refused(moby(&site, &arguments), 1);
        assert!(message.contains(expected), "{message}");
    }
}

#[test]
fn a_registry_that_lists_referrers_needs_no_tag() {
    let site = site();
    let registry = Registry::start(&site.path(""), "", "");
    // docker-registry stores a manifest under any name; one that knows subjects says so.
    let proxy = Proxy::start(&registry, |_, head| {
        if head.line.starts_with("PUT") && head.line.contains("/manifests/sha256:") {
            Action::Respond(Response {
                status: "201 Created",
                headers: "OCI-Subject: sha256:00\r\n".into(),
                body: String::new(),
            })
        } else {
            Action::Pass
        }
    });
    let name = format!("{}/team/m:v1", proxy.host());
    good(moby(
        &site,
        &["cache", "push", "m:latest", &name, "--attach", "m.spdx.json"],
    ));
    let requests = proxy.requests.lock().unwrap().join("\n");
    assert!(requests.contains("PUT /v2/team/m/manifests/sha256:"), "{requests}");
    assert!(!requests.contains("/manifests/sha256-"), "{requests}");
}

#[test]
fn all_pages_of_referrers_are_read() {
    let (site, _) = trust::site(&["example.org/app:v1"]);
    let registry = Registry::start(&site.path(""), "", "");
    sign(&site, "example.org/app:v1", "p256.key");
    let subject = digest(&site, "images", "example.org/app:v1");
    good(moby(&site, &["--cache", "signed", "cache", "import", "images"]));
    let name = format!("{}/team/app:v1", registry.host());
    let arguments = ["--cache", "signed", "cache", "push", "example.org/app:v1", &name];
    good(moby(&site, &arguments));
    let tag = format!("{}/team/app:{}", registry.host(), subject.replace(':', "-"));
    let index = String::from_utf8(raw(&site, &tag)).unwrap();
    // Three pages; the signature is on the last.
    let path = format!("/v2/team/app/referrers/{subject}");
    let proxy = Proxy::start(&registry, move |_, head| {
        let page = |next: &str, body: &str| {
            let link = match next {
                "" => String::new(),
                next => format!("Link: <{next}>; rel=\"next\"\r\n"),
            };
            Action::Respond(Response {
                status: "200 OK",
                headers: format!("Content-Type: application/vnd.oci.image.index.v1+json\r\n{link}"),
                body: body.to_owned(),
            })
        };
        let empty = r#"{"schemaVersion":2,"manifests":[]}"#;
        if head.line.contains(&format!("{path}?page=3")) {
            page("", &index)
        } else if head.line.contains(&format!("{path}?page=2")) {
            page("?page=3", empty)
        } else if head.line.contains(&path) {
            page(&format!("{path}?page=2"), empty)
        } else if head.line.contains("/referrers/") {
            page("", empty)
        } else if head.line.contains("/manifests/sha256-") {
            Action::Respond(Response {
                status: "404 Not Found",
                headers: String::new(),
                body: "{}".into(),
            })
        } else {
            Action::Pass
        }
    });
    let host = proxy.host();
    let rule = format!("name: {host}/**\n    signed-as: '**'\n    keys: [{}]", key("p256.pub"));
    site.write("policy.yml", &format!("images:\n  - {rule}\n"));
    let name = format!("{host}/team/app:v1");
    good(moby(
        &site,
        &["--cache", "pulled", "cache", "pull", &name, "--arch", "amd64"],
    ));
    let verify = ["--cache", "pulled", "cache", "verify", "--policy", "policy.yml"];
    good(moby(&site, &verify));
    let requests = proxy.requests.lock().unwrap().join("\n");
    assert!(requests.contains("?page=3"), "{requests}");
}

#[test]
fn endless_pages_of_referrers_are_an_error() {
    let (site, _) = trust::site(&["example.org/app:v1"]);
    let registry = Registry::start(&site.path(""), "", "");
    good(moby(&site, &["cache", "import", "images"]));
    let name = format!("{}/team/app:v1", registry.host());
    good(moby(&site, &["cache", "push", "example.org/app:v1", &name]));
    let entry = format!(
        r#"{{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":"sha256:{}","size":1}}"#,
        "0".repeat(64)
    );
    let body = format!(
        r#"{{"schemaVersion":2,"manifests":[{}]}}"#,
        vec![entry; 30_000].join(",")
    );
    let proxy = Proxy::start(&registry, move |_, head| {
        if head.line.contains("/referrers/") {
            Action::Respond(Response {
                status: "200 OK",
                headers: "Link: <?again>; rel=\"next\"\r\n".into(),
                body: body.clone(),
            })
        } else {
            Action::Pass
        }
    });
    let name = format!("{}/team/app:v1", proxy.host());
    let output = moby(&site, &["--cache", "pulled", "cache", "pull", &name, "--arch", "amd64"]);
    let message = String::from_utf8_lossy(&output.stderr).into_owned();
    // The image itself is usable.
    assert!(output.status.success(), "{message}");
    assert!(message.contains("lists more than 100000 referrers"), "{message}");
}

#[test]
fn an_index_that_cannot_be_read_is_not_replaced() {
    let site = site();
    let registry = Registry::start(&site.path(""), "", "");
    let proxy = Proxy::start(&registry, |_, head| {
        if head.line.starts_with("GET") && head.line.contains("/manifests/sha256-") {
            Action::Respond(Response {
                status: "403 Forbidden",
                headers: String::new(),
                body: "{}".into(),
            })
        } else {
            Action::Pass
        }
    });
    let name = format!("{}/team/m:v1", proxy.host());
    let push = ["cache", "push", "m:latest", &name, "--attach", "m.spdx.json"];
    let message = refused(moby(&site, &push), 1);
    assert!(message.contains("denies access to team/m"), "{message}");
    let requests = proxy.requests.lock().unwrap().join("\n");
    assert!(!requests.contains("PUT /v2/team/m/manifests/sha256-"), "{requests}");
}
