//! Squashfs, read by the crate `backhand`. What is compressed goes through the crates that moby
//! has anyway: those of backhand are in C but for gzip.

use std::io::{self, BufReader, Read};
use std::sync::Arc;

use backhand::compression::{CompressionAction, Compressor};
use backhand::kind::Kind;
use backhand::{BackhandError, FilesystemCompressor, FilesystemReader, InnerNode, SuperBlock};
use extents::Extents;

use super::{Files, wrong};
use crate::codec::decompress;
use crate::inspect::compressed::copy;
use crate::inspect::source::Source;
use crate::inspect::{Inside, Look, lazy};

/// The files of a squashfs.
pub fn squashfs(head: &[u8], content: &Extents) -> Result<Option<Inside>, String> {
    if !head.starts_with(b"hsqs") {
        return Ok(None);
    }
    let wrong = wrong("squashfs");
    let source = BufReader::new(Source::new(content.clone()));
    let kind = Kind::new_v4(&Decompress);
    let volume = FilesystemReader::from_reader_with_offset_and_kind(source, 0, kind);
    let volume = Arc::new(volume.map_err(|error| wrong(&error))?);
    let mut files = Files::default();
    for (index, node) in volume.files().enumerate() {
        let path = node.fullpath.to_string_lossy().replace('\\', "/");
        let path = files.path("", path.trim_start_matches('/'))?;
        let InnerNode::File(file) = &node.inner else {
            continue;
        };
        let volume = volume.clone();
        let file = lazy::file(file.file_len() as u64, move |out| {
            let Some(InnerNode::File(file)) = volume.files().nth(index).map(|node| &node.inner) else {
                return Err(io::ErrorKind::NotFound.into());
            };
            let mut file = volume.file(file).reader();
            copy(|buf| io::Read::read(&mut file, buf), out)
        });
        files.add(path, file);
    }
    Ok(Some(Inside {
        what: format!(
            "squashfs, compressed by {}, of {} bytes",
            format!("{:?}", volume.compressor).to_lowercase(),
            content.len()
        ),
        files: files.sorted(),
        look: Look::Boot,
    }))
}

/// Decompresses; nothing is written.
struct Decompress;

impl CompressionAction for Decompress {
    type Error = BackhandError;
    type Compressor = Compressor;
    type FilesystemCompressor = FilesystemCompressor;
    type SuperBlock = SuperBlock;

    fn decompress(&self, bytes: &[u8], out: &mut Vec<u8>, compressor: Compressor) -> Result<(), BackhandError> {
        // Room is made for as much as there may be.
        let most = out.capacity();
        let name = format!("{compressor:?}");
        let reader: Box<dyn Read> = match compressor {
            Compressor::Uncompressed => Box::new(bytes),
            Compressor::Gzip => Box::new(flate2::bufread::ZlibDecoder::new(bytes)),
            // Told apart by their first bytes.
            Compressor::Xz | Compressor::Zstd => decompress::reader(bytes)?,
            Compressor::Lz4 => {
                out.resize(most, 0);
                let len = lz4_flex::block::decompress_into(bytes, out);
                out.truncate(len.map_err(|error| io::Error::other(format!("lz4: {error}")))?);
                return Ok(());
            }
            _ => return Err(BackhandError::UnsupportedCompression(name)),
        };
        let len = reader.take((most as u64).saturating_add(1)).read_to_end(out)?;
        match len > most {
            true => Err(io::Error::other(format!("a block of {name} expands to more than {most} bytes")).into()),
            false => Ok(()),
        }
    }

    fn compress(&self, _: &[u8], compressor: FilesystemCompressor, _: u32) -> Result<Vec<u8>, BackhandError> {
        Err(BackhandError::UnsupportedCompression(format!("{compressor:?}")))
    }
}
