//! What is known about one address (`spec/calicoctl.md` 9).

use std::collections::BTreeMap;
use std::fmt;

use margay_model::Key;
use margay_net::{Cidr, Ip, IpVersion};
use margay_store::datastore::{Datastore, Record, RecordSet};

use crate::block::Block;
use crate::{Error, Result};

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
    let state = match find(store, ip).await? {
        None => State::NoBlock,
        Some((_, block)) => match block.attribute(ip) {
            None => State::NotAssignedInBlock,
            Some(attribute) => match &attribute.secondary {
                Some(notes) if !notes.is_empty() => State::Attributes(notes.clone()),
                Some(_) | None => State::NoAttributes,
            },
        },
    };
    Ok(Shown { ip, state })
}

/// The block that holds an address: the one of v1's size, or, written by v3, of any other.
pub(crate) async fn find<D: Datastore>(store: &D, ip: Ip) -> Result<Option<(Record, Block)>> {
    let length = match ip.version() {
        IpVersion::V4 => 26,
        IpVersion::V6 => 122,
    };
    if let Some(cidr) = Cidr::new(ip, length).map(Cidr::masked)
        && let Some(record) = store.get_record(&Key::IpamBlock { cidr }).await?
    {
        return read(record).map(Some);
    }
    let mut found = None;
    let mut visit = |record: Record| {
        if matches!(record.key, Key::IpamBlock { cidr } if cidr.contains_ip(ip)) {
            found = Some(record);
        }
    };
    store.list_records(&RecordSet::IpamBlocks(Some(ip.version())), &mut visit).await?;
    found.map(read).transpose()
}

/// Reads a stored block.
pub(crate) fn read(record: Record) -> Result<(Record, Block)> {
    match Block::decode(&record.value) {
        Ok(block) => Ok((record, block)),
        Err(error) => Err(Error::BadRecord { key: record.key.to_string(), reason: error.to_string() }),
    }
}
