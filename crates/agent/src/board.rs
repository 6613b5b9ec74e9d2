//! [`Board`]: what each part of the agent last said about itself, for `margay status`, reports and metrics.
//!
//! Parts write, pages and reports read; nobody waits for anybody. Nothing here decides anything about the kernel.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use margay_intent::{HostEndpointId, WorkloadEndpoint, WorkloadId};
use margay_policy::record::Quarantine;
use tokio::sync::Notify;

/// An endpoint of this host.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum EndpointId {
    /// A workload's.
    Workload(WorkloadId),
    /// The host's.
    Host(HostEndpointId),
}

/// How an endpoint is, in upstream's words (`spec/agent.md` 9).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum EndpointStatus {
    /// Wanted and there.
    Up,
    /// Not wanted, or its interface is not there or down.
    Down,
    /// Something about it could not be done.
    Error,
}

/// An endpoint as it is.
#[derive(Debug, Clone)]
pub(crate) struct Endpoint {
    /// How it is.
    pub(crate) status: EndpointStatus,
    /// Its policy is in the kernel.
    pub(crate) programmed: bool,
    /// The record, of a workload.
    pub(crate) workload: Option<Arc<WorkloadEndpoint>>,
}

/// Numbers of the last commit.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct KernelCounts {
    pub(crate) programmes: usize,
    pub(crate) sets: usize,
    pub(crate) chains: usize,
    pub(crate) rules: usize,
    pub(crate) elements: usize,
    pub(crate) routes: usize,
}

/// What is known.
#[derive(Debug, Default)]
pub(crate) struct Known {
    /// How far the datastore is read: `wait-for-ready`, `resync`, `in-sync`.
    pub(crate) sync: &'static str,
    /// The ready flag; none = it is not there.
    pub(crate) ready_flag: Option<bool>,
    /// Since when the datastore has not answered.
    pub(crate) stale_since: Option<Instant>,
    /// What it said last when it did not.
    pub(crate) datastore_error: String,
    /// Why the latest parameters do not count; empty = they do.
    pub(crate) parameter_error: String,
    /// What is to be said about parameters.
    pub(crate) notices: Vec<String>,
    /// What is wrong with records.
    pub(crate) invalid: Vec<Quarantine>,
    /// Endpoints of this host.
    pub(crate) endpoints: BTreeMap<EndpointId, Endpoint>,
    /// The whole of what is wanted has been in the kernel once.
    pub(crate) programmed_once: bool,
    /// When the kernel was last written or first compared, and whether it is as wanted.
    pub(crate) last_commit: Option<(Instant, bool)>,
    /// How many commits wrote something.
    pub(crate) commits: u64,
    /// How long the last commit that wrote took, in microseconds.
    pub(crate) last_commit_micros: u64,
    /// Numbers of the last commit.
    pub(crate) counts: KernelCounts,
    /// What the kernel refused, with the reason.
    pub(crate) quarantined: Vec<(String, String)>,
    /// What went wrong in the last commit.
    pub(crate) kernel_errors: Vec<String>,
    /// What others changed and was put right.
    pub(crate) drift: u64,
    /// What people should know about this host.
    pub(crate) warnings: Vec<String>,
}

/// The board.
#[derive(Debug, Default)]
pub(crate) struct Board {
    known: Mutex<Known>,
    /// Rings when endpoints have changed, for the datastore's reports.
    endpoints_changed: Notify,
    /// The same for files.
    files_changed: Notify,
    /// Rings when the datastore has begun to be silent.
    stale: Notify,
    /// Rings when a snapshot has been read.
    snapshot: Notify,
}

// === impl EndpointStatus ===

impl EndpointStatus {
    /// Upstream's word.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Up => "up",
            Self::Down => "down",
            Self::Error => "error",
        }
    }
}

// === impl Board ===

impl Board {
    /// What is known now. Held for as short as possible, and never across a wait.
    pub(crate) fn lock(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Says that endpoints have changed.
    pub(crate) fn ring_endpoints(&self) {
        self.endpoints_changed.notify_one();
        self.files_changed.notify_one();
    }

    /// Waits until endpoints have changed since the last call.
    pub(crate) async fn endpoints_changed(&self) {
        self.endpoints_changed.notified().await;
    }

    /// As [`Board::endpoints_changed`], for those who write files.
    pub(crate) async fn endpoints_changed_for_files(&self) {
        self.files_changed.notified().await;
    }

    /// The datastore did not answer.
    pub(crate) fn datastore_failed(&self, error: &str) {
        let mut known = self.lock();
        error.trim_end().clone_into(&mut known.datastore_error);
        if known.stale_since.is_none() {
            known.stale_since = Some(Instant::now());
            self.stale.notify_one();
        }
    }

    /// The datastore answers again; true when it did not before.
    pub(crate) fn datastore_answers(&self) -> bool {
        let mut known = self.lock();
        known.datastore_error.clear();
        known.stale_since.take().is_some()
    }

    /// Waits until the datastore has begun to be silent.
    pub(crate) async fn became_stale(&self) {
        self.stale.notified().await;
    }

    /// Says that a snapshot has been read.
    pub(crate) fn ring_snapshot(&self) {
        self.snapshot.notify_one();
    }

    /// Waits until a snapshot has been read since the last call.
    pub(crate) async fn snapshot_read(&self) {
        self.snapshot.notified().await;
    }

    /// How long the datastore has been silent, in seconds; 0 = it is not.
    pub(crate) fn stale_seconds(&self, now: Instant) -> f64 {
        self.lock().stale_since.map_or(0.0, |since| now.saturating_duration_since(since).as_secs_f64())
    }
}
