//! Random histories: several hosts on one store, with pauses, partitions, lost answers and processes that are killed.
//!
//! A ledger knows who was given what. No address is ever in two hands, nobody loses one, and afterwards `check` finds
//! what the killed have left, and nothing that a repair does not end.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use margay_ipam::{
    Finding, Owner, Request, Snapshot, assign_ip, audit, auto_assign, release_by_handle,
    release_host_affinities, repair,
};
use margay_model::Key;
use margay_net::Ip;
use margay_store::datastore::Datastore;
use margay_store::kv::{Entry, EntryRef, Kv, KvError, Listing, Precondition, Put, Result, Revision};
use margay_store::{Flat, MemoryKv};
use margay_store_etcd::{EtcdConfig, EtcdKv};
use margay_testkit::etcd::Etcd;

use crate::gated::unavailable;

/// Numbers in no order that anybody sees, the same for the same seed.
#[derive(Clone)]
pub(crate) struct Dice(Arc<Mutex<u64>>);

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Self(Arc::new(Mutex::new(seed)))
    }

    /// A number below `sides`.
    pub(crate) fn roll(&self, sides: u64) -> u64 {
        let mut state = self.0.lock().expect("no test panics under the lock");
        *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = *state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % sides
    }

    fn one_in(&self, sides: u64) -> bool {
        self.roll(sides) == 0
    }
}

/// A host's way to the store, on which things go wrong.
#[derive(Clone)]
pub(crate) struct Troubled<K> {
    inner: K,
    host: usize,
    trouble: Arc<Trouble>,
}

struct Trouble {
    dice: Dice,
    /// The hosts that reach nobody.
    cut_off: Mutex<BTreeSet<usize>>,
    /// The longest pause, in microseconds.
    pause: u64,
    /// Several writes are committed together.
    batches: bool,
    /// Nothing gets lost: there are only pauses.
    calm: bool,
}

impl<K: Kv> Troubled<K> {
    /// A way on which others come in between, and nothing gets lost.
    pub(crate) fn calm(inner: K, dice: Dice) -> Self {
        let trouble = Trouble { dice, cut_off: Mutex::default(), pause: 100, batches: false, calm: true };
        Self { inner, host: 0, trouble: Arc::new(trouble) }
    }

    async fn pass<T>(&self, operation: impl Future<Output = Result<T>>) -> Result<T> {
        let dice = &self.trouble.dice;
        for _ in 0..dice.roll(3) {
            tokio::task::yield_now().await;
        }
        if dice.one_in(20) {
            tokio::time::sleep(Duration::from_micros(dice.roll(self.trouble.pause))).await;
        }
        let cut_off =
            || self.trouble.cut_off.lock().expect("no test panics under the lock").contains(&self.host);
        let lost = || cut_off() || (!self.trouble.calm && dice.one_in(60));
        if lost() {
            return Err(unavailable());
        }
        let outcome = operation.await;
        // Carried out, and the answer on its way.
        tokio::task::yield_now().await;
        match lost() {
            true => Err(unavailable()),
            false => outcome,
        }
    }
}

impl<K: Kv> Kv for Troubled<K> {
    type Watch = K::Watch;

    async fn get(&self, key: &str) -> Result<Option<Entry>> {
        self.pass(self.inner.get(key)).await
    }

