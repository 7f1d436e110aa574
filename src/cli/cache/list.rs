//! `moby cache ls`, and the removal of images by their last use.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::Serialize;

use super::super::{Failure, print, table};
use super::{fail, store};
use crate::diagnostic::{Diagnostic, printable, size};
use crate::json_lines;
use crate::oci::referrers;
use crate::pieces;
use crate::reporter::Reporter;
use crate::store::usage;
use crate::time;

/// Image of the cache, as `moby cache ls --json` prints it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Listed {
    /// Name.
    pub name: String,
    /// Digest of the index or manifest.
    pub digest: String,
    /// Platforms that are in the cache.
    pub platforms: Vec<String>,
    /// Size of the blobs in the cache, in bytes. Images may share them.
    pub size: u64,
    /// Last use, in seconds since 1970: a build, else the arrival in the cache.
    #[serde(rename = "lastUsed")]
    pub last_used: u64,
}

/// Lists all images, including corrupt ones, and fails if there are any.
pub fn ls(dir: &Path, only_names: bool, is_json: bool, reporter: &dyn Reporter) -> Result<(), Failure> {
    let (mut images, errors) = images(dir)?;
    images.retain(|image| subject(&image.name).is_none());
    let text = if only_names {
        images.iter().map(|image| format!("{}\n", image.name)).collect()
    } else if is_json {
        format!(
            "{}\n",
            json_lines::list(&images)
                .replace("\n    ", "\n  ")
                .replace("\n  ]", "\n]")
        )
    } else {
        let rows = images.iter().map(|image| {
            let digest = image.digest.trim_start_matches("sha256:").chars().take(12).collect();
            let used = time::rfc3339(i64::try_from(image.last_used).unwrap_or(i64::MAX));
            let platforms = image.platforms.join(",");
            let day = used.split('T').next().unwrap_or_default().to_owned();
            [printable(&image.name), digest, size(image.size), day, platforms]
        });
        let rows: Vec<[String; 5]> = rows.collect();
        table(["IMAGE", "DIGEST", "SIZE", "USED", "PLATFORMS"], &rows)
    };
    print(&text)?;
    let (count, bytes) = pieces::usage(dir);
    if count > 0 {
        reporter.info(&format!("compressed pieces: {count}, {}", size(bytes)));
    }
    fail(errors)
}

/// Returns the images of the cache, sorted by name, and the errors of those that are corrupt.
fn images(dir: &Path) -> Result<(Vec<Listed>, Vec<Diagnostic>), Failure> {
    let (mut images, mut errors) = (Vec::new(), Vec::new());
    for layout in store(dir)?.layouts() {
        for (name, descriptor) in layout.descriptors() {
            let Some(name) = name else { continue };
            let digest = descriptor.digest().to_string();
            let mut listed = Listed {
                last_used: seconds(usage::last(dir, &digest)),
                digest,
                platforms: vec!["corrupt".to_owned()],
                size: 0,
                name,
            };
            let found = layout.platforms(&listed.name, descriptor);
            match found.and_then(|platforms| Ok((platforms, layout.sizes(&listed.name, descriptor)?))) {
                Ok((platforms, sizes)) => {
                    listed.platforms = platforms;
                    listed.size = sizes.values().fold(0, |sum, size| sum.saturating_add(*size));
                }
                Err(error) => errors.push(error.into()),
            }
            images.push(listed);
        }
    }
    images.sort();
    images.dedup();
    Ok((images, errors))
}

fn seconds(time: Option<SystemTime>) -> u64 {
    let elapsed = time.and_then(|time| time.duration_since(UNIX_EPOCH).ok());
    elapsed.unwrap_or_default().as_secs()
}

/// Returns the names of images that were not used for a time.
pub fn unused(dir: &Path, time: Duration) -> Result<Vec<String>, Failure> {
    let limit = seconds(SystemTime::now().checked_sub(time));
    let images = by_use(dir)?.into_iter().filter(|image| image.last_used <= limit);
    Ok(images.map(|image| image.name).collect())
}

/// Returns the images, least recently used first, without referrers such as signatures.
pub fn by_use(dir: &Path) -> Result<Vec<Listed>, Failure> {
    let (mut images, _) = images(dir)?;
    images.retain(|image| subject(&image.name).is_none());
    images.sort_by(|one, other| (one.last_used, &one.name).cmp(&(other.last_used, &other.name)));
    Ok(images)
}

/// Returns the names of signatures and other referrers whose images are not in the cache any more.
pub fn orphans(dir: &Path) -> Result<Vec<String>, Failure> {
    let mut subjects: BTreeMap<String, String> = BTreeMap::new();
    let mut digests: BTreeSet<String> = BTreeSet::new();
    for layout in store(dir)?.layouts() {
        for (name, descriptor) in layout.descriptors() {
            match name.as_deref().and_then(subject) {
                Some(digest) => drop(subjects.insert(name.unwrap_or_default(), digest)),
                None => {
                    let name = name.unwrap_or_default();
                    digests.extend(layout.sizes(&name, descriptor).unwrap_or_default().into_keys());
                    digests.insert(descriptor.digest().to_string());
                }
            }
        }
    }
    let orphans = subjects.into_iter().filter(|(_, digest)| !digests.contains(digest));
    Ok(orphans.map(|(name, _)| name).collect())
}

/// Returns the digest to which a name refers: that in the tag of a signature or of an index of referrers.
fn subject(name: &str) -> Option<String> {
    referrers::subject(name).map(|(digest, _)| digest)
}

/// Returns the size of all files of the cache, in bytes.
pub fn total(dir: &Path) -> u64 {
    let mut total: u64 = 0;
    let mut open = vec![dir.to_owned()];
    while let Some(dir) = open.pop() {
        for entry in std::fs::read_dir(&dir).into_iter().flatten().flatten() {
            let Ok(found) = entry.metadata() else { continue };
            if found.is_dir() {
                open.push(entry.path());
            } else {
                total = total.saturating_add(found.len());
            }
        }
    }
    total
}
