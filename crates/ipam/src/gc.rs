//! Addresses of a host that no container has any more (`spec/ipam.md` 10, `spec/cni.md` 13).
//!
//! Walks blocks, not handles: an address whose handle is lost is found all the same. Only what provably belongs to this
//! network on this host is looked at, so tunnels, load balancers and other networks are never touched.

use std::collections::BTreeSet;
use std::time::SystemTime;

use margay_model::{Filter, Key, Kind, Resource};
use margay_net::Ip;
use margay_store::datastore::{Datastore, Listed, Record, RecordSet};

use crate::assign::TIMESTAMP;
use crate::block::{Attribute, Block};
use crate::check::YOUNG;
use crate::release::release_in_block;
use crate::stored::Held;
use crate::timestamp::is_younger;
use crate::{Error, Result};

/// What is collected.
pub struct Garbage<'a> {
    /// The host whose containers are known.
    pub host: &'a str,
    /// The network; its handles are `NETWORK.CONTAINER`.
    pub network: &'a str,
    /// True when a container is there, by the interface that is noted, if one is.
    pub is_valid: &'a (dyn Fn(&str, Option<&str>) -> bool + Sync),
    /// The time.
    pub now: SystemTime,
}

/// What collecting came to.
#[derive(Debug, Default)]
pub struct Collected {
    /// The addresses that are free now, with the handles that held them.
    pub released: Vec<(Ip, String)>,
    /// What could not be released, and why.
    pub failed: Vec<Error>,
}

/// Releases the addresses of containers that are gone. A block that cannot be written is named, and the rest goes on.
///
/// # Errors
/// The blocks or the endpoints cannot be listed.
pub async fn collect<D: Datastore>(store: &D, garbage: &Garbage<'_>) -> Result<Collected> {
    let mut collected = Collected::default();
    let mut blocks = Vec::new();
    let mut visit = |record: Record| match Held::read(&record) {
        Ok(held) => blocks.push(held),
        Err(error) => collected.failed.push(error),
    };
    store.list_records(&RecordSet::IpamBlocks(None), &mut visit).await?;
    let mut used = None;
    for held in blocks {
        let (stale, unsure): (Vec<_>, Vec<_>) =
            garbage.candidates(&held.block).into_iter().partition(|(_, sure)| *sure);
        let mut stale: Vec<Ip> = stale.into_iter().map(|(ip, _)| ip).collect();
        if !unsure.is_empty() {
            // Upstream's plugins do not note the node: there the block's host and no endpoint anywhere must do.
            if used.is_none() {
                used = Some(addresses_of_endpoints(store).await?);
            }
            let used = used.as_ref().expect("just read");
            stale.extend(unsure.into_iter().map(|(ip, _)| ip).filter(|ip| !used.contains(ip)));
        }
        if stale.is_empty() {
            continue;
        }
        let handles: Vec<(Ip, String)> =
            stale.iter().filter_map(|ip| Some((*ip, held.block.attribute(*ip)?.handle.clone()?))).collect();
        match release_in_block(store, held, &stale, |held| garbage.container(held).is_some()).await {
            Ok(released) => {
                collected.released.extend(handles.into_iter().filter(|(ip, _)| released.contains(ip)));
            }
            Err(error) => collected.failed.push(error),
        }
    }
    Ok(collected)
}

// === impl Garbage ===

impl Garbage<'_> {
    /// The addresses of a block whose containers are gone; false with those that say nothing of their host.
    fn candidates(&self, block: &Block) -> Vec<(Ip, bool)> {
        let own = block.host() == Some(self.host);
        block
            .assigned()
            .filter_map(|(ip, attribute)| {
                let container = self.container(attribute)?;
                let moment = attribute.note(TIMESTAMP);
                if (self.is_valid)(container, attribute.note("ifname"))
                    || moment.is_some_and(|moment| is_younger(moment, YOUNG, self.now))
                {
                    return None;
                }
                match attribute.note("node") {
                    Some(node) => (node == self.host).then_some((ip, true)),
                    None => own.then_some((ip, false)),
                }
            })
            .collect()
    }

    /// The container that an attribute's handle names, if it is one of this network. A name with a dot may be another
    /// network's, whose name goes on behind the dot: it is left to that one.
    fn container<'a>(&self, attribute: &'a Attribute) -> Option<&'a str> {
        let handle = attribute.handle.as_deref()?;
        let container = handle.strip_prefix(self.network)?.strip_prefix('.')?;
        (!container.is_empty() && !container.contains('.')).then_some(container)
    }
}

async fn addresses_of_endpoints<D: Datastore>(store: &D) -> Result<BTreeSet<Ip>> {
    let mut used = BTreeSet::new();
    let mut unreadable = None;
    let mut visit = |listed: Listed| match listed {
        Listed::Resource(stored) => {
            if let Resource::WorkloadEndpoint(endpoint) = stored.resource {
                used.extend(endpoint.spec.ip_networks.iter().map(|network| network.address()));
            }
        }
        Listed::Skipped(skipped) => unreadable = Some(skipped),
    };
    store.list(Kind::WorkloadEndpoint, &Filter::default(), &mut visit).await?;
    match unreadable {
        // Its addresses are not known, and nobody's may be taken.
        Some(skipped) => Err(Error::BadRecord {
            key: Key::parse(&skipped.path).map_or(skipped.path, |key| key.to_string()),
            reason: skipped.reason,
        }),
        None => Ok(used),
    }
}
