//! Errors of PID 1, as they are written on the console.

use std::io;

/// Step that failed, and its cause.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("cannot {action} {path}: {source}")]
    File {
        action: &'static str,
        path: String,
        source: io::Error,
    },
    #[error("{path} is not valid JSON: {source}")]
    Json { path: String, source: serde_json::Error },
    #[error("cannot mount {device} on {path}: {source}")]
    Mount {
        device: String,
        path: String,
        source: io::Error,
    },
    #[error("cannot {action} interface {name}: {source}")]
    Interface {
        action: &'static str,
        name: String,
        source: io::Error,
    },
    #[error("interface {0} of type veth has no `peer`")]
    NoPeer(String),
    #[error("{program} failed: exit status {status}")]
    Program { program: String, status: i32 },
    #[error("containerd: {0}")]
    Containerd(String),
    #[error("the kernel arguments have neither root= nor roothash=")]
    NoRoot,
    #[error("no device matches {argument}; devices: {devices}")]
    RootNotFound { argument: String, devices: String },
    #[error("roothash= and verity.at= belong together: digits, and a number of blocks")]
    VerityArguments,
    #[error("cannot verify {device}: {reason}")]
    Verity { device: String, reason: String },
    #[error("the parameters of a device have {0} bytes, which is too long")]
    LongTable(usize),
    #[error("{device} has no filesystem that the kernel can mount ({attempts})")]
    NoFilesystem { device: String, attempts: String },
    #[error("the root filesystem has no {0}")]
    NoInit(String),
    #[error("cannot leave the initrd: {0}")]
    Switch(io::Error),
}

impl Error {
    /// Returns the conversion of an I/O error of an action on a file.
    pub fn file<E: Into<io::Error>>(action: &'static str, path: &str) -> impl FnOnce(E) -> Error {
        move |source| Error::File {
            action,
            path: path.to_owned(),
            source: source.into(),
        }
    }

    /// Returns the conversion of the error of a mount.
    pub fn mount<E: Into<io::Error>>(device: &str, path: &str) -> impl FnOnce(E) -> Error {
        move |source| Error::Mount {
            device: device.to_owned(),
            path: path.to_owned(),
            source: source.into(),
        }
    }
}
