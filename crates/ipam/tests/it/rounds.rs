//! How often a request waits for the datastore.
//!
//! Here every operation takes one second of a clock that stands still otherwise, so the time that passes is the number of
//! round trips one after the other; what is asked at the same moment counts once.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use margay_ipam::{Owner, Request, auto_assign, block_of, release_by_handle};
use margay_model::Key;
use margay_net::Cidr;
use margay_store::datastore::Datastore;
use margay_store::kv::{Entry, EntryRef, Kv, Listing, Precondition, Put, Result, Revision};
use margay_store::{Flat, MemoryKv};
use tokio::time::Instant;

const TRIP: Duration = Duration::from_secs(1);

/// A keyspace far away.
#[derive(Clone)]
struct Far {
    inner: MemoryKv,
    calls: Arc<AtomicUsize>,
    lists: Arc<Mutex<Vec<String>>>,
}

impl Far {
    fn new() -> Self {
        Self { inner: MemoryKv::new(), calls: Arc::default(), lists: Arc::default() }
    }

    async fn trip<T>(&self, operation: impl Future<Output = Result<T>>) -> Result<T> {
        self.calls.fetch_add(1, Ordering::SeqCst);
        tokio::time::sleep(TRIP).await;
        operation.await
    }
}

impl Kv for Far {
    type Watch = <MemoryKv as Kv>::Watch;

    async fn get(&self, key: &str) -> Result<Option<Entry>> {
        self.trip(self.inner.get(key)).await
    }

    async fn list(&self, prefix: &str, visit: &mut (dyn FnMut(EntryRef<'_>) + Send)) -> Result<Listing> {
        self.lists.lock().expect("no test panics under the lock").push(prefix.to_owned());
        self.trip(self.inner.list(prefix, visit)).await
    }

    async fn children(&self, directory: &str) -> Result<Vec<String>> {
        self.trip(self.inner.children(directory)).await
    }

    async fn directory_exists(&self, directory: &str) -> Result<bool> {
        self.trip(self.inner.directory_exists(directory)).await
    }

    async fn put(
        &self,
        key: &str,
        value: &str,
        when: Precondition,
        ttl: Option<Duration>,
    ) -> Result<Revision> {
        self.trip(self.inner.put(key, value, when, ttl)).await
    }

    async fn put_all(&self, puts: &[Put]) -> (usize, Result<()>) {
        self.inner.put_all(puts).await
    }

    async fn delete(&self, key: &str, when: Precondition) -> Result<()> {
        self.trip(self.inner.delete(key, when)).await
    }

    async fn make_directory(&self, directory: &str) -> Result<()> {
        self.trip(self.inner.make_directory(directory)).await
    }

    async fn remove_empty_directory(&self, directory: &str) -> Result<bool> {
        self.trip(self.inner.remove_empty_directory(directory)).await
    }

    async fn watch(&self, prefix: &str, after: u64) -> Result<Self::Watch> {
        self.inner.watch(prefix, after).await
    }
}

fn store(kv: &Far) -> Flat<Far> {
    Flat::new(kv.clone(), Arc::new(|| [7; 16]))
}

fn request(handle: &str) -> Request {
    let owner = Owner { handle: Some(handle.to_owned()), notes: None };
    Request { host: "a".to_owned(), v4: 1, owner, ..Request::default() }
}

async fn pool(kv: &Far, text: &str) {
    let cidr: Cidr = text.parse().expect("a network");
    let value = format!(r#"{{"cidr":"{text}"}}"#);
    kv.inner.put(&Key::IpPool { cidr }.path(), &value, Precondition::None, None).await.expect("memory");
}

/// The round trips and the requests of some work.
async fn count<T>(kv: &Far, work: impl Future<Output = T>) -> (f64, usize, T) {
    let (start, calls) = (Instant::now(), kv.calls.load(Ordering::SeqCst));
    let outcome = work.await;
    let trips = start.elapsed().as_secs_f64() / TRIP.as_secs_f64();
    (trips, kv.calls.load(Ordering::SeqCst) - calls, outcome)
}

#[tokio::test(start_paused = true)]
async fn a_warm_request_makes_three_round_trips() {
    let kv = Far::new();
    pool(&kv, "10.0.0.0/16").await;
    let store = store(&kv);
    auto_assign(&store, &request("first")).await.unwrap();
    let (trips, requests, assigned) = count(&kv, auto_assign(&store, &request("second"))).await;
    assert_eq!(assigned.unwrap().v4.len(), 1);
    // Pools and claims; the block and the handle; the block.
    assert_eq!((trips.round(), requests), (3.0, 5), "{trips}");
    let (trips, requests, released) = count(&kv, release_by_handle(&store, "second", |_| true)).await;
    assert_eq!(released.unwrap().map(|list| list.len()), Some(1));
    assert_eq!((trips.round(), requests), (4.0, 4), "{trips}");
}

#[tokio::test(start_paused = true)]
async fn a_first_request_claims_its_block_in_six_round_trips() {
    let kv = Far::new();
    pool(&kv, "10.0.0.0/16").await;
    let (trips, requests, assigned) = count(&kv, auto_assign(&store(&kv), &request("first"))).await;
    assert_eq!(assigned.unwrap().v4.len(), 1);
    // Pools and claims; settings and blocks; the block, the claim, the handle, the block.
    assert_eq!((trips.round(), requests), (6.0, 8), "{trips}");
}

#[tokio::test(start_paused = true)]
async fn an_exhausted_pool_of_1024_blocks_is_found_with_one_list() {
    let kv = Far::new();
    pool(&kv, "10.0.0.0/16").await;
    let taken = ["0"; 64].join(",");
    for number in 0_u32..1024 {
        let first = margay_net::Ip::from(std::net::Ipv4Addr::from(0x0a00_0000 + number * 64));
        let cidr = block_of(first);
        let value = format!(
            r#"{{"cidr":"{cidr}","affinity":"host:b","strictAffinity":false,"allocations":[{taken}],"unallocated":[],"attributes":[{{"handle_id":"x","secondary":null}}]}}"#
        );
        kv.inner.put(&Key::IpamBlock { cidr }.path(), &value, Precondition::None, None).await.unwrap();
    }
    let store = store(&kv);
    let (trips, requests, assigned) = count(&kv, auto_assign(&store, &request("late"))).await;
    assert_eq!(assigned.unwrap().v4, []);
    assert_eq!((trips.round(), requests), (2.0, 4), "{trips}");
    let lists = kv.lists.lock().expect("no test panics under the lock").clone();
    let of_blocks = lists.iter().filter(|prefix| prefix.contains("assignment")).count();
    assert_eq!(of_blocks, 1, "{lists:?}");
    assert_eq!(store.get_record(&Key::IpamHandle { id: "late".to_owned() }).await.unwrap(), None);
}

#[tokio::test(start_paused = true)]
async fn a_host_of_many_full_blocks_lists_them_once() {
    let kv = Far::new();
    pool(&kv, "10.0.0.0/16").await;
    let store = store(&kv);
    let many = Request { v4: 20 * 64 - 1, ..request("many") };
    assert_eq!(auto_assign(&store, &many).await.unwrap().v4.len(), 20 * 64 - 1);
    let (trips, requests, assigned) = count(&kv, auto_assign(&store, &request("last"))).await;
    assert_eq!(assigned.unwrap().v4.len(), 1);
    // Pools and claims; all blocks; the handle; the block.
    assert_eq!((trips.round(), requests), (4.0, 5), "{trips}");
}
