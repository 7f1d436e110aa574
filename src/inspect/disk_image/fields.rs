//! Numbers at offsets of a file.

use extents::Extents;

use crate::inspect::Error;

/// Number of table entries that are read: a file within another may claim any length.
const MAX_ENTRIES: u64 = 16 << 20;

/// Byte order of numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Endian {
    /// Least significant byte first.
    Little,
    /// Most significant byte first.
    Big,
}

/// Reader of the header fields and tables of a disk image format.
pub struct Fields<'a> {
    content: &'a Extents,
    format: &'static str,
    endian: Endian,
}

impl<'a> Fields<'a> {
    /// Returns a reader of `content`; `format` names the disk image format in errors.
    pub fn new(content: &'a Extents, format: &'static str, endian: Endian) -> Fields<'a> {
        Fields {
            content,
            format,
            endian,
        }
    }

    /// Reads the number of `len` bytes at `offset`; `len` is at most 8.
    ///
    /// # Errors
    /// A number beyond the end of the file.
    pub fn number(&self, offset: u64, len: usize) -> Result<u64, Error> {
        let mut bytes = [0; 8];
        let bytes = bytes.get_mut(..len).unwrap_or_default();
        if offset.saturating_add(len as u64) > self.content.len() {
            return Err(self.truncated(format!("no field at byte {offset}")));
        }
        self.content.read_exact_at(bytes, offset)?;
        Ok(self.decode(bytes))
    }

    /// Reads a table of `count` numbers of `len` bytes each.
    ///
    /// # Errors
    /// A table beyond the end of the file, and more entries than any real table has.
    pub fn table(&self, offset: u64, len: usize, count: u64) -> Result<Vec<u64>, Error> {
        if count > MAX_ENTRIES {
            return Err(Error::TooMany {
                format: self.format,
                items: "entries in a table",
                limit: MAX_ENTRIES,
            });
        }
        let size = count.saturating_mul(len as u64);
        let table = self.content.part(offset, size);
        if table.len() < size {
            return Err(self.truncated(format!(
                "the table at byte {offset} has {} of {size} bytes",
                table.len()
            )));
        }
        Ok(table.to_vec()?.chunks(len).map(|bytes| self.decode(bytes)).collect())
    }

    fn truncated(&self, found: String) -> Error {
        Error::Truncated {
            format: self.format,
            found,
        }
    }

    fn decode(&self, bytes: &[u8]) -> u64 {
        let append = |value: u64, byte: &u8| value << 8 | u64::from(*byte);
        if self.endian == Endian::Big {
            bytes.iter().fold(0, append)
        } else {
            bytes.iter().rev().fold(0, append)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endless_table_is_not_read() {
        // A small disk image may claim to contain a long file.
        let content = Extents::zeros(1 << 50);
        let fields = Fields::new(&content, "test image", Endian::Big);
        assert_eq!(fields.table(0, 4, 1 << 20).unwrap(), vec![0; 1 << 20]);
        let error = fields.table(512, 4, 0xf000_0000).unwrap_err();
        assert!(matches!(error, Error::TooMany { limit: MAX_ENTRIES, .. }), "{error}");
    }

    #[test]
    fn numbers_have_a_byte_order() {
        let content = Extents::from_bytes([1, 2, 3]);
        let big = Fields::new(&content, "test image", Endian::Big);
        let little = Fields::new(&content, "test image", Endian::Little);
        assert_eq!(big.number(1, 2).unwrap(), 0x0203);
        assert_eq!(little.number(1, 2).unwrap(), 0x0302);
        assert!(matches!(big.number(2, 2), Err(Error::Truncated { .. })));
    }
}
