//! Identifiers derived from content, so that repeated builds have equal ones.

use extents::{Data, Extents, emit};
use sha2::{Digest, Sha256};

/// Identifier of a content: a hash of its layout, its bytes in memory, and the digests of the blobs
/// that its slices are parts of. It differs when the content does, and little is read for it.
#[derive(Clone, Copy, Debug)]
pub struct ContentId([u8; 32]);

impl ContentId {
    /// Computes the identifier of a content.
    ///
    /// # Errors
    /// Content that cannot be read.
    pub fn from_content(content: &Extents) -> std::io::Result<ContentId> {
        let mut hash = Sha256::new();
        hash.update(content.len().to_le_bytes());
        for extent in content.extents() {
            hash.update(extent.offset().to_le_bytes());
            hash.update(extent.data().len().to_le_bytes());
            let known = match extent.data() {
                Data::Slice(slice) => slice.blob().digest().map(|digest| (digest, slice.offset())),
                Data::Bytes { .. } => None,
            };
            match known {
                Some((digest, offset)) => {
                    hash.update((digest.len() as u64).to_le_bytes());
                    hash.update(digest);
                    hash.update(offset.to_le_bytes());
                }
                None => emit::chunks(&content.part(extent.offset(), extent.data().len()), |chunk| {
                    hash.update(chunk);
                    Ok(())
                })?,
            }
        }
        Ok(ContentId(hash.finalize().into()))
    }

    /// Derives a digest for a purpose, such as the identifier of a compressed form.
    pub fn derive(&self, purpose: &str) -> [u8; 32] {
        Sha256::new()
            .chain_update(self.0)
            .chain_update(purpose)
            .finalize()
            .into()
    }

    /// Derives a UUID for a purpose (RFC 9562, 5.8: version 8, vendor-specific).
    pub fn uuid(&self, purpose: &str) -> u128 {
        let value = self
            .derive(purpose)
            .iter()
            .take(16)
            .fold(0u128, |value, byte| value << 8 | u128::from(*byte));
        value & !(0xf << 76) & !(3 << 62) | 8 << 76 | 2 << 62
    }

    /// Derives a number of 32 bits for a purpose, other than 0.
    pub fn number(&self, purpose: &str) -> u32 {
        (self.uuid(purpose) as u32).max(1)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::sync::Arc;

    use extents::{FileBlob, Slice};

    use super::*;

    #[test]
    fn a_byte_in_the_middle_makes_another() {
        let of = |byte: u8, digest: Option<&str>| {
            let mut content = vec![7; 100_000];
            content[50_000] = byte;
            let mut file = tempfile::tempfile().unwrap();
            file.write_all(&content).unwrap();
            let blob = FileBlob::new(file).unwrap();
            let blob = match digest {
                Some(digest) => blob.with_digest(digest),
                None => blob,
            };
            let slice = Slice::from_blob(Arc::new(blob));
            let cut = Extents::from_slice(slice.part(10, 90_000));
            (
                ContentId::from_content(&Extents::from_slice(slice)).unwrap().0,
                ContentId::from_content(&cut).unwrap().0,
            )
        };
        assert_eq!(of(1, None), of(1, None));
        assert_ne!(of(1, None).0, of(2, None).0);
        assert_ne!(of(1, None).1, of(2, None).1);
        // What is known is not read.
        assert_eq!(of(1, Some("a")), of(2, Some("a")));
        assert_ne!(of(1, Some("a")), of(1, Some("b")));
    }
}
