//! Real packets: the verdicts that upstream's agent gave in recorded worlds (`tests/data/policy/worlds.json`).

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use margay_dataplane::{Config, Dataplane, LiveMachine};
use margay_testkit::lab::{Lab, Probe, enclosed};
use serde_json::Value;

use crate::world::World;

/// Runs every `step`th recorded world from `first` on, and returns what differs.
fn differences(first: usize, step: usize) -> Vec<String> {
    let text = include_str!("../../../../tests/data/policy/worlds.json");
    let file: Value = serde_json::from_str(text).expect("recorded worlds");
    let lab = Lab::new(3);
    let mut differences = Vec::new();
    for recorded in file["worlds"].as_array().expect("worlds").iter().skip(first).step_by(step) {
        let mut world = World::new();
        let machine = LiveMachine::open(Duration::from_secs(10)).expect("the kernel");
        let mut dataplane = Dataplane::new(Config::default(), machine);
        dataplane.in_sync();
        for (number, state) in recorded["states"].as_array().expect("states").iter().enumerate() {
            for (key, value) in state["put"].as_object().expect("records") {
                world.put(key, (!value.is_null()).then(|| value.to_string()).as_deref());
            }
            dataplane.update(world.changes());
            let report = dataplane.commit(Instant::now());
            assert!(report.errors.is_empty(), "{:?}", report.errors);
            let expected: BTreeMap<&str, bool> = state["probes"]
                .as_object()
                .expect("probes")
                .iter()
                .map(|(probe, verdict)| (probe.as_str(), verdict == "+"))
                .collect();
            let probes: Vec<(Probe, bool)> =
                expected.iter().map(|(probe, passes)| (probe.parse().expect("a probe"), *passes)).collect();
            for ((probe, expected), seen) in expected.iter().zip(lab.probe_all(&probes)) {
                if *expected != seen {
                    differences
                        .push(format!("world {} state {number}: {probe}: seen {seen}", recorded["seed"]));
                }
            }
        }
    }
    differences
}

#[test]
fn a_sample_of_recorded_worlds_gives_the_recorded_verdicts() {
    if enclosed("packets::a_sample_of_recorded_worlds_gives_the_recorded_verdicts") {
        assert_eq!(differences(0, 50), Vec::<String>::new());
    }
}

/// A fifth of all worlds.
fn fifth(number: usize, test: &str) {
    if enclosed(test) {
        assert_eq!(differences(number, 5), Vec::<String>::new());
    }
}

#[test]
#[ignore = "takes minutes; make test-full runs it"]
fn the_first_fifth_of_recorded_worlds_gives_the_recorded_verdicts() {
    fifth(0, "packets::the_first_fifth_of_recorded_worlds_gives_the_recorded_verdicts");
}

#[test]
#[ignore = "takes minutes; make test-full runs it"]
fn the_second_fifth_of_recorded_worlds_gives_the_recorded_verdicts() {
    fifth(1, "packets::the_second_fifth_of_recorded_worlds_gives_the_recorded_verdicts");
}

#[test]
#[ignore = "takes minutes; make test-full runs it"]
fn the_third_fifth_of_recorded_worlds_gives_the_recorded_verdicts() {
    fifth(2, "packets::the_third_fifth_of_recorded_worlds_gives_the_recorded_verdicts");
}

#[test]
#[ignore = "takes minutes; make test-full runs it"]
fn the_fourth_fifth_of_recorded_worlds_gives_the_recorded_verdicts() {
    fifth(3, "packets::the_fourth_fifth_of_recorded_worlds_gives_the_recorded_verdicts");
}

#[test]
#[ignore = "takes minutes; make test-full runs it"]
fn the_last_fifth_of_recorded_worlds_gives_the_recorded_verdicts() {
    fifth(4, "packets::the_last_fifth_of_recorded_worlds_gives_the_recorded_verdicts");
}
