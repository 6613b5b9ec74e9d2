use std::collections::BTreeMap;

use serde_json::json;

use super::{Identity, Workload, node_name, sanitise, sanitise_labels};
use crate::args::Args;
use crate::config::NetConf;
use crate::request::ContainerId;

fn identity(args: &str, container: &str) -> Identity {
    let container = ContainerId::parse(container).unwrap();
    Identity {
        node: "h1".to_owned(),
        workload: Workload::of(&Args::parse(args).unwrap(), &container),
        container,
        ifname: "eth0".parse().unwrap(),
    }
}

fn pod(namespace: &str, name: &str) -> Identity {
    identity(&format!("K8S_POD_NAMESPACE={namespace};K8S_POD_NAME={name}"), "abc")
}

#[test]
fn interfaces_of_pods_are_named_by_digest() {
    for (namespace, name, interface) in [
        ("default", "nginx", "calic440f455693"),
        ("kube-system", "coredns-5d78c9869d-abcde", "cali4d5f75c480c"),
        ("test", "run1", "cali6c92af41991"),
        ("a", "b.c", "cali62322b00c8c"),
    ] {
        assert_eq!(pod(namespace, name).host_interface().as_str(), interface);
    }
}

#[test]
fn interfaces_of_containers_are_named_by_their_identifier() {
    assert_eq!(identity("", "c1").host_interface().as_str(), "calic1");
    assert_eq!(identity("", "4f0c4f0c4f0c4f0c").host_interface().as_str(), "cali4f0c4f0c4f0");
    assert_ne!(identity("", "c1").second_host_interface(), identity("", "c1").host_interface());
}

#[test]
fn one_pod_name_alone_makes_no_pod() {
    let container = identity("K8S_POD_NAME=p", "c1");
    assert_eq!((container.workload.orchestrator(), container.workload.id().as_str()), ("cni", "c1"));
    assert_eq!(container.active_instance(), "");
    assert_eq!(container.key().path(), "/calico/v1/host/h1/workload/cni/c1/endpoint/eth0");
    let pod = pod("default", "p");
    assert_eq!(pod.active_instance(), "abc");
    assert_eq!(pod.key().path(), "/calico/v1/host/h1/workload/k8s/default.p/endpoint/eth0");
}

#[test]
fn what_no_endpoint_may_be_called_is_refused() {
    let labels = |key: &str, value: &str| BTreeMap::from([(key.to_owned(), value.to_owned())]);
    let good = identity("", &"c".repeat(128));
    assert_eq!(good.check(&labels("a.b/c", "")), Ok(()));
    assert_eq!(pod("default", "p.1").check(&BTreeMap::new()), Ok(()));
    let named = |node: &str, ifname: &str| Identity {
        node: node.to_owned(),
        ifname: ifname.parse().unwrap(),
        ..identity("", "c1")
    };
    for (identity, labels, part) in [
        (identity("", &"c".repeat(129)), BTreeMap::new(), "workload = 'ccc"),
        (named("h 1", "eth0"), BTreeMap::new(), "error with field node = 'h 1'"),
        (named("h1", "ü"), BTreeMap::new(), "error with field name = 'ü'"),
        (good.clone(), labels("", "x"), "labels = 'map[:x]'"),
        (good.clone(), labels("x", &"v".repeat(64)), "labels = 'map[x:vvv"),
    ] {
        let failure = identity.check(&labels).unwrap_err();
        assert!(failure.code.0 == 7 && failure.msg.contains(part), "{failure:?}");
    }
}

#[test]
fn labels_are_sanitised() {
    for (given, clean) in [
        ("k", "k"),
        ("-my-val", "my-val"),
        ("$my..val", "my.val"),
        ("m$y.val", "m-y.val"),
        ("//my/val/", "my.val"),
        ("some_val-with.lots*of^weird#characters", "some_val-with.lots-of-weird-characters"),
        ("/a/b/c", "a.b.c"),
        ("a-.-b", "a.b"),
        ("a--b", "a--b"),
        ("", ""),
        ("///", ""),
    ] {
        assert_eq!(sanitise(given), clean, "{given}");
    }
    let mut warnings = Vec::new();
    let twice = [("/a".to_owned(), "1".to_owned()), ("a".to_owned(), "2".to_owned())];
    let labels = sanitise_labels(&twice, &mut |text| warnings.push(text.to_owned()));
    assert_eq!(labels["a"], "2");
    assert_eq!(warnings.len(), 1);
}

#[test]
fn the_node_is_named_by_the_first_that_says_so() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("nodename");
    let name = |value: serde_json::Value| {
        let conf = NetConf::parse(value.to_string().as_bytes()).unwrap();
        let mut warnings = Vec::new();
        (node_name(&conf, &mut |text| warnings.push(text.to_owned())), warnings)
    };
    let (missing, _) = name(json!({ "name": "n", "nodename": "a", "nodename_file": file }));
    let missing = missing.unwrap_err();
    assert_eq!(missing.code.0, 11);
    assert!(missing.msg.contains("check that the calico/node container is running"), "{}", missing.msg);
    let optional =
        json!({ "name": "n", "hostname": "b", "nodename_file": file, "nodename_file_optional": true });
    let (hostname, warnings) = name(optional.clone());
    assert_eq!((hostname.unwrap().as_str(), warnings.len()), ("b", 1));
    std::fs::write(&file, "written\n").unwrap();
    assert_eq!(name(optional).0.unwrap(), "written");
    let (named, warnings) = name(json!({ "name": "n", "nodename": "a", "nodename_file": file }));
    assert_eq!((named.unwrap().as_str(), warnings.len()), ("a", 1));
    let (host, _) = name(json!({ "name": "n", "nodename": "", "hostname": "" }));
    assert!(!host.unwrap().is_empty());
}
