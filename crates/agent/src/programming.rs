//! The dataplane's thread: what is wanted in, the kernel as wanted out.
//!
//! One loop: wait for the mailbox, the kernel's notices or a deadline; take everything that has come; commit once. What
//! comes while a commit runs is one change set at the next turn, so the size of a batch follows the kernel's speed and
//! a single change is committed at once.

use std::collections::BTreeMap;
use std::os::fd::{AsFd as _, BorrowedFd};
use std::sync::Arc;
use std::time::{Duration, Instant};

use margay_daemon::{Reporter, Stop};
use margay_dataplane::Config;
use margay_intent::{Changes, WorkloadEndpoint, WorkloadId};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use tracing::{debug, error, info, warn};

use crate::board::{Board, Endpoint, EndpointId, EndpointStatus, KernelCounts};
use crate::calculation::{messages, size};
use crate::instruments::Instruments;
use crate::mailbox::{Mail, Mailbox};

/// How long until a kernel that cannot be spoken to is tried again.
const RETRY: Duration = Duration::from_secs(1);

/// What a commit did.
#[derive(Debug, Clone, Default)]
pub(crate) struct Committed {
    /// Everything that is wanted is in the kernel, but for what is quarantined.
    pub(crate) complete: bool,
    /// Something was written.
    pub(crate) wrote: bool,
    /// How many changes of links and of addresses were taken in before.
    pub(crate) notices: (usize, usize),
    /// Endpoints whose state is another than after the commit before; none = gone.
    pub(crate) endpoints: BTreeMap<EndpointId, Option<EndpointState>>,
    /// Numbers.
    pub(crate) counts: KernelCounts,
    /// What the kernel refused, with the reason.
    pub(crate) quarantined: Vec<(String, String)>,
    /// What went wrong.
    pub(crate) errors: Vec<String>,
    /// What others had changed and was put right, by kind.
    pub(crate) drift: BTreeMap<&'static str, u64>,
}

/// How an endpoint is in the kernel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct EndpointState {
    pub(crate) status: EndpointStatus,
    pub(crate) programmed: bool,
}

/// What the thread drives: the dataplane on a kernel, or a fake in tests.
pub(crate) trait Driver {
    /// Closes the node to traffic of workloads if nothing protects it yet.
    fn guard(&mut self) -> Result<(), String>;
    /// Other parameters from now on.
    fn configure(&mut self, config: Config);
    /// More is wanted.
    fn update(&mut self, changes: Changes);
    /// The first snapshot is complete: from now on the kernel may be written.
    fn in_sync(&mut self);
    /// What to wait for beside the mailbox.
    fn descriptors(&self) -> Vec<BorrowedFd<'_>>;
    /// When to commit even if nothing comes.
    fn deadline(&self) -> Option<Instant>;
    /// Takes what the descriptors have, and makes the kernel as wanted.
    fn commit(&mut self, now: Instant) -> Committed;
}

/// The thread's belongings.
pub(crate) struct Programming {
    pub(crate) mailbox: Arc<Mailbox>,
    pub(crate) board: Arc<Board>,
    pub(crate) instruments: Instruments,
    pub(crate) health: Reporter,
    pub(crate) stop: Stop,
    pub(crate) started: Instant,
    /// For tests: hang after this time.
    pub(crate) hang_after: Option<Duration>,
}

/// What is known of the records of this host's workloads.
type Workloads = BTreeMap<WorkloadId, Arc<WorkloadEndpoint>>;

// === impl Programming ===

