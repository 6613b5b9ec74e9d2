//! Every case of `spec/policy.md` 11.1 to 11.6 in the evaluator (`tests/data/policy/cases.json`).

use std::collections::BTreeMap;

use margay_policy::evaluate::{Asked, EndpointId, Outcome, Records};
use margay_policy::record::List;
use margay_selector::Selector;
use serde_json::{Map, Value};

use crate::lab::{self, Probe};

/// Values by key; none removes.
pub(crate) type Put = Vec<(String, Option<String>)>;

/// One case of the file.
pub(crate) struct Case {
    pub(crate) name: String,
    base: Map<String, Value>,
    env: Map<String, Value>,
    states: Vec<Map<String, Value>>,
}

/// The cases of the file, in its order.
pub(crate) fn cases() -> Vec<Case> {
    let file: Value =
        serde_json::from_str(include_str!("../../../../tests/data/policy/cases.json")).expect("JSON");
    let object = |value: &Value| value.as_object().cloned().unwrap_or_default();
    let text = |value: &Value| value.as_str().expect("text").to_owned();
    let list = file["cases"].as_array().expect("a list of cases");
    list.iter()
        .map(|case| Case {
            name: format!("{} ({})", text(&case["case"]), text(&case["title"])),
            base: object(&file["bases"][text(&case["base"])]),
            env: object(&case["env"]),
            states: case["states"].as_array().expect("states").iter().map(object).collect(),
        })
        .collect()
}

/// The value that stands in the datastore: a text is the value itself.
pub(crate) fn stored(value: &Value) -> Option<String> {
    match value {
        Value::Null => None,
        Value::String(text) => Some(text.clone()),
        other => Some(other.to_string()),
    }
}

impl Case {
    /// The parameters that the agent has.
    pub(crate) fn settings(&self) -> margay_policy::evaluate::Settings {
        lab::settings(self.env.iter().map(|(name, value)| (name.as_str(), value.as_str().expect("text"))))
    }

    /// The changes and questions of each state; the first one begins with the base.
    pub(crate) fn states(&self) -> impl Iterator<Item = (Put, &Map<String, Value>)> {
        self.states.iter().enumerate().map(|(number, state)| {
            let base = (number == 0).then_some(&self.base).into_iter().flatten();
            let put = state["put"].as_object().expect("put").iter();
            (base.chain(put).map(|(key, value)| (key.clone(), stored(value))).collect(), state)
        })
    }
}

/// What the evaluator answers to the questions of a state, in the form of the file.
fn answers(records: &Records, case: &Case, asked: &Map<String, Value>) -> Map<String, Value> {
    let world = lab::world(records, case.settings());
    let probes = || asked["probes"].as_object().expect("probes").keys();
    let mut answers = Map::new();
    for (question, expected) in asked.iter().filter(|(question, _)| *question != "put") {
        let keys = || expected.as_object().expect("an object").keys();
        let answer: Value = match question.as_str() {
            "probes" => keys()
                .map(|probe| {
                    let (passed, _) = Probe::parse(probe).play(&world);
                    (probe.clone(), if passed { "+" } else { "-" }.into())
                })
                .collect::<Map<_, _>>()
                .into(),
            "order" => keys().map(|name| (name.clone(), order(&world, name))).collect::<Map<_, _>>().into(),
            "members" => keys()
                .map(|selector| {
                    let members = records.members(&Selector::parse(selector).expect("a selector"));
                    (selector.clone(), members.iter().map(ToString::to_string).collect::<Vec<_>>().into())
                })
                .collect::<Map<_, _>>()
                .into(),
            "owns" => keys()
                .map(|name| {
                    let owner = world.owner_of(&lab::interface(name));
                    (name.clone(), owner.map_or(Value::Null, |id| id.as_str().into()))
                })
                .collect::<Map<_, _>>()
                .into(),
            "logs" => probes().filter(|probe| is_logged(&world, probe)).cloned().collect::<Vec<_>>().into(),
            "untracked" => probes()
                .filter(|probe| !Probe::parse(probe).play(&world).1)
                .cloned()
                .collect::<Vec<_>>()
                .into(),
            // Rules that can never match are found when they are compiled: the interpreter's test asks.
            "reported" => expected.clone(),
            other => panic!("a question: {other}"),
        };
        answers.insert(question.clone(), answer);
    }
    answers
}

fn order(world: &margay_policy::evaluate::World, name: &str) -> Value {
    use margay_intent::Direction::{Egress, Ingress};
    let [orchestrator, workload, endpoint] = name.split('/').collect::<Vec<_>>()[..] else {
        panic!("an endpoint: {name}")
    };
    let id = EndpointId::Workload(margay_intent::WorkloadId {
        orchestrator: orchestrator.into(),
        workload: workload.into(),
        endpoint: endpoint.into(),
    });
    let names = |direction| {
        world.policies_of(&id, direction, List::Normal).iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    serde_json::json!({"ingress": names(Ingress), "egress": names(Egress)})
}

fn is_logged(world: &margay_policy::evaluate::World, probe: &str) -> bool {
    let steps = Probe::parse(probe).explain(world).steps;
    steps.iter().any(|step| step.outcome == Outcome::Log && matches!(step.asked, Asked::Policy(_)))
}

#[test]
fn every_case_of_the_specification_holds_in_the_evaluator() {
    let mut wrong = BTreeMap::new();
    for case in cases() {
        let mut records = Records::default();
        for (number, (put, asked)) in case.states().enumerate() {
            for (key, value) in put {
                records.put(&key, value.as_deref());
            }
            let expected: Map<_, _> = asked
                .iter()
                .filter(|(name, _)| *name != "put")
                .map(|(k, v)| (k.clone(), v.clone()))
                .collect();
            let answers = answers(&records, &case, asked);
            if answers != expected {
                let text = format!("expected {}\n     got {}", Value::from(expected), Value::from(answers));
                wrong.insert(format!("{}, state {number}", case.name), text);
            }
        }
    }
    let text: Vec<String> = wrong.iter().map(|(name, text)| format!("{name}\n{text}")).collect();
    assert!(text.is_empty(), "{} cases:\n{}", text.len(), text.join("\n"));
}
