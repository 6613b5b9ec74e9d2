use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::Path;

use margay_client::{DatastoreKind, Settings};
use serde_json::json;

use super::NetConf;

fn conf(value: &serde_json::Value) -> NetConf {
    NetConf::parse(value.to_string().as_bytes()).unwrap()
}

fn refused(text: &str) -> (u32, String, String) {
    let failure = NetConf::parse(text.as_bytes()).unwrap_err();
    (failure.code.0, failure.msg, failure.details)
}

fn settings(value: &serde_json::Value, env: &[(&str, &str)]) -> Settings {
    let env: BTreeMap<String, OsString> =
        env.iter().map(|(name, value)| ((*name).to_owned(), OsString::from(value))).collect();
    conf(value).settings(Path::new("/"), &env).unwrap()
}

#[test]
fn everything_has_a_default() {
    let conf = conf(&json!({ "name": "net1" }));
    assert_eq!(conf.version.as_str(), "0.1.0");
    assert!(conf.ipam.assign_ipv4 && !conf.ipam.assign_ipv6 && !conf.ipam.present);
    assert_eq!((conf.mtu, conf.queues, conf.log.max_megabytes), (None, 1, 100));
    assert_eq!(conf.policy_setup_timeout, None);
    assert!(conf.valid_attachments.is_none() && conf.warnings.is_empty());
}

#[test]
fn numbers_count_above_nothing_and_stay_too_large() {
    for (number, mtu) in [(0, None), (-5, None), (1400, Some(1400)), (1_i64 << 33, Some(u32::MAX))] {
        assert_eq!(conf(&json!({ "name": "n", "mtu": number })).mtu, mtu);
    }
}

