//! Network namespaces: opened once, entered by throw-away threads alone.
//!
//! A thread that has been in another namespace is never used again, so no socket of the rest of the program can end
//! up in the wrong one. What a visit opens (sockets, directories) stays open and stays in that namespace.

mod isolate;

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;

use rustix::thread::{LinkNameSpaceType, UnshareFlags};

pub use isolate::{Isolation, isolated};

/// An open network namespace; a copy is cheap and keeps it alive.
#[derive(Debug, Clone)]
pub struct Namespace {
    fd: Arc<OwnedFd>,
    /// Device and inode of the open file: two files of one namespace have the same.
    identity: (u64, u64),
}

/// A namespace can not be opened or entered.
#[derive(Debug, thiserror::Error)]
pub enum NamespaceError {
    /// There is no such namespace (any more).
    #[error("opening network namespace {}: there is none", .path.display())]
    Missing {
        /// The file.
        path: PathBuf,
    },
    /// The file can not be opened.
    #[error("opening network namespace {}", .path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// A new one can not be made.
    #[error("making a network namespace")]
    Create(#[source] io::Error),
    /// The thread can not go in.
    #[error("entering a network namespace")]
    Enter(#[source] io::Error),
}

/// The visitor panicked; the panic goes on in the caller.
fn resume<T>(result: thread::Result<T>) -> T {
    result.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

// === impl Namespace ===

impl Namespace {
    /// Opens the namespace that a file stands for, as in `/run/netns` or `/proc/PID/ns/net`.
    pub fn open(path: &Path) -> Result<Self, NamespaceError> {
        let open = |source: io::Error| match source.kind() {
            io::ErrorKind::NotFound => NamespaceError::Missing { path: path.to_owned() },
            _ => NamespaceError::Open { path: path.to_owned(), source },
        };
        let file = File::open(path).map_err(open)?;
        let namespace = Self::try_from(OwnedFd::from(file)).map_err(open)?;
        let magic = rustix::fs::fstatfs(&namespace.fd).map_err(|errno| open(errno.into()))?.f_type;
        if magic != libc::NSFS_MAGIC {
            // What a bind mount leaves when its namespace is gone is an ordinary empty file.
            return Err(NamespaceError::Missing { path: path.to_owned() });
        }
        Ok(namespace)
    }

    /// Opens the namespace of this thread.
    pub fn current() -> Result<Self, NamespaceError> {
        Self::open(Path::new("/proc/thread-self/ns/net"))
    }

    /// Makes a namespace without a name: it lives as long as it is open or someone is in it.
    pub fn create() -> Result<Self, NamespaceError> {
        thread::scope(|scope| {
            #[expect(unsafe_code, reason = "unshare can take descriptors away from other threads")]
            let visitor = scope.spawn(|| {
                // SAFETY: without CLONE_FILES no descriptor of another thread can vanish; the network namespace
                // belongs to this thread, which ends here.
                unsafe { rustix::thread::unshare_unsafe(UnshareFlags::NEWNET) }
                    .map_err(|errno| NamespaceError::Create(errno.into()))?;
                Self::current()
            });
            resume(visitor.join())
        })
    }

    /// Runs a function in the namespace, on a thread of its own, and waits for it.
    pub fn run<T: Send>(&self, visit: impl FnOnce() -> T + Send) -> Result<T, NamespaceError> {
        thread::scope(|scope| {
            let visitor = scope.spawn(|| {
                rustix::thread::move_into_link_name_space(self.as_fd(), Some(LinkNameSpaceType::Network))
                    .map_err(|errno| NamespaceError::Enter(errno.into()))?;
                Ok(visit())
            });
            resume(visitor.join())
        })
    }
}

impl TryFrom<OwnedFd> for Namespace {
    type Error = io::Error;

    fn try_from(fd: OwnedFd) -> io::Result<Self> {
        let stat = rustix::fs::fstat(&fd)?;
        Ok(Self { fd: Arc::new(fd), identity: (stat.st_dev, stat.st_ino) })
    }
}

impl AsFd for Namespace {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl PartialEq for Namespace {
    fn eq(&self, other: &Self) -> bool {
        self.identity == other.identity
    }
}

impl Eq for Namespace {}
