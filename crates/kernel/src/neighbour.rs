//! Neighbour entries: which hardware address an address on a link has, and for whom the host answers.

use std::fmt;
use std::net::IpAddr;

use margay_net::{IfIndex, Mac};

/// An entry of the neighbour table of a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Neighbour {
    /// The link.
    pub link: IfIndex,
    /// The address.
    pub address: IpAddr,
    /// What is known of it.
    pub kind: NeighbourKind,
}

/// What a neighbour entry says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum NeighbourKind {
    /// The address has this hardware address, for good.
    Permanent(Mac),
    /// The host answers for the address on that link.
    Proxy,
    /// The kernel found out by itself, or is about to.
    Learned(Option<Mac>),
}

// === impl Neighbour ===

impl Neighbour {
    /// An entry that stays.
    #[must_use]
    pub fn permanent(link: IfIndex, address: IpAddr, mac: Mac) -> Self {
        Self { link, address, kind: NeighbourKind::Permanent(mac) }
    }

    /// The host answers for the address.
    #[must_use]
    pub fn proxy(link: IfIndex, address: IpAddr) -> Self {
        Self { link, address, kind: NeighbourKind::Proxy }
    }
}

impl fmt::Display for Neighbour {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match self.kind {
            NeighbourKind::Proxy => "proxy neighbour",
            NeighbourKind::Permanent(_) | NeighbourKind::Learned(_) => "neighbour",
        };
        write!(f, "{what} {} on link {}", self.address, self.link.0)
    }
}