#[test]
fn errors_are_in_the_version_that_was_asked() {
    for (text, version) in [
        (r#"{"cniVersion":"0.4.0"}"#, "0.4.0"),
        (r#"{"CNIVERSION":"0.2.0"}"#, "0.2.0"),
        (r#"{"name":"n"}"#, "0.1.0"),
        (r#"{"cniVersion":"9.9.9"}"#, "1.1.0"),
        ("not JSON", "1.1.0"),
    ] {
        assert_eq!(NetConf::version_asked(text.as_bytes()), version, "{text}");
    }
}

#[test]
fn null_counts_as_nothing() {
    let conf = conf(&json!({
        "cniVersion": null, "name": "n", "mtu": null, "policy": null, "ipam": { "type": "x", "ipv4_pools": null },
        "args": null, "prevResult": null
    }));
    assert_eq!(conf.ipam.kind, "x");
    assert!(conf.prev_result.is_none());
}

#[test]
fn every_fault_is_named_and_no_value_shown() {
    let (code, msg, details) = refused(
        r#"{"name":"n","mtu":"big","policy":{"k8s_auth_token":["s3cret"]},"ipam":{"ipv4_pools":[4]},"kubernetes":7}"#,
    );
    assert_eq!(code, 7);
    assert!(
        msg.starts_with("failed to load netconf: /kubernetes: expected an object, found a number"),
        "{msg}"
    );
    for place in ["/mtu:", "/policy/k8s_auth_token:", "/ipam/ipv4_pools/0:"] {
        assert!(details.contains(place), "{details}");
    }
    assert!(!details.contains("s3cret") && !details.contains("big"), "{details}");
}

#[test]
fn what_nothing_asks_for_has_its_kind_too() {
    for (text, place) in [
        (r#"{"name":"n","type":5}"#, "/type"),
        (r#"{"name":"n","ipam":{"Name":5}}"#, "/ipam/name"),
        (
            r#"{"name":"n","args":{"org.apache.mesos":{"network_info":{"name":5}}}}"#,
            "/args/org.apache.mesos/",
        ),
    ] {
        let (code, msg, _) = refused(text);
        assert_eq!(code, 7);
        assert!(msg.starts_with(&format!("failed to load netconf: {place}")), "{msg}");
    }
}

#[test]
fn what_is_no_object_is_refused() {
    for text in ["[]", "", "{", "7", "\"x\""] {
        let (code, msg, _) = refused(text);
        assert_eq!(code, 6, "{text}");
        assert!(msg.starts_with("decoding version from network config: "), "{msg}");
    }
    assert_eq!(refused(r#"{"cniVersion":4,"name":"n"}"#).0, 6);
    assert_eq!(refused(r#"{"cniVersion":"9.9.9","name":"my net!"}"#).0, 1);
}

#[test]
fn a_name_has_letters_digits_and_three_symbols() {
    for name in ["my net!", "", "a/b", "ä"] {
        let (code, msg, _) = refused(&json!({ "name": name }).to_string());
        assert_eq!(code, 7);
        assert!(msg.starts_with("Invalid characters detected in the given network name."), "{msg}");
    }
    conf(&json!({ "name": "-k8s_pod.net" }));
    assert!(conf(&json!({ "name": "x".repeat(129) })).name_is_too_long());
}

#[test]
fn another_letter_case_counts_with_a_warning() {
    let conf = conf(&json!({ "name": "n", "nodeName": "h1", "IPAM": { "Type": "x" } }));
    assert_eq!((conf.nodename.as_str(), conf.ipam.kind.as_str()), ("h1", "x"));
    assert_eq!(conf.warnings.len(), 3, "{:?}", conf.warnings);
    let exact_wins = self::conf(&json!({ "name": "n", "NODENAME": "a", "nodename": "b" }));
    assert_eq!(exact_wins.nodename, "b");
}

#[test]
fn flags_may_be_booleans_or_words() {
    let flags = |v4: serde_json::Value, v6: serde_json::Value| {
        let ipam = conf(&json!({ "name": "n", "ipam": { "assign_ipv4": v4, "assign_ipv6": v6 } })).ipam;
        (ipam.assign_ipv4, ipam.assign_ipv6)
    };
    assert_eq!(flags(json!("false"), json!("true")), (false, true));
    assert_eq!(flags(json!(false), json!(true)), (false, true));
    assert_eq!(flags(json!("False"), json!("True")), (true, false));
    assert_eq!(flags(json!("no"), json!("yes")), (true, false));
}

#[test]
fn wishes_for_addresses_are_read_once() {
    let conf = conf(&json!({
        "name": "n",
        "args": { "cni": { "ips": ["10.0.0.9"] }, "org.apache.mesos": { "network_info": { "labels": { "labels": [
            { "key": "a", "value": "b" }
        ] } } } },
        "runtimeConfig": { "ips": ["10.0.0.1/24", "10.0.0.1"], "mac": "02:00:00:00:00:01" },
        "cni.dev/valid-attachments": [{ "containerID": "c1", "ifname": "eth0" }]
    }));
    assert_eq!(conf.asked_ips.len(), 1);
    assert_eq!(conf.asked_ips[0].to_string(), "10.0.0.1");
    assert!(conf.asked_mac.is_some());
    assert_eq!(conf.mesos_labels, [("a".to_owned(), "b".to_owned())]);
    assert_eq!(conf.valid_attachments, Some(vec![("c1".to_owned(), "eth0".to_owned())]));
    let none = self::conf(&json!({ "name": "n", "cni.dev/valid-attachments": null }));
    assert_eq!(none.valid_attachments, Some(Vec::new()));
}

#[test]
fn the_configuration_wins_over_the_environment() {
    let named = json!({ "name": "n", "etcd_endpoints": "http://a:1" });
    let endpoints = |env: &[(&str, &str)]| settings(&named, env).etcd.urls();
    assert_eq!(endpoints(&[("ETCD_ENDPOINTS", "http://b:1")]), ["http://a:1"]);
    assert_eq!(endpoints(&[("CALICO_ETCD_ENDPOINTS", "http://b:1")]), ["http://a:1"]);
    let silent = json!({ "name": "n" });
    let by_env = settings(&silent, &[("ETCD_ENDPOINTS", "http://b:1"), ("ETCD_AUTHORITY", "c:1")]);
    assert_eq!(by_env.etcd.urls(), ["http://b:1"]);
    assert_eq!(settings(&silent, &[]).etcd.urls(), ["http://127.0.0.1:2379"]);
    let authority = json!({ "name": "n", "etcd_authority": "localhost:7", "etcd_scheme": "http" });
    assert_eq!(settings(&authority, &[("ETCD_AUTHORITY", "c:1")]).etcd.urls(), ["http://localhost:7"]);
    // Member by member: endpoints win over an authority, wherever each is said.
    assert_eq!(settings(&authority, &[("ETCD_ENDPOINTS", "http://b:1")]).etcd.urls(), ["http://b:1"]);
    assert_eq!(settings(&named, &[("DATASTORE_TYPE", "kubernetes")]).datastore, DatastoreKind::Kubernetes);
}

#[test]
fn the_embedded_datastore_is_named_by_type_or_path() {
    let both = json!({ "name": "n", "datastore_type": "sqlite", "sqlite_path": "/d/x.db" });
    for conf in [both, json!({ "name": "n", "sqlite_path": "/d/x.db" })] {
        let settings = settings(&conf, &[("ETCD_ENDPOINTS", "http://b:1")]);
        assert_eq!(settings.datastore, DatastoreKind::Sqlite);
        assert_eq!(settings.sqlite_path, Path::new("/d/x.db"));
    }
    let kubernetes = settings(&json!({ "name": "n", "datastore_type": "kubernetes" }), &[]);
    assert_eq!(kubernetes.datastore, DatastoreKind::Kubernetes);
    assert_eq!(settings(&json!({ "name": "n" }), &[]).datastore, DatastoreKind::Etcd);
}

#[test]
fn secrets_are_not_shown_in_debug() {
    let conf = conf(&json!({ "name": "n", "policy": { "k8s_auth_token": "s3cret" } }));
    assert!(!format!("{conf:?}").contains("s3cret"));
    assert!(conf.document_with(|_| {}).expose().contains("s3cret"), "other plugins get the whole document");
}

#[test]
fn the_example_configurations_are_read_without_a_warning() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/cni");
    let mut seen = Vec::new();
    for file in std::fs::read_dir(folder).unwrap() {
        let file = file.unwrap();
        let list: serde_json::Value = serde_json::from_slice(&std::fs::read(file.path()).unwrap()).unwrap();
        // What a runtime makes of a list for one of its plugins.
        let mut plugin = list["plugins"][0].clone();
        assert_eq!(plugin["type"], "calico");
        for key in ["name", "cniVersion"] {
            plugin[key] = list[key].clone();
        }
        let conf = conf(&plugin);
        assert_eq!(conf.warnings, [""; 0], "{file:?}");
        let settings = conf.settings(Path::new("/"), &BTreeMap::new()).unwrap();
        seen.push((file.file_name().into_string().unwrap(), settings.datastore));
    }
    seen.sort_by(|a, b| a.0.cmp(&b.0));
    assert_eq!(
        seen,
        [
            ("embedded.conflist".to_owned(), DatastoreKind::Sqlite),
            ("etcd.conflist".to_owned(), DatastoreKind::Etcd)
        ]
    );
}
