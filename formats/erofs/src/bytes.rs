//! Access to the fields of structures on disk, in little endian.

/// Puts bytes at an offset; nothing happens if they do not fit.
pub(crate) fn put(buffer: &mut [u8], at: usize, bytes: &[u8]) {
    if let Some(to) = buffer.get_mut(at..at.saturating_add(bytes.len())) {
        to.copy_from_slice(bytes);
    }
}

/// Puts a 16-bit number.
pub(crate) fn put16(buffer: &mut [u8], at: usize, value: u16) {
    put(buffer, at, &value.to_le_bytes());
}

/// Puts a 32-bit number.
pub(crate) fn put32(buffer: &mut [u8], at: usize, value: u32) {
    put(buffer, at, &value.to_le_bytes());
}

/// Puts a 64-bit number.
pub(crate) fn put64(buffer: &mut [u8], at: usize, value: u64) {
    put(buffer, at, &value.to_le_bytes());
}

/// Appends zeros up to a multiple of `unit` bytes.
pub(crate) fn align(bytes: &mut Vec<u8>, unit: usize) {
    bytes.resize(bytes.len().next_multiple_of(unit), 0);
}
