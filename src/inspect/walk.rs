//! The walk through a file and the files within it.

use extents::Extents;
use indicatif::BinaryBytes;

use super::budget::Budget;
use super::compressed::Compression;
use super::contents::{Contents, Entry};
use super::guard::guard;
use super::summary::{self, Summary};
use super::verity::Verity;
use super::{EntryError, Error, disk_image, filesystem, initrd, partitions, tar, uki};
use crate::kernel;

/// Number of levels of files within files.
const MAX_DEPTH: usize = 12;
/// First bytes of a file, by which formats are detected; the ISO 9660 descriptor is at 32 KiB.
const HEAD: u64 = 36 << 10;
/// Number of entries in a report.
const MAX_ENTRIES: usize = 4 << 20;
/// Number of lines in a report.
const MAX_LINES: usize = 1 << 20;

/// Limits of an inspection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Limits {
    /// Decompresses at most four times the length of the file, or 2 GiB if that is more.
    #[default]
    Bounded,
    /// Decompresses everything.
    Unbounded,
}

/// Result of an inspection.
#[derive(Debug, Default)]
pub struct Report {
    /// Description of the file and the files within it.
    pub lines: Vec<Line>,
    /// Entries by path. A file that contains files acts as a directory:
    /// `1/EFI/BOOT/BOOTX64.EFI/.initrd/etc/os-release`.
    pub entries: Vec<Entry>,
    /// Containers of the entries: filesystems, archives, disks.
    pub volumes: Vec<Volume>,
    /// Parts that cannot be read.
    pub errors: Vec<EntryError>,
    /// Paths of the compressed files that [`Limits::Bounded`] left compressed.
    pub skipped: Vec<String>,
}

impl Report {
    /// Iterates over the regular files.
    pub fn files(&self) -> impl Iterator<Item = (&str, &Extents)> {
        let file = |entry: &Entry| entry.content().is_some();
        let files = self.entries.iter().filter(move |entry| file(entry));
        files.filter_map(|entry| Some((entry.path.as_str(), entry.content()?)))
    }
}

/// Filesystem, archive or disk within the inspected file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Volume {
    /// Path of the file that it is; empty for the inspected file.
    pub path: String,
    /// Name of its format: `ext4 filesystem`.
    pub format: &'static str,
    /// Description in one line, and further ones, for example of partitions.
    pub summary: Vec<String>,
}

/// Line of a report.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// Nesting level, 0 for the file itself.
    pub depth: usize,
    /// Text without indentation.
    pub text: String,
    /// True if it quotes a configuration file, so that a short report may leave it out.
    pub is_quote: bool,
}

/// Inspects a file.
pub fn inspect(content: &Extents, limits: Limits) -> Report {
    let budget = match limits {
        Limits::Bounded => Budget::for_len(content.len()),
        Limits::Unbounded => Budget::unlimited(),
    };
    let mut walk = Walk {
        report: Report::default(),
        budget,
    };
    walk.visit("", content, 0);
    walk.report
}

struct Walk {
    report: Report,
    budget: Budget,
}

impl Walk {
    /// Describes one file and the files within it.
    fn visit(&mut self, path: &str, content: &Extents, depth: usize) {
        if depth > MAX_DEPTH {
            return;
        }
        match self.try_visit(path, content, depth) {
            Ok(()) => {}
            Err(Error::Budget { .. }) => {
                self.line(path, depth, "compressed, not inspected");
                self.report.skipped.push(path.to_owned());
            }
            Err(source) => self.report.errors.push(EntryError {
                path: path.to_owned(),
                source,
            }),
        }
    }

