//! Links as the kernel shows them, and what can be asked of one.

use std::fmt;

use margay_net::{IfIndex, IfName, Mac};

use crate::namespace::Namespace;

/// A network interface of one namespace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// Its number; stays through a rename.
    pub index: IfIndex,
    /// Its name.
    pub name: IfName,
    /// What made it.
    pub kind: LinkKind,
    /// Its hardware address; a tunnel has none.
    pub mac: Option<Mac>,
    /// The largest packet.
    pub mtu: u32,
    /// Set up by someone (`IFF_UP`).
    pub up: bool,
    /// Up and with carrier (`IFF_RUNNING`): what upstream calls up.
    pub running: bool,
    /// The other end of a pair, or the link below. The number counts in the namespace where that one lives.
    pub peer: Option<IfIndex>,
    /// The peer lives in another namespace.
    pub peer_elsewhere: bool,
    /// Free text that its maker left on it.
    pub alias: Option<String>,
}

/// The kinds of links that we tell apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LinkKind {
    /// One end of a pair.
    Veth,
    /// An IPIP tunnel.
    Ipip,
    /// Any other.
    Other,
}

/// How a request names a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LinkKey {
    /// By number.
    Index(IfIndex),
    /// By name.
    Name(IfName),
}

/// One end of a pair that is to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VethEnd {
    /// Its name.
    pub name: IfName,
    /// Its hardware address; none = a random one.
    pub mac: Option<Mac>,
}

/// A pair that is to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Veth {
    /// The end in the namespace of the socket.
    pub near: VethEnd,
    /// Set the near end up at once. The far end is made first, and can not be up before the two are joined.
    pub near_up: bool,
    /// The other end.
    pub far: VethEnd,
    /// Where the far end lives; none = beside the near one.
    pub far_namespace: Option<Namespace>,
    /// The MTU of both ends; none = the kernel's choice.
    pub mtu: Option<u32>,
    /// The number of queues in each direction of both ends; none = the kernel's choice.
    pub queues: Option<u32>,
}

/// What is to change about a link; `None` leaves it as it is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LinkChange {
    /// Up or down.
    pub up: Option<bool>,
    /// A new name.
    pub name: Option<IfName>,
    /// A new hardware address.
    pub mac: Option<Mac>,
    /// A new MTU.
    pub mtu: Option<u32>,
    /// A new alias; at most 255 bytes; empty removes it.
    pub alias: Option<String>,
}

// === impl LinkKey ===

impl From<IfIndex> for LinkKey {
    fn from(index: IfIndex) -> Self {
        Self::Index(index)
    }
}

impl From<IfName> for LinkKey {
    fn from(name: IfName) -> Self {
        Self::Name(name)
    }
}

impl fmt::Display for LinkKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LinkKey::Index(index) => write!(f, "link {}", index.0),
            LinkKey::Name(name) => write!(f, "link {name}"),
        }
    }
}
