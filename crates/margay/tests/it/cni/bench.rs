//! What a runtime does with the plugin, on a host and a datastore of the test's own.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::process::Child;

use margay_cni::fault;
use margay_testkit::etcd::Etcd;
use margay_testkit::lab::enclosed;
use serde_json::{Value, json};

use super::host::{Answer, Host, links, records, routes};
use super::store::Store;

/// A host with a datastore, and the calls of a runtime.
pub(crate) struct Bench {
    /// The host.
    pub(crate) host: Host,
    /// The datastore.
    pub(crate) store: Store,
    /// The network configuration.
    pub(crate) conf: Value,
}

// === impl Bench ===

impl Bench {
    pub(crate) fn new(store: fn() -> Store) -> Self {
        let host = Host::new();
        let store = store().with_pool("10.65.0.0/24");
        let conf = store.conf(&json!({ "log_level": "info" }));
        Self { host, store, conf }
    }

    pub(crate) fn env(&self, verb: &str, container: &str, netns: &str) -> BTreeMap<String, String> {
        let path = self.host.plugins().display().to_string();
        [
            ("CNI_COMMAND", verb),
            ("CNI_CONTAINERID", container),
            ("CNI_NETNS", netns),
            ("CNI_IFNAME", "eth0"),
            ("CNI_PATH", path.as_str()),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into()
    }

    /// Calls the plugin, with a fault armed.
    pub(crate) fn call_with(&mut self, verb: &str, container: &str, fault: &str) -> Answer {
        let netns = self.host.container(container);
        let mut env = self.env(verb, container, &netns);
        if !fault.is_empty() {
            env.insert(fault::VARIABLE.to_owned(), fault.to_owned());
        }
        self.host.run("calico", &env, &self.conf.to_string())
    }

    pub(crate) fn call(&mut self, verb: &str, container: &str) -> Answer {
        self.call_with(verb, container, "")
    }

    /// A call that must succeed.
    pub(crate) fn succeed(&mut self, verb: &str, container: &str) -> Value {
        let answer = self.call(verb, container);
        assert_eq!(answer.exit, Some(0), "{verb} {container}: {answer:?}");
        answer.stdout
    }

    pub(crate) fn start(&mut self, verb: &str, container: &str, fault: &str) -> Child {
        let netns = self.host.container(container);
        let mut env = self.env(verb, container, &netns);
        env.insert(fault::VARIABLE.to_owned(), fault.to_owned());
        let mut child = self.host.command("calico", &env).spawn().expect("starting the plugin");
        child
            .stdin
            .take()
            .expect("its stdin")
            .write_all(self.conf.to_string().as_bytes())
            .expect("its input");
        child
    }

    /// What is left of containers on host and datastore; profiles and claims on blocks stay.
    pub(crate) fn left(&self) -> Vec<String> {
        let names = links(&[]).into_iter().filter_map(|link| link["ifname"].as_str().map(str::to_owned));
        let mut left: Vec<String> = names.filter(|name| name.starts_with("cali")).collect();
        left.extend(routes(&[]).into_iter().filter(|route| route.starts_with("10.65.")));
        let dump = self.store.dump("/calico").expect("the datastore is up");
        for (key, value) in records(&dump) {
            if key.contains("/workload/") || key.contains("/handle/") {
                left.push(key);
            } else if value["taken"].as_object().is_some_and(|taken| !taken.is_empty()) {
                left.push(format!("{key}: {}", value["taken"]));
            }
        }
        for file in std::fs::read_dir("/run/calico/cni/pending-del").into_iter().flatten().flatten() {
            left.push(file.path().display().to_string());
        }
        left
    }

    pub(crate) fn assert_clean(&self, after: &str) {
        assert_eq!(self.left(), Vec::<String>::new(), "after {after}");
        let mut check = std::process::Command::new(env!("CARGO_BIN_EXE_margay"));
        check.args(["ipam", "check"]).envs(self.store.environment());
        let said = check.output().expect("starting margay");
        let said = String::from_utf8_lossy(&said.stdout).into_owned();
        assert!(said.contains("found 0 problems"), "after {after}: {said}");
    }
}

/// Runs a test on the embedded store and, where there is one, on a real etcd.
pub(crate) fn run_on_both(name: &str, test: fn(&mut Bench)) {
    let on_etcd = Etcd::available();
    if !enclosed(name) {
        return;
    }
    test(&mut Bench::new(Store::embedded));
    if on_etcd {
        test(&mut Bench::new(Store::etcd));
    }
}
