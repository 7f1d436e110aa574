//! SBOM of a system: one SPDX document (SPDX 2.3, JSON) of the documents of its images, with paths in the
//! system, and of the Debian packages of images without a document.

use extents::Extents;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};
use tree::{Kind, Tree};

use super::Builder;
use crate::config::canonical;
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::sbom::{distribution, dpkg};

/// Lists that are taken from the documents of the images.
const LISTS: [&str; 6] = [
    "packages",
    "files",
    "hasExtractedLicensingInfos",
    "relationships",
    "annotations",
    "externalDocumentRefs",
];

/// Documents of the images.
#[derive(Clone, Debug, Default)]
pub(super) struct Sbom(Vec<Value>);

impl Sbom {
    /// Adds a document about an image that was unpacked at `prefix`.
    fn add(&mut self, prefix: &str, mut document: Value) {
        for (list, field) in [("packages", "packageFileName"), ("files", "fileName")] {
            let items = document.get_mut(list).and_then(Value::as_array_mut);
            for item in items.into_iter().flatten().filter_map(Value::as_object_mut) {
                let name = item.get(field).and_then(Value::as_str).unwrap_or_default();
                let path = joined(prefix, name);
                if !path.is_empty() {
                    item.insert(field.into(), path.into());
                }
            }
        }
        self.0.push(document);
    }

    /// Builds the document of the system. Its namespace is derived from its content, so that a repeated
    /// build gives the same bytes.
    fn document(&mut self, time: i64) -> Value {
        let mut document = Map::new();
        for (key, value) in [
            ("spdxVersion", json!("SPDX-2.3")),
            ("dataLicense", json!("CC0-1.0")),
            ("SPDXID", json!("SPDXRef-DOCUMENT")),
            ("name", json!("sbom")),
            ("documentNamespace", Value::Null),
            (
                "creationInfo",
                json!({
                    "licenseListVersion": "3.20",
                    "creators": [concat!("Tool: moby-", env!("CARGO_PKG_VERSION"))],
                    "created": crate::time::rfc3339(time),
                }),
            ),
        ] {
            document.insert(key.into(), value);
        }
        for list in LISTS {
            // The documents may be large, and are not needed any more.
            let lists = self
                .0
                .iter_mut()
                .filter_map(|document| document.get_mut(list)?.as_array_mut());
            let all: Vec<Value> = lists.flat_map(std::mem::take).collect();
            if !all.is_empty() {
                document.insert(list.into(), Value::Array(all));
            }
        }
        let mut document = Value::Object(document);
        let digest = crate::oci::digest(Sha256::new_with_prefix(document.to_string()));
        if let Some(namespace) = document.get_mut("documentNamespace") {
            let id = digest.trim_start_matches("sha256:");
            *namespace = format!("https://github.com/moby-rs/moby/sbom-{id}").into();
        }
        document
    }
}

/// Joins two paths without empty components: documents about `/` and about `.` write paths differently.
fn joined(prefix: &str, name: &str) -> String {
    let absolute = prefix.is_empty() && name.starts_with('/');
    let parts = prefix.split('/').chain(name.split('/'));
    let path: Vec<&str> = parts.filter(|part| !matches!(*part, "" | ".")).collect();
    format!("{}{}", if absolute { "/" } else { "" }, path.join("/"))
}

impl Builder<'_> {
    /// Adds the documents of an image that was unpacked at a path, or else a document of its Debian
    /// packages.
    ///
    /// # Errors
    /// Attestations of the image that are corrupt.
    pub(super) fn take_sboms(&mut self, field: &str, image: &str, files: &Tree, path: &str) -> Result<(), Diagnostics> {
        if self.request.sbom.is_none() {
            return Ok(());
        }
        let found = self.resolved.store.sboms(&canonical(image), self.request.arch);
        let found = found.map_err(|error| self.config.error_at(field, error))?;
        if found.is_empty() {
            let packages = dpkg::packages(files, "").map_err(|error| {
                let message = format!("cannot list the packages of {image}: {error}");
                let error = Diagnostic::error(message).help("build with --no-sbom");
                self.config.error_at(field, error)
            })?;
            if !packages.is_empty() {
                let distribution = distribution(files, "");
                let distribution = distribution.as_deref().unwrap_or("debian");
                self.sbom.add(path, debian(&packages, distribution, path));
            }
        }
        for document in found {
            self.sbom.add(path, document);
        }
        Ok(())
    }

    /// Writes the document to the tree.
    ///
    /// # Errors
    /// A path that is occupied or cannot be created.
    pub(super) fn write_sbom(&mut self) -> Result<(), Diagnostics> {
        let Some(options) = &self.request.sbom else {
            return Ok(());
        };
        let document = self.sbom.document(options.time);
        let text = format!("{document:#}\n");
        let content = Kind::File(Extents::from_bytes(text.into_bytes()));
        let parents = super::Meta {
            implied: true,
            ..self.meta(0o755)
        };
        let path = options.path.trim_start_matches('/').as_bytes();
        let meta = self.meta(0o644);
        let put = if self.tree.is_occupied(path) {
            Err(tree::Error::Occupied { path: path.to_vec() })
        } else {
            self.tree.insert(path, meta, content, &parents)
        };
        put.map(drop).map_err(|error| {
            let error = super::tree_error(&error);
            let message = format!("cannot write the SBOM to {}: {}", options.path, error.message);
            self.config.error_at("", Diagnostic { message, ..error })
        })
    }
}

