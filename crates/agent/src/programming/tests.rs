//! The thread on a dataplane that only remembers.

use std::collections::BTreeMap;
use std::os::fd::BorrowedFd;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use margay_daemon::{Health, Stop};
use margay_dataplane::Config;
use margay_intent::{Changes, Pool, Program, WorkloadEndpoint, WorkloadId};

use super::{Committed, Driver, EndpointState, Programming};
use crate::board::{Board, EndpointId, EndpointStatus};
use crate::instruments::Instruments;
use crate::mailbox::Mailbox;

const LONG: Duration = Duration::from_secs(20);

/// What the fake was told, in order, and what it answers.
#[derive(Default)]
struct Memory {
    told: Vec<String>,
    committed: Committed,
    opens_to_fail: usize,
    deadline: Option<Instant>,
}

#[derive(Clone, Default)]
struct Fake {
    memory: Arc<Mutex<Memory>>,
}

impl Fake {
    fn tell(&self, what: impl Into<String>) {
        self.memory.lock().unwrap().told.push(what.into());
    }

    fn open(&self) -> Result<Self, String> {
        let mut memory = self.memory.lock().unwrap();
        if memory.opens_to_fail > 0 {
            memory.opens_to_fail -= 1;
            return Err("no permission".to_owned());
        }
        drop(memory);
        Ok(self.clone())
    }
}

impl Driver for Fake {
    fn guard(&mut self) -> Result<(), String> {
        self.tell("guard");
        Ok(())
    }

    fn configure(&mut self, config: Config) {
        self.tell(format!("prefixes {}", config.prefixes.len()));
    }

    fn update(&mut self, changes: Changes) {
        self.tell(format!("{} pools, {} workloads", changes.pools.len(), changes.workloads.len()));
    }

    fn in_sync(&mut self) {
        self.tell("in sync");
    }

    fn descriptors(&self) -> Vec<BorrowedFd<'_>> {
        Vec::new()
    }

    fn deadline(&self) -> Option<Instant> {
        self.memory.lock().unwrap().deadline
    }

    fn commit(&mut self, _: Instant) -> Committed {
        let mut memory = self.memory.lock().unwrap();
        memory.told.push("commit".to_owned());
        memory.committed.clone()
    }
}

