//! What is wrong with a loader, or with where it is to go.

/// Why there is no installation.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A part of the loader has another length than it must have.
    #[error("{what} has {len} bytes, not {wanted}: it is damaged or of another version")]
    Length {
        /// Which part.
        what: &'static str,
        /// Bytes expected.
        wanted: usize,
        /// Bytes there.
        len: usize,
    },
    /// A part of the loader is not what it should be.
    #[error("{what} is damaged or of another version: {found}")]
    Damaged {
        /// Which part.
        what: &'static str,
        /// What was found.
        found: &'static str,
    },
    /// The file stands elsewhere, or is shorter, than the loader needs.
    #[error("ldlinux.sys needs {needed} sectors of 512 bytes, and its file has {have}")]
    Sectors {
        /// How many it needs.
        needed: usize,
        /// How many there are.
        have: usize,
    },
    /// The file is in more pieces than the loader has room to remember.
    #[error("ldlinux.sys is in {pieces} pieces of at most 64 KiB, and the loader can follow {most}")]
    Pieces {
        /// How many pieces.
        pieces: usize,
        /// How many can be followed.
        most: usize,
    },
    /// The filesystem is none that the loader reads.
    #[error("syslinux cannot start from this filesystem: {0}")]
    Filesystem(&'static str),
    /// The folder's path is too long.
    #[error("the path of the folder of ldlinux.sys has {len} bytes, and there is room for {most}")]
    Folder {
        /// Bytes of the path.
        len: usize,
        /// Bytes there are for it.
        most: usize,
    },
    /// Reading the filesystem's first sector failed.
    #[error("cannot read the boot sector: {0}")]
    Read(#[from] std::io::Error),
}
