//! One host among the records: its endpoints, interfaces and parameters.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use margay_intent::{Direction, HostEndpointId, HostName, PolicyId, ProfileId};
use margay_net::{Cidr, IfName};

use super::packet::{Packet, Path, protocol};
use super::records::Records;
use super::settings::Settings;
use super::trace::{EndpointId, Evaluation};
use crate::record::{List, Policy};

/// Where OpenStack's workloads look for their metadata.
const METADATA: ([u8; 4], u16) = ([169, 254, 169, 254], 80);

/// Everything that the verdicts of one host depend on.
#[derive(Debug, Clone)]
pub struct World {
    /// What the datastore holds.
    pub records: Arc<Records>,
    /// The name of the host.
    pub host: HostName,
    /// The interfaces of the host that are not workloads', with their addresses.
    pub interfaces: BTreeMap<IfName, Vec<IpAddr>>,
    /// The parameters of its agent.
    pub settings: Settings,
}

/// An endpoint of the host, as far as a verdict needs it.
#[derive(Clone)]
pub(super) struct Endpoint<'w> {
    pub(super) id: EndpointId,
    own_labels: &'w [(Arc<str>, Arc<str>)],
    pub(super) profiles: &'w [ProfileId],
    pub(super) up: bool,
}

// === impl World ===

impl World {
    /// Follows a packet through the host.
    #[must_use]
    pub fn evaluate(&self, packet: &Packet, path: &Path) -> Evaluation {
        super::walk::follow(self, packet, path)
    }

    /// Whether an interface has the name of a workload's.
    #[must_use]
    pub fn is_workload(&self, interface: &IfName) -> bool {
        let name = interface.as_str();
        self.settings.interface_prefixes.iter().any(|prefix| name.starts_with(&**prefix))
    }

    /// The workload interface of this host behind which an address is.
    #[must_use]
    pub fn interface_of(&self, address: IpAddr) -> Option<IfName> {
        let local = self.records.workloads.iter().filter(|((host, _), _)| *host == self.host);
        let mut owners =
            local.filter(|(_, workload)| workload.nets.iter().any(|net| net.contains_ip(address)));
        owners.next().map(|(_, workload)| workload.interface)
    }

    /// Whether the host itself has an address.
    #[must_use]
    pub fn is_local(&self, address: IpAddr) -> bool {
        self.interfaces.values().flatten().any(|local| *local == address)
    }

    /// Where a packet that comes in goes to after translation: floating addresses, metadata, others' rules.
    #[must_use]
    pub fn translate(&self, packet: &Packet) -> Packet {
        if let Some((address, port)) = packet.translated {
            return packet.sent_to(address, port);
        }
        let to = (packet.destination, packet.ports.map(|(_, to)| to));
        if let Some((address, port)) = self.settings.metadata
            && packet.protocol == protocol::TCP
            && to == (METADATA.0.into(), Some(METADATA.1))
        {
            return packet.sent_to(address, Some(port));
        }
        self.translate_outgoing(packet)
    }

    /// Where a packet of the host itself goes to after translation: floating addresses.
    pub(super) fn translate_outgoing(&self, packet: &Packet) -> Packet {
        let local = self.records.workloads.iter().filter(|((host, _), _)| *host == self.host);
        let nats = local.flat_map(|(_, workload)| workload.nats.iter());
        let inner = nats.filter(|nat| nat.external == packet.destination).map(|nat| nat.internal);
        // Of several endpoints with one floating address the lowest inner address gets it, in the order of texts.
        match inner.min_by_key(ToString::to_string) {
            Some(inner) => packet.sent_to(inner, None),
            None => Packet { translated: None, ..*packet },
        }
    }

    /// The policies of one list that govern an endpoint in one direction, in order.
    #[must_use]
    pub fn policies_of(&self, id: &EndpointId, direction: Direction, list: List) -> Vec<PolicyId> {
        let Some(endpoint) = self.endpoint(id) else { return Vec::new() };
        let policies = self.policies(&endpoint, direction, list);
        policies.into_iter().map(|(id, _)| id.clone()).collect()
    }

