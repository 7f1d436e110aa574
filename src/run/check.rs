//! Checks before QEMU starts.

use std::collections::BTreeSet;
use std::fs;
use std::net::TcpListener;
use std::process::ExitStatus;

use super::{Error, Machine};

/// Checks disks and ports.
pub fn inputs(machine: &Machine) -> Result<(), Error> {
    let mut attached = BTreeSet::from_iter(fs::canonicalize(&machine.name));
    for disk in &machine.disks {
        let path = match fs::canonicalize(disk) {
            Ok(path) => path,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Err(Error::NoDisk(disk.clone())),
            Err(source) => {
                return Err(Error::Read {
                    path: disk.clone(),
                    source,
                });
            }
        };
        if !attached.insert(path) {
            return Err(Error::SameDisk(disk.clone()));
        }
    }
    // All at once, so that a port that is given twice is found as well.
    let mut listeners = Vec::new();
    for &(port, _) in &machine.publish {
        let listener = TcpListener::bind(("127.0.0.1", port));
        listeners.push(listener.map_err(|source| Error::Port { port, source })?);
    }
    Ok(())
}

/// Checks how QEMU ended.
pub fn status(program: &'static str, status: ExitStatus) -> Result<(), Error> {
    if status.success() {
        Ok(())
    } else {
        Err(Error::Status { program, status })
    }
}
