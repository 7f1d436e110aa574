//! What is in a file that boots: partitions, filesystems, kernels, initrds.
//!
//! ```text
//! compressed, container (qcow2, VHD, VHDX, VMDK, VDI), tar → disk → partition ┐
//!                                           CD ─────────────────────────────┤
//!                     FAT, ext4, squashfs, EROFS → unified kernel image → initrd → file
//! ```
//!
//! What is found stands in one tree of paths, in which a file that has files is a folder:
//! `1/EFI/BOOT/BOOTX64.EFI/.initrd/etc/os-release`. Filesystems and programs are read by crates
//! that had no part in writing them.

mod archive;
mod compressed;
mod container;
mod disk;
mod filesystem;
mod guard;
mod lazy;
mod program;
mod source;
mod tar;

use extents::Extents;
use guard::guard;
use serde_json::Value;

use crate::kernel;

/// How deep files are looked for within files.
const DEEPEST: usize = 12;
/// The longest text that is shown or understood, in bytes.
const LONGEST_TEXT: u64 = 4 << 20;
/// Where the files are that start a machine, or that images consist of: in these folders, and
/// beside them.
const BOOT_FOLDERS: [&str; 6] = ["boot", "efi", "isolinux", "syslinux", "extlinux", "blobs"];

/// What was found in a file.
#[derive(Debug, Default)]
pub struct Found {
    /// What there is to say, one line each, indented by two spaces a level.
    pub lines: Vec<String>,
    /// All files by path.
    pub files: Vec<(String, Extents)>,
}

/// Files within a file, with what it is.
struct Inside {
    what: String,
    files: Vec<(String, Extents)>,
    look: Look,
}

/// Which of the files are looked into.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Look {
    /// Partitions and sections, and the files of boot media.
    All,
    /// Those of a root filesystem that start a machine.
    Boot,
    /// None: those of an initrd.
    Nothing,
}

impl Look {
    fn into(self, name: &str) -> bool {
        match self {
            Look::All => true,
            Look::Nothing => false,
            Look::Boot => name
                .split_once('/')
                .is_none_or(|(folder, _)| BOOT_FOLDERS.contains(&folder.to_lowercase().as_str())),
        }
    }
}

/// A text, when it is none of the longest.
fn text(content: &Extents) -> Option<String> {
    if content.len() > LONGEST_TEXT {
        return None;
    }
    let bytes = content.to_vec().ok()?;
    Some(String::from_utf8_lossy(&bytes).into_owned())
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
        if depth > DEEPEST {
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
        if let Some((what, inner)) = guard(|| container::unwrap(&head, content)).map_err(wrong)? {
            self.say(path, depth, &what);
            return self.look(path, &inner, depth + 1);
        }
        let Some(inside) = guard(|| inside(&head, content)).map_err(wrong)? else {
            if let Some(words) = command_line(content).filter(|_| path.is_empty()) {
                self.say(path, depth, &format!("command line: {words}"));
            }
            if let Some(version) = kernel::version(content).map_err(|error| wrong(error.to_string()))? {
                self.say(path, depth, &format!("Linux kernel {version}"));
            }
            return Ok(());
        };
        self.say(path, depth, &inside.what);
        for (name, content) in inside.files {
            let looked = inside.look.into(&name);
            let path = if path.is_empty() {
                name
            } else {
                format!("{path}/{name}")
            };
            self.files.push((path.clone(), content.clone()));
            if looked {
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
        let lower = path.to_lowercase();
        if [".cfg", ".conf"].iter().any(|end| lower.ends_with(end))
            && (lower.contains("linux") || lower.contains("loader/"))
            || lower == "config.txt"
            || lower.ends_with("/config.txt")
        {
            let Some(text) = text(content).filter(|text| text.len() < 1 << 16) else {
                return;
            };
            self.say(path, depth, "boot configuration");
            for line in text.lines().filter(|line| !line.trim().is_empty()) {
                self.lines.push(format!("{}{}", "  ".repeat(depth + 1), line.trim()));
            }
        } else if COMMAND_LINES.contains(&lower.rsplit('/').next().unwrap_or_default()) {
            if let Some(words) = command_line(content) {
                self.say(path, depth, &format!("command line: {words}"));
            }
        } else if let Some(container) = path
            .strip_suffix("/config.json")
            .and_then(|path| path.split("containers/").nth(1))
        {
            let config: Value = serde_json::from_str(&text(content).unwrap_or_default()).unwrap_or_default();
            let arguments = config
                .pointer("/process/args")
                .map(ToString::to_string)
                .unwrap_or_default();
            self.lines
                .push(format!("{}container {container}: {arguments}", "  ".repeat(depth)));
        } else if let Some(what) = image(&lower, content) {
            self.say(path, depth, &what);
        }
    }
}

/// What a blob of an image says: its configuration, or its manifest.
fn image(path: &str, content: &Extents) -> Option<String> {
    let blob = path.starts_with("blobs/") || path.contains("/blobs/");
    if !blob && !path.ends_with(".json") {
        return None;
    }
    if content.part(0, 1).to_vec().ok()? != b"{" {
        return None;
    }
    let value: Value = serde_json::from_str(&text(content)?).ok()?;
    let word = |key: &str| value.get(key).and_then(Value::as_str).unwrap_or("?");
    if value.pointer("/rootfs/diff_ids").is_some() {
        let config = |key: &str| {
            value
                .pointer(&format!("/config/{key}"))
                .filter(|value| !value.is_null())
        };
        let mut what = format!("image configuration for {}/{}", word("os"), word("architecture"));
        for key in ["Entrypoint", "Cmd"] {
            if let Some(value) = config(key) {
                what.push_str(&format!(", {} {value}", key.to_lowercase()));
            }
        }
        return Some(what);
    }
    let layers = value.get("layers")?.as_array()?;
    let digest = |layer: &Value| layer.get("digest").and_then(Value::as_str).map(ToOwned::to_owned);
    let digests: Vec<String> = layers.iter().filter_map(digest).collect();
    Some(format!("image manifest with the layers {}", digests.join(", ")))
}

/// The names of files with a command line: of a unified kernel image, a tar, a Raspberry Pi's card.
const COMMAND_LINES: [&str; 3] = [".cmdline", "cmdline", "cmdline.txt"];

/// The words of a command line: one line, in which at least one word sets something.
fn command_line(content: &Extents) -> Option<String> {
    // Linux's COMMAND_LINE_SIZE is 4096 at most.
    if content.len() > 4096 {
        return None;
    }
    let text = String::from_utf8(content.to_vec().ok()?).ok()?;
    let text = text.trim_matches(|letter: char| letter.is_whitespace() || letter == '\0');
    let line = !text.contains(|letter: char| letter.is_control());
    (line && text.contains('=')).then(|| text.to_owned())
}

fn inside(head: &[u8], content: &Extents) -> Result<Option<Inside>, String> {
    for look in [
        filesystem::iso,
        filesystem::squashfs,
        filesystem::erofs,
        filesystem::ext4,
        filesystem::fat,
        tar::tar,
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
