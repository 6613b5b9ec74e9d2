//! Random worlds of valid, odd and broken records against the real agent: what the reference evaluator says of a packet
//! is what happens to it.
//!
//! A world is changed a few times under one running agent, so that changes are tested and not only starts. The first
//! difference is reduced to the records that it needs before it is shown.

#[path = "../../../policy/tests/it/lab.rs"]
mod paper;

use std::net::IpAddr;
use std::ops::Range;

use margay_policy::evaluate::{Records, World};
use margay_testkit::etcd::Etcd;
use margay_testkit::lab::{Kind, Lab, Probe, enclosed};
use margay_testkit::policy_world::Choices;

use crate::adversary_chaos::{self as chaos, Chaos, Keys, WORKLOADS};
use crate::adversary_faults::assert_like_a_fresh_start;
use crate::host::Agent;

/// How often a world is changed.
const STATES: usize = 3;

/// How many packets are asked about in one state.
const PROBES: usize = 30;

/// The parameters under which worlds are played, and the name of the host.
const SETTINGS: [(&str, &[(&str, &str)]); 4] = [
    ("h1", &[]),
    (
        "node-1.Example.org",
        &[
            ("DefaultEndpointToHostAction", "ACCEPT"),
            ("FailsafeInboundHostPorts", "udp:5000,81"),
            ("FailsafeOutboundHostPorts", "none"),
            ("DisableConntrackInvalidCheck", "true"),
        ],
    ),
    ("h1", &[("DefaultEndpointToHostAction", "RETURN"), ("ClusterType", "k8s,OpenStack")]),
    ("H_1", &[("IpInIpEnabled", "true"), ("IptablesMarkMask", "0xf0"), ("LogPrefix", "a 'b' \"c\" ü")]),
];

#[test]
fn packets_are_treated_as_the_evaluator_says() {
    if enclosed("adversary::packets_are_treated_as_the_evaluator_says") && Etcd::available() {
        let lab = Lab::new(WORKLOADS);
        for settings in 0..SETTINGS.len() {
            let first = 1_000 * settings as u64;
            play(&lab, settings, first..first + 2);
        }
    }
}

#[test]
#[ignore = "takes as long as it is given"]
fn packets_are_treated_as_the_evaluator_says_a_million_times() {
    if enclosed("adversary::packets_are_treated_as_the_evaluator_says_a_million_times") && Etcd::available() {
        let number = |name: &str, default: u64| {
            std::env::var(name).map_or(default, |text| text.parse().expect("a number"))
        };
        let (first, count) = (number("ADVERSARY_SEED", 10_000), number("ADVERSARY_WORLDS", 100));
        let lab = Lab::new(WORKLOADS);
        for settings in 0..SETTINGS.len() {
            let first = first + 100_000 * settings as u64;
            play(&lab, settings, first..first + count);
        }
    }
}

/// One agent, its datastore, and the machines.
struct Arena<'a> {
    lab: &'a Lab,
    etcd: &'a Etcd,
    agent: &'a Agent,
    host: &'a str,
    settings: usize,
    mark: std::cell::Cell<usize>,
}

/// Plays the worlds of some seeds under one agent.
fn play(lab: &Lab, settings: usize, seeds: Range<u64>) {
    // A packet of a protocol that the tracker does not know is no part of a flow of one in the world before.
    std::fs::write("/proc/sys/net/netfilter/nf_conntrack_generic_timeout", "1")
        .expect("a sysctl of this host");
    let etcd = Etcd::start();
    etcd.put("/calico/v1/Ready", "true");
    let (host, parameters) = SETTINGS[settings];
    let mut agent = Agent::start_on_etcd(&etcd, &[&[("FelixHostname", host)], parameters].concat());
    let mut last_mark = 0;
    let (mut played, mut passed) = (0, 0);
    for seed in seeds {
        let mark = std::cell::Cell::new(last_mark);
        let arena = Arena { lab, etcd: &etcd, agent: &agent, host, settings, mark };
        let mut chaos = Chaos::new(Choices::new(seed), host);
        let (mut keys, mut before) = (chaos.world(), Keys::new());
        for state in 0..STATES {
            if state > 0 {
                chaos.change(&mut keys);
            }
            arena.write(&before, &keys);
            before.clone_from(&keys);
            let world = arena.world(&keys);
            let probes = chaos.probes(&world, PROBES);
            let expected: Vec<(String, bool)> = probes
                .into_iter()
                .map(|text| {
                    let expected = expected(&world, &text);
                    (text, expected)
                })
                .collect();
            let wrong = arena.differences(&expected);
            played += expected.len();
            passed += expected.iter().filter(|(_, passes)| *passes).count();
            if let Some(text) = wrong.first() {
                arena.tell(seed, state, keys, text, wrong.len());
            }
        }
        last_mark = arena.mark.get();
        // All the changes have left what a start makes of their end.
        assert_like_a_fresh_start(&mut agent, &etcd, host, &mut last_mark);
        for key in before.keys() {
            etcd.delete(key);
        }
    }
    assert!(passed * 20 > played && passed * 20 < played * 19, "{passed} of {played} packets passed");
}

