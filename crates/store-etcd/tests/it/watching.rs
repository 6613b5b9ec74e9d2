//! Watches that fall behind, wait in vain, or find another history than they left.

use std::time::{Duration, Instant};

use margay_store::Kv;
use margay_store::kv::{Change, Entry, KvError, Precondition, Revision, Watch};
use margay_store_etcd::{EtcdKv, EtcdWatch, Options};
use margay_testkit::etcd::Etcd;

use crate::fake::{Act, Fake, answer, answer_of, node, refusal};
use crate::{config, impatient, store};

fn compacted(outcome: Result<Vec<Change>, KvError>, expected: u64) {
    let error = outcome.unwrap_err();
    assert!(matches!(error, KvError::Compacted { after } if after == expected), "{error:?}");
}

fn set(key: &str, value: &str, index: u64) -> Change {
    let revision = Revision::new(index).unwrap();
    Change::Set(Entry { key: key.to_owned(), value: value.to_owned(), revision })
}

#[tokio::test]
async fn history_that_is_gone_is_told_and_a_list_helps() {
    if !Etcd::available() {
        return;
    }
    let etcd = Etcd::start();
    let kv = store(&etcd.client_urls());
    let first = kv.put("/w/a", "1", Precondition::None, None).await.unwrap();
    let mut watch = kv.watch("/w", first.get()).await.unwrap();
    // All of it elsewhere: nothing happened below the prefix, but etcd can no longer tell.
    for number in 0..1100 {
        kv.put("/elsewhere", &number.to_string(), Precondition::None, None).await.unwrap();
    }
    compacted(watch.next().await, first.get());
    compacted(watch.next().await, first.get());

    let at = kv.list("/w", &mut |_| {}).await.unwrap().at;
    let mut watch = kv.watch("/w", at).await.unwrap();
    let second = kv.put("/w/a", "2", Precondition::None, None).await.unwrap();
    assert_eq!(watch.next().await.unwrap(), [set("/w/a", "2", second.get())]);
}

#[tokio::test]
async fn an_idle_watch_keeps_up_with_writes_elsewhere() {
    if !Etcd::available() {
        return;
    }
    let etcd = Etcd::start();
    let options = Options { watch: Duration::from_millis(50), ..Options::default() };
    let kv = EtcdKv::with_options(&config(&etcd.client_urls()), options).unwrap();
    let first = kv.put("/w/a", "1", Precondition::None, None).await.unwrap();
    let mut watch = kv.watch("/w", first.get()).await.unwrap();
    let mut written = first;
    for _ in 0..2 {
        for number in 0..600 {
            written = kv.put("/elsewhere", &number.to_string(), Precondition::None, None).await.unwrap();
        }
        let deadline = Instant::now() + Duration::from_secs(30);
        while reached(&watch) < written.get() {
            assert!(Instant::now() < deadline, "{watch:?} has not heard of {written:?}");
            let waited = tokio::time::timeout(Duration::from_millis(20), watch.next()).await;
            assert!(waited.is_err(), "{waited:?}");
        }
    }
    assert!(written.get() > first.get() + 1000);
    let last = kv.put("/w/a", "2", Precondition::None, None).await.unwrap();
    assert_eq!(watch.next().await.unwrap(), [set("/w/a", "2", last.get())]);
}

#[tokio::test]
async fn a_store_set_up_anew_is_noticed() {
    if !Etcd::available() {
        return;
    }
    let mut etcd = Etcd::start();
    let kv = store(&etcd.client_urls());
    for _ in 0..30 {
        kv.put("/w/a", "1", Precondition::None, None).await.unwrap();
    }
    let at = kv.list("/w", &mut |_| {}).await.unwrap().at;
    let mut watch = kv.watch("/w", at).await.unwrap();
    // The same members have the same cluster id: only the index tells.
    etcd.restart_empty();
    compacted(watch.next().await, at);
}

#[tokio::test]
async fn a_directory_with_the_same_beginning_is_another() {
    if !Etcd::available() {
        return;
    }
    let etcd = Etcd::start();
    let kv = store(&etcd.client_urls());
    kv.put("/w/a/x", "1", Precondition::None, None).await.unwrap();
    let after = kv.put("/w/ab/x", "1", Precondition::None, None).await.unwrap();
    kv.delete("/w/a", Precondition::None).await.unwrap();
    let last = kv.put("/w/ab/x", "2", Precondition::None, None).await.unwrap();
    let mut watch = kv.watch("/w/ab", after.get()).await.unwrap();
    assert_eq!(watch.next().await.unwrap(), [set("/w/ab/x", "2", last.get())]);
}

/// How far a watch knows that nothing happened.
fn reached(watch: &EtcdWatch) -> u64 {
    let printed = format!("{watch:?}");
    let digits = printed.split_once("after: ").unwrap().1;
    digits.split(',').next().unwrap().parse().unwrap()
}

// === scripts ===

