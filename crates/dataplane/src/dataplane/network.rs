//! Links, routes, neighbours, settings, the tunnel and tracked flows.

use std::collections::BTreeSet;
use std::time::Instant;

use margay_kernel::{Flows, Interfaces, RefusalKind, Rtnetlink, SysctlError, Sysctls};
use margay_net::{IfName, IpVersion};
use margay_wiring::{HOST_SETTINGS, Importance, Moment};

use super::commit::chain_of;
use super::{Dataplane, PLUGIN_GRACE, Unrecorded};
use crate::actual::{Actual, Presence};
use crate::machine::Machine;
use crate::model::Model;
use crate::report::Report;
use crate::tunnel;

impl<M: Machine> Dataplane<M> {
    /// Lists links and addresses where nothing is known of them.
    pub(super) fn list_links(&mut self, report: &mut Report) {
        if !self.links_unknown {
            return;
        }
        let network = self.machine.network();
        let listed = network.links().and_then(|links| Ok((links, network.addresses()?)));
        match listed {
            Ok((links, addresses)) => {
                for event in self.interfaces.resync(links, &addresses) {
                    self.model.link_event(&event);
                }
                self.links_unknown = false;
                self.model.routes.recheck();
            }
            Err(error) => report.errors.push(chain_of(&error)),
        }
    }

    /// Compares the kernel's routes where that is due.
    pub(super) fn compare_routes(&mut self, now: Instant, report: &mut Report) {
        if self.note_unrecorded(now) {
            self.model.routes.recheck();
        }
        let Model { routes, view, config, .. } = &mut self.model;
        let unrecorded = &self.unrecorded;
        let spare = |name: &IfName| unrecorded.get(name).is_some_and(|seen| seen.spared);
        let network = self.machine.network();
        match routes.compare(network, view, |name| config.is_workload(name), spare) {
            Ok((checked, outcome)) => {
                report.drift.routes += checked.missing.len();
                report.requests += outcome.sent;
                report.errors.extend(outcome.refused.iter().map(ToString::to_string));
            }
            Err(error) => report.errors.push(chain_of(&error)),
        }
    }

    /// Notes workload interfaces that no record names; true when one of them is no longer spared.
    fn note_unrecorded(&mut self, now: Instant) -> bool {
        let over = |seen: &Unrecorded| seen.spared && seen.since + PLUGIN_GRACE <= now;
        if !std::mem::take(&mut self.model.unrecorded_changed) && !self.unrecorded.values().any(over) {
            return false;
        }
        let Model { view, config, .. } = &self.model;
        let present: BTreeSet<IfName> = view
            .interfaces
            .keys()
            .filter(|name| config.is_workload(name) && self.model.owner_of(name).is_none())
            .copied()
            .collect();
        let before = self.unrecorded.len();
        self.unrecorded.retain(|name, _| present.contains(name));
        let mut changed = before != self.unrecorded.len();
        for name in present {
            let seen = self.unrecorded.entry(name).or_insert(Unrecorded { since: now, spared: true });
            if over(seen) {
                seen.spared = false;
                changed = true;
            }
        }
        changed
    }

    /// Takes routes away before the policy of their endpoints goes.
    pub(super) fn withdraw_routes(&mut self, report: &mut Report) {
        let Model { routes, view, .. } = &mut self.model;
        match routes.withdraw(self.machine.network(), view) {
            Ok(outcome) => {
                report.requests += outcome.sent;
                report.errors.extend(outcome.refused.iter().map(ToString::to_string));
            }
            Err(error) => {
                self.model.routes.recheck();
                report.errors.push(chain_of(&error));
            }
        }
    }

    /// Routes to endpoints whose policy stands.
    pub(super) fn install_routes(&mut self, report: &mut Report) {
        let programmed: BTreeSet<IfName> = self
            .model
            .routes
            .dirty_interfaces()
            .into_iter()
            .filter(|interface| is_programmed(&self.actual, &self.model, interface))
            .collect();
        let Model { routes, view, .. } = &mut self.model;
        match routes.install(self.machine.network(), view, |interface| programmed.contains(interface)) {
            Ok(outcome) => {
                report.requests += outcome.sent;
                report.errors.extend(outcome.refused.iter().map(ToString::to_string));
            }
            Err(error) => {
                self.model.routes.recheck();
                report.errors.push(chain_of(&error));
            }
        }
    }

