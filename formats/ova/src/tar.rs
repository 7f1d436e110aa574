//! Headers of the archive (POSIX 1003.1, "ustar Interchange Format").

/// The length of a header, and what contents are padded to, in bytes.
pub(crate) const BLOCK: u64 = 512;
/// The first length that has no room in eleven octal digits.
const LONG: u64 = 1 << 33;

/// The header of a file.
pub(crate) fn header(name: &str, size: u64, time: u64) -> Vec<u8> {
    let mut header = name.as_bytes().to_vec();
    header.resize(100, 0);
    // Mode, user, group.
    header.extend_from_slice(b"0000644\x000000000\x000000000\0");
    if size < LONG {
        header.extend_from_slice(format!("{size:011o}\0").as_bytes());
    } else {
        // In base 256, as GNU tar and others have it.
        header.extend_from_slice(&[0x80, 0, 0, 0]);
        header.extend_from_slice(&size.to_be_bytes());
    }
    header.extend_from_slice(format!("{:011o}\0", time.min(LONG - 1)).as_bytes());
    // The checksum counts as spaces at first. A regular file, which links to nothing.
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
    fn more_than_octal_digits_can_say() {
        for size in [0, LONG - 1, LONG, 9 << 30] {
            let mut archive = Extents::from_bytes(header("file", size, 1_700_000_000));
            archive.push_zeros(size);
            archive.align_to(BLOCK);
            archive.push_zeros(2 * BLOCK);
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("a.tar");
            emit::to_path(&archive, &path).unwrap();
            let out = std::process::Command::new("tar")
                .arg("-tvf")
                .arg(path)
                .env("TZ", "UTC")
                .output();
            let out = out.unwrap();
            assert!(out.status.success() && out.stderr.is_empty());
            let said = String::from_utf8(out.stdout).unwrap();
            assert!(said.starts_with("-rw-r--r-- 0/0 "), "{said}");
            assert!(said.ends_with(&format!(" {size} 2023-11-14 22:13 file\n")), "{said}");
        }
    }
}
