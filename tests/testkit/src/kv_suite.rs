//! What every [`Kv`] must do, case by case: memory, SQLite and etcd run the same list.
//!
//! A store's own tests write `margay_testkit::kv_suite!(open);` with
//! `async fn open(case: &str) -> Option<(impl Kv, Guard)>`. `None` skips the case (the opener says why, and fails
//! under CI); the guard lives as long as the case. Each case works below a root of its own, so one store may serve all.

#![expect(clippy::unwrap_used, reason = "every case is test code, though the compiler cannot know")]

use std::time::Duration;

use margay_store::kv::{Change, Entry, Kv, KvError, Precondition, Put, Revision, Watch};
use tokio::time::Instant;

/// Makes one `#[tokio::test]` per case of the suite, each on the store that `$open` opens.
#[macro_export]
macro_rules! kv_suite {
    ($open:path) => {
        $crate::kv_cases! { $open:
            get_returns_what_was_put,
            get_of_an_absent_key_is_none,
            put_overwrites,
            revisions_increase_across_keys_and_operations,
            create_of_an_existing_key_fails,
            update_of_an_absent_key_fails,
            update_of_an_existing_key_writes,
            compare_and_swap_needs_the_current_revision,
            compare_and_swap_of_a_deleted_key_is_not_found,
            a_key_made_again_has_a_new_revision,
            list_is_ordered_component_by_component,
            list_of_an_absent_prefix_is_empty,
            list_of_a_single_key_visits_it,
            list_returns_values_and_revisions,
            list_does_not_match_longer_names,
            list_of_many_keys_visits_each_once,
            children_are_names_of_values_and_directories,
            directories_come_with_values_and_stay,
            make_directory_is_idempotent,
            an_empty_directory_is_removed_once,
            a_full_directory_is_not_removed_as_empty,
            a_value_does_not_replace_a_directory,
            a_value_has_nothing_below_it,
            get_of_a_directory_is_refused,
            delete_removes_a_value_alone,
            delete_removes_a_directory_with_everything_below,
            delete_of_an_absent_key_is_not_found,
            compare_and_delete_needs_the_current_revision,
            put_all_writes_in_order,
            put_all_stops_at_the_first_failure,
            put_all_of_nothing_succeeds,
            values_expire_everywhere,
            a_ttl_below_a_second_means_for_ever,
            a_write_without_ttl_ends_expiry,
            watch_sees_sets_and_deletes_in_order,
            watch_continues_from_an_old_revision,
            watch_from_a_list_misses_nothing,
            watch_sees_only_its_prefix,
            watch_sees_the_deletion_of_a_directory_once,
            watch_sees_the_deletion_of_a_directory_above,
            watch_of_a_single_key_sees_it,
            watch_sees_every_write_of_a_batch,
            watch_after_a_cancelled_wait_misses_nothing,
            failed_writes_are_not_watched,
            an_old_watch_is_complete_or_compacted,
            concurrent_compare_and_swap_loses_no_increment,
            concurrent_creates_have_one_winner,
            unusual_keys_are_kept_as_they_are,
            unusual_values_are_kept_as_they_are,
            a_value_of_one_mebibyte_is_kept,
            invalid_keys_are_refused_everywhere,
        }
    };
}

/// Part of [`kv_suite!`]: one test per named case.
#[doc(hidden)]
#[macro_export]
macro_rules! kv_cases {
    ($open:path: $($case:ident),* $(,)?) => { $(
        #[tokio::test]
        async fn $case() {
            let Some((kv, _guard)) = $open(stringify!($case)).await else { return };
            let root = $crate::kv_suite::root(stringify!($case));
            $crate::kv_suite::$case(&kv, &root).await;
        }
    )* };
}

/// How long a case waits for what must happen.
const DEADLINE: Duration = Duration::from_secs(30);

/// The directory of one case, unlike that of any other case or run.
#[must_use]
pub fn root(case: &str) -> String {
    format!("/suite/{case}-{}", std::process::id())
}

// === reading and writing ===

/// A written value is read with its key and the revision the write returned.
pub async fn get_returns_what_was_put<K: Kv>(kv: &K, root: &str) {
    let key = format!("{root}/a/b");
    let revision = set(kv, &key, "one").await;
    assert_eq!(kv.get(&key).await.unwrap(), Some(entry(&key, "one", revision)));
}

/// An absent key, with or without parents, is no error.
pub async fn get_of_an_absent_key_is_none<K: Kv>(kv: &K, root: &str) {
    assert_eq!(kv.get(&format!("{root}/a")).await.unwrap(), None);
    set(kv, &format!("{root}/a/b"), "one").await;
    assert_eq!(kv.get(&format!("{root}/a/c")).await.unwrap(), None);
    assert_eq!(kv.get(&format!("{root}/a/c/d")).await.unwrap(), None);
}

/// An unconditional put writes over what is there, the empty value included.
pub async fn put_overwrites<K: Kv>(kv: &K, root: &str) {
    let key = format!("{root}/a");
    set(kv, &key, "one").await;
    let revision = set(kv, &key, "").await;
    assert_eq!(kv.get(&key).await.unwrap(), Some(entry(&key, "", revision)));
}

