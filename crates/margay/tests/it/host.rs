//! The real agent in a laboratory.

use std::collections::BTreeMap;
use std::fs::File;
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use margay_testkit::etcd::Etcd;
use tempfile::TempDir;

/// How long the agent may take until a change is in the kernel. It takes milliseconds; the machine may be busy.
const DEADLINE: Duration = Duration::from_secs(30);

/// `calico-felix` running on `h1`; it is killed when this goes.
pub(crate) struct Agent {
    folder: TempDir,
    env: BTreeMap<String, String>,
    child: Option<Child>,
}

// === impl Agent ===

impl Agent {
    /// Starts it with these parameters, without the `FELIX_`, and returns at once.
    pub(crate) fn start(parameters: &[(&str, &str)]) -> Self {
        let folder = TempDir::with_prefix("margay-agent-").expect("a folder for the agent");
        symlink(env!("CARGO_BIN_EXE_margay"), folder.path().join("calico-felix")).expect("its name");
        let log = folder.path().join("unused.log").display().to_string();
        let defaults =
            [("FelixHostname", "h1"), ("LogSeverityScreen", "INFO"), ("LogFilePath", log.as_str())];
        let env = defaults
            .iter()
            .chain(parameters)
            .map(|(name, value)| (format!("FELIX_{}", name.to_uppercase()), (*value).to_owned()))
            .collect();
        let mut agent = Self { folder, env, child: None };
        agent.restart();
        agent
    }

    /// Starts it on an etcd, with more parameters.
    pub(crate) fn start_on_etcd(etcd: &Etcd, parameters: &[(&str, &str)]) -> Self {
        let url = etcd.client_url();
        Self::start(&[&[("EtcdEndpoints", url.as_str())], parameters].concat())
    }

    /// Starts it again with the same parameters after [`Agent::kill`].
    pub(crate) fn restart(&mut self) {
        let log = File::options().append(true).create(true).open(self.log_path()).expect("a log");
        let child = Command::new(self.folder.path().join("calico-felix"))
            .envs(&self.env)
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("one log for both"))
            .stderr(log)
            .spawn();
        self.child = Some(child.expect("starting the agent"));
    }

    /// Ends it as a power cut would.
    pub(crate) fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            // It may have ended by itself, which the next wait tells.
            let _ = child.kill();
            child.wait().expect("the agent can be waited for");
        }
    }

    /// Its process.
    pub(crate) fn pid(&self) -> u32 {
        self.child.as_ref().expect("it runs").id()
    }

    /// Sends it a signal, `-STOP` or so.
    pub(crate) fn signal(&self, signal: &str) {
        let sent = Command::new("kill").args([signal, &self.pid().to_string()]).status();
        assert!(sent.expect("starting kill").success());
    }

    /// What it has printed so far.
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.log_path()).unwrap_or_default()
    }

    fn log_path(&self) -> PathBuf {
        self.folder.path().join("log")
    }

    /// What `nft` prints on this host, errors included.
    pub(crate) fn nft(&self, args: &[&str]) -> String {
        let output = Command::new("nft").args(args).output().expect("starting nft");
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
    }

    /// Waits until the kernel has everything written so far: an endpoint written last has its place in the dispatch
    /// map, and the one of the mark before has lost it.
    pub(crate) fn settle(&self, etcd: &Etcd, mark: usize) {
        self.settle_on(etcd, "h1", mark);
    }

    /// The same for an agent whose host has another name.
    pub(crate) fn settle_on(&self, etcd: &Etcd, host: &str, mark: usize) {
        let (last, now) = (format!("mark{}", mark - 1), format!("mark{mark}"));
        let key = |name: &str| format!("/calico/v1/host/{host}/workload/lab/{name}/endpoint/eth0");
        let value = format!(
            r#"{{"state":"active","name":"cali{now}","mac":null,"profile_ids":[],"ipv4_nets":[],"ipv6_nets":[]}}"#
        );
        etcd.delete(&key(&last));
        etcd.put(&key(&now), &value);
        self.wait_for(DEADLINE, &format!("{now} in the kernel"), || {
            let map = self.nft(&["list", "map", "inet", "calico", "wl_to"]);
            map.contains(&format!("\"cali{now}\"")) && !map.contains(&format!("\"cali{last}\""))
        });
    }

    /// Waits until something holds. Shows log and rules when it does not in time.
    pub(crate) fn wait_for(&self, time: Duration, what: &str, holds: impl Fn() -> bool) {
        let until = Instant::now() + time;
        while !holds() {
            assert!(
                Instant::now() < until,
                "no {what}\n== log\n{}\n== rules\n{}",
                self.log(),
                self.nft(&["list", "ruleset"])
            );
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        self.kill();
    }
}
