//! The agent's whole life on a host of a laboratory, with real packets, a real etcd and the embedded datastore.

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use margay_testkit::etcd::Etcd;
use margay_testkit::lab::{Lab, Probe, enclosed};
use serde_json::Value;
use tempfile::TempDir;

/// How long anything may take on a busy machine; it takes milliseconds.
const DEADLINE: Duration = Duration::from_secs(30);

const READY: &str = "/calico/v1/Ready";
const PROFILE: &str = "/calico/v1/policy/profile/open/rules";
const OPEN: &str = r#"{"inbound_rules":[{"action":"allow"}],"outbound_rules":[{"action":"allow"}]}"#;
const POLICY: &str = "/calico/v1/policy/tier/default/policy/closed";
const CLOSED: &str = r#"{"selector":"all()","order":1,"inbound_rules":[{"action":"deny"}],"outbound_rules":[{"action":"allow"}]}"#;

/// `calico-felix`, which is killed when this goes.
struct Felix {
    folder: TempDir,
    env: BTreeMap<String, String>,
    child: Option<Child>,
}

// === impl Felix ===

impl Felix {
    /// Starts it with these parameters.
    fn start(parameters: &[(&str, &str)]) -> Self {
        Self::start_in(parameters, &[])
    }

    /// Starts it with these parameters and these variables.
    fn start_in(parameters: &[(&str, &str)], variables: &[(&str, &str)]) -> Self {
        let folder = TempDir::with_prefix("margay-felix-").expect("a folder");
        symlink(env!("CARGO_BIN_EXE_margay"), folder.path().join("calico-felix")).expect("a name");
        let defaults = [
            ("FelixHostname", "h1"),
            ("LogSeverityScreen", "DEBUG"),
            ("LogFilePath", "none"),
            ("HealthEnabled", "true"),
            ("EndpointReportingEnabled", "true"),
            ("EndpointReportingDelaySecs", "0.1"),
            ("ReportingIntervalSecs", "1"),
        ];
        let name = |name: &str| format!("FELIX_{}", name.to_uppercase());
        let texts = defaults.iter().chain(parameters);
        let variables = variables.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned()));
        let env = texts.map(|(key, text)| (name(key), (*text).to_owned())).chain(variables).collect();
        let mut felix = Self { folder, env, child: None };
        felix.restart();
        felix
    }

    fn on(etcd: &Etcd, parameters: &[(&str, &str)]) -> Self {
        let url = etcd.client_url();
        let mut all = vec![("EtcdEndpoints", url.as_str())];
        all.extend(parameters);
        Self::start(&all)
    }

    fn restart(&mut self) {
        let log = std::fs::File::options().append(true).create(true).open(self.folder.path().join("log"));
        let log = log.expect("a log");
        let child = Command::new(self.folder.path().join("calico-felix"))
            .args(["-c", "absent.cfg"])
            .envs(&self.env)
            .current_dir(self.folder.path())
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("one log for both"))
            .stderr(log)
            .spawn();
        self.child = Some(child.expect("starting the agent"));
    }

    fn signal(&self, signal: &str) {
        let child = self.child.as_ref().expect("it runs");
        let sent = Command::new("kill").args([signal, &child.id().to_string()]).status();
        assert!(sent.expect("starting kill").success());
    }

    /// Ends it by a signal and returns its exit status.
    fn end(&mut self, signal: &str) -> Option<i32> {
        self.signal(signal);
        self.child.take().expect("it runs").wait().expect("it can be waited for").code()
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    fn wait_for(&self, what: &str, holds: impl Fn() -> bool) {
        let begun = Instant::now();
        while !holds() {
            assert!(
                begun.elapsed() < DEADLINE,
                "no {what}\n== log\n{}\n== status\n{}\n== rules\n{}",
                self.log(),
                String::from_utf8_lossy(&margay(&["status"]).stdout),
                nft(&["list", "ruleset"])
            );
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn wait_until_ready(&self) {
        self.wait_for("readiness", || get(9099, "/readiness").starts_with("HTTP/1.1 204 "));
    }

    /// Waits until the probe passes or not.
    fn wait_for_probe(&self, lab: &Lab, text: &str, passes: bool) {
        let probe: Probe = text.parse().expect("a probe");
        self.wait_for(&format!("{text}: {passes}"), || lab.probe(&probe, passes) == passes);
    }
}

impl Drop for Felix {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            // It may have ended by itself, which some wait has told then.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

// === helpers ===

fn margay(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_margay")).args(args).output().expect("starting margay")
}

fn nft(args: &[&str]) -> String {
    let output = Command::new("nft").args(args).output().expect("starting nft");
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

/// What a page of this host answers; empty when nobody does.
fn get(port: u16, path: &str) -> String {
    let ask = || -> std::io::Result<String> {
        let mut stream = TcpStream::connect(("127.0.0.1", port))?;
        stream.set_read_timeout(Some(DEADLINE))?;
        stream.write_all(format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n").as_bytes())?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer)
    };
    ask().unwrap_or_default()
}

/// What the agent says of itself.
fn status() -> Value {
    serde_json::from_slice(&margay(&["status", "-o", "json"]).stdout).unwrap_or(Value::Null)
}

fn workload_key(number: usize) -> String {
    format!("/calico/v1/host/h1/workload/cni/w{number}/endpoint/eth0")
}

/// A workload of the laboratory with the open profile.
fn workload(lab: &Lab, number: usize) -> String {
    let [v4, v6] = lab.workload_addresses(number);
    format!(
        r#"{{"state":"active","name":"cali{number}","mac":"02:00:00:00:00:{}","profile_ids":["open"],"ipv4_nets":["{v4}/32"],"ipv6_nets":["{v6}/128"],"labels":{{"n":"{number}"}}}}"#,
        10 + number
    )
}

/// Everything that an open world of two workloads needs.
fn open_world(lab: &Lab) -> Vec<(String, String)> {
    let mut keys = vec![(PROFILE.to_owned(), OPEN.to_owned())];
    keys.extend((0..2).map(|number| (workload_key(number), workload(lab, number))));
    keys.push((READY.to_owned(), "true".to_owned()));
    keys
}

fn fill(etcd: &Etcd, lab: &Lab) {
    for (key, value) in open_world(lab) {
        etcd.put(&key, &value);
    }
}

#[test]
fn policy_reports_pages_and_parameters_follow_the_datastore() {
    if !(enclosed("agent::policy_reports_pages_and_parameters_follow_the_datastore") && Etcd::available()) {
        return;
    }
    let (lab, etcd) = (Lab::new(2), Etcd::start());
    fill(&etcd, &lab);
    let felix = Felix::on(&etcd, &[]);
    felix.wait_until_ready();
    felix.wait_for_probe(&lab, "W0>W1 tcp:80", true);
    felix.wait_for_probe(&lab, "W0>h1 tcp:80", false);

    // Reports: keys, files, status.
    let status_of = |number: usize| format!("/calico/felix/v1/host/h1/workload/cni/w{number}/endpoint/eth0");
    felix.wait_for("status of the endpoints", || {
        (0..2).all(|number| etcd.get(&status_of(number)).as_deref() == Some(r#"{"status":"up"}"#))
    });
    let file = Path::new("/var/run/calico/endpoint-status/cni w0 eth0");
    felix.wait_for("a status file", || file.exists());
    felix.wait_for("the agent's own status", || {
        let text = etcd.get("/calico/felix/v1/host/h1/status").unwrap_or_default();
        let own: Value = serde_json::from_str(&text).unwrap_or(Value::Null);
        own["first_update"] == false && own["uptime"].as_f64().is_some_and(|uptime| uptime > 0.0)
    });
    assert!(etcd.get("/calico/felix/v1/host/h1/last_reported_status").is_some());
    let asked = margay(&["status", "--wait", "30s"]);
    let shown = String::from_utf8_lossy(&asked.stdout).into_owned();
    assert_eq!(asked.status.code(), Some(0), "{shown}");
    assert!(shown.contains("cni/w0/eth0  cali0      up"), "{shown}");

    // Policy.
    etcd.put(POLICY, CLOSED);
    felix.wait_for_probe(&lab, "W0>W1 tcp:80", false);
    etcd.delete(POLICY);
    felix.wait_for_probe(&lab, "W0>W1 tcp:80", true);

    // A bad record closes what it governs, is named, and goes.
    etcd.put(POLICY, r#"{"selector":"all()","inbound_rules":[{"action":"perhaps"}]}"#);
    felix.wait_for("the bad record's name", || status()["invalid"][0]["key"] == POLICY);
    etcd.delete(POLICY);
    felix.wait_for("no bad record", || status()["invalid"].as_array().is_some_and(Vec::is_empty));

    // Parameters: the metrics page opens, the host becomes reachable; a bad one changes nothing and is named.
    etcd.put("/calico/v1/config/PrometheusMetricsEnabled", "true");
    felix.wait_for("metrics", || get(9091, "/metrics").contains("\nfelix_active_local_endpoints 2\n"));
    etcd.put("/calico/v1/host/h1/config/DefaultEndpointToHostAction", "ACCEPT");
    felix.wait_for_probe(&lab, "W0>h1 tcp:80", true);
    etcd.put("/calico/v1/host/h1/config/DefaultEndpointToHostAction", "perhaps");
    felix.wait_for("the bad parameter's name", || {
        status()["parameters"]["error"]
            .as_str()
            .is_some_and(|text| text.contains("DefaultEndpointToHostAction"))
    });
    felix.wait_for_probe(&lab, "W0>h1 tcp:80", true);
    etcd.delete("/calico/v1/host/h1/config/DefaultEndpointToHostAction");
    felix.wait_for_probe(&lab, "W0>h1 tcp:80", false);

    // An endpoint goes with everything that was said of it.
    etcd.delete(&workload_key(0));
    felix.wait_for("no status of the endpoint", || etcd.get(&status_of(0)).is_none() && !file.exists());
    felix.wait_for_probe(&lab, "W0>W1 tcp:80", false);
}

#[test]
fn the_embedded_datastore_serves_as_well() {
    if !enclosed("agent::the_embedded_datastore_serves_as_well") {
        return;
    }
    let lab = Lab::new(2);
    let folder = TempDir::with_prefix("margay-db-").expect("a folder");
    let path = folder.path().join("db").display().to_string();
    let notify = folder.path().join("notify");
    let manager = UnixDatagram::bind(&notify).expect("a socket");
    manager.set_read_timeout(Some(DEADLINE)).expect("a deadline");
    let mut felix = Felix::start_in(
        &[("DatastoreType", "sqlite"), ("SqlitePath", &path)],
        &[("NOTIFY_SOCKET", &notify.display().to_string()), ("WATCHDOG_USEC", "20000000")],
    );
    felix.wait_until_ready();
    let hear = |wanted: &str| {
        let mut heard = Vec::new();
        while heard.last().is_none_or(|last| last != wanted) {
            let mut buffer = [0; 256];
            let length =
                manager.recv(&mut buffer).unwrap_or_else(|error| panic!("no {wanted} in {heard:?}: {error}"));
            heard.push(String::from_utf8_lossy(&buffer[..length]).into_owned());
        }
    };
    hear("WATCHDOG=1");
    hear("READY=1");
    let apply = |documents: &str| {
        let mut child = Command::new(env!("CARGO_BIN_EXE_margay"))
            .args(["apply", "-f", "-"])
            .envs([("DATASTORE_TYPE", "sqlite"), ("SQLITE_PATH", path.as_str())])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .expect("starting margay");
        child.stdin.take().expect("a pipe").write_all(documents.as_bytes()).expect("it reads");
        assert!(child.wait().expect("it ends").success());
    };
    apply(
        "- {apiVersion: v1, kind: profile, metadata: {name: open}, spec: {ingress: [{action: allow}], egress: [{action: allow}]}}\n\
         - {apiVersion: v1, kind: workloadEndpoint, metadata: {node: h1, orchestrator: cni, workload: w0, name: eth0}, spec: {interfaceName: cali0, ipNetworks: [10.65.0.10/32], profiles: [open], mac: '02:00:00:00:00:10'}}\n\
         - {apiVersion: v1, kind: workloadEndpoint, metadata: {node: h1, orchestrator: cni, workload: w1, name: eth0}, spec: {interfaceName: cali1, ipNetworks: [10.65.0.11/32], profiles: [open], mac: '02:00:00:00:00:11'}}\n",
    );
    felix.wait_for_probe(&lab, "W0>W1 tcp:80", true);
    apply(
        "{apiVersion: v1, kind: policy, metadata: {name: closed}, spec: {selector: all(), ingress: [{action: deny}]}}\n",
    );
    felix.wait_for_probe(&lab, "W0>W1 tcp:80", false);
    assert_eq!(felix.end("-INT"), Some(0), "{}", felix.log());
    hear("STOPPING=1");
}

#[test]
fn nothing_opens_when_the_agent_or_the_datastore_goes_and_comes() {
    if !(enclosed("agent::nothing_opens_when_the_agent_or_the_datastore_goes_and_comes") && Etcd::available())
    {
        return;
    }
    let (lab, mut etcd) = (Lab::new(2), Etcd::start());
    fill(&etcd, &lab);
    let mut felix = Felix::on(&etcd, &[]);
    felix.wait_until_ready();
    felix.wait_for_probe(&lab, "W0>W1 tcp:80", true);

    // Asked to end: rules stay, and so does what they say.
    assert_eq!(felix.end("-TERM"), Some(0), "{}", felix.log());
    felix.wait_for_probe(&lab, "W0>W1 tcp:80", true);
    felix.wait_for_probe(&lab, "W0>h1 tcp:80", false);
    let before = nft(&["list", "table", "inet", "calico"]);

    // A start on a right table writes nothing: no handle and no counter is new.
    felix.restart();
    felix.wait_until_ready();
    assert_eq!(status()["kernel"]["commits"], 0, "{}", felix.log());
    assert_eq!(nft(&["list", "table", "inet", "calico"]), before);

    // Killed: what changes meanwhile holds after the next start.
    felix.end("-KILL");
    etcd.put(POLICY, CLOSED);
    felix.wait_for_probe(&lab, "W0>W1 tcp:80", true);
    felix.restart();
    felix.wait_for_probe(&lab, "W0>W1 tcp:80", false);
    felix.wait_until_ready();

    // The datastore is away: the rules stay, the agent says that it is stale; back with other content it is right.
    etcd.kill(0);
    felix.wait_for("staleness", || {
        status()["datastore"]["staleSeconds"].as_f64().is_some_and(|seconds| seconds > 0.0)
    });
    assert_eq!(margay(&["status"]).status.code(), Some(1));
    assert!(get(9099, "/liveness").starts_with("HTTP/1.1 204 "));
    felix.wait_for_probe(&lab, "W0>W1 tcp:80", false);
    etcd.restart(0);
    etcd.delete(POLICY);
    felix.wait_for_probe(&lab, "W0>W1 tcp:80", true);
    felix.wait_for("an end of staleness", || margay(&["status"]).status.code() == Some(0));
    etcd.restart_empty();
    for (key, value) in open_world(&lab) {
        if key != workload_key(1) {
            etcd.put(&key, &value);
        }
    }
    felix.wait_for_probe(&lab, "W0>W1 tcp:80", false);
    fill(&etcd, &lab);
    felix.wait_for_probe(&lab, "W0>W1 tcp:80", true);

    // History that the agent slept through is gone: it looks at everything anew.
    felix.signal("-STOP");
    etcd.put(POLICY, CLOSED);
    for number in 0..1200 {
        etcd.put("/calico/v1/policy/profile/other/tags", &format!("[\"{number}\"]"));
    }
    felix.signal("-CONT");
    felix.wait_for_probe(&lab, "W0>W1 tcp:80", false);
    etcd.delete(POLICY);
    felix.wait_for_probe(&lab, "W0>W1 tcp:80", true);
}

#[test]
fn a_locked_datastore_freezes_the_node() {
    if !(enclosed("agent::a_locked_datastore_freezes_the_node") && Etcd::available()) {
        return;
    }
    let (lab, etcd) = (Lab::new(2), Etcd::start());
    fill(&etcd, &lab);
    etcd.put(READY, "false");
    let felix = Felix::on(&etcd, &[]);
    // A locked datastore must not hold up an upgrade: that counts as ready, and nothing but the guard stands.
    felix.wait_until_ready();
    felix.wait_for_probe(&lab, "W0>W1 tcp:80", false);
    etcd.put(READY, "true");
    felix.wait_for_probe(&lab, "W0>W1 tcp:80", true);
    etcd.put(READY, "false");
    felix.wait_for("the lock", || status()["datastore"]["readyFlag"] == false);
    etcd.put(POLICY, CLOSED);
    // The policy is there and held: a change of a parameter, which is not, comes behind it.
    etcd.put("/calico/v1/config/PrometheusMetricsEnabled", "true");
    felix.wait_for("metrics", || get(9091, "/metrics").starts_with("HTTP/1.1 200 "));
    felix.wait_for_probe(&lab, "W0>W1 tcp:80", true);
    etcd.put(READY, "true");
    felix.wait_for_probe(&lab, "W0>W1 tcp:80", false);
    etcd.delete(READY);
    felix.wait_for("the missing flag", || status()["datastore"]["readyFlag"].is_null());
    etcd.delete(POLICY);
    etcd.put(READY, "true");
    felix.wait_for_probe(&lab, "W0>W1 tcp:80", true);
}

#[test]
fn the_guard_stands_before_the_datastore_answers_and_bad_parameters_wait_to_be_mended() {
    let name = "agent::the_guard_stands_before_the_datastore_answers_and_bad_parameters_wait_to_be_mended";
    if !(enclosed(name) && Etcd::available()) {
        return;
    }
    let (lab, mut etcd) = (Lab::new(2), Etcd::start());
    fill(&etcd, &lab);
    etcd.put("/calico/v1/config/MetadataPort", "many");
    etcd.kill(0);
    let secrets = [("FELIX_SECRET", "hunter2"), ("ETCD_USERNAME", "somebody"), ("ETCD_PASSWORD", "hunter2")];
    let felix = Felix::start_in(&[("EtcdEndpoints", &etcd.client_url())], &secrets);
    felix.wait_for("the guard", || {
        nft(&["list", "table", "inet", "calico"]).contains("policy is not known yet")
    });
    assert!(get(9099, "/liveness").starts_with("HTTP/1.1 204 "), "{}", felix.log());
    assert!(get(9099, "/readiness").starts_with("HTTP/1.1 503 "), "{}", felix.log());
    felix.wait_for("the reason in the status", || {
        let asked = margay(&["status"]);
        asked.status.code() == Some(1)
            && String::from_utf8_lossy(&asked.stdout)
                .contains("Problem:    the datastore has not answered for ")
    });
    etcd.restart(0);
    felix.wait_for("the complaint", || felix.log().contains("MetadataPort"));
    assert!(get(9099, "/readiness").starts_with("HTTP/1.1 503 "), "{}", felix.log());
    etcd.delete("/calico/v1/config/MetadataPort");
    felix.wait_until_ready();
    felix.wait_for_probe(&lab, "W0>W1 tcp:80", true);
    let said = felix.log() + &status().to_string();
    assert!(!said.contains("hunter2"), "a secret is shown:\n{said}");
}

#[test]
fn drops_are_shown_with_their_reason_and_nothing_stays_behind() {
    if !(enclosed("agent::drops_are_shown_with_their_reason_and_nothing_stays_behind") && Etcd::available()) {
        return;
    }
    let (lab, etcd) = (Lab::new(2), Etcd::start());
    fill(&etcd, &lab);
    etcd.put(POLICY, CLOSED);
    let felix = Felix::on(&etcd, &[]);
    felix.wait_until_ready();
    let mut trace = Command::new(env!("CARGO_BIN_EXE_margay"))
        .args(["trace", "--dropped", "--seconds", "30", "-o", "json"])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("starting margay");
    felix.wait_for("the table that marks packets", || nft(&["list", "tables"]).contains("margay-trace-"));
    let probe: Probe = "W0>W1 tcp:80".parse().expect("a probe");
    assert!(!lab.probe(&probe, false));
    let mut first = String::new();
    let mut lines = std::io::BufReader::new(trace.stdout.take().expect("a pipe"));
    while !first.contains("10.65.0.11") {
        first.clear();
        assert!(
            std::io::BufRead::read_line(&mut lines, &mut first).expect("lines") > 0,
            "the drop is not shown"
        );
    }
    let shown: Value = serde_json::from_str(&first).expect("an object a line");
    assert_eq!(shown["in"]["endpoint"], "cni/w0/eth0", "{shown:#}");
    assert_eq!(shown["out"]["endpoint"], "cni/w1/eth0", "{shown:#}");
    assert_eq!(
        (&shown["by"], &shown["name"], &shown["direction"]),
        (&"policy".into(), &"closed".into(), &"ingress".into()),
        "{shown:#}"
    );
    assert_eq!((&shown["protocol"], &shown["destinationPort"]), (&"tcp".into(), &80.into()), "{shown:#}");
    trace.kill().expect("it runs");
    trace.wait().expect("it ends");
    assert!(!nft(&["list", "tables"]).contains("margay-trace-"), "the table goes with its maker");
    let ended = margay(&["trace", "--dropped", "--seconds", "1"]);
    assert_eq!(ended.status.code(), Some(0), "{}", String::from_utf8_lossy(&ended.stderr));
}

#[test]
fn what_others_do_to_the_table_is_put_right() {
    if !(enclosed("agent::what_others_do_to_the_table_is_put_right") && Etcd::available()) {
        return;
    }
    let (lab, etcd) = (Lab::new(2), Etcd::start());
    fill(&etcd, &lab);
    let felix = Felix::on(&etcd, &[]);
    felix.wait_until_ready();
    felix.wait_for_probe(&lab, "W0>W1 tcp:80", true);
    let strip = |rules: String| -> String {
        let without_counters = rules.split("packets ").map(|part| {
            part.split_once(" bytes ")
                .map_or(part, |(_, rest)| rest.trim_start_matches(|c: char| c.is_ascii_digit()))
        });
        let text = without_counters.collect::<Vec<_>>().join("…");
        // The digest by which a restarted agent knows its work counts the commits.
        text.lines().filter(|line| !line.contains(" . 0x")).collect::<Vec<_>>().join("\n")
    };
    let before = strip(nft(&["list", "table", "inet", "calico"]));
    for damage in [
        &["flush", "table", "inet", "calico"][..],
        &["delete", "table", "inet", "calico"],
        &["insert", "rule", "inet", "calico", "fwd_from", "accept"],
        &["delete", "element", "inet", "calico", "src4", "{ \"cali0\" . 10.65.0.10 }"],
    ] {
        let said = nft(damage);
        assert_eq!(said, "", "{damage:?}");
        felix.wait_for(&format!("repair of {damage:?}; before:\n{before}\n"), || {
            strip(nft(&["list", "table", "inet", "calico"])) == before
        });
    }
    felix.wait_for("a count of the damage", || {
        status()["kernel"]["drift"].as_u64().is_some_and(|count| count >= 3)
    });
    let removed = margay(&["cleanup"]);
    assert_eq!(removed.status.code(), Some(2), "an agent runs");

    // What an agent would change: nothing, a rule of a policy to come, everything.
    let plan = || {
        let mut command = Command::new(env!("CARGO_BIN_EXE_margay"));
        command
            .arg("plan")
            .envs([("FELIX_ETCDENDPOINTS", etcd.client_url()), ("FELIX_FELIXHOSTNAME", "h1".to_owned())]);
        let output = command.output().expect("starting margay");
        (
            output.status.code(),
            String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr),
        )
    };
    assert_eq!(plan(), (Some(0), String::new()));
    drop(felix);
    etcd.put(POLICY, CLOSED);
    let (code, text) = plan();
    assert!(code == Some(1) && text.contains("+ chain pi-closed"), "{text}");
    assert!(!nft(&["list", "table", "inet", "calico"]).contains("pi-closed"), "a plan writes nothing");
    let removed = margay(&["cleanup"]);
    assert_eq!(removed.status.code(), Some(0), "{}", String::from_utf8_lossy(&removed.stderr));
    assert!(nft(&["list", "tables"]).is_empty());
}
