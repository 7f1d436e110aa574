//! Contents of directories (ext4, Directory Entries).
//!
//! ```text
//! one block       . │ .. │ name │ name │ ...
//! more            the index of `htree`, and leaves: name │ name │ ...
//! ```

use crate::entry_block::{Directory, EntryBlock, Name, SIZE};
use crate::htree;

/// Encoded directory.
#[derive(Debug)]
pub struct Encoded {
    pub bytes: Vec<u8>,
    /// Set if the directory has an index.
    pub indexed: bool,
}

/// Encodes a directory with these names; returns `None` if an index cannot hold so many.
pub fn encode(directory: &Directory, names: &[Name]) -> Option<Encoded> {
    let mut block = EntryBlock::new(directory.checksum);
    if !directory.dots().iter().chain(names).all(|name| block.push(name)) {
        let bytes = htree::encode(directory, names)?;
        return Some(Encoded { bytes, indexed: true });
    }
    let mut bytes = block.finish();
    while bytes.len() < directory.min_blocks * SIZE {
        bytes.extend(EntryBlock::new(directory.checksum).finish());
    }
    Some(Encoded { bytes, indexed: false })
}
