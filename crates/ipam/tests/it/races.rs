//! What happens when others write between our reads and our writes.

use margay_ipam::{
    Error, Released, release_address, release_addresses, release_host_affinities, release_pool_affinities,
};
use margay_model::Key;

use crate::meddling::MeddledKv;
use crate::{BLOCK, CLAIM, HANDLE, VALUE, ip, store, value, world};

/// [`VALUE`] after somebody else has released 10.0.0.2.
const TWO_RELEASED: &str = r#"{"cidr":"10.0.0.0/30","affinity":"host:rack1","strictAffinity":false,"allocations":[null,0,null,null],"unallocated":[0,3,2],"attributes":[{"handle_id":"h1","secondary":{"pod":"cart-0","node":"rack1"}}]}"#;

/// An empty block of rack1, and the same after 10.0.0.0 went to `h1`.
const EMPTY: &str = r#"{"cidr":"10.0.0.0/30","affinity":"host:rack1","strictAffinity":false,"allocations":[null,null,null,null],"unallocated":[0,1,2,3],"attributes":null}"#;
const ASSIGNED: &str = r#"{"cidr":"10.0.0.0/30","affinity":"host:rack1","strictAffinity":false,"allocations":[0,null,null,null],"unallocated":[1,2,3],"attributes":[{"handle_id":"h1","secondary":null}]}"#;

async fn allocations(kv: &MeddledKv) -> String {
    let block = value(kv, BLOCK).await.expect("the block stays");
    let block: serde_json::Value = serde_json::from_str(&block).expect("a block is JSON");
    format!("{} {}", block["affinity"], block["allocations"])
}

