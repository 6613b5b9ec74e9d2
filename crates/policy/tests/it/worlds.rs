//! The verdicts of upstream's Felix on random worlds (`tests/data/policy/worlds.json`) in the evaluator.

use margay_policy::evaluate::{Records, Settings};
use serde_json::Value;

use crate::cases::{Put, stored};
use crate::lab::{self, Probe};

/// One state of a recorded world.
pub(crate) struct State {
    /// The world and its state: `10001, state 2`.
    pub(crate) name: String,
    /// It begins a new world.
    pub(crate) first: bool,
    pub(crate) put: Put,
    /// Probes, and whether they went through.
    pub(crate) probes: Vec<(String, bool)>,
}

/// All recorded states in order.
pub(crate) fn recorded() -> Vec<State> {
    let file: Value =
        serde_json::from_str(include_str!("../../../../tests/data/policy/worlds.json")).expect("JSON");
    let mut states = Vec::new();
    for world in file["worlds"].as_array().expect("worlds") {
        for (number, state) in world["states"].as_array().expect("states").iter().enumerate() {
            let members = |name: &str| state[name].as_object().expect("an object").iter();
            states.push(State {
                name: format!("{}, state {number}", world["seed"]),
                first: number == 0,
                put: members("put").map(|(key, value)| (key.clone(), stored(value))).collect(),
                probes: members("probes").map(|(probe, seen)| (probe.clone(), seen == "+")).collect(),
            });
        }
    }
    states
}

#[test]
fn every_verdict_of_upstream_holds_in_the_evaluator() {
    let mut records = Records::default();
    let (mut count, mut wrong) = (0, Vec::new());
    for state in recorded() {
        if state.first {
            records = Records::default();
        }
        for (key, value) in &state.put {
            records.put(key, value.as_deref());
        }
        let world = lab::world(&records, Settings::default());
        for (probe, seen) in &state.probes {
            count += 1;
            let parsed = Probe::parse(probe);
            let (passed, _) = parsed.play(&world);
            if passed != *seen {
                let steps = parsed.explain(&world).steps;
                wrong.push(format!("{}: {probe} went through: {seen}\n{steps:#?}", state.name));
            }
        }
    }
    assert_eq!(count, 4396);
    let shown: Vec<&str> = wrong.iter().take(5).map(String::as_str).collect();
    assert!(wrong.is_empty(), "{} of {count} differ:\n{}", wrong.len(), shown.join("\n"));
}