/// Every write has a revision above those before it, whatever its key; deletions use one up.
pub async fn revisions_increase_across_keys_and_operations<K: Kv>(kv: &K, root: &str) {
    let (a, b) = (format!("{root}/a"), format!("{root}/b"));
    let first = set(kv, &a, "1").await;
    let second = set(kv, &b, "1").await;
    let third = set(kv, &a, "1").await;
    kv.delete(&a, Precondition::None).await.unwrap();
    let fifth = kv.put(&a, "1", Precondition::Absent, None).await.unwrap();
    assert!(
        first < second && second < third && third.get() + 1 < fifth.get(),
        "{first:?} {second:?} {third:?} {fifth:?}"
    );
    let sixth = kv.put(&a, "1", Precondition::Present, None).await.unwrap();
    let seventh = kv.put(&a, "1", Precondition::Revision(sixth), None).await.unwrap();
    assert!(fifth < sixth && sixth < seventh, "{fifth:?} {sixth:?} {seventh:?}");
    assert_eq!(kv.get(&b).await.unwrap().unwrap().revision, second);
}

/// A create of a key that has a value changes nothing.
pub async fn create_of_an_existing_key_fails<K: Kv>(kv: &K, root: &str) {
    let key = format!("{root}/a");
    let revision = kv.put(&key, "one", Precondition::Absent, None).await.unwrap();
    let error = kv.put(&key, "two", Precondition::Absent, None).await.unwrap_err();
    assert!(matches!(&error, KvError::Exists { key: at } if *at == key), "{error:?}");
    assert_eq!(kv.get(&key).await.unwrap(), Some(entry(&key, "one", revision)));
}

/// An update of a key without a value changes nothing.
pub async fn update_of_an_absent_key_fails<K: Kv>(kv: &K, root: &str) {
    let key = format!("{root}/a/b");
    let error = kv.put(&key, "one", Precondition::Present, None).await.unwrap_err();
    assert!(matches!(&error, KvError::NotFound { key: at } if *at == key), "{error:?}");
    assert_eq!(kv.get(&key).await.unwrap(), None);
}

/// An update of a key with a value writes it.
pub async fn update_of_an_existing_key_writes<K: Kv>(kv: &K, root: &str) {
    let key = format!("{root}/a");
    set(kv, &key, "one").await;
    let revision = kv.put(&key, "two", Precondition::Present, None).await.unwrap();
    assert_eq!(kv.get(&key).await.unwrap(), Some(entry(&key, "two", revision)));
}

/// A compare-and-swap with an old revision conflicts, with the current one it writes.
pub async fn compare_and_swap_needs_the_current_revision<K: Kv>(kv: &K, root: &str) {
    let key = format!("{root}/a");
    let old = set(kv, &key, "one").await;
    let current = set(kv, &key, "two").await;
    let error = kv.put(&key, "three", Precondition::Revision(old), None).await.unwrap_err();
    assert!(matches!(&error, KvError::Conflict { key: at } if *at == key), "{error:?}");
    assert_eq!(kv.get(&key).await.unwrap(), Some(entry(&key, "two", current)));

    let next = kv.put(&key, "three", Precondition::Revision(current), None).await.unwrap();
    assert_eq!(kv.get(&key).await.unwrap(), Some(entry(&key, "three", next)));
}

/// A compare-and-swap of what is gone says so.
pub async fn compare_and_swap_of_a_deleted_key_is_not_found<K: Kv>(kv: &K, root: &str) {
    let key = format!("{root}/a");
    let revision = set(kv, &key, "one").await;
    kv.delete(&key, Precondition::None).await.unwrap();
    let error = kv.put(&key, "two", Precondition::Revision(revision), None).await.unwrap_err();
    assert!(matches!(&error, KvError::NotFound { .. }), "{error:?}");
    assert_eq!(kv.get(&key).await.unwrap(), None);
}

/// A revision never comes back, so a compare-and-swap cannot mistake a new value for the old one.
pub async fn a_key_made_again_has_a_new_revision<K: Kv>(kv: &K, root: &str) {
    let key = format!("{root}/a");
    let old = set(kv, &key, "one").await;
    kv.delete(&key, Precondition::None).await.unwrap();
    let new = set(kv, &key, "one").await;
    assert!(new > old, "{new:?} after {old:?}");
    let error = kv.put(&key, "two", Precondition::Revision(old), None).await.unwrap_err();
    assert!(matches!(&error, KvError::Conflict { .. }), "{error:?}");
}

// === lists and directories ===

/// `/a/b` stands before `/a-b`, and siblings bytewise.
pub async fn list_is_ordered_component_by_component<K: Kv>(kv: &K, root: &str) {
    let ordered = ["/A", "/a/b", "/a/b-c", "/a/c/d", "/a/é", "/a-b", "/a.b/c", "/a0", "/ab/a", "/b", "/~"];
    for at in [4, 9, 0, 5, 7, 2, 10, 1, 8, 3, 6] {
        set(kv, &format!("{root}{}", ordered[at]), "x").await;
    }
    let expected: Vec<String> = ordered.iter().map(|key| format!("{root}{key}")).collect();
    assert_eq!(keys(kv, root).await, expected);
}

/// Nothing there is nothing to visit.
pub async fn list_of_an_absent_prefix_is_empty<K: Kv>(kv: &K, root: &str) {
    assert_eq!(keys(kv, root).await, [""; 0]);
    set(kv, &format!("{root}/a"), "x").await;
    assert_eq!(keys(kv, &format!("{root}/b")).await, [""; 0]);
}

/// A prefix may be a value's key.
pub async fn list_of_a_single_key_visits_it<K: Kv>(kv: &K, root: &str) {
    let key = format!("{root}/a");
    let revision = set(kv, &key, "x").await;
    set(kv, &format!("{root}/b"), "x").await;
    let (entries, _) = list(kv, &key).await;
    assert_eq!(entries, [entry(&key, "x", revision)]);
}

