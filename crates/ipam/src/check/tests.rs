//! Snapshots with something wrong in them, and what is said about it.

use std::time::{Duration, SystemTime};

use margay_net::Ip;
use margay_store::kv::Revision;

use super::{Finding, check};
use crate::block::{Attribute, Block};
use crate::pool::Pool;
use crate::snapshot::{Claim, Endpoint, Snapshot};
use crate::stored::Held;
use crate::timestamp::timestamp;

fn cidr(text: &str) -> margay_net::Cidr {
    text.parse().unwrap()
}

fn ip(text: &str) -> Ip {
    text.parse().unwrap()
}

fn at(seconds: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
}

fn endpoint(workload: &str, addresses: &[&str]) -> Endpoint {
    Endpoint {
        node: "a".to_owned(),
        orchestrator: "cni".to_owned(),
        workload: workload.to_owned(),
        name: "eth0".to_owned(),
        addresses: addresses.iter().map(|text| ip(text)).collect(),
    }
}

/// One block of host `a`, with its claim, and the addresses of `held` by handle, each counted by its handle.
fn world(held: &[(&str, Option<&str>, Option<u64>)]) -> Snapshot {
    let range = cidr("10.0.0.0/26");
    let mut block = Block::new(range, Some("host:a".to_owned()), false).unwrap();
    let mut snapshot = Snapshot { pools: vec![Pool { cidr: range, enabled: true }], ..Snapshot::default() };
    for (address, handle, moment) in held {
        let notes = moment.map(|seconds| [("timestamp".to_owned(), timestamp(at(seconds)))].into());
        block.assign(ip(address), &Attribute::new(handle.map(str::to_owned), notes)).unwrap();
        if let Some(handle) = handle {
            let count = block.held_by(handle);
            snapshot.handles.entry((*handle).to_owned()).or_default().set(range, count);
        }
    }
    let revision = Revision::new(1).unwrap();
    snapshot.blocks.push(Held { block, revision });
    snapshot.claims.push(Claim { host: "a".to_owned(), block: range, revision });
    snapshot
}

fn told(snapshot: &Snapshot) -> Vec<String> {
    check(snapshot, at(1_000)).iter().map(ToString::to_string).collect()
}

#[test]
fn a_sound_world_has_no_findings() {
    let mut snapshot = world(&[("10.0.0.1", Some("n.c1"), None), ("10.0.0.2", None, None)]);
    snapshot.endpoints.push(endpoint("c1", &["10.0.0.1"]));
    snapshot.tunnels.insert(ip("10.0.0.2"));
    assert_eq!(told(&snapshot), Vec::<String>::new());
}

#[test]
fn an_address_without_endpoint_is_a_leak_once_it_is_a_minute_old() {
    let snapshot = world(&[
        ("10.0.0.1", Some("n.old"), Some(900)),
        ("10.0.0.2", Some("n.young"), Some(990)),
        ("10.0.0.3", Some("n.undated"), None),
        ("10.0.0.4", None, None),
        ("10.0.0.5", Some("vxlan-v6-tunnel-addr-a"), None),
    ]);
    let findings = check(&snapshot, at(1_000));
    let block = cidr("10.0.0.0/26");
    let leaked = |address: &str, handle: Option<&str>, dated| Finding::Leaked {
        ip: ip(address),
        block,
        handle: handle.map(str::to_owned),
        dated,
    };
    assert_eq!(
        findings,
        [
            leaked("10.0.0.1", Some("n.old"), true),
            leaked("10.0.0.3", Some("n.undated"), false),
            leaked("10.0.0.4", None, false)
        ]
    );
    assert_eq!(findings[0].remedy().as_deref(), Some("release 10.0.0.1"));
}

#[test]
fn endpoints_with_addresses_of_others_or_of_nobody_are_named() {
    let mut snapshot = world(&[("10.0.0.1", Some("n.c1"), None)]);
    snapshot
        .endpoints
        .extend([endpoint("c1", &["10.0.0.1"]), endpoint("c2", &["10.0.0.1", "10.0.0.9", "192.0.2.1"])]);
    let expected = [
        "a/cni/c2/eth0 has 10.0.0.9, which is not assigned",
        "10.0.0.1 is the address of a/cni/c1/eth0 and of a/cni/c2/eth0",
    ];
    assert_eq!(told(&snapshot), expected);
    assert_eq!(check(&snapshot, at(0))[1].remedy(), None);
}

#[test]
fn claims_and_blocks_that_contradict_each_other_are_named() {
    let mut snapshot = world(&[]);
    let revision = Revision::new(2).unwrap();
    snapshot.claims[0].host = "b".to_owned();
    snapshot.claims.push(Claim { host: "c".to_owned(), block: cidr("10.0.0.64/26"), revision });
    let expected = [
        "b claims the block 10.0.0.0/26 of a",
        "c claims the block 10.0.0.64/26, which is not its own",
        "a owns the block 10.0.0.0/26 without a claim",
    ];
    assert_eq!(told(&snapshot), expected);
}

#[test]
fn handles_that_count_too_much_or_too_little_are_named() {
    let mut snapshot = world(&[("10.0.0.1", Some("n.c1"), None), ("10.0.0.2", Some("n.c2"), None)]);
    snapshot.endpoints.push(endpoint("c", &["10.0.0.1", "10.0.0.2"]));
    snapshot.handles.remove("n.c2");
    snapshot.handles.get_mut("n.c1").unwrap().set(cidr("10.0.0.0/26"), 3);
    snapshot.handles.get_mut("n.c1").unwrap().set(cidr("10.9.0.0/26"), 1);
    let expected = [
        "handle n.c1 counts 3 in 10.0.0.0/26, which holds 1 for it",
        "handle n.c1 counts 1 in 10.9.0.0/26, which holds 0 for it",
        "10.0.0.0/26 holds 1 for handle n.c2, which does not say so",
    ];
    assert_eq!(told(&snapshot), expected);
}

#[test]
fn blocks_that_share_addresses_and_records_that_are_none_are_named() {
    let mut snapshot = world(&[]);
    let revision = Revision::new(2).unwrap();
    for range in ["10.0.0.16/28", "10.0.0.48/28", "10.0.0.64/26"] {
        let block = Block::new(cidr(range), None, false).unwrap();
        snapshot.blocks.push(Held { block, revision });
    }
    snapshot.unreadable.push(("/calico/ipam/v2/handle/x".to_owned(), "expected an object".to_owned()));
    let expected = [
        "the blocks 10.0.0.0/26 and 10.0.0.16/28 share addresses",
        "the blocks 10.0.0.0/26 and 10.0.0.48/28 share addresses",
        "/calico/ipam/v2/handle/x cannot be understood: expected an object",
    ];
    assert_eq!(told(&snapshot), expected);
}
