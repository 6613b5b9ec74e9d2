//! Collecting what containers that are gone still hold, and repairing what `check` finds.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use margay_ipam::{
    Finding, Garbage, Owner, Request, Snapshot, assign_ip, audit, auto_assign, collect, has_room,
    release_addresses, repair, timestamp,
};
use margay_model::Key;
use margay_net::{Ip, IpVersion};
use margay_store::datastore::Datastore;
use margay_store::kv::Precondition;
use margay_store::{Flat, MemoryKv};

use crate::ip;

type Store = Flat<MemoryKv>;

fn at(seconds: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
}

async fn put(store: &Store, path: &str, value: &str) {
    let key = Key::parse(path).expect("a key of the data model");
    store.put_record(&key, value, Precondition::None).await.expect("memory");
}

async fn world() -> Store {
    let store = Flat::new(MemoryKv::new(), Arc::new(|| [7; 16]));
    put(&store, "/calico/v1/ipam/v4/pool/10.0.0.0-25", r#"{"cidr":"10.0.0.0/25"}"#).await;
    store
}

async fn endpoint(store: &Store, workload: &str, address: Ip) {
    let value = format!(
        r#"{{"state":"active","name":"cali1","mac":null,"profile_ids":[],"ipv4_nets":["{address}/32"],"ipv6_nets":[]}}"#
    );
    put(store, &format!("/calico/v1/host/a/workload/cni/{workload}/endpoint/eth0"), &value).await;
}

fn owner(handle: &str, notes: &[(&str, String)]) -> Owner {
    let notes = notes.iter().map(|(name, note)| ((*name).to_owned(), note.clone())).collect();
    Owner { handle: Some(handle.to_owned()), notes: Some(notes) }
}

async fn assign(store: &Store, address: &str, owner: Owner) {
    assign_ip(store, "a", ip(address), &owner).await.expect("free");
}

#[tokio::test]
async fn what_containers_that_are_gone_hold_is_collected_and_nothing_else() {
    let store = world().await;
    let noted = |node: &str, ifname: &str, seconds| {
        [("node", node.to_owned()), ("ifname", ifname.to_owned()), ("timestamp", timestamp(at(seconds)))]
    };
    for (address, handle, notes) in [
        ("10.0.0.1", "net.gone", noted("a", "eth0", 100)),
        ("10.0.0.2", "net.here", noted("a", "eth0", 100)),
        ("10.0.0.3", "net.here", noted("a", "eth1", 100)),
        ("10.0.0.4", "net.young", noted("a", "eth0", 990)),
        ("10.0.0.5", "net.elsewhere", noted("b", "eth0", 100)),
        ("10.0.0.6", "other.gone", noted("a", "eth0", 100)),
        ("10.0.0.7", "net.longer.gone", noted("a", "eth0", 100)),
        ("10.0.0.8", "vxlan-tunnel-addr-a", noted("a", "eth0", 100)),
    ] {
        assign(&store, address, owner(handle, &notes)).await;
    }
    // Upstream notes nothing: one of these two is an endpoint's.
    for address in ["10.0.0.9", "10.0.0.10"] {
        assign_ip(
            &store,
            "a",
            ip(address),
            &Owner {
                handle: Some(format!("net.{address}").replace('.', "-").replacen('-', ".", 1)),
                notes: None,
            },
        )
        .await
        .unwrap();
    }
    endpoint(&store, "c10", ip("10.0.0.10")).await;
    let is_valid = |container: &str, ifname: Option<&str>| container == "here" && ifname != Some("eth1");
    let garbage = Garbage { host: "a", network: "net", is_valid: &is_valid, now: at(1_000) };
    let collected = collect(&store, &garbage).await.unwrap();
    let released: Vec<Ip> = collected.released.iter().map(|(ip, _)| *ip).collect();
    assert_eq!(released, ["10.0.0.1", "10.0.0.3", "10.0.0.9"].map(ip));
    assert_eq!(collected.released[1].1, "net.here");
    assert!(collected.failed.is_empty(), "{:?}", collected.failed);
    assert_eq!(store.get_record(&Key::IpamHandle { id: "net.gone".to_owned() }).await.unwrap(), None);
    assert!(collect(&store, &garbage).await.unwrap().released.is_empty());
    // Blocks that cannot be read are named, and do not stop the others.
    put(&store, "/calico/ipam/v2/assignment/ipv4/block/10.0.0.64-26", "{}").await;
    assign(&store, "10.0.0.1", owner("net.gone", &noted("a", "eth0", 100))).await;
    let collected = collect(&store, &garbage).await.unwrap();
    assert_eq!((collected.released.len(), collected.failed.len()), (1, 1));
}

#[tokio::test]
async fn every_finding_with_a_remedy_is_repaired() {
    let store = world().await;
    let request = Request { host: "a".to_owned(), v4: 2, owner: owner("net.c1", &[]), ..Request::default() };
    let got = auto_assign(&store, &request).await.unwrap().v4;
    endpoint(&store, "c1", got[0]).await;
    endpoint(&store, "c2", ip("10.0.0.33")).await;
    let block = margay_ipam::block_of(got[0]);
    put(&store, "/calico/ipam/v2/handle/net.c1", &format!(r#"{{"block":{{"{block}":7}}}}"#)).await;
    put(&store, "/calico/ipam/v2/handle/net.lost", r#"{"block":{"10.9.0.0/26":1}}"#).await;
    put(&store, &format!("/calico/ipam/v2/host/b/ipv4/block/{}", block.to_key()), "{}").await;
    let claim = Key::IpamAffinity { node: "a".to_owned(), cidr: block };
    store.delete_record(&claim, Precondition::None).await.unwrap();
    let findings = audit(&store, at(1_000)).await.unwrap();
    let kinds: Vec<&str> = findings
        .iter()
        .map(|finding| match finding {
            Finding::Leaked { .. } => "leaked",
            Finding::Unassigned { .. } => "unassigned",
            Finding::StrayClaim { .. } => "stray claim",
            Finding::LostClaim { .. } => "lost claim",
            Finding::StrayEntry { .. } => "stray entry",
            Finding::LostEntry { .. } => "lost entry",
            Finding::Shared { .. } | Finding::Overlap { .. } | Finding::Unreadable { .. } => "other",
        })
        .collect();
    assert_eq!(
        kinds,
        ["leaked", "unassigned", "stray claim", "lost claim", "stray entry", "stray entry"],
        "{findings:?}"
    );
    for finding in &findings {
        assert!(finding.remedy().is_some(), "{finding}");
        repair(&store, finding).await.unwrap();
    }
    assert_eq!(audit(&store, at(1_000)).await.unwrap(), []);
    for finding in &findings {
        assert!(
            !matches!(repair(&store, finding).await, Ok(true))
                || matches!(finding, Finding::StrayEntry { .. } | Finding::LostClaim { .. }),
            "{finding}"
        );
    }
    assert_eq!(audit(&store, at(1_000)).await.unwrap(), [], "a second repair breaks nothing");
    store.delete_record(&Key::IpamHandle { id: "net.c1".to_owned() }, Precondition::None).await.unwrap();
    let findings = audit(&store, at(1_000)).await.unwrap();
    assert!(matches!(findings.as_slice(), [Finding::LostEntry { holds: 1, .. }]), "{findings:?}");
    assert!(repair(&store, &findings[0]).await.unwrap());
    assert_eq!(audit(&store, at(1_000)).await.unwrap(), []);
}

#[tokio::test]
async fn a_finding_that_is_true_no_more_is_not_repaired() {
    let store = world().await;
    assign(&store, "10.0.0.1", owner("net.c1", &[])).await;
    let findings = audit(&store, at(1_000)).await.unwrap();
    assert_eq!(findings.len(), 1);
    release_addresses(&store, &[ip("10.0.0.1")]).await.unwrap();
    assign(&store, "10.0.0.1", owner("net.c2", &[])).await;
    assert!(!repair(&store, &findings[0]).await.unwrap());
    let snapshot = Snapshot::read(&store).await.unwrap();
    assert!(snapshot.handles.contains_key("net.c2"));
}

#[tokio::test]
async fn room_is_a_free_address_or_a_block_that_nobody_has() {
    let store = world().await;
    let room = async || has_room(&store, "a", IpVersion::V4, &[]).await;
    assert!(room().await.unwrap());
    assert_eq!(
        has_room(&store, "a", IpVersion::V6, &[]).await.unwrap_err().to_string(),
        "No configured Calico pools"
    );
    let request = |v4| Request { host: "b".to_owned(), v4, owner: owner("net.c", &[]), ..Request::default() };
    assert_eq!(auto_assign(&store, &request(127)).await.unwrap().v4.len(), 127);
    assert!(room().await.unwrap());
    put(&store, "/calico/ipam/v2/config", r#"{"strict_affinity":true,"auto_allocate_blocks":true}"#).await;
    assert!(!room().await.unwrap());
    put(&store, "/calico/ipam/v2/config", r#"{"auto_allocate_blocks":true}"#).await;
    assert_eq!(auto_assign(&store, &request(9)).await.unwrap().v4.len(), 1);
    assert!(!room().await.unwrap());
}
