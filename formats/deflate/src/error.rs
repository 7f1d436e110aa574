//! Error of a gzip file that cannot be inflated.

use std::io;

/// Reason why a gzip file cannot be inflated or reused.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The file cannot be read.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The file ends within a member.
    #[error("the gzip data ends early")]
    Truncated,
    /// The data violates RFC 1951 or RFC 1952.
    #[error("the gzip data is corrupt: {0}")]
    Invalid(&'static str),
    /// The content is not that of the file from which it is said to come.
    #[error("the content differs from that of the gzip file it was decompressed from")]
    Mismatch,
}

impl From<Error> for io::Error {
    fn from(error: Error) -> io::Error {
        match error {
            Error::Io(error) => error,
            Error::Truncated => io::Error::new(io::ErrorKind::UnexpectedEof, error),
            error => io::Error::new(io::ErrorKind::InvalidData, error),
        }
    }
}
