//! Debian packages in images: their copyright files, and the places of their sources.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use super::{read, remove, text, write};
use crate::command::succeed;
use crate::error::{Error, Result, cannot};

/// Name and version of a Debian package.
pub type Package = (String, String);

/// Lists the Debian packages in an SBOM (SPDX 2.3 in JSON).
pub fn packages(sbom: &Path) -> Result<BTreeSet<Package>> {
    let document: Value = serde_json::from_str(&read(sbom)?).map_err(cannot(format!("read {}", sbom.display())))?;
    let packages = document.get("packages").and_then(Value::as_array).into_iter().flatten();
    let is_deb = |package: &Value| {
        let references = package.get("externalRefs").and_then(Value::as_array);
        references.into_iter().flatten().any(|reference| {
            let url = reference.get("referenceLocator").and_then(Value::as_str);
            url.is_some_and(|url| url.starts_with("pkg:deb/"))
        })
    };
    let field = |package: &Value, name: &str| Some(package.get(name)?.as_str()?.to_owned());
    let found = packages.filter(|package| is_deb(package));
    Ok(found
        .filter_map(|package| Some((field(package, "name")?, field(package, "versionInfo")?)))
        .collect())
}

/// Writes the copyright file of each package, and `SOURCES.txt` with the places of their sources. The
/// packages are found where moby has downloaded them.
pub fn document(downloads: &Path, packages: &BTreeSet<Package>, directory: &Path) -> Result {
    let downloaded: Vec<PathBuf> = crate::compare::files(downloads)?.into_values().collect();
    let mut sources = String::from("Sources of the Debian packages in the images, by package and version:\n\n");
    let unpacked = directory.join("unpacked");
    for (name, version) in packages {
        let file = find(&downloaded, name, Some(version))?;
        let control = |field: &str| {
            let mut command = Command::new("dpkg-deb");
            command.arg("--field").arg(file).arg(field);
            Ok::<_, Error>(text(command)?.trim().to_owned())
        };
        // "gcc-12 (12.2.0-14)", where it differs from the package.
        let source = control("Source")?;
        let (source, source_version) = match source.split_once(" (") {
            Some((source, version)) => (source.to_owned(), version.trim_end_matches(')').to_owned()),
            None if source.is_empty() => (name.clone(), version.clone()),
            None => (source, version.clone()),
        };
        sources.push_str(&format!(
            "{name} {version}: https://snapshot.debian.org/package/{source}/{source_version}/\n"
        ));
        unpack(file, &unpacked)?;
        let doc = unpacked.join("usr/share/doc");
        // The documentation may be that of another package, of the same source.
        if let Ok(target) = fs::read_link(doc.join(name)) {
            unpack(find(&downloaded, &target.display().to_string(), None)?, &unpacked)?;
        }
        let copyright = doc.join(name).join("copyright");
        let bytes = fs::read(&copyright).map_err(cannot(format!("read {}", copyright.display())))?;
        write(&directory.join("copyright").join(name), &bytes)?;
    }
    remove(&unpacked)?;
    write(&directory.join("SOURCES.txt"), sources.as_bytes())
}

/// Finds the file of a package. In its name, the colon of a version is encoded.
fn find<'a>(downloaded: &'a [PathBuf], name: &str, version: Option<&str>) -> Result<&'a Path> {
    let start = match version {
        Some(version) => format!("{name}_{}_", version.replace(':', "%3a")),
        None => format!("{name}_"),
    };
    let is_it = |path: &&PathBuf| {
        let file = path.file_name().unwrap_or_default().to_string_lossy();
        file.starts_with(&start) && file.ends_with(".deb")
    };
    downloaded.iter().find(is_it).map(PathBuf::as_path).ok_or_else(|| {
        Error::new(format!("cannot find the downloaded package {start}*.deb"))
            .help("remove target/test-cache, so that the images are built again")
    })
}

/// Unpacks the documentation of a package.
fn unpack(file: &Path, directory: &Path) -> Result {
    fs::create_dir_all(directory).map_err(cannot(format!("create {}", directory.display())))?;
    let script = r#"dpkg-deb --fsys-tarfile "$1" | tar -x -C "$2" ./usr/share/doc"#;
    let mut command = Command::new("bash");
    succeed(
        command
            .args(["-o", "pipefail", "-c", script, "bash"])
            .arg(file)
            .arg(directory),
    )
}