impl Programming {
    /// Opens the driver, tries again while it cannot be, and runs until told to stop. The kernel stays as it is then.
    pub(crate) fn run<D: Driver>(mut self, config: Config, open: impl Fn(Config) -> Result<D, String>) {
        let mut config = config;
        let mut mail = Mail::default();
        let mut driver = loop {
            match open(config.clone()).and_then(|mut driver| driver.guard().map(|()| driver)) {
                Ok(driver) => break driver,
                Err(reason) => {
                    error!("the kernel cannot be spoken to: {reason}");
                    self.health.detail(&reason);
                    self.board.lock().kernel_errors = vec![reason];
                }
            }
            wait(&[self.mailbox.as_fd()], Some(RETRY));
            self.gather(&mut mail);
            if mail.stop {
                return;
            }
            config = mail.config.take().unwrap_or(config);
        };
        self.health.detail("waits for the datastore's snapshot");
        let mut workloads = Workloads::new();
        let mut in_sync = false;
        loop {
            if mail.stop {
                return;
            }
            in_sync |= mail.in_sync;
            self.turn(&mut driver, std::mem::take(&mut mail), in_sync, &mut workloads);
            let left = driver.deadline().map(|at| at.saturating_duration_since(Instant::now()));
            let mut descriptors = vec![self.mailbox.as_fd()];
            descriptors.extend(driver.descriptors());
            wait(&descriptors, left);
            self.gather(&mut mail);
        }
    }

    /// Everything that waits, behind what has been taken already.
    fn gather(&self, mail: &mut Mail) {
        let more = self.mailbox.take();
        mail.changes.merge(more.changes);
        mail.in_sync |= more.in_sync;
        mail.config = more.config.or(mail.config.take());
        mail.since = mail.since.or(more.since);
        mail.stop |= more.stop;
    }

    fn turn(&mut self, driver: &mut impl Driver, mail: Mail, in_sync: bool, workloads: &mut Workloads) {
        self.health.work();
        if in_sync && self.hang_after.is_some_and(|after| self.started.elapsed() >= after) {
            warn!("hanging, as DebugSimulateDataplaneHangAfter asks");
            while !self.stop.is_stopped() {
                wait(&[], Some(RETRY));
            }
            return;
        }
        if let Some(config) = mail.config {
            driver.configure(config);
        }
        let count = size(&mail.changes);
        let changed: Vec<WorkloadId> = mail.changes.workloads.keys().cloned().collect();
        for (kind, count) in messages(&mail.changes) {
            self.instruments.messages(kind).add(count);
        }
        for (id, workload) in &mail.changes.workloads {
            match workload {
                Some(workload) => workloads.insert(id.clone(), Arc::clone(workload)),
                None => workloads.remove(id),
            };
        }
        if count > 0 {
            self.instruments.batch_size.observe(count as f64);
            driver.update(mail.changes);
        }
        if mail.in_sync {
            driver.in_sync();
        }
        let begun = Instant::now();
        let committed = driver.commit(begun);
        let took = begun.elapsed();
        self.refresh(&changed, workloads);
        self.publish(&committed, in_sync, took, workloads);
        if let Some(since) = mail.since.filter(|_| committed.complete && count > 0) {
            self.instruments.programming_time.observe_time(since.elapsed());
        }
        // What could not be done is tried again later: the node is not as wanted then, but the thread is not stuck.
        self.health.idle();
        debug!(
            count,
            wrote = committed.wrote,
            complete = committed.complete,
            micros = took.as_micros(),
            "committed"
        );
    }

    /// Takes over records that have changed while their state stayed.
    fn refresh(&self, changed: &[WorkloadId], workloads: &Workloads) {
        let mut known = self.board.lock();
        let mut rings = false;
        for id in changed {
            if let Some(endpoint) = known.endpoints.get_mut(&EndpointId::Workload(id.clone())) {
                endpoint.workload = workloads.get(id).cloned();
                rings = true;
            }
        }
        drop(known);
        if rings {
            self.board.ring_endpoints();
        }
    }

