//! What the kernel does with each request, as far as we ask.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use margay_net::{Cidr, IfIndex, IfName, IpVersion};
use rustix::io::Errno;

use super::{FakePicture, Sabotage, some_mac};
use crate::address::Address;
use crate::link::{Link, LinkChange, LinkKey, LinkKind, Veth, VethEnd};
use crate::monitor::Notice;
use crate::namespace::Namespace;
use crate::neighbour::{Neighbour, NeighbourKind};
use crate::route::{Route, RouteKind, RouteScope, RouteTable};
use crate::rtnetlink::{Reply, Request};

/// The number of a namespace.
pub(super) type Place = usize;

/// All namespaces.
#[derive(Debug)]
pub(super) struct World {
    spaces: Vec<Space>,
    /// The IPIP module is there.
    pub(super) ipip: bool,
    pub(super) sabotage: Sabotage,
    /// Counts links of all namespaces, for their hardware addresses.
    made: u32,
}

/// One namespace.
#[derive(Debug)]
struct Space {
    namespace: Namespace,
    links: BTreeMap<IfIndex, Node>,
    next: u32,
    addresses: BTreeSet<Address>,
    routes: BTreeMap<(RouteTable, Cidr, u32), Route>,
    neighbours: BTreeMap<(IfIndex, IpAddr, bool), Neighbour>,
    subscribers: Vec<Weak<Mutex<Vec<Notice>>>>,
}

/// A link and where its other end is.
#[derive(Debug, Clone)]
struct Node {
    link: Link,
    peer: Option<(Place, IfIndex)>,
}

type Done = Result<Reply, Errno>;

impl Default for World {
    fn default() -> Self {
        Self { spaces: Vec::new(), ipip: true, sabotage: Sabotage::default(), made: 0 }
    }
}

// === impl World: making and looking ===

impl World {
    pub(super) fn add_namespace(&mut self, namespace: Namespace) -> Place {
        let place = self.spaces.len();
        self.spaces.push(Space {
            namespace,
            links: BTreeMap::new(),
            next: 1,
            addresses: BTreeSet::new(),
            routes: BTreeMap::new(),
            neighbours: BTreeMap::new(),
            subscribers: Vec::new(),
        });
        self.add_link(place, "lo".parse().expect("a name"), LinkKind::Other, None, false);
        place
    }

    pub(super) fn namespace(&self, place: Place) -> &Namespace {
        &self.spaces[place].namespace
    }

    pub(super) fn place_of(&self, namespace: &Namespace) -> Option<Place> {
        self.spaces.iter().position(|space| space.namespace == *namespace)
    }

    pub(super) fn subscribe(&mut self, place: Place, queue: &Arc<Mutex<Vec<Notice>>>) {
        self.spaces[place].subscribers.push(Arc::downgrade(queue));
    }

    pub(super) fn learn(&mut self, place: Place, neighbour: Neighbour) {
        let key = (neighbour.link, neighbour.address, false);
        self.spaces[place].neighbours.insert(key, neighbour);
    }

    pub(super) fn links(&self, place: Place) -> Vec<Link> {
        self.spaces[place].links.values().map(|node| node.link.clone()).collect()
    }

    pub(super) fn addresses(&self, place: Place) -> Vec<Address> {
        self.spaces[place].addresses.iter().copied().collect()
    }

    pub(super) fn routes(&self, place: Place) -> Vec<Route> {
        let mut routes: Vec<_> = self.spaces[place].routes.values().copied().collect();
        routes.sort_unstable();
        routes
    }

    pub(super) fn neighbours(&self, place: Place) -> Vec<Neighbour> {
        let mut neighbours: Vec<_> = self.spaces[place].neighbours.values().copied().collect();
        neighbours.sort_unstable();
        neighbours
    }

    pub(super) fn picture(&self) -> Vec<FakePicture> {
        (0..self.spaces.len())
            .map(|place| FakePicture {
                links: self.links(place).into_iter().map(|link| (link.name, link)).collect(),
                addresses: self.addresses(place),
                routes: self.routes(place),
                neighbours: self.neighbours(place),
            })
            .collect()
    }

    /// Adds a link with the next free number.
    pub(super) fn add_link(
        &mut self,
        place: Place,
        name: IfName,
        kind: LinkKind,
        mtu: Option<u32>,
        up: bool,
    ) -> IfIndex {
        self.made += 1;
        let space = &mut self.spaces[place];
        let index = IfIndex(space.next);
        space.next += 1;
        let mac = (kind != LinkKind::Ipip).then(|| some_mac(self.made));
        let link = Link {
            index,
            name,
            kind,
            mac,
            mtu: mtu.unwrap_or(1500),
            up,
            running: up,
            peer: None,
            peer_elsewhere: false,
            alias: None,
        };
        space.links.insert(index, Node { link, peer: None });
        self.tell_link(place, index);
        index
    }
}

