//! Which rules drop which packets, as the kernel tells it while somebody listens.
//!
//! A table of its own marks packets for tracing, up to a rate; the kernel then reports each verdict about them. The
//! table belongs to the listener's socket and goes with it, however the listener ends. Nothing else is touched.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use margay_net::IfIndex;
use rustix::io::Errno;

use super::wire::{self, chain, data, expr, msg, rule, table};
use super::{Family, Hook, Limit, Name, RuleHandle, TableId, Unit};
use crate::netlink::{
    ACK, APPEND, Buffer, CREATE, ERROR, EXCL, Message, Messages, Protocol, REQUEST, Socket, SocketError,
    be32, be64, text,
};

/// `NFNLGRP_NFTRACE`.
const GROUP: u32 = 9;
/// `NFT_MSG_TRACE`.
const TRACE: u8 = 17;
/// `NFT_META_NFTRACE`.
const META_TRACE: u32 = 12;
/// `NFT_TRACETYPE_RULE`.
const RULE: u32 = 3;
/// How much may wait unread.
const RECEIVE: usize = 4 * 1024 * 1024;
/// Before connection tracking and everybody's filters.
const PRIORITY: i32 = -500;
/// How many packets are remembered between their first report and their verdict.
const PACKETS: usize = 4096;
/// The chains of the table, by the hook that they stand at.
const CHAINS: [(&str, Hook); 2] = [("arriving", Hook::Prerouting), ("sent", Hook::Output)];

/// `NFTA_TRACE_…`.
mod attribute {
    pub(super) const TABLE: u16 = 1;
    pub(super) const CHAIN: u16 = 2;
    pub(super) const HANDLE: u16 = 3;
    pub(super) const TYPE: u16 = 4;
    pub(super) const VERDICT: u16 = 5;
    pub(super) const ID: u16 = 6;
    pub(super) const NETWORK: u16 = 8;
    pub(super) const TRANSPORT: u16 = 9;
    pub(super) const IIF: u16 = 10;
    pub(super) const OIF: u16 = 12;
}

/// What is known of a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Packet {
    /// The interface that it came in by.
    pub iif: Option<IfIndex>,
    /// The interface that it goes out by.
    pub oif: Option<IfIndex>,
    /// Source and destination.
    pub addresses: Option<(IpAddr, IpAddr)>,
    /// The protocol above IP; extension headers are not looked through.
    pub protocol: u8,
    /// Source and destination port, of protocols that have some.
    pub ports: Option<(u16, u16)>,
    /// Type and code, of ICMP.
    pub icmp: Option<(u8, u8)>,
}

/// A packet that a rule dropped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dropped {
    /// The rule's table.
    pub table: TableId,
    /// The rule's chain.
    pub chain: Name,
    /// The rule.
    pub rule: RuleHandle,
    /// The packet.
    pub packet: Packet,
}

/// The listener.
#[derive(Debug)]
pub struct DropTracer {
    socket: Socket,
    packets: BTreeMap<u32, Packet>,
}

/// There can be no listener.
#[derive(Debug, thiserror::Error)]
pub enum TraceError {
    /// The kernel cannot be spoken to.
    #[error("speaking to nftables")]
    Socket(#[from] SocketError),
    /// The kernel does not take the table that marks packets.
    #[error("marking packets for tracing: {0}")]
    Refused(Errno),
}

// === impl DropTracer ===

impl DropTracer {
    /// Begins to mark packets, `rate` a second at most, and to listen.
    ///
    /// `table` is the name of the table, which must not be there.
    ///
    /// # Errors
    /// When the kernel refuses: another listener has that table, permissions, a kernel before 5.12.
    pub fn open(name: &Name, rate: u32) -> Result<Self, TraceError> {
        let mut socket = Socket::open(Protocol::Netfilter, Duration::from_secs(10))?;
        socket.reserve_receive(RECEIVE);
        let (batch, last) = batch(name, rate);
        socket.send(batch.bytes())?;
        // The kernel worked inside of the send: all answers wait, the last message's at the end.
        'answers: loop {
            for message in Messages(socket.receive()?) {
                let Some(ack) = (message.kind == ERROR).then(|| message.ack()).flatten() else { continue };
                if ack.errno != 0 {
                    return Err(TraceError::Refused(Errno::from_raw_os_error(ack.errno)));
                }
                if ack.sequence == last {
                    break 'answers;
                }
            }
        }
        socket.join(GROUP)?;
        Ok(Self { socket, packets: BTreeMap::new() })
    }

    /// What has been dropped since the last call; never waits. Reports that did not fit are lost.
    ///
    /// # Errors
    /// When the socket is broken.
    pub fn read(&mut self) -> Result<Vec<Dropped>, SocketError> {
        let mut dropped = Vec::new();
        loop {
            match self.socket.try_receive() {
                Ok(Some(bytes)) => {
                    for message in Messages(bytes) {
                        dropped.extend(take(&mut self.packets, &message));
                    }
                }
                Ok(None) => return Ok(dropped),
                Err(SocketError::Overrun) => {}
                Err(error) => return Err(error),
            }
        }
    }
}

