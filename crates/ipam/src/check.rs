//! What is wrong between blocks, claims, handles and endpoints, and how each of it is put right
//! (`spec/ipam.md` 10, 14, 15).
//!
//! [`check`] is pure. [`audit`] reads twice when it finds anything, and believes only what it saw both times: programs
//! at work leave states that are wrong for a moment. [`repair`] looks at its record again and compares before it
//! writes, so it may run while they work.

mod repair;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::{Duration, SystemTime};

use margay_net::{Cidr, Ip};
use margay_store::datastore::Datastore;

use crate::Result;
use crate::assign::TIMESTAMP;
use crate::block::{Attribute, Block};
use crate::snapshot::{Endpoint, Snapshot};
use crate::timestamp::{is_younger, parse_timestamp};

pub use repair::repair;

/// An address whose endpoint is missing is somebody's in the making for so long.
pub const YOUNG: Duration = Duration::from_secs(60);

/// Beginnings of handles whose addresses belong to no endpoint: tunnels of hosts, and what v3 keeps for Windows.
const NO_ENDPOINT: [&str; 6] = [
    "ipip-tunnel-addr-",
    "vxlan-tunnel-addr-",
    "vxlan-v6-tunnel-addr-",
    "wireguard-tunnel-addr-",
    "wireguard-v6-tunnel-addr-",
    "windows-reserved-ipam-handle",
];

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Finding {
    /// An address is assigned, and no endpoint has it.
    Leaked {
        /// The address.
        ip: Ip,
        /// Its block.
        block: Cidr,
        /// Who holds it.
        handle: Option<String>,
        /// True when it is known to be older than [`YOUNG`]; upstream's plugins do not say when they assigned.
        dated: bool,
    },
    /// An endpoint has an address of a pool that is not assigned: it may be given to another.
    Unassigned {
        /// The address.
        ip: Ip,
        /// The endpoint.
        endpoint: Endpoint,
    },
    /// Several endpoints have one address.
    Shared {
        /// The address.
        ip: Ip,
        /// The endpoints.
        endpoints: Vec<Endpoint>,
    },
    /// Two blocks share addresses.
    Overlap {
        /// The larger.
        block: Cidr,
        /// The smaller.
        other: Cidr,
    },
    /// A host has a key for a block that is not its own: routes to it lead astray.
    StrayClaim {
        /// The host.
        host: String,
        /// The block.
        block: Cidr,
        /// The block's host, if there is such a block and it has one.
        owner: Option<String>,
    },
    /// A host has no key for its block: nobody routes to it.
    LostClaim {
        /// The host.
        host: String,
        /// The block.
        block: Cidr,
    },
    /// A handle says more of a block than is true.
    StrayEntry {
        /// The handle.
        handle: String,
        /// The block.
        block: Cidr,
        /// How many addresses the handle says.
        says: usize,
        /// How many there are.
        holds: usize,
    },
    /// A handle says less of a block than is true, or nothing: its addresses cannot be released by it.
    LostEntry {
        /// The handle.
        handle: String,
        /// The block.
        block: Cidr,
        /// How many addresses there are.
        holds: usize,
    },
    /// A record cannot be understood.
    Unreadable {
        /// Where it stands.
        path: String,
        /// What is wrong with it.
        reason: String,
    },
}

// === impl Finding ===

