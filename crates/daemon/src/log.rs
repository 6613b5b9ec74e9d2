//! Logs in Felix's line shape, or as JSON, on screen, in a file and in syslog.
//!
//! Each destination has its own level, which can change at any time, its own queue of [`QUEUE`] lines and its own
//! thread: a slow disk or terminal never holds the program up. What does not fit is dropped and counted, and the next
//! line that fits says how many were lost. The clock comes in as a function.

mod line;
mod sink;

use std::fmt;
use std::io::Write;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use tracing::subscriber::Interest;
use tracing::{Event, Level, Metadata, Subscriber};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt as _};

use line::{Fields, Line};
use sink::Sink;

/// How many lines of a destination may wait.
pub const QUEUE: usize = 100;

/// Crates whose lines below warning count.
const OURS: &str = "margay";

/// How bad a line is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// For those who look for a fault.
    Debug,
    /// A change of state.
    Info,
    /// Something to look at.
    Warning,
    /// Something failed.
    Error,
    /// The program ends; no line is as bad as that.
    Fatal,
}

/// The shape of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Format {
    /// Felix's.
    #[default]
    Text,
    /// One JSON object for each line.
    Json,
}

/// What goes where; none = nothing.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Settings {
    /// The least severity for the screen.
    pub screen: Option<Severity>,
    /// The least severity for the file.
    pub file: Option<Severity>,
    /// The file.
    pub path: PathBuf,
    /// The least severity for syslog.
    pub syslog: Option<Severity>,
    /// Wait for slow destinations instead of dropping lines.
    pub never_drop: bool,
}

/// The logs of a program.
#[derive(Clone)]
pub struct Log {
    shared: Arc<Shared>,
}

/// The `tracing` side of a [`Log`].
pub struct LogLayer {
    shared: Arc<Shared>,
}

struct Shared {
    format: Format,
    /// Lines carry the file and line of the source.
    with_source: bool,
    pid: u32,
    now: fn() -> SystemTime,
    never_drop: AtomicBool,
    dropped: AtomicU64,
    errors: Arc<AtomicU64>,
    screen: Destination,
    file: Destination,
    syslog: Destination,
}

/// A queue and the thread that empties it.
struct Destination {
    /// A [`Severity`] as number; [`OFF`] = nothing.
    level: AtomicU8,
    queue: SyncSender<Message>,
    /// Lines dropped since the last one that fitted.
    lost: AtomicU64,
    /// What the thread works on; taken when it starts, which is when the first line may come.
    waiting: Mutex<Option<(Receiver<Message>, Sink)>>,
    errors: Arc<AtomicU64>,
}

enum Message {
    Line(Box<[u8]>),
    /// Go on in another file.
    Path(PathBuf),
    /// Open the file again.
    Reopen,
    /// Say when everything before is written.
    Flush(SyncSender<()>),
}

const OFF: u8 = u8::MAX;

// === impl Severity ===

impl Severity {
    /// The severity that a word names, in any letter case.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        Some(match word.to_ascii_uppercase().as_str() {
            "DEBUG" | "TRACE" => Self::Debug,
            "INFO" => Self::Info,
            "WARNING" | "WARN" => Self::Warning,
            "ERROR" => Self::Error,
            "FATAL" | "PANIC" | "CRITICAL" => Self::Fatal,
            _ => return None,
        })
    }

    fn of(level: Level) -> Self {
        match level {
            Level::ERROR => Self::Error,
            Level::WARN => Self::Warning,
            Level::INFO => Self::Info,
            _ => Self::Debug,
        }
    }

    /// The number that syslog gives it.
    fn syslog(self) -> u8 {
        match self {
            Self::Debug => 7,
            Self::Info => 6,
            Self::Warning => 4,
            Self::Error => 3,
            Self::Fatal => 2,
        }
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Debug => "DEBUG",
            Self::Info => "INFO",
            Self::Warning => "WARNING",
            Self::Error => "ERROR",
            Self::Fatal => "FATAL",
        })
    }
}

// === impl Log ===

impl Log {
    /// Logs that go nowhere until [`Log::configure`]; `screen` is what the screen is.
    #[must_use]
    pub fn new(format: Format, screen: Box<dyn Write + Send>, now: fn() -> SystemTime) -> Self {
        let errors = Arc::<AtomicU64>::default();
        let destination = |sink| Destination::new(sink, Arc::clone(&errors));
        Self {
            shared: Arc::new(Shared {
                format,
                with_source: cfg!(debug_assertions),
                pid: std::process::id(),
                now,
                never_drop: AtomicBool::new(false),
                dropped: AtomicU64::new(0),
                screen: destination(Sink::screen(screen)),
                file: destination(Sink::file()),
                syslog: destination(Sink::syslog(PathBuf::from("/dev/log"))),
                errors,
            }),
        }
    }

    /// The layer that feeds it.
    #[must_use]
    pub fn layer(&self) -> LogLayer {
        LogLayer { shared: Arc::clone(&self.shared) }
    }

    /// Makes every `tracing` line of the process go here; false when somebody has done that before.
    pub fn install(&self) -> bool {
        let subscriber = tracing_subscriber::registry().with(self.layer());
        tracing::subscriber::set_global_default(subscriber).is_ok()
    }

    /// From now on these destinations and levels.
    pub fn configure(&self, settings: &Settings) {
        let shared = &self.shared;
        shared.never_drop.store(settings.never_drop, Ordering::Relaxed);
        let file = settings.file.filter(|_| !settings.path.as_os_str().is_empty());
        if file.is_some() {
            shared.file.start("log file");
            let _ = shared.file.queue.send(Message::Path(settings.path.clone()));
        }
        for (destination, level, name) in [
            (&shared.screen, settings.screen, "log screen"),
            (&shared.file, file, "log file"),
            (&shared.syslog, settings.syslog, "log syslog"),
        ] {
            if level.is_some() {
                destination.start(name);
            }
            destination.level.store(level.map_or(OFF, |level| level as u8), Ordering::Relaxed);
        }
    }

