//! Data for the machine: an ISO image with a file `config`, as LinuxKit's `pkg/metadata` reads it.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use extents::Extents;
use tempfile::TempPath;
use tree::{Kind, Meta, Time, Tree};

use super::Error;

/// Name of the file and of the volume.
const NAME: &str = "config";
/// Maximum size of the data in bytes.
const MAX_DATA: u64 = 64 << 20;

/// Data for the machine.
#[derive(Clone, Debug)]
pub enum Data {
    /// Text.
    Text(String),
    /// File with the data.
    File(PathBuf),
}

impl Data {
    /// Writes the ISO image to a temporary file, which is removed when its path is dropped.
    pub fn write_iso(&self) -> Result<TempPath, Error> {
        let bytes = match self {
            Data::Text(text) => text.clone().into_bytes(),
            Data::File(path) => read(path)?,
        };
        let image = image(bytes)?;
        let written = |path: &Path| {
            let path = path.to_owned();
            move |source| Error::Write { path, source }
        };
        let file = tempfile::Builder::new().suffix(".iso").tempfile();
        let file = file.map_err(written(&std::env::temp_dir()))?;
        extents::emit::fill(&image, file.as_file(), &|_| {}).map_err(written(file.path()))?;
        Ok(file.into_temp_path())
    }
}

/// Reads a file of at most [`MAX_DATA`] bytes; it may be a pipe.
fn read(path: &Path) -> Result<Vec<u8>, Error> {
    let error = |source| Error::Read {
        path: path.to_owned(),
        source,
    };
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(error)?;
    file.take(MAX_DATA + 1).read_to_end(&mut bytes).map_err(error)?;
    if bytes.len() as u64 > MAX_DATA {
        return Err(error(io::Error::other(format!(
            "it has more than {} MiB",
            MAX_DATA >> 20
        ))));
    }
    Ok(bytes)
}

fn image(bytes: Vec<u8>) -> Result<Extents, iso9660::Error> {
    let meta = |mode| Meta::new(mode, Time::from_seconds(crate::time::DEFAULT));
    let mut tree = Tree::new(meta(0o755));
    let file = Kind::File(Extents::from_bytes(bytes));
    // The name is valid, and the tree empty.
    let _ = tree.insert(NAME.as_bytes(), meta(0o644), file, &meta(0o755));
    let mut options = iso9660::Options::default();
    options.volume_id = NAME.to_owned();
    Ok(iso9660::plan(&tree, &options)?.into_extents())
}

#[cfg(test)]
mod tests {
    use super::image;

    #[test]
    fn data_is_in_a_file_of_the_volume() {
        let image = image(b"user data".to_vec()).unwrap().to_vec().unwrap();
        // The volume identifier is at byte 40 of the primary descriptor (ECMA-119 8.4).
        assert_eq!(&image[16 * 2048 + 40..][..8], b"config  ");
        assert!(image.windows(9).any(|bytes| bytes == b"user data"));
    }
}
