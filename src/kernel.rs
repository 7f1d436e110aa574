//! Kernel files, of which there are several formats:
//!
//! ```text
//! bzImage            x86: setup code, then the compressed kernel (Documentation/arch/x86/boot.rst)
//! Image              arm64, riscv64: the kernel as it is in memory, with the header of an EFI executable
//! Image.gz           an Image compressed by gzip
//! vmlinuz.efi        an EFI executable that decompresses an Image (drivers/firmware/efi/libstub/zboot-header.S)
//! ```

use std::io::{self, Read};

use extents::Extents;

use crate::codec::decompress;

/// Maximum length of a decompressed kernel, in bytes.
const MAX_LEN: u64 = 512 << 20;

/// Reason why a kernel cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file of another kind.
    #[error("it is not a Linux kernel in a supported format")]
    Unknown,
    /// A bzImage whose payload is not compressed by gzip.
    #[error("unsupported bzImage payload format at offset {offset}; only gzip is supported")]
    Payload {
        /// Offset of the payload in bytes.
        offset: u64,
    },
    /// Compression other than gzip, zstd and xz.
    #[error("its compression is not gzip, zstd or xz")]
    Compression,
    /// Compressed data that is corrupt, or of another kind.
    #[error("its compression is corrupt, or not gzip, zstd or xz: {0}")]
    Corrupt(io::Error),
    /// A kernel that is longer than any known one.
    #[error("it decompresses to more than {MAX_LEN} bytes")]
    TooLong,
    /// A kernel that UEFI cannot execute.
    #[error("it is not an EFI executable")]
    NotEfi,
    /// A file that cannot be read.
    #[error(transparent)]
    Read(#[from] io::Error),
}

impl Error {
    /// Returns the remedy.
    pub fn help(&self) -> Option<&'static str> {
        match self {
            Error::Unknown => Some("name a bzImage, an Image, an Image.gz or a vmlinuz.efi"),
            Error::Payload { .. } => Some("use a kernel that was built with CONFIG_KERNEL_GZIP"),
            Error::Compression => Some("use a kernel that is compressed by gzip, zstd or xz"),
            Error::Corrupt(_) | Error::TooLong => Some("use another copy of the kernel"),
            Error::NotEfi => Some("use a kernel that was built with CONFIG_EFI_STUB, or another format"),
            Error::Read(_) => None,
        }
    }
}

/// Start of a kernel file.
struct Head(Vec<u8>);

impl Head {
    fn of(kernel: &Extents) -> io::Result<Head> {
        Ok(Head(kernel.part(0, 0x250).to_vec()?))
    }

    fn has(&self, offset: usize, bytes: &[u8]) -> bool {
        self.0.get(offset..).is_some_and(|rest| rest.starts_with(bytes))
    }

    fn number(&self, offset: usize) -> u64 {
        let bytes = self.0.get(offset..).and_then(|rest| rest.first_chunk());
        u64::from(u32::from_le_bytes(*bytes.unwrap_or(&[0; 4])))
    }

    fn is_gzip(&self) -> bool {
        self.has(0, &[0x1f, 0x8b])
    }

    fn is_bzimage(&self) -> bool {
        self.has(0x1fe, &[0x55, 0xaa]) && self.has(0x202, b"HdrS")
    }

    /// Returns whether it has the magic number of an Image (Documentation/arch/arm64/booting.rst,
    /// riscv/boot-image-header.rst).
    fn is_image(&self) -> bool {
        self.has(56, b"ARM\x64") || self.has(56, b"RSC\x05")
    }

    fn is_zboot(&self) -> bool {
        self.has(0, b"MZ") && self.has(4, b"zimg")
    }
}

