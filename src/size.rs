//! Sizes as text.

/// Maximum size in bytes. Rounded up, it is still a valid file length.
const MAX: u64 = 1 << 62;

/// A text that is not a size.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Invalid {
    /// A number that is missing or too long.
    #[error("expected a number, such as 512M")]
    Number,
    /// A unit that is unknown.
    #[error("expected a number of MiB, or a number with K, M, G or T, such as 512M")]
    Unit,
    /// A size that no file has.
    #[error("the maximum size is 4 EiB")]
    TooLarge,
}

/// Parses a size into bytes: with K, M, G or T, else in MiB, as in LinuxKit.
///
/// # Errors
/// A text that is not a size.
pub fn parse(text: &str) -> Result<u64, Invalid> {
    let digits = text.trim_end_matches(|c: char| !c.is_ascii_digit());
    let unit = text.get(digits.len()..).unwrap_or_default().to_ascii_uppercase();
    let unit = match unit.as_str() {
        "K" | "KB" | "KIB" => 1 << 10,
        "" | "M" | "MB" | "MIB" => 1 << 20,
        "G" | "GB" | "GIB" => 1 << 30,
        "T" | "TB" | "TIB" => 1u64 << 40,
        _ => return Err(Invalid::Unit),
    };
    let number: u64 = digits.parse().map_err(|_| Invalid::Number)?;
    let size = number.checked_mul(unit).filter(|size| *size <= MAX);
    size.ok_or(Invalid::TooLarge)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_are_powers_of_1024() {
        for (text, expected) in [
            ("1", Ok(1 << 20)),
            ("512M", Ok(512 << 20)),
            ("3k", Ok(3 << 10)),
            ("4GiB", Ok(4 << 30)),
            ("4194304T", Ok(1 << 62)),
            ("4194305T", Err(Invalid::TooLarge)),
            ("", Err(Invalid::Number)),
            ("M", Err(Invalid::Number)),
            ("1.5G", Err(Invalid::Number)),
            ("512B", Err(Invalid::Unit)),
        ] {
            assert_eq!(parse(text), expected, "{text}");
        }
    }
}
