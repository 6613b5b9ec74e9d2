//! What a person, and somebody who is none, sees of the agent: logs, pages, keys, and how it takes broken settings.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use margay_testkit::etcd::{AuthUser, Etcd};
use margay_testkit::lab::enclosed;
use tempfile::TempDir;

/// How long anything may take on a busy machine; it takes milliseconds.
const DEADLINE: Duration = Duration::from_secs(30);

/// What must not be read anywhere.
const CANARY: &str = "canary-7f3a";

/// A file, an environment, and a word of what the agent says when it has read both.
type Case<'a> = (&'a str, &'a [(&'a str, &'a str)], &'a str);

/// `calico-felix` with a configuration file.
struct Felix {
    folder: TempDir,
    child: Option<Child>,
}

// === impl Felix ===

impl Felix {
    fn start(file: &str, env: &[(&str, &str)]) -> Self {
        let folder = TempDir::with_prefix("margay-felix-").expect("a folder");
        symlink(env!("CARGO_BIN_EXE_margay"), folder.path().join("calico-felix")).expect("a name");
        let mut felix = Self { folder, child: None };
        felix.write(file);
        let log = File::create(felix.log_path()).expect("a log");
        let child = Command::new(felix.folder.path().join("calico-felix"))
            .args(["-c", "felix.cfg"])
            .current_dir(felix.folder.path())
            .envs(env.iter().copied())
            .env("FELIX_LOGFILEPATH", felix.folder.path().join("new/file.log"))
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("one log for both"))
            .stderr(log)
            .spawn();
        felix.child = Some(child.expect("starting the agent"));
        felix
    }

    fn write(&self, file: &str) {
        std::fs::write(self.folder.path().join("felix.cfg"), file).expect("writing a file");
    }

    fn log_path(&self) -> PathBuf {
        self.folder.path().join("log")
    }

    /// Everything that it has said anywhere.
    fn said(&self) -> String {
        let file = std::fs::read_to_string(self.folder.path().join("new/file.log")).unwrap_or_default();
        std::fs::read_to_string(self.log_path()).unwrap_or_default() + &file
    }

    fn wait_for(&self, what: &str, holds: impl Fn() -> bool) {
        let begun = Instant::now();
        while !holds() {
            assert!(begun.elapsed() < DEADLINE, "no {what}\n{}", self.said());
            std::thread::sleep(Duration::from_millis(20));
        }
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

fn output(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output().expect("starting a program");
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

fn table() -> String {
    output("nft", &["list", "table", "inet", "calico"])
}

/// What a page answers; empty when nobody does.
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

#[test]
fn secrets_of_any_setting_reach_neither_logs_nor_status() {
    if !enclosed("adversary_person::secrets_of_any_setting_reach_neither_logs_nor_status")
        || !Etcd::available()
    {
        return;
    }
    output("ip", &["link", "set", "lo", "up"]);
    let mut etcd = Etcd::start();
    for (name, value) in [("EtcdPassword", CANARY), ("MetadataPort", CANARY), ("LogPrefix", "quiet")] {
        etcd.put(&format!("/calico/v1/config/{name}"), value);
    }
    etcd.put("/calico/v1/Ready", "true");
    let url = etcd.client_url();
    let with_password = url.replace("://", &format!("://root:{CANARY}@"));
    etcd.enable_auth(
        "something else",
        AuthUser { name: "felix", password: "right", read: &["/*"], write: &["/*"] },
    );
    let debug = ("FELIX_LOGSEVERITYSCREEN", "debug");
    let more = ("FELIX_LOGSEVERITYFILE", "debug");
    let unset = format!("[global]\nEtcdPassword = {CANARY}\nPassword: {CANARY}\n");
    let cases: [Case<'_>; 9] = [
        (&unset, &[("FELIX_ETCDENDPOINTS", "http://127.0.0.1:1")], "connection refused"),
        (&format!("[global]\nEtcdPassword {CANARY}\n"), &[], "felix.cfg"),
        (&format!("[global {CANARY}\n"), &[], "felix.cfg"),
        ("", &[("FELIX_ETCDENDPOINTS", &with_password)], "EtcdEndpoints"),
        ("", &[("ETCD_ENDPOINTS", &with_password)], "opening the datastore"),
        ("", &[("FELIX_ETCDADDR", "root:canary-7f3a@h:1")], "EtcdAddr"),
        (
            "",
            &[("FELIX_ETCDENDPOINTS", &url), ("ETCD_USERNAME", "felix"), ("ETCD_PASSWORD", CANARY)],
            "tried again",
        ),
        (
            "",
            &[("FELIX_ETCDENDPOINTS", &url), ("ETCD_USERNAME", "felix"), ("ETCD_PASSWORD", "right")],
            "MetadataPort",
        ),
        (
            "",
            &[("FELIX_TYPHAKEYFILE", CANARY), ("FELIX_PASSWORD", CANARY), ("FELIX_DATASTORETYPE", CANARY)],
            "DatastoreType",
        ),
    ];
    for (file, env, sign) in cases {
        let felix = Felix::start(file, &[env, &[debug, more]].concat());
        felix.wait_for(sign, || felix.said().contains(sign));
        let status = output(env!("CARGO_BIN_EXE_margay"), &["status", "-o", "json"]);
        let said = felix.said() + &status;
        assert!(!said.contains(CANARY), "{env:?}\n{said}");
        assert!(!said.contains("right"), "{env:?}\n{said}");
    }
}

#[test]
fn a_fresh_host_is_closed_while_settings_are_broken() {
    if !enclosed("adversary_person::a_fresh_host_is_closed_while_settings_are_broken") {
        return;
    }
    let folder = TempDir::with_prefix("margay-db-").expect("a folder");
    let path = folder.path().join("db").display().to_string();
    let env = [
        ("FELIX_DATASTORETYPE", "sqlite"),
        ("FELIX_SQLITEPATH", path.as_str()),
        ("FELIX_INTERFACEPREFIX", "tap"),
    ];
    let felix = Felix::start("[global]\nnothing here\n", &env);
    felix.wait_for("the guard", || {
        table().contains("policy is not known yet") && table().contains("\"tap*\"")
    });
    assert!(felix.said().contains("felix.cfg: line 2"), "{}", felix.said());
    felix.write("[global]\nLogSeverityScreen = info\n");
    felix.wait_for("the table", || table().contains("spoofed source") && !table().contains("not known yet"));
    drop(felix);
    output("nft", &["delete", "table", "inet", "calico"]);
    let felix = Felix::start("", &[("FELIX_DATASTORETYPE", "nonsense")]);
    felix.wait_for("the guard", || {
        table().contains("policy is not known yet") && table().contains("\"cali*\"")
    });
}

#[test]
fn pages_are_for_this_host_and_survive_peers_that_stall() {
    if !enclosed("adversary_person::pages_are_for_this_host_and_survive_peers_that_stall") {
        return;
    }
    output("ip", &["link", "set", "lo", "up"]);
    output("ip", &["addr", "add", "192.0.2.1/32", "dev", "lo"]);
    let folder = TempDir::with_prefix("margay-db-").expect("a folder");
    let path = folder.path().join("db").display().to_string();
    let felix = Felix::start(
        "[global]\nHealthEnabled = true\nPrometheusMetricsEnabled = true\n",
        &[
            ("FELIX_DATASTORETYPE", "sqlite"),
            ("FELIX_SQLITEPATH", path.as_str()),
            ("FELIX_FELIXHOSTNAME", "h1"),
        ],
    );
    felix.wait_for("readiness", || get(9099, "/readiness").starts_with("HTTP/1.1 204 "));
    for port in [9091, 9099] {
        assert!(TcpStream::connect(("192.0.2.1", port)).is_err(), "{port} is open to others");
    }
    let mut stalled: Vec<TcpStream> = Vec::new();
    for number in 0..400 {
        let port = [9091, 9099][number % 2];
        let Ok(mut stream) = TcpStream::connect(("127.0.0.1", port)) else { continue };
        // Some say nothing, some stop in the middle; some are cut off while they write, as they should be.
        if number % 3 == 0 {
            let _ = stream.write_all(b"GET /met");
        }
        stalled.push(stream);
    }
    felix.wait_for("liveness beside stalled peers", || get(9099, "/liveness").starts_with("HTTP/1.1 204 "));
    felix.wait_for("metrics beside stalled peers", || {
        get(9091, "/metrics").contains("felix_host{host=\"h1\"} 1")
    });
    let page = get(9091, "/metrics");
    for name in [
        "felix_resync_state 3",
        "felix_resyncs_started",
        "felix_calc_graph_output_events",
        "felix_int_dataplane_failures 0",
        "felix_logs_dropped 0",
        "felix_log_errors",
        "felix_calc_graph_update_time_seconds_count",
        "felix_int_dataplane_apply_time_seconds_count",
        "felix_int_dataplane_msg_batch_size_count",
        "felix_int_dataplane_iface_msg_batch_size_count",
        "felix_int_dataplane_addr_msg_batch_size_count",
        "felix_active_local_endpoints 0",
        "felix_active_local_policies 0",
        "felix_active_local_selectors 0",
        "felix_active_local_tags 0",
        "felix_cluster_num_hosts 0",
        "felix_cluster_num_workload_endpoints 0",
        "felix_cluster_num_host_endpoints 0",
        "felix_nft_calls",
        "felix_nft_errors 0",
        "felix_nft_commit_seconds_count",
        "felix_endpoint_programming_seconds_count",
        "felix_quarantined_policies 0",
    ] {
        assert!(page.contains(&format!("\n{name}")), "no {name} in\n{page}");
    }
}

#[test]
fn a_bad_parameter_that_was_mended_is_forgotten() {
    if !enclosed("adversary_person::a_bad_parameter_that_was_mended_is_forgotten") || !Etcd::available() {
        return;
    }
    output("ip", &["link", "set", "lo", "up"]);
    let etcd = Etcd::start();
    etcd.put("/calico/v1/Ready", "true");
    etcd.put("/calico/v1/config/MetadataPort", "many");
    let url = etcd.client_url();
    let felix = Felix::start("", &[("FELIX_ETCDENDPOINTS", &url), ("FELIX_FELIXHOSTNAME", "h1")]);
    felix.wait_for("the complaint", || felix.said().contains("MetadataPort"));
    etcd.delete("/calico/v1/config/MetadataPort");
    felix.wait_for("the table", || table().contains("DefaultEndpointToHostAction"));
    etcd.put("/calico/v1/config/DefaultEndpointToHostAction", "ACCEPT");
    felix.wait_for("the change", || !table().contains("DefaultEndpointToHostAction"));
    etcd.put("/calico/v1/host/h1/config/DefaultEndpointToHostAction", "DROP");
    felix.wait_for("the change of this host", || table().contains("DefaultEndpointToHostAction"));
}
