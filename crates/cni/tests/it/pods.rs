//! Pods and what their annotations ask for (`spec/cni.md` 4, 6.4, 8, 20).

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::process::Command;
use std::time::SystemTime;

use margay_client::Invocation;
use margay_cni::cluster::{Cluster, Pod};
use margay_cni::{Code, Failure, run_plugin_with};
use margay_net::Cidr;
use margay_store::kv::{EntryRef, Kv as _, Precondition};
use margay_store_sqlite::{Options, SqliteKv};
use margay_testkit::lab::enclosed;
use serde_json::{Value, json};
use tempfile::TempDir;

/// A cluster with one pod, `default/p1`.
#[derive(Default)]
struct Fake {
    labels: Vec<(&'static str, &'static str)>,
    annotations: Vec<(&'static str, &'static str)>,
    of_namespace: Vec<(&'static str, &'static str)>,
    ranges: Vec<&'static str>,
}

impl Cluster for Fake {
    fn pod(&self, namespace: &str, name: &str) -> Result<Pod, Failure> {
        if (namespace, name) != ("default", "p1") {
            return Err(Failure::new(Code::GENERIC, format!("pods \"{name}\" not found")));
        }
        let labels = self.labels.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        Ok(Pod { labels, annotations: annotations(&self.annotations) })
    }

    fn namespace_annotations(&self, _: &str) -> Result<BTreeMap<String, String>, Failure> {
        Ok(annotations(&self.of_namespace))
    }

    fn pod_ranges(&self, _: &str) -> Result<Vec<Cidr>, Failure> {
        Ok(self.ranges.iter().map(|range| range.parse().expect("a range")).collect())
    }
}

fn annotations(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(name, value)| (format!("cni.projectcalico.org/{name}"), (*value).to_owned())).collect()
}

/// A host with an embedded datastore and namespaces of containers.
struct Host {
    folder: TempDir,
    containers: usize,
}

impl Host {
    fn new() -> Self {
        let folder = TempDir::with_prefix("margay-pods-").expect("a folder");
        let this = std::env::current_exe().expect("this program");
        symlink(this, folder.path().join("calico-ipam")).expect("the plugin's name");
        let host = Self { folder, containers: 0 };
        for cidr in ["10.65.0.0/24", "10.66.0.0/24"] {
            let pool = json!({ "cidr": cidr, "masquerade": true, "ipam": true, "disabled": false });
            host.put(&format!("/calico/v1/ipam/v4/pool/{}", cidr.replace('/', "-")), &pool.to_string());
        }
        host
    }

    fn with_kv<T>(&self, work: impl AsyncFnOnce(SqliteKv) -> T) -> T {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let file = self.folder.path().join("d.db");
        runtime
            .block_on(async { work(SqliteKv::open(&file, Options::default()).expect("a datastore")).await })
    }

    fn put(&self, key: &str, value: &str) {
        self.with_kv(async |kv| kv.put(key, value, Precondition::None, None).await.map(|_| ()))
            .expect("a key");
    }

