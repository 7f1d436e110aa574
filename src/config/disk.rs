//! The section `disk:`, which adds partitions to disks and changes those that the formats have.
//! LinuxKit has no such section.

use std::str::FromStr;

use disk::{MAX_LABEL_LEN, PartitionType};
use serde::{Deserialize, Serialize};

use super::File;
use crate::diagnostic::{Diagnostic, nearest};
use crate::size;

/// Labels of the partitions that formats have.
pub const FORMAT_LABELS: [&str; 2] = ["boot", "root"];

/// Disks.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Disk {
    /// Partitions, in the order in which they follow those of the format.
    pub partitions: Vec<Partition>,
}

/// A partition to add, or changes to one that the format has under the same label.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Partition {
    /// Label of the partition and of its filesystem.
    pub label: String,
    /// Type: a name, a GUID, or a byte such as `0x83`.
    #[serde(rename = "type", skip_serializing_if = "String::is_empty")]
    pub kind: String,
    /// Filesystem; `None` if not given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub filesystem: Option<Filesystem>,
    /// Size as `--size` takes it: the minimum.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub size: Option<Size>,
    /// True if the partition takes the free space of the disk.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub grow: bool,
    /// Files in the filesystem.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub files: Vec<File>,
    /// Volume whose content the filesystem has.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub volume: String,
}

/// Filesystem of a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Filesystem {
    /// ext4 with a journal.
    Ext4,
    /// FAT.
    Fat,
    /// squashfs, read-only.
    Squashfs,
    /// EROFS, read-only.
    Erofs,
}

/// Size: a number of MiB, or a text with a unit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Size {
    /// In MiB.
    Number(u64),
    /// With a unit.
    Text(String),
}

impl Size {
    /// Returns the size in bytes.
    ///
    /// # Errors
    /// A text that is not a size.
    pub fn bytes(&self) -> Result<u64, size::Invalid> {
        match self {
            Size::Number(number) => size::parse(&number.to_string()),
            Size::Text(text) => size::parse(text),
        }
    }
}

impl Filesystem {
    /// Maximum number of characters in a label.
    fn max_label(self) -> usize {
        match self {
            Filesystem::Ext4 | Filesystem::Erofs => 16,
            Filesystem::Fat => 11,
            Filesystem::Squashfs => MAX_LABEL_LEN,
        }
    }
}

impl Disk {
    pub(super) fn is_empty(&self) -> bool {
        self.partitions.is_empty()
    }

    /// Finds mistakes that the schema cannot express; `volumes` are the names of the volumes.
    pub(super) fn check(&self, volumes: &[&str]) -> Vec<Diagnostic> {
        let mut errors = Vec::new();
        for (at, partition) in self.partitions.iter().enumerate() {
            let mut before = self.partitions.iter().take(at);
            let is_duplicate = before.any(|other| other.label == partition.label);
            let mut found = partition.check(volumes);
            if is_duplicate {
                let message = format!("duplicate partition label: {}", partition.label);
                found.push(Diagnostic::field("label", message).help("rename one of them"));
            }
            let field = format!("disk.partitions[{at}]");
            errors.extend(found.into_iter().map(|error| error.below(&field)));
        }
        let mut growing = self
            .partitions
            .iter()
            .enumerate()
            .filter(|(_, partition)| partition.grow);
        if let (Some(_), Some((at, _))) = (growing.next(), growing.next()) {
            let field = format!("disk.partitions[{at}].grow");
            errors.push(
                Diagnostic::field(field, "only one partition can take the rest of the disk")
                    .help("remove `grow: true` from all but one"),
            );
        }
        errors
    }
}

impl Partition {
    /// Returns whether it changes a partition that the format has.
    pub fn is_of_format(&self) -> bool {
        FORMAT_LABELS.contains(&self.label.as_str())
    }

    /// Returns the type; `None` if it is not given, or invalid.
    pub fn partition_type(&self) -> Option<PartitionType> {
        PartitionType::from_str(&self.kind).ok()
    }

    /// Returns the size in bytes; 0 if it is not given.
    pub fn min_size(&self) -> u64 {
        self.size.as_ref().and_then(|size| size.bytes().ok()).unwrap_or(0)
    }

    fn check(&self, volumes: &[&str]) -> Vec<Diagnostic> {
        let mut errors = Vec::new();
        let mut error = |field: &str, message: String, help: String| {
            errors.push(Diagnostic::field(field, message).help(help));
        };
        let max = self.filesystem.map_or(MAX_LABEL_LEN, Filesystem::max_label);
        let is_ascii = self.label.chars().all(|c| c.is_ascii_graphic());
        if self.label.is_empty() || !is_ascii || self.label.len() > max {
            let message = format!("invalid partition label: {:?}", self.label);
            error(
                "label",
                message,
                format!("use 1 to {max} ASCII characters without spaces"),
            );
        }
        if !self.kind.is_empty() && self.partition_type().is_none() {
            let names: Vec<String> = PartitionType::NAMED.iter().map(PartitionType::to_string).collect();
            let near = nearest(&self.kind, names.iter().map(String::as_str));
            let all = || format!("use a GUID, a byte such as 0x83, or one of {}", names.join(", "));
            let message = format!("unknown partition type: {:?}", self.kind);
            error("type", message, near.unwrap_or_else(all));
        }
        if let Some(Err(invalid)) = self.size.as_ref().map(Size::bytes) {
            error("size", format!("invalid size: {invalid}"), "write it as 512M".into());
        }
        if self.is_of_format() {
            let has_content = self.filesystem.is_some() || !self.files.is_empty() || !self.volume.is_empty();
            if has_content {
                let message = format!(
                    "partition {} is created by the output format and cannot have content of its own",
                    self.label
                );
                error("label", message, "use another label".into());
            }
            return errors;
        }
        if self.filesystem.is_none() && (!self.files.is_empty() || !self.volume.is_empty()) {
            let message = "a partition with content needs a filesystem".to_owned();
            error("", message, "add `filesystem: ext4`".into());
        }
        if !self.files.is_empty() && !self.volume.is_empty() {
            let message = "a partition cannot have both files and a volume".to_owned();
            error("volume", message, "remove `files:` or `volume:`".into());
        }
        if !self.volume.is_empty() && !volumes.contains(&self.volume.as_str()) {
            let message = format!("volume {} not found", self.volume);
            let near = nearest(&self.volume, volumes.iter().copied());
            error("volume", message, near.unwrap_or_else(|| "add it to `volumes:`".into()));
        }
        let is_empty = self.files.is_empty() && self.volume.is_empty();
        if is_empty && self.min_size() == 0 && !self.grow && self.size.as_ref().is_none_or(|size| size.bytes().is_ok())
        {
            let message = "a partition without content needs a size".to_owned();
            error("", message, "add `size: 64M` or `grow: true`".into());
        }
        errors
    }
}
