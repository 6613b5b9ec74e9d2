//! Networks: an address with a prefix length. Host bits are kept until somebody masks them,
//! because each resource decides for itself whether it does (`spec/api-v1.md` 2).

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use crate::decimal;
use crate::ip::{Ip, IpVersion};

/// An address and a prefix length; host bits may be set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Cidr {
    address: Ip,
    /// At most the width of the address.
    prefix: u8,
}

/// The text is neither `IP/length` nor an address.
// COMPAT(wording): upstream falls back to reading a bare address, and its error names only that.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("invalid IP address: {text}")]
pub struct ParseCidrError {
    /// The text as given.
    pub text: String,
}

/// The command argument is not `IP/length`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("invalid CIDR address: {text}")]
pub struct ParseStrictCidrError {
    /// The text as given.
    pub text: String,
}

// === impl Cidr ===

impl Cidr {
    /// The network of that prefix length, unless the length exceeds the address.
    pub fn new(address: impl Into<Ip>, prefix: u8) -> Option<Self> {
        let address = address.into();
        (prefix <= address.version().bits()).then_some(Cidr { address, prefix })
    }

    /// The network that holds this one address.
    pub fn host(address: impl Into<Ip>) -> Self {
        let address = address.into();
        Cidr { address, prefix: address.version().bits() }
    }

    /// Parses a command argument: the length is required, host bits are masked away.
    pub fn parse_strict(text: &str) -> Result<Self, ParseStrictCidrError> {
        let cidr = parse_with_length(text).ok_or_else(|| ParseStrictCidrError { text: text.to_owned() })?;
        Ok(cidr.masked())
    }

    /// Parses the form used in datastore keys, `10.0.0.0-8`; host bits are kept.
    pub fn from_key(key: &str) -> Result<Self, ParseCidrError> {
        parse_with_length(&key.replacen('-', "/", 1)).ok_or_else(|| ParseCidrError { text: key.to_owned() })
    }

    /// The form used in datastore keys: `10.0.0.0-8`.
    pub fn to_key(self) -> String {
        format!("{}-{}", self.address, self.prefix)
    }

    /// The address as written, host bits included.
    pub const fn address(self) -> Ip {
        self.address
    }

    /// The prefix length.
    pub const fn prefix(self) -> u8 {
        self.prefix
    }

    /// The version of the address.
    pub const fn version(self) -> IpVersion {
        self.address.version()
    }

    /// The same network with all host bits cleared.
    pub fn masked(self) -> Self {
        let address = match self.address.get() {
            IpAddr::V4(address) => Ipv4Addr::from_bits(address.to_bits() & self.mask() as u32).into(),
            IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & self.mask()).into(),
        };
        Cidr { address, ..self }
    }

    /// Whether no host bit is set.
    pub fn is_masked(self) -> bool {
        self.masked() == self
    }

    /// Whether the network holds exactly one address.
    pub const fn is_single(self) -> bool {
        self.host_bits() == 0
    }

    /// The number of bits that may vary: 32 or 128 less the prefix length.
    pub const fn host_bits(self) -> u8 {
        self.version().bits() - self.prefix
    }

    /// The number of addresses; nothing for `::/0`, whose count does not fit.
    pub const fn network_size(self) -> Option<u128> {
        1u128.checked_shl(self.host_bits() as u32)
    }

    /// Whether the address lies in this network.
    pub fn contains_ip(self, address: impl Into<Ip>) -> bool {
        let address = address.into();
        address.version() == self.version() && (bits(address) ^ bits(self.address)) & self.mask() == 0
    }

    /// Whether every address of `other` lies in this network.
    pub fn contains(self, other: Cidr) -> bool {
        self.prefix <= other.prefix && self.contains_ip(other.address)
    }

    /// Whether the two networks share an address.
    pub fn overlaps(self, other: Cidr) -> bool {
        self.contains(other) || other.contains(self)
    }

    /// Ones over the prefix, seen from the lowest bit; for IPv4 only the low 32 bits count.
    fn mask(self) -> u128 {
        u128::MAX.checked_shl(u32::from(self.host_bits())).unwrap_or(0)
    }
}

impl From<Ip> for Cidr {
    fn from(address: Ip) -> Self {
        Cidr::host(address)
    }
}

impl FromStr for Cidr {
    type Err = ParseCidrError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        parse_with_length(text)
            .or_else(|| text.parse::<Ip>().ok().map(Cidr::from))
            .ok_or_else(|| ParseCidrError { text: text.to_owned() })
    }
}

impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("{}/{}", self.address, self.prefix))
    }
}

// === helpers ===

/// Reads `IP/length`, the length counted in the address form as written.
fn parse_with_length(text: &str) -> Option<Cidr> {
    let (address, length) = text.split_once('/')?;
    let address: IpAddr = address.parse().ok()?;
    let length: u8 = decimal::parse(length)?;
    if let IpAddr::V6(v6) = address
        && let Some(v4) = v6.to_ipv4_mapped()
    {
        // COMPAT(mapped networks): `::ffff:1.2.3.4/128` is `1.2.3.4/32`. Upstream turns a length below 96
        // into `/0`, which would open a rule to everyone; we refuse it.
        return Cidr::new(v4, length.checked_sub(96)?);
    }
    Cidr::new(address, length)
}

/// The address as a number.
fn bits(address: Ip) -> u128 {
    match address.get() {
        IpAddr::V4(address) => u128::from(address.to_bits()),
        IpAddr::V6(address) => address.to_bits(),
    }
}

#[cfg(test)]
mod tests;
