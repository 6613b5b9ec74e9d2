//! What this node should look like, from intents, interfaces and configuration: everything but the kernel.
//!
//! [`Model::update`] and [`Model::link_event`] note what may have changed, [`Model::settle`] works that off. The result
//! (desired table, members, routes) is a function of the sum of intents, the interfaces and the configuration.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use margay_intent::{
    Changes, HostEndpoint, HostEndpointId, HostName, Policy, PolicyId, Pool, Profile, ProfileId, Program,
    SetChange, WorkloadEndpoint, WorkloadId,
};
use margay_kernel::nft::{Data, Element, Features, Key, Name, Value, Verdict, merge_ranges};
use margay_kernel::{Event, Link};
use margay_net::{Cidr, IfIndex, IfName, IpVersion};

use crate::actual::{SelectorSets, World};
use crate::config::Config;
use crate::desired::{Desired, Intents};
use crate::floating::{self, AddressFault, FloatingMaps};
use crate::host::{HostOwners, HostView, Interface};
use crate::names::{ChainKey, ProgramKey, ProgramKind};
use crate::render::fixed::{self, FixedSet};
use crate::report::EndpointId;
use crate::routes::{Routes, Target};
use crate::workloads::{self, Claims, Touched};

/// What an interface has in the table.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Node {
    programs: Vec<Name>,
    keys: BTreeSet<(FixedSet, Key)>,
}

/// What an interface should have in the table.
#[derive(Debug, Default)]
struct Wanted {
    /// Programmes, and the maps that lead into them.
    programs: Vec<(FixedSet, ChainKey)>,
    /// Everything else.
    elements: Vec<(FixedSet, Element)>,
}

/// What is to be looked at again.
#[derive(Debug, Clone, Default)]
struct Pending {
    interfaces: BTreeSet<IfName>,
    networks: BTreeSet<Cidr>,
    host_endpoints: bool,
    floating: bool,
    hosts: bool,
    pools: bool,
    /// The host's own addresses.
    own: bool,
}

/// What this node should look like.
#[derive(Debug, Clone)]
pub(crate) struct Model {
    pub(crate) config: Config,
    policies: BTreeMap<PolicyId, Arc<Policy>>,
    profiles: BTreeMap<ProfileId, Arc<Profile>>,
    workloads: BTreeMap<WorkloadId, Arc<WorkloadEndpoint>>,
    host_endpoints: BTreeMap<HostEndpointId, Arc<HostEndpoint>>,
    hosts: BTreeMap<HostName, Ipv4Addr>,
    pools: BTreeMap<Cidr, Pool>,
    claims: Claims,
    owners: HostOwners,
    nodes: BTreeMap<IfName, Node>,
    with_nats: BTreeSet<WorkloadId>,
    floating: BTreeMap<IpAddr, Target>,
    faults: BTreeMap<WorkloadId, BTreeSet<(IpAddr, AddressFault)>>,
    /// The host's own addresses: no record may claim one.
    own: BTreeSet<IpAddr>,
    /// Interfaces whose elements the kernel refused: they are closed until their endpoint changes.
    blocked: BTreeSet<IfName>,
    pending: Pending,
    /// The interfaces that exist.
    pub(crate) view: HostView,
    /// What the table should hold.
    pub(crate) desired: Desired,
    /// Members of selectors' sets.
    pub(crate) sets: SelectorSets,
    /// The routes that should stand.
    pub(crate) routes: Routes,
    /// Endpoints whose state may be another.
    pub(crate) restated: BTreeSet<EndpointId>,
    /// Interfaces whose settings are to be looked at.
    pub(crate) settings: BTreeSet<IfName>,
    /// What is refused may be another.
    pub(crate) faults_changed: bool,
    /// There may be other interfaces without a record.
    pub(crate) unrecorded_changed: bool,
}

// === impl Model ===

impl Model {
    /// A node without endpoints.
    pub(crate) fn new(config: Config, features: Features) -> Self {
        Self {
            policies: BTreeMap::new(),
            profiles: BTreeMap::new(),
            workloads: BTreeMap::new(),
            host_endpoints: BTreeMap::new(),
            hosts: BTreeMap::new(),
            pools: BTreeMap::new(),
            claims: Claims::default(),
            owners: HostOwners::default(),
            nodes: BTreeMap::new(),
            with_nats: BTreeSet::new(),
            floating: BTreeMap::new(),
            faults: BTreeMap::new(),
            own: config.protected.iter().copied().collect(),
            blocked: BTreeSet::new(),
            pending: Pending::default(),
            view: HostView::default(),
            desired: Desired::new(&config, features),
            sets: SelectorSets::default(),
            routes: Routes::new(config.route_protocol),
            restated: BTreeSet::new(),
            settings: BTreeSet::new(),
            faults_changed: false,
            unrecorded_changed: true,
            config,
        }
    }