    fn dump(&self) -> BTreeMap<String, String> {
        self.with_kv(async |kv| {
            let mut found = BTreeMap::new();
            let mut visit = |entry: EntryRef<'_>| {
                found.insert(entry.key.to_owned(), entry.value.to_owned());
            };
            kv.list("/calico", &mut visit).await.expect("a list");
            found
        })
    }

    fn endpoint(&self) -> Value {
        let dump = self.dump();
        let (_, text) = dump.iter().find(|(key, _)| key.contains("/endpoint/")).expect("an endpoint");
        serde_json::from_str(text).expect("JSON")
    }

    fn taken(&self) -> usize {
        let of = |value: &String| {
            let block: Value = serde_json::from_str(value).expect("a block");
            block["allocations"].as_array().map_or(0, |list| list.iter().filter(|a| a.is_u64()).count())
        };
        self.dump().iter().filter(|(key, _)| key.contains("/assignment/")).map(|(_, value)| of(value)).sum()
    }

    /// A container's namespace.
    fn container(&mut self) -> String {
        self.containers += 1;
        let name = format!("c{}", self.containers);
        let made = Command::new("ip").args(["netns", "add", &name]).status().expect("starting ip");
        assert!(made.success());
        name
    }

    fn call(&self, verb: &str, container: &str, cluster: &Fake, more: &Value) -> (u8, Value) {
        let mut conf = json!({
            "cniVersion": "1.0.0", "name": "net1", "type": "calico", "nodename": "h1", "datastore_type": "sqlite",
            "sqlite_path": self.folder.path().join("d.db"), "policy": { "type": "k8s" },
            "ipam": { "type": "calico-ipam" }
        });
        for (name, value) in more.as_object().expect("an object") {
            conf[name] = value.clone();
        }
        let mut env: BTreeMap<String, OsString> = [
            ("CNI_COMMAND", verb),
            ("CNI_CONTAINERID", container),
            ("CNI_NETNS", &format!("/var/run/netns/{container}")),
            ("CNI_IFNAME", "eth0"),
            ("CNI_ARGS", "IgnoreUnknown=1;K8S_POD_NAMESPACE=default;K8S_POD_NAME=p1"),
        ]
        .map(|(name, value)| (name.to_owned(), OsString::from(value)))
        .into();
        env.insert("CNI_PATH".to_owned(), self.folder.path().into());
        env.insert("PATH".to_owned(), std::env::var_os("PATH").unwrap_or_default());
        let (mut stdin, mut stdout, mut stderr) =
            (std::io::Cursor::new(conf.to_string().into_bytes()), Vec::new(), Vec::new());
        let exit = run_plugin_with(
            &mut Invocation {
                args: Vec::new(),
                env,
                cwd: "/".into(),
                stdin: &mut stdin,
                stdout: &mut stdout,
                stderr: &mut stderr,
                stderr_is_terminal: false,
                stdout_is_terminal: false,
                now: || SystemTime::UNIX_EPOCH,
                random: |bytes| bytes.fill(7),
            },
            cluster,
        );
        let answer =
            if stdout.is_empty() { Value::Null } else { serde_json::from_slice(&stdout).expect("JSON") };
        (exit.0, answer)
    }

    fn add(&mut self, cluster: &Fake, more: &Value) -> Value {
        let container = self.container();
        let (exit, answer) = self.call("ADD", &container, cluster, more);
        assert_eq!(exit, 0, "{answer}");
        answer
    }

    fn refused(&mut self, cluster: &Fake, more: &Value) -> String {
        let container = self.container();
        let (exit, answer) = self.call("ADD", &container, cluster, more);
        assert_eq!(exit, 1, "{answer}");
        answer["msg"].as_str().expect("a message").to_owned()
    }
}

fn none() -> Value {
    json!({})
}

#[test]
fn a_pod_has_its_labels_and_the_profile_of_its_namespace() {
    if !enclosed("pods::a_pod_has_its_labels_and_the_profile_of_its_namespace") {
        return;
    }
    let mut host = Host::new();
    let cluster = Fake { labels: vec![("app", "web")], ..Fake::default() };
    host.add(&cluster, &none());
    let endpoint = host.endpoint();
    assert_eq!(endpoint["labels"], json!({ "app": "web", "calico/k8s_ns": "default" }));
    assert_eq!(endpoint["profile_ids"], json!(["k8s_ns.default"]));
    assert_eq!(endpoint["active_instance_id"], "c1");
    assert!(!host.dump().keys().any(|key| key.contains("/policy/profile/")), "profiles are made by others");
}

