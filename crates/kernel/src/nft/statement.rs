//! What a rule may ask of a packet and do with it.
//!
//! A rule's statements stand in order; the first that does not hold ends the rule.

use std::fmt;
use std::net::IpAddr;
use std::ops::BitOr;
use std::sync::Arc;

use margay_net::{Cidr, IfName, IpVersion};

use super::{Field, IfPrefix, SetRef, Value, Verdict};

/// One step of a rule.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Statement {
    /// What is loaded is, or is not, that value.
    Compare(Load, Op, Value),
    /// What is loaded lies, or does not lie, between the two, both included. Not for what has the host's order.
    Range(Load, Op, Value, Value),
    /// Any of these bits is set (`Ne`), or none (`Eq`): what is left under the mask compared with 0. For marks, and
    /// for the state and the status of connections.
    Bits(Load, Op, u32),
    /// The bits under the mask are, or are not, those; for marks.
    Masked {
        /// Which bits count.
        mask: u32,
        /// Compared how.
        op: Op,
        /// With what.
        value: u32,
    },
    /// An address lies, or does not lie, in that network.
    Net(Load, Op, Cidr),
    /// The name of an interface begins, or does not begin, so.
    IfPrefix(Load, Op, IfPrefix),
    /// The packet is, or is not, an ICMP message of that type and perhaps code; needs the protocol before.
    Icmp {
        /// ICMP or ICMPv6.
        version: IpVersion,
        /// Is, or is not.
        op: Op,
        /// The type.
        kind: u8,
        /// The code; none = any.
        code: Option<u8>,
    },
    /// What is loaded is, or is not, in that set.
    Lookup(Vec<Load>, Op, SetRef),
    /// The verdict that the map has for what is loaded; none = the next rule.
    VerdictMap(Vec<Load>, SetRef),
    /// The address is, or is not, of that kind for this host.
    AddressKind(Direction, Op, AddressKind),
    /// There is a way back to the source through the interface that the packet came in by; false = there is none.
    ReversePath(bool),
    /// Counts packets and bytes.
    Counter,
    /// Holds up to a rate.
    Limit(Limit),
    /// Writes a line about the packet.
    Log(LogTarget, Arc<str>),
    /// The packet belongs to no connection. Before connection tracking only.
    Notrack,
    /// Changes the mark: `mark & and ^ xor`.
    SetMark {
        /// The bits that stay.
        and: u32,
        /// The bits that turn.
        xor: u32,
    },
    /// The source becomes the address of the interface that the packet goes out by.
    Masquerade {
        /// Ports are chosen at random.
        random_fully: bool,
        /// From which ports.
        ports: Option<(u16, u16)>,
    },
    /// The source or the destination becomes another.
    Nat(Nat),
    /// The packet is gone and its sender is told.
    Reject(Reject),
    /// What becomes of the packet; always the last.
    Verdict(Verdict),
}

/// What can be asked of a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Load {
    /// The name of the interface that it came in by.
    IifName,
    /// The name of the interface that it goes out by.
    OifName,
    /// Its mark.
    Mark,
    /// The version of IP.
    NfProto,
    /// The protocol above IP, behind extension headers.
    L4Proto,
    /// The source, IPv4.
    Saddr4,
    /// The destination, IPv4.
    Daddr4,
    /// The source, IPv6.
    Saddr6,
    /// The destination, IPv6.
    Daddr6,
    /// The source port; a fragment behind the first has none.
    Sport,
    /// The destination port; a fragment behind the first has none.
    Dport,
    /// The type of the ICMP message.
    IcmpType,
    /// The code of the ICMP message.
    IcmpCode,
    /// The type of the ICMPv6 message.
    Icmp6Type,
    /// The code of the ICMPv6 message.
    Icmp6Code,
    /// The state of its connection, one bit.
    CtState,
    /// The status of its connection, bits.
    CtStatus,
}

/// Is, or is not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Op {
    /// Is.
    Eq,
    /// Is not.
    Ne,
}

/// States of a connection, as bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CtState(pub u32);

/// The status of a connection, as bits (`IPS_…`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CtStatus(pub u32);

/// One side of a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Direction {
    /// Where it comes from.
    Source,
    /// Where it goes.
    Destination,
}

/// What an address is to this host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AddressKind {
    /// Somebody else's.
    Unicast,
    /// One of its own.
    Local,
    /// That of a broadcast.
    Broadcast,
    /// That of a group.
    Multicast,
}

/// A rate of packets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Limit {
    /// So many …
    pub rate: u64,
    /// … in that time.
    pub per: Unit,
    /// So many at once; 0 = 5.
    pub burst: u32,
    /// Holds above the rate instead.
    pub over: bool,
}

/// A time for rates.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Unit {
    /// Second.
    Second,
    /// Minute.
    Minute,
    /// Hour.
    Hour,
    /// Day.
    Day,
}

/// Where a line about a packet goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LogTarget {
    /// The kernel's log.
    Kernel(LogLevel),
    /// Whoever listens to that group of `NFNETLINK_LOG`, with the first bytes of the packet (0 = all).
    Group {
        /// The group.
        group: u16,
        /// So many bytes.
        snaplen: u32,
    },
}

