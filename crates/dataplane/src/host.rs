//! What is known of this host's interfaces, and who owns them: pure, fed by link and address events.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use margay_intent::{HostEndpoint, HostEndpointId};
use margay_net::{IfIndex, IfName};

use crate::config::Config;

/// One interface as the kernel has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Interface {
    /// Its number: a new one means a new interface, whatever its name.
    pub(crate) index: IfIndex,
    /// Packets can go through it (`IFF_RUNNING`).
    pub(crate) running: bool,
    /// Its own addresses.
    pub(crate) addresses: BTreeSet<IpAddr>,
}

/// The interfaces of this host, by name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct HostView {
    /// Those that exist.
    pub(crate) interfaces: BTreeMap<IfName, Interface>,
}

/// Which host endpoint owns which interface.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct HostOwners {
    /// The owner by interface; an interface that does not exist yet has one as soon as an endpoint names it.
    pub(crate) by_interface: BTreeMap<IfName, HostEndpointId>,
}

// === impl HostView ===

impl HostView {
    /// The addresses that belong to this host: to interfaces that are no workload's.
    pub(crate) fn own_addresses(&self, config: &Config) -> BTreeSet<IpAddr> {
        let of_host = self.interfaces.iter().filter(|(name, _)| !config.is_workload(name));
        let addresses = of_host.flat_map(|(_, interface)| &interface.addresses);
        addresses.chain(&config.protected).copied().collect()
    }

    /// True when the interface is there and packets can go through it.
    pub(crate) fn is_running(&self, name: &IfName) -> bool {
        self.interfaces.get(name).is_some_and(|interface| interface.running)
    }
}

// === impl HostOwners ===

impl HostOwners {
    /// Resolves host endpoints to interfaces (`spec/policy.md` 7.7): of all that fit, the lowest id.
    ///
    /// An endpoint with a name owns it before the interface exists, so that an interface that appears is governed from
    /// its first packet; whether it exists counts for the status alone.
    pub(crate) fn resolve(
        config: &Config,
        view: &HostView,
        endpoints: &BTreeMap<HostEndpointId, Arc<HostEndpoint>>,
    ) -> Self {
        let mut by_address: BTreeMap<IpAddr, Vec<&IfName>> = BTreeMap::new();
        for (name, interface) in &view.interfaces {
            if !config.is_workload(name) {
                for address in &interface.addresses {
                    by_address.entry(*address).or_default().push(name);
                }
            }
        }
        let mut owners = Self::default();
        for (id, endpoint) in endpoints {
            // Ids come in ascending order: who is there already is lower.
            match endpoint.interface {
                Some(name) if !config.is_workload(&name) => {
                    owners.by_interface.entry(name).or_insert_with(|| id.clone());
                }
                Some(_) => {}
                None => {
                    for name in
                        endpoint.addresses.iter().filter_map(|address| by_address.get(address)).flatten()
                    {
                        owners.by_interface.entry(**name).or_insert_with(|| id.clone());
                    }
                }
            }
        }
        owners
    }

    /// The interfaces of an endpoint that exist.
    pub(crate) fn interfaces_of<'a>(
        &'a self,
        view: &'a HostView,
        id: &'a HostEndpointId,
    ) -> impl Iterator<Item = (&'a IfName, &'a Interface)> {
        self.by_interface
            .iter()
            .filter(move |(_, owner)| *owner == id)
            .filter_map(|(name, _)| view.interfaces.get(name).map(|interface| (name, interface)))
    }
}

#[cfg(test)]
mod tests;
