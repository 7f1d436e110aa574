//! Reader of one table of an SQLite database (SQLite, "Database File Format").
//!
//! ```text
//! page 1: file header (100 bytes), b-tree of the schema: type, name, table, root page, SQL
//! root page ──▶ interior pages ──▶ leaf pages ──▶ records, long ones continued on overflow pages
//! ```
//!
//! Only tables with row numbers are read, and no journal.

use std::collections::BTreeSet;

use extents::Extents;

const MAGIC: &[u8] = b"SQLite format 3\0";
/// Length of the file header, in bytes; the first page has it before its b-tree.
const HEADER: usize = 100;
/// Types of the pages of a table's b-tree.
const INTERIOR: u8 = 5;
const LEAF: u8 = 13;
/// Maximum length of a record, in bytes.
const MAX_RECORD: u64 = 64 << 20;

/// Value of a column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// Integer.
    Integer(i64),
    /// Text or bytes.
    Bytes(Vec<u8>),
    /// Null or a floating-point number.
    Other,
}

/// Database.
pub struct Database<'a> {
    content: &'a Extents,
    page_size: u64,
    /// Bytes of a page without those that are reserved at its end.
    usable: usize,
}

impl<'a> Database<'a> {
    /// Reads the file header. None for a file that is not an SQLite database.
    pub fn open(content: &'a Extents) -> Option<Self> {
        let header = content.part(0, HEADER as u64).to_vec().ok()?;
        if !header.starts_with(MAGIC) {
            return None;
        }
        let page_size = match u16::from_be_bytes(array(&header, 16)?) {
            1 => 65536,
            size if size >= 512 && size.is_power_of_two() => u64::from(size),
            _ => return None,
        };
        let reserved = u64::from(*header.get(20)?);
        // The smallest that the format allows.
        let usable = page_size.checked_sub(reserved).filter(|usable| *usable >= 480)?;
        Some(Database {
            content,
            page_size,
            usable: usize::try_from(usable).ok()?,
        })
    }

    /// Passes the records of a table to a function, in the order of their numbers. None if the table does
    /// not exist, or is corrupt.
    pub fn table(&self, name: &str, each: &mut dyn FnMut(Vec<Value>)) -> Option<()> {
        let mut root = None;
        self.walk(1, &mut |record| {
            let [Value::Bytes(kind), Value::Bytes(found), _, Value::Integer(page), ..] = record.as_slice() else {
                return;
            };
            if kind == b"table" && found == name.as_bytes() {
                root = u64::try_from(*page).ok();
            }
        })?;
        self.walk(root?, each)
    }

    /// Passes the records of a b-tree to a function.
    fn walk(&self, root: u64, each: &mut dyn FnMut(Vec<Value>)) -> Option<()> {
        let mut pending = vec![root];
        let mut seen = BTreeSet::new();
        while let Some(number) = pending.pop() {
            // A page belongs to one b-tree, at one place.
            if !seen.insert(number) {
                return None;
            }
            let page = self.page(number)?;
            let start = if number == 1 { HEADER } else { 0 };
            let kind = *page.get(start)?;
            let cells = usize::from(u16::from_be_bytes(array(&page, start + 3)?));
            let (pointers, last) = match kind {
                LEAF => (start + 8, None),
                INTERIOR => (start + 12, Some(u32::from_be_bytes(array(&page, start + 8)?))),
                _ => return None,
            };
            let offset = |cell: usize| {
                array(&page, pointers + 2 * cell)
                    .map(u16::from_be_bytes)
                    .map(usize::from)
            };
            if kind == LEAF {
                for cell in 0..cells {
                    each(values(&self.payload(&page, offset(cell)?)?)?);
                }
                continue;
            }
            // The first child is to be popped first.
            pending.extend(last.map(u64::from));
            for cell in (0..cells).rev() {
                pending.push(u64::from(u32::from_be_bytes(array(&page, offset(cell)?)?)));
            }
        }
        Some(())
    }

    /// Reads a page; the first one has the number 1.
    fn page(&self, number: u64) -> Option<Vec<u8>> {
        let offset = number.checked_sub(1)?.checked_mul(self.page_size)?;
        let page = self.content.part(offset, self.page_size);
        if page.len() == self.page_size {
            page.to_vec().ok()
        } else {
            None
        }
    }

