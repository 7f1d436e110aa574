//! Headers of a planned archive, which are encoded when they are read.
//!
//! A header has 512 bytes, with records at least 1536. Here it takes 24 bytes and its name, without the
//! directory, so that an archive of a million files needs no gigabyte of memory.

use std::io;

use extents::Blob;
use tree::{Device, Kind, Node, NodeId, Tree};

use crate::encode::{Fields, encode};

/// Encoded headers, one after another, as a blob. Header 0 is the root's.
#[derive(Debug)]
pub struct Headers {
    tree: Tree,
    entries: Vec<Entry>,
    /// Headers of the targets of hard links, whose own headers are the last of `entries`.
    targets: Vec<u32>,
    /// Names of all headers.
    text: Vec<u8>,
    len: u64,
}

/// Header in a compact form.
#[derive(Debug)]
struct Entry {
    /// Offset of the encoded header in the blob in bytes.
    start: u64,
    node: NodeId,
    /// Number of the header of the directory.
    parent: u32,
    /// Offset of the name in `text`.
    name: u32,
    name_len: u8,
}

/// Place of a header, and its node.
pub struct Header {
    /// Offset in the blob in bytes.
    pub start: u64,
    /// Length in bytes: 0 for an implied directory.
    pub len: u64,
    pub node: NodeId,
    /// True for a hard link, which has no content.
    pub is_link: bool,
}

impl Headers {
    /// Creates a blob without headers for nodes of a tree.
    pub fn new(tree: Tree) -> Self {
        Headers {
            tree,
            entries: Vec::new(),
            targets: Vec::new(),
            text: Vec::new(),
            len: 0,
        }
    }

    /// Adds the header of a name in a directory, and returns its number. The header of an implied
    /// directory is empty.
    pub fn push(&mut self, node: NodeId, parent: u32, name: &[u8]) -> u32 {
        let number = self.entries.len();
        self.entries.push(Entry {
            start: self.len,
            node,
            parent,
            // A tree has names of at most 255 bytes, and less than 4 GiB of them.
            name: self.text.len() as u32,
            name_len: name.len() as u8,
        });
        self.text.extend_from_slice(name);
        self.len += self.encode(number).len() as u64;
        number as u32
    }

    /// Adds the header of a hard link to the name with the header `target`. Only hard
    /// links may follow.
    pub fn push_link(&mut self, node: NodeId, parent: u32, name: &[u8], target: u32) {
        self.targets.push(target);
        self.push(node, parent, name);
    }

    /// Returns the places of all headers.
    pub fn iter(&self) -> impl Iterator<Item = Header> {
        let ends = self.entries.iter().skip(1).map(|entry| entry.start).chain([self.len]);
        let first_link = self.first_link();
        self.entries
            .iter()
            .zip(ends)
            .enumerate()
            .map(move |(number, (entry, end))| Header {
                start: entry.start,
                len: end - entry.start,
                node: entry.node,
                is_link: number >= first_link,
            })
    }

    fn first_link(&self) -> usize {
        self.entries.len() - self.targets.len()
    }

    /// Returns the path of a header.
    fn path(&self, number: usize) -> Vec<u8> {
        let mut names = Vec::new();
        let mut at = number;
        // The root's name is empty.
        while at > 0
            && let Some(entry) = self.entries.get(at)
        {
            let name = self.text.get(entry.name as usize..).unwrap_or_default();
            names.push(name.get(..entry.name_len.into()).unwrap_or_default());
            at = entry.parent as usize;
        }
        names.reverse();
        if names.is_empty() {
            return b".".to_vec();
        }
        names.join(&b'/')
    }

