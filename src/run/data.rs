//! Data for the machine: a CD with a file `config`, as LinuxKit's `pkg/metadata` reads it.

use std::path::PathBuf;

use extents::Extents;
use tempfile::TempPath;
use tree::{Kind, Meta, Time, Tree};

/// The name of the file, and of the volume.
const NAME: &str = "config";

/// What the machine is told.
#[derive(Clone, Debug)]
pub enum Data {
    /// The text itself.
    Text(String),
    /// The content of a file.
    File(PathBuf),
}

impl Data {
    /// Makes the CD as a file that is removed in the end.
    pub fn cd(&self) -> Result<TempPath, String> {
        let bytes = match self {
            Data::Text(text) => text.clone().into_bytes(),
            Data::File(path) => {
                std::fs::read(path).map_err(|error| format!("cannot read {}: {error}", path.display()))?
            }
        };
        let image = image(bytes).map_err(|error| format!("cannot make a CD of the data: {error}"))?;
        let file = tempfile::Builder::new().suffix(".iso").tempfile();
        let file = file.map_err(|error| format!("cannot make a temporary file: {error}"))?;
        extents::emit::fill(&image, file.as_file())
            .map_err(|error| format!("cannot write {}: {error}", file.path().display()))?;
        Ok(file.into_temp_path())
    }
}

fn image(bytes: Vec<u8>) -> Result<Extents, iso9660::Error> {
    let meta = |mode| Meta::new(mode, Time::from_seconds(crate::time::fixed()));
    let mut tree = Tree::new(meta(0o755));
    let file = Kind::File(Extents::from_bytes(bytes));
    // The name is a good one, and the tree empty.
    let _ = tree.insert(NAME.as_bytes(), meta(0o644), file, &meta(0o755));
    let options = iso9660::Options {
        volume_id: NAME.to_owned(),
        ..iso9660::Options::default()
    };
    Ok(iso9660::plan(&tree, &options)?.into_extents())
}

#[cfg(test)]
mod tests {
    use super::image;

    #[test]
    fn data_is_in_a_file_of_the_volume() {
        let image = image(b"user data".to_vec()).unwrap().to_vec().unwrap();
        // The volume's name stands at byte 40 of the primary descriptor (ECMA-119 8.4).
        assert_eq!(&image[16 * 2048 + 40..][..8], b"config  ");
        assert!(image.windows(9).any(|bytes| bytes == b"user data"));
    }
}