/// A list's entries are what a get of each returns, and its revision is not below any of theirs.
pub async fn list_returns_values_and_revisions<K: Kv>(kv: &K, root: &str) {
    let (a, b) = (format!("{root}/a"), format!("{root}/b/c"));
    set(kv, &a, "0").await;
    let second = set(kv, &b, "2").await;
    let first = set(kv, &a, "1").await;
    let (entries, at) = list(kv, root).await;
    assert_eq!(entries, [entry(&a, "1", first), entry(&b, "2", second)]);
    assert!(at >= first.get(), "listed at {at}, written at {first:?}");
}

/// `/a` does not mean `/ab`.
pub async fn list_does_not_match_longer_names<K: Kv>(kv: &K, root: &str) {
    for key in ["/a/x", "/ab", "/a-/x", "/a.b/x", "/a%/x", "/aa/x"] {
        set(kv, &format!("{root}{key}"), "x").await;
    }
    assert_eq!(keys(kv, &format!("{root}/a")).await, [format!("{root}/a/x")]);
}

/// A long list arrives whole and in order.
pub async fn list_of_many_keys_visits_each_once<K: Kv>(kv: &K, root: &str) {
    let expected: Vec<String> = (0..1000).map(|n| format!("{root}/{:02}/{:02}", n / 100, n % 100)).collect();
    let puts: Vec<Put> = expected.iter().map(|key| put(key, "a value", Precondition::None)).collect();
    let (written, outcome) = kv.put_all(&puts).await;
    outcome.unwrap();
    assert_eq!(written, 1000);
    assert_eq!(keys(kv, root).await, expected);
}

/// Names of values and of directories, empty ones too; nothing deeper.
pub async fn children_are_names_of_values_and_directories<K: Kv>(kv: &K, root: &str) {
    assert_eq!(kv.children(root).await.unwrap(), [""; 0]);
    for key in ["/b/deep/er", "/b/value", "/a-b", "/a/x", "/c%2fd"] {
        set(kv, &format!("{root}{key}"), "x").await;
    }
    kv.make_directory(&format!("{root}/empty")).await.unwrap();
    assert_eq!(kv.children(root).await.unwrap(), ["a", "a-b", "b", "c%2fd", "empty"]);
    assert_eq!(kv.children(&format!("{root}/b")).await.unwrap(), ["deep", "value"]);
    assert_eq!(kv.children(&format!("{root}/empty")).await.unwrap(), [""; 0]);
}

/// A value makes its parents, which outlive it.
pub async fn directories_come_with_values_and_stay<K: Kv>(kv: &K, root: &str) {
    let (directory, key) = (format!("{root}/a"), format!("{root}/a/b/c"));
    assert!(!kv.directory_exists(&directory).await.unwrap());
    set(kv, &key, "x").await;
    assert!(kv.directory_exists(&directory).await.unwrap());
    assert!(kv.directory_exists(&format!("{root}/a/b")).await.unwrap());
    assert!(!kv.directory_exists(&key).await.unwrap(), "a value is not a directory");

    kv.delete(&key, Precondition::None).await.unwrap();
    assert!(kv.directory_exists(&format!("{root}/a/b")).await.unwrap());
    assert_eq!(kv.children(&directory).await.unwrap(), ["b"]);
    assert_eq!(keys(kv, root).await, [""; 0]);
}

/// Made twice, or with something in it, is fine and changes nothing.
pub async fn make_directory_is_idempotent<K: Kv>(kv: &K, root: &str) {
    let directory = format!("{root}/a/b");
    kv.make_directory(&directory).await.unwrap();
    kv.make_directory(&directory).await.unwrap();
    assert!(kv.directory_exists(&directory).await.unwrap());
    assert!(kv.directory_exists(&format!("{root}/a")).await.unwrap());
    let key = format!("{directory}/c");
    set(kv, &key, "x").await;
    kv.make_directory(&directory).await.unwrap();
    assert_eq!(keys(kv, root).await, [key]);
}

/// Removed, then absent.
pub async fn an_empty_directory_is_removed_once<K: Kv>(kv: &K, root: &str) {
    let directory = format!("{root}/a/b");
    kv.make_directory(&directory).await.unwrap();
    assert!(kv.remove_empty_directory(&directory).await.unwrap());
    assert!(!kv.directory_exists(&directory).await.unwrap());
    assert!(kv.directory_exists(&format!("{root}/a")).await.unwrap(), "the parent stays");
    assert!(!kv.remove_empty_directory(&directory).await.unwrap());
}

/// A directory with a value or only with a directory below it stays.
pub async fn a_full_directory_is_not_removed_as_empty<K: Kv>(kv: &K, root: &str) {
    let key = format!("{root}/a/b/c");
    set(kv, &key, "x").await;
    assert!(!kv.remove_empty_directory(&format!("{root}/a/b")).await.unwrap());
    assert!(!kv.remove_empty_directory(&format!("{root}/a")).await.unwrap());
    assert_eq!(keys(kv, root).await, [key]);
}

/// Writing a value where a directory stands is refused.
pub async fn a_value_does_not_replace_a_directory<K: Kv>(kv: &K, root: &str) {
    let key = format!("{root}/a/b");
    set(kv, &key, "x").await;
    let directory = format!("{root}/a");
    let error = kv.put(&directory, "y", Precondition::None, None).await.unwrap_err();
    assert!(matches!(error, KvError::Shape(_)), "{error:?}");
    let error = kv.put(&directory, "y", Precondition::Absent, None).await.unwrap_err();
    assert!(matches!(error, KvError::Shape(_) | KvError::Exists { .. }), "{error:?}");
    let error = kv.put(&directory, "y", Precondition::Present, None).await.unwrap_err();
    assert!(matches!(error, KvError::Shape(_)), "{error:?}");
    assert_eq!(keys(kv, root).await, [key]);
}