    /// What plans are made from.
    pub(crate) fn world(&self) -> World<'_> {
        World { desired: &self.desired, sets: &self.sets, intents: self.intents() }
    }

    fn intents(&self) -> Intents<'_> {
        Intents { policies: &self.policies, profiles: &self.profiles, config: &self.config }
    }

    /// The table and what it is rendered from, both at once.
    fn split(&mut self) -> (&mut Desired, Intents<'_>) {
        let intents = Intents { policies: &self.policies, profiles: &self.profiles, config: &self.config };
        (&mut self.desired, intents)
    }

    // --- taking changes in ---

    /// Takes changed intents in.
    pub(crate) fn update(&mut self, changes: Changes) {
        let Changes { sets, policies, profiles, workloads, host_endpoints, hosts, pools } = changes;
        for (id, change) in sets {
            match change {
                SetChange::Replace(members) => self.sets.replace(id, members),
                SetChange::Update { added, removed } => self.sets.update(id, added, removed),
                SetChange::Remove => self.sets.remove(&id),
            }
        }
        let profile_ids: Vec<ProfileId> = profiles.keys().cloned().collect();
        for (id, profile) in profiles {
            put(&mut self.profiles, id, profile);
        }
        let policies: Vec<(PolicyId, Option<Arc<Policy>>)> = policies
            .into_iter()
            .map(|(id, policy)| {
                let before = put(&mut self.policies, id.clone(), policy);
                (id, before)
            })
            .collect();
        let (desired, intents) = self.split();
        for (id, before) in &policies {
            desired.policy_changed(id, before.as_ref(), intents);
        }
        for id in &profile_ids {
            desired.profile_changed(id, intents);
        }
        for (id, endpoint) in workloads {
            self.update_workload(id, endpoint);
        }
        for (id, endpoint) in host_endpoints {
            self.restated.insert(EndpointId::Host(id.clone()));
            put(&mut self.host_endpoints, id, endpoint);
            self.pending.host_endpoints = true;
        }
        for (name, address) in hosts {
            put(&mut self.hosts, name, address);
            self.pending.hosts = true;
        }
        for (net, pool) in pools {
            put(&mut self.pools, net, pool);
            self.pending.pools = true;
        }
    }

    fn update_workload(&mut self, id: WorkloadId, endpoint: Option<Arc<WorkloadEndpoint>>) {
        let before = put(&mut self.workloads, id.clone(), endpoint.clone());
        if before == endpoint {
            return;
        }
        let mut touched = Touched::default();
        self.claims.set(&id, before.as_ref(), endpoint.as_ref(), &mut touched);
        for interface in &touched.interfaces {
            self.blocked.remove(interface);
        }
        let has_nats = endpoint.as_ref().is_some_and(|endpoint| !endpoint.nats.is_empty());
        let had_nats = self.with_nats.contains(&id);
        if has_nats {
            self.with_nats.insert(id.clone());
        } else {
            self.with_nats.remove(&id);
        }
        // Another endpoint's address is no floating address, so each change counts as long as there are any.
        self.pending.floating |= has_nats || had_nats || !self.with_nats.is_empty();
        self.pending.interfaces.extend(touched.interfaces);
        for wide in touched.networks.iter().flat_map(|net| self.claims.networks_around(*net)) {
            let owners = self.claims.claimants_of(&wide).filter_map(|id| self.workloads.get(id));
            self.pending.interfaces.extend(owners.map(|endpoint| endpoint.interface));
        }
        self.pending.networks.extend(touched.networks);
        let faults = endpoint.as_ref().map(|endpoint| self.net_faults(endpoint));
        self.set_faults(&id, faults.unwrap_or_default());
        self.restated.insert(EndpointId::Workload(id));
    }

    /// Takes a changed interface in.
    pub(crate) fn link_event(&mut self, event: &Event) {
        match event {
            Event::Appeared(link) => self.link_present(link),
            Event::Changed { after, .. } => self.link_present(after),
            Event::Renamed { before, after } => {
                let addresses = self.link_gone(before);
                self.link_present(after);
                if let Some(interface) = self.view.interfaces.get_mut(&after.name) {
                    interface.addresses.extend(addresses);
                }
            }
            Event::Gone(link) => {
                self.link_gone(link);
            }
            Event::AddressAdded(index, net) => self.address(*index, *net, true),
            Event::AddressRemoved(index, net) => self.address(*index, *net, false),
        }
    }

    fn link_present(&mut self, link: &Link) {
        let there = self.view.interfaces.get(&link.name);
        if there.is_some_and(|there| there.index == link.index && there.running == link.running) {
            return;
        }
        // An interface of another number under the same name is another interface.
        let addresses = there.filter(|there| there.index == link.index).map(|there| there.addresses.clone());
        let interface =
            Interface { index: link.index, running: link.running, addresses: addresses.unwrap_or_default() };
        self.view.interfaces.insert(link.name, interface);
        self.interface_changed(&link.name);
    }

    fn link_gone(&mut self, link: &Link) -> BTreeSet<IpAddr> {
        match self.view.interfaces.get(&link.name) {
            Some(interface) if interface.index == link.index => {}
            Some(_) | None => return BTreeSet::new(),
        }
        let gone = self.view.interfaces.remove(&link.name);
        self.interface_changed(&link.name);
        gone.map(|interface| interface.addresses).unwrap_or_default()
    }

    fn address(&mut self, index: IfIndex, net: Cidr, added: bool) {
        let Some((name, interface)) = self.view.interfaces.iter_mut().find(|(_, i)| i.index == index) else {
            return;
        };
        let address = net.address().get();
        let changed =
            if added { interface.addresses.insert(address) } else { interface.addresses.remove(&address) };
        if changed && !self.config.is_workload(name) {
            self.pending.host_endpoints = true;
            self.pending.own = true;
            self.pending.floating |= !self.with_nats.is_empty();
        }
    }

    fn interface_changed(&mut self, name: &IfName) {
        self.unrecorded_changed = true;
        if self.config.is_workload(name) {
            self.routes.interface_changed(name);
            self.settings.insert(*name);
            self.restated.extend(self.claims.claimants(name).cloned().map(EndpointId::Workload));
        } else {
            self.pending.host_endpoints = true;
            self.pending.own = true;
            self.pending.floating |= !self.with_nats.is_empty();
        }
    }

    /// Takes another configuration.
    pub(crate) fn reconfigure(&mut self, config: Config) {
        self.config = config;
        let (desired, intents) = self.split();
        desired.reconfigure(intents);
        self.blocked.clear();
        self.pending.interfaces.extend(self.nodes.keys().copied());
        self.pending.interfaces.extend(self.workloads.values().map(|endpoint| endpoint.interface));
        let nets =
            self.workloads.values().flat_map(|endpoint| workloads::usable_nets(endpoint)).map(Cidr::masked);
        self.pending.networks.extend(nets);
        self.pending.host_endpoints = true;
        self.pending.floating = true;
        self.pending.own = true;
        self.routes.set_protocol(self.config.route_protocol);
        self.restate_all();
        self.settings.extend(self.view.interfaces.keys().copied());
    }

    // --- working it off ---

    /// Works off everything that may have changed.
    pub(crate) fn settle(&mut self) {
        if self.pending.own {
            self.settle_own_addresses();
        }
        let Pending { interfaces, networks, host_endpoints, floating, hosts, pools, own: _ } =
            std::mem::take(&mut self.pending);
        let mut networks = networks;
        for interface in &interfaces {
            if self.config.is_workload(interface) {
                self.settle_workload(interface, &mut networks);
            }
        }
        if host_endpoints {
            self.settle_host_endpoints();
        }
        if floating {
            self.settle_floating(&mut networks);
        }
        for net in networks {
            self.settle_network(net);
        }
        if hosts {
            let addresses: BTreeSet<Ipv4Addr> = self.hosts.values().copied().collect();
            let elements =
                addresses.into_iter().map(|address| Element::point(Value::V4(address).into())).collect();
            self.desired.set_elements(FixedSet::Hosts4, elements);
        }
        if pools {
            self.settle_pools();
        }
    }

    /// Takes in which addresses are the host's; networks that hold one, or did, are looked at again.
    fn settle_own_addresses(&mut self) {
        let own = self.view.own_addresses(&self.config);
        let before = std::mem::replace(&mut self.own, own);
        let changed: Vec<IpAddr> = before.symmetric_difference(&self.own).copied().collect();
        let networks: BTreeSet<Cidr> =
            changed.iter().flat_map(|address| self.claims.networks_with(*address)).collect();
        let claimants: BTreeSet<WorkloadId> =
            networks.iter().flat_map(|net| self.claims.claimants_of(net)).cloned().collect();
        for id in claimants {
            let Some(endpoint) = self.workloads.get(&id).cloned() else { continue };
            self.pending.interfaces.insert(endpoint.interface);
            self.pending.floating |= self.with_nats.contains(&id);
            let faults = self.net_faults(&endpoint);
            self.set_faults(&id, faults);
        }
        self.pending.networks.extend(networks);
    }

    /// True when one of the host's own addresses is in a network.
    fn holds_own_address(&self, net: Cidr) -> bool {
        // Addresses of one network follow each other.
        self.own.range(net.address().get()..).next().is_some_and(|address| net.contains_ip(*address))
    }

    /// What may be routed to an endpoint and what it may send from.
    fn nets_of(&self, endpoint: &WorkloadEndpoint) -> Vec<Cidr> {
        let nets = workloads::usable_nets(endpoint).map(Cidr::masked);
        nets.filter(|net| !self.holds_own_address(*net)).collect()
    }

    /// Networks of the record that are not used.
    // COMPAT(host addresses): upstream routes the host's own addresses to whoever claims them.
    fn net_faults(&self, endpoint: &WorkloadEndpoint) -> BTreeSet<(IpAddr, AddressFault)> {
        let check = |net: Cidr| match workloads::check_net(net) {
            Ok(()) if self.holds_own_address(net.masked()) => Err(AddressFault::OwnedByHost),
            checked => checked,
        };
        let refused = endpoint.nets.iter().filter_map(|net| check(*net).err().map(|fault| (*net, fault)));
        refused.map(|(net, fault)| (net.address().get(), fault)).collect()
    }

    /// The endpoint that governs an interface, if the record of any says so.
    fn governing(&self, interface: &IfName) -> Option<(&WorkloadId, &Arc<WorkloadEndpoint>)> {
        let id = self.claims.owner(interface)?;
        self.workloads.get_key_value(id)
    }

    fn settle_workload(&mut self, interface: &IfName, networks: &mut BTreeSet<Cidr>) {
        let key = Key::from(Value::IfName(*interface));
        let mut wanted = Wanted::default();
        if let Some((id, endpoint)) = self.governing(interface) {
            if !endpoint.active || self.blocked.contains(interface) {
                let closed = || Element::verdict(key, Verdict::Drop);
                wanted
                    .elements
                    .extend([(FixedSet::WorkloadFrom, closed()), (FixedSet::WorkloadTo, closed())]);
            } else {
                let of =
                    |kind, program: &Program| ChainKey::Program(Arc::new(ProgramKey::entry(kind, program)));
                wanted
                    .programs
                    .push((FixedSet::WorkloadFrom, of(ProgramKind::WorkloadOut, &endpoint.egress)));
                wanted.programs.push((FixedSet::WorkloadTo, of(ProgramKind::WorkloadIn, &endpoint.ingress)));
            }
            // Also of an endpoint that is down: its packets are dropped for that, and its address is still its own.
            let mut nets = self.nets_of(endpoint);
            // A network that holds others' addresses is routed, but nobody may speak for all of it.
            nets.retain(|net| net.is_single() || !self.claims.is_shared(*net, id));
            wanted.elements.extend(sources(interface, nets));
        }
        let ranges = self.desired.fixed_sets().any(FixedSet::needs_concatenated_ranges);
        wanted.elements.retain(|(set, _)| ranges || !set.needs_concatenated_ranges());
        self.put_node(interface, wanted);
        // Whoever owned the interface or does now: its routes may come or go.
        for id in self.claims.claimants(interface) {
            if let Some(endpoint) = self.workloads.get(id) {
                networks.extend(workloads::usable_nets(endpoint).map(Cidr::masked));
            }
            self.restated.insert(EndpointId::Workload(id.clone()));
        }
        self.settings.insert(*interface);
        self.unrecorded_changed = true;
    }

    /// Replaces what an interface has in the table.
    fn put_node(&mut self, interface: &IfName, wanted: Wanted) {
        let (desired, intents) = self.split();
        let Wanted { programs, mut elements } = wanted;
        let key = Key::from(Value::IfName(*interface));
        let mut node = Node::default();
        for (set, program) in &programs {
            let name = desired.acquire(program, intents);
            elements.push((*set, Element::verdict(key, Verdict::Goto(name.clone()))));
            node.programs.push(name);
        }
        node.keys.extend(elements.iter().map(|(set, element)| (*set, element.key)));
        let before = if node == Node::default() {
            self.nodes.remove(interface)
        } else {
            self.nodes.insert(*interface, node.clone())
        };
        let before = before.unwrap_or_default();
        for (set, key) in before.keys.difference(&node.keys) {
            self.desired.set_element(*set, *key, None);
        }
        for (set, element) in elements {
            self.desired.set_element(set, element.key, Some(element));
        }
        for name in &before.programs {
            self.desired.release(name);
        }
    }

    fn settle_host_endpoints(&mut self) {
        let owners = HostOwners::resolve(&self.config, &self.view, &self.host_endpoints);
        let before = std::mem::replace(&mut self.owners, owners);
        let mut interfaces: BTreeSet<IfName> =
            before.by_interface.keys().chain(self.owners.by_interface.keys()).copied().collect();
        // After a change of prefixes an interface may be no host's, or no workload's any more.
        interfaces.extend(self.nodes.keys().filter(|name| !self.config.is_workload(name)));
        for interface in &interfaces {
            self.settle_host_interface(interface);
        }
        self.restated.extend(self.host_endpoints.keys().cloned().map(EndpointId::Host));
    }

    fn settle_host_interface(&mut self, interface: &IfName) {
        let key = Key::from(Value::IfName(*interface));
        let owner = self.owners.by_interface.get(interface).and_then(|id| self.host_endpoints.get(id));
        let mut wanted = Wanted::default();
        if let Some(endpoint) = owner.filter(|_| !self.config.is_workload(interface)) {
            let lists: [(FixedSet, ProgramKind, &Program); 5] = [
                (FixedSet::HostIn, ProgramKind::HostIn, &endpoint.ingress),
                (FixedSet::HostOut, ProgramKind::HostOut, &endpoint.egress),
                (FixedSet::HostRawIn, ProgramKind::UntrackedIn, &endpoint.untracked_ingress),
                (FixedSet::HostRawOut, ProgramKind::UntrackedOut, &endpoint.untracked_egress),
                (FixedSet::HostPre, ProgramKind::PreDnat, &endpoint.pre_dnat),
            ];
            for (set, kind, program) in lists {
                let always = matches!(kind, ProgramKind::HostIn | ProgramKind::HostOut);
                if !always && program.tiers.is_empty() {
                    continue;
                }
                if always && self.blocked.contains(interface) {
                    wanted.elements.push((set, Element::verdict(key, Verdict::Drop)));
                    continue;
                }
                if kind == ProgramKind::HostIn {
                    wanted
                        .elements
                        .push((FixedSet::HostForward, Element::verdict(key, fixed::forward_failsafe())));
                }
                wanted.programs.push((set, ChainKey::Program(Arc::new(ProgramKey::entry(kind, program)))));
            }
        }
        self.put_node(interface, wanted);
    }

    fn settle_floating(&mut self, networks: &mut BTreeSet<Cidr>) {
        let mut nats = Vec::new();
        let mut targets: BTreeMap<IpAddr, Target> = BTreeMap::new();
        let mut faults: BTreeMap<WorkloadId, BTreeSet<(IpAddr, AddressFault)>> = BTreeMap::new();
        for id in &self.with_nats {
            let Some(endpoint) = self.workloads.get(id) else { continue };
            let nets = self.nets_of(endpoint);
            let owns = |address: IpAddr| nets.iter().any(|net| net.contains_ip(address));
            let mut refused = self.net_faults(endpoint);
            for nat in &endpoint.nats {
                let checked = floating::check(nat, owns).and_then(|()| {
                    if self.own.contains(&nat.external) {
                        return Err(AddressFault::OwnedByHost);
                    }
                    if self.claims.is_owned_by_other(nat.external, id) {
                        return Err(AddressFault::OwnedByOther);
                    }
                    Ok(())
                });
                match checked {
                    Ok(()) if self.is_routable(id, endpoint) => {
                        nats.push(*nat);
                        let target = Target { interface: endpoint.interface, mac: endpoint.mac };
                        targets.entry(nat.internal).or_insert(target);
                    }
                    Ok(()) => {}
                    Err(fault) => {
                        refused.insert((nat.external, fault));
                    }
                }
            }
            faults.insert(id.clone(), refused);
        }
        for (id, refused) in faults {
            self.set_faults(&id, refused);
        }
        let maps = floating::maps(nats.iter());
        self.put_floating(&maps);
        let routes: BTreeMap<IpAddr, Target> = maps
            .inward
            .iter()
            .filter_map(|(external, internal)| targets.get(internal).map(|target| (*external, *target)))
            .collect();
        networks.extend(routes.keys().chain(self.floating.keys()).map(|external| Cidr::host(*external)));
        self.floating = routes;
    }

    fn put_floating(&mut self, maps: &FloatingMaps) {
        let entry = |key: Key, to: IpAddr| Element::entry(key, Data::Values(Value::address(to).into()));
        let families = [
            (IpVersion::V4, FixedSet::Floating4, FixedSet::Hairpin4),
            (IpVersion::V6, FixedSet::Floating6, FixedSet::Hairpin6),
        ];
        for (version, inward, hairpin) in families {
            let of = |address: &IpAddr| address.is_ipv4() == (version == IpVersion::V4);
            let elements = maps.inward.iter().filter(|(external, _)| of(external));
            let elements =
                elements.map(|(external, internal)| entry(Value::address(*external).into(), *internal));
            self.desired.set_elements(inward, elements.collect());
            let elements = maps.hairpin.iter().filter(|(internal, _)| of(internal));
            let elements = elements.map(|(internal, external)| {
                entry(Key::new([Value::address(*internal), Value::address(*internal)]), *external)
            });
            self.desired.set_elements(hairpin, elements.collect());
        }
    }

    /// True when networks may be routed to the endpoint.
    fn is_routable(&self, id: &WorkloadId, endpoint: &WorkloadEndpoint) -> bool {
        endpoint.active
            && self.config.is_workload(&endpoint.interface)
            && self.claims.owner(&endpoint.interface) == Some(id)
            && !self.blocked.contains(&endpoint.interface)
    }

    fn settle_network(&mut self, net: Cidr) {
        let usable =
            |id: &WorkloadId| self.workloads.get(id).is_some_and(|endpoint| self.is_routable(id, endpoint));
        let own = self.claims.network_owner(&net, usable).and_then(|id| self.workloads.get(id));
        let own = own.filter(|_| !self.holds_own_address(net));
        let own = own.map(|endpoint| Target { interface: endpoint.interface, mac: endpoint.mac });
        let target = own
            .or_else(|| net.is_single().then(|| self.floating.get(&net.address().get()).copied()).flatten());
        let wanted = self.config.ipv6 || net.version() == IpVersion::V4;
        self.routes.set(net, target.filter(|_| wanted));
    }

    fn settle_pools(&mut self) {
        for (version, all, masqueraded) in [
            (IpVersion::V4, FixedSet::Pools4, FixedSet::Masquerade4),
            (IpVersion::V6, FixedSet::Pools6, FixedSet::Masquerade6),
        ] {
            let of = |only_masqueraded: bool| {
                let pools = self.pools.iter().filter(|(net, _)| net.version() == version);
                let pools = pools.filter(|(_, pool)| pool.masquerade || !only_masqueraded);
                merge_ranges(pools.filter_map(|(net, _)| {
                    let Element { key, last, .. } = Element::net(*net);
                    Some((key, last?))
                }))
            };
            let (pools, masquerade) = (of(false), of(true));
            self.desired.set_elements(all, pools);
            self.desired.set_elements(masqueraded, masquerade);
        }
    }

    fn set_faults(&mut self, id: &WorkloadId, faults: BTreeSet<(IpAddr, AddressFault)>) {
        let before = match faults.is_empty() {
            true => self.faults.remove(id),
            false => self.faults.insert(id.clone(), faults.clone()),
        };
        self.faults_changed |= before.unwrap_or_default() != faults;
    }

    // --- what the kernel refuses ---

    /// The kernel refuses a chain; true when something was done about it.
    pub(crate) fn refuse_chain(&mut self, name: &Name) -> bool {
        let (desired, intents) = self.split();
        desired.refuse(name, intents)
    }

    /// The kernel refuses an element of an interface; true when something was done about it.
    pub(crate) fn refuse_interface(&mut self, interface: &IfName) -> bool {
        if !self.nodes.contains_key(interface) || !self.blocked.insert(*interface) {
            return false;
        }
        if self.config.is_workload(interface) {
            self.pending.interfaces.insert(*interface);
        } else {
            self.pending.host_endpoints = true;
        }
        self.settle();
        true
    }

    /// The states of an interface's endpoints may be others.
    pub(crate) fn restate_interface(&mut self, interface: &IfName) {
        self.restated.extend(self.claims.claimants(interface).cloned().map(EndpointId::Workload));
        self.restated.extend(self.owners.by_interface.get(interface).cloned().map(EndpointId::Host));
    }

    /// The states of all endpoints may be others.
    pub(crate) fn restate_all(&mut self) {
        self.restated.extend(self.workloads.keys().cloned().map(EndpointId::Workload));
        self.restated.extend(self.host_endpoints.keys().cloned().map(EndpointId::Host));
    }

    /// True when something has not been worked off.
    pub(crate) fn is_pending(&self) -> bool {
        let Pending { interfaces, networks, host_endpoints, floating, hosts, pools, own } = &self.pending;
        let waiting = !(interfaces.is_empty() && networks.is_empty());
        waiting
            || *host_endpoints
            || *floating
            || *hosts
            || *pools
            || *own
            || !self.settings.is_empty()
            || !self.restated.is_empty()
    }

    // --- reading ---

    /// The workload endpoints.
    pub(crate) fn workloads(&self) -> &BTreeMap<WorkloadId, Arc<WorkloadEndpoint>> {
        &self.workloads
    }

    /// The host endpoints.
    pub(crate) fn host_endpoints(&self) -> &BTreeMap<HostEndpointId, Arc<HostEndpoint>> {
        &self.host_endpoints
    }

    /// Which host endpoint owns which interface.
    pub(crate) fn owners(&self) -> &HostOwners {
        &self.owners
    }

    /// True when the endpoint governs its interface.
    pub(crate) fn is_owner(&self, id: &WorkloadId, interface: &IfName) -> bool {
        self.config.is_workload(interface) && self.claims.owner(interface) == Some(id)
    }

    /// The endpoint that governs an interface.
    pub(crate) fn owner_of(&self, interface: &IfName) -> Option<&WorkloadId> {
        self.claims.owner(interface)
    }

    /// Addresses that were not taken from records.
    pub(crate) fn faults(&self) -> &BTreeMap<WorkloadId, BTreeSet<(IpAddr, AddressFault)>> {
        &self.faults
    }

    /// Interfaces that the kernel would not have as they should be.
    pub(crate) fn blocked(&self) -> &BTreeSet<IfName> {
        &self.blocked
    }

    /// What an interface should have in the table.
    pub(crate) fn keys_of(&self, interface: &IfName) -> impl Iterator<Item = &(FixedSet, Key)> {
        self.nodes.get(interface).into_iter().flat_map(|node| &node.keys)
    }
}

