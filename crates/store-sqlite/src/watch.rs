//! [`SqliteWatch`]: changes committed by any process, without polling.
//!
//! A writer sets the times of the database file after its commit; the kernel reports that to the inotify descriptor
//! here. A writer killed between the two closes the file, which is reported too. Writes to the log file beside it
//! would come too early: they happen before the commit can be read.

use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

use margay_store::kv::{Change, KvError, Result, Watch};
use rustix::fs::inotify::{self, CreateFlags, WatchFlags};
use tokio::io::unix::AsyncFd;

use crate::file::Identity;
use crate::keyspace::Millis;
use crate::path::StoredPath;
use crate::store::Shared;

/// A running watch of a [`SqliteKv`](crate::SqliteKv).
pub struct SqliteWatch {
    shared: Arc<Shared>,
    prefix: StoredPath,
    after: u64,
    bell: Bell,
    looks: u64,
}

/// Rings when the file may have been written.
struct Bell {
    inotify: AsyncFd<OwnedFd>,
    /// The file it is attached to.
    identity: Identity,
}

// === impl SqliteWatch ===

impl std::fmt::Debug for SqliteWatch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SqliteWatch")
            .field("path", &self.shared.path())
            .field("after", &self.after)
            .finish_non_exhaustive()
    }
}

impl Watch for SqliteWatch {
    async fn next(&mut self) -> Result<Vec<Change>> {
        loop {
            // The bell first, then the look: what is committed behind the look rings.
            self.attach()?;
            self.looks += 1;
            let look = self.shared.look(&self.prefix, self.after).await?;
            self.after = look.through;
            if !look.changes.is_empty() {
                return Ok(look.changes);
            }
            if !look.more {
                self.bell.ring(look.next_expiry.map(|at| self.until(at))).await?;
            }
        }
    }
}

impl SqliteWatch {
    pub(crate) fn new(shared: Arc<Shared>, prefix: StoredPath, after: u64) -> Result<Self> {
        let identity = shared.identity()?;
        let bell = Bell::at(&shared, identity)?;
        Ok(Self { shared, prefix, after, bell, looks: 0 })
    }

    /// How often this watch has looked into the file: the whole of what it costs.
    #[must_use]
    pub fn looks(&self) -> u64 {
        self.looks
    }

    /// Moves the bell to the file that stands at the path now.
    fn attach(&mut self) -> Result<()> {
        loop {
            let identity = self.shared.identity()?;
            if self.bell.identity == identity {
                return Ok(());
            }
            self.bell = Bell::at(&self.shared, identity)?;
        }
    }

    fn until(&self, at: Millis) -> Duration {
        let millis = at.saturating_sub(self.shared.now());
        // What expired at this moment was not removed for want of the lock or of disk space: not at once again.
        Duration::from_millis(u64::try_from(millis).unwrap_or(0).max(100))
    }
}

// === impl Bell ===

impl Bell {
    fn at(shared: &Shared, identity: Identity) -> Result<Self> {
        let failed = |error: std::io::Error| {
            KvError::Storage(format!(
                "watching datastore {}: {error}; the limits are in /proc/sys/fs/inotify",
                shared.path().display()
            ))
        };
        let inotify = inotify::init(CreateFlags::NONBLOCK | CreateFlags::CLOEXEC)
            .map_err(|error| failed(error.into()))?;
        let events =
            WatchFlags::ATTRIB | WatchFlags::CLOSE_WRITE | WatchFlags::MOVE_SELF | WatchFlags::DELETE_SELF;
        inotify::add_watch(&inotify, shared.path(), events).map_err(|error| failed(error.into()))?;
        #[expect(
            deprecated,
            reason = "its successor is unsafe; an `OwnedFd` stays open and the same while it is owned"
        )]
        let inotify = AsyncFd::new(inotify).map_err(failed)?;
        Ok(Self { inotify, identity })
    }

    /// Waits for a ring or for `timeout`, and takes all rings there are; cancel-safe.
    async fn ring(&mut self, timeout: Option<Duration>) -> Result<()> {
        let rung = async {
            let mut ready = self.inotify.readable().await?;
            // What rang does not matter, so whole buffers go unread.
            let mut events = [0_u8; 4096];
            while let Ok(taken) =
                ready.try_io(|inotify| Ok(rustix::io::read(inotify.get_ref(), &mut events)?))
            {
                taken?;
            }
            Ok::<(), std::io::Error>(())
        };
        let outcome = match timeout {
            None => rung.await,
            Some(timeout) => tokio::time::timeout(timeout, rung).await.unwrap_or(Ok(())),
        };
        outcome.map_err(|error| KvError::Storage(format!("waiting for changes of the datastore: {error}")))
    }
}