/// Builds a document of the Debian packages of an image that is unpacked at `prefix`.
fn debian(packages: &[dpkg::Package], distribution: &str, prefix: &str) -> Value {
    let (mut list, mut relationships) = (Vec::new(), Vec::new());
    for package in packages {
        let dpkg::Package {
            name,
            version,
            architecture,
            source,
        } = package;
        let url = package.purl(distribution);
        // The identifier differs between images: these have their own copies of the files.
        let digest = crate::oci::digest(Sha256::new_with_prefix(format!("{prefix}\0{version}\0{architecture}")));
        let unique = digest.get(7..19).unwrap_or_default();
        let allowed = |c: char| {
            if c.is_ascii_alphanumeric() || ".-".contains(c) {
                c
            } else {
                '-'
            }
        };
        let id: String = name.chars().map(allowed).collect();
        let id = format!("SPDXRef-Package-{id}-{unique}");
        list.push(json!({
            "SPDXID": id,
            "name": name,
            "versionInfo": version,
            "sourceInfo": format!("built from the source package {source}"),
            "downloadLocation": "NOASSERTION",
            "filesAnalyzed": false,
            "licenseConcluded": "NOASSERTION",
            "licenseDeclared": "NOASSERTION",
            "copyrightText": "NOASSERTION",
            "externalRefs": [{
                "referenceCategory": "PACKAGE-MANAGER",
                "referenceType": "purl",
                "referenceLocator": url,
            }],
        }));
        relationships.push(json!({
            "spdxElementId": "SPDXRef-DOCUMENT",
            "relationshipType": "DESCRIBES",
            "relatedSpdxElement": id,
        }));
    }
    json!({"packages": list, "relationships": relationships})
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debian_packages_have_names_versions_and_urls() {
        let packages = [dpkg::Package {
            name: "libstdc++6".into(),
            version: "12.2.0-14+deb12u1".into(),
            architecture: "amd64".into(),
            source: "gcc-12".into(),
        }];
        let mut sbom = Sbom::default();
        for prefix in ["", "containers/services/a/lower"] {
            sbom.add(prefix, debian(&packages, "debian", prefix));
        }
        let document = sbom.document(0);
        let text = |pointer: &str| document.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
        assert_eq!(text("/packages/0/name"), "libstdc++6");
        assert_eq!(text("/packages/1/packageFileName"), "containers/services/a/lower");
        assert_eq!(
            text("/packages/0/externalRefs/0/referenceLocator"),
            "pkg:deb/debian/libstdc%2B%2B6@12.2.0-14%2Bdeb12u1?arch=amd64"
        );
        assert!(text("/packages/0/SPDXID").starts_with("SPDXRef-Package-libstdc--6-"));
        assert_ne!(text("/packages/0/SPDXID"), text("/packages/1/SPDXID"));
        assert_eq!(text("/relationships/1/relatedSpdxElement"), text("/packages/1/SPDXID"));
        assert!(text("/creationInfo/creators/0").starts_with("Tool: moby-"));
    }

    #[test]
    fn paths_are_those_of_the_system() {
        let mut sbom = Sbom::default();
        let document = json!({
            "packages": [{"name": "a", "packageFileName": "/usr/bin/a"}, {"name": "b"}],
            "files": [{"fileName": "./usr/bin/a"}],
            "relationships": [{"relationshipType": "DESCRIBES"}],
        });
        sbom.add("containers/services/a/rootfs", document.clone());
        sbom.add("", document);
        let document = sbom.document(0);
        let text = |pointer: &str| document.pointer(pointer).and_then(Value::as_str);
        assert_eq!(
            text("/packages/0/packageFileName"),
            Some("containers/services/a/rootfs/usr/bin/a")
        );
        assert_eq!(
            text("/packages/1/packageFileName"),
            Some("containers/services/a/rootfs")
        );
        assert_eq!(text("/packages/2/packageFileName"), Some("/usr/bin/a"));
        assert_eq!(text("/packages/3/packageFileName"), None);
        assert_eq!(text("/files/1/fileName"), Some("usr/bin/a"));
        assert_eq!(text("/creationInfo/created"), Some("1970-01-01T00:00:00Z"));
        assert_eq!(
            document.pointer("/relationships/1/relationshipType"),
            Some(&json!("DESCRIBES"))
        );
    }
}
