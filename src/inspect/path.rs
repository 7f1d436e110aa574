//! Paths of entries as text. Names in an image are bytes; each byte that is not UTF-8 becomes `\xNN`, so
//! that two names never become one.

use std::fmt::Write;

/// Returns a path as text. A backslash is escaped only where it would look like an escaped byte.
pub fn from_bytes(path: &[u8]) -> String {
    let mut text = String::with_capacity(path.len());
    for chunk in path.utf8_chunks() {
        let valid = chunk.valid();
        for (at, c) in valid.char_indices() {
            if escaped(valid.as_bytes().get(at..).unwrap_or_default()).is_some() {
                text.push_str("\\x5c");
            } else {
                text.push(c);
            }
        }
        for byte in chunk.invalid() {
            let _ = write!(text, "\\x{byte:02x}");
        }
    }
    text
}

/// Returns the bytes of a path that [`from_bytes`] has made.
pub fn to_bytes(text: &str) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        if let Some(byte) = escaped(rest) {
            bytes.push(byte);
            rest = rest.get(4..).unwrap_or_default();
        } else {
            bytes.push(first);
            rest = after;
        }
    }
    bytes
}

/// Returns the byte that is escaped at the begin of a text: one that is not ASCII, or a backslash.
fn escaped(text: &[u8]) -> Option<u8> {
    let digits = text.strip_prefix(b"\\x")?.get(..2)?;
    if !digits.iter().all(u8::is_ascii_hexdigit) {
        return None;
    }
    let byte = u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?;
    (!byte.is_ascii() || byte == b'\\').then_some(byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_stay_different() {
        for (bytes, text) in [
            (&b"usr/a-\xc3\xbc"[..], "usr/a-ü"),
            (b"a\x80", "a\\x80"),
            (b"a\\x80", "a\\x5cx80"),
            (b"a\\\\x80\\\xff", "a\\\\x5cx80\\\\xff"),
            (b"a\\x5c\xff", "a\\x5cx5c\\xff"),
            // Names of systemd units have such escapes, which stay.
            (b"dev-disk\\x2dlabel", "dev-disk\\x2dlabel"),
            (b"\\x\xc3", "\\x\\xc3"),
        ] {
            assert_eq!(from_bytes(bytes), text);
            assert_eq!(to_bytes(text), bytes, "{text}");
        }
    }
}
