//! [`Mailbox`]: what the calculation has for the dataplane, coalesced, with a descriptor to poll.
//!
//! The calculation never waits here: what the dataplane has not taken yet is merged with what is new, so the box holds
//! at most one of everything, whatever the kernel's speed.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use margay_dataplane::Config;
use margay_intent::Changes;
use rustix::event::{EventfdFlags, eventfd};

/// What waits for the dataplane.
#[derive(Debug, Default)]
pub(crate) struct Mail {
    /// What is wanted now, all since the last time taken together.
    pub(crate) changes: Changes,
    /// The first snapshot is complete.
    pub(crate) in_sync: bool,
    /// Parameters that differ.
    pub(crate) config: Option<Config>,
    /// When the oldest of it was read from the datastore.
    pub(crate) since: Option<Instant>,
    /// The thread has to end.
    pub(crate) stop: bool,
}

/// A place between two threads.
#[derive(Debug)]
pub(crate) struct Mailbox {
    mail: Mutex<Mail>,
    bell: OwnedFd,
}

// === impl Mailbox ===

impl Mailbox {
    /// An empty one.
    ///
    /// # Errors
    /// The system has no descriptor left.
    pub(crate) fn new() -> std::io::Result<Self> {
        let bell = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        Ok(Self { mail: Mutex::default(), bell })
    }

    /// Adds changes, whose oldest cause was read at `since`.
    pub(crate) fn post(&self, changes: Changes, in_sync: bool, since: Option<Instant>) {
        self.put(|mail| {
            mail.changes.merge(changes);
            mail.in_sync |= in_sync;
            mail.since = mail.since.or(since);
        });
    }

    /// Other parameters from now on.
    pub(crate) fn configure(&self, config: Config) {
        self.put(|mail| mail.config = Some(config));
    }

    /// Makes the thread end.
    pub(crate) fn stop(&self) {
        self.put(|mail| mail.stop = true);
    }

    /// Everything that waits, and quiet until there is more.
    pub(crate) fn take(&self) -> Mail {
        // Quiet first: what comes between would otherwise be forgotten.
        let _ = rustix::io::read(&self.bell, &mut [0_u8; 8]);
        std::mem::take(&mut *self.mail.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn put(&self, change: impl FnOnce(&mut Mail)) {
        change(&mut self.mail.lock().unwrap_or_else(PoisonError::into_inner));
        // A bell that rings already is enough.
        let _ = rustix::io::write(&self.bell, &1_u64.to_ne_bytes());
    }
}

impl AsFd for Mailbox {
    /// Readable while something waits.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.bell.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd as _;
    use std::time::{Duration, Instant};

    use margay_intent::{Changes, Pool};
    use rustix::event::{PollFd, PollFlags, poll};

    use super::Mailbox;

    fn rings(mailbox: &Mailbox) -> bool {
        let now = rustix::event::Timespec { tv_sec: 0, tv_nsec: 0 };
        poll(&mut [PollFd::from_borrowed_fd(mailbox.as_fd(), PollFlags::IN)], Some(&now)).unwrap() == 1
    }

    fn pool(masquerade: Option<bool>) -> Changes {
        let mut changes = Changes::default();
        changes.pools.insert("10.0.0.0/8".parse().unwrap(), masquerade.map(|masquerade| Pool { masquerade }));
        changes
    }

    #[test]
    fn what_is_not_taken_is_merged_and_rings_once() {
        let mailbox = Mailbox::new().unwrap();
        assert!(!rings(&mailbox));
        let first = Instant::now();
        mailbox.post(pool(Some(true)), true, Some(first));
        mailbox.post(pool(None), false, Some(first + Duration::from_secs(1)));
        assert!(rings(&mailbox));
        let mail = mailbox.take();
        assert_eq!((mail.changes, mail.in_sync, mail.since), (pool(None), true, Some(first)));
        assert!(!rings(&mailbox));
        assert!(mailbox.take().changes.is_empty());
        mailbox.stop();
        assert!(rings(&mailbox) && mailbox.take().stop);
    }
}
