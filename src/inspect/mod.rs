//! What is in a file that boots: partitions, filesystems, kernels, initrds.
//!
//! ```text
//! container (qcow2, VHD, VMDK, VDI) → disk → partition → FAT → unified kernel image → initrd → file
//!                                            CD ───────────────────────▲
//! ```
//!
//! What is found stands in one tree of paths, in which a file that has files is a folder:
//! `1/EFI/BOOT/BOOTX64.EFI/.initrd/etc/os-release`. Filesystems and programs are read by crates
//! that had no part in writing them.

mod archive;
mod container;
mod disk;
mod filesystem;
mod program;

use extents::Extents;

use crate::kernel;

/// How deep files are looked for within files.
const DEEPEST: usize = 8;

/// How many files with files in them are looked into: partitions may lie over each other.
const MOST_LOOKED: usize = 300;
/// The longest configuration that is shown, in bytes.
const LONGEST_TEXT: u64 = 1 << 20;

/// What was found in a file.
#[derive(Debug, Default)]
pub struct Found {
    /// What there is to say, one line each, indented by two spaces a level.
    pub lines: Vec<String>,
    /// All files by path.
    pub files: Vec<(String, Extents)>,
    /// How many files with files in them were met.
    looked: usize,
    /// Whether what is looked into is a virtual disk already. In one of them is no other, which
    /// could be made to grow without end.
    unwrapped: bool,
}

/// Files within a file, with what it is.
struct Inside {
    what: String,
    files: Vec<(String, Extents)>,
    /// Whether each file has a line of its own: partitions and sections have, those of an
    /// initrd have not.
    listed: bool,
}

/// Looks into a file.
///
/// # Errors
/// What reading fails with, and what is damaged.
pub fn inspect(content: &Extents) -> Result<Found, String> {
    let mut found = Found::default();
    found.look("", content, 0)?;
    Ok(found)
}

impl Found {
    fn look(&mut self, path: &str, content: &Extents, depth: usize) -> Result<(), String> {
        if depth > DEEPEST || self.looked > MOST_LOOKED {
            return Ok(());
        }
        let wrong = |error: String| {
            if path.is_empty() {
                error
            } else {
                format!("{path}: {error}")
            }
        };
        let head = content
            .part(0, 0x9000)
            .to_vec()
            .map_err(|error| wrong(error.to_string()))?;
        if !self.unwrapped
            && let Some((what, inner)) = container::unwrap(&head, content).map_err(wrong)?
        {
            self.say(path, depth, &what);
            self.unwrapped = true;
            let looked = self.look(path, &inner, depth + 1);
            self.unwrapped = false;
            return looked;
        }
        let Some(inside) = inside(&head, content).map_err(wrong)? else {
            if let Some(version) = kernel::version(content).map_err(|error| wrong(error.to_string()))? {
                self.say(path, depth, &format!("Linux kernel {version}"));
            }
            return Ok(());
        };
        self.looked += 1;
        self.say(path, depth, &inside.what);
        for (name, content) in inside.files {
            let path = if path.is_empty() {
                name
            } else {
                format!("{path}/{name}")
            };
            self.files.push((path.clone(), content.clone()));
            if inside.listed {
                self.look(&path, &content, depth + 1)?;
            }
            self.notable(&path, &content, depth + 1);
        }
        Ok(())
    }

    fn say(&mut self, path: &str, depth: usize, what: &str) {
        let indent = "  ".repeat(depth);
        self.lines.push(match path {
            "" => format!("{indent}{what}"),
            _ => format!("{indent}{path}: {what}"),
        });
    }

    /// Says what a configuration says: of boot loaders as it is, of containers what they run.
    fn notable(&mut self, path: &str, content: &Extents, depth: usize) {
        let text = || {
            let start = content.part(0, LONGEST_TEXT).to_vec();
            start
                .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
                .unwrap_or_default()
        };
        let lower = path.to_lowercase();
        if [".cfg", ".conf"].iter().any(|end| lower.ends_with(end))
            && (lower.contains("linux") || lower.contains("loader/"))
            && content.len() < 1 << 16
        {
            self.say(path, depth, "boot configuration");
            for line in text().lines().filter(|line| !line.trim().is_empty()) {
                self.lines.push(format!("{}{}", "  ".repeat(depth + 1), line.trim()));
            }
        } else if path.ends_with("/.cmdline") {
            self.say(path, depth, &format!("command line: {}", text()));
        } else if let Some(container) = path
            .strip_suffix("/config.json")
            .and_then(|path| path.split("containers/").nth(1))
        {
            let config: serde_json::Value = serde_json::from_str(&text()).unwrap_or_default();
            let arguments = config
                .pointer("/process/args")
                .map(ToString::to_string)
                .unwrap_or_default();
            self.lines
                .push(format!("{}container {container}: {arguments}", "  ".repeat(depth)));
        }
    }
}

fn inside(head: &[u8], content: &Extents) -> Result<Option<Inside>, String> {
    for look in [
        filesystem::iso,
        filesystem::fat,
        disk::partitions,
        program::sections,
        archive::initrd,
    ] {
        if let Some(inside) = look(head, content)? {
            return Ok(Some(inside));
        }
    }
    Ok(None)
}
