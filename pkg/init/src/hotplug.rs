//! Devices that appear while the machine runs: what the kernel tells of them
//! (NETLINK_KOBJECT_UEVENT, lib/kobject_uevent.c).

use std::io;
use std::os::fd::OwnedFd;

use rustix::io::Errno;
use rustix::net::netlink::{KOBJECT_UEVENT, SocketAddrNetlink};
use rustix::net::{AddressFamily, RecvFlags, SocketFlags, SocketType};

/// The kernel's own messages; group 2 is udev's.
const KERNEL: u32 = 1;
/// UEVENT_BUFFER_SIZE and the header before it, in bytes.
const LONGEST: usize = 4096;

/// Begins to listen.
pub fn listen() -> io::Result<OwnedFd> {
    let socket = rustix::net::socket_with(
        AddressFamily::NETLINK,
        SocketType::DGRAM,
        SocketFlags::CLOEXEC,
        Some(KOBJECT_UEVENT),
    )?;
    rustix::net::bind(&socket, &SocketAddrNetlink::new(0, KERNEL))?;
    Ok(socket)
}

/// Tells the aliases of the devices that appear, for ever.
pub fn follow(socket: &OwnedFd, mut appeared: impl FnMut(&str)) {
    let mut message = [0; LONGEST];
    loop {
        match rustix::net::recv(socket, &mut message, RecvFlags::empty()) {
            Ok((read, _)) => {
                if let Some(alias) = alias(message.get(..read).unwrap_or_default()) {
                    appeared(alias);
                }
            }
            // Too many at once: some are lost, and the next come.
            Err(Errno::INTR | Errno::NOBUFS) => {}
            Err(_) => return,
        }
    }
}

/// The MODALIAS of a message of an added device: "ACTION@PATH", then "KEY=VALUE"s, each with a
/// NUL at its end.
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
    fn only_devices_that_come_count() {
        let rest = "@/devices/x\0ACTION=y\0MODALIAS=scsi:t-0x05\0SEQNUM=1\0";
        assert_eq!(alias(format!("add{rest}").as_bytes()), Some("scsi:t-0x05"));
        assert_eq!(alias(format!("remove{rest}").as_bytes()), None);
        assert_eq!(alias(b"add@/devices/x\0ACTION=add\0"), None);
    }
}
