//! Releasing and showing on a keyspace in memory.

use std::sync::Arc;

use margay_ipam::{
    Released, release_address, release_host_affinities, release_node_addresses, release_pool_affinities, show,
};
use margay_net::Ip;
use margay_store::kv::{Kv as _, Precondition};
use margay_store::{Flat, MemoryKv};

const BLOCK: &str = "/calico/ipam/v2/assignment/ipv4/block/10.0.0.0-30";
const HANDLE: &str = "/calico/ipam/v2/handle/h1";
const CLAIM: &str = "/calico/ipam/v2/host/rack1/ipv4/block/10.0.0.0-30";
const VALUE: &str = r#"{"cidr":"10.0.0.0/30","affinity":"host:rack1","strictAffinity":false,"allocations":[null,0,1,null],"unallocated":[0,3],"attributes":[{"handle_id":"h1","secondary":{"pod":"cart-0","node":"rack1"}},{"handle_id":null,"secondary":{}}]}"#;

fn ip(text: &str) -> Ip {
    text.parse().expect("an address")
}

async fn world() -> (Flat<MemoryKv>, MemoryKv) {
    let kv = MemoryKv::new();
    for (key, value) in [(BLOCK, VALUE), (HANDLE, r#"{"block":{"10.0.0.0/30":1},"id":"h1"}"#), (CLAIM, "{}")]
    {
        kv.put(key, value, Precondition::None, None).await.expect("memory takes every key");
    }
    (Flat::new(kv.clone(), Arc::new(|| [7; 16])), kv)
}

async fn value(kv: &MemoryKv, key: &str) -> Option<String> {
    kv.get(key).await.expect("memory can be read").map(|entry| entry.value)
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
    kv.put(BLOCK, &unowned, Precondition::None, None).await.unwrap();
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
    kv.put(BLOCK, "{}", Precondition::None, None).await.unwrap();
    let error = release_address(&store, ip("10.0.0.2")).await.unwrap_err().to_string();
    assert_eq!(error, "reading BlockKey(cidr=10.0.0.0/30): cidr is missing or not of its type");
}

#[tokio::test]
async fn releasing_at_the_same_time_loses_nothing() {
    let (store, kv) = world().await;
    let (one, two) =
        tokio::join!(release_address(&store, ip("10.0.0.1")), release_address(&store, ip("10.0.0.2")));
    assert_eq!((one.unwrap(), two.unwrap()), (Released::Released, Released::Released));
    let block = value(&kv, BLOCK).await.unwrap();
    assert!(block.contains(r#""allocations":[null,null,null,null]"#), "{block}");
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
    kv.put(BLOCK, &VALUE.replace("rack1\",\"strict", "rack2\",\"strict"), Precondition::None, None)
        .await
        .unwrap();
    release_host_affinities(&store, "rack1").await.unwrap();
    assert!(value(&kv, BLOCK).await.unwrap().contains("host:rack2"));
    assert_eq!(value(&kv, CLAIM).await, None);
}

#[tokio::test]
async fn the_addresses_of_a_nodes_endpoints_are_released() {
    let (store, kv) = world().await;
    let endpoint = r#"{"state":"active","name":"c","mac":null,"profile_ids":null,"ipv4_nets":["10.0.0.1/32","10.0.0.2/32","10.9.0.9/32"],"ipv6_nets":[]}"#;
    let key = "/calico/v1/host/rack1/workload/k8s/w/endpoint/e";
    kv.put(key, endpoint, Precondition::None, None).await.unwrap();
    let released = release_node_addresses(&store, "rack1").await.unwrap();
    assert_eq!(released, [ip("10.0.0.1"), ip("10.0.0.2")]);
}
