//! Unified kernel images: a kernel, its initrd and its command line in one program for UEFI
//! (UAPI.5), made from a stub such as systemd's `linuxx64.efi.stub`.
//!
//! Sections are appended as "PE Format" (Microsoft, of 2024) has them; its sections are cited.
//!
//! ```text
//! DOS header → PE header | optional header | section table    changed
//! .text .data ... of the stub                                 as they are
//! .osrel .cmdline .uname .initrd .linux                       appended, whole file alignments
//! (room for a certificate table: the end is a multiple of 8)
//! ```

mod pe;

use extents::Extents;

/// Why there is no image.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The stub is no program for UEFI that sections can be added to.
    #[error("the stub cannot be used: {0}")]
    Stub(&'static str),
    /// The stub's header has too little room.
    #[error("the stub has room for {room} more sections, and {count} are to be added")]
    Sections {
        /// How many could be added.
        room: usize,
        /// How many were to be.
        count: usize,
    },
    /// A section is there twice, or is empty.
    #[error("the section {0} cannot be added: the stub has it, it is given twice, or its name has more than 8 bytes")]
    Section(String),
    /// The image is larger than firmware loads.
    #[error(
        "the unified kernel image would have {size} bytes, and firmware loads less than 2 GiB\nhelp: make the initrd smaller, or use a format with the root filesystem on the disk"
    )]
    TooLarge {
        /// Its size in memory in bytes.
        size: u64,
    },
    /// Reading what goes into it failed.
    #[error("cannot read what goes into the unified kernel image: {0}")]
    Read(#[from] std::io::Error),
}

/// A section of an image.
#[derive(Clone, Debug)]
pub struct Section {
    /// Its name, as `.linux`.
    pub name: String,
    /// Its content.
    pub content: Extents,
}

/// What an image consists of.
#[derive(Clone, Debug, Default)]
pub struct Parts {
    /// The kernel: a program for UEFI itself.
    pub kernel: Extents,
    /// The initrd.
    pub initrd: Extents,
    /// The command line, without a newline.
    pub cmdline: String,
    /// os-release, by which systemd-boot names it; none when empty.
    pub os_release: String,
    /// The kernel's version; none when empty.
    pub uname: String,
}

/// Plans an image from a stub.
///
/// # Errors
/// A stub that does not fit, and an image that is too large.
pub fn plan(stub: &Extents, parts: &Parts) -> Result<Extents, Error> {
    let text = |text: &str| Extents::from_bytes(text.as_bytes());
    // The kernel last: some stubs let it unpack itself behind its end.
    let sections = [
        (".osrel", text(&parts.os_release)),
        (".cmdline", text(&parts.cmdline)),
        (".uname", text(&parts.uname)),
        (".initrd", parts.initrd.clone()),
        (".linux", parts.kernel.clone()),
    ];
    let there = sections.into_iter().filter(|(_, content)| !content.is_empty());
    let sections: Vec<Section> = there
        .map(|(name, content)| Section {
            name: name.into(),
            content,
        })
        .collect();
    pe::append(stub, &sections)
}

/// Appends sections of data to a program for UEFI.
///
/// # Errors
/// As [`plan`].
pub fn append(program: &Extents, sections: &[Section]) -> Result<Extents, Error> {
    pe::append(program, sections)
}
