//! [`Kernel`]: the dataplane on this network namespace, as the thread drives it.
//!
//! The sockets that tell of changes are opened before anything is listed, so nothing falls between the two.

use std::collections::BTreeMap;
use std::os::fd::{AsFd as _, BorrowedFd};
use std::time::{Duration, Instant};

use margay_dataplane::felix::Programs;
use margay_dataplane::{
    Config, Dataplane, Drift, EndpointId as Id, EndpointState as State, Guard, LiveMachine, Report,
};
use margay_intent::Changes;
use margay_kernel::nft::{Family, Monitor, Notice as TableNotice, TableId};
use margay_kernel::{Monitor as _, Notice, RtMonitor};
use tracing::{debug, info, warn};

use crate::board::{EndpointId, EndpointStatus, KernelCounts};
use crate::programming::{Committed, Driver, EndpointState};
use crate::source::chain;

/// The dataplane with everything that it listens to.
pub(crate) struct Kernel {
    dataplane: Dataplane<LiveMachine>,
    links: RtMonitor,
    tables: Monitor,
    deadline: Option<Instant>,
    quarantined: Vec<(String, String)>,
    /// How many routes there should be, as of the last commit that changed some.
    routes: usize,
    in_sync: bool,
    /// Felix's rules have been looked for, once ours stood.
    took_over: bool,
}

/// Opens everything; nothing is written.
pub(crate) fn open(config: Config, timeout: Duration) -> Result<Kernel, String> {
    let links = RtMonitor::open().map_err(|error| chain(&error))?;
    let machine = LiveMachine::open(timeout).map_err(|error| chain(&error))?;
    let tables = Monitor::open(machine.tables.port()).map_err(|error| chain(&error))?;
    let dataplane = Dataplane::new(config, machine);
    Ok(Kernel {
        dataplane,
        links,
        tables,
        deadline: None,
        quarantined: Vec::new(),
        routes: 0,
        in_sync: false,
        took_over: false,
    })
}

// === impl Kernel ===

impl Driver for Kernel {
    fn guard(&mut self) -> Result<(), String> {
        match self.dataplane.guard() {
            Ok(Guard::Loaded) => {
                info!("no rules stand yet: traffic of workloads waits until policy is known")
            }
            Ok(Guard::TableStands) => info!("rules of an earlier run stand"),
            Ok(Guard::FelixStands) => info!("Felix's rules stand; they go on to govern until ours do"),
            Ok(Guard::Off) => {}
            Err(error) => return Err(chain(&error)),
        }
        Ok(())
    }

    fn configure(&mut self, config: Config) {
        self.dataplane.reconfigure(config);
    }

    fn update(&mut self, changes: Changes) {
        self.dataplane.update(changes);
    }

    fn in_sync(&mut self) {
        self.in_sync = true;
        self.dataplane.in_sync();
    }

    fn descriptors(&self) -> Vec<BorrowedFd<'_>> {
        vec![self.links.as_fd(), self.tables.as_fd()]
    }

    fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    fn commit(&mut self, now: Instant) -> Committed {
        let notices = self.listen();
        self.listen_to_tables();
        let report = self.dataplane.commit(now);
        self.deadline = report.deadline;
        if report.quarantine_changed {
            let quarantine = self.dataplane.quarantine();
            self.quarantined = quarantine.into_iter().map(|object| (object.what, object.why)).collect();
        }
        if report.requests > 0 {
            // It walks over all sets, too.
            self.routes = self.dataplane.sizes().0;
        }
        let committed = self.committed(report, notices);
        if committed.complete && !self.took_over {
            self.took_over = true;
            self.take_over();
        }
        committed
    }
}

