//! Content of an SBOM, whatever its format.

use extents::Extents;
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::{Kind, Package, purl, spdx};

/// System, with its images and their packages.
#[derive(Clone, Debug, Default)]
pub struct Bom {
    /// Name of the system.
    pub name: String,
    /// Time of creation, in seconds since 1970.
    pub time: i64,
    /// Images, in the order in which the YAML names them, each once.
    pub images: Vec<ImageBom>,
}

/// Image and its packages.
#[derive(Clone, Debug, Default)]
pub struct ImageBom {
    /// Canonical name.
    pub name: String,
    /// Digest of the manifest.
    pub digest: Option<String>,
    /// Packages, sorted.
    pub packages: Vec<Package>,
    /// True if the packages are those of the image's own SBOM.
    pub is_attested: bool,
    /// Databases and programs whose packages are not read.
    pub unread: Vec<String>,
}

impl ImageBom {
    /// Returns the packages of an image: of its own SPDX documents, or else those found in its files.
    pub fn new(name: &str, digest: Option<&str>, documents: &[Value], files: &tree::Tree) -> ImageBom {
        let mut bom = ImageBom {
            name: name.to_owned(),
            digest: digest.map(str::to_owned),
            is_attested: !documents.is_empty(),
            ..ImageBom::default()
        };
        if documents.is_empty() {
            let found = super::scan(files);
            (bom.packages, bom.unread) = (found.packages, found.unread);
        } else {
            bom.packages = documents.iter().flat_map(spdx::packages).collect();
            bom.packages.sort();
            bom.packages.dedup();
        }
        bom
    }

    /// Adds the kernel of the image, which is at a path in it.
    pub fn add_kernel(&mut self, kernel: &Extents, path: &str) {
        if let Ok(Some(version)) = crate::kernel::version(kernel) {
            self.packages.push(Package {
                kind: Kind::Generic,
                purl: Some(purl::format(Kind::Generic.name(), "", "linux", &version, &[])),
                name: "linux".into(),
                version,
                license: None,
                source: None,
                found_in: Some(path.to_owned()),
            });
        }
    }

    /// Returns the package URL of the image (purl specification, type `oci`), if it has a digest.
    pub fn purl(&self) -> Option<String> {
        let digest = self.digest.as_ref()?;
        let repository = self.name.split('@').next().unwrap_or_default();
        let (repository, tag) = match repository.rsplit_once(':') {
            Some((repository, tag)) if !tag.contains('/') => (repository, tag),
            _ => (repository, ""),
        };
        let name = repository.rsplit('/').next().unwrap_or_default().to_lowercase();
        Some(purl::format(
            "oci",
            "",
            &name,
            digest,
            &[("repository_url", repository), ("tag", tag)],
        ))
    }
}

impl Bom {
    /// Returns 64 hexadecimal digits that identify the content.
    pub fn id(&self) -> String {
        let mut hash = Sha256::new();
        let mut add = |text: &str| {
            hash.update((text.len() as u64).to_le_bytes());
            hash.update(text);
        };
        add(&self.name);
        add(&self.time.to_string());
        for image in &self.images {
            add(&image.name);
            add(image.digest.as_deref().unwrap_or_default());
            for package in &image.packages {
                add(&package.name);
                add(&package.version);
                add(package.purl.as_deref().unwrap_or_default());
                add(package.found_in.as_deref().unwrap_or_default());
            }
        }
        crate::oci::digest(hash).trim_start_matches("sha256:").to_owned()
    }
}