/// Writing a value or making a directory below a value is refused.
pub async fn a_value_has_nothing_below_it<K: Kv>(kv: &K, root: &str) {
    let key = format!("{root}/a");
    let revision = set(kv, &key, "x").await;
    for below in ["b", "b/c"] {
        let below = format!("{key}/{below}");
        for when in [Precondition::None, Precondition::Absent] {
            let error = kv.put(&below, "y", when, None).await.unwrap_err();
            assert!(matches!(error, KvError::Shape(_)), "{error:?}");
        }
        let error = kv.make_directory(&below).await.unwrap_err();
        assert!(matches!(error, KvError::Shape(_)), "{error:?}");
    }
    let (entries, _) = list(kv, root).await;
    assert_eq!(entries, [entry(&key, "x", revision)]);
}

/// A directory has no value to read.
pub async fn get_of_a_directory_is_refused<K: Kv>(kv: &K, root: &str) {
    set(kv, &format!("{root}/a/b"), "x").await;
    let error = kv.get(&format!("{root}/a")).await.unwrap_err();
    assert!(matches!(error, KvError::Shape(_)), "{error:?}");
}

// === deletes and batches ===

/// Other keys with the same beginning stay.
pub async fn delete_removes_a_value_alone<K: Kv>(kv: &K, root: &str) {
    for key in ["/a", "/ab", "/b"] {
        set(kv, &format!("{root}{key}"), "x").await;
    }
    kv.delete(&format!("{root}/a"), Precondition::None).await.unwrap();
    assert_eq!(keys(kv, root).await, [format!("{root}/ab"), format!("{root}/b")]);
    assert_eq!(kv.get(&format!("{root}/a")).await.unwrap(), None);
}

/// Everything below goes, the directory itself too; what only looks like it stays.
pub async fn delete_removes_a_directory_with_everything_below<K: Kv>(kv: &K, root: &str) {
    for key in ["/a/b", "/a/c/d", "/a/c/e", "/a-b", "/ab/c", "/a%/c"] {
        set(kv, &format!("{root}{key}"), "x").await;
    }
    kv.make_directory(&format!("{root}/a/empty")).await.unwrap();
    kv.delete(&format!("{root}/a"), Precondition::None).await.unwrap();
    assert!(!kv.directory_exists(&format!("{root}/a")).await.unwrap());
    assert_eq!(kv.children(root).await.unwrap(), ["a%", "a-b", "ab"]);
    assert_eq!(kv.get(&format!("{root}/a/c/d")).await.unwrap(), None);
}

/// Never there, or no longer there.
pub async fn delete_of_an_absent_key_is_not_found<K: Kv>(kv: &K, root: &str) {
    let key = format!("{root}/a");
    let error = kv.delete(&key, Precondition::None).await.unwrap_err();
    assert!(matches!(error, KvError::NotFound { .. }), "{error:?}");
    let revision = set(kv, &key, "x").await;
    kv.delete(&key, Precondition::None).await.unwrap();
    for when in [Precondition::None, Precondition::Revision(revision)] {
        let error = kv.delete(&key, when).await.unwrap_err();
        assert!(matches!(&error, KvError::NotFound { key: at } if *at == key), "{error:?}");
    }
}

/// A compare-and-delete with an old revision conflicts, with the current one it deletes.
pub async fn compare_and_delete_needs_the_current_revision<K: Kv>(kv: &K, root: &str) {
    let key = format!("{root}/a");
    let old = set(kv, &key, "one").await;
    let current = set(kv, &key, "two").await;
    let error = kv.delete(&key, Precondition::Revision(old)).await.unwrap_err();
    assert!(matches!(&error, KvError::Conflict { key: at } if *at == key), "{error:?}");
    assert_eq!(kv.get(&key).await.unwrap(), Some(entry(&key, "two", current)));

    kv.delete(&key, Precondition::Revision(current)).await.unwrap();
    assert_eq!(kv.get(&key).await.unwrap(), None);
}

/// A later write of a batch sees the earlier ones.
pub async fn put_all_writes_in_order<K: Kv>(kv: &K, root: &str) {
    let (a, b) = (format!("{root}/a"), format!("{root}/b"));
    let puts = [
        put(&a, "1", Precondition::Absent),
        put(&b, "2", Precondition::None),
        put(&a, "3", Precondition::Present),
    ];
    let (written, outcome) = kv.put_all(&puts).await;
    outcome.unwrap();
    assert_eq!(written, 3);
    let (entries, _) = list(kv, root).await;
    let values: Vec<(&str, &str)> = entries.iter().map(|e| (e.key.as_str(), e.value.as_str())).collect();
    assert_eq!(values, [(a.as_str(), "3"), (b.as_str(), "2")]);
    assert!(entries[0].revision > entries[1].revision);
}

