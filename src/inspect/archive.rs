//! Initrds: cpio archives (newc), plain or compressed, one behind the other.

use std::collections::BTreeMap;

use extents::Extents;

use super::{Inside, Look, compressed};

const HEADER: usize = 110;
/// The longest name in bytes: Linux's PATH_MAX.
const LONGEST_NAME: u64 = 4096;

/// The files of an initrd.
pub fn initrd(head: &[u8], content: &Extents) -> Result<Option<Inside>, String> {
    let mut files = Vec::new();
    let mut rest = content.clone();
    let mut parts = Vec::new();
    let mut head = head.to_vec();
    loop {
        if head.starts_with(b"070701") {
            let used = cpio(&rest, &mut files)?;
            parts.push("plain");
            // Further archives begin behind zeros, at a multiple of 4 bytes.
            rest = rest.part(used, u64::MAX);
            let ahead = rest.part(0, 1 << 16).to_vec().map_err(|error| error.to_string())?;
            let Some(zeros) = ahead.iter().position(|byte| *byte != 0) else {
                break;
            };
            rest = rest.part(zeros as u64, u64::MAX);
            head = rest.part(0, 16).to_vec().map_err(|error| error.to_string())?;
            continue;
        }
        let Some(how) = compressed::how(&head) else { break };
        let wrong = |error: std::io::Error| format!("what {how} compressed cannot be read: {error}");
        if compressed::beginning(&head, &rest, 6).map_err(wrong)? != b"070701" {
            break;
        }
        parts.push(how);
        cpio(&compressed::whole(&head, &rest).map_err(wrong)?, &mut files)?;
        break;
    }
    if parts.is_empty() {
        return Ok(None);
    }
    let what = format!(
        "initrd ({}) of {} bytes with {} files",
        parts.join(", then "),
        content.len(),
        files.len()
    );
    Ok(Some(Inside {
        what,
        files,
        look: Look::Nothing,
    }))
}

/// Adds the regular files of an archive, and returns how long it is.
fn cpio(archive: &Extents, files: &mut Vec<(String, Extents)>) -> Result<u64, String> {
    let mut at = 0u64;
    // Files with several names have their content at one of them.
    let mut linked: BTreeMap<[u64; 3], (Vec<usize>, Extents)> = BTreeMap::new();
    loop {
        let cut = |error: std::io::Error| format!("its cpio is cut at byte {at}: {error}");
        let mut header = [0; HEADER];
        archive.read_exact_at(&mut header, at).map_err(cut)?;
        let field = |index: usize| {
            let text = header
                .get(6 + index * 8..14 + index * 8)
                .and_then(|text| std::str::from_utf8(text).ok());
            let value = text.and_then(|text| u64::from_str_radix(text, 16).ok());
            value.ok_or_else(|| format!("its cpio is damaged at byte {at}"))
        };
        if !header.starts_with(b"070701") {
            return Err(format!("its cpio is damaged at byte {at}"));
        }
        let (mode, len, name_len) = (field(1)?, field(6)?, field(11)?);
        let name_at = at + HEADER as u64;
        if name_len > LONGEST_NAME {
            return Err(format!("its cpio is damaged at byte {at}: a name of {name_len} bytes"));
        }
        let mut name = archive.part(name_at, name_len).to_vec().map_err(cut)?;
        name.pop();
        let data = (name_at + name_len).next_multiple_of(4);
        let end = (data + len).next_multiple_of(4);
        if name == b"TRAILER!!!" {
            for (names, content) in linked.into_values() {
                for name in names {
                    if let Some((_, file)) = files.get_mut(name) {
                        *file = content.clone();
                    }
                }
            }
            return Ok(end);
        }
        const FILE: u64 = 0o100_000;
        if mode & 0o170_000 == FILE {
            let content = archive.part(data, len);
            if field(4)? > 1 {
                let (names, kept) = linked.entry([field(0)?, field(7)?, field(8)?]).or_default();
                names.push(files.len());
                if len > 0 {
                    *kept = content.clone();
                }
            }
            files.push((String::from_utf8_lossy(&name).into_owned(), content));
        }
        at = end;
    }
}

#[cfg(test)]
mod tests {
    use tree::Kind;

    use super::*;

    #[test]
    fn every_name_of_a_file_has_its_content() {
        let sample = testing::sample::sample();
        let archive = ::cpio::plan(&sample).unwrap();
        let found = initrd(b"070701", &archive).unwrap().unwrap().files;
        let mut names = 0;
        for item in sample.walk() {
            if let Kind::File(content) = &item.node.kind {
                let name = String::from_utf8_lossy(&item.path);
                let (_, read) = found.iter().find(|(found, _)| *found == name).unwrap();
                assert_eq!(read.to_vec().unwrap(), content.to_vec().unwrap(), "{name}");
                names += usize::from(item.node.names() > 1);
            }
        }
        assert!(names > 1);
    }
}
