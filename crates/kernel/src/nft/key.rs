//! The keys and the data of sets and maps, in the bytes that the kernel compares.
//!
//! A key has one to four fields of 40 bytes together at most. Alone, a field has its own length; beside others each is
//! padded to four bytes.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use margay_net::{Cidr, IfName, IpVersion};

use super::{CtState, Verdict};

/// The most fields of a key.
const MOST: usize = 4;
/// The longest key in bytes; the kernel would take 64, and every key here costs this much memory.
const LONGEST: usize = 40;

/// The type of one field.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Field {
    /// The name of an interface.
    IfName,
    /// An IPv4 address.
    Ipv4Addr,
    /// An IPv6 address.
    Ipv6Addr,
    /// The number of a protocol above IP.
    InetProto,
    /// A port.
    InetService,
    /// A packet mark.
    Mark,
    /// A type of ICMP.
    IcmpType,
    /// A code of ICMP.
    IcmpCode,
    /// A type of ICMPv6.
    Icmp6Type,
    /// A code of ICMPv6.
    Icmp6Code,
    /// The state of a connection.
    CtState,
    /// The version of IP.
    NfProto,
}

/// The types of the fields of a key, one to four.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Fields {
    /// Those beyond `count` repeat the first, so that equal lists compare equal.
    list: [Field; MOST],
    count: u8,
}

/// The value of one field.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Value {
    /// The name of an interface.
    IfName(IfName),
    /// An IPv4 address.
    V4(Ipv4Addr),
    /// An IPv6 address.
    V6(Ipv6Addr),
    /// The number of a protocol above IP.
    Protocol(u8),
    /// A port.
    Port(u16),
    /// A packet mark.
    Mark(u32),
    /// A type of ICMP.
    IcmpType(u8),
    /// A code of ICMP.
    IcmpCode(u8),
    /// A type of ICMPv6.
    Icmp6Type(u8),
    /// A code of ICMPv6.
    Icmp6Code(u8),
    /// The state of a connection.
    CtState(CtState),
    /// The version of IP.
    NfProto(IpVersion),
}

/// The values of all fields, as the kernel has them in its registers.
///
/// Ordered as the kernel orders ranges, when the fields are the same.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    bytes: [u8; LONGEST],
    fields: Fields,
}

/// What a map gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DataType {
    /// What to do with the packet.
    Verdict,
    /// Values to go on with.
    Values(Fields),
}

/// What a map gives for a key.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Data {
    /// What to do with the packet.
    Verdict(Verdict),
    /// Values to go on with.
    Values(Key),
}

/// An element of a set or map.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Element {
    /// The key, in a set of ranges the lowest.
    pub key: Key,
    /// In a set of ranges the highest, itself included.
    pub last: Option<Key>,
    /// In a map what is found.
    pub data: Option<Data>,
}

/// The beginning of names of interfaces: 1 to 15 bytes that a name can have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct IfPrefix(IfName);

/// The text begins no name of an interface.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("invalid beginning of interface names: {0:?}")]
pub struct ParseIfPrefixError(pub String);

// === impl Field ===

impl Field {
    /// All of them.
    pub(crate) const ALL: [Field; 12] = [
        Field::IfName,
        Field::Ipv4Addr,
        Field::Ipv6Addr,
        Field::InetProto,
        Field::InetService,
        Field::Mark,
        Field::IcmpType,
        Field::IcmpCode,
        Field::Icmp6Type,
        Field::Icmp6Code,
        Field::CtState,
        Field::NfProto,
    ];

    /// Its length in bytes.
    pub(crate) const fn length(self) -> usize {
        match self {
            Field::IfName | Field::Ipv6Addr => 16,
            Field::Ipv4Addr | Field::Mark | Field::CtState => 4,
            Field::InetService => 2,
            Field::InetProto
            | Field::IcmpType
            | Field::IcmpCode
            | Field::Icmp6Type
            | Field::Icmp6Code
            | Field::NfProto => 1,
        }
    }

    /// The number that the `nft` tool tells it by; the kernel only stores it.
    pub(crate) const fn number(self) -> u32 {
        match self {
            Field::NfProto => 2,
            Field::Ipv4Addr => 7,
            Field::Ipv6Addr => 8,
            Field::InetProto => 12,
            Field::InetService => 13,
            Field::IcmpType => 14,
            Field::Mark => 19,
            Field::CtState => 26,
            Field::Icmp6Type => 29,
            Field::IcmpCode => 32,
            Field::Icmp6Code => 33,
            Field::IfName => 41,
        }
    }

