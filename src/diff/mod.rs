//! Differences between two systems: outputs of any format, images, or what a YAML describes.
//!
//! ```text
//! output ──inspect──▶ Report ┐
//! YAML ──assemble──▶ System ─┼─▶ Snapshot ┐
//! image ──store──▶ Tree ─────┘            ├──compare──▶ Difference
//!                             Snapshot ───┘
//! ```

mod containers;
mod files;
mod output;
mod packages;

use std::collections::BTreeMap;
use std::io;

use extents::Extents;
use serde::Serialize;
use tree::{NodeId, Tree};

use crate::sbom;
use crate::system::System;
pub use containers::ContainerChange;
pub use files::{FileChange, Property};
pub use packages::PackageChange;

/// Content of one side of a comparison.
#[derive(Debug, Default)]
pub struct Snapshot {
    /// Root filesystem, or the files of an image, without `/boot`. None of a kernel or a command line.
    pub root: Option<Tree>,
    /// Properties of the files that the format stores and its reader returns.
    pub stored: StoredProperties,
    /// Kernel, if there is one.
    pub kernel: Option<Extents>,
    /// Kernel arguments, if there is a kernel or a file with them.
    pub arguments: Option<String>,
    /// Files of an output that are outside of the root filesystem, such as boot loaders.
    pub boot: BTreeMap<String, Extents>,
    /// Fields of the partition tables, by partition.
    pub partitions: BTreeMap<String, String>,
    /// Formats of an output, the outermost first; none of an image or a YAML.
    pub formats: Vec<&'static str>,
    /// The output itself.
    pub file: Option<Extents>,
}

/// Properties of files that a format stores and its reader returns.
#[derive(Clone, Copy, Debug)]
pub struct StoredProperties {
    /// Permissions.
    pub mode: bool,
    /// Owner.
    pub owner: bool,
    /// Times of last modification.
    pub mtime: bool,
    /// Extended attributes.
    pub xattrs: bool,
    /// Device numbers.
    pub devices: bool,
}

impl StoredProperties {
    /// Every property.
    pub const ALL: StoredProperties = StoredProperties {
        mode: true,
        owner: true,
        mtime: true,
        xattrs: true,
        devices: true,
    };

    /// Only type and content.
    const NONE: StoredProperties = StoredProperties {
        mode: false,
        owner: false,
        mtime: false,
        xattrs: false,
        devices: false,
    };

    /// Returns the properties that both have.
    fn and(self, other: StoredProperties) -> StoredProperties {
        StoredProperties {
            mode: self.mode && other.mode,
            owner: self.owner && other.owner,
            mtime: self.mtime && other.mtime,
            xattrs: self.xattrs && other.xattrs,
            devices: self.devices && other.devices,
        }
    }
}

impl Default for StoredProperties {
    fn default() -> Self {
        StoredProperties::ALL
    }
}

impl Snapshot {
    /// Returns the snapshot of an assembled system.
    pub fn of_system(system: &System) -> Snapshot {
        let mut root = system.root.clone();
        clear_boot(&mut root);
        Snapshot {
            root: Some(root),
            kernel: system.kernel.clone(),
            arguments: system.kernel.is_some().then(|| system.cmdline.clone()),
            ..Snapshot::default()
        }
    }

    /// Returns true if both have a part that can be compared.
    pub fn has_common_part(&self, other: &Snapshot) -> bool {
        self.formats == other.formats
            || self.root.is_some() && other.root.is_some()
            || self.kernel.is_some() && other.kernel.is_some()
            || self.arguments.is_some() && other.arguments.is_some()
    }

    /// Returns the snapshot of the files of an image.
    pub fn of_tree(root: Tree) -> Snapshot {
        Snapshot {
            root: Some(root),
            ..Snapshot::default()
        }
    }
}

/// Differences between two snapshots, the first of which is the old one.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// Packages that were added, removed, or have another version.
    pub packages: Vec<PackageChange>,
    /// Containers whose OCI runtime configuration differs.
    pub containers: Vec<ContainerChange>,
    /// Kernel.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kernel: Option<Change>,
    /// Kernel arguments.
    pub arguments: Arguments,
    /// Fields of partitions, by partition.
    pub partitions: BTreeMap<String, Change>,
    /// Boot files outside of the root filesystem.
    pub boot: Vec<FileChange>,
    /// Files of the root filesystem, apart from those of `containers`.
    pub files: Vec<FileChange>,
    /// Offset of the first byte that differs, if two outputs have equal contents and not equal bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first_byte: Option<u64>,
}

/// Old and new value. None if there is none.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Change {
    /// Old value.
    pub old: Option<String>,
    /// New value.
    pub new: Option<String>,
}

impl Change {
    /// Returns a change between two values, or none if they are equal.
    fn between(old: Option<String>, new: Option<String>) -> Option<Change> {
        (old != new).then_some(Change { old, new })
    }
}

/// Changes of the kernel arguments.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Arguments {
    /// Arguments that only the old system has.
    pub removed: Vec<String>,
    /// Arguments that only the new system has.
    pub added: Vec<String>,
    /// True if both have the same arguments in another order.
    pub reordered: bool,
}

impl Difference {
    /// Returns true if there is no difference.
    pub fn is_empty(&self) -> bool {
        *self == Difference::default()
    }
}

