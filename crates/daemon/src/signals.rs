//! The signals that a program hears.

use tokio::signal::unix::{Signal as Stream, SignalKind, signal};

/// What a signal asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signal {
    /// To end: SIGTERM or SIGINT.
    End(&'static str),
    /// To open the log file again: SIGHUP.
    Reopen,
}

/// The signals from now on; while it lives they do not end the process.
pub struct Signals {
    term: Stream,
    int: Stream,
    hup: Stream,
    /// Heard and ignored: upstream writes a profile of the Go heap.
    usr1: Stream,
}

// === impl Signals ===

impl Signals {
    /// Begins to listen. Must be called inside a runtime.
    ///
    /// # Errors
    /// The system refuses.
    pub fn new() -> std::io::Result<Self> {
        Ok(Self {
            term: signal(SignalKind::terminate())?,
            int: signal(SignalKind::interrupt())?,
            hup: signal(SignalKind::hangup())?,
            usr1: signal(SignalKind::user_defined1())?,
        })
    }

    /// Waits for the next signal; cancel-safe.
    pub async fn next(&mut self) -> Signal {
        loop {
            tokio::select! {
                Some(()) = self.term.recv() => return Signal::End("SIGTERM"),
                Some(()) = self.int.recv() => return Signal::End("SIGINT"),
                Some(()) = self.hup.recv() => return Signal::Reopen,
                Some(()) = self.usr1.recv() => {}
            }
        }
    }
}
