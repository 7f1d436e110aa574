//! Databases of RPM, which are not read: they are SQLite, Berkeley DB or RPM's own format.

use tree::{Kind, Tree};

use super::scan::{join, node};

const PATHS: [&str; 6] = [
    "var/lib/rpm/rpmdb.sqlite",
    "var/lib/rpm/Packages",
    "var/lib/rpm/Packages.db",
    "usr/lib/sysimage/rpm/rpmdb.sqlite",
    "usr/lib/sysimage/rpm/Packages",
    "usr/lib/sysimage/rpm/Packages.db",
];

/// Lists the paths of RPM's databases in an image below a root.
pub fn databases(image: &Tree, root: &str) -> Vec<String> {
    let is_file = |path: &str| {
        let node = node(image, root, path);
        node.is_some_and(|node| matches!(&node.kind, Kind::File(content) if !content.is_empty()))
    };
    let found = PATHS.into_iter().filter(|path| is_file(path));
    found.map(|path| join(root, path)).collect()
}