// === impl World: requests ===

impl World {
    /// Does one request.
    pub(super) fn perform(&mut self, place: Place, request: &Request) -> Done {
        match request {
            Request::ShowLink(key) => {
                let index = self.find(place, *key)?;
                return Ok(Reply::Link(Box::new(self.spaces[place].links[&index].link.clone())));
            }
            Request::AddVeth(veth) => self.add_veth(place, veth)?,
            Request::AddIpip(name) => {
                if !self.ipip {
                    return Err(Errno::OPNOTSUPP);
                }
                self.name_is_free(place, *name)?;
                self.add_link(place, *name, LinkKind::Ipip, Some(1480), false);
            }
            Request::ChangeLink(index, change) => self.change_link(place, *index, change)?,
            Request::DeleteLink(key) => {
                let index = self.find(place, *key)?;
                if index == IfIndex(1) {
                    return Err(Errno::OPNOTSUPP);
                }
                self.delete_link(place, index);
            }
            Request::AddAddress(address) => self.put_address(place, *address, false)?,
            Request::ReplaceAddress(address) => self.put_address(place, *address, true)?,
            Request::DeleteAddress(address) => self.delete_address(place, *address)?,
            Request::AddRoute(route) => self.put_route(place, *route, false)?,
            Request::ReplaceRoute(route) => self.put_route(place, *route, true)?,
            Request::DeleteRoute(route) => self.delete_route(place, *route)?,
            Request::ReplaceNeighbour(neighbour) => self.put_neighbour(place, *neighbour)?,
            Request::DeleteNeighbour(neighbour) => self.delete_neighbour(place, *neighbour)?,
        }
        Ok(Reply::Done)
    }

    fn find(&self, place: Place, key: LinkKey) -> Result<IfIndex, Errno> {
        let links = &self.spaces[place].links;
        let found = match key {
            LinkKey::Index(index) => links.contains_key(&index).then_some(index),
            LinkKey::Name(name) => links.values().find(|node| node.link.name == name).map(|n| n.link.index),
        };
        found.ok_or(Errno::NODEV)
    }

    fn name_is_free(&self, place: Place, name: IfName) -> Result<(), Errno> {
        match self.find(place, LinkKey::Name(name)) {
            Ok(_) => Err(Errno::EXIST),
            Err(_) => Ok(()),
        }
    }

    fn add_veth(&mut self, near: Place, veth: &Veth) -> Result<(), Errno> {
        let far = match &veth.far_namespace {
            Some(namespace) => self.place_of(namespace).ok_or(Errno::INVAL)?,
            None => near,
        };
        if veth.mtu.is_some_and(|mtu| !(68..=65535).contains(&mtu)) {
            return Err(Errno::INVAL);
        }
        self.name_is_free(far, veth.far.name)?;
        self.name_is_free(near, veth.near.name)?;
        if near == far && veth.near.name == veth.far.name {
            return Err(Errno::EXIST);
        }
        // The kernel registers the far end first.
        let far_index = self.add_end(far, &veth.far, false, veth.mtu);
        let near_index = self.add_end(near, &veth.near, veth.near_up, veth.mtu);
        for (place, index, peer) in
            [(far, far_index, (near, near_index)), (near, near_index, (far, far_index))]
        {
            let node = self.node(place, index);
            node.peer = Some(peer);
            node.link.peer = Some(peer.1);
            node.link.peer_elsewhere = near != far;
        }
        self.settle(near, near_index);
        self.settle(far, far_index);
        Ok(())
    }

    fn add_end(&mut self, place: Place, end: &VethEnd, up: bool, mtu: Option<u32>) -> IfIndex {
        let index = self.add_link(place, end.name, LinkKind::Veth, mtu, false);
        let link = &mut self.node(place, index).link;
        link.up = up;
        link.mac = end.mac.or(link.mac);
        index
    }

    fn change_link(&mut self, place: Place, index: IfIndex, change: &LinkChange) -> Result<(), Errno> {
        self.find(place, LinkKey::Index(index))?;
        if let Some(name) = change.name
            && self.node(place, index).link.name != name
        {
            self.name_is_free(place, name)?;
        }
        if change.mtu.is_some_and(|mtu| !(68..=65535).contains(&mtu))
            || change.alias.as_ref().is_some_and(|alias| alias.len() > 255)
        {
            return Err(Errno::INVAL);
        }
        let link = &mut self.node(place, index).link;
        link.name = change.name.unwrap_or(link.name);
        link.mac = change.mac.or(link.mac);
        link.mtu = change.mtu.unwrap_or(link.mtu);
        if let Some(alias) = &change.alias {
            link.alias = Some(alias.clone()).filter(|alias| !alias.is_empty());
        }
        let was_up = link.up;
        link.up = change.up.unwrap_or(link.up);
        if was_up && !link.up {
            self.went_down(place, index);
        }
        self.settle(place, index);
        Ok(())
    }

