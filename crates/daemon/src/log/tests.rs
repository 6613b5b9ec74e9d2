//! Line shapes, levels, and what happens when a destination is slow or away.

use std::io::{self, Write};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tracing_subscriber::layer::SubscriberExt as _;

use super::{Format, Log, QUEUE, Settings, Severity};

const LONG: Duration = Duration::from_secs(20);

fn clock() -> SystemTime {
    UNIX_EPOCH + Duration::from_millis(1_511_594_771_042)
}

/// A screen that can be read.
#[derive(Clone, Default)]
struct Screen(Arc<Mutex<Vec<u8>>>);

impl Write for Screen {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Screen {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

/// A screen that takes a line only when it is told to.
struct Slow {
    took: SyncSender<Vec<u8>>,
    go: Receiver<()>,
}

impl Write for Slow {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // Told once to go on for ever when the other side is gone.
        let _ = self.go.recv();
        let _ = self.took.send(bytes.to_vec());
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn with(log: &Log, body: impl FnOnce()) {
    tracing::subscriber::with_default(tracing_subscriber::registry().with(log.layer()), body);
}

fn on_screen(level: Severity) -> Settings {
    Settings { screen: Some(level), ..Settings::default() }
}

fn without_source(line: &str) -> String {
    // Test builds name file and line; the line number changes with every edit of this file.
    let (head, rest) = line.split_once("tests.rs ").unwrap();
    let (number, rest) = rest.split_once(": ").unwrap();
    assert!(number.parse::<u32>().is_ok(), "{line}");
    format!("{head}{rest}")
}

#[test]
fn a_line_has_felixs_shape_with_sorted_fields() {
    let screen = Screen::default();
    let log = Log::new(Format::Text, Box::new(screen.clone()), clock);
    log.configure(&on_screen(Severity::Info));
    with(&log, || {
        tracing::info!(target: "margay_x", zeta = 3, alpha = "two words", on = %"shown\nas is", "something {}", "changed");
        tracing::debug!(target: "margay_x", "not wanted");
    });
    log.flush(LONG);
    let pid = std::process::id();
    assert_eq!(
        without_source(&screen.text()),
        format!(
            "2017-11-25 07:26:11.042 [INFO][{pid}] something changed alpha=\"two words\" on=shown\\nas is zeta=3\n"
        )
    );
}

#[test]
fn json_lines_are_objects() {
    let screen = Screen::default();
    let log = Log::new(Format::Json, Box::new(screen.clone()), clock);
    log.configure(&on_screen(Severity::Debug));
    with(&log, || tracing::warn!(target: "margay_x", count = 3, text = "a\"b", "odd\tline"));
    log.flush(LONG);
    let text = screen.text();
    let pid = std::process::id();
    assert!(text.starts_with(&format!("{{\"time\":\"2017-11-25T07:26:11.042Z\",\"level\":\"warning\",\"pid\":{pid},\"source\":\"tests.rs:")), "{text}");
    assert!(text.ends_with(",\"message\":\"odd\\tline\",\"count\":3,\"text\":\"a\\\"b\"}\n"), "{text}");
}

#[test]
fn levels_change_while_the_program_runs_and_each_destination_has_its_own() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("made/felix.log");
    let screen = Screen::default();
    let log = Log::new(Format::Text, Box::new(screen.clone()), clock);
    with(&log, || {
        tracing::error!(target: "margay_x", "nobody listens");
        log.configure(&Settings {
            screen: Some(Severity::Error),
            file: Some(Severity::Debug),
            path: path.clone(),
            ..Settings::default()
        });
        tracing::debug!(target: "margay_x", "to the file");
        tracing::error!(target: "margay_x", "to both");
        log.configure(&on_screen(Severity::Debug));
        tracing::debug!(target: "margay_x", "to the screen");
        tracing::debug!(target: "other", "of another crate");
        log.flush(LONG);
        log.configure(&Settings { file: Some(Severity::Info), path: path.clone(), ..Settings::default() });
        log.flush(LONG);
    });
    let seen = |text: &str| {
        ["nobody listens", "to the file", "to both", "to the screen", "another"]
            .map(|line| text.contains(line))
    };
    assert_eq!(seen(&screen.text()), [false, false, true, true, false]);
    assert_eq!(seen(&std::fs::read_to_string(&path).unwrap()), [false, true, true, false, false]);
}

#[test]
fn a_slow_destination_loses_lines_and_says_how_many() {
    let (took, seen) = sync_channel(10 * QUEUE);
    let (go, waits) = sync_channel(1);
    let log = Log::new(Format::Text, Box::new(Slow { took, go: waits }), clock);
    log.configure(&on_screen(Severity::Info));
    let sent = 3 * QUEUE;
    with(&log, || {
        for number in 0..sent {
            tracing::info!(target: "margay_x", number, "line");
        }
        let lost = log.dropped();
        assert!(lost >= (sent - QUEUE - 1) as u64, "{lost}");
        // Now it takes everything.
        drop(go);
        let mut lines = Vec::new();
        while lines.len() < sent - usize::try_from(lost).unwrap() {
            lines.push(seen.recv_timeout(LONG).unwrap());
        }
        tracing::info!(target: "margay_x", "last");
        let notice = String::from_utf8(seen.recv_timeout(LONG).unwrap()).unwrap();
        assert!(
            notice.contains(&format!("[WARNING][{}] dropped {lost} logs", std::process::id())),
            "{notice}"
        );
        let last = String::from_utf8(seen.recv_timeout(LONG).unwrap()).unwrap();
        assert!(last.ends_with("last\n"), "{last}");
    });
}

#[test]
fn a_file_that_was_moved_away_is_opened_again() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("felix.log");
    let log = Log::new(Format::Text, Box::new(io::sink()), clock);
    log.configure(&Settings { file: Some(Severity::Info), path: path.clone(), ..Settings::default() });
    with(&log, || {
        tracing::info!(target: "margay_x", "before");
        log.flush(LONG);
        std::fs::rename(&path, folder.path().join("felix.log.1")).unwrap();
        log.reopen();
        tracing::info!(target: "margay_x", "after");
        log.flush(LONG);
    });
    assert!(std::fs::read_to_string(&path).unwrap().ends_with("after\n"));
    assert_eq!(log.errors(), 0);
}

#[test]
fn what_cannot_be_written_is_counted() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a-file/felix.log");
    std::fs::write(folder.path().join("a-file"), "").unwrap();
    let log = Log::new(Format::Text, Box::new(io::sink()), clock);
    log.configure(&Settings { file: Some(Severity::Info), path, ..Settings::default() });
    with(&log, || tracing::info!(target: "margay_x", "lost"));
    log.flush(LONG);
    assert_eq!(log.errors(), 1);
}