/// What stands before the failure is written, nothing behind it, for each kind of failure.
pub async fn put_all_stops_at_the_first_failure<K: Kv>(kv: &K, root: &str) {
    let old = set(kv, &format!("{root}/taken"), "old").await;
    let current = set(kv, &format!("{root}/taken"), "current").await;
    set(kv, &format!("{root}/directory/x"), "x").await;
    let failing = [
        put(&format!("{root}/taken"), "new", Precondition::Absent),
        put(&format!("{root}/absent"), "new", Precondition::Present),
        put(&format!("{root}/taken"), "new", Precondition::Revision(old)),
        put(&format!("{root}/directory"), "new", Precondition::None),
        put(&format!("{root}//"), "new", Precondition::None),
    ];
    for (case, failing) in failing.into_iter().enumerate() {
        let before = format!("{root}/before-{case}");
        let behind = format!("{root}/behind-{case}");
        let puts = [put(&before, "x", Precondition::Absent), failing, put(&behind, "x", Precondition::None)];
        let (written, outcome) = kv.put_all(&puts).await;
        let error = outcome.unwrap_err();
        let expected = match case {
            0 => matches!(error, KvError::Exists { .. }),
            1 => matches!(error, KvError::NotFound { .. }),
            2 => matches!(error, KvError::Conflict { .. }),
            3 => matches!(error, KvError::Shape(_)),
            _ => matches!(error, KvError::InvalidKey { .. }),
        };
        assert!(expected, "case {case}: {error:?}");
        // An invalid key may be found before anything is written.
        let refused_first = case == 4 && written == 0;
        assert_eq!(written, usize::from(!refused_first), "case {case}");
        assert_eq!(kv.get(&before).await.unwrap().is_some(), !refused_first, "case {case}");
        assert_eq!(kv.get(&behind).await.unwrap(), None, "case {case}");
    }
    let taken = format!("{root}/taken");
    assert_eq!(kv.get(&taken).await.unwrap(), Some(entry(&taken, "current", current)));
}

/// An empty batch is done at once.
pub async fn put_all_of_nothing_succeeds<K: Kv>(kv: &K, _root: &str) {
    let (written, outcome) = kv.put_all(&[]).await;
    outcome.unwrap();
    assert_eq!(written, 0);
}

// === expiry ===

/// An expired value is gone for get, list, children, and a watch reports it after its set.
pub async fn values_expire_everywhere<K: Kv>(kv: &K, root: &str) {
    let (key, kept) = (format!("{root}/a"), format!("{root}/b"));
    let after = set(kv, &kept, "x").await;
    let mut watch = kv.watch(root, after.get()).await.unwrap();
    let revision = kv.put(&key, "x", Precondition::None, Some(Duration::from_secs(1))).await.unwrap();
    let changes = collect(&mut watch, 2).await;
    assert_eq!(changes[0], Change::Set(entry(&key, "x", revision)));
    assert!(
        matches!(&changes[1], Change::Deleted { key: at, revision: r } if *at == key && *r > revision),
        "{changes:?}"
    );

    assert_eq!(kv.get(&key).await.unwrap(), None);
    assert_eq!(keys(kv, root).await, [kept]);
    assert_eq!(kv.children(root).await.unwrap(), ["b"]);
    kv.put(&key, "y", Precondition::Absent, None).await.unwrap();
}

/// The TTL is cut to whole seconds, and none is left of less than one.
pub async fn a_ttl_below_a_second_means_for_ever<K: Kv>(kv: &K, root: &str) {
    let (key, marker) = (format!("{root}/a"), format!("{root}/marker"));
    kv.put(&key, "x", Precondition::None, Some(Duration::from_millis(900))).await.unwrap();
    kv.put(&marker, "x", Precondition::None, Some(Duration::from_millis(1900))).await.unwrap();
    until_absent(kv, &marker).await;
    assert!(kv.get(&key).await.unwrap().is_some());
}

/// Each write says anew how long the value lives.
pub async fn a_write_without_ttl_ends_expiry<K: Kv>(kv: &K, root: &str) {
    let (key, marker) = (format!("{root}/a"), format!("{root}/marker"));
    kv.put(&key, "x", Precondition::None, Some(Duration::from_secs(1))).await.unwrap();
    set(kv, &key, "y").await;
    kv.put(&marker, "x", Precondition::None, Some(Duration::from_secs(2))).await.unwrap();
    until_absent(kv, &marker).await;
    assert_eq!(kv.get(&key).await.unwrap().unwrap().value, "y");
}

// === watches ===

/// Each change once, with its value and revision, in the order it happened.
pub async fn watch_sees_sets_and_deletes_in_order<K: Kv>(kv: &K, root: &str) {
    let (_, at) = list(kv, root).await;
    let mut watch = kv.watch(root, at).await.unwrap();
    let (a, b) = (format!("{root}/a"), format!("{root}/b/c"));
    let first = set(kv, &a, "1").await;
    let second = kv.put(&b, "2", Precondition::Absent, None).await.unwrap();
    let third = kv.put(&a, "3", Precondition::Present, None).await.unwrap();
    kv.delete(&a, Precondition::Revision(third)).await.unwrap();
    let fifth = kv.put(&b, "5", Precondition::Revision(second), None).await.unwrap();
    let changes = collect(&mut watch, 5).await;
    let deletion = revision_of(&changes[3]);
    assert!(third < deletion && deletion < fifth, "{changes:?}");
    assert_eq!(
        changes,
        [
            Change::Set(entry(&a, "1", first)),
            Change::Set(entry(&b, "2", second)),
            Change::Set(entry(&a, "3", third)),
            Change::Deleted { key: a.clone(), revision: deletion },
            Change::Set(entry(&b, "5", fifth)),
        ]
    );
}

