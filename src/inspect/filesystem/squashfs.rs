//! Squashfs, read by the crate `backhand`. Decompression goes through moby's own crates: apart
//! from gzip, those of backhand are in C.

use std::io::{self, BufReader, Read};
use std::path::Path;
use std::sync::Arc;

use backhand::compression::{CompressionAction, Compressor};
use backhand::kind::Kind;
use backhand::{BackhandError, FilesystemCompressor, FilesystemReader, InnerNode, SuperBlock};
use extents::Extents;
use indicatif::BinaryBytes;
use tree::Device;

use super::listing::Listing;
use crate::codec::decompress;
use crate::inspect::compressed::copy;
use crate::inspect::contents::{Contents, Descend, Metadata, Node};
use crate::inspect::source::Source;
use crate::inspect::{Error, lazy, path};

const FORMAT: &str = "squashfs filesystem";

/// Lists the files of a squashfs filesystem.
///
/// # Errors
/// A filesystem that the reader rejects.
pub fn open(head: &[u8], content: &Extents) -> Result<Option<Contents>, Error> {
    if !head.starts_with(b"hsqs") {
        return Ok(None);
    }
    let source = BufReader::new(Source::new(content.clone()));
    let kind = Kind::new_v4(&Decompress);
    let volume = FilesystemReader::from_reader_with_offset_and_kind(source, 0, kind);
    let volume = Arc::new(volume.map_err(|error| Error::reader(FORMAT, error.to_string()))?);
    let mut listing = Listing::new(FORMAT);
    for (index, node) in volume.files().enumerate() {
        let path = path::from_bytes(&bytes(&node.fullpath));
        let path = listing.path("", path.trim_start_matches('/'))?;
        if path.is_empty() {
            continue;
        }
        let device = |number: u32| Some(Device::from_encoded(number));
        let found = match &node.inner {
            InnerNode::File(file) => Node::File(content_of(&volume, index, file.file_len() as u64)),
            InnerNode::Symlink(link) => Node::Symlink(bytes(&link.link)),
            InnerNode::Dir(_) => Node::Directory,
            InnerNode::CharacterDevice(number) => Node::CharDevice(device(number.device_number)),
            InnerNode::BlockDevice(number) => Node::BlockDevice(device(number.device_number)),
            InnerNode::NamedPipe => Node::Fifo,
            InnerNode::Socket => Node::Socket,
        };
        let metadata = Metadata {
            mode: Some(u32::from(node.header.permissions) & 0o7777),
            owner: Some((node.header.uid, node.header.gid)),
            mtime: Some(node.header.mtime.into()),
            xattrs: None,
        };
        listing.add(path, found, metadata);
    }
    Ok(Some(Contents {
        format: FORMAT,
        summary: format!(
            "{FORMAT}, compressed by {}, {}",
            format!("{:?}", volume.compressor).to_lowercase(),
            BinaryBytes(content.len())
        ),
        details: Vec::new(),
        entries: listing.into_entries(),
        descend: Descend::Boot,
    }))
}

/// Returns a path of the reader. On Windows it has `\` between names.
fn bytes(path: &Path) -> Vec<u8> {
    let mut bytes = path.as_os_str().as_encoded_bytes().to_vec();
    if cfg!(windows) {
        bytes
            .iter_mut()
            .filter(|byte| **byte == b'\\')
            .for_each(|byte| *byte = b'/');
    }
    bytes
}

/// Returns the content of the file that is `index`th in the list of the volume.
fn content_of(volume: &Arc<FilesystemReader<'static>>, index: usize, len: u64) -> Extents {
    let volume = volume.clone();
    lazy::file(len, move |out| {
        let Some(InnerNode::File(file)) = volume.files().nth(index).map(|node| &node.inner) else {
            return Err(io::ErrorKind::NotFound.into());
        };
        let mut file = volume.file(file).reader();
        copy(|buf| io::Read::read(&mut file, buf), out)
    })
}

/// Decompression for backhand; nothing is written.
struct Decompress;

impl CompressionAction for Decompress {
    type Error = BackhandError;
    type Compressor = Compressor;
    type FilesystemCompressor = FilesystemCompressor;
    type SuperBlock = SuperBlock;

    fn decompress(&self, bytes: &[u8], out: &mut Vec<u8>, compressor: Compressor) -> Result<(), BackhandError> {
        // The capacity is the length of a block.
        let max_len = out.capacity();
        let name = format!("{compressor:?}");
        let reader: Box<dyn Read> = match compressor {
            Compressor::Uncompressed => Box::new(bytes),
            Compressor::Gzip => Box::new(flate2::bufread::ZlibDecoder::new(bytes)),
            // Detected by the first bytes.
            Compressor::Xz | Compressor::Zstd => decompress::reader(bytes)?,
            Compressor::Lz4 => {
                out.resize(max_len, 0);
                let len = lz4_flex::block::decompress_into(bytes, out);
                out.truncate(len.map_err(|error| io::Error::other(format!("lz4: {error}")))?);
                return Ok(());
            }
            _ => return Err(BackhandError::UnsupportedCompression(name)),
        };
        let len = reader.take((max_len as u64).saturating_add(1)).read_to_end(out)?;
        if len > max_len {
            return Err(io::Error::other(format!("a block of {name} expands to more than {max_len} bytes")).into());
        }
        Ok(())
    }

    fn compress(&self, _: &[u8], compressor: FilesystemCompressor, _: u32) -> Result<Vec<u8>, BackhandError> {
        Err(BackhandError::UnsupportedCompression(format!("{compressor:?}")))
    }
}
