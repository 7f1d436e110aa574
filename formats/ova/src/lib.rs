//! Virtual appliances: a machine with one disk in one file, as VMware and VirtualBox import it (DMTF
//! DSP0243, "Open Virtualization Format Specification" 1.1, which both have read the longest).
//!
//! ```text
//! tar   NAME.ovf         the machine, in XML; it has to be the first
//!       NAME.mf          SHA-256 of the other two
//!       NAME-disk1.vmdk  the disk, which has to be streamOptimized
//! ```

mod descriptor;
mod tar;

use std::io;

use extents::Extents;
use sha2::{Digest, Sha256};

/// The longest name of an appliance in bytes, so that its files have room in a header of tar.
pub const LONGEST_NAME: usize = 80;
/// The most bytes of the appliance's disk image, which a header of tar can say.
const LARGEST: u64 = u64::MAX >> 8;

/// Why there is no appliance.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A name that cannot be that of files.
    #[error(
        "{name:?} cannot be the name of an appliance: {what}\nhelp: take letters, digits, and . _ - of at most {LONGEST_NAME} bytes"
    )]
    Name {
        /// The name.
        name: String,
        /// What is wrong with it.
        what: &'static str,
    },
    /// A disk that is too large for the archive.
    #[error("a disk image of {size} bytes is too large for an appliance: {LARGEST} at most")]
    TooLarge {
        /// Its length in bytes.
        size: u64,
    },
    /// The disk could not be read.
    #[error("cannot read the disk image: {source}")]
    Read {
        /// What reading failed with.
        source: io::Error,
    },
}

/// What starts the machine.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Firmware {
    /// A BIOS.
    #[default]
    Bios,
    /// UEFI. VMware heeds it; VirtualBox does not, and it has to be chosen there after the import.
    Efi,
}

/// The machine.
#[derive(Clone, Debug)]
pub struct Options {
    /// Its name, and how the names of the files begin.
    pub name: String,
    /// How many processors it has.
    pub cpus: u32,
    /// Its memory in MiB.
    pub memory: u64,
    /// What starts it.
    pub firmware: Firmware,
    /// The time of the files, in seconds of the Unix epoch.
    pub time: u64,
}

/// Plans an appliance around a disk image that is a streamOptimized VMDK. `capacity` is the length
/// of the disk itself in bytes. The image is read once, for its digest.
///
/// # Errors
/// A name that cannot be, an image that is too large, or what reading it fails with.
pub fn plan(disk: &Extents, capacity: u64, options: &Options) -> Result<Extents, Error> {
    check_name(&options.name)?;
    if disk.len() > LARGEST {
        return Err(Error::TooLarge { size: disk.len() });
    }
    let name = &options.name;
    let files = [
        format!("{name}.ovf"),
        format!("{name}.mf"),
        format!("{name}-disk1.vmdk"),
    ];
    let [descriptor_name, _, disk_name] = &files;
    let descriptor = Extents::from_bytes(descriptor::xml(options, disk_name, disk.len(), capacity).into_bytes());
    let mut manifest = String::new();
    for (name, content) in [(descriptor_name, &descriptor), (disk_name, disk)] {
        manifest += &format!("SHA256({name})= {}\n", digest(content)?);
    }
    let manifest = Extents::from_bytes(manifest.into_bytes());

    let mut archive = Extents::new();
    for (name, content) in files.iter().zip([&descriptor, &manifest, disk]) {
        archive.push_bytes(tar::header(name, content.len(), options.time));
        archive.push(content);
        archive.align_to(tar::BLOCK);
    }
    archive.push_zeros(2 * tar::BLOCK);
    Ok(archive)
}

fn check_name(name: &str) -> Result<(), Error> {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    let what = if name.is_empty() {
        "it is empty"
    } else if name.len() > LONGEST_NAME {
        "it is too long"
    } else if !name.bytes().all(is_plain) {
        "it has other characters"
    } else {
        return Ok(());
    };
    Err(Error::Name {
        name: name.to_owned(),
        what,
    })
}

fn digest(content: &Extents) -> Result<String, Error> {
    let mut hash = Sha256::new();
    io::copy(&mut io::BufReader::with_capacity(1 << 20, content.reader()), &mut hash)
        .map_err(|source| Error::Read { source })?;
    Ok(hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
}
