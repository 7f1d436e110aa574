//! Reading files of the host with a limit: a path may lead to a device without end.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use crate::diagnostic::size;

/// Reads a file of at most `max` bytes; it may be a pipe.
///
/// # Errors
/// A file that cannot be read or is longer.
pub fn read(path: &Path, max: u64) -> io::Result<Vec<u8>> {
    from(&mut File::open(path)?, max)
}

/// Reads a regular file of at most `max` bytes. For files that moby looks for by itself: a pipe in their
/// place may be waited for without end.
///
/// # Errors
/// A path that is not a regular file, and a file that cannot be read or is longer.
pub fn regular(path: &Path, max: u64) -> io::Result<Vec<u8>> {
    if !path.metadata()?.is_file() {
        return Err(io::Error::other("not a regular file"));
    }
    read(path, max)
}

/// Reads a text file of at most `max` bytes, as [`regular`] does.
///
/// # Errors
/// The errors of [`regular`], and a file that is not UTF-8.
pub fn text(path: &Path, max: u64) -> io::Result<String> {
    String::from_utf8(regular(path, max)?).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
}

/// Reads at most `max` bytes until the end.
///
/// # Errors
/// Read errors, and more bytes.
pub fn from(reader: &mut dyn Read, max: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    reader.take(max.saturating_add(1)).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > max {
        return Err(io::Error::new(
            io::ErrorKind::FileTooLarge,
            format!("it has more than {}", size(max)),
        ));
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_is_kept() {
        assert_eq!(from(&mut [7; 5].as_slice(), 5).ok(), Some(vec![7; 5]));
        assert!(from(&mut [7; 6].as_slice(), 5).is_err());
        assert!(from(&mut io::repeat(0), 1 << 20).is_err());
    }
}