#[test]
fn addresses_of_annotations_are_assigned_or_taken() {
    if !enclosed("pods::addresses_of_annotations_are_assigned_or_taken") {
        return;
    }
    let mut host = Host::new();
    let asked = Fake { annotations: vec![("ipAddrs", r#"["10.65.0.111"]"#)], ..Fake::default() };
    assert_eq!(host.add(&asked, &none())["ips"][0]["address"], "10.65.0.111/32");
    assert_eq!(host.taken(), 1);
    let twice = host.refused(&asked, &none());
    assert_eq!(twice, "Error getting IP from IPAM: Address already assigned in block");
    assert_eq!(host.call("DEL", "c1", &asked, &none()).0, 0);
    assert_eq!(host.taken(), 0);
    let taken = Fake { annotations: vec![("ipAddrsNoIpam", r#"["10.9.9.9"]"#)], ..Fake::default() };
    let features = json!({ "feature_control": { "ip_addrs_no_ipam": true } });
    assert_eq!(host.add(&taken, &features)["ips"][0]["address"], "10.9.9.9/32");
    assert_eq!(host.taken(), 0);
    let closed = json!({ "feature_control": { "ip_addrs_no_ipam": false } });
    assert_eq!(host.refused(&taken, &closed), "requested feature is not enabled: ip_addrs_no_ipam");
    let outside = Fake { annotations: vec![("ipAddrs", r#"["10.1.1.1"]"#)], ..Fake::default() };
    assert!(host.refused(&outside, &none()).contains("The provided IP address is not in a configured pool"));
}

#[test]
fn pools_mac_and_floating_addresses_are_as_annotated() {
    if !enclosed("pods::pools_mac_and_floating_addresses_are_as_annotated") {
        return;
    }
    let mut host = Host::new();
    let cluster = Fake {
        of_namespace: vec![("ipv4pools", r#"["10.65.0.0/24"]"#)],
        annotations: vec![
            ("ipv4pools", r#"["10.66.0.0/24"]"#),
            ("hwAddr", "02:00:00:00:00:42"),
            ("floatingIPs", r#"["172.16.0.1"]"#),
        ],
        ..Fake::default()
    };
    let features = json!({ "feature_control": { "floating_ips": true } });
    let added = host.add(&cluster, &features);
    let address = added["ips"][0]["address"].as_str().expect("an address").to_owned();
    assert!(address.starts_with("10.66.0."), "{address}");
    assert_eq!(added["interfaces"][1]["mac"], "02:00:00:00:00:42");
    let inside = address.trim_end_matches("/32");
    assert_eq!(host.endpoint()["ipv4_nat"], json!([{ "int_ip": inside, "ext_ip": "172.16.0.1" }]));
    assert_eq!(host.refused(&cluster, &none()), "requested feature is not enabled: floating_ips");
    let nowhere = Fake { annotations: vec![("ipv4pools", r#"["10.1.0.0/16"]"#)], ..Fake::default() };
    assert!(host.refused(&nowhere, &none()).contains("10.1.0.0/16"));
    assert_eq!(host.taken(), 1, "refusals leave nothing");
}

#[test]
fn host_local_gets_the_range_of_the_node() {
    if !enclosed("pods::host_local_gets_the_range_of_the_node") {
        return;
    }
    let mut host = Host::new();
    let script = "#!/bin/sh\ncat >> {told}; echo >> {told}\n\
                  [ $CNI_COMMAND = ADD ] || exit 0\necho '{\"ips\":[{\"address\":\"10.244.1.5/24\"}]}'\n";
    let told = host.folder.path().join("told");
    let plugin = host.folder.path().join("host-local");
    std::fs::write(&plugin, script.replace("{told}", &told.display().to_string())).expect("a plugin");
    std::fs::set_permissions(&plugin, std::fs::Permissions::from_mode(0o755)).expect("its mode");
    let conf = json!({ "ipam": { "type": "host-local", "subnet": "usePodCidr", "extra": 1 } });
    let cluster = Fake { ranges: vec!["10.244.1.0/24"], ..Fake::default() };
    assert_eq!(host.add(&cluster, &conf)["ips"][0]["address"], "10.244.1.5/32");
    let unreachable = Fake::default();
    assert_eq!(host.call("DEL", "c1", &unreachable, &conf).0, 0);
    let said = std::fs::read_to_string(&told).expect("what it was told");
    let documents: Vec<Value> = said.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert_eq!(documents[0]["ipam"], json!({ "type": "host-local", "subnet": "10.244.1.0/24", "extra": 1 }));
    assert_eq!(documents[1]["ipam"]["subnet"], "0.0.0.0/0", "DEL asks no cluster");
    assert_eq!(host.refused(&unreachable, &conf), "No podCidr for node h1");
}
