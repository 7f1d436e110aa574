//! Sizes in bytes, with the suffixes K, M and G for powers of 1024.

use crate::Error;

/// Parses a size.
///
/// # Errors
/// The text is not a number with one of the suffixes, or it is too large.
pub fn parse(text: &str) -> Result<u64, Error> {
    let (number, unit) = match text.as_bytes().last() {
        Some(b'K') => (text.strip_suffix('K'), 1 << 10),
        Some(b'M') => (text.strip_suffix('M'), 1 << 20),
        Some(b'G') => (text.strip_suffix('G'), 1 << 30),
        _ => (Some(text), 1),
    };
    let number = number.and_then(|number| number.parse::<u64>().ok());
    let size = number.and_then(|number| number.checked_mul(unit));
    size.ok_or_else(|| Error::Usage(format!("{text:?} is not a size such as 512M or 2G")))
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn sizes_have_suffixes() {
        assert_eq!(parse("4096").unwrap(), 4096);
        assert_eq!(parse("3K").unwrap(), 3 << 10);
        assert_eq!(parse("2G").unwrap(), 2 << 30);
        for wrong in ["", "G", "1.5G", "-1", "99999999999999G", "1T"] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }
}
