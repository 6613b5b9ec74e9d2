//! Releasing and showing on a keyspace in memory.

mod cases;
mod collecting;
mod gated;
mod histories;
mod interleaved;
mod meddling;
mod mixed;
mod races;
mod rounds;

use std::sync::Arc;

use margay_ipam::{
    Released, release_address, release_addresses, release_host_affinities, release_node_addresses,
    release_pool_affinities, show,
};
use margay_net::Ip;
use margay_store::Flat;
use margay_store::kv::{Kv as _, Precondition};

use crate::meddling::MeddledKv;

const BLOCK: &str = "/calico/ipam/v2/assignment/ipv4/block/10.0.0.0-30";
const HANDLE: &str = "/calico/ipam/v2/handle/h1";
const CLAIM: &str = "/calico/ipam/v2/host/rack1/ipv4/block/10.0.0.0-30";
const VALUE: &str = r#"{"cidr":"10.0.0.0/30","affinity":"host:rack1","strictAffinity":false,"allocations":[null,0,1,null],"unallocated":[0,3],"attributes":[{"handle_id":"h1","secondary":{"pod":"cart-0","node":"rack1"}},{"handle_id":null,"secondary":{}}]}"#;

fn ip(text: &str) -> Ip {
    text.parse().expect("an address")
}

fn store(kv: &MeddledKv) -> Flat<MeddledKv> {
    Flat::new(kv.clone(), Arc::new(|| [7; 16]))
}