    /// The host endpoint that owns an interface (`spec/policy.md` 7.7).
    #[must_use]
    pub fn owner_of(&self, interface: &IfName) -> Option<HostEndpointId> {
        if self.is_workload(interface) {
            return None;
        }
        let addresses = self.interfaces.get(interface).map_or(&[][..], Vec::as_slice);
        let local = self.records.host_endpoints.iter().filter(|((host, _), _)| *host == self.host);
        let mut owners = local.filter(|(_, endpoint)| match &endpoint.interface {
            Some(name) => name == interface,
            None => endpoint.addresses.iter().any(|address| addresses.contains(address)),
        });
        owners.next().map(|((_, id), _)| id.clone())
    }

    pub(super) fn host_endpoint_of(&self, interface: &IfName) -> Option<Endpoint<'_>> {
        self.owner_of(interface).and_then(|id| self.endpoint(&EndpointId::Host(id)))
    }

    /// The workload endpoint of an interface: of several the lowest name owns it.
    pub(super) fn workload_of(&self, interface: &IfName) -> Option<Endpoint<'_>> {
        let local = self.records.workloads.iter().filter(|((host, _), _)| *host == self.host);
        let mut owners = local.filter(|(_, workload)| workload.interface == *interface);
        owners.next().and_then(|((_, id), _)| self.endpoint(&EndpointId::Workload(id.clone())))
    }

    /// What the workload of an interface may send from.
    pub(super) fn nets_of(&self, interface: &IfName) -> &[Cidr] {
        let Some(Endpoint { id: EndpointId::Workload(id), .. }) = self.workload_of(interface) else {
            return &[];
        };
        let workload = self.records.workloads.get(&(self.host.clone(), id));
        workload.map_or(&[], |workload| &workload.nets)
    }

    /// An endpoint of this host.
    pub(super) fn endpoint(&self, id: &EndpointId) -> Option<Endpoint<'_>> {
        let (own_labels, profiles, up) = match id {
            EndpointId::Workload(id) => {
                let workload = self.records.workloads.get(&(self.host.clone(), id.clone()))?;
                (&workload.labels, &workload.profiles, workload.active)
            }
            EndpointId::Host(id) => {
                let endpoint = self.records.host_endpoints.get(&(self.host.clone(), id.clone()))?;
                (&endpoint.labels, &endpoint.profiles, true)
            }
        };
        Some(Endpoint { id: id.clone(), own_labels, profiles, up })
    }

    /// The policies of one list that govern an endpoint in one direction, in order.
    pub(super) fn policies<'w>(
        &'w self,
        endpoint: &Endpoint<'w>,
        direction: Direction,
        list: List,
    ) -> Vec<(&'w PolicyId, &'w Policy)> {
        if !endpoint.is_host() && list != List::Normal {
            return Vec::new();
        }
        if list == List::PreDnat && direction == Direction::Egress {
            return Vec::new();
        }
        let labels = self.records.labels(endpoint.own_labels, endpoint.profiles);
        let mut policies: Vec<_> = self
            .records
            .policies
            .iter()
            .filter(|(_, policy)| policy.list == list && policy.governs(direction))
            .filter(|(_, policy)| policy.selector.matches(&labels))
            .collect();
        policies.sort_by(|(a_id, a), (b_id, b)| {
            let order = a.order.partial_cmp(&b.order).expect("no order is NaN");
            order.then_with(|| a_id.cmp(b_id))
        });
        policies
    }

    pub(super) fn is_a_host(&self, address: IpAddr) -> bool {
        self.records.hosts.values().any(|host| IpAddr::V4(*host) == address)
    }
}

// === impl Endpoint ===

impl Endpoint<'_> {
    pub(super) fn is_host(&self) -> bool {
        matches!(self.id, EndpointId::Host(_))
    }
}
