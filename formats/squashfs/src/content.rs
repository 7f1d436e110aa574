//! Contents of files, block by block.

use extents::Extents;

use crate::error::Error;

/// File of the tree.
pub(crate) struct File<'a> {
    /// First path of the file, for messages.
    pub(crate) path: Vec<u8>,
    pub(crate) content: &'a Extents,
}

impl File<'_> {
    /// Iterates over the numbers of the blocks that are not holes.
    pub(crate) fn blocks(&self, block_size: u32) -> impl Iterator<Item = u64> + use<> {
        self.content.occupied(block_size.into()).into_iter().flatten()
    }

    /// Appends a part of the content to `out`.
    pub(crate) fn read(&self, start: u64, len: u64, out: &mut Vec<u8>) -> Result<(), Error> {
        let at = out.len();
        out.resize(at + len as usize, 0);
        let (_, part) = out.split_at_mut(at);
        let result = self.content.read_exact_at(part, start);
        result.map_err(|source| Error::Read {
            path: self.path.clone(),
            source,
        })
    }
}

/// Returns true for bytes that are all zeros.
pub(crate) fn is_zero(bytes: &[u8]) -> bool {
    bytes
        .chunks(256)
        .all(|chunk| chunk.iter().fold(0, |all, byte| all | byte) == 0)
}
