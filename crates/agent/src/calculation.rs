//! The calculator's thread: datastore updates in, what the node should look like out.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use margay_daemon::Reporter;
use margay_intent::{Changes, SetChange};
use margay_model::Key;
use margay_model::key::ProfilePart;
use margay_policy::Calculator;
use tokio::sync::mpsc;
use tracing::{debug, info, warn};

use crate::board::Board;
use crate::instruments::Instruments;
use crate::intake::Batch;
use crate::mailbox::Mailbox;

/// How long updates are gathered before what follows from them goes on; less when no more is there.
const GATHER: Duration = Duration::from_millis(5);

/// The calculator with what it needs.
pub(crate) struct Calculation {
    pub(crate) calculator: Calculator,
    /// What was read, and when.
    pub(crate) updates: mpsc::Receiver<(Instant, Batch)>,
    pub(crate) mailbox: Arc<Mailbox>,
    pub(crate) board: Arc<Board>,
    pub(crate) instruments: Instruments,
    pub(crate) health: Reporter,
    /// For tests: hang after this time.
    pub(crate) hang_after: Option<Duration>,
}

// === impl Calculation ===

impl Calculation {
    /// Runs until the feed is gone.
    pub(crate) fn run(mut self) {
        let begun = Instant::now();
        let mut in_sync = false;
        while let Some((read, first)) = self.updates.blocking_recv() {
            if self.hang_after.is_some_and(|after| begun.elapsed() >= after) {
                warn!("hanging, as DebugSimulateCalcGraphHangAfter asks");
                self.hang_after = None;
                while self.updates.blocking_recv().is_some() {}
                return;
            }
            let since = Instant::now();
            let mut says_in_sync = self.take(first);
            while since.elapsed() < GATHER {
                let Ok((_, next)) = self.updates.try_recv() else { break };
                says_in_sync |= self.take(next);
                self.health.progress();
            }
            if says_in_sync && !in_sync {
                info!("the datastore's snapshot is complete");
                in_sync = true;
                self.health.set_ready(true);
            }
            let changes = self.calculator.take_changes();
            if !changes.is_empty() || says_in_sync {
                self.instruments.output_events.add(size(&changes) as u64);
                self.mailbox.post(changes, in_sync, in_sync.then_some(read));
            }
            self.instruments.update_time.observe_time(since.elapsed());
            // The kernel first, then the numbers, and those only when nobody waits.
            if self.updates.is_empty() {
                self.publish();
                self.health.idle();
            } else {
                self.health.progress();
            }
        }
    }

    /// True when it was the word that everything has been said.
    fn take(&mut self, batch: Batch) -> bool {
        let Batch::Updates(updates) = batch else {
            self.calculator.in_sync();
            return true;
        };
        let mut kinds: BTreeMap<&'static str, u64> = BTreeMap::new();
        for (key, value) in updates {
            *kinds.entry(kind(&key)).or_default() += 1;
            self.calculator.update(&key, value.as_deref());
        }
        for (kind, count) in kinds {
            self.instruments.updates_processed(kind).add(count);
        }
        false
    }

    /// Numbers and faults, for whoever looks.
    fn publish(&self) {
        let statistics = self.calculator.statistics();
        let instruments = &self.instruments;
        for (gauge, count) in [
            (&instruments.local_endpoints, statistics.active_local_endpoints),
            (&instruments.policies, statistics.active_local_policies),
            (&instruments.selectors, statistics.active_local_selectors),
            (&instruments.tags, statistics.active_local_tags),
            (&instruments.hosts, statistics.cluster_hosts),
            (&instruments.workload_endpoints, statistics.cluster_workload_endpoints),
            (&instruments.host_endpoints, statistics.cluster_host_endpoints),
        ] {
            gauge.set_count(count);
        }
        let mut known = self.board.lock();
        if known.invalid.iter().eq(self.calculator.invalid()) {
            return;
        }
        let before = std::mem::take(&mut known.invalid);
        known.invalid = self.calculator.invalid().cloned().collect();
        let mut counts: BTreeMap<String, usize> =
            before.iter().map(|fault| (fault.kind.to_string(), 0)).collect();
        for fault in &known.invalid {
            *counts.entry(fault.kind.to_string()).or_default() += 1;
            if !before.contains(fault) {
                warn!(key = %fault.key, effect = %fault.effect, "bad record: {}", fault.message);
            }
        }
        for (kind, count) in counts {
            instruments.invalid_records(&kind, count);
        }
        debug!(count = known.invalid.len(), "records with faults");
    }
}

// === helpers ===

/// How many things change.
pub(crate) fn size(changes: &Changes) -> usize {
    let Changes { sets, policies, profiles, workloads, host_endpoints, hosts, pools } = changes;
    sets.len()
        + policies.len()
        + profiles.len()
        + workloads.len()
        + host_endpoints.len()
        + hosts.len()
        + pools.len()
}

/// The metric's word for what a key is: upstream's type names.
fn kind(key: &str) -> &'static str {
    match Key::parse(key) {
        Some(Key::WorkloadEndpoint { .. }) => "WorkloadEndpointKey",
        Some(Key::HostEndpoint { .. }) => "HostEndpointKey",
        Some(Key::Policy { .. }) => "PolicyKey",
        Some(Key::ProfilePart { part: ProfilePart::Rules, .. }) => "ProfileRulesKey",
        Some(Key::ProfilePart { part: ProfilePart::Tags, .. }) => "ProfileTagsKey",
        Some(Key::ProfilePart { part: ProfilePart::Labels, .. }) => "ProfileLabelsKey",
        Some(Key::IpPool { .. }) => "IPPoolKey",
        Some(Key::NodeBirdIp { .. }) => "HostIPKey",
        Some(_) | None => "other",
    }
}

/// How many of what changes, under upstream's message names.
pub(crate) fn messages(changes: &Changes) -> BTreeMap<&'static str, u64> {
    fn count<K, V>(
        counts: &mut BTreeMap<&'static str, u64>,
        [update, remove]: [&'static str; 2],
        map: &BTreeMap<K, Option<V>>,
    ) {
        for value in map.values() {
            *counts.entry(if value.is_some() { update } else { remove }).or_default() += 1;
        }
    }
    let Changes { sets, policies, profiles, workloads, host_endpoints, hosts, pools } = changes;
    let mut counts = BTreeMap::new();
    for change in sets.values() {
        let name = match change {
            SetChange::Replace(_) => "IPSetUpdate",
            SetChange::Update { .. } => "IPSetDeltaUpdate",
            SetChange::Remove => "IPSetRemove",
        };
        *counts.entry(name).or_default() += 1;
    }
    count(&mut counts, ["ActivePolicyUpdate", "ActivePolicyRemove"], policies);
    count(&mut counts, ["ActiveProfileUpdate", "ActiveProfileRemove"], profiles);
    count(&mut counts, ["WorkloadEndpointUpdate", "WorkloadEndpointRemove"], workloads);
    count(&mut counts, ["HostEndpointUpdate", "HostEndpointRemove"], host_endpoints);
    count(&mut counts, ["HostMetadataUpdate", "HostMetadataRemove"], hosts);
    count(&mut counts, ["IPAMPoolUpdate", "IPAMPoolRemove"], pools);
    counts
}