    /// Encodes a header.
    fn encode(&self, number: usize) -> Vec<u8> {
        let Some(entry) = self.entries.get(number) else {
            return Vec::new();
        };
        let Node { meta, kind, .. } = self.tree.node(entry.node);
        if meta.implied {
            return Vec::new();
        }
        let path = self.path(number);
        let mut fields = Fields {
            path: &path,
            link: b"",
            typeflag: b'0',
            mode: meta.mode,
            uid: meta.uid,
            gid: meta.gid,
            mtime: meta.mtime,
            device: Device::default(),
            size: 0,
        };
        let target = number.checked_sub(self.first_link());
        if let Some(target) = target.and_then(|link| self.targets.get(link)) {
            let link = self.path(*target as usize);
            (fields.typeflag, fields.link) = (b'1', &link);
            return encode(&fields, meta);
        }
        match kind {
            Kind::Directory(_) => fields.typeflag = b'5',
            Kind::File(content) => fields.size = content.len(),
            Kind::Symlink(target) => (fields.typeflag, fields.link) = (b'2', target),
            Kind::CharDevice(device) => (fields.typeflag, fields.device) = (b'3', *device),
            Kind::BlockDevice(device) => (fields.typeflag, fields.device) = (b'4', *device),
            // The plan refuses sockets.
            Kind::Fifo | Kind::Socket => fields.typeflag = b'6',
        }
        encode(&fields, meta)
    }
}

impl Blob for Headers {
    fn len(&self) -> u64 {
        self.len
    }

    fn read_exact_at(&self, mut buf: &mut [u8], offset: u64) -> io::Result<()> {
        let mut skip = offset;
        let first = self
            .entries
            .partition_point(|entry| entry.start <= offset)
            .saturating_sub(1);
        for (number, entry) in self.entries.iter().enumerate().skip(first) {
            if buf.is_empty() {
                break;
            }
            let bytes = self.encode(number);
            let bytes = bytes
                .get(skip.saturating_sub(entry.start) as usize..)
                .unwrap_or_default();
            let (head, tail) = buf.split_at_mut(bytes.len().min(buf.len()));
            for (to, from) in head.iter_mut().zip(bytes) {
                *to = *from;
            }
            buf = tail;
            skip = 0;
        }
        if buf.is_empty() {
            Ok(())
        } else {
            Err(io::ErrorKind::UnexpectedEof.into())
        }
    }
}

#[cfg(test)]
mod tests {
    use tree::{Meta, Time};

    use super::*;

    #[test]
    fn any_part_of_the_headers_is_read() {
        let mut tree = Tree::default();
        let mut headers = Headers::new(tree.clone());
        for number in 0..20u32 {
            let mut meta = Meta::new(number, Time::from_seconds(number.into()));
            meta.uid = number << 20;
            meta.implied = number % 5 == 4;
            if number % 2 == 0 {
                meta.xattrs.insert(b"user.x".to_vec(), vec![1; 600]);
            }
            let path = "p".repeat(number as usize * 10 + 1);
            tree.insert(path.as_bytes(), meta, Kind::Fifo, &Meta::default())
                .unwrap();
        }
        headers.tree = tree.clone();
        let mut nodes = tree.walk();
        let root = nodes.next().unwrap();
        headers.push(root.id, 0, b"");
        for named in nodes {
            headers.push(named.id, 0, &named.path);
        }
        headers.push_link(NodeId::ROOT, 0, b"link", 3);
        let expected: Vec<u8> = (0..22).flat_map(|number| headers.encode(number)).collect();
        assert_eq!(headers.len(), expected.len() as u64);
        let last = expected.get(expected.len() - 512..).unwrap();
        assert!(last.starts_with(b"link\0") && last[157..].starts_with(b"ppppppppppp"));
        for start in (0..expected.len()).step_by(97) {
            for len in [1, 511, 512, 3000, expected.len() - start] {
                let len = len.min(expected.len() - start);
                let mut found = vec![0; len];
                headers.read_exact_at(&mut found, start as u64).unwrap();
                assert!(found == expected[start..start + len], "{start} {len}");
            }
        }
        let end = expected.len() as u64;
        assert!(headers.read_exact_at(&mut [0], end).is_err());
        assert!(headers.read_exact_at(&mut [0; 2], end - 1).is_err());
        headers.read_exact_at(&mut [], end).unwrap();
    }
}
