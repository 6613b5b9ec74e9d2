//! The dataplane: a [`Model`] of what should be, a [`Machine`] that is, and the work between the two.
//!
//! `docs/design/dataplane.md` says what must stay true. No thread and no clock in here: whoever owns it calls
//! [`Dataplane::commit`] after changes, events and deadlines.

mod cleanup;
mod commit;
mod guard;
mod network;
mod plan;
mod status;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use margay_intent::Changes;
use margay_kernel::nft::{self, Batch, Features, Nftables};
use margay_kernel::{Interfaces, Notice, Route};
use margay_net::IfName;

use crate::actual::Actual;
use crate::config::Config;
use crate::desired::Counts;
use crate::machine::Machine;
use crate::model::Model;
use crate::render::fixed;
use crate::report::{Drift, EndpointId, EndpointState, Report};

use self::commit::next_generation;

pub use cleanup::CleanupError;
pub use guard::{Guard, GuardError};
pub use plan::PlanError;

/// The first wait before something is tried again; it doubles.
const FIRST_RETRY: Duration = Duration::from_millis(100);
/// The longest wait before something is tried again.
const LONGEST_RETRY: Duration = Duration::from_secs(10);
/// How long a route of Felix's protocol is left alone on an interface that no record names: a plugin may have put it
/// there, and the record is on its way.
const PLUGIN_GRACE: Duration = Duration::from_secs(10);

/// The shortest time between two looks at a table that others keep changing.
const VERIFY_PAUSE: Duration = Duration::from_millis(100);

/// Keeps one network namespace as intents say.
#[derive(Debug)]
pub struct Dataplane<M> {
    model: Model,
    machine: M,
    features: Features,
    actual: Actual,
    batch: Batch,
    interfaces: Interfaces,
    in_sync: bool,
    /// The generation of all tables, as far as it is known that until then nobody else changed ours.
    generation: Option<u32>,
    /// When the table is to be sealed.
    seal_due: Option<Instant>,
    /// The table is to be read before the next batch.
    verify: bool,
    /// Somebody else changed the table. It is read soon, but not without end: see [`VERIFY_PAUSE`].
    suspicion: bool,
    last_verified: Option<Instant>,
    /// What this kernel lacks for the tunnel, in words.
    tunnel_fault: Option<String>,
    /// Links and addresses are to be listed.
    links_unknown: bool,
    tunnel_unknown: bool,
    /// When interfaces without a record were first seen.
    unrecorded: BTreeMap<IfName, Unrecorded>,
    states: BTreeMap<EndpointId, EndpointState>,
    /// Settings that would not be made, in words, by interface.
    setting_faults: BTreeMap<IfName, String>,
    quarantine_changed: bool,
    retry: Retry,
    next_check: Option<Instant>,
    drift_total: Drift,
}

/// A workload interface that no record names.
#[derive(Debug, Clone, Copy)]
struct Unrecorded {
    since: Instant,
    /// Its routes are left alone for a while.
    spared: bool,
}

/// When to try again.
#[derive(Debug, Clone, Copy, Default)]
struct Retry {
    at: Option<Instant>,
    wait: Duration,
}

// === impl Dataplane ===

impl<M: Machine> Dataplane<M> {
    /// A dataplane that has not touched the machine yet.
    pub fn new(config: Config, mut machine: M) -> Self {
        let features = machine.tables().features();
        Self {
            model: Model::new(config, features),
            batch: Batch::new(fixed::table_id(), features),
            machine,
            features,
            actual: Actual::default(),
            interfaces: Interfaces::default(),
            in_sync: false,
            generation: None,
            seal_due: None,
            verify: true,
            suspicion: false,
            last_verified: None,
            tunnel_fault: None,
            links_unknown: true,
            tunnel_unknown: true,
            unrecorded: BTreeMap::new(),
            states: BTreeMap::new(),
            setting_faults: BTreeMap::new(),
            quarantine_changed: false,
            retry: Retry::default(),
            next_check: None,
            drift_total: Drift::default(),
        }
    }

    /// Takes changed intents in; nothing is written.
    pub fn update(&mut self, changes: Changes) {
        self.model.update(changes);
    }

    /// From now on intents are complete: [`Dataplane::commit`] may write.
    pub fn in_sync(&mut self) {
        self.in_sync = true;
    }

    /// Takes another configuration; nothing is written.
    pub fn reconfigure(&mut self, config: Config) {
        if self.model.config != config {
            self.model.reconfigure(config);
            self.tunnel_unknown = true;
        }
    }

    /// The configuration.
    pub fn config(&self) -> &Config {
        &self.model.config
    }

    /// Takes in what the kernel says about links, addresses and routes.
    pub fn link_event(&mut self, notice: &Notice) {
        match notice {
            Notice::Overrun => self.links_unknown = true,
            Notice::Route(route) => self.model.routes.route_changed(route, false),
            Notice::RouteGone(route) => self.model.routes.route_changed(route, true),
            Notice::Link(link) => self.tunnel_unknown |= link.name == crate::tunnel::name(),
            Notice::Address(address) | Notice::AddressGone(address) => {
                let tunnel = self.interfaces.link(address.link);
                self.tunnel_unknown |= tunnel.is_some_and(|link| link.name == crate::tunnel::name());
            }
            Notice::LinkGone(_) => self.tunnel_unknown = true,
        }
        for event in self.interfaces.apply(notice) {
            self.model.link_event(&event);
        }
    }