    /// Whether its bytes stand in the host's order, which the `nft` tool wants to be told.
    pub(crate) const fn is_host_order(self) -> bool {
        matches!(self, Field::IfName | Field::Mark | Field::CtState | Field::NfProto)
    }

    /// The `nft` tool's name.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Field::IfName => "ifname",
            Field::Ipv4Addr => "ipv4_addr",
            Field::Ipv6Addr => "ipv6_addr",
            Field::InetProto => "inet_proto",
            Field::InetService => "inet_service",
            Field::Mark => "mark",
            Field::IcmpType => "icmp_type",
            Field::IcmpCode => "icmp_code",
            Field::Icmp6Type => "icmpv6_type",
            Field::Icmp6Code => "icmpv6_code",
            Field::CtState => "ct_state",
            Field::NfProto => "nf_proto",
        }
    }
}

// === impl Fields ===

impl Fields {
    /// The fields in order; more than four do not compile.
    #[must_use]
    pub const fn new<const N: usize>(fields: [Field; N]) -> Self {
        const { assert!(N >= 1 && N <= MOST, "a key has one to four fields") };
        let mut list = [fields[0]; MOST];
        let mut at = 1;
        while at < N {
            list[at] = fields[at];
            at += 1;
        }
        Self { list, count: N as u8 }
    }

    /// The fields in order, unless there are none or too many.
    pub(crate) fn from_slice(fields: &[Field]) -> Option<Self> {
        if fields.len() > MOST {
            return None;
        }
        let mut list = [*fields.first()?; MOST];
        list[..fields.len()].copy_from_slice(fields);
        let fields = Self { list, count: u8::try_from(fields.len()).ok()? };
        (fields.length() <= LONGEST).then_some(fields)
    }

    /// The fields in order.
    #[must_use]
    pub fn as_slice(&self) -> &[Field] {
        &self.list[..usize::from(self.count)]
    }

    /// The length of a key.
    #[must_use]
    pub fn length(&self) -> usize {
        match self.as_slice() {
            [one] => one.length(),
            many => many.iter().map(|field| field.length().next_multiple_of(4)).sum(),
        }
    }

    /// The number of all types together, six bits each, as the `nft` tool tells them.
    pub(crate) fn number(&self) -> u32 {
        self.as_slice().iter().fold(0, |number, field| number << 6 | field.number())
    }

    /// The fields of that number.
    pub(crate) fn from_number(number: u32) -> Option<Self> {
        let mut fields = Vec::new();
        let mut rest = number;
        while rest != 0 {
            fields.insert(0, *Field::ALL.iter().find(|field| field.number() == rest & 63)?);
            rest >>= 6;
        }
        Self::from_slice(&fields)
    }

    /// Whether there are several.
    pub(crate) fn is_concatenation(&self) -> bool {
        self.count > 1
    }
}

impl fmt::Display for Fields {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, field) in self.as_slice().iter().enumerate() {
            write!(f, "{}{}", if index > 0 { " . " } else { "" }, field.as_str())?;
        }
        Ok(())
    }
}

impl fmt::Debug for Fields {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl From<Field> for Fields {
    fn from(field: Field) -> Self {
        Self::new([field])
    }
}

// === impl Value ===

impl Value {
    /// Its type.
    #[must_use]
    pub const fn field(&self) -> Field {
        match self {
            Value::IfName(_) => Field::IfName,
            Value::V4(_) => Field::Ipv4Addr,
            Value::V6(_) => Field::Ipv6Addr,
            Value::Protocol(_) => Field::InetProto,
            Value::Port(_) => Field::InetService,
            Value::Mark(_) => Field::Mark,
            Value::IcmpType(_) => Field::IcmpType,
            Value::IcmpCode(_) => Field::IcmpCode,
            Value::Icmp6Type(_) => Field::Icmp6Type,
            Value::Icmp6Code(_) => Field::Icmp6Code,
            Value::CtState(_) => Field::CtState,
            Value::NfProto(_) => Field::NfProto,
        }
    }

    /// An address of either version.
    #[must_use]
    pub const fn address(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(address) => Value::V4(address),
            IpAddr::V6(address) => Value::V6(address),
        }
    }

