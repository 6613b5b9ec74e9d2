//! The plugin in this process, on the embedded store: one file per test.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::Path;
use std::time::{Duration, SystemTime};

use margay_client::{ExitCode, Invocation};
use serde_json::{Value, json};

use super::run_ipam;

/// A host with a datastore of its own.
struct Host {
    folder: tempfile::TempDir,
}

/// What one call came to.
#[derive(Debug)]
struct Outcome {
    exit: u8,
    stdout: Value,
    stderr: String,
}

fn noon() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000)
}

fn much_later() -> SystemTime {
    noon() + Duration::from_secs(3_600)
}

impl Host {
    fn new() -> Self {
        let host = Self { folder: tempfile::tempdir().expect("a folder") };
        host.put("/calico/v1/Ready", "true");
        host.pool("10.65.0.0/26");
        host
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Does something with the datastore.
    fn with_store<T>(&self, work: impl AsyncFnOnce(&margay_client::AnyStore) -> T) -> T {
        let file = self.path().join("store");
        let random = std::sync::Arc::new(|| [7; 16]);
        let settings = margay_client::Settings::of_environment(
            self.path(),
            &BTreeMap::from([("SQLITE_PATH".to_owned(), file.into())]),
            margay_client::DatastoreKind::Sqlite,
        );
        let store = margay_client::open(&settings.expect("settings"), random).expect("a store");
        crate::call::runtime().expect("a runtime").block_on(work(&store))
    }

    fn put(&self, key: &str, value: &str) {
        use margay_store::kv::{Kv as _, Precondition};
        self.with_store(async |store| {
            store.kv().put(key, value, Precondition::None, None).await.expect("written");
        });
    }

    fn remove(&self, key: &str) {
        use margay_store::kv::{Kv as _, Precondition};
        self.with_store(async |store| store.kv().delete(key, Precondition::None).await.expect("removed"));
    }

    fn pool(&self, cidr: &str) {
        let version = if cidr.contains(':') { 6 } else { 4 };
        let key = format!("/calico/v1/ipam/v{version}/pool/{}", cidr.replace('/', "-"));
        self.put(&key, &json!({ "cidr": cidr, "disabled": false }).to_string());
    }

    fn conf(&self, version: &str, ipam: &Value) -> Value {
        let mut ipam = ipam.clone();
        ipam["type"] = "calico-ipam".into();
        json!({
            "cniVersion": version, "name": "net1", "type": "calico", "nodename": "h1",
            "datastore_type": "sqlite", "sqlite_path": self.path().join("store"),
            "ipam_lock_file": self.path().join("lock"), "ipam": ipam,
        })
    }

    fn call(&self, verb: &str, container: &str, arguments: &str, conf: &Value) -> Outcome {
        self.call_at(noon, verb, container, arguments, conf)
    }

    fn call_at(
        &self,
        now: fn() -> SystemTime,
        verb: &str,
        container: &str,
        arguments: &str,
        conf: &Value,
    ) -> Outcome {
        let env = [
            ("CNI_COMMAND", verb),
            ("CNI_CONTAINERID", container),
            ("CNI_NETNS", "/var/run/netns/x"),
            ("CNI_IFNAME", "eth0"),
            ("CNI_PATH", "/nowhere"),
            ("CNI_ARGS", arguments),
        ];
        let env = env.map(|(name, value)| (name.to_owned(), OsString::from(value))).into();
        run(&[], env, self.path(), conf.to_string().as_bytes(), now)
    }

    fn add(&self, container: &str, ipam: &Value) -> Outcome {
        self.call("ADD", container, "", &self.conf("0.3.1", ipam))
    }

    fn del(&self, container: &str) -> Outcome {
        self.call("DEL", container, "", &self.conf("0.3.1", &json!({})))
    }
}

fn run(
    args: &[&str],
    env: BTreeMap<String, OsString>,
    cwd: &Path,
    mut stdin: &[u8],
    now: fn() -> SystemTime,
) -> Outcome {
    let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
    let ExitCode(exit) = run_ipam(&mut Invocation {
        args: args.iter().map(OsString::from).collect(),
        env,
        cwd: cwd.to_owned(),
        stdin: &mut stdin,
        stdout: &mut stdout,
        stderr: &mut stderr,
        stderr_is_terminal: false,
        stdout_is_terminal: false,
        now,
        random: |bytes| bytes.fill(7),
    });
    let stdout = if stdout.is_empty() { Value::Null } else { serde_json::from_slice(&stdout).expect("JSON") };
    Outcome { exit, stdout, stderr: String::from_utf8(stderr).expect("text") }
}

fn failed(outcome: &Outcome) -> String {
    assert_eq!(outcome.exit, 1, "{outcome:?}");
    outcome.stdout["msg"].as_str().unwrap_or_default().to_owned()
}

#[test]
fn addresses_come_and_go_as_recorded() {
    let host = Host::new();
    let expected =
        |address: &str| json!({"cniVersion":"0.3.1","ips":[{"version":"4","address":address}],"dns":{}});
    assert_eq!(host.add("c1", &json!({})).stdout, expected("10.65.0.0/32"));
    assert_eq!(host.add("c2", &json!({})).stdout, expected("10.65.0.1/32"));
    for _ in 0..2 {
        let gone = host.del("c1");
        assert_eq!((gone.exit, gone.stdout), (0, Value::Null));
    }
    assert_eq!(host.add("c3", &json!({})).stdout, expected("10.65.0.2/32"));
    assert_eq!(host.del("never-there").exit, 0);
}

#[test]
fn answers_have_the_shape_of_their_version() {
    let host = Host::new();
    host.pool("fd80:24e2:f998:72d6::/122");
    let both = json!({ "assign_ipv6": "true" });
    let at =
        |version: &str, container: &str| host.call("ADD", container, "", &host.conf(version, &both)).stdout;
    assert_eq!(
        at("0.2.0", "c1"),
        json!({"cniVersion":"0.2.0","ip4":{"ip":"10.65.0.0/32"},"ip6":{"ip":"fd80:24e2:f998:72d6::/128"},"dns":{}})
    );
    assert_eq!(
        at("0.4.0", "c2"),
        json!({"cniVersion":"0.4.0","ips":[{"version":"4","address":"10.65.0.1/32"},
               {"version":"6","address":"fd80:24e2:f998:72d6::1/128"}],"dns":{}})
    );
    assert_eq!(
        at("1.1.0", "c3"),
        json!({"cniVersion":"1.1.0","ips":[{"address":"10.65.0.2/32"},{"address":"fd80:24e2:f998:72d6::2/128"}]})
    );
    let none = json!({ "assign_ipv4": "false" });
    let empty = host.call("ADD", "c4", "", &host.conf("0.3.1", &none));
    assert_eq!((empty.exit, empty.stdout), (0, json!({"cniVersion":"0.3.1","dns":{}})));
    let old = host.call("ADD", "c4", "", &host.conf("0.2.0", &none));
    assert_eq!(failed(&old), "cannot convert: no valid IP addresses");
}

#[test]
fn an_address_may_be_asked_for() {
    let host = Host::new();
    let conf = host.conf("0.3.1", &json!({}));
    let add = |container: &str, arguments: &str| host.call("ADD", container, arguments, &conf);
    let got = add("c1", "IgnoreUnknown=1;Foo=bar;IP=10.65.0.3;IP=10.65.0.4");
    assert_eq!(got.stdout["ips"][0]["address"], "10.65.0.4/32");
    assert_eq!(failed(&add("c2", "IP=10.65.0.4")), "Address already assigned in block");
    assert_eq!(failed(&add("c2", "IP=10.9.0.4")), "The provided IP address is not in a configured pool");
    assert_eq!(failed(&add("c2", "Foo=bar")), "ARGS: unknown args [\"Foo=bar\"]");
    assert_eq!(failed(&add("c2", "Foo")), "ARGS: invalid pair \"Foo\"");
    assert_eq!(failed(&host.call("DEL", "c1", "Foo", &conf)), "ARGS: invalid pair \"Foo\"");
    assert_eq!(add("c2", "IP=10.65.0.4").exit, 0, "released all the same");
    let mut odd_pools = conf.clone();
    odd_pools["ipam"]["ipv4_pools"] = json!(["junk"]);
    assert_eq!(host.call("ADD", "c4", "IP=10.65.0.10", &odd_pools).exit, 0, "pools do not count");
    let mut wished = conf.clone();
    wished["runtimeConfig"] = json!({ "ips": ["10.65.0.9"] });
    let got = host.call("ADD", "c3", "IP=10.65.0.8", &wished);
    assert_eq!(got.stdout["ips"][0]["address"], "10.65.0.9/32");
}

#[test]
fn pools_that_are_none_are_refused() {
    let host = Host::new();
    let told = |ipam: Value| failed(&host.add("c1", &ipam));
    assert_eq!(
        told(json!({"ipv4_pools":["192.169.1.0/24"]})),
        "The given pool (192.169.1.0/24) does not exist"
    );
    for text in ["x", "10.65.0.0"] {
        let expected = format!("error parsing pool \"{text}\": invalid CIDR address: {text}");
        assert_eq!(told(json!({ "ipv4_pools": [text] })), expected);
    }
    assert_eq!(told(json!({"ipv4_pools":["fd80::/64"]})), "\"fd80::\" isn't a IPv4 address");
    let unused = json!({"ipv6_pools":["10.65.0.0/26"]});
    assert_eq!(
        told(unused),
        "\"10.65.0.0\" isn't a IPv6 address",
        "a mistake counts where nothing is assigned"
    );
    assert_eq!(told(json!({"assign_ipv6":"true"})), "No configured Calico pools");
    assert_eq!(host.add("c2", &json!({"ipv4_pools":["10.65.0.7/26"],"ipv6_pools":["fd99::/122"]})).exit, 0);
}

#[test]
fn a_request_gets_all_or_nothing() {
    let host = Host::new();
    host.pool("fd80:24e2:f998:72d6::/122");
    for number in 0..64 {
        assert_eq!(host.add(&format!("c{number}"), &json!({})).exit, 0);
    }
    let text = "Failed to request 1 IPv4 addresses. IPAM allocated only 0.";
    let both = json!({ "assign_ipv6": "true" });
    assert_eq!(failed(&host.add("late", &both)), text);
    host.del("c7");
    assert_eq!(host.add("late", &both).stdout["ips"][1]["address"], "fd80:24e2:f998:72d6::1/128");
}

#[test]
fn check_finds_the_addresses_under_the_handle() {
    let host = Host::new();
    let mut conf = host.conf("1.0.0", &json!({}));
    let check = |conf: &Value| host.call("CHECK", "c1", "", conf);
    assert_eq!(failed(&check(&conf)), "Required prevResult missing");
    conf["prevResult"] = host.call("ADD", "c1", "", &conf).stdout;
    let sound = check(&conf);
    assert_eq!((sound.exit, sound.stdout), (0, Value::Null));
    host.del("c1");
    let lost = check(&conf);
    assert_eq!(failed(&lost), "10.65.0.0/32 is not assigned to net1.c1".replace("/32", ""));
    assert_eq!(lost.stdout["code"], 116);
    conf["cniVersion"] = "0.3.1".into();
    assert_eq!(failed(&check(&conf)), "config version does not allow CHECK");
}

#[test]
fn gc_releases_what_is_not_listed_once_it_is_old() {
    let host = Host::new();
    let mut conf = host.conf("1.1.0", &json!({}));
    for container in ["c1", "c2"] {
        host.add(container, &json!({}));
    }
    let gc = |now, conf: &Value| host.call_at(now, "GC", "", "", conf).exit;
    assert_eq!(gc(much_later, &conf), 0);
    conf["cni.dev/valid-attachments"] = json!([{ "containerID": "c2", "ifname": "eth0" }]);
    assert_eq!(gc(noon, &conf), 0);
    conf["prevResult"] = json!({ "ips": [{ "address": "10.65.0.0/32" }] });
    assert_eq!(host.call("CHECK", "c1", "", &conf).exit, 0);
    assert_eq!(gc(much_later, &conf), 0);
    assert_eq!(host.call("CHECK", "c1", "", &conf).exit, 1);
    conf["prevResult"] = json!({ "ips": [{ "address": "10.65.0.1/32" }] });
    assert_eq!(host.call("CHECK", "c2", "", &conf).exit, 0);
}

#[test]
fn status_says_whether_an_address_can_be_had() {
    let host = Host::new();
    let conf = host.conf("1.1.0", &json!({}));
    let status = || host.call("STATUS", "", "", &conf);
    assert_eq!(status().exit, 0);
    let six = host.call("STATUS", "", "", &host.conf("1.1.0", &json!({ "assign_ipv6": "true" })));
    assert_eq!((failed(&six).as_str(), &six.stdout["code"]), ("No configured Calico pools", &json!(50)));
    host.put("/calico/v1/Ready", "false");
    assert_eq!(status().stdout["code"], 50);
}

#[test]
fn addresses_under_a_workloads_own_name_go_unless_a_newer_container_has_them() {
    let host = Host::new();
    let pod = "IgnoreUnknown=1;K8S_POD_NAMESPACE=ns;K8S_POD_NAME=pod";
    let legacy = |handle: &str| {
        host.put("/calico/ipam/v2/assignment/ipv4/block/10.65.0.0-26", &block_with(handle));
        host.put(&format!("/calico/ipam/v2/handle/{handle}"), r#"{"block":{"10.65.0.0/26":1}}"#);
    };
    let mut conf = host.conf("1.0.0", &json!({}));
    conf["prevResult"] = json!({ "ips": [{ "address": "10.65.0.0/32" }] });
    let free = |conf: &Value| host.call("ADD", "probe", "IP=10.65.0.0", conf).exit == 0;
    legacy("ns.pod");
    host.put(
        "/calico/v1/host/h1/workload/k8s/ns.pod/endpoint/eth0",
        r#"{"state":"active","name":"cali1","active_instance_id":"newer","mac":null,"profile_ids":[],"ipv4_nets":[],"ipv6_nets":[]}"#,
    );
    assert_eq!(host.call("DEL", "older", pod, &conf).exit, 0);
    assert!(!free(&conf));
    assert_eq!(host.call("DEL", "newer", pod, &conf).exit, 0);
    assert!(free(&conf));
}

fn block_with(handle: &str) -> String {
    let mut allocations = vec![Value::Null; 64];
    allocations[0] = 0.into();
    json!({
        "cidr": "10.65.0.0/26", "affinity": "host:h1", "strictAffinity": false, "allocations": allocations,
        "unallocated": (1..64).collect::<Vec<u8>>(), "attributes": [{ "handle_id": handle, "secondary": null }],
    })
    .to_string()
}

#[test]
fn an_address_whose_handle_is_lost_is_released_all_the_same() {
    let host = Host::new();
    host.add("c1", &json!({}));
    host.remove("/calico/ipam/v2/handle/net1.c1");
    assert_eq!(host.del("c1").exit, 0);
    let again = host.call("ADD", "c2", "IP=10.65.0.0", &host.conf("1.0.0", &json!({})));
    assert_eq!(again.exit, 0, "{again:?}");
    // A block that nobody can read must not keep others from being searched.
    host.put("/calico/ipam/v2/assignment/ipv4/block/10.64.0.0-26", "junk");
    host.put("/calico/ipam/v2/host/h1/ipv4/block/10.64.0.0-26", "{}");
    host.put("/calico/ipam/v2/handle/net1.c2", "junk");
    assert_eq!(host.del("c2").exit, 0);
    let again = host.call("ADD", "c3", "IP=10.65.0.0", &host.conf("1.0.0", &json!({})));
    assert_eq!(again.exit, 0, "{again:?}");
}

#[test]
fn version_and_flags_need_nothing() {
    let env = |verb: &str| BTreeMap::from([("CNI_COMMAND".to_owned(), OsString::from(verb))]);
    let version = run(&[], env("VERSION"), Path::new("/"), b"not JSON", noon);
    assert_eq!((version.exit, &version.stdout["cniVersion"]), (0, &json!("1.1.0")));
    let missing = run(&[], BTreeMap::new(), Path::new("/"), b"{}", noon);
    assert!(failed(&missing).contains("required env variables"));
    let wrong = run(&["-x"], BTreeMap::new(), Path::new("/"), b"", noon);
    assert_eq!((wrong.exit, wrong.stderr.starts_with("Usage of calico-ipam:")), (2, true));
    let upgrade = run(&["-upgrade"], BTreeMap::new(), Path::new("/"), b"", noon);
    assert_eq!(
        (upgrade.exit, upgrade.stderr.as_str()),
        (1, "calico-ipam: KUBERNETES_NODE_NAME is not set\n")
    );
}

/// I90, as far as separate processes go: the host's lock lets one after the other work.
#[test]
fn a_hundred_requests_at_once_get_a_hundred_addresses() {
    let host = Host::new();
    host.pool("10.66.0.0/24");
    let conf = host.conf("0.3.1", &json!({}));
    let addresses: std::collections::BTreeSet<String> = std::thread::scope(|scope| {
        let running: Vec<_> = (0..100)
            .map(|number| {
                let (host, conf) = (&host, &conf);
                scope.spawn(move || {
                    let got = host.call("ADD", &format!("c{number}"), "", conf);
                    assert_eq!(got.exit, 0, "{got:?}");
                    got.stdout["ips"][0]["address"].as_str().expect("an address").to_owned()
                })
            })
            .collect();
        running.into_iter().map(|thread| thread.join().expect("a request")).collect()
    });
    assert_eq!(addresses.len(), 100);
    let blocks: std::collections::BTreeSet<String> = addresses
        .iter()
        .map(|address| {
            let address: margay_net::Cidr = address.parse().expect("an address");
            margay_ipam::block_of(address.address()).to_string()
        })
        .collect();
    assert_eq!(blocks.len(), 2, "{blocks:?}");
}
