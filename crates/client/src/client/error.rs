//! [`ClientError`]: upstream's text, and what we know beyond it.

use margay_model::decode::{Finding, path_text};
use margay_model::resource::MissingIdentifier;
use margay_model::validate::upstream_text;
use margay_store::datastore::Error;

/// Why an operation on a resource was not done. `Display` is upstream's text.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ClientError {
    /// The resource or its identifiers are invalid.
    #[error("{upstream}")]
    Invalid {
        /// Upstream's text.
        upstream: String,
        /// Every fault.
        findings: Vec<Finding>,
    },
    /// The datastore refused or failed.
    #[error(transparent)]
    Store(Error),
    /// A node's or pool's parts are gone in part. Prints its cause.
    #[error("{cause}")]
    HalfDone {
        /// Why it stopped.
        cause: Error,
        /// What is done already, for people.
        done: &'static str,
    },
}

// === impl ClientError ===

impl ClientError {
    /// An error unless there is no finding.
    pub(super) fn of_findings(findings: Vec<Finding>) -> Result<(), Self> {
        match upstream_text(&findings) {
            None => Ok(()),
            Some(upstream) => Err(Self::Invalid { upstream, findings }),
        }
    }

    /// True when the thing asked for is absent.
    #[must_use]
    pub fn is_absent(&self) -> bool {
        matches!(self, Self::Store(error) if error.is_absent())
    }

    /// What we know beyond upstream's text: every fault with its place, what was left half done, what to do next.
    #[must_use]
    pub fn hints(&self) -> Vec<String> {
        match self {
            Self::Invalid { findings, .. } => findings.iter().map(finding_text).collect(),
            Self::Store(error) => store_hints(error),
            Self::HalfDone { cause, done } => {
                let mut hints = vec![format!("{done}; repeat the command to finish")];
                hints.extend(store_hints(cause));
                hints
            }
        }
    }
}

fn finding_text(finding: &Finding) -> String {
    let hint = finding.hint.as_ref().map(|hint| format!(" ({hint})")).unwrap_or_default();
    format!("{}: {}{hint}", path_text(&finding.path), finding.message)
}

fn store_hints(error: &Error) -> Vec<String> {
    match error {
        Error::Incomplete { cause, left } => {
            let mut hints = vec![format!("left half done: {}", left.join(", "))];
            hints.extend(store_hints(cause));
            hints
        }
        Error::BadRecord { path, .. } => vec![format!("the record stands at {path}")],
        Error::MissingIdentifier(MissingIdentifier("node")) => {
            vec!["of a BGP peer, a missing scope counts as a missing node".to_owned()]
        }
        Error::MissingIdentifier(_)
        | Error::DoesNotExist { .. }
        | Error::AlreadyExists { .. }
        | Error::Conflict { .. }
        | Error::Unauthorized
        | Error::NotSupported { .. }
        | Error::Unavailable { .. }
        | Error::Store(_) => Vec::new(),
    }
}

impl From<Error> for ClientError {
    fn from(error: Error) -> Self {
        Self::Store(error)
    }
}

impl From<MissingIdentifier> for ClientError {
    fn from(missing: MissingIdentifier) -> Self {
        Self::Store(Error::MissingIdentifier(missing))
    }
}
