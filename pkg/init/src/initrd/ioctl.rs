//! Requests to devices (ioctl(2)). The only module with `unsafe`: no crate has a safe form of the
//! requests.
#![allow(unsafe_code)]

use core::ffi::c_void;
use std::fs::File;
use std::os::fd::AsRawFd;

use rustix::io::Errno;
use rustix::ioctl::{IntegerSetter, Ioctl, IoctlOutput, NoArg, Opcode, ioctl, opcode};

/// Request that attaches a file (include/uapi/linux/loop.h).
const LOOP_SET_FD: Opcode = 0x4c00;
/// Request to /dev/loop-control for a free device.
const LOOP_CTL_GET_FREE: Opcode = 0x4c82;
/// Group of the requests of device mapper (include/uapi/linux/dm-ioctl.h).
const DM_IOCTL: u8 = 0xfd;
/// Length of `struct dm_ioctl` in bytes.
const DM_HEADER_LEN: usize = 312;
/// Length of a request to device mapper with its data, in bytes.
pub const DM_LEN: usize = 4096;
/// Offset of `data_size`, the length of the request, in bytes.
const DM_DATA_SIZE: usize = 12;

/// Attaches a file to a loop device.
pub fn attach_to_loop(device: &File, file: &File) -> Result<(), Errno> {
    // SAFETY: LOOP_SET_FD takes the number of an open file as its argument, not a pointer; both
    // files are open until it returns, and the kernel keeps the one that it needs.
    unsafe {
        let request = IntegerSetter::<LOOP_SET_FD>::new_usize(file.as_raw_fd() as usize);
        ioctl(device, request)
    }
}

/// Returns the number of a loop device that is free.
pub fn free_loop(control: &File) -> Result<i32, Errno> {
    // SAFETY: LOOP_CTL_GET_FREE takes no argument and writes nothing.
    unsafe { ioctl(control, Free(NoArg::<LOOP_CTL_GET_FREE>::new())) }
}

/// LOOP_CTL_GET_FREE, whose answer is the return value of the call.
struct Free(NoArg<LOOP_CTL_GET_FREE>);

// SAFETY: everything but the return value is that of NoArg, and the number is taken from the return
// value, not from memory.
unsafe impl Ioctl for Free {
    type Output = i32;
    const IS_MUTATING: bool = false;

    fn opcode(&self) -> Opcode {
        self.0.opcode()
    }

    fn as_ptr(&mut self) -> *mut c_void {
        self.0.as_ptr()
    }

    unsafe fn output_from_ptr(out: IoctlOutput, _: *mut c_void) -> rustix::io::Result<i32> {
        Ok(out)
    }
}

/// `struct dm_ioctl` and the data behind it, aligned as the kernel wants it.
#[repr(C, align(8))]
pub struct DmRequest(pub [u8; DM_LEN]);

/// Sends a request with this number to device mapper. The answer replaces it.
pub fn device_mapper(control: &File, number: u8, request: &mut DmRequest) -> Result<(), Errno> {
    let (_, field) = request.0.split_at_mut(DM_DATA_SIZE);
    if let Some(field) = field.first_chunk_mut() {
        *field = (DM_LEN as u32).to_ne_bytes();
    }
    // SAFETY: these requests read and write as many bytes as `data_size` says, which is the length
    // of the request; it is borrowed until the call returns, and any bytes are valid in it.
    unsafe { ioctl(control, Mapper { number, request }) }
}

/// A request to device mapper.
struct Mapper<'a> {
    number: u8,
    request: &'a mut DmRequest,
}

// SAFETY: the pointer is that of the request, and the answer is in it.
unsafe impl Ioctl for Mapper<'_> {
    type Output = ();
    const IS_MUTATING: bool = true;

    fn opcode(&self) -> Opcode {
        opcode::read_write::<[u8; DM_HEADER_LEN]>(DM_IOCTL, self.number)
    }

    fn as_ptr(&mut self) -> *mut c_void {
        std::ptr::from_mut(self.request).cast()
    }

    unsafe fn output_from_ptr(_: IoctlOutput, _: *mut c_void) -> rustix::io::Result<()> {
        Ok(())
    }
}
