//! The loopback interface, by rtnetlink(7).

use rustix::net::netlink::SocketAddrNetlink;
use rustix::net::{AddressFamily, SendFlags, SocketType, sendto, socket};

use crate::say;

/// Brings up `lo`, which is always interface 1.
pub fn loopback_up() {
    // Protocol 0 of netlink is NETLINK_ROUTE. struct nlmsghdr: length, RTM_NEWLINK, NLM_F_REQUEST, sequence, port.
    let mut message = Vec::new();
    message.extend(32u32.to_ne_bytes());
    message.extend(16u16.to_ne_bytes());
    message.extend(1u16.to_ne_bytes());
    message.extend([0; 8]);
    // struct ifinfomsg: family, padding, type, index, flags, change; IFF_UP is 1.
    message.extend([0; 4]);
    message.extend(1i32.to_ne_bytes());
    message.extend(1u32.to_ne_bytes());
    message.extend(1u32.to_ne_bytes());
    let sent = socket(AddressFamily::NETLINK, SocketType::RAW, None)
        .and_then(|socket| sendto(socket, &message, SendFlags::empty(), &SocketAddrNetlink::new(0, 0)));
    if let Err(error) = sent {
        say(&format!("lo: {error}"));
    }
}
