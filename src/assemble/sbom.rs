//! The SBOM of a system: those of its images, with paths in the system, in one SPDX document
//! (SPDX 2.3, the JSON form).

use extents::Extents;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};
use tree::Kind;

use super::Builder;
use crate::config::canonical;
use crate::diagnostic::Diagnostics;

/// The lists of a document that are joined.
const LISTS: [&str; 6] = [
    "packages",
    "files",
    "hasExtractedLicensingInfos",
    "relationships",
    "annotations",
    "externalDocumentRefs",
];

/// The documents of the images, on their way into one.
#[derive(Clone, Debug, Default)]
pub(super) struct Sbom(Vec<Value>);

impl Sbom {
    /// Adds the document of an image that was unpacked at `prefix`.
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

    /// All in one. Its namespace is derived from what it says, so that it is the same in every
    /// build.
    fn document(&self, time: i64) -> Value {
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
                    "creators": ["Organization: LinuxKit", "Tool: linuxkit"],
                    "created": crate::time::rfc3339(time),
                }),
            ),
        ] {
            document.insert(key.into(), value);
        }
        for list in LISTS {
            let all = self.0.iter().filter_map(|document| document.get(list)?.as_array());
            let all: Vec<Value> = all.flatten().cloned().collect();
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

/// A path below another, without empty components, as documents about `/` and about `.` write
/// them differently.
fn joined(prefix: &str, name: &str) -> String {
    let absolute = prefix.is_empty() && name.starts_with('/');
    let parts = prefix.split('/').chain(name.split('/'));
    let path: Vec<&str> = parts.filter(|part| !matches!(*part, "" | ".")).collect();
    format!("{}{}", if absolute { "/" } else { "" }, path.join("/"))
}

impl Builder<'_> {
    /// Remembers the SBOMs of an image that was unpacked at a path.
    pub(super) fn take_sboms(&mut self, field: &str, image: &str, path: &str) -> Result<(), Diagnostics> {
        if self.request.sbom.is_none() {
            return Ok(());
        }
        let found = self.resolved.store.sboms(&canonical(image), self.request.arch);
        let found = found.map_err(|error| self.config.complain(field, error.to_string()))?;
        for document in found {
            self.sbom.add(path, document);
        }
        Ok(())
    }

    /// Writes the document.
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
            let error = super::text(&error);
            let message = format!("the SBOM cannot be written to {}: {error}", options.path);
            self.config.complain("", message)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
        let made = sbom.document(0);
        let text = |pointer: &str| made.pointer(pointer).and_then(Value::as_str);
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
            made.pointer("/relationships/1/relationshipType"),
            Some(&json!("DESCRIBES"))
        );
    }
}