    /// Reads the payload of a cell of a leaf, with its overflow pages.
    fn payload(&self, page: &[u8], at: usize) -> Option<Vec<u8>> {
        let mut rest = page.get(at..self.usable)?;
        let len = varint(&mut rest)?;
        let _row = varint(&mut rest)?;
        if len > MAX_RECORD.min(self.content.len()) {
            return None;
        }
        let len = usize::try_from(len).ok()?;
        let max = self.usable - 35;
        if len <= max {
            return rest.get(..len).map(<[u8]>::to_vec);
        }
        let min = (self.usable - 12) * 32 / 255 - 23;
        let on_page = min + (len - min) % (self.usable - 4);
        let on_page = if on_page <= max { on_page } else { min };
        let mut payload = rest.get(..on_page)?.to_vec();
        let mut next = u32::from_be_bytes(array(rest, on_page)?);
        while payload.len() < len {
            let page = self.page(u64::from(next))?;
            next = u32::from_be_bytes(array(&page, 0)?);
            let take = (len - payload.len()).min(self.usable - 4);
            payload.extend_from_slice(page.get(4..4 + take)?);
        }
        Some(payload)
    }
}

/// Decodes a record ("Record Format").
fn values(record: &[u8]) -> Option<Vec<Value>> {
    let mut rest = record;
    let header = usize::try_from(varint(&mut rest)?).ok()?;
    let mut types = record.get(record.len() - rest.len()..header)?;
    let mut body = record.get(header..)?;
    let mut values = Vec::new();
    while !types.is_empty() {
        let kind = varint(&mut types)?;
        let len = match kind {
            0 | 8 | 9 => 0,
            1..=4 => kind,
            5 => 6,
            6 | 7 => 8,
            10 | 11 => return None,
            _ => (kind - 12) / 2,
        };
        let (bytes, after) = body.split_at_checked(usize::try_from(len).ok()?)?;
        body = after;
        values.push(match kind {
            0 | 7 => Value::Other,
            1..=6 => {
                let sign = if bytes.first().is_some_and(|byte| byte & 0x80 != 0) {
                    -1
                } else {
                    0
                };
                Value::Integer(bytes.iter().fold(sign, |value, byte| value << 8 | i64::from(*byte)))
            }
            8 | 9 => Value::Integer(i64::from(kind == 9)),
            _ => Value::Bytes(bytes.to_vec()),
        });
    }
    Some(values)
}

/// Takes a variable-length integer off the front of bytes: seven bits in each, the highest first, and eight
/// in the ninth.
fn varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for at in 0..9 {
        let (&byte, rest) = bytes.split_first()?;
        *bytes = rest;
        if at == 8 {
            return Some(value << 8 | u64::from(byte));
        }
        value = value << 7 | u64::from(byte & 0x7f);
        if byte < 0x80 {
            return Some(value);
        }
    }
    None
}

fn array<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..at.checked_add(N)?)?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_of_every_length_are_read() {
        for (bytes, expected) in [
            (&[0x05][..], Some(5)),
            (&[0x81, 0x00], Some(128)),
            (&[0xff; 9], Some(u64::MAX)),
            (&[0x80], None),
        ] {
            assert_eq!(varint(&mut &*bytes), expected, "{bytes:x?}");
        }
        let record = [7, 0, 1, 2, 9, 8, 17, 0xff, 0x01, 0x02, b'a', b'b'];
        let expected = [
            Value::Other,
            Value::Integer(-1),
            Value::Integer(258),
            Value::Integer(1),
            Value::Integer(0),
            Value::Bytes(b"ab".to_vec()),
        ];
        assert_eq!(values(&record).as_deref(), Some(&expected[..]));
        for len in 0..record.len() {
            assert_eq!(values(&record[..len]), None, "{len}");
        }
    }

    #[test]
    fn what_is_no_database_has_no_table() {
        let mut bytes = vec![0; 1024];
        bytes[..16].copy_from_slice(MAGIC);
        for (page_size, is_one) in [(512u16, true), (500, false), (0, false)] {
            bytes[16..18].copy_from_slice(&page_size.to_be_bytes());
            let content = Extents::from_bytes(bytes.clone());
            let database = Database::open(&content);
            assert_eq!(database.is_some(), is_one, "{page_size}");
            assert!(database.is_none_or(|database| database.table("a", &mut |_| {}).is_none()));
        }
        assert!(Database::open(&Extents::from_bytes(b"SQLite".as_slice())).is_none());
    }
}
