//! Images of an archive: the boot loaders, and all that the tutorial and the examples name.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::{debian, platform, read, remove, text, write};
use crate::command::{root, succeed};
use crate::error::{Error, Result, cannot};

/// Directories of the packages. The firmware of Raspberry Pis is left out, whose licence allows its use on
/// them only, and so are the kernels that it or a compiler is needed for.
const PACKAGES: [&str; 15] = [
    "kernel/debian-cloud",
    "pkg/ca-certificates",
    "pkg/containerd",
    "pkg/dhcpcd",
    "pkg/extend",
    "pkg/format",
    "pkg/getty",
    "pkg/hello",
    "pkg/init",
    "pkg/mount",
    "pkg/nginx",
    "pkg/runc",
    "pkg/swap",
    "pkg/syslinux",
    "pkg/systemd-boot",
];
/// Examples that need other packages.
const OTHER_EXAMPLES: [&str; 2] = ["rpi.yml", "vm.yml"];

/// Images in an OCI layout, and documents about them.
pub struct Images {
    directory: PathBuf,
    /// Names of the images by the directories of their packages.
    names: BTreeMap<&'static str, String>,
}

impl Images {
    /// Builds the images that the cache of the tests lacks, copies all into a new layout, and writes the
    /// documents about them.
    pub fn build(moby: &Path, arches: &[&str], directory: &Path) -> Result<Images> {
        let mut images = Images {
            directory: directory.to_owned(),
            names: BTreeMap::new(),
        };
        remove(directory)?;
        let documents = images.documents();
        for arch in arches {
            let mut packages = BTreeSet::new();
            for package in PACKAGES {
                if !is_for(package, arch)? {
                    continue;
                }
                let name = text(call(moby, &["pkg", "build", "--arch", arch, package]))?;
                let name = name.trim().to_owned();
                let document = format!("{}-{arch}", package.rsplit('/').next().unwrap_or(package));
                sbom(moby, &name, arch, &documents, &document)?;
                packages.extend(debian::packages(&documents.join(format!("{document}.spdx.json")))?);
                images.names.insert(package, name);
            }
            let downloads = cache().join("moby/apt").join(arch);
            debian::document(&downloads, &packages, &documents.join(arch))?;
        }
        images.copy(moby)?;
        Ok(images)
    }

    /// Copies the images into a new layout.
    pub fn copy(&self, moby: &Path) -> Result {
        let layout = self.layout();
        remove(&layout)?;
        let archive = self.directory.join("image.tar");
        for name in self.names.values() {
            let mut export = call(moby, &["cache", "export", name, "--output"]);
            succeed(export.arg(&archive))?;
            let mut import = Command::new(moby);
            import
                .args(["-q", "cache", "import"])
                .arg(&archive)
                .arg("--cache")
                .arg(&layout);
            succeed(import)?;
        }
        fs::remove_file(&archive).map_err(cannot(format!("remove {}", archive.display())))?;
        let mut verify = Command::new(moby);
        verify.args(["-q", "cache", "verify", "--cache"]).arg(&layout);
        succeed(verify)?;
        // moby's own files beside the layout: locks, and times of use.
        remove(&layout.join("moby"))
    }

    /// Returns the OCI layout.
    pub fn layout(&self) -> PathBuf {
        self.directory.join("layout")
    }

    /// Returns the directory of SBOMs and licences.
    pub fn documents(&self) -> PathBuf {
        self.directory.join("documents")
    }

    /// Writes the layout as one file.
    pub fn archive(&self, file: &Path) -> Result {
        platform::tar(&self.layout(), ".", file, None)
    }

    /// Writes the examples with the names of the images in place of their packages.
    pub fn write_examples(&self, directory: &Path) -> Result {
        for (name, path) in crate::compare::files(&root().join("examples"))? {
            if OTHER_EXAMPLES.contains(&name.as_str()) {
                continue;
            }
            let mut yaml = read(&path)?;
            for (package, image) in &self.names {
                yaml = yaml.replace(&format!("\"@pkg:../{package}\""), image);
            }
            // What remains is a comment about them.
            let lines = yaml
                .lines()
                .filter(|line| !(line.starts_with('#') && line.contains("@pkg:")));
            let yaml: String = lines.map(|line| format!("{line}\n")).collect();
            if yaml.contains("@pkg:") {
                return Err(Error::new(format!(
                    "{} names a package that is not included",
                    path.display()
                )));
            }
            write(&directory.join(name), yaml.as_bytes())?;
        }
        Ok(())
    }
}

/// Returns the cache of the tests.
fn cache() -> PathBuf {
    root().join("target/test-cache")
}

/// Returns a command of moby with the cache of the tests.
fn call(moby: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(moby);
    command
        .arg("-q")
        .arg("--cache")
        .arg(cache())
        .args(arguments)
        .current_dir(root());
    command
}

/// Returns whether a package is for an architecture.
fn is_for(package: &str, arch: &str) -> Result<bool> {
    let recipe = read(&root().join(package).join("build.yml"))?;
    let arches = recipe.lines().find(|line| line.starts_with("arches:"));
    Ok(arches.is_none_or(|arches| arches.contains(arch)))
}

/// Writes the SBOM of an image.
fn sbom(moby: &Path, image: &str, arch: &str, documents: &Path, name: &str) -> Result {
    let yaml = documents.join(format!("{name}.yml"));
    write(&yaml, format!("init: [\"{image}\"]\n").as_bytes())?;
    let output = documents.join(format!("{name}.tar"));
    let mut build = call(
        moby,
        &["build", "--offline", "--no-sbom", "--sbom", "spdx", "--format", "tar"],
    );
    build.args(["--arch", arch, "--name", name, "--dir"]);
    succeed(build.arg(documents).arg(&yaml))?;
    for file in [yaml, output] {
        fs::remove_file(&file).map_err(cannot(format!("remove {}", file.display())))?;
    }
    Ok(())
}