    /// What a link takes along when it goes down: its routes and neighbours, and its IPv6 addresses.
    fn went_down(&mut self, place: Place, index: IfIndex) {
        let space = &mut self.spaces[place];
        space.neighbours.retain(|(link, ..), _| *link != index);
        let gone: Vec<Address> = (space.addresses.iter().copied())
            .filter(|address| address.link == index && address.net.version() == IpVersion::V6)
            .collect();
        space.addresses.retain(|address| !gone.contains(address));
        // Nobody is told of IPv4 routes that go with their link.
        let mut routes: Vec<Route> = Vec::new();
        space.routes.retain(|_, route| {
            let goes = route.link == Some(index);
            if goes && route.destination.version() == IpVersion::V6 {
                routes.push(*route);
            }
            !goes
        });
        for address in gone {
            self.tell(place, Notice::AddressGone(address));
        }
        for route in routes {
            self.tell(place, Notice::RouteGone(route));
        }
    }

    /// Works out the carrier of a link and of its other end, and tells of both.
    fn settle(&mut self, place: Place, index: IfIndex) {
        let node = self.node(place, index).clone();
        let peer = node.peer.map(|(place, index)| (place, index, self.node(place, index).link.up));
        let running = node.link.up && peer.is_none_or(|(.., up)| up);
        self.node(place, index).link.running = running;
        self.tell_link(place, index);
        if let Some((place, index, _)) = peer {
            let link = &mut self.node(place, index).link;
            if link.running != running {
                link.running = running;
                self.tell_link(place, index);
            }
        }
    }

    fn delete_link(&mut self, place: Place, index: IfIndex) {
        let peer = self.node(place, index).peer;
        for (place, index) in [Some((place, index)), peer].into_iter().flatten() {
            self.went_down(place, index);
            let space = &mut self.spaces[place];
            space.addresses.retain(|address| address.link != index);
            space.links.remove(&index);
            self.tell(place, Notice::LinkGone(index));
        }
    }

    fn put_address(&mut self, place: Place, address: Address, replace: bool) -> Result<(), Errno> {
        self.find(place, LinkKey::Index(address.link))?;
        let addresses = &mut self.spaces[place].addresses;
        let same = |other: &&Address| same_address(other, &address);
        if let Some(old) = addresses.iter().find(same).copied() {
            if !replace {
                return Err(Errno::EXIST);
            }
            addresses.remove(&old);
        }
        addresses.insert(address);
        self.tell(place, Notice::Address(address));
        Ok(())
    }

    fn delete_address(&mut self, place: Place, address: Address) -> Result<(), Errno> {
        self.find(place, LinkKey::Index(address.link))?;
        let addresses = &mut self.spaces[place].addresses;
        let same = |other: &&Address| other.link == address.link && other.net == address.net;
        let old = addresses.iter().find(same).copied().ok_or(Errno::ADDRNOTAVAIL)?;
        addresses.remove(&old);
        let v4 = |address: &Address| address.link == old.link && address.net.version() == IpVersion::V4;
        if v4(&old) && !addresses.iter().any(v4) {
            // With its last address a link gives up IPv4, in silence.
            let space = &mut self.spaces[place];
            space.neighbours.retain(|(link, address, _), _| *link != old.link || address.is_ipv6());
            space
                .routes
                .retain(|(_, net, _), route| route.link != Some(old.link) || net.version() == IpVersion::V6);
        }
        self.tell(place, Notice::AddressGone(old));
        Ok(())
    }

    fn put_route(&mut self, place: Place, route: Route, replace: bool) -> Result<(), Errno> {
        self.check_route(place, &route)?;
        let routes = &mut self.spaces[place].routes;
        if routes.contains_key(&route.key()) && !replace {
            return Err(Errno::EXIST);
        }
        routes.insert(route.key(), route);
        self.tell(place, Notice::Route(route));
        Ok(())
    }

