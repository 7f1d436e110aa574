//! CycloneDX 1.6 documents in JSON.

use serde_json::{Value, json};

use super::bom::{Bom, ImageBom};
use super::license::is_expression;
use super::{Kind, Package};

/// Builds a document. Its serial number is derived from its content.
pub fn document(bom: &Bom) -> Value {
    let mut components = Vec::new();
    let mut dependencies = Vec::new();
    let images: Vec<String> = (0..bom.images.len()).map(|number| format!("image-{number}")).collect();
    dependencies.push(json!({"ref": "system", "dependsOn": images}));
    for (number, (image, id)) in bom.images.iter().zip(&images).enumerate() {
        components.push(image_component(image, id));
        let mut ids = Vec::new();
        for (at, package) in image.packages.iter().enumerate() {
            let package_id = format!("package-{number}-{at}");
            components.push(component(package, &package_id));
            ids.push(package_id);
        }
        dependencies.push(json!({"ref": id, "dependsOn": ids}));
    }
    json!({
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": serial_number(bom),
        "version": 1,
        "metadata": {
            "timestamp": crate::time::rfc3339(bom.time),
            "tools": {"components": [{
                "type": "application",
                "name": "moby",
                "version": env!("CARGO_PKG_VERSION"),
            }]},
            "component": {"type": "operating-system", "bom-ref": "system", "name": bom.name},
        },
        "components": components,
        "dependencies": dependencies,
    })
}

/// Returns a UUID of version 8 as a URN (RFC 9562).
fn serial_number(bom: &Bom) -> String {
    let id = bom.id();
    let part = |from: usize, to: usize| id.get(from..to).unwrap_or_default().to_owned();
    format!(
        "urn:uuid:{}-{}-8{}-8{}-{}",
        part(0, 8),
        part(8, 12),
        part(12, 15),
        part(15, 18),
        part(18, 30)
    )
}

fn image_component(image: &ImageBom, id: &str) -> Value {
    let mut properties = vec![json!({
        "name": "moby:packages",
        "value": if image.is_attested { "of the image's own SBOM" } else { "found in the image's files" },
    })];
    let unread = image.unread.iter();
    properties.extend(unread.map(|path| json!({"name": "moby:unread", "value": path})));
    let mut component = json!({"type": "container", "bom-ref": id, "name": image.name});
    if let Some(fields) = component.as_object_mut() {
        if let Some(digest) = &image.digest {
            let hex = digest.trim_start_matches("sha256:");
            fields.insert("version".into(), digest.as_str().into());
            fields.insert("hashes".into(), json!([{"alg": "SHA-256", "content": hex}]));
        }
        fields.extend(image.purl().map(|purl| ("purl".into(), purl.into())));
        fields.insert("properties".into(), properties.into());
    }
    component
}

fn component(package: &Package, id: &str) -> Value {
    let kind = match package.kind {
        Kind::Generic if package.name == "linux" => "operating-system",
        _ => "library",
    };
    let mut component = json!({"type": kind, "bom-ref": id, "name": package.name});
    let Some(fields) = component.as_object_mut() else {
        return component;
    };
    if !package.version.is_empty() {
        fields.insert("version".into(), package.version.as_str().into());
    }
    if let Some(license) = &package.license {
        let license = if is_expression(license) {
            json!({"expression": license})
        } else {
            json!({"license": {"name": license}})
        };
        fields.insert("licenses".into(), json!([license]));
    }
    fields.extend(package.purl.as_ref().map(|purl| ("purl".into(), purl.as_str().into())));
    let mut properties = Vec::new();
    for (name, value) in [
        ("moby:source-package", &package.source),
        ("moby:found-in", &package.found_in),
    ] {
        properties.extend(value.as_ref().map(|value| json!({"name": name, "value": value})));
    }
    if !properties.is_empty() {
        fields.insert("properties".into(), properties.into());
    }
    component
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_serial_number_follows_the_content() {
        let mut bom = Bom {
            name: "m".into(),
            ..Bom::default()
        };
        let first = serial_number(&bom);
        assert_eq!(first, serial_number(&bom));
        assert_eq!(
            (first.len(), first.as_bytes()[23], first.as_bytes()[28]),
            (45, b'8', b'8')
        );
        bom.images.push(ImageBom::default());
        assert_ne!(first, serial_number(&bom));
    }
}