impl Finding {
    /// What repairing it does; none when a person has to decide.
    #[must_use]
    pub fn remedy(&self) -> Option<String> {
        match self {
            Self::Leaked { ip, .. } => Some(format!("release {ip}")),
            Self::Unassigned { ip, endpoint } => Some(format!("assign {ip} on {}", endpoint.node)),
            Self::StrayClaim { host, block, .. } => Some(format!("remove the claim of {host} on {block}")),
            Self::LostClaim { host, block } => Some(format!("write the claim of {host} on {block}")),
            Self::StrayEntry { handle, block, .. } | Self::LostEntry { handle, block, .. } => {
                Some(format!("count {block} anew in handle {handle}"))
            }
            Self::Shared { .. } | Self::Overlap { .. } | Self::Unreadable { .. } => None,
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Leaked { ip, handle: Some(handle), .. } => {
                write!(f, "{ip} is assigned to {handle}, and no endpoint has it")
            }
            Self::Leaked { ip, handle: None, .. } => write!(f, "{ip} is assigned, and no endpoint has it"),
            Self::Unassigned { ip, endpoint } => write!(f, "{endpoint} has {ip}, which is not assigned"),
            Self::Shared { ip, endpoints } => {
                let names: Vec<String> = endpoints.iter().map(ToString::to_string).collect();
                write!(f, "{ip} is the address of {}", names.join(" and of "))
            }
            Self::Overlap { block, other } => write!(f, "the blocks {block} and {other} share addresses"),
            Self::StrayClaim { host, block, owner: Some(owner) } => {
                write!(f, "{host} claims the block {block} of {owner}")
            }
            Self::StrayClaim { host, block, owner: None } => {
                write!(f, "{host} claims the block {block}, which is not its own")
            }
            Self::LostClaim { host, block } => write!(f, "{host} owns the block {block} without a claim"),
            Self::StrayEntry { handle, block, says, holds } => {
                write!(f, "handle {handle} counts {says} in {block}, which holds {holds} for it")
            }
            Self::LostEntry { handle, block, holds } => {
                write!(f, "{block} holds {holds} for handle {handle}, which does not say so")
            }
            Self::Unreadable { path, reason } => write!(f, "{path} cannot be understood: {reason}"),
        }
    }
}

/// Everything that is wrong in a snapshot, in a fixed order.
#[must_use]
pub fn check(snapshot: &Snapshot, now: SystemTime) -> Vec<Finding> {
    let mut findings = Vec::new();
    addresses(snapshot, now, &mut findings);
    claims(snapshot, &mut findings);
    handles(snapshot, &mut findings);
    overlaps(snapshot, &mut findings);
    let unreadable = snapshot.unreadable.iter();
    findings.extend(
        unreadable.map(|(path, reason)| Finding::Unreadable { path: path.clone(), reason: reason.clone() }),
    );
    findings.sort();
    findings
}

/// Reads everything, twice when anything seems wrong, and returns what was wrong both times.
///
/// # Errors
/// The datastore failed.
pub async fn audit<D: Datastore>(store: &D, now: SystemTime) -> Result<Vec<Finding>> {
    let mut findings = check(&Snapshot::read(store).await?, now);
    if !findings.is_empty() {
        let again: BTreeSet<Finding> = check(&Snapshot::read(store).await?, now).into_iter().collect();
        findings.retain(|finding| again.contains(finding));
    }
    Ok(findings)
}

/// Compares addresses that are assigned with those that endpoints have, as numbers.
fn addresses(snapshot: &Snapshot, now: SystemTime, findings: &mut Vec<Finding>) {
    let mut used: BTreeMap<Ip, Vec<&Endpoint>> = BTreeMap::new();
    for endpoint in &snapshot.endpoints {
        for ip in endpoint.addresses.iter().collect::<BTreeSet<_>>() {
            used.entry(*ip).or_default().push(endpoint);
        }
    }
    let mut assigned = BTreeSet::new();
    for block in snapshot.blocks() {
        for (ip, attribute) in block.assigned() {
            assigned.insert(ip);
            if !used.contains_key(&ip) && !snapshot.tunnels.contains(&ip) && needs_endpoint(attribute, now) {
                let handle = attribute.handle.clone();
                let dated = attribute.note(TIMESTAMP).and_then(parse_timestamp).is_some();
                findings.push(Finding::Leaked { ip, block: block.cidr(), handle, dated });
            }
        }
    }
    // Once calico-ipam is at work in a pool, an address of it that is not assigned will be given away.
    let served = |ip: Ip| snapshot.pools.iter().any(|pool| pool.enabled && pool.cidr.contains_ip(ip));
    for (ip, endpoints) in used {
        if let [_, _, ..] = endpoints.as_slice() {
            let endpoints = endpoints.into_iter().cloned().collect();
            findings.push(Finding::Shared { ip, endpoints });
        } else if let [endpoint] = endpoints.as_slice()
            && !assigned.contains(&ip)
            && served(ip)
            && !snapshot.blocks.is_empty()
        {
            findings.push(Finding::Unassigned { ip, endpoint: (*endpoint).clone() });
        }
    }
}