    /// Takes in what the kernel says about tables; changes of others' tables do not count.
    pub fn nft_event(&mut self, notice: &nft::Notice) {
        match notice {
            nft::Notice::Overrun => self.table_changed(),
            nft::Notice::Changed(changes) => {
                let ours = fixed::table_id();
                for change in changes {
                    if change.table == ours {
                        self.table_changed();
                    } else if self.generation.is_some_and(|known| next_generation(known) == change.generation)
                    {
                        // Others' tables are others' affair, but they count along.
                        self.generation = Some(change.generation);
                    }
                }
            }
        }
    }

    /// Somebody else changed our table, or notifications were lost: it is read and repaired by the next commit.
    pub fn table_changed(&mut self) {
        self.generation = None;
        self.suspicion = true;
    }

    /// Nothing is known of the kernel any more: the next commit reads everything.
    pub fn resync(&mut self) {
        self.verify = true;
        self.links_unknown = true;
        self.tunnel_unknown = true;
        self.model.routes.recheck();
    }

    /// The machine.
    pub fn machine(&mut self) -> &mut M {
        &mut self.machine
    }

    /// How many objects the table should hold.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.model.desired.counts()
    }

    /// The number of routes that should stand, and of members of all sets.
    #[must_use]
    pub fn sizes(&self) -> (usize, usize) {
        (self.model.routes.len(), self.model.sets.len())
    }

    /// Others' routes on workload interfaces, seen at the last comparison; they are left alone.
    pub fn foreign_routes(&self) -> impl Iterator<Item = &Route> {
        self.model.routes.foreign()
    }

    /// The states of all endpoints, as last reported.
    #[must_use]
    pub fn states(&self) -> &BTreeMap<EndpointId, EndpointState> {
        &self.states
    }

    /// What others had changed since the start.
    #[must_use]
    pub fn drift(&self) -> Drift {
        self.drift_total
    }

    /// Does everything that is to be done, in the order of `spec/agent.md` 13.9.
    pub fn commit(&mut self, now: Instant) -> Report {
        let mut report = Report::default();
        if !self.in_sync {
            return report;
        }
        let refresh = self.model.config.refresh;
        if !refresh.is_zero() {
            match self.next_check {
                Some(at) if at > now => {}
                at => {
                    if at.is_some() {
                        self.resync();
                    }
                    self.next_check = Some(now + refresh);
                }
            }
        }
        if self.suspicion && self.last_verified.is_none_or(|at| at + VERIFY_PAUSE <= now) {
            self.verify = true;
        }
        if self.verify {
            self.last_verified = Some(now);
            self.suspicion = false;
        }
        self.list_links(&mut report);
        self.model.settle();
        self.compare_routes(now, &mut report);
        self.withdraw_routes(&mut report);
        self.write_table(now, &mut report);
        // Before the way to the next owner of an address is open: a flow that is known would take it past policy.
        self.forget_flows(&mut report);
        self.install_routes(&mut report);
        self.keep_settings(&mut report);
        self.keep_tunnel(&mut report);
        self.restate(&mut report);
        self.renew_seal(now);
        self.conclude(now, &mut report);
        report
    }

    /// Closes the report: what is left to do, and when.
    fn conclude(&mut self, now: Instant, report: &mut Report) {
        report.quarantine_changed |= std::mem::take(&mut self.quarantine_changed);
        report.quarantine_changed |= std::mem::take(&mut self.model.faults_changed);
        add(&mut self.drift_total, &report.drift);
        self.retry = if report.errors.is_empty() {
            Retry::default()
        } else {
            let wait = (self.retry.wait * 2).clamp(FIRST_RETRY, LONGEST_RETRY);
            Retry { at: Some(now + wait), wait }
        };
        let grace =
            self.unrecorded.values().filter(|seen| seen.spared).map(|seen| seen.since + PLUGIN_GRACE).min();
        let look = self.last_verified.filter(|_| self.suspicion).map(|at| at + VERIFY_PAUSE);
        report.deadline =
            [self.retry.at, self.next_check, self.seal_due, grace, look].into_iter().flatten().min();
    }

    /// True when a commit would find something to do; false while nothing has changed.
    #[must_use]
    pub fn is_pending(&self) -> bool {
        self.verify
            || self.suspicion
            || self.links_unknown
            || self.model.is_pending()
            || !self.model.desired.dirty.is_empty()
            || self.model.sets.is_pending(&self.model.desired)
            || self.model.routes.is_pending()
    }
}

/// Adds what was found to what had been.
fn add(total: &mut Drift, found: &Drift) {
    let Drift { table, chains, sets, elements, routes } = found;
    total.table += table;
    total.chains += chains;
    total.sets += sets;
    total.elements += elements;
    total.routes += routes;
}