async fn world() -> (Flat<MeddledKv>, MeddledKv) {
    let kv = MeddledKv::new();
    kv.seed(BLOCK, VALUE).await;
    kv.seed(HANDLE, r#"{"block":{"10.0.0.0/30":1},"id":"h1"}"#).await;
    kv.seed(CLAIM, "{}").await;
    (store(&kv), kv)
}

async fn value(kv: &MeddledKv, key: &str) -> Option<String> {
    kv.inner.get(key).await.expect("memory can be read").map(|entry| entry.value)
}

#[tokio::test]
async fn the_line_of_show_tells_the_state_of_an_address() {
    let (store, _) = world().await;
    for (address, line) in [
        ("10.0.0.1", "map[node:rack1 pod:cart-0]"),
        ("10.0.0.2", "No attributes defined for IP 10.0.0.2"),
        ("10.0.0.3", "IP 10.0.0.3 is not currently assigned in block"),
        ("10.9.0.1", "10.9.0.1 is not assigned"),
        ("fd00::1", "fd00::1 is not assigned"),
    ] {
        assert_eq!(show(&store, ip(address)).await.unwrap().to_string(), line);
    }
}

#[tokio::test]
async fn a_release_frees_the_address_and_the_handle() {
    let (store, kv) = world().await;
    assert_eq!(release_address(&store, ip("10.0.0.1")).await.unwrap(), Released::Released);
    assert_eq!(release_address(&store, ip("10.0.0.1")).await.unwrap(), Released::NotAssigned);
    assert_eq!(value(&kv, HANDLE).await, None);
    let block = value(&kv, BLOCK).await.unwrap();
    assert!(block.contains(r#""allocations":[null,null,0,null],"unallocated":[0,3,1]"#), "{block}");
}

#[tokio::test]
async fn an_empty_block_without_owner_goes_away() {
    let (store, kv) = world().await;
    let unowned = VALUE.replace(r#""host:rack1""#, "null");
    kv.seed(BLOCK, &unowned).await;
    release_address(&store, ip("10.0.0.1")).await.unwrap();
    assert!(value(&kv, BLOCK).await.is_some());
    release_address(&store, ip("10.0.0.2")).await.unwrap();
    assert_eq!(value(&kv, BLOCK).await, None);
}

#[tokio::test]
async fn a_missing_handle_is_no_fault_and_a_bad_block_is_one() {
    let (store, kv) = world().await;
    kv.delete(HANDLE, Precondition::None).await.unwrap();
    assert_eq!(release_address(&store, ip("10.0.0.1")).await.unwrap(), Released::Released);
    kv.seed(BLOCK, "{}").await;
    let error = release_address(&store, ip("10.0.0.2")).await.unwrap_err().to_string();
    assert_eq!(error, "reading BlockKey(cidr=10.0.0.0/30): cidr is missing or not of its type");
}

#[tokio::test]
async fn a_host_loses_its_claims_but_addresses_in_use_stay() {
    let (store, kv) = world().await;
    let released = release_host_affinities(&store, "rack1").await.unwrap();
    assert_eq!(released.len(), 1);
    let block = value(&kv, BLOCK).await.unwrap();
    assert!(block.contains(r#""affinity":null"#) && block.contains("[null,0,1,null]"), "{block}");
    assert_eq!(value(&kv, CLAIM).await, None);
    assert_eq!(release_host_affinities(&store, "never-there").await.unwrap(), []);
}

#[tokio::test]
async fn a_pool_takes_the_claims_within_it_only() {
    let (store, kv) = world().await;
    assert_eq!(release_pool_affinities(&store, "10.1.0.0/16".parse().unwrap()).await.unwrap(), []);
    assert!(value(&kv, CLAIM).await.is_some());
    assert_eq!(release_pool_affinities(&store, "10.0.0.0/16".parse().unwrap()).await.unwrap().len(), 1);
    assert_eq!(value(&kv, CLAIM).await, None);
}

#[tokio::test]
async fn a_block_of_another_host_is_left_alone() {
    let (store, kv) = world().await;
    kv.seed(BLOCK, &VALUE.replace("rack1\",\"strict", "rack2\",\"strict")).await;
    release_host_affinities(&store, "rack1").await.unwrap();
    assert!(value(&kv, BLOCK).await.unwrap().contains("host:rack2"));
    assert_eq!(value(&kv, CLAIM).await, None);
}

#[tokio::test]
async fn the_addresses_of_a_nodes_endpoints_are_released() {
    let (store, kv) = world().await;
    let endpoint = r#"{"state":"active","name":"c","mac":null,"profile_ids":null,"ipv4_nets":["10.0.0.1/32","10.0.0.2/32","10.9.0.9/32"],"ipv6_nets":[]}"#;
    let key = "/calico/v1/host/rack1/workload/k8s/w/endpoint/e";
    kv.seed(key, endpoint).await;
    let released = release_node_addresses(&store, "rack1").await.unwrap();
    assert_eq!(released, [ip("10.0.0.1"), ip("10.0.0.2")]);
}

/// A block and a handle of v1, as the recorded session C41 has them.
fn recorded() -> (String, &'static str) {
    let list = |items: Vec<String>| format!("[{}]", items.join(","));
    let allocations = (0..64).map(|n| match n {
        1 => "0".to_owned(),
        2 => "1".to_owned(),
        _ => "null".to_owned(),
    });
    let free = (0..64).filter(|n| *n != 1 && *n != 2).map(|n| n.to_string());
    let block = format!(
        r#"{{"cidr":"10.0.0.0/26","affinity":"host:rack1","strictAffinity":false,"allocations":{},"unallocated":{},"attributes":[{{"handle_id":"h1","secondary":{{"pod":"cart-0","node":"rack1"}}}},{{"handle_id":null,"secondary":{{}}}}]}}"#,
        list(allocations.collect()),
        list(free.collect())
    );
    (block, r#"{"block":{"10.0.0.0/26":1},"id":"h1"}"#)
}

#[tokio::test]
async fn the_recorded_session_goes_as_recorded() {
    let kv = MeddledKv::new();
    let (block, handle) = recorded();
    let key = "/calico/ipam/v2/assignment/ipv4/block/10.0.0.0-26";
    kv.seed(key, &block).await;
    kv.seed(HANDLE, handle).await;
    let store = store(&kv);
    for (address, line) in [
        ("10.0.0.1", "map[node:rack1 pod:cart-0]"),
        ("10.0.0.2", "No attributes defined for IP 10.0.0.2"),
        ("10.0.0.3", "IP 10.0.0.3 is not currently assigned in block"),
        ("10.9.0.1", "10.9.0.1 is not assigned"),
    ] {
        assert_eq!(show(&store, ip(address)).await.unwrap().to_string(), line);
    }
    for (address, outcome) in [
        ("10.0.0.1", Released::Released),
        ("10.0.0.1", Released::NotAssigned),
        ("10.9.0.1", Released::NotAssigned),
    ] {
        assert_eq!(release_address(&store, ip(address)).await.unwrap(), outcome, "{address}");
    }
    let line = show(&store, ip("10.0.0.1")).await.unwrap().to_string();
    assert_eq!(line, "IP 10.0.0.1 is not currently assigned in block");
    assert_eq!(value(&kv, HANDLE).await, None);
    let written = block
        .replace("[null,0,1,", "[null,null,0,")
        .replace("62,63]", "62,63,1]")
        .replace(r#"{"handle_id":"h1","secondary":{"pod":"cart-0","node":"rack1"}},"#, "");
    assert_eq!(value(&kv, key).await, Some(written));
}

#[tokio::test]
async fn a_handle_counts_what_its_block_still_holds() {
    let (store, kv) = world().await;
    kv.seed(BLOCK, &VALUE.replace("[null,0,1,null]", "[0,0,1,0]").replace("[0,3]", "[]")).await;
    kv.seed(HANDLE, r#"{"block":{"10.0.0.0/30":9,"10.7.0.0/26":1},"id":"h1"}"#).await;
    let addresses = ["10.0.0.3", "10.0.0.0"].map(ip);
    assert_eq!(release_addresses(&store, &addresses).await.unwrap(), addresses);
    let block = value(&kv, BLOCK).await.unwrap();
    assert!(block.contains(r#""allocations":[null,0,1,null],"unallocated":[3,0]"#), "{block}");
    let counted = r#"{"block":{"10.0.0.0/30":1,"10.7.0.0/26":1},"id":"h1"}"#;
    assert_eq!(value(&kv, HANDLE).await.as_deref(), Some(counted));
    release_address(&store, ip("10.0.0.1")).await.unwrap();
    assert_eq!(value(&kv, HANDLE).await.as_deref(), Some(r#"{"block":{"10.7.0.0/26":1},"id":"h1"}"#));
}

#[tokio::test]
async fn a_handle_that_no_key_can_hold_frees_its_address_all_the_same() {
    for id in ["", "a//b", ".."] {
        let (store, kv) = world().await;
        kv.seed(BLOCK, &VALUE.replace(r#""h1""#, &format!("{id:?}"))).await;
        assert_eq!(release_address(&store, ip("10.0.0.1")).await.unwrap(), Released::Released, "{id}");
        assert_eq!(release_address(&store, ip("10.0.0.1")).await.unwrap(), Released::NotAssigned, "{id}");
    }
}

#[tokio::test]
async fn a_record_that_is_wrong_is_named_with_its_fault() {
    let (store, kv) = world().await;
    kv.seed("/calico/ipam/v2/assignment/ipv4/block/10.5.0.0-26", VALUE).await;
    let fault = "reading BlockKey(cidr=10.5.0.0/26): it holds the block 10.0.0.0/30";
    assert_eq!(show(&store, ip("10.5.0.1")).await.unwrap_err().to_string(), fault);
    assert_eq!(release_address(&store, ip("10.5.0.1")).await.unwrap_err().to_string(), fault);
    kv.seed(HANDLE, r#"{"block":[]}"#).await;
    let error = release_address(&store, ip("10.0.0.1")).await.unwrap_err().to_string();
    assert_eq!(error, "reading IPAMHandleKey(id=h1): block is not of its type");
}

#[tokio::test]
async fn ipv6_addresses_are_found_in_v1_blocks_and_in_others() {
    let kv = MeddledKv::new();
    let block = |cidr: &str, length: usize| {
        format!(
            r#"{{"cidr":"{cidr}","affinity":null,"strictAffinity":false,"allocations":[null{},0],"unallocated":[],"attributes":[{{"handle_id":null,"secondary":{{"a":"b"}}}}]}}"#,
            ",null".repeat(length - 2)
        )
    };
    kv.seed("/calico/ipam/v2/assignment/ipv6/block/::40-122", &block("::40/122", 64)).await;
    kv.seed("/calico/ipam/v2/assignment/ipv6/block/fd80::100-120", &block("fd80::100/120", 256)).await;
    let store = store(&kv);
    for (address, line) in [
        ("::7f", "map[a:b]"),
        ("::40", "IP ::40 is not currently assigned in block"),
        ("::80", "::80 is not assigned"),
        ("fd80::1ff", "map[a:b]"),
        ("fd80::1fe", "IP fd80::1fe is not currently assigned in block"),
        ("fd80::200", "fd80::200 is not assigned"),
    ] {
        assert_eq!(show(&store, ip(address)).await.unwrap().to_string(), line);
    }
    let addresses = ["::7f", "fd80::1ff"].map(ip);
    assert_eq!(release_addresses(&store, &addresses).await.unwrap(), addresses);
    assert_eq!(value(&kv, "/calico/ipam/v2/assignment/ipv6/block/::40-122").await, None);
}

#[tokio::test]
async fn a_host_that_goes_takes_all_its_claims_and_no_one_elses() {
    let (store, kv) = world().await;
    let other = "/calico/ipam/v2/host/rack2/ipv4/block/10.0.1.0-30";
    let dangling = "/calico/ipam/v2/host/rack1/ipv6/block/fd80::-122";
    kv.seed(other, "").await;
    kv.seed(dangling, "").await;
    let released = release_host_affinities(&store, "rack1").await.unwrap();
    let texts: Vec<String> = released.iter().map(ToString::to_string).collect();
    assert_eq!(texts, ["10.0.0.0/30", "fd80::/122"]);
    assert!(value(&kv, other).await.is_some());
    assert!(!kv.inner.directory_exists("/calico/ipam/v2/host/rack1").await.unwrap());
}