/// Puts or removes an entry; what was there.
fn put<K: Ord, V>(map: &mut BTreeMap<K, V>, key: K, value: Option<V>) -> Option<V> {
    match value {
        Some(value) => map.insert(key, value),
        None => map.remove(&key),
    }
}

/// What an endpoint may send from.
fn sources(interface: &IfName, mut nets: Vec<Cidr>) -> Vec<(FixedSet, Element)> {
    let name = Value::IfName(*interface);
    nets.sort_unstable_by_key(|net| (net.address(), net.prefix()));
    let mut kept: Vec<Cidr> = Vec::with_capacity(nets.len());
    for net in nets {
        // Two networks nest or are apart, and the outer one comes first: the kernel takes no overlap.
        if !kept.last().is_some_and(|outer| outer.contains(net)) {
            kept.push(net);
        }
    }
    kept.into_iter()
        .filter_map(|net| {
            let v4 = net.version() == IpVersion::V4;
            if net.is_single() {
                let set = if v4 { FixedSet::Source4 } else { FixedSet::Source6 };
                return Some((set, Element::point(Key::new([name, Value::address(net.address().get())]))));
            }
            let Element { key: first, last, .. } = Element::net(net);
            let [first, last] = [first, last?].map(|end| end.values().next().flatten());
            let set = if v4 { FixedSet::SourceNet4 } else { FixedSet::SourceNet6 };
            Some((set, Element::range(Key::new([name, first?]), Key::new([name, last?]))))
        })
        .collect()
}
