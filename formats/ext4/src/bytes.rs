//! Access to the fields of structures on disk.

/// Puts bytes at an offset; nothing happens if they do not fit.
pub fn put(buffer: &mut [u8], at: usize, bytes: &[u8]) {
    if let Some(to) = buffer.get_mut(at..at.saturating_add(bytes.len())) {
        to.copy_from_slice(bytes);
    }
}

/// Puts a 16-bit number in little endian.
pub fn put16(buffer: &mut [u8], at: usize, value: u16) {
    put(buffer, at, &value.to_le_bytes());
}

/// Puts a 32-bit number in little endian.
pub fn put32(buffer: &mut [u8], at: usize, value: u32) {
    put(buffer, at, &value.to_le_bytes());
}

/// Puts the lower and the upper 32 bits of a number at two offsets.
pub fn put_halves(buffer: &mut [u8], low: usize, high: usize, value: u64) {
    put32(buffer, low, value as u32);
    put32(buffer, high, (value >> 32) as u32);
}
