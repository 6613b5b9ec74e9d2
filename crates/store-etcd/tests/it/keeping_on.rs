//! Real clusters that lose a member, stop, come back.

use margay_store::Kv;
use margay_store::kv::{Change, KvError, Precondition, Watch};
use margay_store_etcd::{EtcdKv, Options};
use margay_testkit::etcd::Etcd;

use crate::{config, impatient, store};

#[tokio::test]
async fn a_cluster_of_three_serves_with_one_gone() {
    if !Etcd::available() {
        return;
    }
    let mut etcd = Etcd::start_cluster(3);
    let urls = etcd.client_urls();
    // One store per order of asking, so that every member is somebody's first.
    let stores: Vec<EtcdKv> = (0..6)
        .map(|seed| EtcdKv::with_options(&config(&urls), Options { seed, ..Options::default() }).unwrap())
        .collect();
    let first = stores[0].put("/a/b", "0", Precondition::Absent, None).await.unwrap();
    let mut watches = Vec::new();
    for kv in &stores {
        assert_eq!(kv.get("/a/b").await.unwrap().unwrap().value, "0");
        watches.push(kv.watch("/a", first.get()).await.unwrap());
    }

    etcd.kill(1);
    let mut last = first;
    for (number, kv) in stores.iter().enumerate() {
        assert_eq!(kv.get("/a/b").await.unwrap().unwrap().revision, last);
        let value = format!("{number}");
        last = kv.put("/a/b", &value, Precondition::Revision(last), None).await.unwrap();
    }
    assert_eq!(etcd.get("/a/b").as_deref(), Some("5"));
    for watch in &mut watches {
        let mut values = Vec::new();
        while values.len() < stores.len() {
            for change in watch.next().await.unwrap() {
                let Change::Set(entry) = change else { panic!("{change:?}") };
                values.push(entry.value);
            }
        }
        assert_eq!(values, ["0", "1", "2", "3", "4", "5"]);
    }
}

#[tokio::test]
async fn a_restarted_member_is_found_again() {
    if !Etcd::available() {
        return;
    }
    let mut etcd = Etcd::start();
    let kv = store(&etcd.client_urls());
    let first = kv.put("/a", "1", Precondition::Absent, None).await.unwrap();
    let mut watch = kv.watch("/a", first.get()).await.unwrap();
    etcd.kill(0);
    let error = kv.get("/a").await.unwrap_err();
    assert!(matches!(error, KvError::Unavailable { .. }), "{error:?}");
    let error = watch.next().await.unwrap_err();
    assert!(matches!(error, KvError::Unavailable { .. }), "{error:?}");

    etcd.restart(0);
    let second = kv.put("/a", "2", Precondition::Revision(first), None).await.unwrap();
    let Some(Change::Set(entry)) = watch.next().await.unwrap().pop() else { panic!("no change") };
    assert_eq!(entry.revision, second);
}

#[tokio::test]
async fn a_server_that_hangs_is_given_up() {
    if !Etcd::available() {
        return;
    }
    let etcd = Etcd::start();
    let patient = store(&etcd.client_urls());
    patient.put("/a", "1", Precondition::None, None).await.unwrap();
    let kv = EtcdKv::with_options(&config(&etcd.client_urls()), impatient()).unwrap();
    etcd.pause(0);
    let KvError::Unavailable { message } = kv.get("/a").await.unwrap_err() else { panic!("not unavailable") };
    assert!(message.contains("timeout awaiting response headers"), "{message}");
    etcd.resume(0);
    assert_eq!(patient.get("/a").await.unwrap().unwrap().value, "1");
}