/// A watch from an old revision begins with the change right behind it.
pub async fn watch_continues_from_an_old_revision<K: Kv>(kv: &K, root: &str) {
    let key = format!("{root}/a");
    let mut revisions = Vec::new();
    for n in 0..5 {
        revisions.push(set(kv, &key, &n.to_string()).await);
    }
    let mut watch = kv.watch(root, revisions[1].get()).await.unwrap();
    let changes = collect(&mut watch, 3).await;
    let expected: Vec<Change> =
        (2..5).map(|n: usize| Change::Set(entry(&key, &n.to_string(), revisions[n]))).collect();
    assert_eq!(changes, expected);
}

/// A list and a watch from its revision together see everything once.
pub async fn watch_from_a_list_misses_nothing<K: Kv>(kv: &K, root: &str) {
    let (a, b) = (format!("{root}/a"), format!("{root}/b"));
    let first = set(kv, &a, "1").await;
    let (entries, at) = list(kv, root).await;
    assert_eq!(entries, [entry(&a, "1", first)]);
    let second = set(kv, &b, "2").await;
    let mut watch = kv.watch(root, at).await.unwrap();
    assert_eq!(collect(&mut watch, 1).await, [Change::Set(entry(&b, "2", second))]);
}

/// Keys beside the prefix, longer names among them, are not reported.
pub async fn watch_sees_only_its_prefix<K: Kv>(kv: &K, root: &str) {
    let (_, at) = list(kv, root).await;
    for key in ["/ab", "/a-b/c", "/b", "/A/a"] {
        set(kv, &format!("{root}{key}"), "x").await;
    }
    kv.delete(&format!("{root}/ab"), Precondition::None).await.unwrap();
    kv.delete(&format!("{root}/a-b"), Precondition::None).await.unwrap();
    let inside = format!("{root}/a/b");
    let revision = set(kv, &inside, "x").await;
    let mut watch = kv.watch(&format!("{root}/a"), at).await.unwrap();
    assert_eq!(collect(&mut watch, 1).await, [Change::Set(entry(&inside, "x", revision))]);
}

/// One change for the directory, none for what was below it.
pub async fn watch_sees_the_deletion_of_a_directory_once<K: Kv>(kv: &K, root: &str) {
    set(kv, &format!("{root}/a/b"), "x").await;
    let after = set(kv, &format!("{root}/a/c/d"), "x").await;
    let mut live = kv.watch(root, after.get()).await.unwrap();
    kv.delete(&format!("{root}/a"), Precondition::None).await.unwrap();
    let marker = format!("{root}/marker");
    let revision = set(kv, &marker, "x").await;
    let mut late = kv.watch(root, after.get()).await.unwrap();
    for watch in [&mut live, &mut late] {
        let changes = collect(watch, 2).await;
        let deletion = revision_of(&changes[0]);
        let deleted = Change::Deleted { key: format!("{root}/a"), revision: deletion };
        assert_eq!(changes, [deleted, Change::Set(entry(&marker, "x", revision))]);
    }
}

/// A watch below a deleted directory learns of it.
pub async fn watch_sees_the_deletion_of_a_directory_above<K: Kv>(kv: &K, root: &str) {
    let after = set(kv, &format!("{root}/a/b/c"), "x").await;
    let mut watch = kv.watch(&format!("{root}/a/b"), after.get()).await.unwrap();
    kv.delete(&format!("{root}/a"), Precondition::None).await.unwrap();
    let changes = collect(&mut watch, 1).await;
    let revision = revision_of(&changes[0]);
    assert_eq!(changes, [Change::Deleted { key: format!("{root}/a"), revision }]);
}

/// A prefix may be a value's key.
pub async fn watch_of_a_single_key_sees_it<K: Kv>(kv: &K, root: &str) {
    let key = format!("{root}/a");
    let after = set(kv, &key, "1").await;
    let mut watch = kv.watch(&key, after.get()).await.unwrap();
    set(kv, &format!("{root}/ab"), "x").await;
    let revision = set(kv, &key, "2").await;
    assert_eq!(collect(&mut watch, 1).await, [Change::Set(entry(&key, "2", revision))]);
}

/// A batch is as many changes as it has writes.
pub async fn watch_sees_every_write_of_a_batch<K: Kv>(kv: &K, root: &str) {
    let (_, at) = list(kv, root).await;
    let mut watch = kv.watch(root, at).await.unwrap();
    let expected: Vec<String> = (0..50).map(|n| format!("{root}/{}", n % 40)).collect();
    let puts: Vec<Put> = expected.iter().map(|key| put(key, "x", Precondition::None)).collect();
    kv.put_all(&puts).await.1.unwrap();
    let changes = collect(&mut watch, 50).await;
    assert_eq!(changes.iter().map(key_of).collect::<Vec<_>>(), expected);
    assert!(changes.windows(2).all(|pair| revision_of(&pair[0]) < revision_of(&pair[1])), "{changes:?}");
}

/// Dropping a wait loses nothing.
pub async fn watch_after_a_cancelled_wait_misses_nothing<K: Kv>(kv: &K, root: &str) {
    let key = format!("{root}/a");
    let after = set(kv, &key, "0").await;
    let mut watch = kv.watch(root, after.get()).await.unwrap();
    let mut expected = Vec::new();
    let mut seen = Vec::new();
    for n in 1..20_u64 {
        let write = set(kv, &key, "x");
        let cancelled = async {
            // Long enough for the wait to be under way, at times long enough to end.
            tokio::time::timeout(Duration::from_millis(n % 4), watch.next()).await
        };
        let (revision, outcome) = tokio::join!(write, cancelled);
        expected.push(revision);
        if let Ok(changes) = outcome {
            seen.extend(changes.unwrap());
        }
    }
    let missing = expected.len() - seen.len();
    seen.extend(collect(&mut watch, missing).await);
    assert_eq!(seen.iter().map(revision_of).collect::<Vec<_>>(), expected);
}

