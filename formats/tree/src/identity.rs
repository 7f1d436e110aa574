//! What a filesystem is known by when nobody says it: a digest of what is in it, without the
//! contents of the files, which are not read.

use crate::{Kind, Meta, Tree};
use sha2::{Digest, Sha256};

/// A digest of fields of any length, told apart from each other.
#[derive(Clone, Debug)]
pub struct Identity(Sha256);

impl Identity {
    /// Of nothing yet, in a format: other formats have other identifiers for the same.
    pub fn new(format: &str) -> Self {
        Identity(Sha256::new_with_prefix(format))
    }

    /// Adds bytes.
    pub fn bytes(&mut self, bytes: &[u8]) {
        self.number(bytes.len() as u64);
        self.0.update(bytes);
    }

    /// Adds a number.
    pub fn number(&mut self, number: u64) {
        self.0.update(number.to_le_bytes());
    }

    fn meta(&mut self, meta: &Meta) {
        for number in [meta.mode, meta.uid, meta.gid, meta.mtime.nanoseconds] {
            self.number(number.into());
        }
        self.number(meta.mtime.seconds as u64);
        self.number(meta.xattrs.len() as u64);
        for (name, value) in &meta.xattrs {
            self.bytes(name);
            self.bytes(value);
        }
    }

    fn kind(&mut self, kind: &Kind) {
        let (tag, numbers) = match kind {
            Kind::Directory(_) => (0, [0, 0]),
            Kind::File(content) => (1, [content.len(), 0]),
            Kind::Symlink(target) => {
                self.bytes(target);
                (2, [0, 0])
            }
            Kind::CharDevice(device) => (3, [device.major.into(), device.minor.into()]),
            Kind::BlockDevice(device) => (4, [device.major.into(), device.minor.into()]),
            Kind::Fifo => (5, [0, 0]),
            Kind::Socket => (6, [0, 0]),
        };
        self.number(tag);
        numbers.into_iter().for_each(|number| self.number(number));
    }

    /// Adds names, metadata and the lengths of contents.
    pub fn tree(&mut self, tree: &Tree) {
        // The first name of each node, and for others which it was.
        let mut first: Vec<Option<u64>> = vec![None; tree.capacity()];
        for (number, item) in (0..).zip(tree.walk()) {
            self.bytes(&item.path);
            match first.get_mut(item.id.index()) {
                Some(Some(other)) => self.number(*other),
                slot => {
                    slot.map(|slot| slot.replace(number));
                    self.number(number);
                    self.meta(&item.node.meta);
                    self.kind(&item.node.kind);
                }
            }
        }
    }

    /// A UUID of version 8 (RFC 9562, 5.8).
    pub fn uuid(self) -> u128 {
        let digest = self.0.finalize();
        let number = digest
            .iter()
            .take(16)
            .fold(0, |number, byte| number << 8 | u128::from(*byte));
        let version_and_variant = 0xf000 << 64 | 0xc000 << 48;
        number & !version_and_variant | 0x8000 << 64 | 0x8000 << 48
    }
}
