//! Lists a tar archive: `cargo run --example list -- ARCHIVE`

use std::error::Error;
use std::path::Path;

use pax_archive::{Body, Extents, entries};

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [archive] = arguments.as_slice() else {
        return Err("usage: list ARCHIVE".into());
    };
    for line in list(archive.as_ref())? {
        println!("{line}");
    }
    Ok(())
}

fn list(archive: &Path) -> Result<Vec<String>, Box<dyn Error>> {
    let archive = Extents::open(archive)?;
    let mut lines = Vec::new();
    for entry in entries(&archive) {
        let entry = entry?;
        let name = entry.path.escape_ascii();
        let (mode, uid, gid) = (entry.meta.mode, entry.meta.uid, entry.meta.gid);
        lines.push(match &entry.body {
            Body::Link(target) => format!("{name} is a link to {}", target.escape_ascii()),
            Body::Node(_) => format!("{mode:04o} {uid}:{gid} {name}"),
        });
    }
    Ok(lines)
}

#[cfg(test)]
mod tests {
    use super::*;
    use pax_archive::{Kind, Meta, Time, Tree, plan};

    #[test]
    fn an_archive_is_listed() -> Result<(), Box<dyn Error>> {
        let meta = Meta::new(0o640, Time::default());
        let mut tree = Tree::default();
        tree.insert(b"file", meta.clone(), Kind::Fifo, &meta)?;
        tree.link(b"other", b"file", &meta)?;
        let dir = tempfile::tempdir()?;
        let archive = dir.path().join("archive");
        plan(&tree)?.write_to(&archive)?;
        assert_eq!(
            list(&archive)?,
            ["0755 0:0 .", "0640 0:0 file", "other is a link to file"]
        );
        Ok(())
    }
}