/// What changed nothing is not a change.
pub async fn failed_writes_are_not_watched<K: Kv>(kv: &K, root: &str) {
    let key = format!("{root}/a");
    let old = set(kv, &key, "1").await;
    let after = set(kv, &key, "2").await;
    let mut watch = kv.watch(root, after.get()).await.unwrap();
    kv.put(&key, "3", Precondition::Absent, None).await.unwrap_err();
    kv.put(&key, "3", Precondition::Revision(old), None).await.unwrap_err();
    kv.put(&format!("{root}/b"), "3", Precondition::Present, None).await.unwrap_err();
    kv.delete(&key, Precondition::Revision(old)).await.unwrap_err();
    kv.delete(&format!("{root}/b"), Precondition::None).await.unwrap_err();
    let revision = set(kv, &key, "4").await;
    assert_eq!(collect(&mut watch, 1).await, [Change::Set(entry(&key, "4", revision))]);
}

/// A watch from before many writes either sees them all or says that it cannot.
pub async fn an_old_watch_is_complete_or_compacted<K: Kv>(kv: &K, root: &str) {
    let after = set(kv, &format!("{root}/first"), "x").await;
    let expected: Vec<String> = (0..1200).map(|n| format!("{root}/{}", n % 7)).collect();
    let puts: Vec<Put> = expected.iter().map(|key| put(key, "x", Precondition::None)).collect();
    kv.put_all(&puts).await.1.unwrap();
    let mut watch = match kv.watch(root, after.get()).await {
        Ok(watch) => watch,
        Err(KvError::Compacted { .. }) => return,
        Err(error) => panic!("{error:?}"),
    };
    let mut seen: Vec<String> = Vec::new();
    while seen.len() < expected.len() {
        match tokio::time::timeout(DEADLINE, watch.next()).await.expect("changes within the deadline") {
            Ok(changes) => seen.extend(changes.iter().map(|change| key_of(change).to_owned())),
            Err(KvError::Compacted { .. }) => {
                assert_eq!(seen, [""; 0], "a watch lost its place while it was served");
                return;
            }
            Err(error) => panic!("{error:?}"),
        }
    }
    assert_eq!(seen, expected);
}

// === concurrency ===

/// Two counters that read, add one and swap count exactly.
pub async fn concurrent_compare_and_swap_loses_no_increment<K: Kv>(kv: &K, root: &str) {
    let key = format!("{root}/count");
    set(kv, &key, "0").await;
    let count = async || {
        let mut conflicts = 0;
        for _ in 0..25 {
            loop {
                let current = kv.get(&key).await.unwrap().unwrap();
                tokio::task::yield_now().await;
                let next = (current.value.parse::<u32>().unwrap() + 1).to_string();
                match kv.put(&key, &next, Precondition::Revision(current.revision), None).await {
                    Ok(_) => break,
                    Err(KvError::Conflict { .. }) => conflicts += 1,
                    Err(error) => panic!("{error:?}"),
                }
            }
        }
        conflicts
    };
    let (first, second) = tokio::join!(count(), count());
    assert_eq!(kv.get(&key).await.unwrap().unwrap().value, "50", "{first} and {second} conflicts");
}

/// Of several creates of one key exactly one succeeds.
pub async fn concurrent_creates_have_one_winner<K: Kv>(kv: &K, root: &str) {
    for n in 0..10 {
        let key = format!("{root}/{n}");
        let create = async |value| kv.put(&key, value, Precondition::Absent, None).await;
        let (a, b, c) = tokio::join!(create("a"), create("b"), create("c"));
        let winners: Vec<&str> =
            [("a", &a), ("b", &b), ("c", &c)].iter().filter(|(_, r)| r.is_ok()).map(|(v, _)| *v).collect();
        assert_eq!(winners, [kv.get(&key).await.unwrap().unwrap().value], "{a:?} {b:?} {c:?}");
    }
}

// === keys and values ===

/// Escapes, colons, spaces, wildcards and other scripts in keys mean nothing to a store.
pub async fn unusual_keys_are_kept_as_they_are<K: Kv>(kv: &K, root: &str) {
    let names = [
        "a%2fb",
        "a%252fb",
        "%",
        "fd80:24e2::1-64",
        "a b",
        " a ",
        "a+b",
        "a&b=c",
        "a?b#c",
        "a;b,c",
        "\"a'b`",
        "a\\b",
        "a*b_c?",
        "[a-b]",
        "名前",
        "naïve",
        "e\u{301}",
        "…",
        "a.b",
        "...",
        "\u{1F408}",
    ];
    for name in names {
        let key = format!("{root}/{name}/x{name}");
        let revision = set(kv, &key, name).await;
        assert_eq!(kv.get(&key).await.unwrap(), Some(entry(&key, name, revision)));
        assert_eq!(list(kv, &format!("{root}/{name}")).await.0, [entry(&key, name, revision)]);
        let mut watch = kv.watch(&format!("{root}/{name}"), revision.get() - 1).await.unwrap();
        assert_eq!(collect(&mut watch, 1).await, [Change::Set(entry(&key, name, revision))]);
    }
    let mut expected = names.map(str::to_owned);
    expected.sort_unstable();
    assert_eq!(kv.children(root).await.unwrap(), expected);
    for name in names {
        kv.delete(&format!("{root}/{name}"), Precondition::None).await.unwrap();
    }
    assert_eq!(kv.children(root).await.unwrap(), [""; 0]);
}