/// The thread, and everything around it.
struct Stage {
    fake: Fake,
    mailbox: Arc<Mailbox>,
    board: Arc<Board>,
    health: Health,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Stage {
    fn start(fake: Fake) -> Self {
        let (mailbox, board, health) =
            (Arc::new(Mailbox::new().unwrap()), Arc::new(Board::default()), Health::default());
        let programming = Programming {
            mailbox: Arc::clone(&mailbox),
            board: Arc::clone(&board),
            instruments: Instruments::new("node1"),
            health: health.reporter("int_dataplane"),
            stop: Stop::default(),
            started: Instant::now(),
            hang_after: None,
        };
        let driven = fake.clone();
        let thread = std::thread::spawn(move || programming.run(Config::default(), |_| driven.open()));
        Self { fake, mailbox, board, health, thread: Some(thread) }
    }

    fn wait_for(&self, what: &str, holds: impl Fn(&[String]) -> bool) {
        let begun = Instant::now();
        while !holds(&self.fake.memory.lock().unwrap().told) {
            let told = self.fake.memory.lock().unwrap().told.clone();
            assert!(begun.elapsed() < LONG, "no {what}: {told:?}");
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        self.mailbox.stop();
        self.thread.take().unwrap().join().unwrap();
    }
}

fn pool() -> Changes {
    let mut changes = Changes::default();
    changes.pools.insert("10.0.0.0/8".parse().unwrap(), Some(Pool { masquerade: true }));
    changes
}

fn complete() -> Committed {
    Committed { complete: true, wrote: true, ..Committed::default() }
}

#[test]
fn the_guard_comes_first_and_changes_wait_for_their_commit() {
    let fake = Fake::default();
    let stage = Stage::start(fake);
    stage.wait_for("first commit", |told| told.len() >= 2);
    stage.fake.memory.lock().unwrap().committed = complete();
    assert!(!stage.health.is_ready(Instant::now()));
    stage.mailbox.post(pool(), true, Some(Instant::now()));
    stage.wait_for("second commit", |told| told.len() >= 5);
    let told = stage.fake.memory.lock().unwrap().told.clone();
    assert_eq!(told, ["guard", "commit", "1 pools, 0 workloads", "in sync", "commit"]);
    let begun = Instant::now();
    while !stage.health.is_ready(Instant::now()) {
        assert!(begun.elapsed() < LONG);
    }
    let known = stage.board.lock();
    assert!(known.programmed_once);
    assert_eq!((known.commits, known.last_commit.map(|(_, complete)| complete)), (1, Some(true)));
}

#[test]
fn a_commit_before_the_snapshot_makes_nothing_ready() {
    let fake = Fake::default();
    fake.memory.lock().unwrap().committed = complete();
    let stage = Stage::start(fake);
    stage.mailbox.post(pool(), false, None);
    stage.wait_for("commit of the changes", |told| {
        told.iter().any(|line| line.contains("pools")) && told.last().unwrap() == "commit"
    });
    assert!(!stage.board.lock().programmed_once);
    assert!(!stage.health.is_ready(Instant::now()));
}

#[test]
fn a_kernel_that_cannot_be_spoken_to_is_tried_again_and_nothing_is_lost_meanwhile() {
    let fake = Fake::default();
    fake.memory.lock().unwrap().opens_to_fail = 2;
    let stage = Stage::start(fake);
    let begun = Instant::now();
    while stage.board.lock().kernel_errors.is_empty() {
        assert!(begun.elapsed() < LONG);
    }
    assert_eq!(stage.board.lock().kernel_errors, ["no permission"]);
    stage.mailbox.post(pool(), true, None);
    stage.mailbox.post(Changes::default(), false, None);
    stage.wait_for("changes", |told| told.len() >= 4);
    let told = stage.fake.memory.lock().unwrap().told.clone();
    assert_eq!(told, ["guard", "1 pools, 0 workloads", "in sync", "commit"]);
}

#[test]
fn a_deadline_makes_a_commit_although_nothing_came() {
    let fake = Fake::default();
    fake.memory.lock().unwrap().deadline = Some(Instant::now());
    let stage = Stage::start(fake);
    stage.wait_for("several commits", |told| told.iter().filter(|line| *line == "commit").count() > 3);
    stage.fake.memory.lock().unwrap().deadline = None;
}

#[test]
fn the_board_shows_endpoints_refusals_errors_and_drift() {
    let id = |name: &str| WorkloadId {
        orchestrator: "cni".into(),
        workload: name.into(),
        endpoint: "eth0".into(),
    };
    let workload = |net: &str| WorkloadEndpoint {
        interface: "cali1".parse().unwrap(),
        active: true,
        mac: None,
        nets: vec![net.parse().unwrap()],
        nats: Vec::new(),
        ingress: Program::default(),
        egress: Program::default(),
    };
    let changes = |net: &str| {
        let mut changes = Changes::default();
        changes.workloads.insert(id("a"), Some(Arc::new(workload(net))));
        changes
    };
    let fake = Fake::default();
    let state = EndpointState { status: EndpointStatus::Up, programmed: true };
    fake.memory.lock().unwrap().committed = Committed {
        wrote: true,
        endpoints: BTreeMap::from([(EndpointId::Workload(id("a")), Some(state))]),
        quarantined: vec![("policy p".to_owned(), "too large".to_owned())],
        errors: vec!["no memory".to_owned()],
        drift: BTreeMap::from([("chain", 2)]),
        ..Committed::default()
    };
    let stage = Stage::start(fake);
    stage.mailbox.post(changes("10.0.0.1/32"), true, None);
    stage.wait_for("commit", |told| {
        told.last().is_some_and(|line| line == "commit") && told.iter().any(|line| line == "in sync")
    });
    let net_is = |net: &str| {
        let known = stage.board.lock();
        let endpoint = known.endpoints.get(&EndpointId::Workload(id("a")));
        endpoint
            .and_then(|endpoint| endpoint.workload.clone())
            .is_some_and(|workload| workload.nets == [net.parse().unwrap()])
    };
    let wait = |net: &str| {
        let begun = Instant::now();
        while !net_is(net) {
            assert!(begun.elapsed() < LONG, "the endpoint does not have {net}");
        }
    };
    wait("10.0.0.1/32");
    {
        let known = stage.board.lock();
        assert!(!known.programmed_once);
        assert_eq!(known.quarantined, [("policy p".to_owned(), "too large".to_owned())]);
        assert_eq!(known.kernel_errors, ["no memory"]);
        assert!(known.drift >= 2);
    }
    // The state stays as it was, the record does not.
    stage.fake.memory.lock().unwrap().committed = complete();
    stage.mailbox.post(changes("10.0.0.2/32"), false, None);
    wait("10.0.0.2/32");
}
