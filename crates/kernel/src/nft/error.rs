//! What the kernel did not do, and whose fault it is.

use std::fmt;

use rustix::io::Errno;

use super::{Owner, describe};
use crate::netlink::SocketError;

/// A batch was not done; nothing of it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CommitError {
    /// The kernel refused some messages.
    ///
    /// Where a rule or element sends packets in circles, or to what may not be done there, the kernel also refuses
    /// all rules and elements behind it for the same reason; these are left out, for they are not at fault.
    #[error("{}", refused(.0))]
    Refused(Vec<Refusal>),
    /// The tables are no longer those that the batch was made for ([`super::Nftables::commit_at`]).
    #[error("the tables changed meanwhile")]
    Stale,
    /// The kernel could not be asked. After [`SocketError::Timeout`] the batch may have been done.
    #[error("committing {bytes} bytes of nftables changes")]
    Socket {
        /// Of the batch.
        bytes: usize,
        /// Why.
        #[source]
        source: SocketError,
    },
}

/// A message that the kernel refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// Whose message; none = no single message, the whole batch.
    pub owner: Option<Owner>,
    /// The kernel's number.
    pub errno: Errno,
    /// The kernel's words, when it has any.
    pub message: Option<String>,
    /// What was asked, in words.
    pub request: String,
}

/// Tables could not be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DumpError {
    /// The kernel could not be asked.
    #[error("reading nftables")]
    Socket(#[from] SocketError),
    /// The kernel refused.
    #[error("reading nftables")]
    Refused(#[source] Errno),
    /// Somebody changes the tables faster than they can be read.
    #[error("the tables change faster than they can be read")]
    Unsettled,
}

// === impl CommitError ===

impl CommitError {
    /// The refusals of messages by number.
    pub(crate) fn refused<'a>(
        batch: &super::Batch,
        refusals: impl IntoIterator<Item = (u32, Errno, Option<&'a str>)>,
    ) -> Self {
        let mut whole_table: Vec<Errno> = Vec::new();
        let mut causes = Vec::new();
        for (sequence, errno, message) in refusals {
            let found_later = [Errno::MLINK, Errno::OPNOTSUPP].contains(&errno)
                && batch.message(sequence).is_some_and(describe::sends_packets);
            if found_later && whole_table.contains(&errno) {
                continue;
            }
            if found_later {
                whole_table.push(errno);
            }
            causes.push(Refusal::new(batch, sequence, errno, message));
        }
        CommitError::Refused(causes)
    }

    /// The owners of all refused messages, each once; empty when it is not known whose fault it is.
    #[must_use]
    pub fn owners(&self) -> Vec<Owner> {
        let CommitError::Refused(refusals) = self else { return Vec::new() };
        let mut owners: Vec<_> = refusals.iter().filter_map(|refusal| refusal.owner).collect();
        owners.sort_unstable();
        owners.dedup();
        owners
    }
}

// === impl Refusal ===

impl Refusal {
    /// The refusal of the message of that number.
    fn new(batch: &super::Batch, sequence: u32, errno: Errno, message: Option<&str>) -> Self {
        let request = match batch.message(sequence) {
            Some(bytes) => describe::message(bytes),
            None => "committing the batch".to_owned(),
        };
        Self { owner: batch.owner_of(sequence), errno, message: message.map(str::to_owned), request }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.request, self.errno)?;
        match &self.message {
            Some(message) => write!(f, " ({message})"),
            None => Ok(()),
        }
    }
}

// === helpers ===

/// The first refusal, and how many more there are.
fn refused(refusals: &[Refusal]) -> String {
    match refusals {
        [] => "the kernel refused the batch".to_owned(),
        [one] => one.to_string(),
        [first, rest @ ..] => format!("{first}, and {} more", rest.len()),
    }
}
