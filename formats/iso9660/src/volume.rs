//! Volume descriptors, from block 16 on (ECMA-119 8).

use tree::Time;

use crate::encode::Place;
use crate::error::Error;
use crate::number::{both16, both32, long_time};
use crate::options::Options;
use crate::{BLOCK, encode};

/// Directory hierarchy that a descriptor refers to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// ISO 9660 (ECMA-119 8.4).
    Primary,
    /// Joliet (ECMA-119 8.5).
    Joliet,
}

/// Fields of a descriptor.
pub(crate) struct Descriptor<'a> {
    pub kind: Kind,
    pub options: &'a Options,
    /// Length of the volume in blocks.
    pub blocks: u32,
    /// Length of a path table in bytes.
    pub table_len: u32,
    /// Block of the path table in little endian.
    pub little_table: u32,
    /// Block of the path table in big endian.
    pub big_table: u32,
    /// Position of the root directory.
    pub root: Place,
    /// Time of last modification of the root directory.
    pub root_time: Time,
}

/// Returns the texts of the options, with names for messages and limits in characters.
fn texts(options: &Options) -> [(&'static str, &str, usize); 6] {
    [
        ("system id", &options.system_id, 32),
        ("volume id", &options.volume_id, 32),
        ("volume set id", &options.volume_set_id, 128),
        ("publisher id", &options.publisher_id, 128),
        ("preparer id", &options.preparer_id, 128),
        ("application id", &options.application_id, 128),
    ]
}

/// Refuses texts that are too long or not ASCII.
pub(crate) fn check(options: &Options) -> Result<(), Error> {
    for (field, value, limit) in texts(options) {
        if value.len() > limit || value.bytes().any(|byte| !(0x20..0x7f).contains(&byte)) {
            return Err(Error::Text {
                field,
                value: value.to_owned(),
                limit,
            });
        }
    }
    Ok(())
}

impl Descriptor<'_> {
    /// Encodes a text in `len` bytes, padded with spaces; in UCS-2 for Joliet.
    fn text(&self, text: &str, len: usize) -> Vec<u8> {
        let mut bytes: Vec<u8> = match self.kind {
            Kind::Primary => text.bytes().collect(),
            Kind::Joliet => text.encode_utf16().flat_map(u16::to_be_bytes).collect(),
        };
        bytes.truncate(len);
        while bytes.len() < len {
            match self.kind {
                Kind::Primary => bytes.push(b' '),
                // Half a character may remain if the length is odd (Joliet, "Descriptor
                // identifiers").
                Kind::Joliet => bytes.push(if bytes.len() % 2 == 1 { b' ' } else { 0 }),
            }
        }
        bytes
    }

    /// Encodes the descriptor, one block.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let options = self.options;
        let mut bytes = header(match self.kind {
            Kind::Primary => 1,
            Kind::Joliet => 2,
        });
        bytes.push(0); // 8: flags
        bytes.extend(self.text(&options.system_id, 32)); // 9
        bytes.extend(self.text(&options.volume_id, 32)); // 41
        bytes.extend([0; 8]); // 73
        bytes.extend(both32(self.blocks)); // 81: volume space size
        let mut escapes = [0; 32];
        if self.kind == Kind::Joliet {
            // UCS-2 level 3 (Joliet, "SVD Escape Sequences").
            escapes[..3].copy_from_slice(b"%/E");
        }
        bytes.extend(escapes); // 89
        bytes.extend(both16(1)); // 121: volume set size
        bytes.extend(both16(1)); // 125: volume sequence number
        bytes.extend(both16(BLOCK as u16)); // 129: logical block size
        bytes.extend(both32(self.table_len)); // 133: path table size
        bytes.extend(self.little_table.to_le_bytes()); // 141
        bytes.extend([0; 4]); // 145: a second type L path table
        bytes.extend(self.big_table.to_be_bytes()); // 149
        bytes.extend([0; 4]); // 153: a second type M path table
        bytes.extend(encode::root_record(self.root, self.root_time)); // 157
        bytes.extend(self.text(&options.volume_set_id, 128)); // 191
        bytes.extend(self.text(&options.publisher_id, 128)); // 319
        bytes.extend(self.text(&options.preparer_id, 128)); // 447
        bytes.extend(self.text(&options.application_id, 128)); // 575
        for _ in ["copyright", "abstract", "bibliographic"] {
            bytes.extend(self.text("", 37)); // 703, 740, 777
        }
        bytes.extend(long_time(options.time)); // 814: creation
        bytes.extend(long_time(options.time)); // 831: modification
        bytes.extend([[b'0'; 16].as_slice(), &[0]].concat()); // 848: expiration: never
        bytes.extend([[b'0'; 16].as_slice(), &[0]].concat()); // 865: effective: always
        bytes.push(1); // 882: file structure version
        bytes.resize(BLOCK as usize, 0);
        bytes
    }
}

/// Encodes type, standard identifier and version of a descriptor, 7 bytes (ECMA-119 8.1).
pub(crate) fn header(kind: u8) -> Vec<u8> {
    let mut bytes = vec![kind];
    bytes.extend(b"CD001");
    bytes.push(1);
    bytes
}

/// Encodes the descriptor that ends the set (ECMA-119 8.3).
pub(crate) fn terminator() -> Vec<u8> {
    let mut bytes = header(255);
    bytes.resize(BLOCK as usize, 0);
    bytes
}
