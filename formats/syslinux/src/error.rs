//! Reasons why a loader cannot be installed.

/// A loader that cannot be installed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A part of the loader has the wrong length.
    #[error("{part} has {len} bytes, not {expected}: it is corrupt or of another version")]
    Length {
        /// The part.
        part: &'static str,
        /// Expected length in bytes.
        expected: usize,
        /// Length in bytes.
        len: usize,
    },
    /// A part of the loader has the wrong content.
    #[error("{part} is corrupt or of another version: {found}")]
    Corrupt {
        /// The part.
        part: &'static str,
        /// Finding in a few words.
        found: &'static str,
    },
    /// The runs of the file have fewer sectors than the loader.
    #[error("ldlinux.sys needs {needed} sectors of 512 bytes, but its file has {have}")]
    Sectors {
        /// Number of sectors of the loader.
        needed: usize,
        /// Number of sectors of the file.
        have: usize,
    },
    /// The file is too fragmented for the loader's list.
    #[error("ldlinux.sys has {count} extents of less than 64 KiB, but the loader follows at most {max}")]
    Fragments {
        /// Number of extents of the file.
        count: usize,
        /// Number of extents that fit the list.
        max: usize,
    },
    /// The loader cannot read the filesystem.
    #[error("syslinux cannot read this filesystem: {0}")]
    Filesystem(&'static str),
    /// The path of the loader's directory does not fit the loader.
    #[error("the path of the directory of ldlinux.sys has {len} bytes, but the loader supports at most {max}")]
    Directory {
        /// Length of the path in bytes.
        len: usize,
        /// Maximum length in bytes.
        max: usize,
    },
    /// The first sector of the filesystem cannot be read.
    #[error("cannot read the boot sector: {0}")]
    Read(#[from] std::io::Error),
}
