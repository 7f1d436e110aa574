//! Network interfaces, by rtnetlink(7).
//!
//! ```text
//! struct nlmsghdr   length 4, type 2, flags 2, sequence 4, port 4
//! struct ifinfomsg  family 1, padding 1, type 2, index 4, flags 4, change 4
//! struct nlattr     length 2, type 2, value, padded to 4     any number, and one in another
//! ```

use std::io;
use std::os::fd::OwnedFd;

use rustix::io::Errno;
use rustix::net::netlink::SocketAddrNetlink;
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType};

use crate::log;

/// Message type (linux/rtnetlink.h).
const RTM_NEWLINK: u16 = 16;
/// Message type and flags (linux/netlink.h).
const NLMSG_ERROR: u16 = 2;
const NLM_F_REQUEST: u16 = 0x1;
const NLM_F_ACK: u16 = 0x4;
const NLM_F_EXCL: u16 = 0x200;
const NLM_F_CREATE: u16 = 0x400;
/// Attributes (linux/if_link.h).
const IFLA_IFNAME: u16 = 3;
const IFLA_LINKINFO: u16 = 18;
const IFLA_NET_NS_PID: u16 = 19;
const IFLA_INFO_KIND: u16 = 1;
const IFLA_INFO_DATA: u16 = 2;
/// Attribute (linux/veth.h).
const VETH_INFO_PEER: u16 = 1;
/// Flag (linux/if.h).
const IFF_UP: u32 = 1;
/// Maximum length of a name of an interface in bytes (IFNAMSIZ without the NUL).
const MAX_NAME_LEN: usize = 15;

/// Brings up `lo`, which is always interface 1.
pub fn loopback_up() {
    let message = Message::new(0, &interface(1, IFF_UP));
    if let Err(error) = message.send() {
        log(&format!("cannot bring up the interface lo: {error}"));
    }
}

/// Creates an interface of a kind, in the network namespace of a process or in that of PID 1.
pub fn add(name: &str, kind: &str, namespace: Option<u32>) -> io::Result<()> {
    create(name, namespace, |message| message.text(IFLA_INFO_KIND, kind))
}

/// Creates a pair of connected interfaces (veth(4)).
pub fn add_pair(name: &str, peer: &str) -> io::Result<()> {
    check(peer)?;
    create(name, None, |message| {
        message.text(IFLA_INFO_KIND, "veth");
        message.within(IFLA_INFO_DATA, |message| {
            message.within(VETH_INFO_PEER, |message| {
                message.bytes.extend(interface(0, 0));
                message.text(IFLA_IFNAME, peer);
            });
        });
    })
}

/// Moves an interface into the network namespace of a process.
pub fn move_to(name: &str, pid: u32) -> io::Result<()> {
    check(name)?;
    let mut message = Message::new(0, &interface(0, 0));
    message.text(IFLA_IFNAME, name);
    message.attribute(IFLA_NET_NS_PID, &pid.to_ne_bytes());
    message.send()
}

fn create(name: &str, namespace: Option<u32>, info: impl FnOnce(&mut Message)) -> io::Result<()> {
    check(name)?;
    let mut message = Message::new(NLM_F_CREATE | NLM_F_EXCL, &interface(0, 0));
    message.text(IFLA_IFNAME, name);
    if let Some(pid) = namespace {
        message.attribute(IFLA_NET_NS_PID, &pid.to_ne_bytes());
    }
    message.within(IFLA_LINKINFO, info);
    message.send()
}

fn check(name: &str) -> io::Result<()> {
    match name.len() {
        1..=MAX_NAME_LEN => Ok(()),
        _ => Err(io::Error::other(format!(
            "the name {name:?} has {} bytes, not 1 to {MAX_NAME_LEN}",
            name.len()
        ))),
    }
}

/// Encodes a struct ifinfomsg for any type of interface.
fn interface(index: i32, flags: u32) -> Vec<u8> {
    let mut bytes = vec![0; 4];
    bytes.extend(index.to_ne_bytes());
    bytes.extend(flags.to_ne_bytes());
    bytes.extend(flags.to_ne_bytes());
    bytes
}

/// Message under construction.
struct Message {
    bytes: Vec<u8>,
}

