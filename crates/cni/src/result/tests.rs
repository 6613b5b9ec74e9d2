use serde_json::{Map, json};

use super::{Added, Assigned, default_routes};
use crate::version::SpecVersion;

fn added() -> Added {
    let addresses = vec!["10.65.0.5/32".parse().unwrap(), "fd80::5/128".parse().unwrap()];
    Added {
        host_interface: "calic1".parse().unwrap(),
        host_mac: Some("ee:ee:ee:ee:ee:ee".parse().unwrap()),
        container_interface: "eth0".parse().unwrap(),
        mac: Some("02:00:00:00:00:01".parse().unwrap()),
        mtu: Some(1440),
        sandbox: "/run/netns/x".to_owned(),
        routes: default_routes(&addresses),
        addresses,
        told_routes: Vec::new(),
        dns: Map::new(),
    }
}

#[test]
fn old_versions_have_one_address_per_family() {
    for (version, text) in [(SpecVersion::V010, "0.1.0"), (SpecVersion::V020, "0.2.0")] {
        assert_eq!(
            added().to_json(version),
            json!({ "cniVersion": text, "ip4": { "ip": "10.65.0.5/32" }, "ip6": { "ip": "fd80::5/128" }, "dns": {} })
        );
    }
}

#[test]
fn middle_versions_name_interfaces_and_families() {
    for version in [SpecVersion::V030, SpecVersion::V031, SpecVersion::V040] {
        assert_eq!(
            added().to_json(version),
            json!({
                "cniVersion": version.as_str(),
                "interfaces": [
                    { "name": "calic1" },
                    { "name": "eth0", "mac": "02:00:00:00:00:01", "sandbox": "/run/netns/x" }
                ],
                "ips": [
                    { "address": "10.65.0.5/32", "interface": 1, "version": "4" },
                    { "address": "fd80::5/128", "interface": 1, "version": "6" }
                ],
                "routes": [{ "dst": "0.0.0.0/0" }, { "dst": "::/0" }],
                "dns": {}
            })
        );
    }
}

#[test]
fn new_versions_have_mtu_and_no_family() {
    let one = added().to_json(SpecVersion::V100);
    assert_eq!(one["interfaces"][0], json!({ "name": "calic1" }));
    assert_eq!(one["interfaces"][1]["mtu"], 1440);
    assert_eq!(one["ips"][0], json!({ "address": "10.65.0.5/32", "interface": 1 }));
    assert!(one.get("dns").is_none());
    let newest = added().to_json(SpecVersion::V110);
    assert_eq!(newest["interfaces"][0], json!({ "name": "calic1", "mac": "ee:ee:ee:ee:ee:ee", "mtu": 1440 }));
}

#[test]
fn the_answer_of_an_ipam_plugin_has_the_shape_of_the_version() {
    let new = br#"{"ips":[{"version":"4","address":"10.80.0.5/24"}],"dns":{"nameservers":["9.9.9.9"]}}"#;
    let assigned = Assigned::parse(new, SpecVersion::V031).unwrap();
    assert_eq!(assigned.addresses[0].to_string(), "10.80.0.5/24");
    assert_eq!(assigned.dns["nameservers"][0], "9.9.9.9");
    assert!(Assigned::parse(new, SpecVersion::V020).unwrap().addresses.is_empty());
    let old = br#"{"ip4":{"ip":"10.80.0.5/24"},"ip6":{"ip":"fd80::1/64"}}"#;
    assert_eq!(Assigned::parse(old, SpecVersion::V010).unwrap().addresses.len(), 2);
    assert!(Assigned::parse(old, SpecVersion::V100).unwrap().addresses.is_empty());
}

#[test]
fn routes_of_an_old_answer_are_passed_on_in_old_results() {
    let answer = br#"{"ip4":{"ip":"10.80.0.5/24","gateway":"10.80.0.1","routes":[
        {"dst":"0.0.0.0/0"},{"dst":"10.9.0.0/16","gw":"10.80.0.9"},{"dst":"nowhere"}]},"ip6":{"ip":"fd80::1/64"}}"#;
    let routes = Assigned::parse(answer, SpecVersion::V020).unwrap().routes;
    let told = Added { told_routes: routes, ..added() };
    let old = told.to_json(SpecVersion::V020);
    let expected =
        json!([{ "dst": "0.0.0.0/0", "gw": "10.80.0.1" }, { "dst": "10.9.0.0/16", "gw": "10.80.0.9" }]);
    assert_eq!(old["ip4"]["routes"], expected);
    assert!(old["ip6"].get("routes").is_none());
    assert_eq!(told.to_json(SpecVersion::V031)["routes"], json!([{ "dst": "0.0.0.0/0" }, { "dst": "::/0" }]));
}

#[test]
fn a_broken_answer_is_refused() {
    assert_eq!(Assigned::parse(b"\n", SpecVersion::V031).unwrap_err().msg, "unexpected end of JSON input");
    for text in [
        &b"[]"[..],
        b"nonsense",
        br#"{"ips":[{"address":"x"}]}"#,
        br#"{"ips":[{"address":"10.80.0.5"}]}"#,
        br#"{"ips":[{}]}"#,
    ] {
        assert_eq!(Assigned::parse(text, SpecVersion::V031).unwrap_err().code.0, 6);
    }
}
