//! The file and the memory store do the same, whatever is asked of them.

use margay_store::MemoryKv;
use margay_store::kv::{Change, Entry, Kv, Precondition, Put, Revision, Watch};
use margay_store_sqlite::SqliteKv;
use proptest::prelude::*;

use crate::{open, scratch};

#[derive(Debug, Clone)]
enum Step {
    Put(String, Precondition),
    PutAll(Vec<(String, Precondition)>),
    Delete(String, Precondition),
    MakeDirectory(String),
    RemoveEmptyDirectory(String),
    Read(String),
}

/// Few names and little depth, so that keys meet; among the names those around the separator's stored form.
fn key() -> impl Strategy<Value = String> {
    let name = prop_oneof![Just("a"), Just("b"), Just("a-"), Just("\u{1}"), Just("\u{2}a")];
    prop::collection::vec(name, 1..4).prop_map(|names| format!("/{}", names.join("/")))
}

fn when() -> impl Strategy<Value = Precondition> {
    let revision = (1..12_u64).prop_map(|n| Precondition::Revision(Revision::new(n).unwrap()));
    prop_oneof![
        3 => Just(Precondition::None),
        1 => Just(Precondition::Absent),
        1 => Just(Precondition::Present),
        1 => revision,
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let revision = (1..12_u64).prop_map(|n| Precondition::Revision(Revision::new(n).unwrap()));
    prop_oneof![
        4 => (key(), when()).prop_map(|(key, when)| Step::Put(key, when)),
        1 => prop::collection::vec((key(), when()), 0..4).prop_map(Step::PutAll),
        2 => (key(), prop_oneof![Just(Precondition::None), revision]).prop_map(|(key, when)| Step::Delete(key, when)),
        1 => key().prop_map(Step::MakeDirectory),
        1 => key().prop_map(Step::RemoveEmptyDirectory),
        2 => key().prop_map(Step::Read),
    ]
}

/// What a store answers to a step, as text.
async fn answer<K: Kv>(kv: &K, number: usize, step: &Step) -> String {
    let value = format!("value {number}");
    match step {
        Step::Put(key, when) => format!("{:?}", kv.put(key, &value, *when, None).await),
        Step::PutAll(puts) => {
            let put = |(key, when): &(String, Precondition)| Put {
                key: key.clone(),
                value: value.clone(),
                when: *when,
            };
            format!("{:?}", kv.put_all(&puts.iter().map(put).collect::<Vec<_>>()).await)
        }
        Step::Delete(key, when) => format!("{:?}", kv.delete(key, *when).await),
        Step::MakeDirectory(key) => format!("{:?}", kv.make_directory(key).await),
        Step::RemoveEmptyDirectory(key) => format!("{:?}", kv.remove_empty_directory(key).await),
        Step::Read(key) => {
            let mut entries = vec![];
            let listing = kv
                .list(key, &mut |at| {
                    entries.push(Entry {
                        key: at.key.to_owned(),
                        value: at.value.to_owned(),
                        revision: at.revision,
                    });
                })
                .await;
            let children = kv.children(key).await;
            format!(
                "{:?} {listing:?} {entries:?} {children:?} {:?}",
                kv.get(key).await,
                kv.directory_exists(key).await
            )
        }
    }
}

/// Everything that happened at or above `prefix`, up to a last write of our own.
async fn history<K: Kv>(kv: &K, prefix: &str) -> Vec<Change> {
    let mut watch = kv.watch(prefix, 0).await.unwrap();
    let mut changes = vec![];
    loop {
        changes.extend(watch.next().await.unwrap());
        if matches!(changes.last(), Some(Change::Set(entry)) if entry.value == "last") {
            return changes;
        }
    }
}

async fn compare(file: &SqliteKv, memory: &MemoryKv, steps: &[Step]) {
    for (number, step) in steps.iter().enumerate() {
        assert_eq!(
            answer(file, number, step).await,
            answer(memory, number, step).await,
            "step {number} {step:?}"
        );
    }
    for top in ["/a", "/b", "/a-", "/\u{1}", "/\u{2}a"] {
        let step = Step::Read(top.to_owned());
        assert_eq!(answer(file, 0, &step).await, answer(memory, 0, &step).await, "in the end, {step:?}");
    }
    for prefix in ["/a", "/a/b", "/\u{1}/\u{2}a"] {
        // Whatever stands in the way of the last write goes.
        for kv in ["/a", "/\u{1}"] {
            assert_eq!(
                format!("{:?}", file.delete(kv, Precondition::None).await),
                format!("{:?}", memory.delete(kv, Precondition::None).await)
            );
        }
        file.put(prefix, "last", Precondition::None, None).await.unwrap();
        memory.put(prefix, "last", Precondition::None, None).await.unwrap();
        assert_eq!(history(file, prefix).await, history(memory, prefix).await, "below {prefix:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn the_file_answers_as_memory_does(steps in prop::collection::vec(step(), 1..40)) {
        let (_directory, path) = scratch();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async { compare(&open(&path), &MemoryKv::new(), &steps).await });
    }
}