    async fn list(&self, prefix: &str, visit: &mut (dyn FnMut(EntryRef<'_>) + Send)) -> Result<Listing> {
        self.pass(self.inner.list(prefix, visit)).await
    }

    async fn children(&self, directory: &str) -> Result<Vec<String>> {
        self.pass(self.inner.children(directory)).await
    }

    async fn directory_exists(&self, directory: &str) -> Result<bool> {
        self.pass(self.inner.directory_exists(directory)).await
    }

    async fn put(
        &self,
        key: &str,
        value: &str,
        when: Precondition,
        ttl: Option<Duration>,
    ) -> Result<Revision> {
        self.pass(self.inner.put(key, value, when, ttl)).await
    }

    async fn put_all(&self, puts: &[Put]) -> (usize, Result<()>) {
        let mut written = 0;
        let operation = async {
            let outcome;
            (written, outcome) = self.inner.put_all(puts).await;
            outcome
        };
        match self.pass(operation).await {
            Err(error @ KvError::Unavailable { .. }) => (0, Err(error)),
            outcome => (written, outcome),
        }
    }

    fn batches(&self) -> bool {
        self.trouble.batches
    }

    async fn delete(&self, key: &str, when: Precondition) -> Result<()> {
        self.pass(self.inner.delete(key, when)).await
    }

    async fn make_directory(&self, directory: &str) -> Result<()> {
        self.pass(self.inner.make_directory(directory)).await
    }

    async fn remove_empty_directory(&self, directory: &str) -> Result<bool> {
        self.pass(self.inner.remove_empty_directory(directory)).await
    }

    async fn watch(&self, prefix: &str, after: u64) -> Result<Self::Watch> {
        self.inner.watch(prefix, after).await
    }
}

/// Who was given what, as the containers see it.
#[derive(Default)]
struct Ledger {
    holders: BTreeMap<Ip, String>,
    /// Containers whose addresses nobody knows: their process was killed in the middle.
    killed: BTreeSet<String>,
    assigned: usize,
    failed: usize,
}

impl Ledger {
    fn given(&mut self, handle: &str, addresses: &[Ip], story: &str) {
        self.assigned += addresses.len();
        for ip in addresses {
            let before = self.holders.insert(*ip, handle.to_owned());
            assert_eq!(before, None, "{story}: {ip} was given to {handle} too");
        }
    }

    fn gone(&mut self, handle: &str) {
        self.holders.retain(|_, holder| holder != handle);
    }
}

/// One node's work: containers come and go.
struct Worker<K> {
    store: Flat<Troubled<K>>,
    name: String,
    host: String,
    dice: Dice,
    ledger: Arc<Mutex<Ledger>>,
    /// Containers that are to go and have not gone.
    leaving: Vec<String>,
    living: Vec<String>,
    story: String,
}

impl<K: Kv> Worker<K> {
    async fn work(&mut self, steps: usize) {
        for step in 0..steps {
            match self.dice.roll(12) {
                0..=4 => self.add(step).await,
                5 => self.add_one_in_particular(step).await,
                6..=9 => self.remove().await,
                10 if self.dice.one_in(3) => drop(release_host_affinities(&self.store, &self.host).await),
                _ => tokio::time::sleep(Duration::from_micros(self.dice.roll(2_000))).await,
            }
        }
    }

    fn owner(&self, handle: &str) -> Owner {
        let notes = [("timestamp".to_owned(), format!("when {handle} came"))].into();
        Owner { handle: Some(handle.to_owned()), notes: Some(notes) }
    }

    async fn add(&mut self, step: usize) {
        let handle = format!("net.{}-{step}", self.name);
        let v4 = 1 + usize::try_from(self.dice.roll(8) / 6).expect("small");
        let request =
            Request { host: self.host.clone(), v4, owner: self.owner(&handle), ..Request::default() };
        let work = auto_assign(&self.store, &request);
        let patience = match self.dice.one_in(12) {
            true => Duration::from_micros(self.dice.roll(300)),
            false => Duration::from_secs(3_600),
        };
        match tokio::time::timeout(patience, work).await {
            Ok(Ok(assigned)) => self.came(handle, &assigned.v4),
            Ok(Err(_)) => self.failed(handle),
            Err(_) => drop(self.ledger.lock().expect("no panic").killed.insert(handle)),
        }
    }

    async fn add_one_in_particular(&mut self, step: usize) {
        let handle = format!("net.{}-{step}", self.name);
        let ip: Ip = format!("10.0.0.{}", self.dice.roll(256)).parse().expect("an address");
        match assign_ip(&self.store, &self.host, ip, &self.owner(&handle)).await {
            Ok(()) => self.came(handle, &[ip]),
            Err(_) => self.failed(handle),
        }
    }

    fn came(&mut self, handle: String, addresses: &[Ip]) {
        self.ledger.lock().expect("no panic").given(&handle, addresses, &self.story);
        self.living.push(handle);
    }

    /// The runtime sends a DEL after an ADD that failed.
    fn failed(&mut self, handle: String) {
        self.ledger.lock().expect("no panic").failed += 1;
        self.leaving.push(handle);
    }

    async fn remove(&mut self) {
        if !self.living.is_empty() {
            let at = usize::try_from(self.dice.roll(self.living.len() as u64)).expect("small");
            let handle = self.living.swap_remove(at);
            // From here on its addresses may be free.
            self.ledger.lock().expect("no panic").gone(&handle);
            self.leaving.push(handle);
        }
        if let Some(handle) = self.leaving.pop()
            && release_by_handle(&self.store, &handle, |_| true).await.is_err()
        {
            self.leaving.insert(0, handle);
        }
    }
}

/// What a number of histories came to.
#[derive(Default, Debug)]
struct Tally {
    assigned: usize,
    failed: usize,
    leaks: usize,
    repaired: usize,
}

async fn history<K: Kv + Clone + 'static>(kv: K, seed: u64, steps: usize, pause: u64, tally: &mut Tally) {
    let plain = Flat::new(kv.clone(), Arc::new(|| [7; 16]));
    let cidr = "10.0.0.0/24".parse().expect("a network");
    let pool = r#"{"cidr":"10.0.0.0/24"}"#;
    plain.put_record(&Key::IpPool { cidr }, pool, Precondition::None).await.expect("an answer");
    let dice = Dice::new(seed);
    let trouble = Arc::new(Trouble {
        dice: dice.clone(),
        cut_off: Mutex::default(),
        pause,
        batches: seed % 2 == 1,
        calm: false,
    });
    let ledger = Arc::new(Mutex::new(Ledger::default()));
    let mut working = Vec::new();
    for number in 0..6 {
        let host = number % 3;
        let troubled = Troubled { inner: kv.clone(), host, trouble: Arc::clone(&trouble) };
        let mut worker = Worker {
            store: Flat::new(troubled, Arc::new(|| [7; 16])),
            name: format!("w{number}"),
            host: format!("host-{host}"),
            dice: dice.clone(),
            ledger: Arc::clone(&ledger),
            leaving: Vec::new(),
            living: Vec::new(),
            story: format!("history {seed}"),
        };
        working.push(tokio::spawn(async move {
            worker.work(steps).await;
            worker.leaving
        }));
    }
    // Now and then one host reaches nobody for a while.
    let cutting = tokio::spawn(async move {
        loop {
            tokio::time::sleep(Duration::from_micros(dice.roll(pause * 10))).await;
            let host = usize::try_from(dice.roll(6)).expect("small");
            *trouble.cut_off.lock().expect("no panic") = (host < 3).then_some(host).into_iter().collect();
        }
    });
    let mut leaving = Vec::new();
    for worker in working {
        leaving.extend(worker.await.expect("the worker does not panic"));
    }
    cutting.abort();
    for handle in leaving {
        release_by_handle(&plain, &handle, |_| true).await.expect("an answer");
    }
    let ledger = std::mem::take(&mut *ledger.lock().expect("no panic"));
    tally.assigned += ledger.assigned;
    tally.failed += ledger.failed;
    settle(&plain, &ledger, seed, tally).await;
}

/// Compares what stands in the store with the ledger, and has repaired what is to be repaired.
async fn settle<D: Datastore>(store: &D, ledger: &Ledger, seed: u64, tally: &mut Tally) {
    let snapshot = Snapshot::read(store).await.expect("an answer");
    let mut held = BTreeMap::new();
    for (ip, attribute) in snapshot.blocks().flat_map(|block| block.assigned()) {
        let handle = attribute.handle.clone().unwrap_or_default();
        assert_eq!(held.insert(ip, handle), None, "history {seed}: {ip} stands in two blocks");
    }
    let (left, kept): (BTreeMap<Ip, String>, BTreeMap<Ip, String>) =
        held.into_iter().partition(|(_, handle)| ledger.killed.contains(handle));
    assert_eq!(kept, ledger.holders, "history {seed}");
    for (number, (ip, handle)) in ledger.holders.iter().enumerate() {
        let key = format!("/calico/v1/host/host-0/workload/cni/{handle}/endpoint/eth{number}");
        let value = format!(
            r#"{{"state":"active","name":"cali{number}","mac":null,"profile_ids":[],"ipv4_nets":["{ip}/32"],"ipv6_nets":[]}}"#
        );
        let key = Key::parse(&key).expect("an endpoint's key");
        store.put_record(&key, &value, Precondition::None).await.expect("an answer");
    }
    let findings = audit(store, SystemTime::UNIX_EPOCH).await.expect("an answer");
    let leaked: BTreeSet<Ip> = findings
        .iter()
        .filter_map(|finding| match finding {
            Finding::Leaked { ip, .. } => Some(*ip),
            _ => None,
        })
        .collect();
    assert_eq!(leaked, left.into_keys().collect(), "history {seed}");
    tally.leaks += leaked.len();
    for finding in &findings {
        let harmless = matches!(
            finding,
            Finding::Leaked { .. }
                | Finding::LostClaim { .. }
                | Finding::StrayClaim { .. }
                | Finding::StrayEntry { .. }
        );
        assert!(harmless, "history {seed}: {finding}");
        repair(store, finding).await.expect("an answer");
        tally.repaired += 1;
    }
    assert_eq!(audit(store, SystemTime::UNIX_EPOCH).await.expect("an answer"), [], "history {seed}");
    let snapshot = Snapshot::read(store).await.expect("an answer");
    let lost = snapshot.blocks().find(|block| block.is_empty() && block.affinity().is_none());
    assert_eq!(lost, None, "history {seed}: a block is empty and nobody's");
}

#[tokio::test(start_paused = true)]
async fn a_thousand_histories_give_no_address_twice_and_lose_none() {
    let mut tally = Tally::default();
    for seed in 0..1_000 {
        history(MemoryKv::new(), seed, 12, 500, &mut tally).await;
    }
    println!("{tally:?}");
    assert!(tally.assigned > 10_000 && tally.failed > 1_000 && tally.leaks > 50, "{tally:?}");
}

#[tokio::test]
async fn histories_on_etcd_give_no_address_twice_and_lose_none() {
    if !Etcd::available() {
        return;
    }
    let etcd = Etcd::start();
    let config = EtcdConfig { endpoints: vec![etcd.client_url()], ..EtcdConfig::default() };
    let kv = Arc::new(EtcdKv::new(&config).expect("a store"));
    let mut tally = Tally::default();
    for seed in 0..10 {
        etcd.wipe();
        history(Arc::clone(&kv), seed, 10, 3_000, &mut tally).await;
    }
    println!("{tally:?}");
    assert!(tally.assigned > 50 && tally.failed > 5, "{tally:?}");
}
