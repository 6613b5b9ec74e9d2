//! Bytes of the kernel, read in every way that this crate reads them: what a fuzzer is given.

use std::net::IpAddr;

use crate::conntrack;
use crate::netlink::Messages;
use crate::rtnetlink::{RtMonitor, neighbours};

/// Reads a datagram in every way; how many things were understood in it. Never panics, whatever the bytes.
#[must_use]
pub fn understand(datagram: &[u8]) -> usize {
    let acks = Messages(datagram).filter_map(|message| message.ack()).count();
    let concerned = [IpAddr::from([127, 0, 0, 1])].into();
    let flows = conntrack::concerned(datagram, &concerned);
    acks + RtMonitor::read(datagram).len() + neighbours(datagram) + flows
}
