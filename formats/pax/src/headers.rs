//! Headers of a planned archive, which are encoded when they are read.
//!
//! A header has 512 bytes, with records at least 1536. Kept as fields it takes about 80 bytes and its
//! path, so that an archive of a million files needs no gigabyte of memory.

use std::collections::BTreeMap;
use std::io;

use extents::Blob;
use tree::{Device, Time};

use crate::encode::{Attributes, Fields, encode};

/// Encoded headers, one after another, as a blob.
#[derive(Debug, Default)]
pub struct Headers {
    entries: Vec<Entry>,
    /// Paths and targets of links of all headers.
    text: Vec<u8>,
    attributes: Vec<Attributes>,
    len: u64,
}

/// Fields of a header in a compact form.
#[derive(Debug)]
struct Entry {
    /// Offset of the encoded header in the blob in bytes.
    start: u64,
    /// Offset of the path in `text`, which the target of the link follows.
    text: usize,
    path_len: u32,
    link_len: u32,
    mtime: Time,
    size: u64,
    mode: u32,
    uid: u32,
    gid: u32,
    device: Device,
    /// Index in `attributes`.
    attributes: u32,
    typeflag: u8,
}

/// Headers under construction.
#[derive(Debug, Default)]
pub struct Builder {
    headers: Headers,
    /// Index of known attributes.
    known: BTreeMap<Attributes, u32>,
}

impl Builder {
    /// Adds a header, and returns its encoded length in bytes.
    pub fn push(&mut self, fields: &Fields<'_>, attributes: Attributes) -> u64 {
        let len = encode(fields, &attributes).len() as u64;
        let headers = &mut self.headers;
        let next = headers.attributes.len() as u32;
        let index = *self.known.entry(attributes).or_insert_with_key(|attributes| {
            headers.attributes.push(attributes.clone());
            next
        });
        headers.entries.push(Entry {
            start: headers.len,
            text: headers.text.len(),
            path_len: fields.path.len() as u32,
            link_len: fields.link.len() as u32,
            mtime: fields.mtime,
            size: fields.size,
            mode: fields.mode,
            uid: fields.uid,
            gid: fields.gid,
            device: fields.device,
            attributes: index,
            typeflag: fields.typeflag,
        });
        headers.text.extend_from_slice(fields.path);
        headers.text.extend_from_slice(fields.link);
        headers.len += len;
        len
    }

    /// Returns the headers.
    pub fn finish(self) -> Headers {
        self.headers
    }
}

impl Headers {
    /// Encodes the header of an entry; empty if its indices are invalid.
    fn encode(&self, entry: &Entry) -> Vec<u8> {
        let text = self.text.get(entry.text..).unwrap_or_default();
        let Some((path, rest)) = text.split_at_checked(entry.path_len as usize) else {
            return Vec::new();
        };
        let (Some(link), Some(attributes)) = (
            rest.get(..entry.link_len as usize),
            self.attributes.get(entry.attributes as usize),
        ) else {
            return Vec::new();
        };
        let fields = Fields {
            path,
            link,
            typeflag: entry.typeflag,
            mode: entry.mode,
            uid: entry.uid,
            gid: entry.gid,
            mtime: entry.mtime,
            device: entry.device,
            size: entry.size,
        };
        encode(&fields, attributes)
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
        for entry in self.entries.iter().skip(first) {
            if buf.is_empty() {
                break;
            }
            let bytes = self.encode(entry);
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
    use super::*;

    #[test]
    fn any_part_of_the_headers_is_read() {
        let mut builder = Builder::default();
        let mut expected = Vec::new();
        for number in 0..20u32 {
            let path = "p".repeat(number as usize * 10);
            let fields = Fields {
                path: path.as_bytes(),
                link: if number % 3 == 0 { b"target" } else { b"" },
                typeflag: b'0',
                mode: number,
                uid: number << 20,
                gid: 7,
                mtime: Time::from_seconds(number.into()),
                device: Device {
                    major: 1,
                    minor: number,
                },
                size: 5,
            };
            let mut attributes = Attributes::default();
            if number % 2 == 0 {
                attributes.xattrs.insert(b"user.x".to_vec(), vec![1; 600]);
            }
            let encoded = encode(&fields, &attributes);
            assert_eq!(builder.push(&fields, attributes), encoded.len() as u64);
            expected.extend(encoded);
        }
        let headers = builder.finish();
        assert_eq!((headers.len(), headers.attributes.len()), (expected.len() as u64, 2));
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