impl Message {
    fn new(flags: u16, payload: &[u8]) -> Message {
        let mut bytes = vec![0; 4];
        bytes.extend(RTM_NEWLINK.to_ne_bytes());
        bytes.extend((flags | NLM_F_REQUEST | NLM_F_ACK).to_ne_bytes());
        bytes.extend([0; 8]);
        bytes.extend(payload);
        Message { bytes }
    }

    fn text(&mut self, kind: u16, text: &str) {
        self.attribute(kind, &[text.as_bytes(), &[0]].concat());
    }

    fn attribute(&mut self, kind: u16, value: &[u8]) {
        self.within(kind, |message| message.bytes.extend(value));
    }

    /// Adds an attribute whose value the function adds.
    fn within(&mut self, kind: u16, add: impl FnOnce(&mut Message)) {
        let start = self.bytes.len();
        self.bytes.extend([0; 2]);
        self.bytes.extend(kind.to_ne_bytes());
        add(self);
        let length = self.bytes.len().saturating_sub(start);
        // The messages here have some 200 bytes.
        let length = u16::try_from(length).unwrap_or(u16::MAX);
        if let Some(field) = self.bytes.get_mut(start..start.saturating_add(2)) {
            field.copy_from_slice(&length.to_ne_bytes());
        }
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
    }

    /// Sends the message to the kernel, and waits for the answer.
    fn send(mut self) -> io::Result<()> {
        let length = u32::try_from(self.bytes.len()).unwrap_or(u32::MAX);
        if let Some(field) = self.bytes.get_mut(..4) {
            field.copy_from_slice(&length.to_ne_bytes());
        }
        let socket = open()?;
        let kernel = SocketAddrNetlink::new(0, 0);
        rustix::net::sendto(&socket, &self.bytes, SendFlags::empty(), &kernel)?;
        let mut answer = [0; 4096];
        let (read, _) = rustix::net::recv(&socket, &mut answer, RecvFlags::empty())?;
        outcome(answer.get(..read).unwrap_or_default())
    }
}

/// Opens a socket of protocol 0 of netlink, NETLINK_ROUTE.
fn open() -> io::Result<OwnedFd> {
    let family = AddressFamily::NETLINK;
    Ok(rustix::net::socket_with(
        family,
        SocketType::RAW,
        SocketFlags::CLOEXEC,
        None,
    )?)
}

/// Parses an answer, a struct nlmsgerr: after the header a negative errno, or 0.
fn outcome(answer: &[u8]) -> io::Result<()> {
    let kind = answer.get(4..6).and_then(|bytes| bytes.try_into().ok());
    let error = answer.get(16..20).and_then(|bytes| bytes.try_into().ok());
    match (kind.map(u16::from_ne_bytes), error.map(i32::from_ne_bytes)) {
        (Some(NLMSG_ERROR), Some(0)) => Ok(()),
        (Some(NLMSG_ERROR), Some(error)) => Err(Errno::from_raw_os_error(error.saturating_neg()).into()),
        _ => Err(io::Error::other("the kernel sent an invalid answer")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_are_padded_and_know_their_length() {
        let mut message = Message { bytes: Vec::new() };
        message.within(IFLA_LINKINFO, |message| message.text(IFLA_INFO_KIND, "veth"));
        let inner = [&9u16.to_ne_bytes()[..], &1u16.to_ne_bytes(), b"veth\0", &[0; 3]].concat();
        let outer = [&16u16.to_ne_bytes()[..], &18u16.to_ne_bytes(), &inner].concat();
        assert_eq!(message.bytes, outer);
    }

    #[test]
    fn answers_are_errors_or_none() {
        let answer = |error: i32| [&[0; 4][..], &NLMSG_ERROR.to_ne_bytes(), &[0; 10], &error.to_ne_bytes()].concat();
        assert!(outcome(&answer(0)).is_ok());
        assert_eq!(outcome(&answer(-17)).unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        assert!(outcome(b"").is_err());
    }

    #[test]
    fn long_names_are_refused() {
        assert!(check("a-name-too-long-").is_err());
        assert!(check("").is_err());
        assert!(check("wg0").is_ok());
    }
}
