//! Headers of the archive (POSIX 1003.1, "ustar Interchange Format").

/// Length of a header, and alignment of contents, in bytes.
pub(crate) const BLOCK: u64 = 512;
/// First length that eleven octal digits cannot express.
const OCTAL_END: u64 = 1 << 33;

/// Encodes the header of a file.
pub(crate) fn header(name: &str, size: u64, time: u64) -> Vec<u8> {
    let mut header = name.as_bytes().to_vec();
    header.resize(100, 0);
    // Mode, user, group.
    header.extend_from_slice(b"0000644\x000000000\x000000000\0");
    if size < OCTAL_END {
        header.extend_from_slice(format!("{size:011o}\0").as_bytes());
    } else {
        // Base 256, an extension of GNU tar that other programs read.
        header.extend_from_slice(&[0x80, 0, 0, 0]);
        header.extend_from_slice(&size.to_be_bytes());
    }
    header.extend_from_slice(format!("{:011o}\0", time.min(OCTAL_END - 1)).as_bytes());
    // The checksum is computed over spaces in its field; `0` is a regular file.
    header.extend_from_slice(b"        0");
    header.resize(257, 0);
    header.extend_from_slice(b"ustar\x0000");
    header.resize(BLOCK as usize, 0);
    let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
    header.splice(148..155, format!("{sum:06o}\0").into_bytes());
    header
}

#[cfg(test)]
mod tests {
    use super::*;
    use extents::{Extents, emit};

    #[test]
    fn lengths_beyond_octal_digits_are_read_by_tar() {
        for size in [0, OCTAL_END - 1, OCTAL_END, 9 << 30] {
            let mut archive = Extents::from_bytes(header("file", size, 1_700_000_000));
            archive.push_zeros(size);
            archive.align_to(BLOCK);
            archive.push_zeros(2 * BLOCK);
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join("a.tar");
            emit::to_path(&archive, &path).unwrap();
            let out = std::process::Command::new("tar")
                .arg("-tvf")
                .arg(path)
                .env("TZ", "UTC")
                .output();
            let out = out.unwrap();
            assert!(out.status.success() && out.stderr.is_empty());
            let listing = String::from_utf8(out.stdout).unwrap();
            assert!(listing.starts_with("-rw-r--r-- 0/0 "), "{listing}");
            assert!(
                listing.ends_with(&format!(" {size} 2023-11-14 22:13 file\n")),
                "{listing}"
            );
        }
    }
}
