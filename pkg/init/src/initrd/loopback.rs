//! A file as a block device (loop(4)). The only module with `unsafe`: the two requests have no
//! safe form anywhere.
#![allow(unsafe_code)]

use std::fs::File;
use std::os::fd::AsRawFd;

use rustix::io::Errno;
use rustix::ioctl::{IntegerSetter, NoArg, Opcode, ioctl};

/// Attaches a file (include/uapi/linux/loop.h).
const LOOP_SET_FD: Opcode = 0x4c00;
/// Asks /dev/loop-control for a device that is free.
const LOOP_CTL_GET_FREE: Opcode = 0x4c82;

/// Attaches a file, read-only, to a device, and returns its path.
pub fn attach(path: &str) -> Result<String, String> {
    let file = File::open(path).map_err(|error| error.to_string())?;
    let control = File::options().read(true).write(true).open("/dev/loop-control");
    let control = control.map_err(|error| format!("/dev/loop-control: {error}"))?;
    let free = free(&control).map_err(|error| format!("no loop device is free: {error}"))?;
    let device = format!("/dev/loop{free}");
    // A device that is opened for reading only is read-only.
    let opened = File::open(&device).map_err(|error| format!("{device}: {error}"))?;
    // SAFETY: LOOP_SET_FD takes the number of an open file as its argument, not a pointer; both
    // files are open until it returns, and the kernel keeps the one that it needs.
    let set = unsafe {
        let request = IntegerSetter::<LOOP_SET_FD>::new_usize(file.as_raw_fd() as usize);
        ioctl(&opened, request)
    };
    set.map_err(|error| format!("{device}: {error}"))?;
    Ok(device)
}

/// The number of a device that is free: the request answers by its return value.
fn free(control: &File) -> Result<i32, Errno> {
    // SAFETY: LOOP_CTL_GET_FREE takes no argument and writes nothing.
    unsafe { ioctl(control, Free(NoArg::<LOOP_CTL_GET_FREE>::new())) }
}

/// LOOP_CTL_GET_FREE, whose answer is what the call returns.
struct Free(NoArg<LOOP_CTL_GET_FREE>);

// SAFETY: everything but the return value is as NoArg has it, and a number is read out of it,
// not out of memory.
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