/// The watch of one scripted server, from 5 on, behind a list of cluster `c1`.
async fn scripted(mut acts: Vec<Vec<Act>>) -> (EtcdWatch, Fake) {
    let list = Act::Say(answer("404 Not Found", 5, &refusal(100, "Key not found", "/w", 5)));
    acts.insert(0, vec![list]);
    let fake = Fake::start(acts);
    let options = Options { watch: Duration::from_millis(100), ..impatient() };
    let kv = EtcdKv::with_options(&config(&[fake.url()]), options).unwrap();
    let at = kv.list("/w", &mut |_| {}).await.unwrap().at;
    (kv.watch("/w", at).await.unwrap(), fake)
}

fn polls(fake: &Fake) -> Vec<String> {
    fake.lines().into_iter().skip(1).map(|(_, line)| line).collect()
}

fn poll(index: u64) -> String {
    format!("GET /v2/keys/w?wait=true&waitIndex={index}&recursive=true")
}

#[tokio::test]
async fn each_poll_begins_behind_the_last_event() {
    let events = vec![
        Act::Say(answer("200 OK", 5, &node("set", "/w/a", "1", 7))),
        Act::Say(answer("200 OK", 9, &node("compareAndSwap", "/w/a", "2", 9))),
        Act::Say(answer(
            "200 OK",
            30,
            "{\"action\":\"set\",\"node\":{\"key\":\"/w/d\",\"dir\":true,\"modifiedIndex\":10}}",
        )),
        Act::Say(answer(
            "200 OK",
            30,
            "{\"action\":\"expire\",\"node\":{\"key\":\"/w/a\",\"modifiedIndex\":12}}",
        )),
    ];
    let (mut watch, fake) = scripted(vec![events]).await;
    assert_eq!(watch.next().await.unwrap(), [set("/w/a", "1", 7)]);
    assert_eq!(watch.next().await.unwrap(), [set("/w/a", "2", 9)]);
    let gone = Change::Deleted { key: "/w/a".to_owned(), revision: Revision::new(12).unwrap() };
    assert_eq!(watch.next().await.unwrap(), [gone]);
    assert_eq!(polls(&fake), [6, 8, 10, 11].map(poll));
    assert!(fake.lines()[1..].iter().all(|(connection, _)| *connection == 1), "one connection for all polls");
}

#[tokio::test]
async fn waits_in_vain_are_repeated_behind_what_the_server_has_looked_through() {
    let head =
        "HTTP/1.1 200 OK\r\nX-Etcd-Cluster-Id: c1\r\nX-Etcd-Index: 40\r\nTransfer-Encoding: chunked\r\n\r\n";
    let acts = vec![
        vec![Act::Stall(head.to_owned())],
        vec![Act::Close(format!("{head}0\r\n\r\n"))],
        vec![Act::Say(answer("200 OK", 41, &node("set", "/w/a", "1", 45)))],
    ];
    let (mut watch, fake) = scripted(acts).await;
    assert_eq!(watch.next().await.unwrap(), [set("/w/a", "1", 45)]);
    assert_eq!(polls(&fake), [6, 41, 41].map(poll));
}

#[tokio::test]
async fn errors_are_told_and_the_watch_goes_on_where_it_was() {
    let half = answer("200 OK", 6, &node("set", "/w/a", "1", 7));
    let lagging = answer("200 OK", 5, &node("set", "/w/a", "1", 7));
    let acts = vec![
        vec![Act::Say(answer("200 OK", 5, &node("set", "/w/a", "0", 6)))],
        vec![Act::Close(half[..half.len() - 10].to_owned())],
        vec![Act::Say(answer("503 Service Unavailable", 5, ""))],
        vec![Act::Say(answer("200 OK", 6, "rubbish"))],
        vec![Act::Say(answer("200 OK", 7, &node("levitate", "/w/a", "1", 7)))],
        vec![Act::Say(lagging)],
    ];
    let (mut watch, fake) = scripted(acts).await;
    assert_eq!(watch.next().await.unwrap(), [set("/w/a", "0", 6)]);
    for expected in
        ["EOF at byte", "has no leader", "expected an answer of etcd", "unknown action 'levitate'"]
    {
        let error = watch.next().await.unwrap_err();
        assert!(error.to_string().contains(expected), "{error}");
    }
    compacted(watch.next().await, 6);
    assert_eq!(polls(&fake), [6, 7, 7, 7, 7, 7].map(poll));
}

#[tokio::test]
async fn another_cluster_or_a_shorter_history_is_compaction() {
    let waiting =
        "HTTP/1.1 200 OK\r\nX-Etcd-Cluster-Id: c2\r\nX-Etcd-Index: 40\r\nTransfer-Encoding: chunked\r\n\r\n";
    let acts = [
        Act::Say(answer_of("c2", "200 OK", 9, &node("set", "/w/a", "1", 9))),
        // Noticed although nothing happens.
        Act::Stall(waiting.to_owned()),
        Act::Stall(waiting.replace("c2", "c1").replace("40", "4")),
        Act::Say(answer(
            "400 Bad Request",
            5000,
            &refusal(401, "The event in requested index is outdated and cleared", "x", 5000),
        )),
        Act::Say(answer(
            "400 Bad Request",
            5000,
            &refusal(400, "watcher is cleared due to etcd recovery", "x", 5000),
        )),
    ];
    for act in acts {
        let (mut watch, _fake) = scripted(vec![vec![act]]).await;
        compacted(watch.next().await, 5);
    }
}