    fn try_visit(&mut self, path: &str, content: &Extents, depth: usize) -> Result<(), Error> {
        let head = content.part(0, HEAD).to_vec()?;
        if let Some((summary, disk)) = guard(|| disk_image::open(&head, content))? {
            self.line(path, depth, &summary);
            self.visit(path, &disk, depth + 1);
            return Ok(());
        }
        if let Some(compression) = Compression::detect(&head)
            && !initrd::is_compressed(compression, content)?
        {
            let plain = compression.decompress(content, &self.budget)?;
            let len = BinaryBytes(plain.len());
            self.line(path, depth, &format!("compressed by {compression}, {len} uncompressed"));
            self.visit(path, &plain, depth + 1);
            return Ok(());
        }
        if let Some(mut contents) = guard(|| open(&head, content, &self.budget))? {
            if let Some(verity) = Verity::find(&head, content) {
                contents.details.push(self.verified(path, &verity));
            }
            self.contents(path, contents, depth);
            return Ok(());
        }
        if path.is_empty()
            && let Some(arguments) = summary::kernel_arguments(content)
        {
            self.line(path, depth, &arguments);
        }
        if let Some(version) = kernel::version(content)? {
            self.line(path, depth, &format!("Linux kernel {version}"));
        }
        Ok(())
    }

    /// Verifies a filesystem with a hash tree, and describes it.
    fn verified(&mut self, path: &str, verity: &Verity) -> String {
        let root_hash = verity.root_hash();
        if self.budget.left() < verity.len() || self.budget.take(verity.len()).is_err() {
            return format!("dm-verity, root hash {root_hash}, not verified");
        }
        match verity.verify() {
            Ok(()) => format!("dm-verity, root hash {root_hash}, verified"),
            Err(source) => {
                self.report.errors.push(EntryError {
                    path: path.to_owned(),
                    source,
                });
                format!("dm-verity, root hash {root_hash}, does not match the filesystem")
            }
        }
    }

    fn contents(&mut self, path: &str, contents: Contents, depth: usize) {
        self.line(path, depth, &contents.summary);
        for detail in &contents.details {
            self.push(depth + 1, detail.clone(), false);
        }
        let mut summary = vec![contents.summary];
        summary.extend(contents.details);
        self.report.volumes.push(Volume {
            path: path.to_owned(),
            format: contents.format,
            summary,
        });
        for mut entry in contents.entries {
            let name = entry.path.clone();
            if self.report.entries.len() >= MAX_ENTRIES {
                self.report.errors.push(EntryError {
                    path: path.to_owned(),
                    source: Error::TooMany {
                        format: "file",
                        items: "entries within it",
                        limit: MAX_ENTRIES as u64,
                    },
                });
                return;
            }
            let path = if path.is_empty() {
                name.clone()
            } else {
                format!("{path}/{name}")
            };
            entry.path.clone_from(&path);
            let content = entry.content().cloned();
            self.report.entries.push(entry);
            let Some(content) = content else { continue };
            if contents.descend.includes(&name) {
                self.visit(&path, &content, depth + 1);
            }
            match summary::describe(&name, &content) {
                Some(Summary::BootConfiguration(lines)) => {
                    self.line(&path, depth + 1, "boot configuration");
                    for line in lines {
                        self.push(depth + 2, line, true);
                    }
                }
                Some(Summary::Text(text)) => self.line(&path, depth + 1, &text),
                Some(Summary::Container(text)) => self.push(depth + 1, text, false),
                None => {}
            }
        }
    }

    fn line(&mut self, path: &str, depth: usize, text: &str) {
        let text = if path.is_empty() {
            text.to_owned()
        } else {
            format!("{path}: {text}")
        };
        self.push(depth, text, false);
    }

    fn push(&mut self, depth: usize, text: String, is_quote: bool) {
        if self.report.lines.len() < MAX_LINES {
            self.report.lines.push(Line { depth, text, is_quote });
        }
    }
}

/// Opens a filesystem, an archive or a partitioned disk.
fn open(head: &[u8], content: &Extents, budget: &Budget) -> Result<Option<Contents>, Error> {
    if let Some(contents) = filesystem::open(head, content)? {
        return Ok(Some(contents));
    }
    if let Some(contents) = tar::open(head, content)? {
        return Ok(Some(contents));
    }
    if let Some(contents) = partitions::open(head, content)? {
        return Ok(Some(contents));
    }
    if let Some(contents) = uki::open(head, content) {
        return Ok(Some(contents));
    }
    initrd::open(head, content, budget)
}
