//! What is known about one address (`spec/calicoctl.md` 9).

use std::collections::BTreeMap;
use std::fmt;

use margay_model::Key;
use margay_net::{Cidr, Ip, IpVersion};
use margay_store::datastore::{Datastore, Record, RecordSet};

use crate::Result;
use crate::stored::Held;
use crate::walk::block_of;

/// What is known about an address; prints the line of `ipam show`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shown {
    ip: Ip,
    /// What is known.
    pub state: State,
}

/// The state of an address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// Assigned, with notes.
    Attributes(BTreeMap<String, String>),
    /// Assigned, without notes.
    NoAttributes,
    /// Free in a block.
    NotAssignedInBlock,
    /// No block holds it.
    NoBlock,
}

impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ip = self.ip;
        match &self.state {
            State::Attributes(notes) => {
                let notes: Vec<String> = notes.iter().map(|(name, note)| format!("{name}:{note}")).collect();
                write!(f, "map[{}]", notes.join(" "))
            }
            State::NoAttributes => write!(f, "No attributes defined for IP {ip}"),
            State::NotAssignedInBlock => write!(f, "IP {ip} is not currently assigned in block"),
            State::NoBlock => write!(f, "{ip} is not assigned"),
        }
    }
}

/// Reads what is known about an address.
///
/// # Errors
/// The datastore failed or the block cannot be understood.
pub async fn show<D: Datastore>(store: &D, ip: Ip) -> Result<Shown> {
    let state = match holders(store, &[ip]).await?.pop() {
        None => State::NoBlock,
        Some(Holder { held, .. }) => match held.block.attribute(ip) {
            None => State::NotAssignedInBlock,
            Some(attribute) => match &attribute.secondary {
                Some(notes) if !notes.is_empty() => State::Attributes(notes.clone()),
                Some(_) | None => State::NoAttributes,
            },
        },
    };
    Ok(Shown { ip, state })
}

/// A block as it was read, and those of the addresses asked for that lie in it.
#[derive(Debug)]
pub(crate) struct Holder {
    pub(crate) held: Held,
    pub(crate) addresses: Vec<Ip>,
}

/// The blocks that hold addresses: those of v1's size, or, written by v3, of any other. Addresses without are left out.
pub(crate) async fn holders<D: Datastore>(store: &D, addresses: &[Ip]) -> Result<Vec<Holder>> {
    let mut by_block: BTreeMap<Cidr, Vec<Ip>> = BTreeMap::new();
    for ip in addresses {
        by_block.entry(block_of(*ip)).or_default().push(*ip);
    }
    let mut holders = Vec::new();
    let mut elsewhere = Vec::new();
    for (cidr, addresses) in by_block {
        match store.get_record(&Key::IpamBlock { cidr }).await? {
            Some(record) => holders.push(Holder::read(&record, addresses)?),
            None => elsewhere.extend(addresses),
        }
    }
    for version in [IpVersion::V4, IpVersion::V6] {
        let here: Vec<Ip> = elsewhere.iter().copied().filter(|ip| ip.version() == version).collect();
        if !here.is_empty() {
            holders.extend(other_holders(store, version, here).await?);
        }
    }
    Ok(holders)
}

/// The blocks of other sizes that hold addresses, of all that there are.
async fn other_holders<D: Datastore>(
    store: &D,
    version: IpVersion,
    mut addresses: Vec<Ip>,
) -> Result<Vec<Holder>> {
    let mut records = Vec::new();
    let mut visit = |record: Record| {
        if let Key::IpamBlock { cidr } = record.key
            && addresses.iter().any(|ip| cidr.contains_ip(*ip))
        {
            records.push((cidr, record));
        }
    };
    store.list_records(&RecordSet::IpamBlocks(Some(version)), &mut visit).await?;
    // Blocks never overlap; should they do so all the same, the one that says most about an address is believed.
    records.sort_by_key(|(cidr, _)| cidr.host_bits());
    let mut holders = Vec::new();
    for (cidr, record) in records {
        let (here, left) = addresses.into_iter().partition(|ip| cidr.contains_ip(*ip));
        addresses = left;
        holders.push(Holder::read(&record, here)?);
    }
    Ok(holders)
}

/// The block that holds an address, as [`holders`] finds it.
pub(crate) async fn holder<D: Datastore>(store: &D, ip: Ip) -> Result<Option<Held>> {
    Ok(holders(store, &[ip]).await?.pop().map(|holder| holder.held))
}

// === impl Holder ===

impl Holder {
    fn read(record: &Record, addresses: Vec<Ip>) -> Result<Self> {
        Ok(Self { held: Held::read(record)?, addresses })
    }
}
