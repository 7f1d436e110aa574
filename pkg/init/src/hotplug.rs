//! Devices that appear while the machine runs, by the kernel's uevents (NETLINK_KOBJECT_UEVENT,
//! lib/kobject_uevent.c).

use std::io;
use std::os::fd::OwnedFd;

use rustix::io::Errno;
use rustix::net::netlink::{KOBJECT_UEVENT, SocketAddrNetlink};
use rustix::net::{AddressFamily, RecvFlags, SocketFlags, SocketType};

/// Multicast group of the kernel's messages; group 2 is udev's.
const KERNEL_GROUP: u32 = 1;
/// UEVENT_BUFFER_SIZE and the header before it, in bytes.
const MAX_MESSAGE: usize = 4096;

/// Opens a socket that receives uevents from now on.
pub fn listen() -> io::Result<OwnedFd> {
    let socket = rustix::net::socket_with(
        AddressFamily::NETLINK,
        SocketType::DGRAM,
        SocketFlags::CLOEXEC,
        Some(KOBJECT_UEVENT),
    )?;
    rustix::net::bind(&socket, &SocketAddrNetlink::new(0, KERNEL_GROUP))?;
    Ok(socket)
}

/// Calls a function with the alias of every device that appears, for as long as the machine runs.
pub fn follow(socket: &OwnedFd, mut appeared: impl FnMut(&str)) {
    let mut message = [0; MAX_MESSAGE];
    loop {
        match rustix::net::recv(socket, &mut message, RecvFlags::empty()) {
            Ok((read, _)) => {
                if let Some(alias) = alias(message.get(..read).unwrap_or_default()) {
                    appeared(alias);
                }
            }
            // Too many at once: some are lost, and later ones still come.
            Err(Errno::INTR | Errno::NOBUFS) => {}
            Err(_) => return,
        }
    }
}

/// Parses the MODALIAS out of the message of an added device: "ACTION@PATH", then "KEY=VALUE"s, each
/// with a NUL at its end.
fn alias(message: &[u8]) -> Option<&str> {
    let mut texts = message.split(|&byte| byte == 0);
    texts.next()?.starts_with(b"add@").then_some(())?;
    let alias = texts.find_map(|text| text.strip_prefix(b"MODALIAS="))?;
    std::str::from_utf8(alias).ok()
}

#[cfg(test)]
mod tests {
    use super::alias;

    #[test]
    fn only_added_devices_count() {
        let rest = "@/devices/x\0ACTION=y\0MODALIAS=scsi:t-0x05\0SEQNUM=1\0";
        assert_eq!(alias(format!("add{rest}").as_bytes()), Some("scsi:t-0x05"));
        assert_eq!(alias(format!("remove{rest}").as_bytes()), None);
        assert_eq!(alias(b"add@/devices/x\0ACTION=add\0"), None);
    }
}