impl Kernel {
    /// Takes what the kernel has said meanwhile; returns how much of it was of links and of addresses.
    fn listen(&mut self) -> (usize, usize) {
        let mut counts = (0, 0);
        match self.links.receive() {
            Ok(notices) => {
                for notice in &notices {
                    match notice {
                        Notice::Link(_) | Notice::LinkGone(_) => counts.0 += 1,
                        Notice::Address(_) | Notice::AddressGone(_) => counts.1 += 1,
                        Notice::Route(_) | Notice::RouteGone(_) | Notice::Overrun => {}
                    }
                    self.dataplane.link_event(notice);
                }
            }
            Err(error) => {
                warn!("listening to the kernel failed, everything is looked at anew: {}", chain(&error));
                self.dataplane.resync();
                if let Ok(links) = RtMonitor::open() {
                    self.links = links;
                }
            }
        }
        counts
    }

    /// Takes what others have done to tables.
    fn listen_to_tables(&mut self) {
        match self.tables.read() {
            Ok(None) => {}
            Ok(Some(notice)) => {
                if let TableNotice::Changed(changes) = &notice {
                    for change in changes.iter().filter(|change| is_ours(&change.table)) {
                        info!(program = change.program, "our table was changed by another program");
                    }
                }
                // Others' tables count too: they say which generation is still known.
                self.dataplane.nft_event(&notice);
            }
            Err(error) => {
                warn!("listening to nftables failed, the table is read anew: {}", chain(&error));
                self.dataplane.table_changed();
                let port = self.dataplane.machine().tables.port();
                if let Ok(tables) = Monitor::open(port) {
                    self.tables = tables;
                }
            }
        }
    }

    fn committed(&self, report: Report, notices: (usize, usize)) -> Committed {
        let counts = self.dataplane.counts();
        let endpoints = report.endpoints.iter().map(|(id, state)| (id_of(id), state.map(state_of))).collect();
        Committed {
            complete: self.in_sync && report.errors.is_empty(),
            wrote: report.wrote(),
            notices,
            endpoints,
            counts: KernelCounts {
                programmes: counts.programs,
                sets: counts.sets,
                chains: counts.chains,
                rules: counts.rules,
                elements: counts.elements,
                routes: self.routes,
            },
            quarantined: self.quarantined.clone(),
            drift: drift_of(&report.drift),
            errors: report.errors,
        }
    }

    /// Removes what Felix left, now that our rules stand (`spec/agent.md` 13.5).
    fn take_over(&mut self) {
        match self.dataplane.felix_stands() {
            Ok(false) => return,
            Ok(true) => {}
            Err(error) => {
                warn!("looking for Felix's rules failed: {}", chain(&error));
                return;
            }
        }
        info!("our rules stand: Felix's are removed");
        let cleaned = self.dataplane.cleanup_felix(&mut Programs);
        for removed in &cleaned.removed {
            debug!(removed, "of Felix");
        }
        for failed in &cleaned.failed {
            warn!("something of Felix's stays, see 'margay cleanup --felix': {failed}");
        }
    }
}

// === helpers ===

/// The one table that is ours.
fn is_ours(table: &TableId) -> bool {
    table.family == Family::Inet && table.name.as_str() == "calico"
}

fn id_of(id: &Id) -> EndpointId {
    match id {
        Id::Workload(id) => EndpointId::Workload(id.clone()),
        Id::Host(id) => EndpointId::Host(id.clone()),
    }
}

fn state_of(state: State) -> EndpointState {
    let status = match state {
        State::Up => EndpointStatus::Up,
        State::Down => EndpointStatus::Down,
        State::Error => EndpointStatus::Error,
    };
    // Up says that policy is in the kernel; what is down or wrong is not waited for.
    EndpointState { status, programmed: state == State::Up }
}

fn drift_of(drift: &Drift) -> BTreeMap<&'static str, u64> {
    let Drift { table, chains, sets, elements, routes } = drift;
    [("table", table), ("chain", chains), ("set", sets), ("element", elements), ("route", routes)]
        .into_iter()
        .filter(|(_, count)| **count > 0)
        .map(|(kind, count)| (kind, *count as u64))
        .collect()
}