    /// Writes its bytes, as many as its field is long.
    fn write(&self, to: &mut [u8]) {
        match self {
            Value::IfName(name) => to[..16].copy_from_slice(name.padded()),
            Value::V4(address) => to[..4].copy_from_slice(&address.octets()),
            Value::V6(address) => to[..16].copy_from_slice(&address.octets()),
            Value::Port(port) => to[..2].copy_from_slice(&port.to_be_bytes()),
            Value::Mark(mark) => to[..4].copy_from_slice(&mark.to_ne_bytes()),
            Value::CtState(CtState(state)) => to[..4].copy_from_slice(&state.to_ne_bytes()),
            Value::Protocol(byte)
            | Value::IcmpType(byte)
            | Value::IcmpCode(byte)
            | Value::Icmp6Type(byte)
            | Value::Icmp6Code(byte) => to[0] = *byte,
            Value::NfProto(version) => to[0] = nfproto(*version),
        }
    }

    /// Reads the bytes of a field; none when they mean nothing.
    pub(crate) fn read(field: Field, bytes: &[u8]) -> Option<Self> {
        let byte = *bytes.first()?;
        let four = || bytes.first_chunk::<4>().copied();
        Some(match field {
            Field::IfName => Value::IfName(super::super::netlink::text(bytes.get(..16)?)?.parse().ok()?),
            Field::Ipv4Addr => Value::V4(four()?.into()),
            Field::Ipv6Addr => Value::V6(bytes.first_chunk::<16>().copied()?.into()),
            Field::InetProto => Value::Protocol(byte),
            Field::InetService => Value::Port(u16::from_be_bytes(*bytes.first_chunk()?)),
            Field::Mark => Value::Mark(u32::from_ne_bytes(four()?)),
            Field::IcmpType => Value::IcmpType(byte),
            Field::IcmpCode => Value::IcmpCode(byte),
            Field::Icmp6Type => Value::Icmp6Type(byte),
            Field::Icmp6Code => Value::Icmp6Code(byte),
            Field::CtState => Value::CtState(CtState(u32::from_ne_bytes(four()?))),
            Field::NfProto => Value::NfProto(match byte {
                2 => IpVersion::V4,
                10 => IpVersion::V6,
                _ => return None,
            }),
        })
    }
}

impl fmt::Display for Value {
    /// As the `nft` tool writes it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::IfName(name) => write!(f, "\"{name}\""),
            Value::V4(address) => address.fmt(f),
            Value::V6(address) => address.fmt(f),
            Value::Port(port) => port.fmt(f),
            Value::Mark(mark) => write!(f, "{mark:#010x}"),
            Value::Protocol(1) => f.write_str("icmp"),
            Value::Protocol(6) => f.write_str("tcp"),
            Value::Protocol(17) => f.write_str("udp"),
            Value::Protocol(58) => f.write_str("ipv6-icmp"),
            Value::Protocol(132) => f.write_str("sctp"),
            Value::Protocol(byte)
            | Value::IcmpType(byte)
            | Value::IcmpCode(byte)
            | Value::Icmp6Type(byte)
            | Value::Icmp6Code(byte) => byte.fmt(f),
            Value::CtState(state) => state.fmt(f),
            Value::NfProto(IpVersion::V4) => f.write_str("ipv4"),
            Value::NfProto(IpVersion::V6) => f.write_str("ipv6"),
        }
    }
}

// === impl Key ===

impl Key {
    /// The values in order; more than four do not compile.
    ///
    /// # Panics
    ///
    /// When they are longer than 40 bytes together: two IPv6 addresses and two more, or names and addresses in excess.
    #[must_use]
    pub fn new<const N: usize>(values: [Value; N]) -> Self {
        const { assert!(N >= 1 && N <= MOST, "a key has one to four fields") };
        let fields = Fields::new(values.map(|value| value.field()));
        let mut bytes = [0; LONGEST];
        let mut at = 0;
        for value in values {
            value.write(&mut bytes[at..]);
            at += value.field().length().next_multiple_of(4);
        }
        Self { bytes, fields }
    }

    /// A key of those fields from the kernel's bytes; none when the length is another.
    pub(crate) fn read(fields: Fields, from: &[u8]) -> Option<Self> {
        if from.len() != fields.length() {
            return None;
        }
        let mut bytes = [0; LONGEST];
        bytes[..from.len()].copy_from_slice(from);
        Some(Self { bytes, fields })
    }

    /// Its fields.
    #[must_use]
    pub fn fields(&self) -> Fields {
        self.fields
    }

