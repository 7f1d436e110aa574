//! Unified kernel images (UKI): a kernel, its initrd and its command line in one UEFI application
//! (UAPI.5), assembled from a stub such as systemd's `linuxx64.efi.stub`.
//!
//! Sections are appended as specified by "PE Format" (Microsoft, 2024), which the code cites.
//!
//! ```text
//! DOS header → PE header | optional header | section table    changed
//! .text .data ... of the stub                                 unchanged
//! .osrel .cmdline .uname .initrd .linux                       appended at page boundaries
//!                                                             padding to a multiple of 8, where
//!                                                             a certificate table can follow
//! ```

mod pe;

/// Virtual files, re-exported from the crate `image-extents`.
pub use extents::Extents;

/// Parts that cannot become an image.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The stub is not a UEFI application to which sections can be appended.
    #[error("the stub cannot be used: {0}")]
    Stub(&'static str),
    /// The headers of the stub do not have enough free space.
    #[error("the stub can hold {max} more sections, but {count} are needed")]
    TooManySections {
        /// Number of sections that fit.
        max: usize,
        /// Number of sections to append.
        count: usize,
    },
    /// The stub has a section of that name, or the name occurs twice.
    #[error("cannot append section {name}: the image already has a section of that name")]
    DuplicateSection {
        /// Name of the section.
        name: String,
    },
    /// The name does not fit a section header.
    #[error("cannot append section {name}: its name has more than 8 bytes")]
    SectionName {
        /// Name of the section.
        name: String,
    },
    /// The image exceeds the size that firmware loads.
    #[error("the unified kernel image has {size} bytes, but firmware loads images of less than 2 GiB")]
    TooLarge {
        /// Size in memory in bytes.
        size: u64,
    },
    /// A part cannot be read.
    #[error("cannot read a part of the unified kernel image: {0}")]
    Read(#[from] std::io::Error),
}

/// A section of an image.
#[derive(Clone, Debug)]
pub struct Section {
    /// Name, such as `.linux`, at most 8 bytes.
    pub name: String,
    /// Content.
    pub content: Extents,
}

/// Parts of an image. A part that is empty becomes no section.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Parts {
    /// Kernel with an EFI stub, that is, a UEFI application (`.linux`).
    pub kernel: Extents,
    /// Initrd (`.initrd`).
    pub initrd: Extents,
    /// Kernel command line, without a newline (`.cmdline`).
    pub cmdline: String,
    /// Text of os-release, from which systemd-boot takes the name of its entry (`.osrel`).
    pub os_release: String,
    /// Kernel version, as `uname -r` prints it (`.uname`).
    pub uname: String,
}

/// Plans an image of `parts`, started by `stub`.
///
/// # Errors
/// A stub that is not a UEFI application or has no free space for sections, an image that is too
/// large, or parts that cannot be read.
pub fn plan(stub: &Extents, parts: &Parts) -> Result<Extents, Error> {
    let text = |text: &str| Extents::from_bytes(text.as_bytes());
    // The kernel is last: some stubs let it decompress itself beyond its end.
    let sections = [
        (".osrel", text(&parts.os_release)),
        (".cmdline", text(&parts.cmdline)),
        (".uname", text(&parts.uname)),
        (".initrd", parts.initrd.clone()),
        (".linux", parts.kernel.clone()),
    ];
    let sections: Vec<Section> = sections
        .into_iter()
        .filter(|(_, content)| !content.is_empty())
        .map(|(name, content)| Section {
            name: name.into(),
            content,
        })
        .collect();
    pe::append(stub, &sections)
}

/// Appends sections of data to a UEFI application.
///
/// # Errors
/// A program that is not a UEFI application or has no free space for sections, a name that is too
/// long or not unique, an image that is too large, or content that cannot be read.
pub fn append(program: &Extents, sections: &[Section]) -> Result<Extents, Error> {
    pe::append(program, sections)
}

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