/// True when an address that no endpoint has is a leak.
fn needs_endpoint(attribute: &Attribute, now: SystemTime) -> bool {
    let handle = attribute.handle.as_deref().unwrap_or_default();
    let is_young = attribute.note(TIMESTAMP).is_some_and(|moment| is_younger(moment, YOUNG, now));
    !is_young && !NO_ENDPOINT.iter().any(|beginning| handle.starts_with(beginning))
}

/// Compares the claims with what the blocks say.
fn claims(snapshot: &Snapshot, findings: &mut Vec<Finding>) {
    let blocks: BTreeMap<Cidr, &Block> = snapshot.blocks().map(|block| (block.cidr(), block)).collect();
    for claim in &snapshot.claims {
        let owner = blocks.get(&claim.block.masked()).and_then(|block| block.host());
        if owner != Some(claim.host.as_str()) {
            let (host, block, owner) = (claim.host.clone(), claim.block, owner.map(str::to_owned));
            findings.push(Finding::StrayClaim { host, block, owner });
        }
    }
    let claimed: BTreeSet<(&str, Cidr)> =
        snapshot.claims.iter().map(|claim| (claim.host.as_str(), claim.block.masked())).collect();
    for block in snapshot.blocks() {
        if let Some(host) = block.host().filter(|host| !claimed.contains(&(*host, block.cidr()))) {
            findings.push(Finding::LostClaim { host: host.to_owned(), block: block.cidr() });
        }
    }
}

/// Compares the handles with what the blocks hold for them.
fn handles(snapshot: &Snapshot, findings: &mut Vec<Finding>) {
    let mut held: BTreeMap<(&str, Cidr), usize> = BTreeMap::new();
    for block in snapshot.blocks() {
        for (_, attribute) in block.assigned() {
            if let Some(id) = attribute.handle.as_deref().and_then(|id| id.split('\r').next()) {
                *held.entry((id, block.cidr())).or_default() += 1;
            }
        }
    }
    for (id, handle) in &snapshot.handles {
        for block in handle.blocks() {
            let (says, holds) =
                (handle.count(block), held.get(&(id.as_str(), block)).copied().unwrap_or_default());
            if says > holds || holds == 0 {
                findings.push(Finding::StrayEntry { handle: id.clone(), block, says, holds });
            }
        }
    }
    for ((id, block), holds) in held {
        if snapshot.handles.get(id).map_or(0, |handle| handle.count(block)) < holds {
            findings.push(Finding::LostEntry { handle: id.to_owned(), block, holds });
        }
    }
}

/// Finds blocks that share addresses: each is given away twice.
fn overlaps(snapshot: &Snapshot, findings: &mut Vec<Finding>) {
    let mut cidrs: Vec<Cidr> = snapshot.blocks().map(Block::cidr).collect();
    // By address, the larger before the smaller: what overlaps stands side by side or within the last larger one.
    cidrs.sort_by_key(|cidr| (cidr.address(), cidr.prefix()));
    let mut last: Option<Cidr> = None;
    for cidr in cidrs {
        match last {
            Some(block) if block.overlaps(cidr) => findings.push(Finding::Overlap { block, other: cidr }),
            Some(_) | None => last = Some(cidr),
        }
    }
}

#[cfg(test)]
mod tests;
