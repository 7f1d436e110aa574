//! The SBOM of a system.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::fs;
use std::io::Read;

use serde_json::Value;

use crate::common::site::{Site, good};

/// Builds a YAML to a tar and reads the SBOM in it.
fn sbom(site: &Site, yaml: &str) -> Value {
    site.write("a.yml", yaml);
    good(site.build(&["-f", "tar", "-o", "out.tar", "a.yml"]));
    let archive = fs::read(site.path("out.tar")).unwrap();
    for entry in tar::Archive::new(archive.as_slice()).entries().unwrap() {
        let mut entry = entry.unwrap();
        if entry.path_bytes().as_ref() == b"sbom.spdx.json" {
            let mut text = String::new();
            entry.read_to_string(&mut text).unwrap();
            return serde_json::from_str(&text).unwrap();
        }
    }
    panic!("there is no SBOM");
}

#[test]
fn debian_packages_are_listed_where_they_are() {
    let site = Site::new();
    site.package(
        "deb",
        "  - file: /var/lib/dpkg/status.d/hello\n    contents: \"Package: hello\\nVersion: 2.10-3\\nArchitecture: amd64\\n\"\n  \
         - file: /etc/os-release\n    contents: \"ID=debian\\n\"\n",
    );
    site.package(
        "dpkg",
        "  - file: /var/lib/dpkg/status\n    contents: \"Package: a\\nStatus: install ok installed\\nVersion: 1\\n\\nPackage: b\\nStatus: deinstall ok config-files\\nVersion: 2\\n\"\n",
    );
    let yaml = "init: [\"@pkg:deb\"]\nonboot:\n  - {name: one, image: \"@pkg:deb\"}\nservices:\n  - {name: two, image: \"@pkg:dpkg\"}\n";
    let sbom = sbom(&site, yaml);
    let packages = sbom["packages"].as_array().unwrap();
    let found: Vec<_> = packages
        .iter()
        .map(|package| {
            let text = |key: &str| package[key].as_str().unwrap_or_default();
            (text("name"), text("versionInfo"), text("packageFileName"))
        })
        .collect();
    let expected = [
        ("hello", "2.10-3", ""),
        ("hello", "2.10-3", "containers/onboot/000-one/lower"),
        ("a", "1", "containers/services/two/lower"),
    ];
    assert_eq!(found, expected);
    assert_eq!(
        packages[0]["externalRefs"][0]["referenceLocator"],
        "pkg:deb/debian/hello@2.10-3?arch=amd64"
    );
    let mut ids: Vec<_> = packages
        .iter()
        .map(|package| package["SPDXID"].as_str().unwrap())
        .collect();
    ids.dedup();
    assert_eq!(ids.len(), 3);
    for (package, relationship) in packages.iter().zip(sbom["relationships"].as_array().unwrap()) {
        assert_eq!(relationship["relatedSpdxElement"], package["SPDXID"]);
    }
    let creators = sbom["creationInfo"]["creators"].to_string();
    assert!(
        creators.contains("Tool: moby-") && !creators.contains("linuxkit"),
        "{creators}"
    );
}
