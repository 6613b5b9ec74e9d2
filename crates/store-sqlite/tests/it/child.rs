//! Other processes: this test binary again, told by its environment what to do.

use std::io::{BufRead, BufReader, Lines, Read};
use std::path::Path;
use std::process::{ChildStdout, Command, Stdio};
use std::time::Duration;

use margay_store::Kv;
use margay_store::kv::{KvError, Precondition, Put};
use margay_store_sqlite::{Options, SqliteKv};
use rusqlite::Connection;
use rustix::process::{Resource, Rlimit, Signal, getrlimit, setrlimit};

const ROLE: &str = "MARGAY_TEST_ROLE";
const FILE: &str = "MARGAY_TEST_FILE";
const START: &str = "MARGAY_TEST_START";

/// A process with a role; killed when dropped.
pub(crate) struct Child {
    process: std::process::Child,
    lines: Lines<BufReader<ChildStdout>>,
}

// === impl Child ===

impl Child {
    /// Starts a process that plays `role` on the datastore `file`.
    pub(crate) fn start(role: &str, file: &Path, start: u64) -> Self {
        Self::start_below(&[], role, file, start)
    }

    /// The same below a program that in the end executes its arguments.
    pub(crate) fn start_below(wrapper: &[&str], role: &str, file: &Path, start: u64) -> Self {
        let exe = std::env::current_exe().unwrap();
        let mut command = match wrapper.split_first() {
            None => Command::new(exe),
            Some((program, arguments)) => {
                let mut command = Command::new(program);
                command.args(arguments).arg(exe);
                command
            }
        };
        let mut process = command
            .args(["--exact", "child::plays_its_role", "--ignored", "--nocapture"])
            .env(ROLE, role)
            .env(FILE, file)
            .env(START, start.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(process.stdout.take().unwrap()).lines();
        Self { process, lines }
    }

    /// The next thing the process says, `None` when it has ended.
    pub(crate) fn says(&mut self) -> Option<String> {
        loop {
            // The harness around the role says things too.
            let line = self.lines.next()?.unwrap();
            if let Some(said) = line.strip_prefix("child: ") {
                return Some(said.to_owned());
            }
        }
    }

    /// Lets a process go on that waits.
    pub(crate) fn release(&mut self) {
        drop(self.process.stdin.take());
    }

    /// Kills the process without any warning.
    pub(crate) fn kill(&mut self) {
        let id = rustix::process::Pid::from_child(&self.process);
        // One that has ended is still a child until it is waited for.
        rustix::process::kill_process(id, Signal::KILL).unwrap();
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

// === roles ===

#[tokio::test]
#[ignore = "started by other tests as a process of its own"]
async fn plays_its_role() {
    let Ok(role) = std::env::var(ROLE) else { return };
    let file = std::env::var_os(FILE).unwrap();
    let file = Path::new(&file);
    let start: u64 = std::env::var(START).unwrap().parse().unwrap();
    say("begun");
    match role.as_str() {
        "write for ever" => write_for_ever(file, start).await,
        "write twenty" => write_twenty(file).await,
        "count" => count(file).await,
        "open" => open(file),
        "hold the lock" => hold_the_lock(file),
        "commit in silence" => commit_in_silence(file),
        "outgrow the limit" => outgrow_the_limit(file).await,
        "fill the disk" => fill_the_disk(file).await,
        _ => panic!("{role}"),
    }
}

/// Writes numbered keys, in turn alone and in batches, and says the last number written.
async fn write_for_ever(file: &Path, start: u64) {
    let kv = SqliteKv::open(file, Options::default()).unwrap();
    for number in start.. {
        let puts: Vec<Put> = (0..number % 4).map(|part| part_of(number, part)).collect();
        if puts.is_empty() {
            let put = part_of(number, 0);
            kv.put(&put.key, &put.value, put.when, None).await.unwrap();
        } else {
            kv.put_all(&puts).await.1.unwrap();
        }
        say(&number.to_string());
    }
}

/// What [`write_for_ever`] writes for a number.
pub(crate) fn part_of(number: u64, part: u64) -> Put {
    let value = format!("value {number} {part} {}", "x".repeat(350));
    Put { key: format!("/numbers/{number:06}-{part}"), value, when: Precondition::None }
}

async fn write_twenty(file: &Path) {
    let kv = SqliteKv::open(file, Options::default()).unwrap();
    for number in 0..20 {
        kv.put(&format!("/numbers/{number}"), "x", Precondition::None, None).await.unwrap();
    }
    // The end of the process would be noticed too.
    wait_for_release();
}

/// Adds one to a counter 25 times.
async fn count(file: &Path) {
    let kv = SqliteKv::open(file, Options::default()).unwrap();
    let mut left = 25;
    while left > 0 {
        let (next, when) = match kv.get("/count").await.unwrap() {
            None => (1, Precondition::Absent),
            Some(at) => (at.value.parse::<u32>().unwrap() + 1, Precondition::Revision(at.revision)),
        };
        match kv.put("/count", &next.to_string(), when, None).await {
            Ok(_) => left -= 1,
            Err(KvError::Conflict { .. } | KvError::Exists { .. }) => {}
            Err(error) => panic!("{error}"),
        }
    }
    say("counted");
}

fn open(file: &Path) {
    let outcome = SqliteKv::open(file, Options::default());
    say(&outcome.as_ref().map_or_else(ToString::to_string, |_| "open".to_owned()));
    wait_for_release();
}

fn hold_the_lock(file: &Path) {
    let connection = Connection::open(file).unwrap();
    connection.execute_batch("BEGIN IMMEDIATE").unwrap();
    say("locked");
    wait_for_release();
}

/// Commits a write as a store does, but dies before it can tell the watches.
fn commit_in_silence(file: &Path) {
    let connection = Connection::open(file).unwrap();
    connection
        .execute_batch(
            "BEGIN IMMEDIATE;
             INSERT INTO node (path, revision, value)
                 SELECT x'0173696c656e74', max(revision) + 1, 'x' FROM event;
             INSERT INTO event (revision, action, path, value)
                 SELECT max(revision) + 1, 'set', x'0173696c656e74', 'x' FROM event;
             COMMIT;",
        )
        .unwrap();
    say("committed");
    wait_for_release();
}

async fn outgrow_the_limit(file: &Path) {
    let kv = SqliteKv::open(file, Options::default()).unwrap();
    let unlimited = getrlimit(Resource::Fsize);
    let limited = Rlimit { current: Some(256 * 1024), ..unlimited };
    setrlimit(Resource::Fsize, limited).unwrap();
    let written = write_until_refused(&kv).await;
    setrlimit(Resource::Fsize, unlimited).unwrap();
    check_after_refusal(&kv, file, written).await;
}

/// On a small disk, some of which another file takes up.
async fn fill_the_disk(file: &Path) {
    let ballast = file.with_file_name("ballast");
    std::fs::write(&ballast, vec![0; 256 * 1024]).unwrap();
    let kv = SqliteKv::open(file, Options::default()).unwrap();
    let written = write_until_refused(&kv).await;
    std::fs::remove_file(ballast).unwrap();
    check_after_refusal(&kv, file, written).await;
}

async fn write_until_refused(kv: &SqliteKv) -> u64 {
    let large = "x".repeat(5000);
    for number in 0..10_000 {
        // Batches too: a refused one leaves nothing behind.
        let puts: Vec<Put> = (0..=number % 3)
            .map(|part| Put {
                key: format!("/large/{number}-{part}"),
                value: large.clone(),
                when: Precondition::None,
            })
            .collect();
        let (count, outcome) = kv.put_all(&puts).await;
        if let Err(error) = outcome {
            assert_eq!(count, 0, "the batch is one transaction");
            say(&error.to_string());
            return number;
        }
    }
    panic!("never refused");
}

async fn check_after_refusal(kv: &SqliteKv, file: &Path, written: u64) {
    assert!(written > 0);
    let mut expected: Vec<String> =
        (0..written).flat_map(|n| (0..=n % 3).map(move |part| format!("/large/{n}-{part}"))).collect();
    expected.sort_unstable();
    let mut keys = vec![];
    kv.list("/large", &mut |at| keys.push(at.key.to_owned())).await.unwrap();
    assert_eq!(keys, expected);
    kv.put("/after", "x", Precondition::Absent, None).await.unwrap();
    assert_eq!(integrity(file), "ok");
    say("recovered");
}

/// What SQLite thinks of the file.
pub(crate) fn integrity(file: &Path) -> String {
    let connection = Connection::open(file).unwrap();
    connection.busy_timeout(Duration::from_secs(10)).unwrap();
    connection.pragma_query_value(None, "integrity_check", |row| row.get(0)).unwrap()
}

fn wait_for_release() {
    let _ = std::io::stdin().read_to_end(&mut vec![]);
}

fn say(what: &str) {
    println!("\nchild: {what}");
}
