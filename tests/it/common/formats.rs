//! The table of formats that `testdata/golden/formats.txt` holds, so that no test takes what it
//! expects from the program.

use std::sync::LazyLock;

/// A row of `testdata/golden/formats.txt`.
#[derive(Debug)]
pub struct Format {
    pub name: &'static str,
    pub arches: Vec<&'static str>,
    /// The firmware that starts a machine from it.
    pub bios: bool,
    pub efi: bool,
    /// `kernel`, `rootfs`, `archive`, `program`, `iso`, `sd-card`, or a disk: `mbr`, `gpt`, or `ext4`
    /// for an MBR with one ext4 partition, a slash, and the driver with which QEMU reads the file.
    pub kind: &'static str,
    /// The default of `--root`, if the format takes that option.
    pub root: Option<&'static str>,
    /// Suffixes of the name of a build, one for each file.
    pub files: Vec<&'static str>,
}

impl Format {
    /// Returns whether firmware starts a machine from it.
    pub fn boots(&self) -> bool {
        self.bios || self.efi
    }

    /// The partition table of a disk, and QEMU's driver for the file.
    pub fn disk(&self) -> Option<(&'static str, &'static str)> {
        self.kind.split_once('/')
    }

    /// Returns whether it is a disk in a disk image format other than raw, or compressed.
    pub fn is_wrapped(&self) -> bool {
        let compressed = self.files[0].ends_with(".gz") || self.files[0].ends_with(".xz");
        self.disk().is_some_and(|(_, driver)| driver != "raw" || compressed)
    }

    /// The file that `moby run` starts: a disk, an ISO image, or the root filesystem beside a kernel.
    pub fn started(&self) -> &'static str {
        self.files[usize::from(self.kind == "rootfs")]
    }

    /// The values of `--root` that it takes.
    pub fn roots(&self) -> &'static [&'static str] {
        match (self.root, self.kind) {
            (None, _) => &[],
            (_, "iso") => &["initramfs", "squashfs", "erofs", "ext4", "iso"],
            _ => &["initramfs", "squashfs", "erofs", "ext4"],
        }
    }

    /// Returns whether both have a file of one name but with different content.
    pub fn clashes(&self, other: &Format) -> bool {
        let own = |file: &&&str| !["-kernel", "-cmdline"].contains(*file);
        self.files.iter().filter(own).any(|file| other.files.contains(file))
    }
}

/// All rows.
pub static FORMATS: LazyLock<Vec<Format>> = LazyLock::new(|| {
    let lines = include_str!("../../../testdata/golden/formats.txt").lines();
    lines.filter(|line| !line.starts_with('#')).map(row).collect()
});

fn row(line: &'static str) -> Format {
    let fields: Vec<&str> = line.split_whitespace().collect();
    let [name, arches, firmware, kind, root, files @ ..] = fields.as_slice() else {
        panic!("formats.txt: {line:?}")
    };
    Format {
        name,
        arches: arches.split(',').collect(),
        bios: firmware.split(',').any(|name| name == "bios"),
        efi: firmware.split(',').any(|name| name == "efi"),
        kind,
        root: (*root != "-").then_some(*root),
        files: files.to_vec(),
    }
}

/// The formats that consist of a kernel and a root filesystem.
pub fn with_rootfs() -> impl Iterator<Item = &'static Format> {
    FORMATS.iter().filter(|format| format.kind == "rootfs")
}

/// The row of a name.
pub fn named(name: &str) -> &'static Format {
    FORMATS
        .iter()
        .find(|format| format.name == name)
        .unwrap_or_else(|| panic!("formats.txt has no {name}"))
}

/// Formats in groups of at most `max_len` without two files of one name.
pub fn groups(formats: impl Iterator<Item = &'static Format>, max_len: usize) -> Vec<Vec<&'static Format>> {
    let mut groups: Vec<Vec<&Format>> = Vec::new();
    for format in formats {
        let fits =
            |group: &&mut Vec<&Format>| group.len() < max_len && !group.iter().any(|other| other.clashes(format));
        match groups.iter_mut().find(fits) {
            Some(group) => group.push(format),
            None => groups.push(vec![format]),
        }
    }
    groups
}