/// Decompresses a kernel.
///
/// # Errors
/// A file that is not a kernel, and unknown compression.
pub fn decompressed(kernel: &Extents) -> Result<Extents, Error> {
    let head = Head::of(kernel)?;
    if head.is_gzip() {
        return unpack(kernel);
    }
    if head.is_image() {
        return Ok(kernel.clone());
    }
    if head.is_zboot() {
        return unpack(&kernel.part(head.number(8), head.number(12)));
    }
    if !head.is_bzimage() {
        return Err(Error::Unknown);
    }
    let (offset, payload) = payload(kernel, &head);
    if !Head::of(&payload)?.is_gzip() {
        return Err(Error::Payload { offset });
    }
    unpack(&payload)
}

/// Returns the compressed kernel in a bzImage, and its offset in bytes.
fn payload(kernel: &Extents, head: &Head) -> (u64, Extents) {
    let setup_sects = head.0.get(0x1f1).copied().unwrap_or(0);
    // 0 means 4, for the sake of old boot loaders.
    let setup_sects = if setup_sects == 0 { 4 } else { u64::from(setup_sects) };
    // Fields payload_offset and payload_length.
    let offset = (setup_sects + 1) * 512 + head.number(0x248);
    (offset, kernel.part(offset, head.number(0x24c)))
}

/// Extracts the configuration from a kernel that was built with CONFIG_IKCONFIG (kernel/configs.c);
/// `None` if it was built without, or if its compression is unknown.
pub fn config(kernel: &Extents) -> Option<String> {
    let head = Head::of(kernel).ok()?;
    let plain = if head.is_bzimage() {
        let (_, payload) = payload(kernel, &head);
        if Head::of(&payload).ok()?.is_gzip() {
            unpack(&payload)
        } else {
            // Except for gzip, the decompressed length follows (scripts/Makefile.lib, size_append).
            unpack(&payload.part(0, payload.len().saturating_sub(4)))
        }
    } else {
        decompressed(kernel)
    };
    let bytes = plain.ok()?.part(0, MAX_LEN).to_vec().ok()?;
    let magic = b"IKCFG_ST";
    let at = bytes.windows(magic.len()).position(|window| window == magic)?;
    let compressed = bytes.get(at + magic.len()..)?;
    let mut text = Vec::new();
    // A configuration has about 300 KiB.
    let mut reader = flate2::read::GzDecoder::new(compressed).take(1 << 20);
    reader.read_to_end(&mut text).ok()?;
    String::from_utf8(text).ok()
}

/// Returns the kernel as an EFI executable.
///
/// # Errors
/// A file that cannot be read or decompressed, and a kernel without an EFI stub.
pub fn program(kernel: &Extents) -> Result<Extents, Error> {
    let kernel = if Head::of(kernel)?.is_gzip() {
        unpack(kernel)?
    } else {
        kernel.clone()
    };
    if Head::of(&kernel)?.has(0, b"MZ") {
        Ok(kernel)
    } else {
        Err(Error::NotEfi)
    }
}

/// Reads the version in a kernel's header or banner; `None` if there is none.
///
/// # Errors
/// A file that cannot be read.
pub fn version(kernel: &Extents) -> io::Result<Option<String>> {
    let head = Head(kernel.part(0, 0x250).to_vec()?);
    let text = if head.is_bzimage() {
        // The field kernel_version: an offset behind the first 512 bytes.
        kernel.part((head.number(0x20e) & 0xffff) + 0x200, 256).to_vec()?
    } else if head.is_image() {
        // The header has none; the first line that the kernel prints has.
        let banner = b"Linux version ";
        let bytes = kernel.part(0, MAX_LEN).to_vec()?;
        let mut found = bytes.windows(banner.len() + 1);
        let at = found.position(|text| text.starts_with(banner) && text.last().is_some_and(u8::is_ascii_digit));
        at.and_then(|at| bytes.get(at + banner.len()..))
            .map_or(Vec::new(), |rest| rest.iter().copied().take(256).collect())
    } else {
        return Ok(None);
    };
    let end = text.iter().position(|byte| !byte.is_ascii_graphic()).unwrap_or(0);
    let version = String::from_utf8_lossy(text.get(..end).unwrap_or_default()).into_owned();
    Ok((!version.is_empty()).then_some(version))
}

