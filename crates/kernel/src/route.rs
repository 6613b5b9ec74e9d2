//! Routes. Two are the same route for the kernel when table, destination and metric agree; for us also protocol,
//! scope, link and gateway count: a [`Route`] compares whole.

use std::fmt;
use std::net::IpAddr;

use margay_net::{Cidr, IfIndex, IpVersion};

/// A route, in the form in which the kernel lists it.
///
/// IPv6 routes have no scope (always [`RouteScope::UNIVERSE`]) and metric 1024 where none was asked for; make them
/// with [`Route::on_link`] and [`Route::via`], which know that, and a listed route equals the one that was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Route {
    /// Where it stands.
    pub table: RouteTable,
    /// What it leads to; masked.
    pub destination: Cidr,
    /// Between routes to one destination the lowest wins.
    pub metric: u32,
    /// The link; none for routes without one and for those with several.
    pub link: Option<IfIndex>,
    /// The next hop; none = the destination is on the link.
    pub gateway: Option<IpAddr>,
    /// The next hop is taken to be on the link, whatever the table says.
    pub onlink: bool,
    /// Who put it there.
    pub protocol: RouteProtocol,
    /// How far away the destination is.
    pub scope: RouteScope,
    /// What becomes of a packet.
    pub kind: RouteKind,
}

/// A routing table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RouteTable(pub u32);

/// Who put a route there (`/etc/iproute2/rt_protos`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RouteProtocol(pub u8);

/// How far away a destination is (`/etc/iproute2/rt_scopes`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RouteScope(pub u8);

/// What becomes of a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RouteKind {
    /// Sent on.
    Unicast,
    /// Dropped in silence.
    Blackhole,
    /// Another kind, by its number in `linux/rtnetlink.h`.
    Other(u8),
}

// === impl RouteTable ===

impl RouteTable {
    /// The one that everyone uses.
    pub const MAIN: Self = Self(254);
    /// The kernel's own: addresses of this host.
    pub const LOCAL: Self = Self(255);
}

// === impl RouteProtocol ===

impl RouteProtocol {
    /// The kernel's own.
    pub const KERNEL: Self = Self(2);
    /// Felix's and the CNI plugin's: what nobody says otherwise.
    pub const BOOT: Self = Self(3);
    /// An administrator's.
    pub const STATIC: Self = Self(4);
    /// Ours on new installs (`spec/agent.md` 13.8).
    pub const OURS: Self = Self(80);
}

// === impl RouteScope ===

impl RouteScope {
    /// Anywhere.
    pub const UNIVERSE: Self = Self(0);
    /// On the link.
    pub const LINK: Self = Self(253);
    /// On this host.
    pub const HOST: Self = Self(254);
}

// === impl Route ===

impl Route {
    /// The metric that the kernel gives an IPv6 route without one.
    const DEFAULT_METRIC_V6: u32 = 1024;

    /// A route of the main table to a destination on the link.
    #[must_use]
    pub fn on_link(destination: Cidr, link: IfIndex, protocol: RouteProtocol) -> Self {
        let (metric, scope) = match destination.version() {
            IpVersion::V4 => (0, RouteScope::LINK),
            IpVersion::V6 => (Self::DEFAULT_METRIC_V6, RouteScope::UNIVERSE),
        };
        Self {
            table: RouteTable::MAIN,
            destination: destination.masked(),
            metric,
            link: Some(link),
            gateway: None,
            onlink: false,
            protocol,
            scope,
            kind: RouteKind::Unicast,
        }
    }

    /// A route of the main table through a gateway on the link.
    #[must_use]
    pub fn via(destination: Cidr, gateway: IpAddr, link: IfIndex, protocol: RouteProtocol) -> Self {
        let scope = RouteScope::UNIVERSE;
        Self { gateway: Some(gateway), scope, ..Self::on_link(destination, link, protocol) }
    }

    /// The same route in another table.
    #[must_use]
    pub fn in_table(self, table: RouteTable) -> Self {
        Self { table, ..self }
    }

    /// What the kernel tells routes apart by.
    #[must_use]
    pub fn key(&self) -> (RouteTable, Cidr, u32) {
        (self.table, self.destination, self.metric)
    }
}

impl fmt::Display for Route {
    /// As `ip route` prints one, with numbers for names.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind {
            RouteKind::Unicast => write!(f, "route {}", self.destination)?,
            RouteKind::Blackhole => write!(f, "route blackhole {}", self.destination)?,
            RouteKind::Other(kind) => write!(f, "route type {kind} {}", self.destination)?,
        }
        if let Some(gateway) = self.gateway {
            write!(f, " via {gateway}")?;
        }
        if let Some(link) = self.link {
            write!(f, " dev link {}", link.0)?;
        }
        write!(f, " proto {} scope {}", self.protocol.0, self.scope.0)?;
        if self.metric != 0 {
            write!(f, " metric {}", self.metric)?;
        }
        if self.table != RouteTable::MAIN {
            write!(f, " table {}", self.table.0)?;
        }
        if self.onlink {
            f.write_str(" onlink")?;
        }
        Ok(())
    }
}
