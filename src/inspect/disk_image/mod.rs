//! Disk image formats: qcow2, VHD, VHDX, VMDK and VDI.

mod assembly;
mod clusters;
mod fields;
mod qcow2;
mod vdi;
mod vhd;
mod vhdx;
mod vmdk;

use extents::Extents;
use indicatif::BinaryBytes;

use super::Error;

/// Length of a VHD footer, in bytes.
const FOOTER: u64 = 512;
/// First bytes of a VHD footer.
const VHD_MAGIC: &[u8] = b"conectix";

/// Returns the disk of a disk image with a description of the image, if `content` is one.
///
/// # Errors
/// A corrupt, truncated or unsupported image.
pub fn open(head: &[u8], content: &Extents) -> Result<Option<(String, Extents)>, Error> {
    let footer = content
        .part(content.len().saturating_sub(FOOTER), FOOTER)
        .to_vec()
        .unwrap_or_default();
    let (name, disk) = match head {
        [b'Q', b'F', b'I', 0xfb, ..] => ("qcow2 image", qcow2::open(content)?),
        [b'K', b'D', b'M', b'V', ..] => {
            let (is_compressed, disk) = vmdk::open(content)?;
            let name = if is_compressed {
                "compressed VMDK image"
            } else {
                "VMDK image"
            };
            (name, disk)
        }
        _ if head.starts_with(b"vhdxfile") => ("VHDX image", vhdx::open(content)?),
        _ if head.get(64..68) == Some(&[0x7f, 0x10, 0xda, 0xbe]) => ("VDI image", vdi::open(content)?),
        _ if head.starts_with(VHD_MAGIC) => ("dynamic VHD image", vhd::open(content)?),
        _ if footer.starts_with(VHD_MAGIC) => {
            let disk = content.part(0, content.len().saturating_sub(FOOTER));
            ("fixed VHD image", disk)
        }
        _ => return Ok(None),
    };
    Ok(Some((
        format!(
            "{name}, {}, of a disk of {}",
            BinaryBytes(content.len()),
            BinaryBytes(disk.len())
        ),
        disk,
    )))
}
