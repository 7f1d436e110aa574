//! Sizes as text.

/// Units of sizes, each 1024 times the one before.
const UNITS: [&str; 6] = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];

/// Returns a number of bytes as people read it: `512 bytes`, `1.5 MiB`.
pub fn size(bytes: u64) -> String {
    if bytes == 1 {
        return "1 byte".into();
    }
    if bytes < 1024 {
        return format!("{bytes} bytes");
    }
    let mut scaled = bytes as f64 / 1024.0;
    let mut units = UNITS.iter().peekable();
    let mut unit = "";
    while let Some(next) = units.next() {
        unit = next;
        if scaled < 1023.95 || units.peek().is_none() {
            break;
        }
        scaled /= 1024.0;
    }
    let text = format!("{scaled:.1}");
    format!("{} {unit}", text.trim_end_matches(".0"))
}

#[cfg(test)]
mod tests {
    use super::size;

    #[test]
    fn sizes_have_a_fitting_unit() {
        for (bytes, expected) in [
            (0, "0 bytes"),
            (1, "1 byte"),
            (1023, "1023 bytes"),
            (1024, "1 KiB"),
            (1536, "1.5 KiB"),
            ((1 << 20) - 1, "1 MiB"),
            (16 << 20, "16 MiB"),
            (5 << 30, "5 GiB"),
            (u64::MAX, "16 EiB"),
        ] {
            assert_eq!(size(bytes), expected);
        }
    }
}
