//! `MemoryKv` under the suite that every store passes, and what only memory has: a clock and a history to choose.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use margay_store::kv::{Change, KvError, Precondition, Watch};
use margay_store::{Kv, MemoryKv};

async fn open(_case: &str) -> Option<(MemoryKv, ())> {
    Some((MemoryKv::new(), ()))
}

margay_testkit::kv_suite!(open);

#[tokio::test]
async fn values_expire_by_the_clock_that_was_given() {
    let seconds = Arc::new(AtomicU64::new(0));
    let clock = Arc::clone(&seconds);
    let kv = MemoryKv::with_clock(10, Arc::new(move || Duration::from_secs(clock.load(Ordering::Relaxed))));
    let ttl = Some(Duration::from_secs(60));
    kv.put("/late", "x", Precondition::None, Some(Duration::from_secs(90))).await.unwrap();
    kv.put("/early", "x", Precondition::None, ttl).await.unwrap();
    kv.put("/kept", "x", Precondition::None, ttl).await.unwrap();
    kv.put("/kept", "y", Precondition::None, None).await.unwrap();
    seconds.store(59, Ordering::Relaxed);
    assert_eq!(kv.children("/early").await.unwrap(), [""; 0]);
    assert!(kv.get("/early").await.unwrap().is_some());
    seconds.store(100, Ordering::Relaxed);
    assert!(kv.get("/early").await.unwrap().is_none());
    assert!(kv.get("/kept").await.unwrap().is_some());

    let changes = kv.watch("/early", 0).await.unwrap().next().await.unwrap();
    let [Change::Set(_), Change::Deleted { revision: early, .. }] = changes.as_slice() else {
        panic!("{changes:?}")
    };
    let changes = kv.watch("/late", 0).await.unwrap().next().await.unwrap();
    let [Change::Set(_), Change::Deleted { revision: late, .. }] = changes.as_slice() else {
        panic!("{changes:?}")
    };
    assert!(early < late, "the earlier expiry comes first");
}

#[tokio::test]
async fn a_watch_behind_the_history_is_compacted() {
    let kv = MemoryKv::with_history(2);
    for n in 0..4 {
        kv.put(&format!("/{n}"), "x", Precondition::None, None).await.unwrap();
    }
    let next = async |after| kv.watch("/3", after).await.unwrap().next().await;
    assert!(matches!(next(1).await, Err(KvError::Compacted { after: 1 })));
    assert_eq!(next(2).await.unwrap().len(), 1);

    kv.compact();
    assert!(matches!(next(3).await, Err(KvError::Compacted { after: 3 })));
    let mut watch = kv.watch("/", 4).await;
    assert!(watch.is_err(), "the root has a trailing slash");
    watch = kv.watch("/3", kv.revision()).await;
    kv.put("/3", "y", Precondition::None, None).await.unwrap();
    assert_eq!(watch.unwrap().next().await.unwrap().len(), 1);
}

#[tokio::test]
async fn clones_share_one_store() {
    let kv = MemoryKv::new();
    let other = kv.clone();
    kv.put("/a", "x", Precondition::None, None).await.unwrap();
    assert_eq!(other.get("/a").await.unwrap().unwrap().value, "x");
}
