//! Debian packages of an image, from dpkg's database (dpkg(1), deb822(5)): the file `status`, or a file
//! for each package in `status.d`, as images without dpkg have it.

use std::collections::BTreeMap;

use tree::{Kind, Tree};

use super::scan::{MAX_PACKAGES, TooLarge, distribution, join, node, read_database};
use super::{Kind as PackageKind, Package as Described, purl};

/// Database with a paragraph for each package.
const STATUS: &str = "var/lib/dpkg/status";
/// Directory with a file for each package.
const STATUS_DIR: &str = "var/lib/dpkg/status.d";

/// Installed Debian package.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Package {
    /// Name of the binary package.
    pub name: String,
    /// Version.
    pub version: String,
    /// Debian's name of the architecture; may be empty.
    pub architecture: String,
    /// Name of the source package.
    pub source: String,
}

/// Lists the installed packages of an image below a root, sorted by name.
///
/// # Errors
/// A database that is too large.
pub fn packages(image: &Tree, root: &str) -> Result<Vec<Package>, TooLarge> {
    let mut packages = Vec::new();
    if let Some(status) = node(image, root, STATUS) {
        file(&status.kind, &join(root, STATUS), &mut packages)?;
    }
    let dir = node(image, root, STATUS_DIR).map(|dir| &dir.kind);
    if let Some(Kind::Directory(entries)) = dir {
        for entry in entries.values() {
            file(&image.node(entry.node).kind, &join(root, STATUS_DIR), &mut packages)?;
        }
    }
    packages.sort();
    packages.dedup();
    Ok(packages)
}

/// Lists the installed packages of an image below a root with their package URLs.
///
/// # Errors
/// A database that is too large.
pub fn described(image: &Tree, root: &str) -> Result<Vec<Described>, TooLarge> {
    let packages = packages(image, root)?;
    let distribution = distribution(image, root).unwrap_or_else(|| "debian".into());
    let packages = packages.into_iter().map(|package| Described {
        kind: PackageKind::Deb,
        purl: Some(package.purl(&distribution)),
        name: package.name,
        version: package.version,
        license: None,
        source: Some(package.source),
        found_in: Some(join(root, "var/lib/dpkg")),
    });
    Ok(packages.collect())
}

impl Package {
    /// Returns the package URL of a distribution's package.
    pub fn purl(&self, distribution: &str) -> String {
        let arch = [("arch", self.architecture.as_str())];
        purl::format(PackageKind::Deb.name(), distribution, &self.name, &self.version, &arch)
    }
}

/// Adds the packages of a file; none of a file of another format.
///
/// # Errors
/// A file that is too long or has too many packages, with those of other files.
fn file(kind: &Kind, path: &str, packages: &mut Vec<Package>) -> Result<(), TooLarge> {
    let Kind::File(content) = kind else {
        return Ok(());
    };
    let text = read_database(content, path)?;
    let found = text.split("\n\n").filter_map(paragraph);
    packages.extend(found.take(MAX_PACKAGES.saturating_add(1)));
    if packages.len() > MAX_PACKAGES {
        return Err(TooLarge { path: path.to_owned() });
    }
    Ok(())
}

fn paragraph(text: &str) -> Option<Package> {
    let mut fields = BTreeMap::new();
    for line in text.lines() {
        // Lines of a folded value begin with white space.
        if let Some((name, value)) = line.split_once(':').filter(|_| !line.starts_with([' ', '\t'])) {
            fields.insert(name.to_ascii_lowercase(), value.trim());
        }
    }
    let status = fields.get("status").copied().unwrap_or("install ok installed");
    let installed = status.split_whitespace().next_back() == Some("installed");
    let (name, version) = (fields.get("package")?, fields.get("version")?);
    // The version of the source package may follow its name in parentheses.
    let source = fields.get("source").and_then(|source| source.split_whitespace().next());
    installed.then(|| Package {
        name: (*name).to_owned(),
        version: (*version).to_owned(),
        architecture: fields.get("architecture").copied().unwrap_or_default().to_owned(),
        source: source.unwrap_or(name).to_owned(),
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use extents::Extents;
    use tree::Meta;

    #[test]
    fn both_databases_are_read() {
        let mut tree = Tree::default();
        for (path, text) in [
            (
                "var/lib/dpkg/status",
                "Package: libc6\nStatus: install ok installed\nArchitecture: amd64\nSource: glibc (2.36-9)\nVersion: 2.36-9+deb12u10\n\
                 Description: C library\n Version: not this\n\nPackage: gone\nStatus: deinstall ok config-files\nVersion: 1\n",
            ),
            (
                "var/lib/dpkg/status.d/nginx",
                "Package: nginx\nVersion: 1.22.1-9\nArchitecture: amd64\n",
            ),
            (
                "var/lib/dpkg/status.d/nginx.md5sums",
                "d41d8cd98f00b204e9800998ecf8427e  usr/sbin/nginx\n",
            ),
            ("etc/os-release", "NAME=x\nID=\"ubuntu\"\n"),
        ] {
            let content = Kind::File(Extents::from_bytes(text.as_bytes().to_vec()));
            tree.insert(path.as_bytes(), Meta::default(), content, &Meta::default())
                .unwrap();
        }
        let found: Vec<_> = packages(&tree, "")
            .unwrap()
            .into_iter()
            .map(|package| (package.name, package.version, package.source))
            .collect();
        let expected = [("libc6", "2.36-9+deb12u10", "glibc"), ("nginx", "1.22.1-9", "nginx")];
        let expected = expected.map(|(name, version, source)| (name.to_owned(), version.to_owned(), source.to_owned()));
        assert_eq!(found, expected);
        assert_eq!(distribution(&tree, "").as_deref(), Some("ubuntu"));
        assert_eq!(packages(&Tree::default(), ""), Ok(Vec::new()));
    }
}