    /// Whether a route makes sense where it is to stand.
    fn check_route(&self, place: Place, route: &Route) -> Result<(), Errno> {
        let v4 = route.destination.version() == IpVersion::V4;
        if !route.destination.is_masked() {
            return Err(Errno::INVAL);
        }
        if route.kind == RouteKind::Blackhole {
            return if route.link.is_some() || route.gateway.is_some() { Err(Errno::INVAL) } else { Ok(()) };
        }
        let Some(index) = route.link else { return Err(Errno::NODEV) };
        if let Some(gateway) = route.gateway.filter(|_| v4 && !route.onlink) {
            // The way to the gateway is looked for before the link is.
            if route.scope >= RouteScope::LINK {
                return Err(Errno::INVAL);
            }
            if !self.is_on_link(place, index, gateway) {
                return Err(Errno::NETUNREACH);
            }
        }
        let node = self.spaces[place].links.get(&index).ok_or(Errno::NODEV)?;
        let near = |gateway: &IpAddr| matches!(gateway, IpAddr::V6(ip) if ip.is_unicast_link_local());
        if let Some(gateway) = route.gateway.filter(|gateway| !v4 && !route.onlink && !near(gateway))
            && !self.is_on_link(place, index, gateway)
        {
            return Err(Errno::HOSTUNREACH);
        }
        if node.link.up { Ok(()) } else { Err(Errno::NETDOWN) }
    }

    /// Whether an address can be reached on the link itself.
    fn is_on_link(&self, place: Place, index: IfIndex, address: IpAddr) -> bool {
        let space = &self.spaces[place];
        let up = space.links.get(&index).is_some_and(|node| node.link.up);
        // The network of an address is on the link while that is up.
        (up && space.addresses.iter().any(|a| a.link == index && a.net.contains_ip(address)))
            || space.routes.values().any(|route| {
                route.link == Some(index)
                    && route.gateway.is_none()
                    && route.table == RouteTable::MAIN
                    && route.destination.contains_ip(address)
            })
    }

    fn delete_route(&mut self, place: Place, route: Route) -> Result<(), Errno> {
        let routes = &mut self.spaces[place].routes;
        let found = routes.values().copied().find(|other| is_meant(&route, other)).ok_or(Errno::SRCH)?;
        routes.remove(&found.key());
        self.tell(place, Notice::RouteGone(found));
        Ok(())
    }

    fn put_neighbour(&mut self, place: Place, neighbour: Neighbour) -> Result<(), Errno> {
        self.find(place, LinkKey::Index(neighbour.link))?;
        self.spaces[place].neighbours.insert(neighbour_key(&neighbour), neighbour);
        Ok(())
    }

    fn delete_neighbour(&mut self, place: Place, neighbour: Neighbour) -> Result<(), Errno> {
        self.find(place, LinkKey::Index(neighbour.link))?;
        let neighbours = &mut self.spaces[place].neighbours;
        neighbours.remove(&neighbour_key(&neighbour)).map(|_| ()).ok_or(Errno::NOENT)
    }

    /// A link that is known to be there.
    fn node(&mut self, place: Place, index: IfIndex) -> &mut Node {
        self.spaces[place].links.get_mut(&index).expect("callers have found it")
    }

    fn tell_link(&mut self, place: Place, index: IfIndex) {
        let link = self.node(place, index).link.clone();
        self.tell(place, Notice::Link(link));
    }

    fn tell(&mut self, place: Place, notice: Notice) {
        self.spaces[place].subscribers.retain(|subscriber| {
            let Some(queue) = subscriber.upgrade() else { return false };
            queue.lock().unwrap_or_else(PoisonError::into_inner).push(notice.clone());
            true
        });
    }
}

// === helpers ===

/// What the kernel takes for the same address of a link: for IPv6 the length of its network does not count.
fn same_address(one: &Address, other: &Address) -> bool {
    one.link == other.link
        && one.net.address() == other.net.address()
        && (one.net.version() == IpVersion::V6 || one.net.prefix() == other.net.prefix())
}

/// Whether the kernel takes the first for a description of the second, when it is to delete: what is not said is not
/// compared, and IPv6 compares neither scope nor kind.
fn is_meant(said: &Route, route: &Route) -> bool {
    let v4 = said.destination.version() == IpVersion::V4;
    (said.table, said.destination, said.protocol) == (route.table, route.destination, route.protocol)
        && (said.metric == 0 || said.metric == route.metric)
        && said.link.is_none_or(|link| route.link == Some(link))
        && said.gateway.is_none_or(|gateway| route.gateway == Some(gateway))
        && (!v4 || (said.scope, said.kind) == (route.scope, route.kind))
}

/// Proxy entries stand in a table of their own.
fn neighbour_key(neighbour: &Neighbour) -> (IfIndex, IpAddr, bool) {
    (neighbour.link, neighbour.address, neighbour.kind == NeighbourKind::Proxy)
}
