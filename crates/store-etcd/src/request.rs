//! The requests of etcd's v2 API as values (`spec/datastore-etcdv2.md` 1.1): pure, nothing is sent here.

use std::fmt::Write as _;
use std::time::Duration;

use bytes::Bytes;
use hyper::Method;
use margay_store::kv::{Precondition, Revision};

/// What may be done when nobody knows whether a request was carried out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Repeat {
    /// Doing it twice is doing it once: ask the next member.
    Always,
    /// A second try would report the first one's success as a failure: ask the next member only if it was not sent.
    Unsent,
    /// As upstream: one try, and the bare error.
    Never,
}

/// One request, for whichever member.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Request {
    pub(crate) method: Method,
    /// Path and query, escaped.
    pub(crate) target: String,
    /// The form; empty = none.
    pub(crate) body: Bytes,
    pub(crate) repeat: Repeat,
    /// True for a wait: no body within the time is an answer.
    pub(crate) waits: bool,
}

// === impl Request ===

impl Request {
    fn new(method: Method, key: &str, query: &str, repeat: Repeat) -> Self {
        let mut target = String::with_capacity(8 + key.len() + query.len() + 16);
        target.push_str("/v2/keys");
        escape_path(key, &mut target);
        if !query.is_empty() {
            target.push('?');
            target.push_str(query);
        }
        Self { method, target, body: Bytes::new(), repeat, waits: false }
    }

    pub(crate) fn get(key: &str) -> Self {
        Self::new(Method::GET, key, "quorum=true&recursive=false&sorted=false", Repeat::Always)
    }

    pub(crate) fn list(prefix: &str) -> Self {
        Self::new(Method::GET, prefix, "quorum=true&recursive=true&sorted=true", Repeat::Always)
    }

    pub(crate) fn children(directory: &str) -> Self {
        Self::new(Method::GET, directory, "quorum=true&recursive=false&sorted=true", Repeat::Always)
    }

    pub(crate) fn put(key: &str, value: &str, when: Precondition, ttl: Option<Duration>) -> Self {
        let mut request = match when {
            Precondition::None => Self::new(Method::PUT, key, "", Repeat::Always),
            Precondition::Absent => Self::new(Method::PUT, key, "prevExist=false", Repeat::Never),
            Precondition::Present => Self::new(Method::PUT, key, "prevExist=true", Repeat::Always),
            Precondition::Revision(revision) => {
                let query = format!("prevExist=true&prevIndex={}", revision.get());
                Self::new(Method::PUT, key, &query, Repeat::Unsent)
            }
        };
        let mut body = String::with_capacity(value.len() + value.len() / 2 + 16);
        if let Some(seconds) = ttl.map(|ttl| ttl.as_secs()).filter(|seconds| *seconds > 0) {
            let _ = write!(body, "ttl={seconds}&");
        }
        body.push_str("value=");
        escape_form(value, &mut body);
        request.body = Bytes::from(body);
        request
    }

    pub(crate) fn delete(key: &str, revision: Option<Revision>) -> Self {
        match revision {
            None => Self::new(Method::DELETE, key, "recursive=true", Repeat::Never),
            Some(revision) => {
                let query = format!("prevIndex={}&recursive=true", revision.get());
                Self::new(Method::DELETE, key, &query, Repeat::Never)
            }
        }
    }

    pub(crate) fn make_directory(directory: &str) -> Self {
        Self::new(Method::PUT, directory, "dir=true&prevExist=false", Repeat::Always)
    }

    pub(crate) fn remove_directory(directory: &str) -> Self {
        Self::new(Method::DELETE, directory, "dir=true", Repeat::Never)
    }

    pub(crate) fn watch(prefix: &str, index: u64) -> Self {
        let query = format!("wait=true&waitIndex={index}&recursive=true");
        Self { waits: true, ..Self::new(Method::GET, prefix, &query, Repeat::Always) }
    }
}

// === helpers ===

/// Escapes a key, whose own escapes are thereby escaped once more; the slashes stay.
fn escape_path(key: &str, out: &mut String) {
    escape(key, out, |byte| {
        matches!(
            byte,
            b'-' | b'_' | b'.' | b'~' | b'/' | b':' | b'@' | b'$' | b'&' | b'+' | b',' | b';' | b'='
        )
    });
}

fn escape_form(value: &str, out: &mut String) {
    escape(value, out, |byte| matches!(byte, b'-' | b'_' | b'.' | b'~'));
}

fn escape(text: &str, out: &mut String, plain: impl Fn(u8) -> bool) {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    let mut run = 0;
    for (at, byte) in text.bytes().enumerate() {
        if byte.is_ascii_alphanumeric() || plain(byte) {
            continue;
        }
        // Bytes of one character are escaped one after the other, so a run never ends inside of one.
        out.push_str(text.get(run..at).unwrap_or(""));
        out.push('%');
        out.push(char::from(DIGITS[usize::from(byte >> 4)]));
        out.push(char::from(DIGITS[usize::from(byte & 15)]));
        run = at + 1;
    }
    out.push_str(text.get(run..).unwrap_or(""));
}

#[cfg(test)]
mod tests;
