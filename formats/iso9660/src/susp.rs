//! System use entries: the System Use Sharing Protocol (IEEE P1281, SUSP 1.12) and the Rock
//! Ridge Interchange Protocol (IEEE P1282, RRIP 1.12).
//!
//! ```text
//! directory record | ... name | PX TF NM ... CE |
//!                                            └──▶ continuation area | SL SL ... CE |
//!                                                                               └──▶ ...
//! ```
//!
//! An entry is a signature of two letters, its length, its version 1, and data. Entries that do not
//! fit the directory record are in a continuation area; no part of one crosses a block boundary,
//! since Linux reads a part from one block.

use tree::{Device, Kind, Meta, Time};

use crate::BLOCK;
use crate::number::{both32, short_time};

/// Length of a CE entry in bytes (SUSP 5.1).
const CE: usize = 28;
/// Maximum length of the data of an entry after its header, in bytes.
const DATA: usize = 255 - 4;
/// Flag of NM, SL and a component of SL that continue in the next one (RRIP 4.1.3, 4.1.4).
const CONTINUE: u8 = 1;

/// Length of a block in bytes.
const BLOCK_LEN: usize = BLOCK as usize;

/// Encodes an entry. Callers cut the data to its limit.
fn entry(signature: &[u8; 2], data: &[u8]) -> Vec<u8> {
    let mut bytes = signature.to_vec();
    bytes.push((data.len() + 4).min(255) as u8);
    bytes.push(1);
    bytes.extend(data.iter().take(DATA));
    bytes
}

/// Encodes SP, the mark of a volume with entries (SUSP 5.3).
pub(crate) fn sp() -> Vec<u8> {
    entry(b"SP", &[0xbe, 0xef, 0])
}

/// Encodes ER, the mark of Rock Ridge entries, with the texts of RRIP 4.3.
pub(crate) fn er() -> Vec<u8> {
    let id = b"IEEE_P1282";
    let description = b"THE IEEE P1282 PROTOCOL PROVIDES SUPPORT FOR POSIX FILE SYSTEM SEMANTICS";
    let source = b"PLEASE CONTACT THE IEEE STANDARDS DEPARTMENT, PISCATAWAY, NJ, USA FOR THE P1282 SPECIFICATION";
    let mut data = vec![id.len() as u8, description.len() as u8, source.len() as u8, 1];
    data.extend(id);
    data.extend(description);
    data.extend(source);
    entry(b"ER", &data)
}

/// Encodes PX: mode, link count, owner, group and serial number (RRIP 4.1.1).
pub(crate) fn px(mode: u32, links: u32, meta: &Meta, serial: u32) -> Vec<u8> {
    let data: Vec<u8> = [mode, links, meta.uid, meta.gid, serial]
        .into_iter()
        .flat_map(both32)
        .collect();
    entry(b"PX", &data)
}

/// Returns `st_mode` of a node.
pub(crate) fn mode(kind: &Kind, meta: &Meta) -> u32 {
    let format = match kind {
        Kind::Directory(_) => 0o04_0000,
        Kind::File(_) => 0o10_0000,
        Kind::Symlink(_) => 0o12_0000,
        Kind::CharDevice(_) => 0o02_0000,
        Kind::BlockDevice(_) => 0o06_0000,
        Kind::Fifo => 0o01_0000,
        Kind::Socket => 0o14_0000,
    };
    format | (meta.mode & 0o7777)
}

/// Encodes TF with only the time of modification (RRIP 4.1.6).
pub(crate) fn tf(mtime: Time) -> Vec<u8> {
    const MODIFY: u8 = 2;
    let mut data = vec![MODIFY];
    data.extend(short_time(mtime));
    entry(b"TF", &data)
}

/// Encodes NM, the name, in as many entries as it needs (RRIP 4.1.4).
pub(crate) fn nm(name: &[u8]) -> Vec<Vec<u8>> {
    let mut pieces = name.chunks(DATA - 1).peekable();
    let mut entries = Vec::new();
    while let Some(piece) = pieces.next() {
        let mut data = vec![if pieces.peek().is_some() { CONTINUE } else { 0 }];
        data.extend(piece);
        entries.push(entry(b"NM", &data));
    }
    entries
}

/// Encodes PN, a device number (RRIP 4.1.2), as two halves of 32 bits. A number that fits the old
/// `dev_t` of 16 bits is in the low half, which every reader understands; Linux takes the halves of
/// others for major and minor.
pub(crate) fn pn(device: Device) -> Vec<u8> {
    let (high, low) = if (1..256).contains(&device.major) && device.minor < 256 {
        (0, device.major << 8 | device.minor)
    } else {
        (device.major, device.minor)
    };
    let data: Vec<u8> = [high, low].into_iter().flat_map(both32).collect();
    entry(b"PN", &data)
}

