//! The cases of `spec/policy.md` 11 with real packets: the same file that the evaluator is held against.

use std::collections::BTreeMap;
use std::path::Path;

use margay_testkit::etcd::Etcd;
use margay_testkit::lab::{Lab, Probe, enclosed};
use serde_json::Value;

use crate::host::Agent;

type Records = BTreeMap<String, Value>;

#[derive(serde::Deserialize)]
struct Cases {
    bases: BTreeMap<String, Records>,
    cases: Vec<Case>,
}

#[derive(serde::Deserialize)]
struct Case {
    case: String,
    title: String,
    base: String,
    #[serde(default)]
    env: BTreeMap<String, String>,
    states: Vec<State>,
}

#[derive(serde::Deserialize)]
struct State {
    #[serde(default)]
    put: Records,
    #[serde(default)]
    probes: BTreeMap<String, String>,
}

/// What of the file's probes this laboratory cannot send: packets in the middle of a flow.
const SKIPPED: [&str; 10] = [
    "X>W0 v6 proto:1 ct=invalid",
    "X>h1 tcp:80 ct=established",
    "W1>W0 tcp:80 ct=established",
    "W0>W1 tcp:80 ct=established",
    "X>W0 tcp:80 ct=invalid",
    "X>W0 tcp:81 ct=invalid",
    "X>W0 icmp type=3 code=3 ct=related",
    "X>h1 proto:47",
    "h1>X proto:4",
    "X>h1 proto:4",
];

#[test]
fn every_case_holds_with_real_packets() {
    if !enclosed("cases::every_case_holds_with_real_packets") || !Etcd::available() {
        return;
    }
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/data/policy/cases.json");
    let text = std::fs::read_to_string(file).expect("the cases are there");
    let mut file: Cases = serde_json::from_str(&text).expect("the cases are JSON of that shape");
    // One agent for all cases that want the same parameters.
    file.cases.sort_by(|a, b| a.env.cmp(&b.env));
    let lab = Lab::new(3);
    // Where requests for metadata are sent on to.
    lab.answer("h1", 8775);
    let etcd = Etcd::start();
    let mut agent: Option<(&BTreeMap<String, String>, Agent)> = None;
    let (mut played, mut mark, mut wrong) = (0, 0, Vec::new());
    for case in &file.cases {
        if agent.as_ref().is_none_or(|(env, _)| *env != &case.env) {
            drop(agent.take());
            let names =
                case.env.iter().map(|(name, value)| (name.trim_start_matches("FELIX_"), value.as_str()));
            etcd.wipe();
            etcd.put("/calico/v1/Ready", "true");
            agent = Some((&case.env, Agent::start_on_etcd(&etcd, &names.collect::<Vec<_>>())));
        }
        let agent = &agent.as_ref().expect("it has just been started").1;
        for key in
            etcd.dump("/calico/v1").keys().filter(|key| *key != "/calico/v1/Ready" && !key.ends_with('/'))
        {
            etcd.delete(key);
        }
        write(&etcd, file.bases.get(&case.base).unwrap_or(&Records::new()));
        for (number, state) in case.states.iter().enumerate() {
            write(&etcd, &state.put);
            mark += 1;
            agent.settle(&etcd, mark);
            let (seen, count) = probe(&lab, state);
            played += count;
            wrong.extend(
                seen.into_iter()
                    .map(|text| format!("{} ({}), state {number}: {text}", case.case, case.title)),
            );
        }
    }
    assert!(played > 150, "{played} probes are too few to say anything");
    assert!(wrong.is_empty(), "{} of {played} verdicts differ:\n{}", wrong.len(), wrong.join("\n"));
}

fn write(etcd: &Etcd, records: &Records) {
    for (key, record) in records {
        match record {
            Value::Null => etcd.delete(key),
            Value::String(text) => etcd.put(key, text),
            record => etcd.put(key, &record.to_string()),
        }
    }
}

/// Sends the probes of a state; what differed, and how many were sent.
fn probe(lab: &Lab, state: &State) -> (Vec<String>, usize) {
    let sent: Vec<(&String, &String)> =
        state.probes.iter().filter(|(text, _)| !SKIPPED.contains(&text.as_str())).collect();
    let translated: Vec<String> = sent.iter().filter_map(|(text, _)| translation(text)).collect();
    for port in sent.iter().filter_map(|(text, _)| inner_port(text)) {
        lab.answer("W0", port);
    }
    if !translated.is_empty() {
        let rules = translated.join("\n");
        nft(&format!(
            "table ip port {{ chain pre {{ type nat hook prerouting priority dstnat - 5;\n{rules}\n}}\n}}"
        ));
    }
    let probes: Vec<(Probe, bool)> =
        sent.iter().map(|(text, expected)| (parse(text), expected.as_str() == "+")).collect();
    let seen = lab.probe_all(&probes);
    if !translated.is_empty() {
        nft("delete table ip port");
    }
    let wrong = sent.iter().zip(&seen).filter(|((_, expected), passed)| (*expected == "+") != **passed);
    (wrong.map(|((text, expected), _)| format!("{text}: {expected} expected")).collect(), seen.len())
}

/// The probe without the words that are not about what is sent. A reply that nobody asked for is invalid by itself.
fn parse(text: &str) -> Probe {
    let words: Vec<&str> =
        text.split(' ').filter(|word| !word.starts_with("dnat=") && *word != "ct=invalid").collect();
    words.join(" ").parse().unwrap_or_else(|error| panic!("{text}: {error}"))
}

/// The rule of somebody else that a probe with `dnat=` needs.
fn translation(text: &str) -> Option<String> {
    let to = text.split(' ').find_map(|word| word.strip_prefix("dnat="))?;
    let port = text.split(' ').find_map(|word| word.strip_prefix("tcp:"))?;
    Some(format!("ip daddr 172.17.0.2 tcp dport {port} dnat to {to};"))
}

/// The port of W0 that such a rule leads to.
fn inner_port(text: &str) -> Option<u16> {
    let to = text.split(' ').find_map(|word| word.strip_prefix("dnat=10.65.0.10:"))?;
    Some(to.parse().expect("a port"))
}

fn nft(rules: &str) {
    let output = std::process::Command::new("nft").arg(rules).output().expect("starting nft");
    assert!(output.status.success(), "{rules}: {}", String::from_utf8_lossy(&output.stderr));
}
