//! Devices of device mapper, by the requests to its control device (include/uapi/linux/dm-ioctl.h).
//!
//! ```text
//! struct dm_ioctl, 312 bytes                   struct dm_target_spec, 40 bytes
//! 0    version, 3 numbers                      0    first sector
//! 12   length of the request                   8    number of sectors
//! 16   offset of the data                      16   status
//! 20   number of targets                       20   offset of the next target
//! 28   flags                                   24   type, 16 bytes
//! 40   number of the device                    40   parameters, ending with a zero
//! 48   name, 128 bytes
//! ```

use std::fs::File;

use super::ioctl::{self, DM_LEN, DmRequest};
use crate::error::Error;

const CONTROL: &str = "/dev/mapper/control";

const DM_DEV_CREATE: u8 = 3;
/// Resumes the device unless a flag asks for the reverse, and activates its table.
const DM_DEV_SUSPEND: u8 = 6;
const DM_TABLE_LOAD: u8 = 9;
/// Version of the interface since Linux 2.6.
const VERSION: [u8; 12] = [4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
const READ_ONLY: u32 = 1;
/// Offset of the data of a request in bytes: behind `struct dm_ioctl`.
const DATA: usize = 312;
/// Offset of the parameters of a target in bytes: behind `struct dm_target_spec`.
const PARAMETERS: usize = DATA + 40;

/// Creates a read-only device with one target. Returns the path of the device.
///
/// # Errors
/// There is no device mapper, the parameters are too long, or the kernel refuses them.
pub fn create(name: &str, sectors: u64, kind: &str, parameters: &str) -> Result<String, Error> {
    let control = File::options().read(true).write(true).open(CONTROL);
    let control = control.map_err(Error::file("open", CONTROL))?;
    let send = |number, request: &mut DmRequest| ioctl::device_mapper(&control, number, request);

    let mut created = request(name, 0);
    send(DM_DEV_CREATE, &mut created).map_err(Error::file("create a device with", CONTROL))?;

    let mut load = request(name, READ_ONLY);
    put(&mut load, 20, &1u32.to_ne_bytes());
    put(&mut load, DATA + 8, &sectors.to_ne_bytes());
    put(&mut load, DATA + 24, kind.as_bytes());
    if PARAMETERS + parameters.len() >= DM_LEN {
        return Err(Error::LongTable(parameters.len()));
    }
    put(&mut load, PARAMETERS, parameters.as_bytes());
    send(DM_TABLE_LOAD, &mut load).map_err(Error::file("load a table with", CONTROL))?;
    send(DM_DEV_SUSPEND, &mut request(name, 0)).map_err(Error::file("activate a table with", CONTROL))?;
    Ok(format!("/dev/dm-{}", minor(&created)))
}

fn request(name: &str, flags: u32) -> DmRequest {
    let mut request = DmRequest([0; DM_LEN]);
    put(&mut request, 0, &VERSION);
    put(&mut request, 16, &(DATA as u32).to_ne_bytes());
    put(&mut request, 28, &flags.to_ne_bytes());
    put(&mut request, 48, name.as_bytes());
    request
}

fn put(request: &mut DmRequest, at: usize, bytes: &[u8]) {
    let place = request.0.iter_mut().skip(at);
    place.zip(bytes).for_each(|(place, byte)| *place = *byte);
}

/// Returns the minor number of the device in an answer (`huge_decode_dev`, include/linux/kdev_t.h).
fn minor(answer: &DmRequest) -> u64 {
    let (_, field) = answer.0.split_at(40);
    let device = field.first_chunk().map_or(0, |bytes| u64::from_ne_bytes(*bytes));
    device & 0xff | device >> 12 & 0xfff00
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn minor_numbers_have_twenty_bits() {
        let mut answer = request("root", 0);
        // Major number 0xfd, minor number 0x12345.
        put(&mut answer, 40, &0x1230_fd45_u64.to_ne_bytes());
        assert_eq!(minor(&answer), 0x1_2345);
    }
}
