//! Locks between the plugins of one host: files under `flock`, which end with the process however it ends.

use std::fs::{File, OpenOptions, create_dir_all};
use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::fs::{FlockOperation, flock};

/// How long after the first refusal a lock is asked for again, and how long at most after later ones: it is held for a
/// few milliseconds, by one of few or by one of hundreds.
const FIRST_PAUSE: Duration = Duration::from_micros(200);
const LONGEST_PAUSE: Duration = Duration::from_millis(5);

/// A lock that is held until it is dropped.
#[derive(Debug)]
pub(crate) struct Lock {
    _file: File,
}

// === impl Lock ===

impl Lock {
    /// Takes the lock, waiting no longer than `limit`.
    ///
    /// # Errors
    /// The file cannot be opened, or others hold the lock all the time: `WouldBlock`.
    pub(crate) fn take(path: &Path, limit: Duration) -> io::Result<Self> {
        let file = open(path)?;
        let end = Instant::now() + limit;
        let mut pause = FIRST_PAUSE;
        loop {
            match flock(&file, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => return Ok(Self { _file: file }),
                Err(rustix::io::Errno::WOULDBLOCK) if Instant::now() < end => {
                    std::thread::sleep(pause);
                    pause = (pause * 3 / 2).min(LONGEST_PAUSE);
                }
                Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Takes the lock if nobody holds it.
    ///
    /// # Errors
    /// The file cannot be opened.
    pub(crate) fn try_take(path: &Path) -> io::Result<Option<Self>> {
        let file = open(path)?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Some(Self { _file: file })),
            Err(rustix::io::Errno::WOULDBLOCK) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
}

fn open(path: &Path) -> io::Result<File> {
    let try_open = || OpenOptions::new().write(true).create(true).truncate(false).open(path);
    match (try_open(), path.parent()) {
        (Err(error), Some(directory)) if error.kind() == io::ErrorKind::NotFound => {
            create_dir_all(directory)?;
            try_open()
        }
        (opened, _) => opened,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::Lock;

    #[test]
    fn a_lock_is_held_by_one() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("made/on/demand.lock");
        let held = Lock::take(&path, Duration::ZERO).unwrap();
        assert!(Lock::try_take(&path).unwrap().is_none());
        let refused = Lock::take(&path, Duration::from_millis(5)).unwrap_err();
        assert_eq!(refused.kind(), std::io::ErrorKind::WouldBlock);
        drop(held);
        assert!(Lock::try_take(&path).unwrap().is_some());
    }
}
