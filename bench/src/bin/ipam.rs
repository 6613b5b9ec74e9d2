//! Assignments per second on memory, SQLite and etcd: one host, eight hosts, and eight processes of one host; and what
//! it takes to find that a /16 is exhausted.
//!
//! Every process is a thread with a runtime and a connection of its own. It keeps the last 4 of its addresses and
//! releases older ones; only assigning is timed. Usage: ipam [ETCD_URL]

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use margay_ipam::{Owner, Request, auto_assign, block_of, release_by_handle};
use margay_model::Key;
use margay_net::{Cidr, Ip};
use margay_store::datastore::Datastore;
use margay_store::kv::{Kv, Precondition};
use margay_store::{Flat, MemoryKv};
use margay_store_etcd::{EtcdConfig, EtcdKv};
use margay_store_sqlite::{Options, SqliteKv};

/// How long one figure is measured.
const TIME: Duration = Duration::from_secs(2);

/// Opens the store for one process.
type Open<'a, K> = &'a (dyn Fn() -> K + Sync);

fn main() {
    println!("| store | who | assignments/s | median | p99 | lost compare-and-swaps |");
    println!("|---|---|---|---|---|---|");
    let folder = tempfile::tempdir().expect("a folder");
    let mut exhausted = Vec::new();
    let memory = MemoryStore::default();
    exhausted.push(store("memory", &|| memory.open(), &|| memory.wipe()));
    let file = folder.path().join("store");
    let wipe = || {
        for suffix in ["", "-wal", "-shm"] {
            let _ = std::fs::remove_file(format!("{}{suffix}", file.display()));
        }
    };
    exhausted.push(store("SQLite", &|| sqlite(&file), &wipe));
    if let Some(url) = std::env::args().nth(1) {
        let open = || {
            let config = EtcdConfig { endpoints: vec![url.clone()], ..EtcdConfig::default() };
            EtcdKv::new(&config).expect("an etcd URL")
        };
        let wipe = || {
            // Absent is as good as removed.
            let _ = runtime().block_on(open().delete("/calico", Precondition::None));
        };
        exhausted.push(store("etcd", &open, &wipe));
    }
    println!();
    println!("| an exhausted /16, 1,024 full blocks | until it is known |");
    println!("|---|---|");
    for (name, time) in exhausted {
        println!("| {name} | {:.1} ms |", time.as_secs_f64() * 1e3);
    }
}

/// A keyspace in memory that all processes share.
#[derive(Default)]
struct MemoryStore(std::sync::Mutex<Option<MemoryKv>>);

impl MemoryStore {
    fn open(&self) -> MemoryKv {
        self.0
            .lock()
            .expect("no panic")
            .get_or_insert_with(|| runtime().block_on(async { MemoryKv::new() }))
            .clone()
    }

    fn wipe(&self) {
        *self.0.lock().expect("no panic") = None;
    }
}

fn sqlite(file: &Path) -> SqliteKv {
    SqliteKv::open(file, Options::default()).expect("a file")
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime")
}

fn flat<K: Kv>(kv: K) -> Flat<K> {
    Flat::new(kv, Arc::new(|| [7; 16]))
}

/// All figures of one store.
fn store<K: Kv>(name: &str, open: Open<'_, K>, wipe: &dyn Fn()) -> (String, Duration) {
    let eight: Vec<String> = (0..8).map(|n| format!("host-{n}")).collect();
    for (who, hosts) in [
        ("1 host", vec!["host-0".to_owned()]),
        ("8 hosts", eight),
        ("8 processes of 1 host", vec!["host-0".to_owned(); 8]),
    ] {
        wipe();
        runtime().block_on(pool(&flat(open())));
        let mut all = Measured::default();
        std::thread::scope(|scope| {
            let running: Vec<_> = hosts
                .iter()
                .enumerate()
                .map(|(number, host)| scope.spawn(move || assign(open, host, number)))
                .collect();
            for process in running {
                all.add(process.join().expect("a process"));
            }
        });
        all.times.sort();
        let at = |share: f64| all.times[((all.times.len() - 1) as f64 * share) as usize].as_secs_f64() * 1e6;
        println!(
            "| {name} | {who} | {:.0} | {:.0} µs | {:.0} µs | {} of {} |",
            all.rate,
            at(0.5),
            at(0.99),
            all.conflicts,
            all.times.len()
        );
    }
    wipe();
    let flat = flat(open());
    let time = runtime().block_on(async {
        pool(&flat).await;
        exhaust(&flat).await
    });
    wipe();
    (name.to_owned(), time)
}

#[derive(Default)]
struct Measured {
    times: Vec<Duration>,
    conflicts: u64,
    /// Per second, while assigning.
    rate: f64,
}

impl Measured {
    fn add(&mut self, other: Self) {
        self.times.extend(other.times);
        self.conflicts += other.conflicts;
        self.rate += other.rate;
    }
}

async fn pool<D: Datastore>(store: &D) {
    let cidr: Cidr = "10.0.0.0/16".parse().expect("a network");
    let value = r#"{"cidr":"10.0.0.0/16"}"#;
    store.put_record(&Key::IpPool { cidr }, value, Precondition::None).await.expect("a pool");
}

fn request(host: &str, handle: String) -> Request {
    let notes = [("timestamp".to_owned(), handle.clone()), ("node".to_owned(), host.to_owned())].into();
    let owner = Owner { handle: Some(handle), notes: Some(notes) };
    Request { host: host.to_owned(), v4: 1, owner, ..Request::default() }
}

/// One process at work.
fn assign<K: Kv>(open: Open<'_, K>, host: &str, number: usize) -> Measured {
    let store = flat(open());
    let mut measured = Measured::default();
    runtime().block_on(async {
        let began = Instant::now();
        let mut assigning = Duration::ZERO;
        for turn in 0_usize.. {
            if began.elapsed() > TIME {
                break;
            }
            let request = request(host, format!("net.p{number}-{turn}"));
            let start = Instant::now();
            let assigned = auto_assign(&store, &request).await.expect("an address");
            let took = start.elapsed();
            assert_eq!(assigned.v4.len(), 1);
            measured.times.push(took);
            measured.conflicts += u64::from(assigned.conflicts);
            assigning += took;
            if let Some(old) = turn.checked_sub(4) {
                release_by_handle(&store, &format!("net.p{number}-{old}"), |_| true).await.expect("released");
            }
        }
        measured.rate = measured.times.len() as f64 / assigning.as_secs_f64().max(1e-9);
    });
    measured
}

async fn exhaust<D: Datastore>(store: &D) -> Duration {
    let taken = ["0"; 64].join(",");
    for number in 0_u32..1024 {
        let cidr = block_of(Ip::from(std::net::Ipv4Addr::from(0x0a00_0000 + number * 64)));
        let value = format!(
            r#"{{"cidr":"{cidr}","affinity":"host:other","strictAffinity":false,"allocations":[{taken}],"unallocated":[],"attributes":[{{"handle_id":"x","secondary":null}}]}}"#
        );
        store.put_record(&Key::IpamBlock { cidr }, &value, Precondition::None).await.expect("a block");
    }
    let mut best = Duration::MAX;
    for turn in 0..5 {
        let start = Instant::now();
        let assigned =
            auto_assign(store, &request("host-0", format!("net.late-{turn}"))).await.expect("an answer");
        best = best.min(start.elapsed());
        assert!(assigned.v4.is_empty());
    }
    best
}
