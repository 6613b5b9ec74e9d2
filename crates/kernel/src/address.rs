//! Addresses of links.

use std::fmt;

use margay_net::{Cidr, IfIndex};

/// An address on a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Address {
    /// The link.
    pub link: IfIndex,
    /// The address, with the length of the network that it opens on the link.
    pub net: Cidr,
    /// Used at once, without asking the link whether another has it (IPv6).
    pub no_dad: bool,
}

// === impl Address ===

impl Address {
    /// An address that is used at once.
    #[must_use]
    pub fn new(link: IfIndex, net: Cidr) -> Self {
        Self { link, net, no_dad: net.version() == margay_net::IpVersion::V6 }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "address {} on link {}", self.net, self.link.0)
    }
}