/// Whether the packet arrives, and is answered where that counts.
fn expected(world: &World, text: &str) -> bool {
    // Towards a workload, also for an answer, leads a route only while the record that owns its interface has the address.
    let probe: Probe = text.parse().expect("a probe");
    let once = probe.src.is_some() || matches!(probe.kind, Kind::Icmp(..) | Kind::Protocol(_));
    let ends = [(&probe.to, probe.at, true), (&probe.from, None, !once)];
    let unreachable = |(machine, at, counts): &(&String, Option<IpAddr>, bool)| {
        let Some(number) = machine.strip_prefix('W').filter(|_| *counts) else { return false };
        let own = if probe.v6 { format!("fd65::1{number}") } else { format!("10.65.0.1{number}") };
        let at = at.unwrap_or_else(|| own.parse().expect("an address"));
        !chaos::is_routed(world, number.parse().expect("a number"), at)
    };
    !ends.iter().any(unreachable) && paper::Probe::parse(text).play(world).0
}

// === impl Arena ===

impl Arena<'_> {
    fn world(&self, keys: &Keys) -> World {
        let mut records = Records::default();
        for (key, value) in keys {
            records.put(key, Some(value));
        }
        let parameters: Vec<(String, &str)> =
            SETTINGS[self.settings].1.iter().map(|(name, value)| (format!("FELIX_{name}"), *value)).collect();
        let settings = paper::settings(parameters.iter().map(|(name, value)| (name.as_str(), *value)));
        let mut world = paper::world(&records, settings);
        world.host = self.host.into();
        world
    }

    /// Makes the datastore hold the second instead of the first, and waits until the agent has it.
    fn write(&self, before: &Keys, after: &Keys) {
        for key in before.keys().filter(|key| !after.contains_key(*key)) {
            self.etcd.delete(key);
        }
        for (key, value) in after.iter().filter(|(key, value)| before.get(*key) != Some(value)) {
            self.etcd.put(key, value);
        }
        self.mark.set(self.mark.get() + 1);
        self.agent.settle_on(self.etcd, self.host, self.mark.get());
    }

    /// The probes that come to another end than expected, with what was expected. Packets get lost on a busy machine:
    /// only what happens again counts.
    fn differences(&self, probes: &[(String, bool)]) -> Vec<String> {
        let parsed: Vec<(Probe, bool)> =
            probes.iter().map(|(text, expected)| (text.parse().expect("a probe"), *expected)).collect();
        let seen = self.lab.probe_all(&parsed);
        let differs = |index: &usize| seen[*index] != parsed[*index].1;
        let again = |index: &usize| {
            let (probe, expected) = &parsed[*index];
            (0..2).all(|_| self.lab.probe(probe, true) != *expected)
        };
        (0..probes.len()).filter(differs).filter(again).map(|index| probes[index].0.clone()).collect()
    }

    /// Fails with the difference and the records that it needs.
    fn tell(&self, seed: u64, state: usize, mut keys: Keys, text: &str, count: usize) -> ! {
        let differs = |keys: &Keys| {
            let expected = expected(&self.world(keys), text);
            !self.differences(&[(text.to_owned(), expected)]).is_empty()
        };
        let mut all = keys.clone();
        for key in keys.clone().keys() {
            let mut fewer = keys.clone();
            fewer.remove(key);
            self.write(&all, &fewer);
            all.clone_from(&fewer);
            if differs(&fewer) {
                keys = fewer;
            }
        }
        self.write(&all, &keys);
        let world = self.world(&keys);
        panic!(
            "{count} differences in seed {seed}, settings {}, state {state}; the first: {text}: {} expected\n{keys:#?}\n\
             evaluator: {:#?}\n== rules\n{}\n== log\n{}",
            self.settings,
            if expected(&world, text) { "+" } else { "-" },
            paper::Probe::parse(text).explain(&world).steps,
            self.agent.nft(&["list", "table", "inet", "calico"]),
            self.agent.log(),
        );
    }
}