    /// Settings of interfaces that run and have an endpoint.
    pub(super) fn keep_settings(&mut self, report: &mut Report) {
        let due = std::mem::take(&mut self.model.settings);
        let failed: Vec<IfName> = self.setting_faults.keys().copied().collect();
        for interface in due.into_iter().chain(failed).collect::<BTreeSet<_>>() {
            let fault = self.keep_settings_of(&interface, report);
            let before = match &fault {
                Some(fault) => self.setting_faults.insert(interface, fault.clone()),
                None => self.setting_faults.remove(&interface),
            };
            report.errors.extend(fault.clone());
            if before != fault {
                self.model.restate_interface(&interface);
            }
        }
    }

    /// What went wrong that the endpoint can not do without.
    fn keep_settings_of(&mut self, interface: &IfName, report: &mut Report) -> Option<String> {
        if !self.model.view.is_running(interface) {
            return None;
        }
        let endpoint = self.model.owner_of(interface).and_then(|id| self.model.workloads().get(id))?;
        if !endpoint.active || !self.model.config.is_workload(interface) {
            return None;
        }
        let has = |version| endpoint.nets.iter().any(|net| net.version() == version);
        let (v4, v6) = (has(IpVersion::V4), has(IpVersion::V6) && self.model.config.ipv6);
        let settings = self.machine.settings();
        let mut fault = None;
        for setting in HOST_SETTINGS.iter().filter(|s| s.moment == Moment::Always && s.applies(v4, v6)) {
            match settings.set(&setting.sysctl(interface), setting.value) {
                Ok(written) => report.settings += usize::from(written),
                // A kernel without the family has none of its settings, and nothing to set.
                Err(SysctlError::Missing { .. }) if setting.always => {}
                Err(error) if setting.importance == Importance::Required => {
                    fault.get_or_insert(chain_of(&error));
                }
                Err(_) => {}
            }
        }
        fault
    }

    /// The IPIP device.
    pub(super) fn keep_tunnel(&mut self, report: &mut Report) {
        if !std::mem::take(&mut self.tunnel_unknown) {
            return;
        }
        let Some(ipip) = self.model.config.ipip else { return };
        match tunnel::keep(self.machine.network(), &ipip) {
            Ok(tunnel) => {
                report.requests += tunnel.sent;
                let (lacking, refused): (Vec<_>, Vec<_>) = tunnel
                    .refused
                    .into_iter()
                    .partition(|refusal| refusal.kind() == RefusalKind::Unsupported);
                // A kernel does not learn; it is asked again at the next full check.
                let fault = lacking.first().map(|refusal| format!("this kernel can not do it: {refusal}"));
                self.quarantine_changed |= fault != self.tunnel_fault;
                self.tunnel_fault = fault;
                self.tunnel_unknown = !refused.is_empty();
                report.errors.extend(refused.iter().map(ToString::to_string));
            }
            Err(error) => {
                self.tunnel_unknown = true;
                report.errors.push(chain_of(&error));
            }
        }
    }

    /// Tracked flows of addresses that left or moved.
    pub(super) fn forget_flows(&mut self, report: &mut Report) {
        let addresses = self.model.routes.take_forgotten();
        if addresses.is_empty() {
            return;
        }
        match self.machine.flows().forget(&addresses) {
            Ok(count) => report.forgotten += count,
            Err(error) => {
                self.model.routes.put_forgotten(addresses);
                report.errors.push(chain_of(&error));
            }
        }
    }

    /// The interfaces as the kernel has them.
    #[must_use]
    pub fn interfaces(&self) -> &Interfaces {
        &self.interfaces
    }
}

/// True when the kernel holds everything that an interface should have in the table.
pub(super) fn is_programmed(actual: &Actual, model: &Model, interface: &IfName) -> bool {
    actual.presence == Presence::Ours
        && model.keys_of(interface).all(|(set, key)| {
            let there = actual.elements.get(set).and_then(|elements| elements.get(key));
            there == model.desired.element(*set, key)
        })
}
