//! A tar with one sparse file, as `tar --format=oldgnu -S` makes it (GNU tar, src/tar.h, struct
//! oldgnu_header and sparse_header).
//!
//! ```text
//! header: ... 386 four pieces | 482 more follow? | 483 the length of the file
//! 512 bytes with 21 pieces and whether more follow, as often as need be
//! the pieces, one behind the other, filled up to 512 bytes
//! ```

use extents::Extents;

const BLOCK: u64 = 512;
/// Granularity of holes in bytes: a piece begins and ends at multiples of it.
const UNIT: u64 = 4096;
const IN_HEADER: usize = 4;
const IN_EXTENSION: usize = 21;
/// Length of a piece in a header in bytes: two numbers of 12 bytes.
const PIECE: usize = 24;

/// Encodes a number in 12 bytes: octal, or base 256 from 8 GiB on.
fn number(value: u64) -> [u8; 12] {
    let mut field = [0; 12];
    if value < 1 << 33 {
        let text = format!("{value:011o}");
        field.iter_mut().zip(text.bytes()).for_each(|(to, from)| *to = from);
    } else {
        let bytes = u128::from(value).to_be_bytes();
        field
            .iter_mut()
            .zip(bytes.iter().skip(4))
            .for_each(|(to, from)| *to = *from);
        field[0] = 0x80;
    }
    field
}

fn put(header: &mut [u8], at: usize, bytes: &[u8]) {
    header.iter_mut().skip(at).zip(bytes).for_each(|(to, from)| *to = *from);
}

/// Plans a tar with `content` as the file `name`; `mtime` is in seconds since 1970.
pub fn sparse(content: &Extents, name: &str, mtime: i64) -> Extents {
    let len = content.len();
    let pieces = content.occupied(UNIT).into_iter().map(|range| {
        let start = range.start * UNIT;
        (start, (range.end * UNIT).min(len) - start)
    });
    let mut pieces: Vec<(u64, u64)> = pieces.collect();
    if pieces.last().is_none_or(|(start, size)| start + size < len) {
        // The end of the file is that of the last piece.
        pieces.push((len, 0));
    }
    let stored: u64 = pieces.iter().map(|(_, size)| size).sum();

    let mut header = vec![0u8; BLOCK as usize];
    put(&mut header, 0, name.as_bytes());
    for (at, text) in [(100, "0000644"), (108, "0000000"), (116, "0000000")] {
        put(&mut header, at, text.as_bytes());
    }
    put(&mut header, 124, &number(stored));
    put(&mut header, 136, &number(u64::try_from(mtime).unwrap_or(0)));
    put(&mut header, 156, b"S");
    put(&mut header, 257, b"ustar  \0");
    let (first, rest) = pieces.split_at(pieces.len().min(IN_HEADER));
    let describe = |header: &mut [u8], at: usize, pieces: &[(u64, u64)]| {
        for (index, (start, size)) in pieces.iter().enumerate() {
            put(header, at + index * PIECE, &[number(*start), number(*size)].concat());
        }
    };
    describe(&mut header, 386, first);
    put(&mut header, 482, &[u8::from(!rest.is_empty())]);
    put(&mut header, 483, &number(len));
    put(&mut header, 148, &[b' '; 8]);
    let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
    put(&mut header, 148, format!("{sum:06o}\0 ").as_bytes());

    let mut tar = Extents::from_bytes(header);
    let mut extensions = rest.chunks(IN_EXTENSION).peekable();
    while let Some(pieces) = extensions.next() {
        let mut extension = vec![0u8; BLOCK as usize];
        describe(&mut extension, 0, pieces);
        put(
            &mut extension,
            IN_EXTENSION * PIECE,
            &[u8::from(extensions.peek().is_some())],
        );
        tar.push_bytes(extension);
    }
    for (start, size) in pieces {
        tar.push(&content.part(start, size));
    }
    tar.align_to(BLOCK);
    // Two blocks of zeros end an archive, and GNU tar reads twenty at a time.
    tar.push_zeros(2 * BLOCK);
    tar.align_to(20 * BLOCK);
    tar
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn gnu_tar_unpacks_it() {
        let dir = tempfile::tempdir().unwrap();
        for (pieces, len) in [(0u64, 4096u64), (1, 4096), (3, 1 << 20), (5, 3 << 20), (100, 9 << 30)] {
            let mut disk = Extents::zeros(len);
            for index in 0..pieces {
                disk.put_bytes(len / pieces * index, vec![index as u8 + 1; 700]);
            }
            let path = dir.path().join("tar");
            extents::emit::to_path(&sparse(&disk, "disk.raw", 1), &path).unwrap();
            let raw = dir.path().join("raw");
            extents::emit::to_path(&disk, &raw).unwrap();
            let run = |program: &str, arguments: &[&str]| {
                let out = Command::new(program)
                    .args(arguments)
                    .current_dir(dir.path())
                    .output()
                    .unwrap();
                assert!(
                    out.status.success() && out.stderr.is_empty(),
                    "{}",
                    String::from_utf8_lossy(&out.stderr)
                );
                String::from_utf8(out.stdout).unwrap()
            };
            run("tar", &["-xf", "tar"]);
            assert!(run("tar", &["-tvf", "tar"]).contains(&format!(" {len} ")));
            if len < 1 << 30 {
                run("cmp", &["disk.raw", "raw"]);
            } else {
                assert!(
                    run("qemu-img", &["compare", "-f", "raw", "-F", "raw", "disk.raw", "raw"]).contains("identical")
                );
            }
        }
    }
}
