//! IP addresses as documents and datastore keys spell them.
//! An [`Ip`] is never an IPv4-mapped IPv6 address: those count as IPv4 everywhere.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

/// The two versions of the Internet Protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum IpVersion {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

/// One IP address, IPv4-mapped IPv6 already turned into IPv4.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ip(IpAddr);

/// The text is not an IP address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("invalid IP address: {text}")]
pub struct ParseIpError {
    /// The text as given.
    pub text: String,
}

// === impl IpVersion ===

impl IpVersion {
    /// The number documents use: 4 or 6.
    pub const fn number(self) -> u8 {
        match self {
            IpVersion::V4 => 4,
            IpVersion::V6 => 6,
        }
    }

    /// The version with that number, if there is one.
    pub const fn from_number(number: u8) -> Option<Self> {
        match number {
            4 => Some(IpVersion::V4),
            6 => Some(IpVersion::V6),
            _ => None,
        }
    }

    /// The length of an address in bits: 32 or 128.
    pub const fn bits(self) -> u8 {
        match self {
            IpVersion::V4 => 32,
            IpVersion::V6 => 128,
        }
    }
}

// === impl Ip ===

impl Ip {
    /// The version of this address.
    pub const fn version(self) -> IpVersion {
        match self.0 {
            IpAddr::V4(_) => IpVersion::V4,
            IpAddr::V6(_) => IpVersion::V6,
        }
    }

    /// The standard library's form of this address.
    pub const fn get(self) -> IpAddr {
        self.0
    }
}

impl From<IpAddr> for Ip {
    fn from(address: IpAddr) -> Self {
        Ip(address.to_canonical())
    }
}

impl From<Ipv4Addr> for Ip {
    fn from(address: Ipv4Addr) -> Self {
        Ip(IpAddr::V4(address))
    }
}

impl From<Ipv6Addr> for Ip {
    fn from(address: Ipv6Addr) -> Self {
        IpAddr::V6(address).into()
    }
}

impl From<Ip> for IpAddr {
    fn from(ip: Ip) -> Self {
        ip.0
    }
}

impl FromStr for Ip {
    type Err = ParseIpError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        parse_ip(text).map(Ip)
    }
}

impl fmt::Display for Ip {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            IpAddr::V4(address) => address.fmt(f),
            IpAddr::V6(address) => f.pad(&v6_text(address)),
        }
    }
}

// === helpers ===

/// Parses an address without zone or mask; IPv4-mapped IPv6 becomes IPv4.
// COMPAT(leading zeros): Go before 1.17 read `010.0.0.1` as 10.0.0.1; it is refused here, as in later Go.
pub fn parse_ip(text: &str) -> Result<IpAddr, ParseIpError> {
    match text.parse::<IpAddr>() {
        Ok(address) => Ok(address.to_canonical()),
        Err(_) => Err(ParseIpError { text: text.to_owned() }),
    }
}

/// RFC 5952 text as Go prints it: groups in hex even where the tail looks like IPv4.
fn v6_text(address: Ipv6Addr) -> String {
    let groups = address.segments();
    let zeros = longest_zero_run(&groups);
    let mut text = String::with_capacity(39);
    let mut index = 0;
    while index < groups.len() {
        if index == zeros.start && zeros.len() > 1 {
            text.push_str("::");
            index = zeros.end;
            continue;
        }
        if index > 0 && !text.ends_with(':') {
            text.push(':');
        }
        text.push_str(&format!("{:x}", groups[index]));
        index += 1;
    }
    text
}

/// The first of the longest runs of zero groups; empty when there is none.
fn longest_zero_run(groups: &[u16; 8]) -> std::ops::Range<usize> {
    let mut best = 0..0;
    let mut start = 0;
    for (index, group) in groups.iter().enumerate() {
        if *group != 0 {
            start = index + 1;
        } else if index + 1 - start > best.len() {
            best = start..index + 1;
        }
    }
    best
}

#[cfg(test)]
mod tests;
