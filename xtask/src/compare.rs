//! Comparison of files and directories.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use crate::error::{Error, Result, cannot};

/// Unit of comparison, in bytes.
const UNIT: usize = 1 << 20;

/// Lists the files below a directory, by their paths relative to it.
pub fn files(directory: &Path) -> Result<BTreeMap<String, PathBuf>> {
    let mut files = BTreeMap::new();
    let mut pending = vec![directory.to_owned()];
    while let Some(next) = pending.pop() {
        let reading = || format!("read {}", next.display());
        for entry in fs::read_dir(&next).map_err(cannot(reading()))? {
            let path = entry.map_err(cannot(reading()))?.path();
            if path.is_dir() {
                pending.push(path);
                continue;
            }
            let name = path.strip_prefix(directory).unwrap_or(&path).display().to_string();
            files.insert(name, path);
        }
    }
    Ok(files)
}

/// Compares two files, and returns their length in bytes.
pub fn ensure_equal(one: &Path, other: &Path) -> Result<u64> {
    let open = |path: &Path| {
        let reading = || format!("read {}", path.display());
        let file = fs::File::open(path).map_err(cannot(reading()))?;
        let len = file.metadata().map_err(cannot(reading()))?.len();
        Ok((file, len))
    };
    let ((mut a, len), (mut b, other_len)) = (open(one)?, open(other)?);
    let differ = |finding: String| {
        let message = format!("{} and {} differ: {finding}", one.display(), other.display());
        Err(Error::new(message).help("compare them with `cmp -l`"))
    };
    if len != other_len {
        return differ(format!("{len} and {other_len} bytes"));
    }
    let (mut left, mut right) = (vec![0; UNIT], vec![0; UNIT]);
    let mut at = 0;
    while at < len {
        let take = usize::try_from(len - at).unwrap_or(usize::MAX).min(UNIT);
        let (left, right) = (left.split_at_mut(take).0, right.split_at_mut(take).0);
        let read = a.read_exact(left).and_then(|()| b.read_exact(right));
        read.map_err(cannot(format!("read {} and {}", one.display(), other.display())))?;
        if left != right {
            let equal = left.iter().zip(&*right).take_while(|(a, b)| a == b).count();
            return differ(format!("at byte {}", at + equal as u64));
        }
        at += take as u64;
    }
    Ok(len)
}

#[cfg(test)]
mod tests {
    use super::{ensure_equal, files};

    #[test]
    fn differences_are_found() {
        let temporary = tempfile::tempdir().unwrap();
        let directory = temporary.path();
        let write = |name: &str, bytes: &[u8]| std::fs::write(directory.join(name), bytes).unwrap();
        let long = vec![7; (1 << 20) + 5];
        let mut other = long.clone();
        other[1 << 20] = 8;
        write("a", &long);
        write("b", &long);
        write("c", &other);
        write("d", &long[1..]);
        let check =
            |name: &str| ensure_equal(&directory.join("a"), &directory.join(name)).map_err(|error| error.to_string());
        assert_eq!(check("b"), Ok(long.len() as u64));
        assert!(check("c").unwrap_err().contains("at byte 1048576"));
        assert!(check("d").unwrap_err().contains("1048581 and 1048580 bytes"));
        assert_eq!(files(directory).unwrap().len(), 4);
    }
}
