//! States of endpoints, and what is in quarantine.

use margay_intent::{HostEndpointId, WorkloadEndpoint, WorkloadId};

use super::Dataplane;
use super::network::is_programmed;
use crate::machine::Machine;
use crate::names::ChainKey;
use crate::report::{EndpointId, EndpointState, Quarantined, Report};
use crate::tunnel;

impl<M: Machine> Dataplane<M> {
    /// Works out the states that may be others.
    pub(super) fn restate(&mut self, report: &mut Report) {
        for id in std::mem::take(&mut self.model.restated) {
            let state = match &id {
                EndpointId::Workload(workload) => self
                    .model
                    .workloads()
                    .get(workload)
                    .map(|endpoint| self.workload_state(workload, endpoint)),
                EndpointId::Host(host) => {
                    self.model.host_endpoints().contains_key(host).then(|| self.host_state(host))
                }
            };
            let before = match state {
                Some(state) => self.states.insert(id.clone(), state),
                None => self.states.remove(&id),
            };
            if before != state {
                report.endpoints.insert(id, state);
            }
        }
    }

    fn workload_state(&self, id: &WorkloadId, endpoint: &WorkloadEndpoint) -> EndpointState {
        let interface = &endpoint.interface;
        let wrong = !self.model.is_owner(id, interface)
            || self.model.blocked().contains(interface)
            || self.setting_faults.contains_key(interface);
        if wrong {
            return EndpointState::Error;
        }
        let works = endpoint.active
            && self.model.view.is_running(interface)
            && is_programmed(&self.actual, &self.model, interface);
        if works { EndpointState::Up } else { EndpointState::Down }
    }

    fn host_state(&self, id: &HostEndpointId) -> EndpointState {
        let mut interfaces = self.model.owners().interfaces_of(&self.model.view, id).peekable();
        if interfaces.peek().is_none() {
            return EndpointState::Error;
        }
        let mut all = true;
        for (name, interface) in interfaces {
            if self.model.blocked().contains(name) {
                return EndpointState::Error;
            }
            all &= interface.running && is_programmed(&self.actual, &self.model, name);
        }
        if all { EndpointState::Up } else { EndpointState::Down }
    }

    /// Everything that is not as its record says.
    #[must_use]
    pub fn quarantine(&self) -> Vec<Quarantined> {
        let mut list = Vec::new();
        let mut put = |what: String, why: &str| list.push(Quarantined { what, why: why.to_owned() });
        for (name, key) in self.model.desired.refused() {
            let what = match key {
                Some(ChainKey::Policy { id, .. }) => format!("policy {id}"),
                Some(ChainKey::Profile { id, .. }) => format!("profile {id}"),
                Some(ChainKey::Program(_)) | None => format!("chain {name}"),
            };
            put(what, "the kernel refuses its rules; it drops everything that reaches it");
        }
        for interface in self.model.blocked() {
            put(format!("interface {interface}"), "the kernel refuses what it should have; it is closed");
        }
        for (id, faults) in self.model.faults() {
            for (address, fault) in faults {
                put(
                    format!("address {address} of endpoint {id}"),
                    &format!("it {}; it is not used", fault.text()),
                );
            }
        }
        for (id, endpoint) in self.model.workloads() {
            let interface = &endpoint.interface;
            if !self.model.config.is_workload(interface) {
                put(format!("endpoint {id}"), &format!("{interface} is no workload's interface by its name"));
            } else if let Some(owner) = self.model.owner_of(interface).filter(|owner| *owner != id) {
                put(format!("endpoint {id}"), &format!("{interface} belongs to endpoint {owner}"));
            }
        }
        for (interface, fault) in &self.setting_faults {
            put(format!("interface {interface}"), fault);
        }
        if let Some(fault) = &self.tunnel_fault {
            put(format!("tunnel {}", tunnel::name()), fault);
        }
        list.sort();
        list.dedup();
        list
    }
}
