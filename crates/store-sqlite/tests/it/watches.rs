//! Watches: woken by any process, and by nothing else.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Wake, Waker};
use std::time::Duration;

use margay_store::kv::{Change, Kv, KvError, Precondition, Watch};
use margay_store_sqlite::{Options, SqliteKv, SqliteWatch};

use crate::child::Child;
use crate::{open, scratch, set};

const DEADLINE: Duration = Duration::from_secs(30);

async fn next(watch: &mut SqliteWatch) -> Vec<Change> {
    tokio::time::timeout(DEADLINE, watch.next()).await.expect("a change within the deadline").unwrap()
}

fn key(change: &Change) -> &str {
    match change {
        Change::Set(entry) => &entry.key,
        Change::Deleted { key, .. } => key,
    }
}

#[tokio::test]
async fn a_watch_sees_what_other_processes_write() {
    let (_directory, file) = scratch();
    let kv = open(&file);
    let at = set(&kv, "/before", "x").await;
    let mut watch = kv.watch("/numbers", at).await.unwrap();
    for _ in 0..3 {
        let child = Child::start("write twenty", &file, 0);
        let mut seen = vec![];
        while seen.len() < 20 {
            seen.extend(next(&mut watch).await.iter().map(|change| key(change).to_owned()));
        }
        let expected: Vec<String> = (0..20).map(|number| format!("/numbers/{number}")).collect();
        assert_eq!(seen, expected);
        drop(child);
    }
}

#[tokio::test]
async fn a_write_whose_process_is_killed_before_it_could_tell_is_seen() {
    let (_directory, file) = scratch();
    let kv = open(&file);
    let at = set(&kv, "/before", "x").await;
    let mut watch = kv.watch("/silent", at).await.unwrap();
    // Waits before the write happens, so that only a wake-up can end it.
    let (waker, wakes) = counting();
    let mut wait = Box::pin(watch.next());
    assert!(wait.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
    let mut child = Child::start("commit in silence", &file, 0);
    assert_eq!([child.says().unwrap(), child.says().unwrap()], ["begun", "committed"]);
    turn_the_reactor().await;
    assert_eq!(wakes.count(), 0, "nobody told us yet, so this test tests something");
    child.kill();
    let changes = tokio::time::timeout(DEADLINE, wait).await.expect("a change within the deadline").unwrap();
    assert_eq!(changes.iter().map(key).collect::<Vec<_>>(), ["/silent"]);
}

#[tokio::test]
async fn an_idle_watch_is_never_woken() {
    let (_directory, file) = scratch();
    let (kv, other) = (open(&file), open(&file));
    let at = set(&kv, "/a", "x").await;
    let mut watch = kv.watch("/a", at).await.unwrap();
    let (waker, wakes) = counting();
    {
        let mut wait = std::pin::pin!(watch.next());
        assert!(wait.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
        for _ in 0..20 {
            // Reads, by this connection and by another, are no reason to wake; nor is a write that is refused.
            assert!(kv.get("/a").await.unwrap().is_some());
            other.list("/a", &mut |_| {}).await.unwrap();
            other.put("/a", "y", Precondition::Absent, None).await.unwrap_err();
            turn_the_reactor().await;
        }
        assert_eq!(wakes.count(), 0);
        // The counter counts: a write wakes.
        set(&kv, "/a", "y").await;
        let changes = tokio::time::timeout(DEADLINE, wait).await.expect("a change within the deadline");
        assert_eq!(changes.unwrap().len(), 1);
    }
    assert_eq!(watch.looks(), 2, "once to find nothing, once after the write");
}

#[tokio::test]
async fn a_watch_behind_the_history_is_told_so_each_time() {
    let (_directory, file) = scratch();
    let history = NonZeroU32::new(20).unwrap();
    let kv = SqliteKv::open(&file, Options { history, ..Options::default() }).unwrap();
    let first = set(&kv, "/a", "0").await;
    let mut kept = 0;
    for number in 1..=100 {
        kept = set(&kv, "/a", &number.to_string()).await;
    }
    let mut watch = kv.watch("/a", first).await.unwrap();
    for _ in 0..2 {
        let error = watch.next().await.unwrap_err();
        assert!(matches!(error, KvError::Compacted { after } if after == first), "{error:?}");
    }
    // What is promised to be kept is there.
    let mut watch = kv.watch("/a", kept - 20).await.unwrap();
    assert_eq!(next(&mut watch).await.len(), 20);
}

#[tokio::test]
async fn a_watch_moves_on_to_a_file_that_takes_the_place_of_its_own() {
    let (_directory, file) = scratch();
    let kv = open(&file);
    set(&kv, "/a", "1").await;
    let at = set(&kv, "/a", "2").await;
    let mut watch = kv.watch("/a", at).await.unwrap();
    let (waker, _) = counting();
    {
        let mut wait = std::pin::pin!(watch.next());
        assert!(wait.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
        std::fs::remove_file(&file).unwrap();
        let error =
            tokio::time::timeout(DEADLINE, wait).await.expect("an end within the deadline").unwrap_err();
        assert!(matches!(error, KvError::Compacted { after } if after == at), "{error:?}");
    }
    let other = open(&file);
    let mut watch = kv.watch("/a", 0).await.unwrap();
    set(&other, "/a", "3").await;
    assert_eq!(next(&mut watch).await.len(), 1);
}

// === helpers ===

struct Wakes(AtomicU64);

impl Wakes {
    fn count(&self) -> u64 {
        self.0.load(Ordering::SeqCst)
    }
}

impl Wake for Wakes {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

/// A waker that counts how often it is used.
fn counting() -> (Waker, Arc<Wakes>) {
    let wakes = Arc::new(Wakes(AtomicU64::new(0)));
    (Waker::from(Arc::clone(&wakes)), wakes)
}

/// Lets the runtime deliver every event there is: one of our own comes in behind them.
async fn turn_the_reactor() {
    let (_directory, file) = scratch();
    let kv = open(&file);
    let mut watch = kv.watch("/marker", 0).await.unwrap();
    let write = async {
        // The watch is polled first, finds nothing, and goes to sleep.
        tokio::task::yield_now().await;
        set(&kv, "/marker", "x").await;
    };
    let (changes, ()) = tokio::join!(next(&mut watch), write);
    assert_eq!(changes.len(), 1);
    assert_eq!(watch.looks(), 2, "it slept");
}
