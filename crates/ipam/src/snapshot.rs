//! Everything that says who has which address, read once: blocks, claims, handles, pools and endpoints.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use margay_model::{Filter, Key, Kind, Resource};
use margay_net::{Cidr, Ip};
use margay_store::datastore::{Datastore, Listed, Record, RecordSet};
use margay_store::kv::Revision;

use crate::Result;
use crate::block::Block;
use crate::handle::Handle;
use crate::pool::{Pool, pools};
use crate::stored::Held;

/// The endpoint of a workload, as far as its addresses are concerned.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Endpoint {
    /// Its host.
    pub node: String,
    /// Its orchestrator.
    pub orchestrator: String,
    /// Its workload.
    pub workload: String,
    /// Its name.
    pub name: String,
    /// Its addresses.
    pub addresses: Vec<Ip>,
}

/// A host's claim on a block.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Claim {
    /// The host.
    pub host: String,
    /// The block.
    pub block: Cidr,
    pub(crate) revision: Revision,
}

/// What one reading found.
#[derive(Debug, Clone, Default)]
pub struct Snapshot {
    /// The pools.
    pub pools: Vec<Pool>,
    /// The claims of hosts, in key order.
    pub claims: Vec<Claim>,
    /// The handles by their id.
    pub handles: BTreeMap<String, Handle>,
    /// The endpoints, in key order.
    pub endpoints: Vec<Endpoint>,
    /// The addresses of hosts' IPIP interfaces, which no endpoint has.
    pub tunnels: BTreeSet<Ip>,
    /// The records that cannot be understood, with the reason.
    pub unreadable: Vec<(String, String)>,
    pub(crate) blocks: Vec<Held>,
}

// === impl Endpoint ===

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}/{}", self.node, self.orchestrator, self.workload, self.name)
    }
}

// === impl Snapshot ===

impl Snapshot {
    /// The blocks, in key order.
    pub fn blocks(&self) -> impl Iterator<Item = &Block> {
        self.blocks.iter().map(|held| &held.block)
    }

    /// Reads everything.
    ///
    /// # Errors
    /// The datastore failed.
    pub async fn read<D: Datastore>(store: &D) -> Result<Self> {
        let mut snapshot = Self { pools: pools(store).await?, ..Self::default() };
        snapshot.read_handles(store).await?;
        snapshot.read_claims(store).await?;
        // Blocks before endpoints: an address is assigned before its endpoint is written, and released after it.
        snapshot.read_blocks(store).await?;
        snapshot.read_endpoints(store).await?;
        snapshot.read_tunnels(store).await?;
        Ok(snapshot)
    }

    async fn read_handles<D: Datastore>(&mut self, store: &D) -> Result<()> {
        let mut visit = |record: Record| {
            let Key::IpamHandle { id } = &record.key else { return };
            match Handle::decode(&record.value) {
                Ok(handle) => drop(self.handles.insert(id.clone(), handle)),
                Err(error) => self.unreadable.push((record.key.path(), error.to_string())),
            }
        };
        Ok(store.list_records(&RecordSet::IpamHandles, &mut visit).await?)
    }

    async fn read_claims<D: Datastore>(&mut self, store: &D) -> Result<()> {
        let mut visit = |record: Record| {
            if let Key::IpamAffinity { node, cidr } = record.key {
                self.claims.push(Claim { host: node, block: cidr, revision: record.revision });
            }
        };
        let set = RecordSet::IpamAffinities { node: None, version: None };
        Ok(store.list_records(&set, &mut visit).await?)
    }

    async fn read_blocks<D: Datastore>(&mut self, store: &D) -> Result<()> {
        let mut visit = |record: Record| match Held::read(&record) {
            Ok(held) => self.blocks.push(held),
            Err(error) => self.unreadable.push((record.key.path(), error.to_string())),
        };
        Ok(store.list_records(&RecordSet::IpamBlocks(None), &mut visit).await?)
    }

    async fn read_endpoints<D: Datastore>(&mut self, store: &D) -> Result<()> {
        let mut visit = |listed: Listed| match listed {
            Listed::Resource(stored) => {
                if let Resource::WorkloadEndpoint(endpoint) = stored.resource {
                    let (metadata, networks) = (endpoint.metadata, endpoint.spec.ip_networks);
                    self.endpoints.push(Endpoint {
                        node: metadata.node,
                        orchestrator: metadata.orchestrator,
                        workload: metadata.workload,
                        name: metadata.name,
                        addresses: networks.iter().filter(|n| n.is_single()).map(|n| n.address()).collect(),
                    });
                }
            }
            Listed::Skipped(skipped) => self.unreadable.push((skipped.path, skipped.reason)),
        };
        Ok(store.list(Kind::WorkloadEndpoint, &Filter::default(), &mut visit).await?)
    }

    /// Looks for the addresses of tunnels, if there are any that nothing else explains.
    async fn read_tunnels<D: Datastore>(&mut self, store: &D) -> Result<()> {
        let used: BTreeSet<Ip> =
            self.endpoints.iter().flat_map(|endpoint| endpoint.addresses.clone()).collect();
        let unexplained = self
            .blocks()
            .flat_map(Block::assigned)
            .any(|(ip, attribute)| attribute.handle.is_none() && !used.contains(&ip));
        if !unexplained {
            return Ok(());
        }
        let owners = self.blocks().filter_map(Block::host).map(str::to_owned);
        let nodes = self.endpoints.iter().map(|endpoint| endpoint.node.clone());
        let hosts: BTreeSet<String> =
            owners.chain(nodes).chain(self.claims.iter().map(|claim| claim.host.clone())).collect();
        for host in hosts {
            let key = Key::FelixConfig { node: Some(host), name: "IpInIpTunnelAddr".to_owned() };
            let record = store.get_record(&key).await?;
            self.tunnels.extend(record.and_then(|record| record.value.trim().parse::<Ip>().ok()));
        }
        Ok(())
    }
}