/// How grave a line of the kernel's log is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LogLevel {
    /// The host is unusable.
    Emergency,
    /// Somebody must act at once.
    Alert,
    /// Critical.
    Critical,
    /// An error.
    Error,
    /// A warning.
    Warning,
    /// Normal, but worth a look.
    Notice,
    /// Information.
    Info,
    /// For finding faults.
    Debug,
}

/// A change of an address. In chains of kind `nat` only.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Nat {
    /// Of which side.
    pub kind: NatKind,
    /// Of which packets; they must have been told apart before.
    pub version: IpVersion,
    /// What it becomes.
    pub to: NatTarget,
}

/// Which side is changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum NatKind {
    /// The source, at postrouting (and input).
    Source,
    /// The destination, at prerouting and output.
    Destination,
}

/// What an address becomes.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum NatTarget {
    /// That one; with a port, the protocol must have been told before.
    Address(IpAddr, Option<u16>),
    /// The address that the map has for what is loaded; none = the next rule.
    Map(Vec<Load>, SetRef),
}

/// How a sender is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reject {
    /// No route, by ICMP of either version.
    NoRoute,
    /// Port unreachable.
    Port,
    /// Host unreachable.
    Host,
    /// Forbidden.
    Prohibited,
    /// A TCP reset; needs the protocol before.
    TcpReset,
}

// === impl Statement ===

impl Statement {
    /// The packet is of that version.
    #[must_use]
    pub fn version(version: IpVersion) -> Self {
        Self::Compare(Load::NfProto, Op::Eq, Value::NfProto(version))
    }

    /// The packet is, or is not, of that protocol.
    #[must_use]
    pub fn protocol(op: Op, protocol: u8) -> Self {
        Self::Compare(Load::L4Proto, op, Value::Protocol(protocol))
    }

    /// The packet came in, or did not come in, by that interface.
    #[must_use]
    pub fn iifname(op: Op, name: IfName) -> Self {
        Self::Compare(Load::IifName, op, Value::IfName(name))
    }

    /// The packet goes out, or does not go out, by that interface.
    #[must_use]
    pub fn oifname(op: Op, name: IfName) -> Self {
        Self::Compare(Load::OifName, op, Value::IfName(name))
    }

    /// The connection is in one of these states.
    #[must_use]
    pub fn ct_state(states: CtState) -> Self {
        Self::Bits(Load::CtState, Op::Ne, states.0)
    }

    /// The connection has one of these bits of status.
    #[must_use]
    pub fn ct_status(status: CtStatus) -> Self {
        Self::Bits(Load::CtStatus, Op::Ne, status.0)
    }

    /// All these bits of the mark become 1.
    #[must_use]
    pub fn mark_set(bits: u32) -> Self {
        Self::SetMark { and: !bits, xor: bits }
    }

    /// All these bits of the mark become 0.
    #[must_use]
    pub fn mark_clear(bits: u32) -> Self {
        Self::SetMark { and: !bits, xor: 0 }
    }

    /// What is loaded is in the named set.
    #[must_use]
    pub fn within<const N: usize>(loads: [Load; N], set: SetRef) -> Self {
        Self::Lookup(loads.to_vec(), Op::Eq, set)
    }

    /// What is loaded is not in the named set.
    #[must_use]
    pub fn outside<const N: usize>(loads: [Load; N], set: SetRef) -> Self {
        Self::Lookup(loads.to_vec(), Op::Ne, set)
    }
}

// === impl Load ===

impl Load {
    /// The address of that side and version.
    #[must_use]
    pub const fn address(direction: Direction, version: IpVersion) -> Self {
        match (direction, version) {
            (Direction::Source, IpVersion::V4) => Load::Saddr4,
            (Direction::Destination, IpVersion::V4) => Load::Daddr4,
            (Direction::Source, IpVersion::V6) => Load::Saddr6,
            (Direction::Destination, IpVersion::V6) => Load::Daddr6,
        }
    }

    /// The port of that side.
    #[must_use]
    pub const fn port(direction: Direction) -> Self {
        match direction {
            Direction::Source => Load::Sport,
            Direction::Destination => Load::Dport,
        }
    }

    /// Its type; none for the status of a connection, which is only tested by bits.
    #[must_use]
    pub const fn field(self) -> Option<Field> {
        Some(match self {
            Load::IifName | Load::OifName => Field::IfName,
            Load::Mark => Field::Mark,
            Load::NfProto => Field::NfProto,
            Load::L4Proto => Field::InetProto,
            Load::Saddr4 | Load::Daddr4 => Field::Ipv4Addr,
            Load::Saddr6 | Load::Daddr6 => Field::Ipv6Addr,
            Load::Sport | Load::Dport => Field::InetService,
            Load::IcmpType => Field::IcmpType,
            Load::IcmpCode => Field::IcmpCode,
            Load::Icmp6Type => Field::Icmp6Type,
            Load::Icmp6Code => Field::Icmp6Code,
            Load::CtState => Field::CtState,
            Load::CtStatus => return None,
        })
    }

