//! Descriptions of files that say what a machine or a container runs.

use extents::Extents;
use serde_json::Value;

use super::contents::text;

/// Names of boot loader configuration files.
const BOOT_CONFIGURATIONS: [&str; 5] = [
    "isolinux.cfg",
    "syslinux.cfg",
    "extlinux.conf",
    "grub.cfg",
    "loader.conf",
];
/// Directory of the Boot Loader Specification's entries (UAPI.1).
const LOADER_ENTRIES: &str = "loader/entries/";
/// Raspberry Pi's boot configuration, at the top of its boot partition.
const RASPBERRY_PI: &str = "config.txt";
/// Maximum length of a boot configuration that is shown, in bytes.
const MAX_BOOT_CONFIGURATION: u64 = 64 << 10;
/// Names of files that hold kernel arguments: in a unified kernel image, a tar archive, a
/// Raspberry Pi's boot partition.
const KERNEL_ARGUMENTS: [&str; 3] = [".cmdline", "cmdline", "cmdline.txt"];
/// Maximum length of a kernel command line, in bytes: the largest COMMAND_LINE_SIZE of Linux.
const MAX_KERNEL_ARGUMENTS: u64 = 4096;

/// Description of a file.
#[derive(Debug, PartialEq, Eq)]
pub enum Summary {
    /// Lines of a boot loader's configuration.
    BootConfiguration(Vec<String>),
    /// Text after the path of the file.
    Text(String),
    /// Text without the path, which it repeats.
    Container(String),
}

/// Describes the file at `path`, relative to the filesystem or archive that has it.
pub fn describe(path: &str, content: &Extents) -> Option<Summary> {
    let lower = path.to_lowercase();
    let name = lower.rsplit('/').next().unwrap_or_default();
    if is_boot_configuration(&lower, name) {
        if content.len() > MAX_BOOT_CONFIGURATION {
            return None;
        }
        let text = text(content)?;
        let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
        Some(Summary::BootConfiguration(lines.map(ToOwned::to_owned).collect()))
    } else if KERNEL_ARGUMENTS.contains(&name) {
        kernel_arguments(content).map(Summary::Text)
    } else if let Some(container) = container(path) {
        let config: Value = serde_json::from_str(&text(content)?).unwrap_or_default();
        let arguments = config.pointer("/process/args").map(ToString::to_string);
        Some(Summary::Container(format!(
            "container {container}: {}",
            arguments.unwrap_or_default()
        )))
    } else if lower.ends_with(".json") || lower.starts_with("blobs/") || lower.contains("/blobs/") {
        oci_json(content).map(Summary::Text)
    } else {
        None
    }
}

fn is_boot_configuration(path: &str, name: &str) -> bool {
    let is_entry = path.starts_with(LOADER_ENTRIES) || path.contains(&format!("/{LOADER_ENTRIES}"));
    BOOT_CONFIGURATIONS.contains(&name) || path == RASPBERRY_PI || is_entry && name.ends_with(".conf")
}

/// Returns the name of the container whose OCI runtime configuration is at `path`.
fn container(path: &str) -> Option<&str> {
    let bundle = path.strip_suffix("/config.json")?;
    bundle.split("containers/").nth(1)
}

/// Describes a kernel command line: one line of text that sets at least one parameter.
pub fn kernel_arguments(content: &Extents) -> Option<String> {
    if content.len() > MAX_KERNEL_ARGUMENTS {
        return None;
    }
    let text = String::from_utf8(content.to_vec().ok()?).ok()?;
    let text = text.trim_matches(|letter: char| letter.is_whitespace() || letter == '\0');
    let is_line = !text.contains(char::is_control);
    (is_line && text.contains('=')).then(|| format!("kernel command line: {text}"))
}

/// Describes an OCI image configuration or manifest.
fn oci_json(content: &Extents) -> Option<String> {
    if content.part(0, 1).to_vec().ok()? != b"{" {
        return None;
    }
    let value: Value = serde_json::from_str(&text(content)?).ok()?;
    if value.pointer("/rootfs/diff_ids").is_some() {
        let field = |key: &str| value.get(key).and_then(Value::as_str).unwrap_or("?");
        let mut summary = format!("image configuration for {}/{}", field("os"), field("architecture"));
        for key in ["Entrypoint", "Cmd"] {
            let value = value.pointer(&format!("/config/{key}"));
            if let Some(value) = value.filter(|value| !value.is_null()) {
                summary.push_str(&format!(", {} {value}", key.to_lowercase()));
            }
        }
        return Some(summary);
    }
    let layers = value.get("layers")?.as_array()?;
    let digests = layers
        .iter()
        .filter_map(|layer| layer.get("digest").and_then(Value::as_str));
    Some(format!(
        "image manifest with layers {}",
        digests.collect::<Vec<_>>().join(", ")
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn describe(path: &str, text: &str) -> Option<Summary> {
        super::describe(path, &Extents::from_bytes(text.as_bytes()))
    }

    #[test]
    fn only_boot_loaders_have_boot_configurations() {
        let lines = Some(Summary::BootConfiguration(vec!["a".into(), "b".into()]));
        for path in [
            "isolinux/isolinux.cfg",
            "EFI/BOOT/GRUB.CFG",
            "boot/extlinux.conf",
            "loader/loader.conf",
            "loader/entries/moby.conf",
            "config.txt",
        ] {
            assert_eq!(describe(path, "a\n\n  b\n"), lines, "{path}");
        }
        for path in [
            "containers/services/linuxkit/rootfs/etc/app.conf",
            "etc/selinux/semanage.conf",
            "usr/share/doc/config.txt",
            "loader/entries/readme",
        ] {
            assert_eq!(describe(path, "a\n"), None, "{path}");
        }
    }

    #[test]
    fn arguments_containers_and_images_are_described() {
        let text = |text: &str| Some(Summary::Text(text.into()));
        assert_eq!(
            describe("cmdline", "quiet a=b\n"),
            text("kernel command line: quiet a=b")
        );
        assert_eq!(describe("cmdline", "a=b\nc"), None);
        let config = r#"{"process": {"args": ["/a", "b"]}}"#;
        let container = Summary::Container(r#"container onboot/000-a: ["/a","b"]"#.into());
        assert_eq!(describe("containers/onboot/000-a/config.json", config), Some(container));
        let image =
            r#"{"os": "linux", "architecture": "arm64", "config": {"Cmd": ["/a"]}, "rootfs": {"diff_ids": []}}"#;
        assert_eq!(
            describe("blobs/sha256/1", image),
            text(r#"image configuration for linux/arm64, cmd ["/a"]"#)
        );
    }
}
