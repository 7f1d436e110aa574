//! Files as block devices (loop(4)).

use std::fs::File;

use super::ioctl;
use crate::error::Error;

const CONTROL: &str = "/dev/loop-control";

/// Attaches a file, read-only, to a device. Returns the path of the device.
///
/// # Errors
/// The file cannot be opened, or no device is free.
pub fn attach(path: &str) -> Result<String, Error> {
    let file = File::open(path).map_err(Error::file("open", path))?;
    let control = File::options().read(true).write(true).open(CONTROL);
    let control = control.map_err(Error::file("open", CONTROL))?;
    let free = ioctl::free_loop(&control).map_err(Error::file("get a free device from", CONTROL))?;
    let device = format!("/dev/loop{free}");
    // A device that is opened for reading only is read-only.
    let opened = File::open(&device).map_err(Error::file("open", &device))?;
    ioctl::attach_to_loop(&opened, &file).map_err(Error::file("attach a file to", &device))?;
    Ok(device)
}
