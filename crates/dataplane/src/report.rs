//! What a commit came to, for status keys, metrics, logs and people.

use std::collections::BTreeMap;
use std::time::Instant;

use margay_intent::{HostEndpointId, WorkloadId};

/// The state of an endpoint, as status keys spell it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum EndpointState {
    /// Wanted, there, and governed.
    Up,
    /// Not wanted, not there yet, or not governed yet.
    Down,
    /// It can not be as its record says.
    Error,
}

/// An endpoint of this host.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum EndpointId {
    /// A workload's.
    Workload(WorkloadId),
    /// The host's.
    Host(HostEndpointId),
}

/// Something that is not as the records say, and why.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Quarantined {
    /// What, in words: `policy web`, `endpoint k8s/a/eth0`.
    pub what: String,
    /// Why, and what was done instead.
    pub why: String,
}

/// What was found other than we had left it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Drift {
    /// The table was gone or another one.
    pub table: usize,
    /// Chains with other rules, missing or added.
    pub chains: usize,
    /// Sets that were missing or added.
    pub sets: usize,
    /// Elements that were missing or added, members of sets included.
    pub elements: usize,
    /// Routes that were missing or added.
    pub routes: usize,
}

/// What one commit came to.
#[derive(Debug, Clone, Default)]
pub struct Report {
    /// Endpoints whose state is another than in the last report; none = the endpoint is gone.
    pub endpoints: BTreeMap<EndpointId, Option<EndpointState>>,
    /// The kernel's table was written.
    pub wrote_table: bool,
    /// The number of messages in the batch.
    pub messages: usize,
    /// Requests about routes, neighbours and links.
    pub requests: usize,
    /// Settings written.
    pub settings: usize,
    /// Tracked flows that were forgotten.
    pub forgotten: usize,
    /// The quarantine is another; ask for it.
    pub quarantine_changed: bool,
    /// What others had changed.
    pub drift: Drift,
    /// What went wrong and is tried again, in words.
    pub errors: Vec<String>,
    /// When to call again at the latest.
    pub deadline: Option<Instant>,
}

// === impl EndpointState ===

impl EndpointState {
    /// The word of status keys.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Up => "up",
            Self::Down => "down",
            Self::Error => "error",
        }
    }
}

// === impl Drift ===

impl Drift {
    /// True when nothing was found changed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

// === impl Report ===

impl Report {
    /// True when the kernel was written in any way.
    #[must_use]
    pub fn wrote(&self) -> bool {
        self.wrote_table || self.requests > 0 || self.settings > 0 || self.forgotten > 0
    }
}
