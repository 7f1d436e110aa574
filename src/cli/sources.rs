//! `moby inspect --sources` and `--sbom`.

use std::path::{Path, PathBuf};

use extents::Extents;
use serde::Deserialize;
use tree::{Kind, Tree};

use super::Failure;
use super::image::LoadedImage;
use super::inspect::printable;
use crate::arch::Arch;
use crate::bounded;
use crate::diagnostic::Diagnostic;
use crate::diff::Snapshot;
use crate::documents::sha256;
use crate::documents::sources::{self, Source, Sources};
use crate::inspect::Report;
use crate::sbom::bom::{Bom, ImageBom};
use crate::sbom::{self, Package, cyclonedx, spdx};

/// Maximum length of a document that is read, in bytes.
const MAX_DOCUMENT: u64 = 512 << 20;
/// Name of the SBOM in a root filesystem, as `--sbom-output` has it by default.
const SBOM: &str = "sbom.spdx.json";
/// Path of the kernel in an image.
const KERNEL: &str = "kernel";

/// Statement with the sources of files.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Statement {
    subject: Vec<Subject>,
    predicate_type: String,
    predicate: serde_json::Value,
}

#[derive(Deserialize)]
struct Subject {
    digest: Digest,
}

#[derive(Deserialize)]
struct Digest {
    sha256: String,
}

/// Prints the sources of the files of an output at a path and below it.
pub fn sources(file: &Path, content: &Extents, path: &str) -> Result<(), Failure> {
    let name = file.display();
    let Some(document) = find_document(file) else {
        let missing = Diagnostic::error(format!(
            "cannot find the sources of {name}: no {} file of its build is beside it",
            sources::SUFFIX
        ));
        return Err(Failure::Work(
            missing.help("run `moby build --provenance FILE.yml`").into(),
        ));
    };
    let wrong = |reason: String| Diagnostic::error(format!("cannot read {}: {reason}", document.display()));
    let bytes = bounded::regular(&document, MAX_DOCUMENT).map_err(|error| wrong(error.to_string()))?;
    let statement: Statement = serde_json::from_slice(&bytes).map_err(|error| wrong(error.to_string()))?;
    if statement.predicate_type != sources::PREDICATE_TYPE {
        return Err(wrong(format!("it is a statement of type {}", statement.predicate_type)).into());
    }
    let digest = sha256(content).map_err(|error| Diagnostic::error(format!("cannot read {name}: {error}")))?;
    if !statement.subject.iter().any(|subject| subject.digest.sha256 == digest) {
        let other = wrong(format!(
            "it describes another build: {name} has the digest sha256:{digest}"
        ));
        return Err(other.help("run `moby build --provenance` again").into());
    }
    let sources: Sources = serde_json::from_value(statement.predicate).map_err(|error| wrong(error.to_string()))?;
    let rows: Vec<[String; 4]> = sources.below(path).map(|(file, source)| row(&file, source)).collect();
    if rows.is_empty() {
        let missing = Diagnostic::error(format!("cannot find {path} among the files of {name}"));
        return Err(missing.help("--sources without a path lists all files").into());
    }
    super::print(&super::table(["PATH", "SECTION", "IMAGE", "LAYER"], &rows))
}

fn row(file: &str, source: &Source) -> [String; 4] {
    let or_dash = |text: &str| printable(if text.is_empty() { "-" } else { text });
    let section = match source.section.as_str() {
        "" => "(moby)",
        section => section,
    };
    let image = match (&source.image, &source.digest) {
        (Some(name), Some(digest)) => format!("{}@{digest}", name.split('@').next().unwrap_or_default()),
        (Some(name), None) => name.clone(),
        (None, _) => String::new(),
    };
    let layer = source.layer.as_deref().unwrap_or_default();
    [printable(file), or_dash(section), or_dash(&image), or_dash(layer)]
}

/// Finds the document beside an output, whose name begins with that of the build.
fn find_document(file: &Path) -> Option<PathBuf> {
    let name = file.file_name()?.to_str()?;
    let ends = name.char_indices().map(|(at, _)| at).chain([name.len()]);
    let mut prefixes: Vec<&str> = ends.filter_map(|end| name.get(..end)).collect();
    // The longest first: of several builds in a directory, one name may begin with another.
    prefixes.reverse();
    let paths = prefixes
        .into_iter()
        .map(|prefix| file.with_file_name(format!("{prefix}{}", sources::SUFFIX)));
    paths.into_iter().find(|path| path.is_file())
}

/// Prints an SBOM of an output: of the packages in its files, and of those in its own SBOM.
pub fn sbom(file: &Path, content: &Extents, report: Report, format: &str, time: i64) -> Result<(), Failure> {
    let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let snapshot = Snapshot::of_output(report, content.clone());
    let root = snapshot.root.unwrap_or_default();
    let found = sbom::scan(&root);
    let mut image = ImageBom {
        name: name.clone(),
        packages: found.packages,
        unread: found.unread,
        ..ImageBom::default()
    };
    let known: Vec<Option<String>> = image.packages.iter().map(|package| package.purl.clone()).collect();
    let is_new = |package: &Package| package.purl.is_none() || !known.contains(&package.purl);
    image.packages.extend(embedded(&root).into_iter().filter(is_new));
    if let Some(kernel) = &snapshot.kernel {
        image.add_kernel(kernel, "boot/kernel");
    }
    print(name, image, format, time)
}

/// Prints an SBOM of an image: of its own SBOM, else of the packages in its files.
pub fn image_sbom(loaded: &LoadedImage, arch: Arch, format: &str, time: i64) -> Result<(), Failure> {
    let LoadedImage { store, image, files } = loaded;
    let documents = store.sboms(&image.name, arch).map_err(Diagnostic::from)?;
    let mut bom = ImageBom::new(&image.name, image.digest(), &documents, files);
    // An image with a kernel has it there, as LinuxKit's have.
    if let Some(Kind::File(kernel)) = files.lookup(KERNEL.as_bytes()).map(|id| &files.node(id).kind) {
        bom.add_kernel(kernel, KERNEL);
    }
    print(image.name.clone(), bom, format, time)
}

/// Prints an SBOM of one output or image.
fn print(name: String, image: ImageBom, format: &str, time: i64) -> Result<(), Failure> {
    let bom = Bom {
        name,
        time,
        images: vec![image],
    };
    let document = match format {
        "cyclonedx" => cyclonedx::document(&bom),
        _ => spdx::document(&bom),
    };
    super::print(&format!("{document:#}\n"))
}

/// Returns the packages of the SBOM in a root filesystem.
fn embedded(root: &Tree) -> Vec<Package> {
    let Some(id) = root.lookup(SBOM.as_bytes()) else {
        return Vec::new();
    };
    match &root.node(id).kind {
        Kind::File(content) if content.len() <= MAX_DOCUMENT => {
            let bytes = content.to_vec().unwrap_or_default();
            let document = serde_json::from_slice(&bytes).unwrap_or_default();
            spdx::packages(&document)
        }
        _ => Vec::new(),
    }
}