fn unpack(compressed: &Extents) -> Result<Extents, Error> {
    let mut bytes = Vec::new();
    let reader = decompress::reader(compressed.reader())?;
    let read = reader.take(MAX_LEN + 1).read_to_end(&mut bytes);
    read.map_err(Error::Corrupt)?;
    if bytes.len() as u64 > MAX_LEN {
        return Err(Error::TooLong);
    }
    if bytes.len() as u64 == compressed.len() {
        return Err(Error::Compression);
    }
    Ok(Extents::from_bytes(bytes))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::io::Write;

    use super::*;

    fn image() -> Vec<u8> {
        let mut image = vec![0; 4096];
        image[..2].copy_from_slice(b"MZ");
        image[56..60].copy_from_slice(b"ARM\x64");
        image[2000..2030].copy_from_slice(b"Linux version 6.1.0-9-arm64 (b");
        image
    }

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn an_image_is_found_in_all_its_forms() {
        let image = image();
        let compressed = gzip(&image);
        let mut zboot = b"MZ\0\0zimg".to_vec();
        zboot.extend([64u32.to_le_bytes(), (compressed.len() as u32).to_le_bytes()].concat());
        zboot.resize(64, 0);
        zboot.extend(&compressed);
        zboot.extend([0; 100]);
        for file in [&image, &compressed, &zboot] {
            let kernel = decompressed(&Extents::from_bytes(file.clone())).unwrap();
            assert_eq!(kernel.to_vec().unwrap(), image);
            assert_eq!(version(&kernel).unwrap().unwrap(), "6.1.0-9-arm64");
        }
        // A kernel that is an EFI executable stays as it is.
        for (file, expected) in [(&image, &image), (&compressed, &image), (&zboot, &zboot)] {
            let kernel = program(&Extents::from_bytes(file.clone())).unwrap();
            assert_eq!(&kernel.to_vec().unwrap(), expected);
        }
    }

    #[test]
    fn a_configuration_is_found() {
        let mut image = image();
        let text = "CONFIG_SQUASHFS=y\nCONFIG_EXT4_FS=m\n";
        image.splice(
            3000..3000,
            [b"IKCFG_ST".as_slice(), &gzip(text.as_bytes()), b"IKCFG_ED"].concat(),
        );
        let mut bzimage = vec![0; 1024];
        bzimage[0x1f1] = 1;
        bzimage[0x1fe..0x200].copy_from_slice(&[0x55, 0xaa]);
        bzimage[0x202..0x206].copy_from_slice(b"HdrS");
        let xz = {
            let options = lzma_rust2::XzOptions::with_preset(0);
            let mut writer = lzma_rust2::XzWriter::new(Vec::new(), options).unwrap();
            writer.write_all(&image).unwrap();
            [writer.finish().unwrap(), (image.len() as u32).to_le_bytes().into()].concat()
        };
        for compressed in [gzip(&image), xz] {
            let mut bzimage = bzimage.clone();
            bzimage[0x24c..0x250].copy_from_slice(&(compressed.len() as u32).to_le_bytes());
            bzimage.extend(compressed);
            assert_eq!(config(&Extents::from_bytes(bzimage)).unwrap(), text);
        }
        for kernel in [image.clone(), gzip(&image)] {
            assert_eq!(config(&Extents::from_bytes(kernel)).unwrap(), text);
        }
        image.truncate(3010);
        for none in [image, self::image(), bzimage, vec![1; 700]] {
            assert_eq!(config(&Extents::from_bytes(none)), None);
        }
    }

    #[test]
    fn what_is_no_kernel_is_refused() {
        let zboot = [b"MZ\0\0zimg".as_slice(), &[255; 60]].concat();
        for bytes in [vec![], vec![1; 700], gzip(&[0; 900])[..20].to_vec(), zboot] {
            assert!(decompressed(&Extents::from_bytes(bytes)).is_err());
        }
        for bytes in [vec![], vec![1; 700], gzip(&[0; 900])] {
            assert!(program(&Extents::from_bytes(bytes)).is_err());
        }
    }
}
