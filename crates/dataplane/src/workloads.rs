//! Which workload endpoint owns an interface or a network, and what of its record may be used.
//!
//! Kept incrementally: putting or removing an endpoint answers which interfaces and networks may have changed hands.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use margay_intent::{WorkloadEndpoint, WorkloadId};
use margay_net::{Cidr, IfName};

use crate::floating::{self, AddressFault};

/// Who claims what. Of several claims the lowest id holds (`spec/policy.md` 12, D8).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Claims {
    interfaces: BTreeMap<IfName, BTreeSet<WorkloadId>>,
    networks: BTreeMap<Cidr, BTreeSet<WorkloadId>>,
    /// Networks of more than one address; there are few.
    wide: BTreeSet<Cidr>,
}

/// What one endpoint claims.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Touched {
    /// Interfaces that may have another owner now.
    pub(crate) interfaces: BTreeSet<IfName>,
    /// Networks that may have another owner now.
    pub(crate) networks: BTreeSet<Cidr>,
}

// === impl Claims ===

impl Claims {
    /// Replaces the claims of an endpoint.
    pub(crate) fn set(
        &mut self,
        id: &WorkloadId,
        old: Option<&Arc<WorkloadEndpoint>>,
        new: Option<&Arc<WorkloadEndpoint>>,
        touched: &mut Touched,
    ) {
        if let Some(old) = old {
            touched.interfaces.insert(old.interface);
            remove(&mut self.interfaces, &old.interface, id);
            for net in usable_nets(old).map(Cidr::masked) {
                touched.networks.insert(net);
                if remove(&mut self.networks, &net, id) {
                    self.wide.remove(&net);
                }
            }
        }
        if let Some(new) = new {
            touched.interfaces.insert(new.interface);
            self.interfaces.entry(new.interface).or_default().insert(id.clone());
            for net in usable_nets(new).map(Cidr::masked) {
                touched.networks.insert(net);
                self.networks.entry(net).or_default().insert(id.clone());
                if !net.is_single() {
                    self.wide.insert(net);
                }
            }
        }
    }

    /// The endpoint that an interface belongs to.
    pub(crate) fn owner(&self, interface: &IfName) -> Option<&WorkloadId> {
        self.interfaces.get(interface)?.first()
    }

    /// All endpoints that name an interface, the owner first.
    pub(crate) fn claimants(&self, interface: &IfName) -> impl Iterator<Item = &WorkloadId> {
        self.interfaces.get(interface).into_iter().flatten()
    }

    /// The endpoint that a network is routed to, of those that `usable` allows.
    pub(crate) fn network_owner(
        &self,
        net: &Cidr,
        usable: impl Fn(&WorkloadId) -> bool,
    ) -> Option<&WorkloadId> {
        self.networks.get(net)?.iter().find(|id| usable(id))
    }

    /// The claimed networks that hold an address.
    pub(crate) fn networks_with(&self, address: IpAddr) -> impl Iterator<Item = Cidr> + '_ {
        let single = Some(Cidr::host(address)).filter(|net| self.networks.contains_key(net));
        single.into_iter().chain(self.wide.iter().copied().filter(move |net| net.contains_ip(address)))
    }

    /// The endpoints that claim a network.
    pub(crate) fn claimants_of(&self, net: &Cidr) -> impl Iterator<Item = &WorkloadId> {
        self.networks.get(net).into_iter().flatten()
    }

    /// The claimed networks of more than one address in which a network lies.
    pub(crate) fn networks_around(&self, net: Cidr) -> impl Iterator<Item = Cidr> + '_ {
        self.wide.iter().copied().filter(move |wide| *wide != net && wide.contains(net))
    }

    /// True when an endpoint other than that one claims a part of the network.
    pub(crate) fn is_shared(&self, net: Cidr, than: &WorkloadId) -> bool {
        let inside = self.networks.range(net..).take_while(|(other, _)| net.contains(**other));
        inside.filter(|(other, _)| **other != net).any(|(_, ids)| ids.iter().any(|id| id != than))
    }

    /// True when an endpoint other than that one has the address.
    pub(crate) fn is_owned_by_other(&self, address: IpAddr, than: &WorkloadId) -> bool {
        let other = |owners: &BTreeSet<WorkloadId>| !owners.contains(than);
        self.networks.get(&Cidr::host(address)).is_some_and(other)
            || self
                .wide
                .iter()
                .filter(|net| net.contains_ip(address))
                .any(|net| self.networks.get(net).is_some_and(other))
    }
}

/// Takes an id out of a map of sets; true when nobody is left under the key.
fn remove<K: Ord>(map: &mut BTreeMap<K, BTreeSet<WorkloadId>>, key: &K, id: &WorkloadId) -> bool {
    let Some(ids) = map.get_mut(key) else { return true };
    ids.remove(id);
    let empty = ids.is_empty();
    if empty {
        map.remove(key);
    }
    empty
}

/// The networks of an endpoint that may be routed to it and that it may send from.
pub(crate) fn usable_nets(endpoint: &WorkloadEndpoint) -> impl Iterator<Item = Cidr> + '_ {
    endpoint.nets.iter().copied().filter(|net| check_net(*net).is_ok())
}

/// Why a network may not be used, if so: it holds addresses that no single machine has.
pub(crate) fn check_net(net: Cidr) -> Result<(), AddressFault> {
    if net.is_single() {
        return floating::unicast(net.address().get());
    }
    if net.prefix() == 0 || strange_networks().any(|strange| strange.overlaps(net)) {
        return Err(AddressFault::NotUnicast);
    }
    Ok(())
}

/// The networks that [`floating::unicast`] refuses.
fn strange_networks() -> impl Iterator<Item = Cidr> {
    use std::net::{Ipv4Addr, Ipv6Addr};
    let v4 = |a, b, prefix| Cidr::new(Ipv4Addr::new(a, b, 0, 0), prefix);
    let v6 = |first, prefix| Cidr::new(Ipv6Addr::new(first, 0, 0, 0, 0, 0, 0, 0), prefix);
    [v4(0, 0, 8), v4(127, 0, 8), v4(169, 254, 16), v4(224, 0, 3), v6(0, 127), v6(0xfe80, 10), v6(0xff00, 8)]
        .into_iter()
        .flatten()
}

#[cfg(test)]
mod tests;