/// Compares two snapshots.
///
/// Outputs of different formats are compared by what both have: the root filesystem, kernel and kernel
/// arguments.
///
/// # Errors
/// Content that cannot be read.
pub fn compare(mut old: Snapshot, mut new: Snapshot) -> io::Result<Difference> {
    let is_one_format = !old.formats.is_empty() && old.formats == new.formats;
    if is_one_format && first_difference(old.file.as_ref(), new.file.as_ref())?.is_none() {
        return Ok(Difference::default());
    }
    let mut difference = Difference::default();
    if let (Some(old), Some(new)) = (&old.kernel, &new.kernel) {
        difference.kernel = files::content(old, new)?;
    }
    if let (Some(old), Some(new)) = (&old.arguments, &new.arguments) {
        difference.arguments = arguments(old, new);
    }
    if is_one_format {
        difference.partitions = fields(&old.partitions, &new.partitions);
        difference.boot = files::compare_contents(&old.boot, &new.boot)?;
    }
    let stored = old.stored.and(new.stored);
    if let (Some(old), Some(new)) = (&mut old.root, &mut new.root) {
        difference.packages = packages::compare(sbom::scan(old).packages, sbom::scan(new).packages);
        difference.containers = containers::compare(old, new);
        difference.files = files::compare(old, new, stored)?;
    }
    if !is_one_format {
        difference
            .files
            .retain(|change| !(change.is_one_sided_directory() && is_mount_point(&change.path)));
    }
    if is_one_format && difference.is_empty() {
        difference.first_byte = first_difference(old.file.as_ref(), new.file.as_ref())?;
    }
    Ok(difference)
}

/// Directories that moby adds to a root filesystem on a disk, or that ext4 has.
const MOUNT_POINTS: [&str; 7] = ["dev", "lost+found", "proc", "run", "sys", "tmp", "var"];

/// Returns true for a path that moby creates a directory at when a root filesystem is on a disk: its own mount
/// points, and those of read-only containers.
fn is_mount_point(path: &str) -> bool {
    MOUNT_POINTS.contains(&path) || path.starts_with("containers/") && path.contains("/rootfs/")
}

/// Returns the offset of the first byte that differs, 0 if only one side has the file, or `None` if both are
/// equal.
fn first_difference(old: Option<&Extents>, new: Option<&Extents>) -> io::Result<Option<u64>> {
    let (Some(old), Some(new)) = (old, new) else {
        return Ok(Some(0));
    };
    files::first_difference(old, new)
}

/// Compares two maps of fields.
fn fields(old: &BTreeMap<String, String>, new: &BTreeMap<String, String>) -> BTreeMap<String, Change> {
    let names = old.keys().chain(new.keys());
    let changes = names.filter_map(|name| {
        let change = Change::between(old.get(name).cloned(), new.get(name).cloned())?;
        Some((name.clone(), change))
    });
    changes.collect()
}

/// Arguments by which moby names the root filesystem of a disk; a YAML and an initrd have none.
fn is_root_argument(word: &&str) -> bool {
    let names = ["root=", "rootfstype=", "rootwait", "ro"];
    names
        .iter()
        .any(|name| word == name || name.ends_with('=') && word.starts_with(name))
}

/// Compares kernel arguments by words.
fn arguments(old: &str, new: &str) -> Arguments {
    let words = |text: &'_ str| -> Vec<String> { text.split_whitespace().map(str::to_owned).collect() };
    let names_root = |words: &[String]| words.iter().any(|word| word.starts_with("root="));
    let (mut old, mut new) = (words(old), words(new));
    if names_root(&old) != names_root(&new) {
        old.retain(|word| !is_root_argument(&word.as_str()));
        new.retain(|word| !is_root_argument(&word.as_str()));
    }
    let only = |one: &[String], other: &[String]| -> Vec<String> {
        let mut other = other.to_vec();
        let mut only = Vec::new();
        for word in one {
            match other.iter().position(|known| known == word) {
                Some(at) => drop(other.remove(at)),
                None => only.push(word.clone()),
            }
        }
        only
    };
    let (removed, added) = (only(&old, &new), only(&new, &old));
    Arguments {
        reordered: removed.is_empty() && added.is_empty() && old != new,
        removed,
        added,
    }
}

/// Removes the files of `/boot`, which are compared by their purpose.
fn clear_boot(root: &mut Tree) {
    root.clear(b"boot");
    if let Some(id) = root.lookup(b"boot").filter(|id| *id != NodeId::ROOT)
        && root.node(id).kind.is_directory()
    {
        root.remove(b"boot");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_are_compared_by_words() {
        let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
        let found = arguments("console=ttyS0 a a", "a console=ttyS0 b");
        assert_eq!((found.removed, found.added), (words(&["a"]), words(&["b"])));
        assert!(arguments("a b", "b a").reordered);
        assert_eq!(arguments("a\n", " a"), Arguments::default());
        // The root filesystem that moby adds on a disk is no difference to the YAML.
        let disk = "quiet root=PARTUUID=1-02 rootfstype=ext4 ro";
        assert_eq!(arguments("quiet", disk), Arguments::default());
        assert_eq!(arguments("quiet root=a", "quiet root=b").added, words(&["root=b"]));
    }
}
