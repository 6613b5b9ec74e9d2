//! Kills at any moment, and disks that fill up.

use std::collections::BTreeMap;
use std::hash::BuildHasher;
use std::path::Path;

use margay_store::kv::Kv;
use rusqlite::Connection;

use crate::child::{Child, integrity, part_of};
use crate::{namespaces, open, scratch};

/// What must be there after numbers up to `last` were acknowledged.
fn acknowledged(last: u64) -> BTreeMap<String, String> {
    let parts = (0..=last).flat_map(|number| (0..(number % 4).max(1)).map(move |part| part_of(number, part)));
    parts.map(|put| (put.key, put.value)).collect()
}

fn random(below: u64) -> u64 {
    std::hash::RandomState::new().hash_one(()) % below
}

/// Every value's revision must have been an event, and no event may be missing.
fn check_revisions(file: &Path) {
    let connection = Connection::open(file).unwrap();
    let (count, span, ahead): (i64, i64, i64) = connection
        .query_row(
            "SELECT count(*), max(revision) - min(revision) + 1,
                    (SELECT count(*) FROM node WHERE revision > (SELECT max(revision) FROM event))
             FROM event",
            (),
            |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)),
        )
        .unwrap();
    assert_eq!((count, ahead), (span, 0));
}

#[tokio::test]
async fn a_kill_at_any_moment_loses_nothing_acknowledged() {
    let (_directory, file) = scratch();
    let mut next = 0;
    for round in 0..80 {
        // With and without somebody else who keeps the log from being folded into the file.
        let other = (round % 2 == 0 && file.exists()).then(|| open(&file));
        let mut child = Child::start("write for ever", &file, next);
        assert_eq!(child.says().unwrap(), "begun");
        for _ in 0..random(60) {
            next = child.says().unwrap().parse::<u64>().unwrap() + 1;
        }
        child.kill();
        while let Some(said) = child.says() {
            next = said.parse::<u64>().unwrap() + 1;
        }
        drop(child);

        let kv = open(&file);
        let mut found = BTreeMap::new();
        kv.list("/numbers", &mut |at| {
            found.insert(at.key.to_owned(), at.value.to_owned());
        })
        .await
        .unwrap();
        // The write under way may be there or not, but not in part.
        let known = next.checked_sub(1).map(acknowledged).unwrap_or_default();
        assert!(found == known || found == acknowledged(next), "round {round}: {next} acknowledged");
        drop((kv, other));
        assert_eq!(integrity(&file), "ok", "round {round}");
        if next > 0 {
            check_revisions(&file);
        }
    }
    assert!(next > 100, "only {next} writes in all rounds");
}

#[test]
fn a_file_at_its_size_limit_is_a_clear_error_and_whole() {
    let (_directory, file) = scratch();
    // Otherwise the kernel kills who writes behind the limit.
    let ignoring = ["sh", "-c", "trap '' XFSZ; exec \"$0\" \"$@\""];
    let mut child = Child::start_below(&ignoring, "outgrow the limit", &file, 0);
    assert_eq!(child.says().unwrap(), "begun");
    assert_eq!(
        child.says().unwrap(),
        format!(
            "writing datastore {}: the file could not be read or written (disk I/O error); check free space, quota, \
             file size limit and the kernel log, then try again; what was stored before is whole",
            file.display()
        )
    );
    assert_eq!(child.says().as_deref(), Some("recovered"));
}

#[test]
fn a_full_disk_is_a_clear_error_and_leaves_the_file_whole() {
    if !namespaces("-Urm") {
        return;
    }
    let (directory, file) = scratch();
    let script =
        format!("mount -t tmpfs -o size=1m none {} && exec \"$0\" \"$@\"", directory.path().display());
    let mut child = Child::start_below(&["unshare", "-Urm", "sh", "-c", &script], "fill the disk", &file, 0);
    assert_eq!(child.says().unwrap(), "begun");
    assert_eq!(
        child.says().unwrap(),
        format!(
            "writing datastore {}: no space left on the disk; free some and try again; what was stored before is whole",
            file.display()
        )
    );
    assert_eq!(child.says().as_deref(), Some("recovered"));
}