/// A value is any text.
pub async fn unusual_values_are_kept_as_they_are<K: Kv>(kv: &K, root: &str) {
    let values = [
        "",
        " ",
        "{\"a\":\"b\\\"c\\u003c\",\"d\":[null,1e300]}",
        "line\nline\r\nline\ttab\n",
        "a=b&c=d+e%20f%2f;g",
        "'; drop table \"keys\" --",
        "naïve 名前 \u{1F408} e\u{301} \u{2028}\u{FEFF}\u{FFFD}",
        "\u{1}\u{7f}\u{1b}[0m",
        "</script>\\\\ \\n \\u0041",
    ];
    for (n, value) in values.into_iter().enumerate() {
        let key = format!("{root}/{n}");
        let revision = set(kv, &key, value).await;
        assert_eq!(kv.get(&key).await.unwrap(), Some(entry(&key, value, revision)));
        let mut watch = kv.watch(root, revision.get() - 1).await.unwrap();
        assert_eq!(collect(&mut watch, 1).await, [Change::Set(entry(&key, value, revision))]);
    }
    let (entries, _) = list(kv, root).await;
    assert_eq!(entries.iter().map(|entry| entry.value.as_str()).collect::<Vec<_>>(), values);
}

/// Large values pass through every operation.
pub async fn a_value_of_one_mebibyte_is_kept<K: Kv>(kv: &K, root: &str) {
    let key = format!("{root}/large");
    let value = "0123456789abcde\"".repeat(1024 * 1024 / 16);
    let revision = set(kv, &key, &value).await;
    let expected = entry(&key, &value, revision);
    assert!(kv.get(&key).await.unwrap().as_ref() == Some(&expected), "get changed it");
    assert!(list(kv, root).await.0 == [expected.clone()], "list changed it");
    let mut watch = kv.watch(root, revision.get() - 1).await.unwrap();
    assert!(collect(&mut watch, 1).await == [Change::Set(expected)], "watch changed it");
}

/// What is not a path of named components is refused by every operation.
pub async fn invalid_keys_are_refused_everywhere<K: Kv>(kv: &K, root: &str) {
    let relative = root.trim_start_matches('/').to_owned();
    let invalid = [
        String::new(),
        "/".to_owned(),
        relative,
        format!("{root}/"),
        format!("{root}//a"),
        format!("/{root}"),
        format!("{root}/a\0b"),
        format!("{root}/./a"),
        format!("{root}/../a"),
        format!("{root}/.."),
    ];
    for key in &invalid {
        refused(key, kv.get(key).await);
        refused(key, kv.list(key, &mut |_| {}).await);
        refused(key, kv.children(key).await);
        refused(key, kv.directory_exists(key).await);
        refused(key, kv.put(key, "x", Precondition::None, None).await);
        refused(key, kv.put_all(&[put(key, "x", Precondition::None)]).await.1);
        refused(key, kv.delete(key, Precondition::None).await);
        refused(key, kv.make_directory(key).await);
        refused(key, kv.remove_empty_directory(key).await);
        refused(key, kv.watch(key, 0).await.map(|_| ()));
    }
    assert_eq!(keys(kv, root).await, [""; 0]);
}

fn refused<T: std::fmt::Debug>(key: &str, outcome: Result<T, KvError>) {
    let expected = matches!(&outcome, Err(KvError::InvalidKey { key: at, .. }) if at == key);
    assert!(expected, "{key:?}: {outcome:?}");
}

// === helpers ===

async fn set<K: Kv>(kv: &K, key: &str, value: &str) -> Revision {
    kv.put(key, value, Precondition::None, None).await.unwrap()
}

async fn list<K: Kv>(kv: &K, prefix: &str) -> (Vec<Entry>, u64) {
    let mut entries = Vec::new();
    let listing =
        kv.list(prefix, &mut |at| entries.push(entry(at.key, at.value, at.revision))).await.unwrap();
    (entries, listing.at)
}

async fn keys<K: Kv>(kv: &K, prefix: &str) -> Vec<String> {
    list(kv, prefix).await.0.into_iter().map(|entry| entry.key).collect()
}

/// The next `count` changes of a watch; fails when more arrive with them or none within the deadline.
async fn collect<W: Watch>(watch: &mut W, count: usize) -> Vec<Change> {
    let mut changes = Vec::new();
    while changes.len() < count {
        let next = tokio::time::timeout(DEADLINE, watch.next()).await;
        match next {
            Ok(next) => changes.extend(next.unwrap()),
            Err(_) => panic!("{} of {count} changes within {DEADLINE:?}: {changes:?}", changes.len()),
        }
    }
    assert_eq!(changes.len(), count, "{changes:?}");
    changes
}

async fn until_absent<K: Kv>(kv: &K, key: &str) {
    let deadline = Instant::now() + DEADLINE;
    while kv.get(key).await.unwrap().is_some() {
        assert!(Instant::now() < deadline, "{key} is still there");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

fn entry(key: &str, value: &str, revision: Revision) -> Entry {
    Entry { key: key.to_owned(), value: value.to_owned(), revision }
}

fn put(key: &str, value: &str, when: Precondition) -> Put {
    Put { key: key.to_owned(), value: value.to_owned(), when }
}

fn key_of(change: &Change) -> &str {
    match change {
        Change::Set(entry) => &entry.key,
        Change::Deleted { key, .. } => key,
    }
}

fn revision_of(change: &Change) -> Revision {
    match change {
        Change::Set(entry) => entry.revision,
        Change::Deleted { revision, .. } => *revision,
    }
}
