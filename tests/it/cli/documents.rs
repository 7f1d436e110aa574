//! Documents beside the outputs of a build: SBOMs, provenance, sources of files.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::fs;

#[cfg(feature = "sign")]
use base64::prelude::{BASE64_STANDARD, Engine};
use serde_json::Value;

#[cfg(feature = "inspect")]
use crate::common::formats::{FORMATS, groups};
#[cfg(feature = "inspect")]
use crate::common::images;
use crate::common::layout::{Layer, Layout, digest, tar};
use crate::common::site::{Site, files, good, refused};
#[cfg(feature = "sign")]
use crate::common::trust;

const YAML: &str = "init: [\"example.org/init:1\"]
services:
- {name: app, image: \"example.org/app:1\"}
files:
- {path: etc/motd, contents: hello}
- {path: etc/noise, source: noise}
";
const STATUS: &[u8] = b"Package: hello\nStatus: install ok installed\nVersion: 2.10-3\nArchitecture: amd64\n";

/// A site with two images, the second of two layers, and the digests of its manifest and its layers.
fn site() -> (Site, [String; 3]) {
    let site = Site::new();
    let mut layout = Layout::new(&site.path("layout"));
    let init = layout.manifest("amd64", &[Layer::plain(&tar(&[(b'0', "sbin/init", "", b"init")]))]);
    layout.name("example.org/init:1", init);
    let low = Layer::plain(&tar(&[
        (b'0', "bin/a", "", b"a"),
        (b'0', "bin/b", "", b"b"),
        (b'0', "var/lib/dpkg/status", "", STATUS),
    ]));
    let high = Layer::plain(&tar(&[(b'0', "bin/b", "", b"newer")]));
    let layers = [low.diff_id.clone(), high.diff_id.clone()];
    let app = layout.manifest("amd64", &[low, high]);
    let manifest = app["digest"].as_str().unwrap().to_owned();
    layout.name("example.org/app:1", app);
    site.write("m.yml", YAML);
    site.write("noise", "noise");
    let [low, high] = layers;
    (site, [manifest, low, high])
}

const BUILD: [&str; 4] = ["--arch", "amd64", "--layout", "layout"];

fn build(site: &Site, arguments: &[&str]) {
    good(site.build(&[&BUILD[..], arguments, &["m.yml"]].concat()));
}

fn json(site: &Site, name: &str) -> Value {
    serde_json::from_slice(&fs::read(site.path(name)).unwrap()).unwrap()
}

#[test]
fn a_build_writes_the_documents_that_are_asked_for() {
    let (site, _) = site();
    build(&site, &["-f", "kernel+initrd", "--dir", "none"]);
    assert_eq!(files(&site.path("none")), ["m-initrd.img"]);
    build(&site, &["--sbom", "spdx", "--dir", "one"]);
    assert_eq!(files(&site.path("one")), ["m-initrd.img", "m.spdx.json"]);
    let all = [
        "--sbom",
        "spdx,cyclonedx",
        "--provenance",
        "-f",
        "kernel+initrd,tar",
        "--dir",
        "all",
    ];
    build(&site, &all);
    let expected = [
        "m-initrd.img",
        "m.cdx.json",
        "m.provenance.json",
        "m.sources.json",
        "m.spdx.json",
        "m.tar",
    ];
    assert_eq!(files(&site.path("all")), expected);
    // The outputs are the same without them.
    let read = |path: &str| fs::read(site.path(path)).unwrap();
    assert!(read("none/m-initrd.img") == read("all/m-initrd.img"));
    build(&site, &["--provenance", "-o", "disk.tar"]);
    assert!(site.path("disk.tar.provenance.json").is_file() && site.path("disk.tar.sources.json").is_file());
    let message = refused(
        site.build(&[&BUILD[..], &["--provenance", "-o", "-", "m.yml"]].concat()),
        2,
    );
    assert!(message.contains("standard output"), "{message}");
    refused(site.build(&[&BUILD[..], &["--sbom", "xml", "m.yml"]].concat()), 2);
}

#[test]
fn documents_are_the_same_in_every_directory_and_with_any_number_of_threads() {
    let ((one, _), (two, _)) = (site(), site());
    let documents = |site: &Site, jobs: &str, epoch: &str| {
        let arguments = ["--sbom", "spdx,cyclonedx", "--provenance", "-f", "tar", "--jobs", jobs];
        let all = [&["-q", "build", "--rebuild"], &BUILD[..], &arguments, &["m.yml"]].concat();
        let mut command = site.command(&all);
        good(command.env("SOURCE_DATE_EPOCH", epoch).output().unwrap());
        ["m.spdx.json", "m.cdx.json", "m.provenance.json", "m.sources.json"].map(|name| json(site, name))
    };
    let first = documents(&one, "1", "");
    assert_eq!(first, documents(&two, "3", ""));
    assert_eq!(first[0]["creationInfo"]["created"], "2017-04-18T16:30:00Z");
    let dated = documents(&one, "1", "1000000000");
    assert_eq!(dated[0]["creationInfo"]["created"], "2001-09-09T01:46:40Z");
    assert_eq!(dated[1]["metadata"]["timestamp"], "2001-09-09T01:46:40Z");
    assert_ne!(first[0]["documentNamespace"], dated[0]["documentNamespace"]);
}

#[test]
fn provenance_names_inputs_and_outputs_by_digest() {
    let (site, [manifest, low, high]) = site();
    build(
        &site,
        &[
            "--sbom",
            "spdx",
            "--provenance",
            "-f",
            "kernel+initrd,tar",
            "--compress",
            "gzip:3",
        ],
    );
    let statement = json(&site, "m.provenance.json");
    assert_eq!(statement["_type"], "https://in-toto.io/Statement/v1");
    assert_eq!(statement["predicateType"], "https://slsa.dev/provenance/v1");
    let hex = |name: &str| digest(&fs::read(site.path(name)).unwrap()).replace("sha256:", "");
    let listed = |list: &Value| -> Vec<(String, String)> {
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let list = list.as_array().unwrap().iter();
        list.map(|item| (text(&item["name"]), text(&item["digest"]["sha256"])))
            .collect()
    };
    let of = |names: &[&str]| {
        names
            .iter()
            .map(|name| ((*name).to_owned(), hex(name)))
            .collect::<Vec<_>>()
    };
    assert_eq!(listed(&statement["subject"]), of(&["m-initrd.img", "m.tar"]));
    let run = &statement["predicate"]["runDetails"];
    assert_eq!(listed(&run["byproducts"]), of(&["m.spdx.json", "m.sources.json"]));
    assert!(run["builder"]["id"].as_str().unwrap().starts_with("https://"));
    assert!(run["metadata"].is_null());
    let definition = &statement["predicate"]["buildDefinition"];
    assert!(definition["buildType"].as_str().unwrap().starts_with("https://"));
    let options = &definition["externalParameters"]["options"];
    assert_eq!(options["format"], serde_json::json!(["kernel+initrd", "tar"]));
    assert_eq!(options["compress"], "gzip:3");
    let configuration = &definition["externalParameters"]["configuration"];
    assert_eq!(configuration["services"][0]["name"], "app");
    let dependencies = definition["resolvedDependencies"].as_array().unwrap();
    let names: Vec<_> = dependencies.iter().map(|item| item["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["example.org/app:1", "example.org/init:1", "noise"]);
    assert_eq!(dependencies[0]["digest"]["sha256"], manifest.replace("sha256:", ""));
    assert_eq!(
        dependencies[0]["annotations"]["diffIds"],
        serde_json::json!([low, high])
    );
    assert_eq!(dependencies[0]["annotations"]["sections"][0], "services[0].image");
    assert_eq!(dependencies[2]["digest"]["sha256"], hex("noise"));
}

#[cfg(feature = "sign")]
#[test]
fn provenance_is_signed_as_a_bundle() {
    let (site, _) = site();
    let key = trust::key("p256.key");
    build(&site, &["--provenance", "--provenance-key", &key, "-f", "tar"]);
    let bundle = json(&site, "m.provenance.sigstore.json");
    let envelope = &bundle["dsseEnvelope"];
    assert_eq!(envelope["payloadType"], trust::IN_TOTO);
    let statement = fs::read(site.path("m.provenance.json")).unwrap();
    let payload = BASE64_STANDARD.decode(envelope["payload"].as_str().unwrap()).unwrap();
    assert!(payload == statement);
    let head = format!(
        "DSSEv1 {} {} {} ",
        trust::IN_TOTO.len(),
        trust::IN_TOTO,
        statement.len()
    );
    let encoded = [head.as_bytes(), &statement].concat();
    assert_eq!(
        envelope["signatures"][0]["sig"].as_str().unwrap(),
        trust::sign_bytes(&site, &encoded, "p256.key")
    );
    let without = ["--provenance-key", &key, "m.yml"];
    refused(site.build(&[&BUILD[..], &without].concat()), 2);
    let wrong = ["--provenance", "--provenance-key", "noise", "m.yml"];
    let message = refused(site.build(&[&BUILD[..], &wrong].concat()), 1);
    assert!(message.contains("cannot use the key noise"), "{message}");
}

#[test]
fn sboms_list_packages_by_image() {
    let (site, [manifest, ..]) = site();
    build(&site, &["--sbom", "spdx,cyclonedx"]);
    let spdx = json(&site, "m.spdx.json");
    let packages = spdx["packages"].as_array().unwrap();
    let of = |name: &str| packages.iter().find(|package| package["name"] == name).unwrap();
    assert_eq!(of("example.org/app:1")["versionInfo"], manifest);
    assert_eq!(of("hello")["versionInfo"], "2.10-3");
    assert_eq!(
        of("hello")["sourceInfo"],
        "found in /var/lib/dpkg; built from the source package hello"
    );
    let contains = |from: &Value, to: &Value| {
        let relationships = spdx["relationships"].as_array().unwrap();
        relationships.iter().any(|relationship| {
            relationship["spdxElementId"] == from["SPDXID"]
                && relationship["relationshipType"] == "CONTAINS"
                && relationship["relatedSpdxElement"] == to["SPDXID"]
        })
    };
    assert!(contains(of("m"), of("example.org/app:1")) && contains(of("example.org/app:1"), of("hello")));
    assert!(!contains(of("example.org/init:1"), of("hello")));
    let cyclonedx = json(&site, "m.cdx.json");
    let components = cyclonedx["components"].as_array().unwrap();
    let hello = components
        .iter()
        .find(|component| component["name"] == "hello")
        .unwrap();
    assert_eq!(hello["purl"], "pkg:deb/debian/hello@2.10-3?arch=amd64");
}

#[test]
fn an_image_with_attestations_and_one_with_an_rpm_database_say_so() {
    let (site, _) = site();
    let mut layout = Layout::new(&site.path("more"));
    let image = layout.manifest("amd64", &[Layer::plain(&tar(&[(b'0', "a", "", b"a")]))]);
    let document = serde_json::json!({
        "packages": [{
            "SPDXID": "SPDXRef-x",
            "name": "attested",
            "versionInfo": "7",
            "externalRefs": [{"referenceType": "purl", "referenceLocator": "pkg:npm/attested@7"}],
        }],
    });
    let attestation = layout.attestation(&image, &document);
    let index = layout.index(&[image, attestation]);
    layout.name("example.org/attested:1", index);
    let rpm = Layer::plain(&tar(&[(b'0', "var/lib/rpm/rpmdb.sqlite", "", b"SQLite")]));
    let rpm = layout.manifest("amd64", &[rpm]);
    layout.name("example.org/rpm:1", rpm);
    site.write("m.yml", "init: [\"example.org/attested:1\", \"example.org/rpm:1\"]\n");
    build(&site, &["--layout", "more", "--sbom", "spdx"]);
    let text = fs::read_to_string(site.path("m.spdx.json")).unwrap();
    assert!(text.contains("pkg:npm/attested@7"), "{text}");
    assert!(
        text.contains("not read: var/lib/rpm/rpmdb.sqlite (corrupt RPM database)"),
        "{text}"
    );
}

#[cfg(feature = "inspect")]
#[test]
fn the_source_of_every_file_is_found_beside_any_output() {
    let (site, [manifest, low, high]) = site();
    build(&site, &["--provenance", "-f", "kernel+initrd,tar,kernel+squashfs"]);
    for output in ["m-initrd.img", "m.tar", "m-squashfs.img"] {
        if !site.path(output).exists() {
            continue;
        }
        let sources = |path: &str| {
            let argument = format!("--sources={path}");
            String::from_utf8(good(site.moby(&["inspect", &argument, output]))).unwrap()
        };
        let a = sources("/containers/services/app/lower/bin/a");
        let image = format!("example.org/app:1@{manifest}");
        assert!(
            a.contains("services[0]") && a.contains(&image) && a.contains(&low),
            "{a}"
        );
        let both = sources("containers/services/app/lower/bin");
        assert!(
            both.contains(&low) && both.contains(&high) && both.lines().count() == 3,
            "{both}"
        );
        assert!(sources("etc/motd").contains("files[0]"));
    }
    let all = String::from_utf8(good(site.moby(&["inspect", "--sources", "m.tar"]))).unwrap();
    assert!(all.contains("sbom.spdx.json") && all.contains("(moby)"), "{all}");
    // A document about another build is not believed.
    site.write("m.yml", &YAML.replace("hello", "changed"));
    build(&site, &["-f", "tar"]);
    let message = refused(site.moby(&["inspect", "--sources", "m.tar"]), 1);
    assert!(message.contains("another build"), "{message}");
    fs::remove_file(site.path("m.sources.json")).unwrap();
    let message = refused(site.moby(&["inspect", "--sources", "m.tar"]), 1);
    assert!(message.contains("--provenance"), "{message}");
}

#[cfg(feature = "inspect")]
#[test]
fn an_sbom_is_made_of_any_output() {
    let (site, _) = site();
    build(&site, &["-f", "tar,kernel+initrd"]);
    for output in ["m.tar", "m-initrd.img"] {
        for format in ["--sbom", "--sbom=cyclonedx"] {
            let text = String::from_utf8(good(site.moby(&["inspect", format, output]))).unwrap();
            assert!(text.contains("pkg:deb/debian/hello@2.10-3"), "{text}");
            assert!(text.contains("containers/services/app/lower/var/lib/dpkg"), "{text}");
        }
    }
}

#[cfg(feature = "inspect")]
#[test]
fn an_sbom_is_made_of_an_image() {
    let (site, _) = site();
    let inspect = |arguments: &[&str]| site.moby(&[&["inspect"], arguments].concat());
    let image = ["example.org/app:1", "--arch", "amd64", "--layout", "layout"];
    for format in ["--sbom", "--sbom=cyclonedx"] {
        let text = String::from_utf8(good(inspect(&[&[format], &image[..]].concat()))).unwrap();
        assert!(text.contains("pkg:deb/debian/hello@2.10-3?arch=amd64"), "{text}");
        assert!(text.contains("example.org/app:1") && !text.contains("lower/"), "{text}");
    }
    // An attestation counts more than files.
    let mut layout = Layout::new(&site.path("more"));
    let manifest = layout.manifest("amd64", &[Layer::plain(&tar(&[(b'0', "a", "", b"a")]))]);
    let document = serde_json::json!({"packages": [{"SPDXID": "SPDXRef-x", "name": "attested", "versionInfo": "7"}]});
    let attestation = layout.attestation(&manifest, &document);
    let index = layout.index(&[manifest, attestation]);
    layout.name("example.org/attested:1", index);
    let attested = [
        "--sbom",
        "example.org/attested:1",
        "--arch",
        "amd64",
        "--layout",
        "more",
    ];
    let text = String::from_utf8(good(inspect(&attested))).unwrap();
    assert!(text.contains("attested") && text.contains("image's own SBOM"), "{text}");
    let message = refused(inspect(&["--sbom", "example.org/none:1", "--layout", "layout"]), 1);
    assert!(message.contains("no image example.org/none:1"), "{message}");
    let message = refused(inspect(&["example.org/app:1", "--layout", "layout"]), 2);
    assert!(message.contains("--sbom"), "{message}");
}

/// Every output of every format says which packages are in it, and where a file is from.
#[cfg(feature = "inspect")]
#[test]
fn every_format_has_sources_and_an_sbom() {
    let site = Site::new();
    images::write(&mut Layout::new(&site.path("layout")));
    let mut more = Layout::new(&site.path("more"));
    let manifests = ["amd64", "arm64"].map(|arch| {
        let files = tar(&[(b'0', "etc/app", "", b"app"), (b'0', "var/lib/dpkg/status", "", STATUS)]);
        more.manifest(arch, &[Layer::plain(&files)])
    });
    let index = more.index(&manifests);
    more.name("example.org/packaged:1", index);
    site.write(
        "m.yml",
        "kernel: {image: \"example.org/kernel:built-in\", cmdline: console=ttyS0, binary: kernel.gz}\n\
         boot: {bios: \"example.org/syslinux:1\", efi: \"example.org/systemd-boot:1\", \
         initrd: \"example.org/initrd:1\", rpi: \"example.org/rpi-firmware:1\"}\n\
         init: [\"example.org/init:1\"]\nservices:\n- {name: app, image: \"example.org/packaged:1\"}\n",
    );
    let digest = manifests[0]["digest"].as_str().unwrap();
    let (mut outputs, mut number) = (0, 0);
    for arch in ["amd64", "arm64"] {
        // What amd64 has is enough of arm64, too.
        let chosen = FORMATS
            .iter()
            .filter(|format| format.arches.contains(&arch) && (arch == "amd64" || !format.arches.contains(&"amd64")));
        for formats in groups(chosen, usize::MAX) {
            number += 1;
            let directory = number.to_string();
            let names: Vec<&str> = formats.iter().map(|format| format.name).collect();
            let names = names.join(",");
            let build = [
                "--arch",
                arch,
                "--layout",
                "layout",
                "--layout",
                "more",
                "--no-sbom",
                "--provenance",
            ];
            good(site.build(&[&build[..], &["-f", &names, "--dir", &directory, "m.yml"]].concat()));
            for file in formats.iter().flat_map(|format| &format.files) {
                let output = format!("{directory}/m{file}");
                if !site.path(&output).exists() {
                    continue;
                }
                outputs += 1;
                let inspect = |option: &str| String::from_utf8(good(site.moby(&["inspect", option, &output]))).unwrap();
                let found = inspect("--sources=containers/services/app/lower/etc/app");
                assert!(
                    found.contains("services[0]") && found.contains("example.org/packaged:1@"),
                    "{output}: {found}"
                );
                assert!(arch != "amd64" || found.contains(digest), "{output}: {found}");
                let sbom = inspect("--sbom");
                let is_part =
                    ["-kernel", "-cmdline"].contains(file) || file.contains("-initrd.img") && *file != "-initrd.img";
                assert!(
                    is_part || sbom.contains("pkg:deb/debian/hello@2.10-3"),
                    "{output}: {sbom}"
                );
                let has_kernel = ["-kernel", ".efi", "-initrd.tar"].contains(file)
                    || formats
                        .iter()
                        .any(|format| format.boots() && format.files.contains(file));
                assert!(!has_kernel || sbom.contains("pkg:generic/linux@"), "{output}: {sbom}");
            }
        }
    }
    assert!(outputs > 40, "{outputs}");
}
