//! Digest of a tree without the contents of its files, from which identifiers are derived.

use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::node::{Kind, Meta};
use crate::store::Tree;

/// SHA-256 over fields of any length, each preceded by its length.
#[derive(Clone, Debug)]
pub struct TreeFingerprint(Sha256);

impl TreeFingerprint {
    /// Starts a fingerprint. Different formats get different identifiers for one tree.
    pub fn new(format: &str) -> Self {
        TreeFingerprint(Sha256::new_with_prefix(format))
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

    /// Adds the names, metadata and file lengths of a tree. File contents are not read.
    pub fn tree(&mut self, tree: &Tree) {
        // Position of the first name of each node; later names are recorded as references to it.
        let mut first: Vec<Option<u64>> = vec![None; tree.capacity()];
        for (number, named) in (0..).zip(tree.walk()) {
            self.bytes(&named.path);
            match first.get_mut(named.id.index()) {
                Some(Some(other)) => self.number(*other),
                slot => {
                    slot.map(|slot| slot.replace(number));
                    self.number(number);
                    self.meta(&named.node.meta);
                    self.kind(&named.node.kind);
                }
            }
        }
    }

    /// Returns the first 122 bits as a UUID of version 8 (RFC 9562, 5.8).
    pub fn uuid(self) -> Uuid {
        let mut bytes = [0; 16];
        for (to, from) in bytes.iter_mut().zip(self.0.finalize()) {
            *to = from;
        }
        uuid::Builder::from_custom_bytes(bytes).into_uuid()
    }
}
