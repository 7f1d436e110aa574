//! A root filesystem that dm-verity verifies: the filesystem, then its hash area
//! (Documentation/admin-guide/device-mapper/verity.rst).

use std::fs::File;
use std::os::unix::fs::FileExt;

use ::verity::Superblock;

use super::{device, device_mapper};
use crate::error::Error;

/// Size of a block in bytes, of the data and of the hash area.
const BLOCK: u64 = 4096;
const SECTOR: u64 = 512;

/// Root hash of a filesystem, and the number of its blocks, which the root hash does not cover.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RootHash {
    /// In hexadecimal digits: `roothash=`.
    pub digits: String,
    /// Number of blocks of 4096 bytes, behind which the hash area begins: `verity.at=`.
    pub blocks: u64,
}

/// Finds a device whose hash area has an identifier that begins the root hash. Another device can
/// have it too, and is then refused: the tree is verified, not the identifier.
pub fn find(root: &RootHash) -> Option<String> {
    let digits = root.digits.to_ascii_lowercase();
    let matches = |name: &String| {
        superblock(&format!("/dev/{name}"), root).is_ok_and(|found| digits.starts_with(&hex(found.uuid.as_bytes())))
    };
    let name = device::all().into_iter().find(matches)?;
    Some(format!("/dev/{name}"))
}

/// Creates a device with the verified filesystem of another one. Returns its path. A block that does
/// not match its digest cannot be read from it.
///
/// # Errors
/// The device has no hash area for the root hash, or the kernel has no dm-verity.
pub fn open(device: &str, root: &RootHash) -> Result<String, Error> {
    let superblock = superblock(device, root)?;
    let parameters = parameters(device, root, &superblock).map_err(fault(device))?;
    device_mapper::create("root", root.blocks * (BLOCK / SECTOR), "verity", &parameters)
}

/// Reads the superblock behind the filesystem.
fn superblock(device: &str, root: &RootHash) -> Result<Superblock, Error> {
    let mut bytes = [0; ::verity::SUPERBLOCK_LEN as usize];
    let offset = root.blocks.checked_mul(BLOCK);
    let offset = offset.ok_or_else(|| fault(device)(format!("verity.at={} is too large", root.blocks)))?;
    let file = File::open(device).map_err(Error::file("open", device))?;
    let read = file.read_exact_at(&mut bytes, offset);
    read.map_err(Error::file("read the hash area of", device))?;
    Superblock::parse(&bytes).map_err(|error| fault(device)(error.to_string()))
}

fn fault(device: &str) -> impl Fn(String) -> Error {
    move |reason| Error::Verity {
        device: device.to_owned(),
        reason,
    }
}

/// Returns the parameters of the target; those of the superblock are hashed with every block.
fn parameters(device: &str, root: &RootHash, superblock: &Superblock) -> Result<String, String> {
    if superblock.data_blocks != root.blocks {
        return Err(format!(
            "the hash tree covers {} blocks, not {}",
            superblock.data_blocks, root.blocks
        ));
    }
    let sizes = [superblock.data_block_size, superblock.hash_block_size];
    if sizes.iter().any(|size| u64::from(*size) != BLOCK) {
        return Err("blocks do not have 4096 bytes".into());
    }
    let is_hash = root.digits.len() == superblock.algorithm.digest_len() * 2;
    if !is_hash || !root.digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Err(format!(
            "roothash={} is no digest of {}",
            root.digits, superblock.algorithm
        ));
    }
    let salt = match superblock.salt.as_slice() {
        [] => "-".to_owned(),
        salt => hex(salt),
    };
    Ok(format!(
        "1 {device} {device} {BLOCK} {BLOCK} {} {} {} {} {salt}",
        root.blocks,
        root.blocks + 1,
        superblock.algorithm,
        root.digits
    ))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
