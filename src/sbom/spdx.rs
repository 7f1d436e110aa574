//! SPDX 2.3 documents in JSON.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::bom::{Bom, ImageBom};
use super::license::is_expression;
use super::{Kind, Package};

/// Identifier of the package that stands for the system.
const SYSTEM: &str = "SPDXRef-System";
/// Maximum number of packages that are read of a document.
const MAX_PACKAGES: usize = 1 << 20;

/// Builds a document. Its namespace is derived from its content.
pub fn document(bom: &Bom) -> Value {
    let mut packages = vec![json!({
        "SPDXID": SYSTEM,
        "name": bom.name,
        "downloadLocation": "NOASSERTION",
        "filesAnalyzed": false,
        "primaryPackagePurpose": "OPERATING-SYSTEM",
    })];
    let mut relationships = vec![relationship("SPDXRef-DOCUMENT", "DESCRIBES", SYSTEM)];
    let mut licenses: BTreeMap<String, String> = BTreeMap::new();
    for (number, image) in bom.images.iter().enumerate() {
        let id = format!("SPDXRef-Image-{number}");
        packages.push(image_package(image, &id));
        relationships.push(relationship(SYSTEM, "CONTAINS", &id));
        for (at, package) in image.packages.iter().enumerate() {
            let package_id = format!("SPDXRef-Package-{number}-{at}");
            packages.push(self::package(package, &package_id, &mut licenses));
            relationships.push(relationship(&id, "CONTAINS", &package_id));
        }
    }
    let licenses: Vec<Value> = licenses
        .into_iter()
        .map(|(text, id)| json!({"licenseId": id, "extractedText": text, "name": text}))
        .collect();
    let mut document = json!({
        "spdxVersion": "SPDX-2.3",
        "dataLicense": "CC0-1.0",
        "SPDXID": "SPDXRef-DOCUMENT",
        "name": bom.name,
        "documentNamespace": format!("https://github.com/moby-rs/moby/sbom/{}", bom.id()),
        "creationInfo": {
            "creators": [concat!("Tool: moby-", env!("CARGO_PKG_VERSION"))],
            "created": crate::time::rfc3339(bom.time),
        },
        "packages": packages,
        "relationships": relationships,
    });
    if let Some(document) = document.as_object_mut().filter(|_| !licenses.is_empty()) {
        document.insert("hasExtractedLicensingInfos".into(), licenses.into());
    }
    document
}

fn relationship(from: &str, kind: &str, to: &str) -> Value {
    json!({"spdxElementId": from, "relationshipType": kind, "relatedSpdxElement": to})
}

fn image_package(image: &ImageBom, id: &str) -> Value {
    let mut package = json!({
        "SPDXID": id,
        "name": image.name,
        "downloadLocation": "NOASSERTION",
        "filesAnalyzed": false,
        "primaryPackagePurpose": "CONTAINER",
    });
    let Some(fields) = package.as_object_mut() else {
        return package;
    };
    if let Some(digest) = &image.digest {
        let hex = digest.trim_start_matches("sha256:");
        fields.insert("versionInfo".into(), digest.as_str().into());
        fields.insert(
            "checksums".into(),
            json!([{"algorithm": "SHA256", "checksumValue": hex}]),
        );
    }
    if let Some(purl) = image.purl() {
        fields.insert("externalRefs".into(), json!([reference(&purl)]));
    }
    let mut comment = if image.is_attested {
        "packages of the image's own SBOM".to_owned()
    } else {
        "packages found in the image's files".to_owned()
    };
    if !image.unread.is_empty() {
        comment.push_str(&format!("; not read: {}", image.unread.join(", ")));
    }
    fields.insert("comment".into(), comment.into());
    package
}

fn package(package: &Package, id: &str, licenses: &mut BTreeMap<String, String>) -> Value {
    let license = match &package.license {
        None => "NOASSERTION".to_owned(),
        Some(text) if is_expression(text) => text.clone(),
        Some(text) => licenses
            .entry(text.clone())
            .or_insert_with(|| {
                let digest = crate::oci::digest(Sha256::new_with_prefix(text));
                format!("LicenseRef-{}", digest.get(7..19).unwrap_or_default())
            })
            .clone(),
    };
    let mut value = json!({
        "SPDXID": id,
        "name": package.name,
        "downloadLocation": "NOASSERTION",
        "filesAnalyzed": false,
        "licenseConcluded": "NOASSERTION",
        "licenseDeclared": license,
        "copyrightText": "NOASSERTION",
    });
    let Some(fields) = value.as_object_mut() else {
        return value;
    };
    if !package.version.is_empty() {
        fields.insert("versionInfo".into(), package.version.as_str().into());
    }
    let mut source = Vec::new();
    source.extend(package.found_in.as_ref().map(|path| format!("found in /{path}")));
    source.extend(
        package
            .source
            .as_ref()
            .map(|name| format!("built from the source package {name}")),
    );
    if !source.is_empty() {
        fields.insert("sourceInfo".into(), source.join("; ").into());
    }
    if let Some(purl) = &package.purl {
        fields.insert("externalRefs".into(), json!([reference(purl)]));
    }
    value
}

