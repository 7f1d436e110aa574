//! OVA virtual appliances: a virtual machine with one disk in one file, as VMware and VirtualBox
//! import it (DMTF DSP0243, "Open Virtualization Format Specification" 1.1, the version that both
//! have supported the longest).
//!
//! ```text
//! tar   NAME.ovf         the virtual machine in XML, always the first file
//!       NAME.mf          SHA-256 of the other two
//!       NAME-disk1.vmdk  the disk image, a streamOptimized VMDK
//! ```

mod descriptor;
mod tar;

use std::io;

/// Virtual files, re-exported from the crate `image-extents`.
pub use extents::Extents;
use sha2::{Digest, Sha256};

/// Maximum length of an appliance's name in bytes: the names of its files fit a tar header.
pub const MAX_NAME_LEN: usize = 80;
/// Maximum length of an appliance's disk image in bytes: the length that a tar header can express.
pub const MAX_IMAGE_LEN: u64 = u64::MAX >> 8;

/// A disk image that cannot become an appliance.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The name cannot be part of file names.
    #[error("{name:?} cannot name an appliance: {reason}")]
    Name {
        /// The name.
        name: String,
        /// Reason in a few words.
        reason: &'static str,
    },
    /// The disk image does not fit the archive.
    #[error("the disk image has {len} bytes, but an appliance holds at most {MAX_IMAGE_LEN}")]
    TooLarge {
        /// Length of the image in bytes.
        len: u64,
    },
    /// The disk image cannot be read.
    #[error("cannot read the disk image: {source}")]
    Read {
        /// Error of the read.
        source: io::Error,
    },
}

/// Firmware of a virtual machine.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Firmware {
    /// BIOS.
    #[default]
    Bios,
    /// UEFI. VMware selects it; in VirtualBox it must be selected after the import.
    Efi,
}

/// Options of an appliance: its virtual machine.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Options {
    /// Name of the machine, with which the names of the files begin: 1 to [`MAX_NAME_LEN`] letters,
    /// digits, `.`, `_` and `-`.
    pub name: String,
    /// Capacity of the disk in bytes, which the disk image does not tell by its length.
    pub capacity: u64,
    /// Number of virtual CPUs.
    pub cpus: u32,
    /// Memory in MiB.
    pub memory_mib: u64,
    /// Firmware.
    pub firmware: Firmware,
    /// Modification time of the files in seconds of the Unix epoch.
    pub time: u64,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            name: "appliance".to_owned(),
            capacity: 0,
            cpus: 1,
            memory_mib: 1024,
            firmware: Firmware::default(),
            time: 0,
        }
    }
}

/// Plans an appliance around `image`, a streamOptimized VMDK of the disk. The image is read once,
/// for its digest.
///
/// # Errors
/// A name with other characters or of another length, an image longer than [`MAX_IMAGE_LEN`], or
/// one that cannot be read.
pub fn plan(image: &Extents, options: &Options) -> Result<Extents, Error> {
    check_name(&options.name)?;
    if image.len() > MAX_IMAGE_LEN {
        return Err(Error::TooLarge { len: image.len() });
    }
    let name = &options.name;
    let files = [
        format!("{name}.ovf"),
        format!("{name}.mf"),
        format!("{name}-disk1.vmdk"),
    ];
    let [descriptor_name, _, image_name] = &files;
    let descriptor = Extents::from_bytes(descriptor::xml(options, image_name, image.len()).into_bytes());
    let mut manifest = String::new();
    for (name, content) in [(descriptor_name, &descriptor), (image_name, image)] {
        manifest += &format!("SHA256({name})= {}\n", sha256(content)?);
    }
    let manifest = Extents::from_bytes(manifest.into_bytes());

    let mut archive = Extents::new();
    for (name, content) in files.iter().zip([&descriptor, &manifest, image]) {
        archive.push_bytes(tar::header(name, content.len(), options.time));
        archive.push(content);
        archive.align_to(tar::BLOCK);
    }
    archive.push_zeros(2 * tar::BLOCK);
    Ok(archive)
}

fn check_name(name: &str) -> Result<(), Error> {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    let reason = if name.is_empty() {
        "it is empty"
    } else if name.len() > MAX_NAME_LEN {
        "it has more than 80 bytes"
    } else if !name.bytes().all(is_plain) {
        "it has characters other than letters, digits, `.`, `_` and `-`"
    } else {
        return Ok(());
    };
    Err(Error::Name {
        name: name.to_owned(),
        reason,
    })
}

fn sha256(content: &Extents) -> Result<String, Error> {
    let mut hash = Sha256::new();
    let hashed = extents::emit::chunks(content, |chunk| {
        hash.update(chunk);
        Ok(())
    });
    hashed.map_err(|source| Error::Read { source })?;
    Ok(hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
}

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
