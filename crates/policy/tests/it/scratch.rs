//! What the calculation has to end in, worked out at once from all records, naively; and records and calculation side
//! by side.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;
use std::sync::Arc;

use margay_intent as intent;
use margay_intent::{Direction, HostName, PolicyId, Program, State, Tier, TierEnd};
use margay_net::Cidr;
use margay_policy::compile::{self, Sets};
use margay_policy::evaluate::{EndpointId, Records, World};
use margay_policy::record::List;
use margay_policy::{Calculator, Options};

/// The state of a host.
pub(crate) fn state(world: &World) -> State {
    let mut scratch = Scratch { world, state: State::default(), sets: Sets::new() };
    let records = &world.records;
    for ((_, id), record) in records.workloads.iter().filter(|((host, _), _)| is(world, host)) {
        let at = EndpointId::Workload(id.clone());
        let endpoint = intent::WorkloadEndpoint {
            interface: record.interface,
            active: record.active,
            mac: record.mac,
            nets: nets(&record.nets),
            nats: record.nats.to_vec(),
            ingress: scratch.program(&at, &record.profiles, Direction::Ingress),
            egress: scratch.program(&at, &record.profiles, Direction::Egress),
        };
        scratch.state.workloads.insert(id.clone(), Arc::new(endpoint));
    }
    for ((_, id), record) in records.host_endpoints.iter().filter(|((host, _), _)| is(world, host)) {
        let at = EndpointId::Host(id.clone());
        let endpoint = intent::HostEndpoint {
            interface: record.interface,
            addresses: record.addresses.to_vec(),
            ingress: scratch.program(&at, &record.profiles, Direction::Ingress),
            egress: scratch.program(&at, &record.profiles, Direction::Egress),
            untracked_ingress: scratch.tiers(&at, Direction::Ingress, List::Untracked),
            untracked_egress: scratch.tiers(&at, Direction::Egress, List::Untracked),
            pre_dnat: scratch.tiers(&at, Direction::Ingress, List::PreDnat),
        };
        scratch.state.host_endpoints.insert(id.clone(), Arc::new(endpoint));
    }
    let Scratch { mut state, sets, .. } = scratch;
    state.sets = sets.into_iter().map(|(id, selector)| (id, records.members(&selector))).collect();
    state.hosts = records.hosts.iter().map(|(host, address)| (host.clone(), *address)).collect();
    state.pools = records.pools.iter().map(|(cidr, pool)| (cidr.masked(), *pool)).collect();
    state
}

fn is(world: &World, host: &HostName) -> bool {
    *host == world.host
}

fn nets(list: &[Cidr]) -> Vec<Cidr> {
    list.iter().map(|net| net.masked()).collect()
}

struct Scratch<'w> {
    world: &'w World,
    state: State,
    sets: Sets,
}

// === impl Scratch ===

impl Scratch<'_> {
    fn program(&mut self, at: &EndpointId, profiles: &[intent::ProfileId], direction: Direction) -> Program {
        for id in profiles {
            let Some(rules) = self.world.records.profile_rules.get(id) else { continue };
            let profile = intent::Profile {
                ingress: compile::rules(&rules.ingress, &mut self.sets),
                egress: compile::rules(&rules.egress, &mut self.sets),
            };
            self.state.profiles.insert(id.clone(), Arc::new(profile));
        }
        Program { profiles: profiles.to_vec(), ..self.tiers(at, direction, List::Normal) }
    }

    fn tiers(&mut self, at: &EndpointId, direction: Direction, list: List) -> Program {
        // A policy that governs only one direction is in use all the same, with the rules of both.
        for id in self.world.policies_of(at, Direction::Ingress, list) {
            self.policy(&id);
        }
        for id in self.world.policies_of(at, Direction::Egress, list) {
            self.policy(&id);
        }
        let policies = self.world.policies_of(at, direction, list);
        let end = if list == List::Normal { TierEnd::Deny } else { TierEnd::Pass };
        let tier = Tier { name: "default".into(), policies, end };
        let tiers = if tier.policies.is_empty() { Vec::new() } else { vec![tier] };
        Program { tiers, profiles: Vec::new() }
    }

    fn policy(&mut self, id: &PolicyId) {
        let record = &self.world.records.policies[id];
        // Rules of a direction that the policy does not govern never run.
        let rules = |rules, direction| if record.governs(direction) { rules } else { &[][..] };
        let policy = intent::Policy {
            ingress: compile::rules(rules(&record.ingress, Direction::Ingress), &mut self.sets),
            egress: compile::rules(rules(&record.egress, Direction::Egress), &mut self.sets),
        };
        self.state.policies.insert(id.clone(), Arc::new(policy));
    }
}

/// Records and the calculation that sees the same changes.
pub(crate) struct Both {
    pub(crate) records: Records,
    calculator: Calculator,
    state: State,
}

// === impl Both ===

impl Both {
    pub(crate) fn new() -> Self {
        let mut calculator = Calculator::new("h1".into(), Options::default());
        calculator.in_sync();
        Self { records: Records::default(), calculator, state: State::default() }
    }

    /// Puts the value of a key, or takes the key away.
    pub(crate) fn put(&mut self, key: &str, value: Option<&str>) {
        self.records.put(key, value);
        self.calculator.update(key, value);
    }

    /// What the calculation says of h1 now, which is what follows from the records.
    pub(crate) fn state(&mut self, world: &World) -> &State {
        self.state.apply(self.calculator.take_changes());
        let differences = differences(&self.state, &state(world));
        assert!(differences.is_empty(), "calculated, and what follows from the records:\n{differences}");
        &self.state
    }

    /// How many things are wrong with records.
    pub(crate) fn reported(&self) -> usize {
        self.calculator.invalid().count()
    }
}

/// The entries in which two states differ.
fn differences(a: &State, b: &State) -> String {
    fn part<K: Ord + Debug, V: PartialEq + Debug>(a: &BTreeMap<K, V>, b: &BTreeMap<K, V>) -> String {
        let keys: BTreeSet<&K> = a.keys().chain(b.keys()).collect();
        let differ = keys.into_iter().filter(|key| a.get(key) != b.get(key));
        differ.map(|key| format!("{key:?}\n  {:?}\n  {:?}\n", a.get(key), b.get(key))).collect()
    }
    let State { sets, policies, profiles, workloads, host_endpoints, hosts, pools } = a;
    [
        part(sets, &b.sets),
        part(policies, &b.policies),
        part(profiles, &b.profiles),
        part(workloads, &b.workloads),
        part(host_endpoints, &b.host_endpoints),
        part(hosts, &b.hosts),
        part(pools, &b.pools),
    ]
    .concat()
}