#[tokio::test]
async fn releasing_at_the_same_time_loses_nothing() {
    let (store, kv) = world().await;
    kv.before_write(BLOCK, Some(TWO_RELEASED));
    assert_eq!(release_address(&store, ip("10.0.0.1")).await.unwrap(), Released::Released);
    assert!(kv.all_meddled());
    let block = value(&kv, BLOCK).await.unwrap();
    assert!(
        block.contains(r#""allocations":[null,null,null,null],"unallocated":[0,3,2,1],"attributes":[]"#),
        "{block}"
    );
}

#[tokio::test]
async fn an_address_that_others_release_first_was_not_assigned() {
    let (store, kv) = world().await;
    kv.before_write(BLOCK, Some(TWO_RELEASED));
    assert_eq!(release_address(&store, ip("10.0.0.2")).await.unwrap(), Released::NotAssigned);
    assert_eq!(value(&kv, BLOCK).await.as_deref(), Some(TWO_RELEASED));
    let (store, kv) = world().await;
    kv.before_write(BLOCK, None);
    assert_eq!(release_address(&store, ip("10.0.0.2")).await.unwrap(), Released::NotAssigned);
    assert_eq!(value(&kv, BLOCK).await, None);
}

#[tokio::test]
async fn an_unowned_block_that_becomes_used_again_stays() {
    let (store, kv) = world().await;
    let unowned = |value: &str| value.replace(r#""host:rack1""#, "null");
    kv.seed(BLOCK, &unowned(TWO_RELEASED)).await;
    let taken = r#"{"cidr":"10.0.0.0/30","affinity":null,"strictAffinity":false,"allocations":[1,0,null,null],"unallocated":[3,2],"attributes":[{"handle_id":"h1","secondary":{"pod":"cart-0","node":"rack1"}},{"handle_id":"new","secondary":null}]}"#;
    kv.before_write(BLOCK, Some(taken));
    assert_eq!(release_address(&store, ip("10.0.0.1")).await.unwrap(), Released::Released);
    assert_eq!(allocations(&kv).await, "null [0,null,null,null]");
}

#[tokio::test]
async fn an_address_that_went_to_another_holder_meanwhile_is_not_released() {
    let (store, kv) = world().await;
    let other = VALUE.replace("cart-0", "cart-1");
    kv.before_write(BLOCK, Some(&other));
    assert_eq!(release_address(&store, ip("10.0.0.1")).await.unwrap(), Released::NotAssigned);
    assert_eq!(value(&kv, BLOCK).await, Some(other));
}

#[tokio::test(start_paused = true)]
async fn a_block_that_others_never_leave_alone_is_an_error_after_100_attempts() {
    let (store, kv) = world().await;
    kv.always_before_write(BLOCK);
    let error = release_address(&store, ip("10.0.0.1")).await.unwrap_err();
    assert_eq!(error.to_string(), "update conflict: 'BlockKey(cidr=10.0.0.0/30)' (100 attempts)");
    assert_eq!(value(&kv, BLOCK).await.as_deref(), Some(VALUE));
    assert!(matches!(release_host_affinities(&store, "rack1").await, Err(Error::Contended { .. })));
    assert!(value(&kv, CLAIM).await.is_some());
}

#[tokio::test]
async fn a_handle_that_others_write_keeps_what_they_wrote() {
    let (store, kv) = world().await;
    kv.before_write(HANDLE, Some(r#"{"block":{"10.0.0.0/30":1,"10.7.0.0/26":1},"id":"h1"}"#));
    release_address(&store, ip("10.0.0.1")).await.unwrap();
    assert_eq!(value(&kv, HANDLE).await.as_deref(), Some(r#"{"block":{"10.7.0.0/26":1},"id":"h1"}"#));
    let (store, kv) = world().await;
    kv.before_write(HANDLE, None);
    assert_eq!(release_address(&store, ip("10.0.0.1")).await.unwrap(), Released::Released);
    assert_eq!(value(&kv, HANDLE).await, None);
}

#[tokio::test]
async fn a_handle_that_others_count_up_is_counted_anew_from_their_block() {
    let (store, kv) = world().await;
    // Between our write of the block and of the handle, another address of the block goes to the handle.
    kv.before_write_also(HANDLE, r#"{"block":{"10.0.0.0/30":2}}"#, BLOCK, ASSIGNED);
    assert_eq!(release_address(&store, ip("10.0.0.1")).await.unwrap(), Released::Released);
    assert_eq!(value(&kv, HANDLE).await.as_deref(), Some(r#"{"block":{"10.0.0.0/30":1}}"#));
    assert_eq!(allocations(&kv).await, r#""host:rack1" [0,null,null,null]"#);
}

#[tokio::test]
async fn an_empty_block_that_gets_an_address_is_kept_when_its_host_goes() {
    for by_pool in [false, true] {
        let (store, kv) = world().await;
        kv.seed(BLOCK, EMPTY).await;
        kv.before_write(BLOCK, Some(ASSIGNED));
        let released = match by_pool {
            false => release_host_affinities(&store, "rack1").await,
            true => release_pool_affinities(&store, "10.0.0.0/24".parse().unwrap()).await,
        };
        assert_eq!(released.unwrap(), ["10.0.0.0/30".parse().unwrap()]);
        assert_eq!(allocations(&kv).await, "null [0,null,null,null]");
        assert_eq!(value(&kv, CLAIM).await, None);
    }
}

#[tokio::test]
async fn a_claim_that_comes_back_is_released_again() {
    let (store, kv) = world().await;
    kv.seed(BLOCK, EMPTY).await;
    kv.before_write_also(CLAIM, "{}", BLOCK, EMPTY);
    let released = release_pool_affinities(&store, "10.0.0.0/24".parse().unwrap()).await.unwrap();
    assert!(kv.all_meddled());
    assert_eq!(released, ["10.0.0.0/30".parse().unwrap()]);
    assert_eq!((value(&kv, BLOCK).await, value(&kv, CLAIM).await), (None, None));
}

/// I82: upstream returns the addresses that it never wrote.
#[tokio::test(start_paused = true)]
async fn an_address_that_is_never_written_is_never_given() {
    let kv = MeddledKv::new();
    let (block, _) = crate::recorded();
    let key = "/calico/ipam/v2/assignment/ipv4/block/10.0.0.0-26";
    for (key, value) in [
        (key, block.as_str()),
        ("/calico/ipam/v2/host/rack1/ipv4/block/10.0.0.0-26", "{}"),
        ("/calico/v1/ipam/v4/pool/10.0.0.0-26", r#"{"cidr":"10.0.0.0/26"}"#),
    ] {
        kv.seed(key, value).await;
    }
    kv.always_before_write(key);
    let store = store(&kv);
    let request = margay_ipam::Request { host: "rack1".to_owned(), v4: 1, ..Default::default() };
    let error = margay_ipam::auto_assign(&store, &request).await.unwrap_err();
    assert_eq!(error.to_string(), "update conflict: 'BlockKey(cidr=10.0.0.0/26)' (100 attempts)");
    let error = margay_ipam::assign_ip(&store, "rack1", ip("10.0.0.9"), &request.owner).await.unwrap_err();
    assert_eq!(error.to_string(), "update conflict: 'BlockKey(cidr=10.0.0.0/26)' (100 attempts)");
    assert_eq!(value(&kv, key).await, Some(block));
}

#[tokio::test(start_paused = true)]
async fn a_claim_that_always_comes_back_is_an_error_after_3_rounds() {
    let (store, kv) = world().await;
    kv.always_before_write(CLAIM);
    let error = release_host_affinities(&store, "rack1").await.unwrap_err();
    let claim = Key::parse(CLAIM).unwrap();
    assert_eq!(error.to_string(), format!("update conflict: '{claim}' (3 attempts)"));
    assert!(value(&kv, CLAIM).await.is_some());
}

#[tokio::test]
async fn blocks_of_other_sizes_are_looked_for_once() {
    let kv = MeddledKv::new();
    let block = r#"{"cidr":"10.0.0.0/28","affinity":null,"allocations":[null,0,null,0,null,null,null,null,null,null,null,null,null,null,null,null],"unallocated":[],"attributes":[{"handle_id":null,"secondary":null}],"sequenceNumber":7}"#;
    kv.seed("/calico/ipam/v2/assignment/ipv4/block/10.0.0.0-28", block).await;
    let store = store(&kv);
    let addresses = ["10.0.0.1", "10.0.0.3", "10.0.0.99", "10.9.0.1"].map(ip);
    assert_eq!(release_addresses(&store, &addresses).await.unwrap(), addresses[..2]);
    let lists = kv.take_reads().into_iter().filter(|path| !path.contains("/block/")).count();
    assert_eq!(lists, 1);
}

#[tokio::test]
async fn a_warm_release_reads_the_block_and_the_handle_once() {
    let (store, kv) = world().await;
    let v1 = VALUE.replace("10.0.0.0/30", "10.0.0.0/26").replace("[null,0,1,null]", &sixty_four());
    let key = "/calico/ipam/v2/assignment/ipv4/block/10.0.0.0-26";
    kv.seed(key, &v1).await;
    kv.take_reads();
    release_address(&store, ip("10.0.0.1")).await.unwrap();
    assert_eq!(kv.take_reads(), [key, HANDLE]);
}

fn sixty_four() -> String {
    format!("[null,0,1{}]", ",null".repeat(61))
}