/// Encodes SL, the target of a symbolic link, in as many entries as it needs (RRIP 4.1.3).
/// Successive slashes count as one.
///
/// An entry always ends within a component, which continues in the next entry: libarchive drops the
/// slash if an entry ends between two components.
pub(crate) fn sl(target: &[u8]) -> Vec<Vec<u8>> {
    const CURRENT: u8 = 2;
    const PARENT: u8 = 4;
    const ROOT: u8 = 8;
    /// Length of a component of one byte. Less than this is never left unused.
    const MIN_COMPONENT_LEN: usize = 3;
    let mut areas: Vec<Vec<u8>> = Vec::new();
    let mut area: Vec<u8> = Vec::new();
    if target.starts_with(b"/") {
        area.extend([ROOT, 0]);
    }
    let names = target.split(|&byte| byte == b'/').filter(|name| !name.is_empty());
    let mut names = names.peekable();
    while let Some(mut name) = names.next() {
        let last = names.peek().is_none();
        let mut cut = false;
        loop {
            let free = (DATA - 1).saturating_sub(area.len());
            // The rest of a cut name is text, even if it is `.` or `..`.
            let flags = match name {
                b"." if !cut => CURRENT,
                b".." if !cut => PARENT,
                _ => 0,
            };
            let text = if flags == 0 { name } else { b"" };
            let left = free.checked_sub(2 + text.len());
            if left.is_some_and(|left| last || left >= MIN_COMPONENT_LEN) {
                area.extend([flags, text.len() as u8]);
                area.extend(text);
                break;
            }
            let (piece, rest) = name.split_at((name.len() - 1).min(free.saturating_sub(2)));
            area.extend([CONTINUE, piece.len() as u8]);
            area.extend(piece);
            areas.push(std::mem::take(&mut area));
            (name, cut) = (rest, true);
        }
    }
    areas.push(area);
    let last = areas.len() - 1;
    let sealed = areas.iter().enumerate().map(|(at, area)| {
        let mut data = vec![if at < last { CONTINUE } else { 0 }];
        data.extend(area);
        entry(b"SL", &data)
    });
    sealed.collect()
}

/// Encodes CL, which has the block of a relocated directory in its original place (RRIP 4.1.5.1).
pub(crate) fn cl(block: u32) -> Vec<u8> {
    entry(b"CL", &both32(block))
}

/// Encodes PL, which has the block of the parent in `..` of a relocated directory (RRIP 4.1.5.2).
pub(crate) fn pl(block: u32) -> Vec<u8> {
    entry(b"PL", &both32(block))
}

/// Encodes RE, the mark of a relocated directory (RRIP 4.1.5.3).
pub(crate) fn re() -> Vec<u8> {
    entry(b"RE", &[])
}

fn ce(block: u32, offset: usize, len: usize) -> Vec<u8> {
    let data: Vec<u8> = [block, offset as u32, len as u32]
        .into_iter()
        .flat_map(both32)
        .collect();
    entry(b"CE", &data)
}

/// Continuation area of a directory.
pub(crate) struct Continuation {
    block: u32,
    bytes: Vec<u8>,
}

impl Continuation {
    /// Creates an empty area that begins at a block of the volume.
    pub(crate) fn new(block: u32) -> Self {
        Continuation {
            block,
            bytes: Vec::new(),
        }
    }

    /// Returns the area, padded to blocks.
    pub(crate) fn finish(mut self) -> Vec<u8> {
        self.fill_block();
        self.bytes
    }

    fn fill_block(&mut self) {
        self.bytes.resize(self.bytes.len().next_multiple_of(BLOCK_LEN), 0);
    }

    /// Encodes the system use field of a directory record in at most `max_len` bytes: the entries, or
    /// as many as fit with a CE that refers to the others.
    pub(crate) fn place(&mut self, entries: Vec<Vec<u8>>, max_len: usize) -> Vec<u8> {
        let total: usize = entries.iter().map(Vec::len).sum();
        if total <= max_len {
            return entries.concat();
        }
        let mut field = Vec::new();
        let mut entries = entries.into_iter().peekable();
        while let Some(next) = entries.next_if(|next| field.len() + next.len() + CE <= max_len) {
            field.extend(next);
        }
        let mut pieces = vec![Vec::new()];
        for next in entries {
            if pieces
                .last()
                .is_some_and(|piece: &Vec<u8>| piece.len() + next.len() + CE > BLOCK_LEN)
            {
                pieces.push(Vec::new());
            }
            if let Some(piece) = pieces.last_mut() {
                piece.extend(next);
            }
        }
        field.extend(self.put(&pieces));
        field
    }

    /// Appends parts that fit a block with a CE each, chained, and returns the CE of the first.
    fn put(&mut self, pieces: &[Vec<u8>]) -> Vec<u8> {
        let first = pieces.first().map_or(0, Vec::len);
        if pieces.len() > 1 || self.bytes.len() % BLOCK_LEN + first > BLOCK_LEN {
            self.fill_block();
        }
        let link = |offset: usize, len: usize, last: bool| {
            let block = self.block.saturating_add((offset / BLOCK_LEN) as u32);
            ce(block, offset % BLOCK_LEN, if last { len } else { len + CE })
        };
        let start = self.bytes.len();
        let head = link(start, first, pieces.len() == 1);
        let mut added = Vec::new();
        for (at, piece) in pieces.iter().enumerate() {
            added.resize(at * BLOCK_LEN, 0);
            added.extend(piece);
            if let Some(next) = pieces.get(at + 1) {
                added.extend(link(start + (at + 1) * BLOCK_LEN, next.len(), at + 2 == pieces.len()));
            }
        }
        self.bytes.extend(added);
        head
    }
}
