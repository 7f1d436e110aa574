//! Files as block devices (loop(4)). The only module with `unsafe`: no crate has a safe form of the
//! two requests.
#![allow(unsafe_code)]

use std::fs::File;
use std::os::fd::AsRawFd;

use rustix::io::Errno;
use rustix::ioctl::{IntegerSetter, NoArg, Opcode, ioctl};

use crate::error::Error;

/// Request that attaches a file (include/uapi/linux/loop.h).
const LOOP_SET_FD: Opcode = 0x4c00;
/// Request to /dev/loop-control for a free device.
const LOOP_CTL_GET_FREE: Opcode = 0x4c82;

const CONTROL: &str = "/dev/loop-control";

/// Attaches a file, read-only, to a device. Returns the path of the device.
///
/// # Errors
/// The file cannot be opened, or no device is free.
pub fn attach(path: &str) -> Result<String, Error> {
    let file = File::open(path).map_err(Error::file("open", path))?;
    let control = File::options().read(true).write(true).open(CONTROL);
    let control = control.map_err(Error::file("open", CONTROL))?;
    let free = free(&control).map_err(Error::file("get a free device from", CONTROL))?;
    let device = format!("/dev/loop{free}");
    // A device that is opened for reading only is read-only.
    let opened = File::open(&device).map_err(Error::file("open", &device))?;
    // SAFETY: LOOP_SET_FD takes the number of an open file as its argument, not a pointer; both
    // files are open until it returns, and the kernel keeps the one that it needs.
    let set = unsafe {
        let request = IntegerSetter::<LOOP_SET_FD>::new_usize(file.as_raw_fd() as usize);
        ioctl(&opened, request)
    };
    set.map_err(Error::file("attach a file to", &device))?;
    Ok(device)
}

/// Returns the number of a free device.
fn free(control: &File) -> Result<i32, Errno> {
    // SAFETY: LOOP_CTL_GET_FREE takes no argument and writes nothing.
    unsafe { ioctl(control, Free(NoArg::<LOOP_CTL_GET_FREE>::new())) }
}

/// LOOP_CTL_GET_FREE, whose answer is the return value of the call.
struct Free(NoArg<LOOP_CTL_GET_FREE>);

// SAFETY: everything but the return value is that of NoArg, and the number is taken from the return
// value, not from memory.
unsafe impl rustix::ioctl::Ioctl for Free {
    type Output = i32;
    const IS_MUTATING: bool = false;

    fn opcode(&self) -> Opcode {
        self.0.opcode()
    }

    fn as_ptr(&mut self) -> *mut core::ffi::c_void {
        self.0.as_ptr()
    }

    unsafe fn output_from_ptr(out: rustix::ioctl::IoctlOutput, _: *mut core::ffi::c_void) -> rustix::io::Result<i32> {
        Ok(out)
    }
}
