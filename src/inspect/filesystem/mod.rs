//! Filesystems, each read by a crate that had no part in writing it. What stands in a file is
//! read only when somebody wants it.

mod erofs;
mod erofs_index;
mod ext4;
mod fat;
mod iso;
mod squashfs;

use extents::Extents;

pub use erofs::erofs;
pub use ext4::ext4;
pub use fat::fat;
pub use iso::iso;
pub use squashfs::squashfs;

/// The most files and folders that are listed.
const MOST: usize = 4 << 20;
/// The longest path that is listed, in bytes: Linux's PATH_MAX. A folder that stands in itself
/// goes beyond.
const LONGEST: usize = 4096;

/// The files of a filesystem as they are met.
#[derive(Default)]
struct Files {
    files: Vec<(String, Extents)>,
    met: usize,
}

impl Files {
    /// The path of what has this name in a folder.
    fn path(&mut self, folder: &str, name: &str) -> Result<String, String> {
        self.met = self.met.saturating_add(1);
        if self.met > MOST || folder.len().saturating_add(name.len()) > LONGEST {
            return Err(format!(
                "it has more than {MOST} files, or folders that stand in each other without end, as {folder}"
            ));
        }
        Ok(match folder {
            "" => name.to_owned(),
            _ => format!("{folder}/{name}"),
        })
    }

    fn add(&mut self, path: String, content: Extents) {
        self.files.push((path, content));
    }

    /// By path.
    fn sorted(mut self) -> Vec<(String, Extents)> {
        self.files.sort_by(|one, other| one.0.cmp(&other.0));
        self.files
    }
}

/// What is wrong with a filesystem.
fn wrong(name: &str) -> impl Fn(&dyn std::fmt::Display) -> String + Copy {
    move |error| format!("its {name} filesystem cannot be read: {error}")
}
