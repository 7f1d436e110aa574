//! Packages that were added, removed, or have another version.

use std::collections::BTreeMap;

use serde::Serialize;

use super::Change;
use crate::sbom::Package;

/// Package with other versions than before.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PackageChange {
    /// Kind, as in package URLs: `deb`, `apk`, `rpm`, `golang`, `cargo`.
    pub kind: &'static str,
    /// Name.
    pub name: String,
    /// Versions, joined by a comma.
    #[serde(flatten)]
    pub versions: Change,
}

/// Compares two lists of packages by kind and name.
pub fn compare(old: Vec<Package>, new: Vec<Package>) -> Vec<PackageChange> {
    let mut versions: BTreeMap<_, [Vec<String>; 2]> = BTreeMap::new();
    for (side, packages) in [old, new].into_iter().enumerate() {
        for package in packages {
            let entry = versions.entry((package.kind.name(), package.name)).or_default();
            entry[side].push(package.version);
        }
    }
    let changes = versions.into_iter().filter_map(|((kind, name), sides)| {
        let [old, new] = sides.map(|mut versions| {
            versions.sort();
            versions.dedup();
            (!versions.is_empty()).then(|| versions.join(", "))
        });
        let versions = Change::between(old, new)?;
        Some(PackageChange { kind, name, versions })
    });
    changes.collect()
}
