//! Alpine packages of an image, from apk's database (apk(5), "installed").

use tree::Tree;

use super::scan::{MAX_PACKAGES, TooLarge, database, distribution, join};
use super::{Kind, Package, purl};

/// Paths of the database; newer versions of apk have the second.
const PATHS: [&str; 2] = ["lib/apk/db/installed", "usr/lib/apk/db/installed"];

/// Lists the installed packages of an image below a root.
///
/// # Errors
/// A database that is too large.
pub fn packages(image: &Tree, root: &str) -> Result<Vec<Package>, TooLarge> {
    let mut packages = Vec::new();
    for path in PATHS {
        // One may be a symbolic link's path to the other.
        if packages.is_empty()
            && let Some(text) = database(image, root, path)?
        {
            let distribution = distribution(image, root).unwrap_or_else(|| "alpine".into());
            let path = join(root, path);
            let found = text
                .split("\n\n")
                .filter_map(|entry| package(entry, &distribution, &path));
            packages = found.take(MAX_PACKAGES.saturating_add(1)).collect();
            if packages.len() > MAX_PACKAGES {
                return Err(TooLarge { path });
            }
        }
    }
    Ok(packages)
}

fn package(entry: &str, distribution: &str, path: &str) -> Option<Package> {
    let field = |letter: &str| {
        let mut lines = entry.lines().filter_map(|line| line.split_once(':'));
        lines.find(|(key, _)| *key == letter).map(|(_, value)| value.trim())
    };
    let (name, version) = (field("P")?, field("V")?);
    let arch = field("A").unwrap_or_default();
    Some(Package {
        kind: Kind::Apk,
        name: name.to_owned(),
        version: version.to_owned(),
        purl: Some(purl::format(
            Kind::Apk.name(),
            distribution,
            name,
            version,
            &[("arch", arch)],
        )),
        license: field("L").filter(|license| !license.is_empty()).map(str::to_owned),
        source: field("o").map(str::to_owned),
        found_in: Some(path.to_owned()),
    })
}

#[cfg(test)]
mod tests {
    use extents::Extents;
    use tree::Meta;

    use super::*;

    #[test]
    fn installed_packages_are_read() {
        let mut tree = Tree::default();
        let database = "C:Q1x=\nP:musl\nV:1.2.5-r0\nA:x86_64\nL:MIT\no:musl\nF:lib\nR:ld-musl-x86_64.so.1\n\n\
                        C:Q1y=\nP:a+b\nV:2\n\nnot a package\n";
        let content = tree::Kind::File(Extents::from_bytes(database.as_bytes()));
        tree.insert(PATHS[0].as_bytes(), Meta::default(), content, &Meta::default())
            .unwrap();
        let found = packages(&tree, "").unwrap();
        let urls: Vec<_> = found.iter().filter_map(|package| package.purl.as_deref()).collect();
        assert_eq!(
            urls,
            ["pkg:apk/alpine/musl@1.2.5-r0?arch=x86_64", "pkg:apk/alpine/a%2Bb@2"]
        );
        assert_eq!(found[0].license.as_deref(), Some("MIT"));
    }
}
