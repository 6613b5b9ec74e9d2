//! Upstream's recorded sessions of `calico` and `calico-ipam`, played with the real executable on a real etcd.

use std::collections::BTreeMap;

use margay_testkit::etcd::Etcd;
use margay_testkit::lab::enclosed;
use serde_json::{Value, json};

use super::compare::{Ours, differences};
use super::host::{Answer, Host, reference_plugins, shell};
use super::store::Store;

/// The sessions.
const SESSIONS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/data/conformance/cni.json");

/// The port that the sessions name.
const PORT: &str = ":2379";

#[derive(serde::Deserialize)]
struct Case {
    id: String,
    before: BTreeMap<String, Value>,
    #[serde(default)]
    files: BTreeMap<String, String>,
    /// Which block is chosen does not count.
    #[serde(default)]
    free_block: bool,
    steps: Vec<Step>,
    seen: Vec<Value>,
    #[serde(default)]
    ours: Vec<Ours>,
}

#[derive(serde::Deserialize)]
struct Step {
    run: Option<String>,
    #[serde(default)]
    env: BTreeMap<String, String>,
    #[serde(default)]
    stdin: Value,
    grep: Option<String>,
    sh: Option<String>,
    server: Option<String>,
    #[serde(default)]
    etcd: BTreeMap<String, Value>,
}

/// A host, its etcd, and how the sessions' words are put.
struct Stage {
    host: Host,
    store: Store,
}

/// What the sessions are about that only an etcd has.
const OF_ETCD: [&str; 1] = ["store-"];

#[test]
fn recorded_sessions_are_seen_again_on_a_real_etcd() {
    let name = "cni::sessions::recorded_sessions_are_seen_again_on_a_real_etcd";
    if Etcd::available() && reference_plugins() && enclosed(name) {
        play(Store::etcd, 69, |_| true);
    }
}

#[test]
fn recorded_sessions_are_seen_again_on_the_embedded_store() {
    let name = "cni::sessions::recorded_sessions_are_seen_again_on_the_embedded_store";
    if reference_plugins() && enclosed(name) {
        play(Store::embedded, 62, |case| !OF_ETCD.iter().any(|start| case.id.starts_with(start)));
    }
}

fn play(store: fn() -> Store, count: usize, wanted: impl Fn(&Case) -> bool) {
    let text = std::fs::read_to_string(SESSIONS).expect("the recorded sessions");
    let mut cases: Vec<Case> = serde_json::from_str(&text).expect("sessions of the known shape");
    cases.retain(wanted);
    assert_eq!(cases.len(), count);
    // The host first: an etcd needs its loopback.
    let host = Host::new();
    let mut stage = Stage { host, store: store() };
    let mut failed = Vec::new();
    for case in &cases {
        failed.extend(stage.play(case).into_iter().map(|difference| format!("{}: {difference}", case.id)));
    }
    assert!(failed.is_empty(), "{} differences:\n{}", failed.len(), failed.join("\n"));
}

// === impl Stage ===

impl Stage {
    fn play(&mut self, case: &Case) -> Vec<String> {
        self.host.reset();
        self.store.wipe();
        for (key, value) in &case.before {
            self.put(key, value);
        }
        for (name, text) in &case.files {
            self.host.write(name, &self.filled(text));
        }
        let mut found = Vec::new();
        for (index, (step, expected)) in case.steps.iter().zip(&case.seen).enumerate() {
            let answer = self.step(step);
            if expected.is_null() {
                continue;
            }
            let mut expected = expected.clone();
            let mut seen = self.host.seen(&self.store);
            let mut unsaid = None;
            if let Some(answer) = &answer {
                seen["exit"] = json!(answer.exit);
                seen["stdout"] = answer.stdout.clone();
                unsaid = refusal(step, &mut expected, &mut seen);
            }
            if case.free_block {
                let count = |seen: &Value| seen["blocks"].as_array().map(Vec::len);
                (seen["blocks"], expected["blocks"]) = (json!(count(&seen)), json!(count(&expected)));
            }
            // What differs in the datastore differs in its blocks.
            for side in [&mut seen, &mut expected] {
                side["etcd blocks"] = side["blocks"].take();
            }
            let differences = differences(index + 1, &expected, &seen, unsaid, &case.ours);
            let stderr = answer.map(|answer| answer.stderr).unwrap_or_default();
            found.extend(
                differences.into_iter().map(|what| format!("step {}: {what} [{}]", index + 1, stderr.trim())),
            );
        }
        found
    }

    fn put(&self, key: &str, value: &Value) {
        match value {
            Value::Null => self.store.delete(key),
            Value::String(text) => self.store.put(key, text),
            other => self.store.put(key, &other.to_string()),
        }
    }

    fn filled(&self, text: &str) -> String {
        let text = text
            .replace("{tmp}", &self.host.folder().display().to_string())
            .replace("{bin}", &self.host.plugins().display().to_string());
        self.store.port().map_or(text.clone(), |port| text.replace(PORT, &format!(":{port}")))
    }

    /// The configuration, put onto the datastore of the stage.
    fn configured(&self, stdin: &Value) -> String {
        match stdin {
            Value::Null => String::new(),
            Value::String(text) => text.clone(),
            Value::Object(conf) if self.store.port().is_none() => {
                let mut conf = conf.clone();
                if conf.remove("etcd_endpoints").is_some() {
                    conf.extend(self.store.settings().as_object().expect("an object").clone());
                }
                Value::Object(conf).to_string()
            }
            other => other.to_string(),
        }
    }

    fn step(&mut self, step: &Step) -> Option<Answer> {
        match step.server.as_deref() {
            Some("stop") => self.store.stop(),
            Some(_) => self.store.start(),
            None => {}
        }
        for (key, value) in &step.etcd {
            self.put(key, value);
        }
        if let Some(line) = &step.sh {
            shell(&self.filled(line));
        }
        let plugin = step.run.as_ref()?;
        let mut env: BTreeMap<String, String> =
            step.env.iter().map(|(name, value)| (name.clone(), self.filled(value))).collect();
        if let Some(netns) = env.get("CNI_NETNS").and_then(|path| path.strip_prefix("/var/run/netns/")) {
            self.host.container(netns);
        }
        env.entry("HOME".to_owned()).or_insert_with(|| self.host.folder().display().to_string());
        let stdin = self.configured(&step.stdin);
        Some(self.host.run(plugin, &env, &self.filled(&stdin)))
    }
}

/// An error's text counts where operators look for a part of it; its number may be better than upstream's.
fn refusal(step: &Step, expected: &mut Value, seen: &mut Value) -> Option<String> {
    if expected["exit"] == 0 || seen["exit"] == 0 {
        return None;
    }
    let answer = seen["stdout"].clone();
    seen["stdout"] = json!({});
    expected["stdout"] = json!({});
    let Some(msg) = answer["msg"].as_str().filter(|_| answer["code"].as_u64().is_some_and(|code| code > 0))
    else {
        return Some(format!("{answer} is no error object"));
    };
    let part = step.grep.as_deref()?;
    (!msg.contains(part)).then(|| format!("{msg:?} does not say {part:?}"))
}
