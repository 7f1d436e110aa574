//! The table of formats as people wrote it down, so that no test takes what it expects from the
//! program.

use std::sync::LazyLock;

/// A row of `testdata/golden/formats.txt`.
#[derive(Debug)]
pub struct Format {
    pub name: &'static str,
    pub arches: Vec<&'static str>,
    /// Whether a BIOS and UEFI start a machine from it.
    pub bios: bool,
    pub efi: bool,
    /// `iso`, `card`, `kernel`, `archive`, `program`, or a disk as `TABLE/DRIVER OF QEMU`.
    pub medium: &'static str,
    /// Where `--root` may move its root filesystem from.
    pub root: Option<&'static str>,
    /// What is added to the name of a build, one for each file.
    pub files: Vec<&'static str>,
}

impl Format {
    /// Whether a machine starts from it by itself.
    pub fn boots(&self) -> bool {
        self.bios || self.efi
    }

    /// The values of `--root` that it takes.
    pub fn roots(&self) -> &'static [&'static str] {
        match (self.root, self.medium) {
            (None, _) => &[],
            (_, "iso") => &["initramfs", "squashfs", "erofs", "ext4", "iso"],
            _ => &["initramfs", "squashfs", "erofs", "ext4"],
        }
    }

    /// Whether both have a file of one name that may differ.
    pub fn clashes(&self, other: &Format) -> bool {
        let own = |file: &&&str| !["-kernel", "-cmdline"].contains(*file);
        self.files.iter().filter(own).any(|file| other.files.contains(file))
    }
}

/// All rows.
pub static FORMATS: LazyLock<Vec<Format>> = LazyLock::new(|| {
    let lines = include_str!("../../testdata/golden/formats.txt").lines();
    lines.filter(|line| !line.starts_with('#')).map(row).collect()
});

fn row(line: &'static str) -> Format {
    let fields: Vec<&str> = line.split_whitespace().collect();
    let [name, arches, firmware, medium, root, files @ ..] = fields.as_slice() else {
        panic!("formats.txt: {line:?}")
    };
    Format {
        name,
        arches: arches.split(',').collect(),
        bios: firmware.split(',').any(|name| name == "bios"),
        efi: firmware.split(',').any(|name| name == "efi"),
        medium,
        root: (*root != "-").then_some(*root),
        files: files.to_vec(),
    }
}

/// The row of a name.
pub fn named(name: &str) -> &'static Format {
    FORMATS
        .iter()
        .find(|format| format.name == name)
        .unwrap_or_else(|| panic!("formats.txt has no {name}"))
}
