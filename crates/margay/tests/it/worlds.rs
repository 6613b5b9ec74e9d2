//! The recorded worlds with real packets: the agent on a real etcd, and every verdict that upstream's gave.

use std::collections::BTreeMap;
use std::path::Path;

use margay_testkit::etcd::Etcd;
use margay_testkit::lab::{Lab, Probe, enclosed};
use serde_json::Value;

use crate::host::Agent;

/// Every how many worlds one is played in the ordinary run.
const SAMPLE: usize = 15;

#[derive(serde::Deserialize)]
struct Worlds {
    worlds: Vec<World>,
}

#[derive(serde::Deserialize)]
struct World {
    seed: Value,
    states: Vec<State>,
}

#[derive(serde::Deserialize)]
struct State {
    put: BTreeMap<String, Value>,
    probes: BTreeMap<String, String>,
}

#[test]
fn a_sample_of_the_recorded_worlds_has_their_verdicts() {
    if enclosed("worlds::a_sample_of_the_recorded_worlds_has_their_verdicts") && Etcd::available() {
        play(|index| index % SAMPLE == 0);
    }
}

#[test]
#[ignore = "takes minutes"]
fn all_recorded_worlds_have_their_verdicts() {
    if enclosed("worlds::all_recorded_worlds_have_their_verdicts") && Etcd::available() {
        play(|_| true);
    }
}

/// Plays the worlds that are chosen, one after another under one agent.
fn play(chosen: impl Fn(usize) -> bool) {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/data/policy/worlds.json");
    let text = std::fs::read_to_string(file).expect("the recorded worlds are there");
    let worlds: Worlds = serde_json::from_str(&text).expect("the recorded worlds are JSON of that shape");
    let lab = Lab::new(3);
    let etcd = Etcd::start();
    etcd.put("/calico/v1/Ready", "true");
    let agent = Agent::start_on_etcd(&etcd, &[]);
    let (mut played, mut wrong, mut mark) = (0, Vec::new(), 0);
    for (index, world) in worlds.worlds.iter().enumerate().filter(|(index, _)| chosen(*index)) {
        for key in etcd.dump("/calico/v1").keys().filter(|key| *key != "/calico/v1/Ready") {
            etcd.delete(key);
        }
        for (number, state) in world.states.iter().enumerate() {
            for (key, record) in &state.put {
                match record {
                    Value::Null => etcd.delete(key),
                    record => etcd.put(key, &record.to_string()),
                }
            }
            mark += 1;
            agent.settle(&etcd, mark);
            let probes: Vec<(Probe, bool)> = state
                .probes
                .iter()
                .map(|(text, expected)| {
                    (text.parse().expect("the recorded probes are probes"), expected == "+")
                })
                .collect();
            let seen = lab.probe_all(&probes);
            played += seen.len();
            let verdicts = state.probes.iter().zip(seen);
            wrong.extend(verdicts.filter(|((_, expected), passed)| (*expected == "+") != *passed).map(
                |((probe, expected), _)| {
                    format!(
                        "world {index} (seed {}), state {number}: {probe}: {expected} expected",
                        world.seed
                    )
                },
            ));
        }
    }
    assert!(played > 100, "{played} probes are too few to say anything");
    assert!(wrong.is_empty(), "{} of {played} verdicts differ:\n{}", wrong.len(), wrong.join("\n"));
}
