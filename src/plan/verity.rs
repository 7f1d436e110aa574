//! Root filesystems that dm-verity verifies: the filesystem, then its hash area.

use super::root_filesystem::Image;
use super::{Error, Options};
use crate::reporter::{Progress, Reporter};

/// Size of a block in bytes, of the filesystem and of the hash area.
const BLOCK: u64 = 4096;

/// Appends the hash area, and adds the kernel arguments with the root hash and the number of blocks
/// before it.
///
/// # Errors
/// An image that cannot be read, and a hash tree that cannot be written.
pub fn protect(image: Image, options: &Options, reporter: &dyn Reporter) -> Result<Image, Error> {
    let mut content = image.content;
    content.align_to(BLOCK);
    let mut verity = ::verity::Options::default();
    verity.jobs = options.jobs;
    verity.temp_dir.clone_from(&options.temp_dir);
    reporter.progress(Progress::Begin {
        operation: "hashing the root filesystem",
        total: content.len(),
    });
    let progress = |bytes| reporter.progress(Progress::Advance(bytes));
    let area = ::verity::plan_with_progress(&content, &verity, &progress)?;
    let digits: String = area.root_hash.iter().map(|byte| format!("{byte:02x}")).collect();
    let blocks = area.superblock.data_blocks;
    content.push(&area.extents);
    Ok(Image {
        content,
        verity_arguments: vec![format!("roothash={digits}"), format!("verity.at={blocks}")],
        ..image
    })
}
