//! [`ClientError`]: upstream's text, and what we know beyond it.

use margay_model::Kind;
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
    /// An identifier is not set.
    #[error("{missing}")]
    Missing {
        /// Of what.
        kind: Kind,
        /// Which.
        missing: MissingIdentifier,
    },
    /// The datastore refused or failed.
    #[error(transparent)]
    Store(Error),
    /// Addresses could not be released.
    #[error(transparent)]
    Ipam(#[from] margay_ipam::Error),
    /// A node's or pool's parts are gone in part. Prints its cause.
    #[error("{cause}")]
    HalfDone {
        /// Why it stopped.
        cause: Box<Self>,
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
            Self::Missing { kind: Kind::BgpPeer, missing: MissingIdentifier("node") } => {
                vec!["say the scope: global, or node with the node's name".to_owned()]
            }
            Self::Missing { .. } => Vec::new(),
            Self::Store(error) => store_hints(error),
            Self::Ipam(margay_ipam::Error::Store(error)) => store_hints(error),
            Self::Ipam(margay_ipam::Error::BadRecord { .. } | margay_ipam::Error::Contended { .. }) => {
                Vec::new()
            }
            Self::HalfDone { cause, done } => {
                let mut hints = vec![format!("{done}; repeat the command to finish")];
                hints.extend(cause.hints());
                hints
            }
        }
    }
}

fn finding_text(finding: &Finding) -> String {
    let hint = finding.hint.as_ref().map(|hint| format!(" ({hint})")).unwrap_or_default();
    format!("{}: {}{hint}", path_text(&finding.path), finding.message)
}

/// What to do when no etcd answers.
const UNREACHABLE: &str = "no etcd answers there: check ETCD_ENDPOINTS or the settings file; \
    one machine needs no etcd: the embedded store is used with DATASTORE_TYPE=sqlite, or by calling margay";

fn store_hints(error: &Error) -> Vec<String> {
    match error {
        Error::Incomplete { cause, left } => {
            let mut hints = vec![format!("left half done: {}", left.join(", "))];
            hints.extend(store_hints(cause));
            hints
        }
        Error::BadRecord { path, .. } => vec![format!("the record stands at {path}")],
        Error::Unauthorized => vec!["check etcdUsername and etcdPassword, and the user's roles".to_owned()],
        Error::Unavailable { .. } => vec![UNREACHABLE.to_owned()],
        Error::MissingIdentifier(_)
        | Error::DoesNotExist { .. }
        | Error::AlreadyExists { .. }
        | Error::Conflict { .. }
        | Error::NotSupported { .. }
        | Error::Store(_) => Vec::new(),
    }
}

impl From<Error> for ClientError {
    fn from(error: Error) -> Self {
        Self::Store(error)
    }
}
