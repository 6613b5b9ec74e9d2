//! The kernel's table of flows, through ctnetlink (`linux/netfilter/nfnetlink_conntrack.h`).

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::Duration;

use rustix::io::Errno;

use super::{Flow, Flows};
use crate::netlink::{
    ACK, Attributes, Buffer, DUMP, ERROR, Message, Messages, Protocol, REQUEST, Socket, SocketError,
};
use crate::rtnetlink::{RtError, failed, list_once};

/// How long the kernel may take for the next part of its table.
const TIMEOUT: Duration = Duration::from_secs(20);
/// Flows forgotten with one message.
const TOGETHER: usize = 64;
/// How often a listing is begun again because the table was moved to another place meanwhile.
const ATTEMPTS: usize = 20;

/// `NFNL_SUBSYS_CTNETLINK << 8 | IPCTNL_MSG_CT_GET`.
const GET: u16 = 0x101;
/// `NFNL_SUBSYS_CTNETLINK << 8 | IPCTNL_MSG_CT_DELETE`.
const DELETE: u16 = 0x102;
/// `CTA_TUPLE_ORIG`.
const CTA_TUPLE_ORIG: u16 = 1;
/// `CTA_TUPLE_REPLY`.
const CTA_TUPLE_REPLY: u16 = 2;
/// `CTA_ID`.
const CTA_ID: u16 = 12;
/// `CTA_ZONE`.
const CTA_ZONE: u16 = 18;
/// `CTA_TUPLE_IP`.
const CTA_TUPLE_IP: u16 = 1;
/// `CTA_IP_V4_SRC`.
const CTA_IP_V4_SRC: u16 = 1;
/// `CTA_IP_V6_SRC`.
const CTA_IP_V6_SRC: u16 = 3;
/// `NLA_F_NESTED`.
const NESTED: u16 = 1 << 15;
/// The length of `struct nfgenmsg`.
const HEADER: usize = 4;

/// The flows of one namespace: the one in which the socket was opened.
#[derive(Debug)]
pub struct CtSocket {
    socket: Socket,
    buffer: Buffer,
    sequence: u32,
}

/// What names a flow to the kernel: the attributes that are repeated when it is to be forgotten.
struct Found {
    family: u8,
    attributes: Vec<(u16, Vec<u8>)>,
}

// === impl CtSocket ===

impl CtSocket {
    /// Opens a connection to the namespace of the calling thread.
    pub fn open() -> Result<Self, RtError> {
        let socket = Socket::open(Protocol::Netfilter, TIMEOUT).map_err(failed("opening ctnetlink"))?;
        Ok(Self { socket, buffer: Buffer::default(), sequence: 0 })
    }

    /// The flows of a family that concern one of the addresses.
    fn find(&mut self, family: u8, addresses: &BTreeSet<IpAddr>) -> Result<Vec<Found>, RtError> {
        const DOING: &str = "listing tracked flows";
        for _ in 0..ATTEMPTS {
            self.sequence = self.sequence.wrapping_add(1);
            self.buffer.clear();
            let message = self.buffer.message(GET, REQUEST | DUMP, self.sequence);
            self.buffer.raw(&[family, 0, 0, 0]);
            self.buffer.end_message(message);
            let (bytes, sequence) = (self.buffer.bytes(), self.sequence);
            let decode = |message: &Message<'_>| found(message, addresses);
            if let Some(found) = list_once(&mut self.socket, bytes, sequence, DOING, decode)? {
                return Ok(found);
            }
        }
        Err(RtError::Restless { doing: DOING })
    }

    /// Forgets flows with one message; how many there still were.
    fn delete(&mut self, flows: &[Found]) -> Result<usize, RtError> {
        const DOING: &str = "forgetting tracked flows";
        let first = self.sequence.wrapping_add(1);
        self.buffer.clear();
        for (place, flow) in flows.iter().enumerate() {
            self.sequence = self.sequence.wrapping_add(1);
            let flags = if place + 1 == flows.len() { REQUEST | ACK } else { REQUEST };
            let message = self.buffer.message(DELETE, flags, self.sequence);
            self.buffer.raw(&[flow.family, 0, 0, 0]);
            for (kind, value) in &flow.attributes {
                self.buffer.attribute(*kind, value);
            }
            self.buffer.end_message(message);
        }
        self.socket.send(self.buffer.bytes()).map_err(failed(DOING))?;
        let mut forgotten = flows.len();
        loop {
            let datagram = self.socket.receive().map_err(failed(DOING))?;
            for message in Messages(datagram).filter(|message| message.kind == ERROR) {
                let place = usize::try_from(message.sequence.wrapping_sub(first)).unwrap_or(usize::MAX);
                if place >= flows.len() {
                    continue;
                }
                match message.ack().ok_or(SocketError::Nonsense).map_err(failed(DOING))?.errno {
                    0 => {}
                    // It ended by itself.
                    libc::ENOENT => forgotten -= 1,
                    errno => {
                        return Err(RtError::Refused {
                            doing: DOING,
                            source: Errno::from_raw_os_error(errno),
                        });
                    }
                }
                if place + 1 == flows.len() {
                    return Ok(forgotten);
                }
            }
        }
    }
}

impl Flows for CtSocket {
    fn forget(&mut self, addresses: &BTreeSet<IpAddr>) -> Result<usize, RtError> {
        let mut forgotten = 0;
        for (family, wanted) in
            [(2, addresses.iter().any(IpAddr::is_ipv4)), (10, addresses.iter().any(IpAddr::is_ipv6))]
        {
            if !wanted {
                continue;
            }
            for flows in self.find(family, addresses)?.chunks(TOGETHER) {
                forgotten += self.delete(flows)?;
            }
        }
        Ok(forgotten)
    }
}

// === helpers ===

/// How many flows of a datagram concern one of the addresses.
pub(crate) fn concerned(datagram: &[u8], addresses: &BTreeSet<IpAddr>) -> usize {
    Messages(datagram).filter_map(|message| found(&message, addresses)).count()
}

/// The names of a flow, if it concerns one of the addresses.
fn found(message: &Message<'_>, addresses: &BTreeSet<IpAddr>) -> Option<Found> {
    let (mut original_source, mut reply_source, mut attributes) = (None, None, Vec::new());
    for (kind, value) in message.attributes(HEADER) {
        match kind {
            CTA_TUPLE_ORIG => {
                original_source = source(value);
                attributes.push((kind | NESTED, value.to_vec()));
            }
            CTA_TUPLE_REPLY => reply_source = source(value),
            // The number tells the flow from a later one between the same two.
            CTA_ID | CTA_ZONE => attributes.push((kind, value.to_vec())),
            _ => {}
        }
    }
    let flow = Flow { original_source: original_source?, reply_source: reply_source? };
    flow.concerns(addresses).then(|| Found { family: message.body[0], attributes })
}

/// The source of one direction.
fn source(tuple: &[u8]) -> Option<IpAddr> {
    let (_, ip) = Attributes(tuple).find(|(kind, _)| *kind == CTA_TUPLE_IP)?;
    Attributes(ip).find_map(|(kind, value)| match kind {
        CTA_IP_V4_SRC => value.first_chunk::<4>().map(|octets| IpAddr::from(*octets)),
        CTA_IP_V6_SRC => value.first_chunk::<16>().map(|octets| IpAddr::from(*octets)),
        _ => None,
    })
}