impl AsFd for DropTracer {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

// === helpers ===

/// One report: remembers what it says of its packet, and returns it when a rule dropped it.
fn take(packets: &mut BTreeMap<u32, Packet>, message: &Message<'_>) -> Option<Dropped> {
    if message.kind.to_be_bytes() != [wire::SUBSYSTEM, TRACE] {
        return None;
    }
    let family = Family::from_number(*message.body.first()?)?;
    let (mut table, mut chain, mut handle, mut kind, mut code, mut id) = (None, None, None, None, None, 0);
    let mut packet = Packet::default();
    let mut network = None;
    for (attribute, value) in message.attributes(wire::GENMSG) {
        match attribute {
            attribute::TABLE => table = text(value).and_then(|name| name.parse::<Name>().ok()),
            attribute::CHAIN => chain = text(value).and_then(|name| name.parse::<Name>().ok()),
            attribute::HANDLE => handle = be64(value),
            attribute::TYPE => kind = be32(value),
            attribute::VERDICT => {
                let mut inner = crate::netlink::Attributes(value);
                code = inner.find(|(kind, _)| *kind == data::CODE).and_then(|(_, value)| be32(value));
            }
            attribute::ID => id = be32(value).unwrap_or(0),
            attribute::NETWORK => network = Some(value),
            attribute::TRANSPORT => read_transport(&mut packet, value),
            attribute::IIF => packet.iif = be32(value).map(IfIndex),
            attribute::OIF => packet.oif = be32(value).map(IfIndex),
            _ => {}
        }
    }
    if let Some(header) = network {
        read_network(&mut packet, header);
        if packets.len() >= PACKETS {
            packets.clear();
        }
        packets.insert(id, packet);
    }
    if kind != Some(RULE) || code.map(u32::cast_signed) != Some(wire::verdict::DROP) {
        return None;
    }
    Some(Dropped {
        table: TableId { family, name: table? },
        chain: chain?,
        rule: RuleHandle(handle?),
        packet: packets.remove(&id).unwrap_or(packet),
    })
}

/// Addresses and protocol; what was read of the transport counts only where the protocol has such.
fn read_network(packet: &mut Packet, header: &[u8]) {
    match header {
        [first, ..] if first >> 4 == 4 && header.len() >= 20 => {
            let address = |at: usize| {
                let bytes: [u8; 4] = header[at..at + 4].try_into().expect("four bytes");
                IpAddr::V4(Ipv4Addr::from(bytes))
            };
            packet.protocol = header[9];
            packet.addresses = Some((address(12), address(16)));
        }
        [first, ..] if first >> 4 == 6 && header.len() >= 40 => {
            let address = |at: usize| {
                let bytes: [u8; 16] = header[at..at + 16].try_into().expect("sixteen bytes");
                IpAddr::V6(Ipv6Addr::from(bytes))
            };
            packet.protocol = header[6];
            packet.addresses = Some((address(8), address(24)));
        }
        _ => {}
    }
    if !matches!(packet.protocol, 6 | 17 | 33 | 132 | 136) {
        packet.ports = None;
    }
    if !matches!(packet.protocol, 1 | 58) {
        packet.icmp = None;
    }
}

fn read_transport(packet: &mut Packet, header: &[u8]) {
    if let [a, b, c, d, ..] = header {
        packet.ports = Some((u16::from_be_bytes([*a, *b]), u16::from_be_bytes([*c, *d])));
        packet.icmp = Some((*a, *b));
    }
}

/// The batch that makes the table, and the number of its last message, which asks for an answer.
fn batch(name: &Name, rate: u32) -> (Buffer, u32) {
    let mut buffer = Buffer::default();
    frame(&mut buffer, wire::BATCH_BEGIN, 0);
    let mut sequence = 1;
    let mut open = |buffer: &mut Buffer, kind: u8, flags: u16| {
        let kind = u16::from_be_bytes([wire::SUBSYSTEM, kind]);
        let open = buffer.message(kind, REQUEST | flags, sequence);
        sequence += 1;
        buffer.raw(&[Family::Inet.number(), 0, 0, 0]);
        open
    };
    let message = open(&mut buffer, msg::NEW_TABLE, CREATE | EXCL);
    buffer.text(table::NAME, name.as_str());
    buffer.be32(table::FLAGS, table::F_OWNER);
    buffer.end_message(message);
    for (number, (chain_name, hook)) in CHAINS.into_iter().enumerate() {
        let message = open(&mut buffer, msg::NEW_CHAIN, CREATE);
        buffer.text(chain::TABLE, name.as_str());
        buffer.text(chain::NAME, chain_name);
        let nested = buffer.nest(chain::HOOK);
        buffer.be32(chain::HOOK_NUMBER, hook.number());
        buffer.be32(chain::HOOK_PRIORITY, PRIORITY.cast_unsigned());
        buffer.end(nested);
        buffer.be32(chain::POLICY, wire::verdict::ACCEPT.cast_unsigned());
        buffer.text(chain::KIND, "filter");
        buffer.end_message(message);
        let last = if number + 1 == CHAINS.len() { ACK } else { 0 };
        let message = open(&mut buffer, msg::NEW_RULE, CREATE | APPEND | last);
        buffer.text(rule::TABLE, name.as_str());
        buffer.text(rule::CHAIN, chain_name);
        mark(&mut buffer, rate);
        buffer.end_message(message);
    }
    frame(&mut buffer, wire::BATCH_END, sequence);
    (buffer, sequence - 1)
}

fn frame(buffer: &mut Buffer, kind: u16, sequence: u32) {
    let open = buffer.message(kind, REQUEST, sequence);
    buffer.raw(&[0, 0, 0, wire::SUBSYSTEM]);
    buffer.end_message(open);
}

/// `limit rate …/second meta nftrace set 1`.
fn mark(buffer: &mut Buffer, rate: u32) {
    /// `NFT_REG_1`.
    const REGISTER: u32 = 1;
    let limit = Limit { rate: u64::from(rate), per: Unit::Second, burst: rate, over: false };
    let list = buffer.nest(rule::EXPRESSIONS);
    expression(buffer, "limit", |buffer| {
        buffer.be64(expr::LIMIT_RATE, limit.rate);
        buffer.be64(expr::LIMIT_UNIT, 1);
        buffer.be32(expr::LIMIT_BURST, limit.burst.max(1));
        buffer.be32(expr::LIMIT_KIND, 0);
        buffer.be32(expr::LIMIT_FLAGS, 0);
    });
    expression(buffer, "immediate", |buffer| {
        buffer.be32(expr::IMMEDIATE_DREG, REGISTER);
        let value = buffer.nest(expr::IMMEDIATE_DATA);
        buffer.attribute(data::VALUE, &[1]);
        buffer.end(value);
    });
    expression(buffer, "meta", |buffer| {
        buffer.be32(expr::META_KEY, META_TRACE);
        buffer.be32(expr::META_SREG, REGISTER);
    });
    buffer.end(list);
}

fn expression(buffer: &mut Buffer, name: &str, attributes: impl FnOnce(&mut Buffer)) {
    let open = buffer.nest(wire::LIST_ELEMENT);
    buffer.text(expr::NAME, name);
    let inner = buffer.nest(expr::DATA);
    attributes(buffer);
    buffer.end(inner);
    buffer.end(open);
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::{Packet, TRACE, attribute, take, wire};
    use crate::netlink::{Buffer, Messages};

    /// A report with the given attributes.
    fn report(attributes: impl FnOnce(&mut Buffer)) -> Buffer {
        let mut buffer = Buffer::default();
        let open = buffer.message(u16::from_be_bytes([wire::SUBSYSTEM, TRACE]), 0, 0);
        buffer.raw(&[1, 0, 0, 0]);
        attributes(&mut buffer);
        buffer.end_message(open);
        buffer
    }

    fn drop_rule(buffer: &mut Buffer, id: u32) {
        buffer.text(attribute::TABLE, "calico");
        buffer.text(attribute::CHAIN, "pi-closed");
        buffer.be64(attribute::HANDLE, 7);
        buffer.be32(attribute::TYPE, super::RULE);
        buffer.be32(attribute::ID, id);
        let verdict = buffer.nest(attribute::VERDICT);
        buffer.be32(wire::data::CODE, 0);
        buffer.end(verdict);
    }

    #[test]
    fn a_drop_names_its_rule_and_the_packet_of_an_earlier_report() {
        let mut header = vec![0x45, 0, 0, 40, 0, 0, 0, 0, 64, 6, 0, 0];
        header.extend([10, 0, 0, 1, 10, 0, 0, 2]);
        let first = report(|buffer| {
            buffer.be32(attribute::ID, 9);
            buffer.be32(attribute::IIF, 3);
            buffer.attribute(attribute::TRANSPORT, &[0x30, 0x39, 0, 80, 0, 0, 0, 0]);
            buffer.attribute(attribute::NETWORK, &header);
        });
        let second = report(|buffer| drop_rule(buffer, 9));
        let mut packets = BTreeMap::new();
        let mut seen = Vec::new();
        for buffer in [&first, &second] {
            for message in Messages(buffer.bytes()) {
                seen.extend(take(&mut packets, &message));
            }
        }
        let [dropped] = seen.as_slice() else { panic!("one drop: {seen:?}") };
        assert_eq!((dropped.chain.as_str(), dropped.rule.0), ("pi-closed", 7));
        let Packet { iif, addresses, protocol, ports, icmp, .. } = dropped.packet;
        assert_eq!(iif.map(|index| index.0), Some(3));
        assert_eq!(addresses, Some(([10, 0, 0, 1].into(), [10, 0, 0, 2].into())));
        assert_eq!((protocol, ports, icmp), (6, Some((12345, 80)), None));
    }

    proptest! {
        #[test]
        fn no_bytes_make_the_reader_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let mut packets = BTreeMap::new();
            for message in Messages(&bytes) {
                take(&mut packets, &message);
            }
            let wrapped = report(|buffer| buffer.raw(&bytes));
            for message in Messages(wrapped.bytes()) {
                take(&mut packets, &message);
            }
        }
    }
}
