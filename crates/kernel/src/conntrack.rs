//! Flows that the kernel tracks: those of addresses that left this host are forgotten, so that no packet of the old
//! owner's flows reaches the new one.

mod socket;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use crate::rtnetlink::RtError;

pub use socket::CtSocket;
pub(crate) use socket::concerned;

/// The flows that the kernel tracks, or a fake of them.
pub trait Flows {
    /// Forgets all flows whose first packet came from one of the addresses, or whose answers come from one; says how
    /// many there were. One listing for each family, whatever the number of addresses.
    fn forget(&mut self, addresses: &BTreeSet<IpAddr>) -> Result<usize, RtError>;
}

/// A flow, as far as forgetting needs it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Flow {
    /// Who sent the first packet.
    pub original_source: IpAddr,
    /// Who sends the answers: behind address translation another than the first packet's destination.
    pub reply_source: IpAddr,
}

/// Flows in memory, with a name each.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FakeFlows {
    /// The flows.
    pub flows: BTreeMap<String, Flow>,
    /// How often a listing was asked for.
    pub listings: usize,
}

// === impl Flow ===

impl Flow {
    /// Whether the flow began at one of the addresses or is answered by one.
    #[must_use]
    pub fn concerns(&self, addresses: &BTreeSet<IpAddr>) -> bool {
        addresses.contains(&self.original_source) || addresses.contains(&self.reply_source)
    }
}

// === impl FakeFlows ===

impl Flows for FakeFlows {
    fn forget(&mut self, addresses: &BTreeSet<IpAddr>) -> Result<usize, RtError> {
        if addresses.is_empty() {
            return Ok(0);
        }
        self.listings += 1;
        let before = self.flows.len();
        self.flows.retain(|_, flow| !flow.concerns(addresses));
        Ok(before - self.flows.len())
    }
}

#[cfg(test)]
mod tests;
