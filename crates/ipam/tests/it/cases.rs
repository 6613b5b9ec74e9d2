//! The conformance cases of `spec/ipam.md` 17 that concern version 1 and ours, on every kind of store.

use std::collections::BTreeSet;
use std::pin::Pin;
use std::sync::Arc;

use margay_ipam::{
    AssignFailure, IpamConfig, Owner, Request, Snapshot, addresses_of_handle, assign_ip, auto_assign,
    claim_affinity, config, release_addresses, release_by_handle, release_by_scan, release_host_affinities,
    release_pool_affinities, set_config,
};
use margay_model::Key;
use margay_net::{Cidr, Ip};
use margay_store::datastore::Datastore;
use margay_store::kv::Precondition;
use margay_store::{Flat, MemoryKv};
use margay_store_etcd::{EtcdConfig, EtcdKv};
use margay_store_sqlite::{Options, SqliteKv};
use margay_testkit::etcd::Etcd;

use crate::ip;

fn cidr(text: &str) -> Cidr {
    text.parse().expect("a network")
}

async fn pool<D: Datastore>(store: &D, text: &str, disabled: bool) {
    let value = format!(r#"{{"cidr":"{text}","disabled":{disabled}}}"#);
    let key = Key::IpPool { cidr: cidr(text) };
    store.put_record(&key, &value, Precondition::None).await.expect("the store takes a pool");
}

/// The pools that most cases have.
async fn pools<D: Datastore>(store: &D) {
    pool(store, "192.168.1.0/24", false).await;
    pool(store, "fd80:24e2:f998:72d6::/120", false).await;
}

fn request(host: &str, v4: usize, v6: usize) -> Request {
    Request { host: host.to_owned(), v4, v6, ..Request::default() }
}

fn owner(handle: &str) -> Owner {
    Owner { handle: Some(handle.to_owned()), notes: None }
}

async fn v4<D: Datastore>(store: &D, host: &str, count: usize) -> Vec<Ip> {
    auto_assign(store, &request(host, count, 0)).await.expect("an answer").v4
}

async fn v4_of<D: Datastore>(store: &D, host: &str, pools: &[&str]) -> Result<Vec<Ip>, AssignFailure> {
    let v4_pools = pools.iter().map(|text| cidr(text)).collect();
    auto_assign(store, &Request { v4_pools, ..request(host, 1, 0) }).await.map(|assigned| assigned.v4)
}

fn all_within(addresses: &[Ip], range: &str) -> bool {
    addresses.iter().all(|ip| cidr(range).contains_ip(*ip))
}

/// I1.
async fn one_of_each_version<D: Datastore>(store: &D) {
    pools(store).await;
    let assigned = auto_assign(store, &request("a", 1, 1)).await.expect("an answer");
    assert_eq!((assigned.v4.len(), assigned.v6.len()), (1, 1));
    assert!(all_within(&assigned.v4, "192.168.1.0/24"));
    assert!(all_within(&assigned.v6, "fd80:24e2:f998:72d6::/120"));
}

/// I2, I4.
async fn a_pool_gives_all_it_has_and_no_more<D: Datastore>(store: &D) {
    pools(store).await;
    let assigned = auto_assign(store, &request("a", 256, 257)).await.expect("an answer");
    let distinct: BTreeSet<Ip> = assigned.addresses().collect();
    assert_eq!((assigned.v4.len(), assigned.v6.len(), distinct.len()), (256, 256, 512));
    assert_eq!(assigned.notes, ["No IPs available in pools: [fd80:24e2:f998:72d6::/120]"]);
}

/// I5.
async fn a_host_borrows_when_its_block_is_full<D: Datastore>(store: &D) {
    pool(store, "10.0.0.0/25", false).await;
    let first = v4(store, "a", 1).await;
    let other = v4(store, "b", 1).await;
    assert_eq!((first.len(), other.len()), (1, 1));
    let more = v4(store, "a", 64).await;
    assert_eq!(more.len(), 64);
    assert_eq!(
        more.iter().filter(|ip| margay_ipam::block_of(**ip) == margay_ipam::block_of(other[0])).count(),
        1
    );
}

/// I9.
async fn a_pool_that_is_gone_serves_no_more<D: Datastore>(store: &D) {
    pool(store, "10.0.0.0/24", false).await;
    assert!(all_within(&v4(store, "a", 1).await, "10.0.0.0/24"));
    pool(store, "10.1.0.0/24", false).await;
    release_pool_affinities(store, cidr("10.0.0.0/24")).await.expect("an answer");
    store.delete_record(&Key::IpPool { cidr: cidr("10.0.0.0/24") }, Precondition::None).await.expect("gone");
    assert!(all_within(&v4(store, "a", 1).await, "10.1.0.0/24"));
}

/// I10, I16.
async fn a_requested_pool_is_the_one_used<D: Datastore>(store: &D) {
    pool(store, "10.0.0.0/26", false).await;
    pool(store, "20.0.0.0/26", false).await;
    let mut got = Vec::new();
    for wanted in ["10.0.0.0/26", "20.0.0.0/26", "10.0.0.0/26", "20.0.0.0/26"] {
        got.extend(v4_of(store, "a", &[wanted]).await.expect("an answer"));
    }
    assert_eq!(got, ["10.0.0.0", "20.0.0.0", "10.0.0.1", "20.0.0.1"].map(ip));
    let rest = Request { v4_pools: vec![cidr("10.0.0.0/26")], ..request("a", 70, 0) };
    assert_eq!(auto_assign(store, &rest).await.expect("an answer").v4.len(), 62);
    assert_eq!(v4_of(store, "a", &["10.0.0.0/26"]).await.expect("an answer"), []);
}

/// I12, I13, I14, I81.
async fn pools_that_cannot_serve_are_told_apart<D: Datastore>(store: &D) {
    pool(store, "10.0.0.0/24", true).await;
    pool(store, "10.1.0.0/24", false).await;
    let both = v4_of(store, "a", &["10.0.0.0/24", "10.1.0.0/24"]).await.expect("an answer");
    assert!(all_within(&both, "10.1.0.0/24"));
    let told = async |pools: &[&str]| v4_of(store, "b", pools).await.expect_err("no pool").to_string();
    assert_eq!(told(&["10.0.0.0/24"]).await, "No configured Calico pools");
    assert_eq!(told(&["10.1.0.0/24", "10.9.0.0/24"]).await, "The given pool (10.9.0.0/24) does not exist");
    let text = "provided IPv4 IPPools list contains one or more IPv6 IPPools";
    assert_eq!(told(&["fd80::/120"]).await, text);
    let six = Request { v6_pools: vec![cidr("10.1.0.0/24")], ..request("b", 0, 1) };
    let text = "provided IPv6 IPPools list contains one or more IPv4 IPPools";
    assert_eq!(auto_assign(store, &six).await.expect_err("no pool").to_string(), text);
    // A block of a pool that is disabled afterwards is the host's own, and serves it no more.
    pool(store, "10.1.0.0/24", true).await;
    assert!(matches!(auto_assign(store, &request("a", 1, 0)).await, Err(AssignFailure::NoPools)));
}

/// A7, R19.
async fn a_request_that_fails_keeps_nothing<D: Datastore>(store: &D) {
    pool(store, "10.0.0.0/24", false).await;
    let both = Request { owner: owner("h"), ..request("a", 1, 1) };
    let told = auto_assign(store, &both).await.expect_err("no pool of IPv6").to_string();
    assert_eq!(told, "No configured Calico pools");
    let snapshot = Snapshot::read(store).await.expect("an answer");
    assert!(snapshot.blocks().all(|block| block.is_empty()) && snapshot.handles.is_empty());
}

/// I17, I18, I20, I73.
async fn an_address_is_given_on_request_once<D: Datastore>(store: &D) {
    pools(store).await;
    for address in ["192.168.1.0", "fd80:24e2:f998:72d6::", "192.168.1.255"] {
        assign_ip(store, "a", ip(address), &owner("h")).await.expect("free");
        let again = assign_ip(store, "b", ip(address), &owner("g")).await.expect_err("taken");
        assert_eq!(again.to_string(), "Address already assigned in block");
        assert_eq!(addresses_of_handle(store, "g").await.expect("an answer"), None, "no handle of a failure");
    }
    let outside = assign_ip(store, "a", ip("10.0.0.1"), &owner("h")).await.expect_err("no pool");
    assert_eq!(outside.to_string(), "The provided IP address is not in a configured pool\n");
    let held = addresses_of_handle(store, "h").await.expect("an answer").expect("a handle");
    assert_eq!(held.len(), 3);
}

/// R9, R10: what is in use says so again when its record is lost.
async fn an_address_in_use_is_asserted_again<D: Datastore>(store: &D) {
    pools(store).await;
    let tunnel = owner("ipip-tunnel-addr-a");
    let assert = async |owner: &Owner| margay_ipam::reassert_ip(store, "a", ip("192.168.1.7"), owner).await;
    assert!(assert(&tunnel).await.expect("free"));
    assert!(!assert(&tunnel).await.expect("its own"));
    let told = assert(&owner("other")).await.expect_err("taken").to_string();
    assert_eq!(told, "Address already assigned in block");
}

/// A handle that names nothing, as old programs leave it, goes with the first release.
async fn an_empty_handle_goes<D: Datastore>(store: &D) {
    let key = Key::IpamHandle { id: "h".to_owned() };
    store.put_record(&key, r#"{"block":{}}"#, Precondition::None).await.expect("written");
    assert_eq!(release_by_handle(store, "h", |_| true).await.expect("an answer"), Some(Vec::new()));
    assert_eq!(store.get_record(&key).await.expect("an answer"), None);
}

/// I21, I22, I24, I25.
async fn a_release_says_what_was_assigned<D: Datastore>(store: &D) {
    pools(store).await;
    let release = async |list: &[Ip]| release_addresses(store, list).await.expect("an answer");
    assert_eq!(release(&[ip("1.1.1.1"), ip("192.168.1.0")]).await, []);
    let many = v4(store, "a", 66).await;
    assert_eq!(many.len(), 66);
    assert_eq!(release(&many).await.len(), 66);
    let one = v4(store, "a", 1).await;
    assert_eq!(release(&[one[0], one[0], ip("192.168.1.9")]).await, one);
    let snapshot = Snapshot::read(store).await.expect("an answer");
    assert!(snapshot.blocks().all(|block| block.is_empty()));
}

/// I28, I29, I30.
async fn a_range_is_claimed_block_by_block<D: Datastore>(store: &D) {
    pools(store).await;
    let claims = claim_affinity(store, cidr("192.168.1.0/26"), "a").await.expect("an answer");
    assert_eq!((claims.claimed.len(), claims.failed.len()), (1, 0));
    let told = async |range| claim_affinity(store, cidr(range), "a").await.expect_err("no claim").to_string();
    assert_eq!(
        told("192.168.1.0/27").await,
        "The requested CIDR (192.168.1.0/27) is smaller than the minimum."
    );
    let text = "The requested CIDR (10.0.0.0/24) is not within any configured pools.";
    assert_eq!(told("10.0.0.0/24").await, text);
    pool(store, "10.0.0.0/24", false).await;
    assign_ip(store, "a", ip("10.0.0.1"), &owner("h")).await.expect("free");
    let claims = claim_affinity(store, cidr("10.0.0.0/24"), "b").await.expect("an answer");
    assert_eq!((claims.claimed.len(), claims.failed), (3, vec![cidr("10.0.0.0/26")]));
}

/// I33, I34, I36, and the rest of 8.6.
async fn settings_are_read_and_written<D: Datastore>(store: &D) {
    pools(store).await;
    let auto = IpamConfig::default();
    assert_eq!(config(store).await.expect("an answer"), auto);
    assert_eq!((auto.strict_affinity, auto.auto_allocate_blocks), (false, true));
    let off = IpamConfig { strict_affinity: false, auto_allocate_blocks: false, max_blocks_per_host: None };
    let told = set_config(store, off).await.expect_err("nothing would work").to_string();
    assert_eq!(told, "Cannot disable 'StrictAffinity' and 'AutoAllocateBlocks' at the same time");
    let strict = IpamConfig { strict_affinity: true, ..auto };
    set_config(store, strict).await.expect("an answer");
    let record = store.get_record(&Key::IpamConfig).await.expect("an answer").expect("settings");
    assert_eq!(record.value, r#"{"strict_affinity":true,"auto_allocate_blocks":true}"#);
    assert_eq!(config(store).await.expect("an answer"), strict);
    v4(store, "a", 1).await;
    set_config(store, strict).await.expect("nothing changes");
    let told = set_config(store, auto).await.expect_err("a block exists").to_string();
    assert_eq!(told, "Cannot change IPAM config while allocations exist");
    // `{}` is not the defaults: both are off.
    store.put_record(&Key::IpamConfig, "{}", Precondition::None).await.expect("an answer");
    assert_eq!(config(store).await.expect("an answer"), off);
}

/// I38, I40, 8.1 C.
async fn strict_affinity_and_limits_keep_a_host_to_its_blocks<D: Datastore>(store: &D) {
    pool(store, "10.0.0.0/24", false).await;
    set_config(
        store,
        IpamConfig { strict_affinity: true, max_blocks_per_host: Some(2), ..IpamConfig::default() },
    )
    .await
    .expect("an answer");
    let got = auto_assign(store, &request("a", 200, 0)).await.expect("an answer");
    assert_eq!(got.v4.len(), 128);
    let notes =
        ["No more free affine blocks and strict affinity enabled", "limit of 2 blocks reached for this node"];
    assert_eq!(got.notes, notes);
    assert_eq!(v4(store, "b", 300).await.len(), 128);
    // Every block says that it is strict, whatever the settings say by now.
    release_addresses(store, &got.v4).await.expect("an answer");
    store.delete_record(&Key::IpamConfig, Precondition::None).await.expect("an answer");
    assert_eq!(v4(store, "c", 1).await, []);
    let told = assign_ip(store, "c", got.v4[0], &owner("h")).await.expect_err("strict").to_string();
    assert_eq!(told, "Block host affinity does not match");
}

/// I45, I46, I85, 7.3.
async fn a_handle_knows_its_addresses<D: Datastore>(store: &D) {
    pools(store).await;
    assert_eq!(release_by_handle(store, "h", |_| true).await.expect("an answer"), None);
    assert_eq!(addresses_of_handle(store, "h").await.expect("an answer"), None);
    let got =
        auto_assign(store, &Request { owner: owner("h"), ..request("a", 5, 1) }).await.expect("an answer");
    let said = async || {
        let record = store.get_record(&Key::IpamHandle { id: "h".to_owned() }).await.expect("an answer");
        let handle: serde_json::Value = serde_json::from_str(&record.expect("a handle").value).expect("JSON");
        handle["block"].as_object().expect("blocks").values().filter_map(|n| n.as_u64()).collect::<Vec<_>>()
    };
    assert_eq!(said().await, [5, 1]);
    release_addresses(store, &got.v4[..3]).await.expect("an answer");
    assert_eq!(said().await, [2, 1]);
    let held = addresses_of_handle(store, "h").await.expect("an answer").expect("a handle");
    assert_eq!(held.into_iter().map(|(ip, _)| ip).collect::<Vec<_>>(), [got.v4[3], got.v4[4], got.v6[0]]);
    let released = release_by_handle(store, "h", |_| true).await.expect("an answer").expect("a handle");
    assert_eq!(released, [got.v4[3], got.v4[4], got.v6[0]]);
    assert_eq!(release_by_handle(store, "h", |_| true).await.expect("an answer"), None);
}

/// 5.2 of `spec/cni.md`: two interfaces of one container share a handle.
async fn a_handle_is_released_interface_by_interface<D: Datastore>(store: &D) {
    pools(store).await;
    for name in ["eth0", "eth1"] {
        let notes = Some([("ifname".to_owned(), name.to_owned())].into());
        let owner = Owner { notes, ..owner("h") };
        auto_assign(store, &Request { owner, ..request("a", 1, 0) }).await.expect("an answer");
    }
    let release = async |name: &str| {
        let wanted =
            |held: &margay_ipam::block::Attribute| held.note("ifname").is_none_or(|note| note == name);
        release_by_handle(store, "h", wanted).await.expect("an answer")
    };
    assert_eq!(release("eth1").await.map(|list| list.len()), Some(1));
    assert_eq!(release("eth1").await, Some(Vec::new()));
    assert_eq!(release("eth0").await.map(|list| list.len()), Some(1));
    assert_eq!(release("eth0").await, None);
}

/// I53, I80, and a handle whose record is lost (R8).
async fn what_is_lost_is_found_where_it_stands<D: Datastore>(store: &D) {
    pools(store).await;
    assert_eq!(release_host_affinities(store, "never there").await.expect("an answer"), []);
    let got =
        auto_assign(store, &Request { owner: owner("h"), ..request("a", 1, 0) }).await.expect("an answer");
    store.delete_record(&Key::IpamHandle { id: "h".to_owned() }, Precondition::None).await.expect("gone");
    assert_eq!(release_by_handle(store, "h", |_| true).await.expect("an answer"), None);
    assert_eq!(release_by_scan(store, "h", "a", |_| true).await.expect("an answer"), got.v4);
    // IPv4 exhausted, IPv6 at work: nothing of the other version is given.
    assert_eq!(v4(store, "a", 256).await.len(), 256);
    auto_assign(store, &request("a", 0, 1)).await.expect("an answer");
    assert_eq!(auto_assign(store, &request("a", 1, 0)).await.expect("an answer").v4, []);
}

/// 6.5: the claim of a block is lost, or stands on nothing.
async fn claims_are_healed<D: Datastore>(store: &D) {
    pool(store, "10.0.0.0/25", false).await;
    let first = v4(store, "a", 1).await[0];
    let block = margay_ipam::block_of(first);
    let key = Key::IpamAffinity { node: "a".to_owned(), cidr: block };
    store.delete_record(&key, Precondition::None).await.expect("gone");
    let second = v4(store, "a", 1).await[0];
    assert_eq!(margay_ipam::block_of(second), block);
    assert!(store.get_record(&key).await.expect("an answer").is_some());
    let stray = Key::IpamAffinity { node: "b".to_owned(), cidr: block };
    store.put_record(&stray, "{}", Precondition::None).await.expect("written");
    let other = v4(store, "b", 1).await[0];
    assert_ne!(margay_ipam::block_of(other), block);
    assert_eq!(store.get_record(&stray).await.expect("an answer"), None);
}

/// I88, and 16.2.
async fn old_and_foreign_blocks_are_served_and_kept<D: Datastore>(store: &D) {
    pool(store, "10.0.0.0/26", false).await;
    let free: Vec<String> = (0..64).map(|n| n.to_string()).collect();
    let value = format!(
        r#"{{"cidr":"10.0.0.0/26","affinity":null,"hostAffinity":"a","allocations":[{}],"unallocated":[{}],"attributes":[],"sequenceNumber":7}}"#,
        ["null"; 64].join(","),
        free.join(",")
    );
    let key = Key::IpamBlock { cidr: cidr("10.0.0.0/26") };
    store.put_record(&key, &value, Precondition::None).await.expect("written");
    assert_eq!(v4(store, "a", 1).await, [ip("10.0.0.0")]);
    let now = store.get_record(&key).await.expect("an answer").expect("a block").value;
    assert!(now.contains(r#""affinity":"host:a""#) && now.ends_with(r#""sequenceNumber":7}"#), "{now}");
    assert!(!now.contains("hostAffinity"), "{now}");
}

/// 16.5, 4: blocks of other sizes are read, kept out of the way, and never assigned from.
async fn blocks_of_version_3_are_left_alone<D: Datastore>(store: &D) {
    pool(store, "10.0.0.0/25", false).await;
    let value = r#"{"cidr":"10.0.0.0/28","affinity":"host:a","allocations":[0,null,null,null,null,null,null,null,null,null,null,null,null,null,null,null],"unallocated":[1,2,3,4,5,6,7,8,9,10,11,12,13,14,15],"attributes":[{"handle_id":"h","secondary":null}]}"#;
    let key = Key::IpamBlock { cidr: cidr("10.0.0.0/28") };
    store.put_record(&key, value, Precondition::None).await.expect("written");
    let got = v4(store, "a", 65).await;
    assert_eq!(got.len(), 64);
    assert!(all_within(&got, "10.0.0.64/26"));
    let told = assign_ip(store, "a", ip("10.0.0.3"), &owner("h")).await.expect_err("not ours").to_string();
    assert_eq!(told, "reading BlockKey(cidr=10.0.0.0/28): 16 addresses; version 1 assigns from blocks of 64");
    assert_eq!(release_addresses(store, &[ip("10.0.0.0")]).await.expect("an answer"), [ip("10.0.0.0")]);
}

/// 4: a block that cannot be understood serves nobody, and nobody else suffers.
async fn a_broken_block_is_passed_over<D: Datastore>(store: &D) {
    pool(store, "10.0.0.0/25", false).await;
    let first = v4(store, "a", 1).await[0];
    let key = Key::IpamBlock { cidr: margay_ipam::block_of(first) };
    store.put_record(&key, "{}", Precondition::None).await.expect("written");
    let got =
        auto_assign(store, &Request { owner: owner("h"), ..request("a", 1, 0) }).await.expect("an answer");
    assert_eq!(got.v4.len(), 1);
    assert_ne!(margay_ipam::block_of(got.v4[0]), margay_ipam::block_of(first));
    assert_eq!(release_by_handle(store, "h", |_| true).await.expect("an answer"), Some(got.v4));
    assert_eq!(store.get_record(&key).await.expect("an answer").expect("a block").value, "{}");
}

/// 2.1: names that cannot be part of a key.
async fn names_with_slashes_are_refused<D: Datastore>(store: &D) {
    pools(store).await;
    for host in ["", "a/b", ".."] {
        assert!(auto_assign(store, &request(host, 1, 0)).await.is_err(), "{host:?}");
        assert!(assign_ip(store, host, ip("192.168.1.1"), &owner("h")).await.is_err(), "{host:?}");
    }
    for handle in ["a/b", ".."] {
        let request = Request { owner: owner(handle), ..request("a", 1, 0) };
        assert!(auto_assign(store, &request).await.is_err(), "{handle:?}");
    }
}

type Case<D> = for<'a> fn(&'a D) -> Pin<Box<dyn Future<Output = ()> + 'a>>;

macro_rules! cases {
    ($($name:ident),* $(,)?) => {
        fn cases<D: Datastore>() -> Vec<(&'static str, Case<D>)> {
            vec![$((stringify!($name), (|store| Box::pin($name(store))) as Case<D>)),*]
        }
    };
}

cases![
    one_of_each_version,
    a_pool_gives_all_it_has_and_no_more,
    a_host_borrows_when_its_block_is_full,
    a_pool_that_is_gone_serves_no_more,
    a_requested_pool_is_the_one_used,
    pools_that_cannot_serve_are_told_apart,
    a_request_that_fails_keeps_nothing,
    an_address_is_given_on_request_once,
    an_address_in_use_is_asserted_again,
    an_empty_handle_goes,
    a_release_says_what_was_assigned,
    a_range_is_claimed_block_by_block,
    settings_are_read_and_written,
    strict_affinity_and_limits_keep_a_host_to_its_blocks,
    a_handle_knows_its_addresses,
    a_handle_is_released_interface_by_interface,
    what_is_lost_is_found_where_it_stands,
    claims_are_healed,
    old_and_foreign_blocks_are_served_and_kept,
    blocks_of_version_3_are_left_alone,
    a_broken_block_is_passed_over,
    names_with_slashes_are_refused,
];

#[tokio::test]
async fn the_cases_hold_in_memory() {
    for (name, case) in cases() {
        println!("{name}");
        case(&Flat::new(MemoryKv::new(), Arc::new(|| [7; 16]))).await;
    }
}

#[tokio::test]
async fn the_cases_hold_on_sqlite() {
    let folder = tempfile::tempdir().unwrap();
    for (name, case) in cases() {
        println!("{name}");
        let kv = SqliteKv::open(&folder.path().join(name), Options::default()).unwrap();
        case(&Flat::new(kv, Arc::new(|| [7; 16]))).await;
    }
}

#[tokio::test]
async fn the_cases_hold_on_etcd() {
    if !Etcd::available() {
        return;
    }
    let etcd = Etcd::start();
    let config = EtcdConfig { endpoints: vec![etcd.client_url()], ..EtcdConfig::default() };
    let store = Flat::new(EtcdKv::new(&config).unwrap(), Arc::new(|| [7; 16]));
    for (name, case) in cases() {
        println!("{name}");
        etcd.wipe();
        case(&store).await;
    }
}