    /// Opens the file again, after somebody moved it away.
    pub fn reopen(&self) {
        if self.shared.file.level.load(Ordering::Relaxed) != OFF {
            let _ = self.shared.file.queue.try_send(Message::Reopen);
        }
    }

    /// Waits until everything is written, or the time is over.
    pub fn flush(&self, patience: Duration) {
        for destination in self.shared.destinations() {
            let (sender, receiver) = sync_channel(1);
            if destination.level.load(Ordering::Relaxed) != OFF
                && destination.queue.try_send(Message::Flush(sender)).is_ok()
            {
                let _ = receiver.recv_timeout(patience);
            }
        }
    }

    /// How many lines were dropped.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.shared.dropped.load(Ordering::Relaxed)
    }

    /// How many lines could not be written.
    #[must_use]
    pub fn errors(&self) -> u64 {
        self.shared.errors.load(Ordering::Relaxed)
    }
}

// === impl Shared ===

impl Shared {
    fn destinations(&self) -> [&Destination; 3] {
        [&self.screen, &self.file, &self.syslog]
    }

    fn wants(&self, severity: Severity) -> bool {
        self.destinations().iter().any(|destination| destination.wants(severity))
    }

    fn send(&self, destination: &Destination, severity: Severity, text: impl FnOnce(&Self) -> Vec<u8>) {
        if !destination.wants(severity) {
            return;
        }
        let message = Message::Line(text(self).into_boxed_slice());
        if self.never_drop.load(Ordering::Relaxed) {
            // A thread that has ended is a destination that is gone.
            let _ = destination.queue.send(message);
        } else if let Err(TrySendError::Full(_)) = destination.queue.try_send(message) {
            destination.lost.fetch_add(1, Ordering::Relaxed);
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Tells a destination what it has lost, now that there may be room.
    fn confess(&self, destination: &Destination, text: impl FnOnce(&Self, &Line<'_>) -> Vec<u8>) {
        let lost = destination.lost.swap(0, Ordering::Relaxed);
        if lost == 0 {
            return;
        }
        let message = format!("dropped {lost} logs");
        let line = Line {
            at: (self.now)(),
            severity: Severity::Warning,
            pid: self.pid,
            source: None,
            message: &message,
            fields: &[],
        };
        if destination.queue.try_send(Message::Line(text(self, &line).into_boxed_slice())).is_err() {
            destination.lost.fetch_add(lost, Ordering::Relaxed);
        }
    }
}

// === impl Destination ===

impl Destination {
    fn new(sink: Sink, errors: Arc<AtomicU64>) -> Self {
        let (queue, receiver) = sync_channel(QUEUE);
        let waiting = Mutex::new(Some((receiver, sink)));
        Self { level: AtomicU8::new(OFF), queue, lost: AtomicU64::new(0), waiting, errors }
    }

    fn wants(&self, severity: Severity) -> bool {
        severity as u8 >= self.level.load(Ordering::Relaxed) && self.level.load(Ordering::Relaxed) != OFF
    }

    fn start(&self, name: &str) {
        let waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some((receiver, mut sink)) = waiting else { return };
        let errors = Arc::clone(&self.errors);
        let started =
            std::thread::Builder::new().name(name.to_owned()).stack_size(64 << 10).spawn(move || {
                while let Ok(message) = receiver.recv() {
                    match message {
                        Message::Line(line) => {
                            if sink.write(&line).is_err() {
                                errors.fetch_add(1, Ordering::Relaxed);
                            }
                        }
                        Message::Path(path) => sink.set_path(path),
                        Message::Reopen => sink.close(),
                        Message::Flush(done) => {
                            let _ = done.send(());
                        }
                    }
                }
            });
        if started.is_err() {
            self.errors.fetch_add(1, Ordering::Relaxed);
        }
    }
}

// === impl LogLayer ===

impl<S: Subscriber> Layer<S> for LogLayer {
    fn register_callsite(&self, _: &'static Metadata<'static>) -> Interest {
        // Levels change while the program runs.
        Interest::sometimes()
    }

    fn enabled(&self, metadata: &Metadata<'_>, _: Context<'_, S>) -> bool {
        let severity = Severity::of(*metadata.level());
        let ours = metadata.target().starts_with(OURS) || severity >= Severity::Warning;
        *metadata.level() <= Level::DEBUG && ours && self.shared.wants(severity)
    }

    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let shared = &*self.shared;
        let metadata = event.metadata();
        let severity = Severity::of(*metadata.level());
        let mut fields = Fields::default();
        event.record(&mut fields);
        let (message, fields) = fields.sorted();
        let source = metadata.file().zip(metadata.line()).filter(|_| shared.with_source);
        let line = Line {
            at: (shared.now)(),
            severity,
            pid: shared.pid,
            source,
            message: &message,
            fields: &fields,
        };
        for (destination, syslog) in [(&shared.screen, false), (&shared.file, false), (&shared.syslog, true)]
        {
            let write = |shared: &Shared, line: &Line<'_>| match (syslog, shared.format) {
                (true, _) => line.syslog(),
                (false, Format::Text) => line.text(),
                (false, Format::Json) => line.json(),
            };
            shared.confess(destination, write);
            shared.send(destination, severity, |shared| write(shared, &line));
        }
    }
}

#[cfg(test)]
mod tests;