    /// What the kernel compares.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.fields.length()]
    }

    /// Its values in order; none where the bytes mean nothing, as the ends of ranges of names do.
    pub fn values(&self) -> impl Iterator<Item = Option<Value>> + '_ {
        let mut at = 0;
        self.fields.as_slice().iter().map(move |field| {
            let from = at;
            at += field.length().next_multiple_of(4);
            Value::read(*field, &self.bytes[from..])
        })
    }

    /// The next key, as the kernel counts; none after the highest.
    pub(crate) fn successor(&self) -> Option<Self> {
        let mut next = *self;
        let length = self.fields.length();
        for byte in next.bytes[..length].iter_mut().rev() {
            let (sum, carried) = byte.overflowing_add(1);
            *byte = sum;
            if !carried {
                return Some(next);
            }
        }
        None
    }

    /// The key before, as the kernel counts; none before the lowest.
    pub(crate) fn predecessor(&self) -> Option<Self> {
        let mut before = *self;
        let length = self.fields.length();
        for byte in before.bytes[..length].iter_mut().rev() {
            let (difference, borrowed) = byte.overflowing_sub(1);
            *byte = difference;
            if !borrowed {
                return Some(before);
            }
        }
        None
    }

    /// The highest key of those fields.
    pub(crate) fn highest(fields: Fields) -> Self {
        let mut bytes = [0; LONGEST];
        bytes[..fields.length()].fill(0xff);
        Self { bytes, fields }
    }
}

impl From<Value> for Key {
    fn from(value: Value) -> Self {
        Self::new([value])
    }
}

impl fmt::Display for Key {
    /// As the `nft` tool writes it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut at = 0;
        for (index, (value, field)) in self.values().zip(self.fields.as_slice()).enumerate() {
            f.write_str(if index > 0 { " . " } else { "" })?;
            match value {
                Some(value) => value.fmt(f)?,
                None => {
                    f.write_str("0x")?;
                    for byte in &self.bytes[at..at + field.length()] {
                        write!(f, "{byte:02x}")?;
                    }
                }
            }
            at += field.length().next_multiple_of(4);
        }
        Ok(())
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

// === impl DataType ===

impl fmt::Display for DataType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DataType::Verdict => f.write_str("verdict"),
            DataType::Values(fields) => fields.fmt(f),
        }
    }
}

// === impl Element ===

impl Element {
    /// An element of a set of single values.
    #[must_use]
    pub fn point(key: Key) -> Self {
        Self { key, last: None, data: None }
    }

    /// An element of a set of ranges; both ends belong to it.
    #[must_use]
    pub fn range(first: Key, last: Key) -> Self {
        Self { key: first, last: Some(last), data: None }
    }

    /// The addresses of a network, for a set of ranges.
    #[must_use]
    pub fn net(net: Cidr) -> Self {
        let (first, last) = ends(net);
        Self::range(first.into(), last.into())
    }

    /// An element of a map.
    #[must_use]
    pub fn entry(key: Key, data: Data) -> Self {
        Self { key, last: None, data: Some(data) }
    }

    /// An element of a map of verdicts.
    #[must_use]
    pub fn verdict(key: Key, verdict: Verdict) -> Self {
        Self::entry(key, Data::Verdict(verdict))
    }
}

// === impl IfPrefix ===

impl IfPrefix {
    /// The prefix as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }

    /// Whether the name begins with it.
    #[must_use]
    pub fn begins(&self, name: &IfName) -> bool {
        name.as_str().starts_with(self.as_str())
    }

    /// The names that begin with it, for a set of ranges.
    #[must_use]
    pub fn range(&self) -> Element {
        let first = Key::from(Value::IfName(self.0));
        let mut last = first;
        last.bytes[self.as_str().len()..16].fill(0xff);
        Element::range(first, last)
    }
}

impl FromStr for IfPrefix {
    type Err = ParseIfPrefixError;

    fn from_str(text: &str) -> Result<Self, ParseIfPrefixError> {
        text.parse().map(Self).map_err(|_| ParseIfPrefixError(text.to_owned()))
    }
}

// === helpers ===

/// `NFPROTO_IPV4` or `NFPROTO_IPV6`.
pub(crate) const fn nfproto(version: IpVersion) -> u8 {
    match version {
        IpVersion::V4 => 2,
        IpVersion::V6 => 10,
    }
}

/// The lowest and the highest address of a network.
fn ends(net: Cidr) -> (Value, Value) {
    let net = net.masked();
    match net.address().get() {
        IpAddr::V4(address) => {
            let ones = u32::MAX.checked_shr(u32::from(net.prefix())).unwrap_or(0);
            (Value::V4(address), Value::V4(Ipv4Addr::from_bits(address.to_bits() | ones)))
        }
        IpAddr::V6(address) => {
            let ones = u128::MAX.checked_shr(u32::from(net.prefix())).unwrap_or(0);
            (Value::V6(address), Value::V6(Ipv6Addr::from_bits(address.to_bits() | ones)))
        }
    }
}

#[cfg(test)]
mod tests;