    fn publish(&mut self, committed: &Committed, in_sync: bool, took: Duration, workloads: &Workloads) {
        let instruments = &self.instruments;
        if committed.wrote {
            instruments.nft_calls.increment();
            instruments.commit_time.observe_time(took);
            instruments.apply_time.observe_time(took);
        }
        if in_sync && !committed.complete {
            instruments.failures.increment();
            instruments.nft_errors.add(committed.errors.len() as u64);
        }
        let (links, addresses) = committed.notices;
        for (summary, count) in
            [(&instruments.link_batch_size, links), (&instruments.address_batch_size, addresses)]
        {
            if count > 0 {
                summary.observe(count as f64);
            }
        }
        let counts = &committed.counts;
        for (name, about, count) in [
            ("felix_nft_chains", "Number of nftables chains of ours.", counts.chains),
            ("felix_nft_rules", "Number of nftables rules of ours.", counts.rules),
            ("felix_nft_sets", "Number of nftables sets of ours.", counts.sets),
            ("felix_route_table_num_routes", "Number of routes of ours.", counts.routes),
            ("felix_nft_elements", "Number of elements of nftables maps and sets of ours.", counts.elements),
        ] {
            instruments.kernel_count(name, about, count);
        }
        instruments.quarantined.set_count(committed.quarantined.len());
        for (kind, count) in &committed.drift {
            warn!(kind, count, "what others changed was put right");
            instruments.drift_events(kind).add(*count);
        }
        let rings = self.publish_on_board(committed, in_sync, took, workloads);
        if rings {
            self.board.ring_endpoints();
        }
        let detail = match (in_sync, committed.errors.first()) {
            (false, _) => "waits for the datastore's snapshot",
            (true, Some(error)) => error,
            (true, None) => "",
        };
        self.health.detail(detail);
    }

    /// True when endpoints have changed, or everything is in the kernel for the first time.
    fn publish_on_board(
        &mut self,
        committed: &Committed,
        in_sync: bool,
        took: Duration,
        workloads: &Workloads,
    ) -> bool {
        let mut known = self.board.lock();
        let mut rings = !committed.endpoints.is_empty();
        for (id, state) in &committed.endpoints {
            let Some(EndpointState { status, programmed }) = state else {
                known.endpoints.remove(id);
                continue;
            };
            let workload = match id {
                EndpointId::Workload(id) => workloads.get(id).cloned(),
                EndpointId::Host(_) => None,
            };
            let endpoint = Endpoint { status: *status, programmed: *programmed, workload };
            known.endpoints.insert(id.clone(), endpoint);
        }
        if in_sync {
            let at = known.last_commit.map(|(at, _)| at).filter(|_| !committed.wrote);
            known.last_commit = Some((at.unwrap_or_else(Instant::now), committed.complete));
        }
        if committed.wrote {
            known.commits += 1;
            known.last_commit_micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        }
        known.counts.clone_from(&committed.counts);
        for (name, reason) in &committed.quarantined {
            if !known.quarantined.iter().any(|(quarantined, _)| quarantined == name) {
                error!(name, reason, "refused by the kernel, closed instead");
            }
        }
        known.quarantined.clone_from(&committed.quarantined);
        for reason in &committed.errors {
            if !known.kernel_errors.contains(reason) {
                error!("programming is incomplete: {reason}");
            }
        }
        if committed.errors.is_empty() && !known.kernel_errors.is_empty() {
            info!("programming is complete again");
        }
        known.kernel_errors.clone_from(&committed.errors);
        known.drift += committed.drift.values().sum::<u64>();
        if in_sync && committed.complete && !known.programmed_once {
            known.programmed_once = true;
            rings = true;
            let took = self.started.elapsed();
            self.instruments.initial_time.set(took.as_secs_f64());
            self.health.set_ready(true);
            info!(seconds = took.as_secs_f64(), "the kernel is as wanted");
        }
        rings
    }
}

// === helpers ===

/// Waits for a descriptor, or the time.
fn wait(descriptors: &[BorrowedFd<'_>], time: Option<Duration>) {
    let mut polled: Vec<PollFd<'_>> =
        descriptors.iter().map(|fd| PollFd::from_borrowed_fd(*fd, PollFlags::IN)).collect();
    let time = time.map(|time| Timespec {
        tv_sec: i64::try_from(time.as_secs()).unwrap_or(i64::MAX),
        tv_nsec: i64::from(time.subsec_nanos()),
    });
    // Woken for nothing is as good as woken in time: the caller looks anyway.
    let _ = poll(&mut polled, time.as_ref());
}

#[cfg(test)]
mod tests;