fn reference(purl: &str) -> Value {
    json!({"referenceCategory": "PACKAGE-MANAGER", "referenceType": "purl", "referenceLocator": purl})
}

/// Reads the packages of a document that another tool wrote.
pub fn packages(document: &Value) -> Vec<Package> {
    let list = document.get("packages").and_then(Value::as_array);
    let described = described(document);
    let packages = list.into_iter().flatten().take(MAX_PACKAGES).filter_map(|package| {
        let text = |key: &str| package.get(key).and_then(Value::as_str);
        // The image itself.
        if described.contains(&text("SPDXID").unwrap_or_default())
            && ["CONTAINER", "OPERATING-SYSTEM"].contains(&text("primaryPackagePurpose").unwrap_or_default())
        {
            return None;
        }
        let references = package.get("externalRefs").and_then(Value::as_array);
        let purl = references.into_iter().flatten().find_map(|reference| {
            let is_purl = reference.get("referenceType").and_then(Value::as_str) == Some("purl");
            reference.get("referenceLocator")?.as_str().filter(|_| is_purl)
        });
        let kind = |purl: &str| {
            let kinds = [Kind::Deb, Kind::Apk, Kind::Rpm, Kind::Golang, Kind::Cargo];
            let name = purl.strip_prefix("pkg:")?.split('/').next()?;
            kinds.into_iter().find(|kind| kind.name() == name)
        };
        let known = |text: &&str| !["", "NOASSERTION", "NONE"].contains(text);
        Some(Package {
            kind: purl.and_then(kind).unwrap_or(Kind::Generic),
            name: text("name")?.to_owned(),
            version: text("versionInfo").filter(known).unwrap_or_default().to_owned(),
            // A locator that is not a package URL would make the new document invalid.
            purl: purl.filter(|purl| purl.starts_with("pkg:")).map(str::to_owned),
            license: text("licenseDeclared").filter(known).map(str::to_owned),
            source: None,
            found_in: text("packageFileName")
                .filter(known)
                .map(|path| path.trim_start_matches(['.', '/']).to_owned()),
        })
    });
    packages.collect()
}

/// Lists the identifiers of what a document is about.
fn described(document: &Value) -> Vec<&str> {
    let relationships = document.get("relationships").and_then(Value::as_array);
    let of = |relationship: &'_ Value, key: &str| relationship.get(key).and_then(Value::as_str).map(str::to_owned);
    let relationships = relationships.into_iter().flatten();
    let about =
        relationships.filter(|relationship| of(relationship, "relationshipType").as_deref() == Some("DESCRIBES"));
    about
        .filter_map(|relationship| relationship.get("relatedSpdxElement")?.as_str())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packages_of_a_document_of_another_tool_are_read() {
        let document = json!({
            "relationships": [{"relationshipType": "DESCRIBES", "relatedSpdxElement": "SPDXRef-image"}],
            "packages": [
                {"SPDXID": "SPDXRef-image", "name": "image", "primaryPackagePurpose": "CONTAINER"},
                {
                    "SPDXID": "SPDXRef-a",
                    "name": "musl",
                    "versionInfo": "1.2",
                    "licenseDeclared": "MIT",
                    "packageFileName": "/lib/apk/db/installed",
                    "externalRefs": [
                        {"referenceType": "cpe23Type", "referenceLocator": "cpe:2.3:a"},
                        {"referenceType": "purl", "referenceLocator": "pkg:apk/alpine/musl@1.2"},
                    ],
                },
                {"SPDXID": "SPDXRef-b", "name": "b", "versionInfo": "NOASSERTION", "licenseDeclared": "NOASSERTION"},
                {"no": "name"},
            ],
        });
        let found = packages(&document);
        assert_eq!(found.len(), 2);
        assert_eq!(
            (found[0].kind, found[0].purl.as_deref()),
            (Kind::Apk, Some("pkg:apk/alpine/musl@1.2"))
        );
        assert_eq!(found[0].found_in.as_deref(), Some("lib/apk/db/installed"));
        assert_eq!((found[1].version.as_str(), &found[1].license), ("", &None));
    }

    #[test]
    fn what_is_written_is_read_again_and_other_licenses_are_extracted() {
        let package = Package {
            kind: Kind::Apk,
            name: "a".into(),
            version: "1".into(),
            purl: Some("pkg:apk/alpine/a@1".into()),
            license: Some("own license".into()),
            source: None,
            found_in: None,
        };
        let bom = Bom {
            name: "m".into(),
            time: 0,
            images: vec![ImageBom {
                name: "docker.io/library/a:1".into(),
                packages: vec![package.clone()],
                ..ImageBom::default()
            }],
        };
        let document = document(&bom);
        let id = document["packages"][2]["licenseDeclared"].as_str().unwrap();
        assert_eq!(document["hasExtractedLicensingInfos"][0]["licenseId"], id);
        assert_eq!(
            document["hasExtractedLicensingInfos"][0]["extractedText"],
            "own license"
        );
        let read = packages(&document);
        assert_eq!(read.iter().filter(|package| package.kind == Kind::Apk).count(), 1);
    }
}