    /// The version of IP that a packet must be of.
    pub(crate) const fn version(self) -> Option<IpVersion> {
        match self {
            Load::Saddr4 | Load::Daddr4 => Some(IpVersion::V4),
            Load::Saddr6 | Load::Daddr6 => Some(IpVersion::V6),
            Load::IifName
            | Load::OifName
            | Load::Mark
            | Load::NfProto
            | Load::L4Proto
            | Load::Sport
            | Load::Dport
            | Load::IcmpType
            | Load::IcmpCode
            | Load::Icmp6Type
            | Load::Icmp6Code
            | Load::CtState
            | Load::CtStatus => None,
        }
    }

    /// As the `nft` tool writes it.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Load::IifName => "iifname",
            Load::OifName => "oifname",
            Load::Mark => "meta mark",
            Load::NfProto => "meta nfproto",
            Load::L4Proto => "meta l4proto",
            Load::Saddr4 => "ip saddr",
            Load::Daddr4 => "ip daddr",
            Load::Saddr6 => "ip6 saddr",
            Load::Daddr6 => "ip6 daddr",
            Load::Sport => "th sport",
            Load::Dport => "th dport",
            Load::IcmpType => "icmp type",
            Load::IcmpCode => "icmp code",
            Load::Icmp6Type => "icmpv6 type",
            Load::Icmp6Code => "icmpv6 code",
            Load::CtState => "ct state",
            Load::CtStatus => "ct status",
        }
    }
}

// === impl CtState ===

impl CtState {
    /// Tracked, but it fits nowhere.
    pub const INVALID: Self = Self(1);
    /// Packets went both ways.
    pub const ESTABLISHED: Self = Self(2);
    /// New, but called for by another one.
    pub const RELATED: Self = Self(4);
    /// New.
    pub const NEW: Self = Self(8);
    /// Never tracked.
    pub const UNTRACKED: Self = Self(64);

    /// Each with its name.
    const NAMES: [(Self, &'static str); 5] = [
        (Self::INVALID, "invalid"),
        (Self::ESTABLISHED, "established"),
        (Self::RELATED, "related"),
        (Self::NEW, "new"),
        (Self::UNTRACKED, "untracked"),
    ];
}

impl BitOr for CtState {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl fmt::Display for CtState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_bits(f, self.0, &Self::NAMES.map(|(state, name)| (state.0, name)))
    }
}

// === impl CtStatus ===

impl CtStatus {
    /// Its source was changed.
    pub const SNAT: Self = Self(16);
    /// Its destination was changed.
    pub const DNAT: Self = Self(32);
}

impl fmt::Display for CtStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const NAMES: [(u32, &str); 7] = [
            (1, "expected"),
            (2, "seen-reply"),
            (4, "assured"),
            (8, "confirmed"),
            (16, "snat"),
            (32, "dnat"),
            (512, "dying"),
        ];
        write_bits(f, self.0, &NAMES)
    }
}

// === impl AddressKind ===

impl AddressKind {
    /// `RTN_…`.
    pub(crate) const fn number(self) -> u32 {
        match self {
            AddressKind::Unicast => 1,
            AddressKind::Local => 2,
            AddressKind::Broadcast => 3,
            AddressKind::Multicast => 5,
        }
    }
}

// === impl Unit ===

impl Unit {
    /// Its length.
    pub(crate) const fn seconds(self) -> u64 {
        match self {
            Unit::Second => 1,
            Unit::Minute => 60,
            Unit::Hour => 3_600,
            Unit::Day => 86_400,
        }
    }
}

// === impl LogLevel ===

impl LogLevel {
    /// All of them.
    pub(crate) const ALL: [Self; 8] = [
        LogLevel::Emergency,
        LogLevel::Alert,
        LogLevel::Critical,
        LogLevel::Error,
        LogLevel::Warning,
        LogLevel::Notice,
        LogLevel::Info,
        LogLevel::Debug,
    ];

    /// The kernel's number.
    pub(crate) const fn number(self) -> u32 {
        match self {
            LogLevel::Emergency => 0,
            LogLevel::Alert => 1,
            LogLevel::Critical => 2,
            LogLevel::Error => 3,
            LogLevel::Warning => 4,
            LogLevel::Notice => 5,
            LogLevel::Info => 6,
            LogLevel::Debug => 7,
        }
    }
}

// === impl NatKind ===

impl NatKind {
    /// `NFT_NAT_…`.
    pub(crate) const fn number(self) -> u32 {
        match self {
            NatKind::Source => 0,
            NatKind::Destination => 1,
        }
    }
}

// === helpers ===

/// Writes the names of the bits that are set, and what is left as a number.
fn write_bits(f: &mut fmt::Formatter<'_>, bits: u32, names: &[(u32, &str)]) -> fmt::Result {
    let mut left = bits;
    let mut comma = "";
    for (bit, name) in names {
        if left & bit != 0 {
            write!(f, "{comma}{name}")?;
            left &= !bit;
            comma = ",";
        }
    }
    if left != 0 || bits == 0 {
        write!(f, "{comma}{left:#x}")?;
    }
    Ok(())
}
