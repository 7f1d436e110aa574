//! Lists a directory of the host: `cargo run --example list -- DIRECTORY`

use std::error::Error;
use std::path::Path;

use filesystem_tree::{Kind, Tree, show};

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [directory] = arguments.as_slice() else {
        return Err("usage: list DIRECTORY".into());
    };
    for line in list(directory.as_ref())? {
        println!("{line}");
    }
    Ok(())
}

fn list(directory: &Path) -> Result<Vec<String>, Box<dyn Error>> {
    let tree = Tree::from_dir(directory)?;
    let lines = tree.walk().map(|named| {
        let kind = match &named.node.kind {
            Kind::Directory(entries) => format!("directory of {}", entries.len()),
            Kind::File(content) => format!("{} bytes", content.len()),
            Kind::Symlink(target) => format!("link to {}", show(target)),
            Kind::CharDevice(_) | Kind::BlockDevice(_) => "device".to_owned(),
            Kind::Fifo => "named pipe".to_owned(),
            Kind::Socket => "socket".to_owned(),
        };
        format!("{:04o} {}: {kind}", named.node.meta.mode, show(&named.path))
    });
    Ok(lines.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_is_listed() -> Result<(), Box<dyn Error>> {
        let dir = tempfile::tempdir()?;
        std::fs::write(dir.path().join("file"), "content")?;
        let lines = list(dir.path())?;
        assert!(lines.iter().any(|line| line.ends_with(" file: 7 bytes")), "{lines:?}");
        Ok(())
    }
}
