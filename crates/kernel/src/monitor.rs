//! What changes about links, addresses and routes while we watch.
//!
//! A [`Monitor`] hands out the kernel's [`Notice`]s; [`Interfaces`] is the picture that one keeps of them, plain data:
//! it turns notices into [`Event`]s, and a full listing into the events that bring the picture up to date.

use std::collections::{BTreeMap, BTreeSet};

use margay_net::{Cidr, IfIndex, IfName};

use crate::address::Address;
use crate::link::Link;
use crate::route::Route;
use crate::rtnetlink::RtError;

/// One thing that the kernel said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Notice {
    /// A link is new or has changed.
    Link(Link),
    /// A link is gone.
    LinkGone(IfIndex),
    /// An address is new or has changed.
    Address(Address),
    /// An address is gone.
    AddressGone(Address),
    /// A route is new or has changed.
    Route(Route),
    /// A route is gone.
    RouteGone(Route),
    /// There were more than fit into the queue: list everything again.
    Overrun,
}

/// A subscription to notices.
pub trait Monitor {
    /// What has been said since the last call; never waits.
    fn receive(&mut self) -> Result<Vec<Notice>, RtError>;
}

/// What a change means for someone who knows interfaces by name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A link is new.
    Appeared(Link),
    /// A link has changed, but not its name.
    Changed {
        /// As it was.
        before: Link,
        /// As it is.
        after: Link,
    },
    /// A link has another name, and perhaps more is different.
    Renamed {
        /// As it was.
        before: Link,
        /// As it is.
        after: Link,
    },
    /// A link is gone, with all its addresses.
    Gone(Link),
    /// A link has one address more.
    AddressAdded(IfIndex, Cidr),
    /// A link has one address less.
    AddressRemoved(IfIndex, Cidr),
}

/// The links and addresses as far as they are known.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Interfaces {
    links: BTreeMap<IfIndex, Link>,
    addresses: BTreeSet<(IfIndex, Cidr)>,
}

// === impl Interfaces ===

impl Interfaces {
    /// The links, by number.
    pub fn links(&self) -> impl Iterator<Item = &Link> {
        self.links.values()
    }

    /// The link with that number.
    #[must_use]
    pub fn link(&self, index: IfIndex) -> Option<&Link> {
        self.links.get(&index)
    }

    /// The link with that name.
    #[must_use]
    pub fn named(&self, name: &IfName) -> Option<&Link> {
        self.links.values().find(|link| link.name == *name)
    }

    /// The addresses of a link, with the lengths of their networks.
    pub fn addresses_of(&self, index: IfIndex) -> impl Iterator<Item = Cidr> {
        let zero = Cidr::host(std::net::Ipv4Addr::UNSPECIFIED);
        let from = Cidr::new(zero.address(), 0).unwrap_or(zero);
        self.addresses.range((index, from)..).take_while(move |(link, _)| *link == index).map(|(_, net)| *net)
    }

    /// Takes one notice in; what is already known is no event. Routes and overruns are none either.
    pub fn apply(&mut self, notice: &Notice) -> Vec<Event> {
        match notice {
            Notice::Link(link) => self.put(link.clone()).into_iter().collect(),
            Notice::LinkGone(index) => self.drop_link(*index),
            Notice::Address(address) => {
                let new = self.addresses.insert((address.link, address.net));
                new.then_some(Event::AddressAdded(address.link, address.net)).into_iter().collect()
            }
            Notice::AddressGone(address) => {
                let known = self.addresses.remove(&(address.link, address.net));
                known.then_some(Event::AddressRemoved(address.link, address.net)).into_iter().collect()
            }
            Notice::Route(_) | Notice::RouteGone(_) | Notice::Overrun => Vec::new(),
        }
    }

    /// Takes a full listing in: afterwards the picture is the listing. What is gone comes first.
    pub fn resync(&mut self, links: Vec<Link>, addresses: &[Address]) -> Vec<Event> {
        let mut events = Vec::new();
        let present: BTreeSet<IfIndex> = links.iter().map(|link| link.index).collect();
        let gone: Vec<IfIndex> =
            self.links.keys().filter(|index| !present.contains(index)).copied().collect();
        for index in gone {
            events.extend(self.drop_link(index));
        }
        events.extend(links.into_iter().filter_map(|link| self.put(link)));
        let listed: BTreeSet<(IfIndex, Cidr)> = addresses.iter().map(|a| (a.link, a.net)).collect();
        events
            .extend(self.addresses.difference(&listed).map(|(link, net)| Event::AddressRemoved(*link, *net)));
        events.extend(listed.difference(&self.addresses).map(|(link, net)| Event::AddressAdded(*link, *net)));
        self.addresses = listed;
        events
    }

    /// Puts a link into its place.
    fn put(&mut self, after: Link) -> Option<Event> {
        match self.links.insert(after.index, after.clone()) {
            None => Some(Event::Appeared(after)),
            Some(before) if before == after => None,
            Some(before) if before.name == after.name => Some(Event::Changed { before, after }),
            Some(before) => Some(Event::Renamed { before, after }),
        }
    }

    /// Takes a link away, with its addresses: the kernel does not always name those one by one.
    fn drop_link(&mut self, index: IfIndex) -> Vec<Event> {
        let Some(link) = self.links.remove(&index) else { return Vec::new() };
        self.addresses.retain(|(link, _)| *link != index);
        vec![Event::Gone(link)]
    }
}

#[cfg(test)]
mod tests;
