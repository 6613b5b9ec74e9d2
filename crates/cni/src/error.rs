//! [`Failure`]: what a runtime reads on stdout when a verb did not succeed (`spec/cni.md` 1.4).
//!
//! `msg` keeps the words that operators search for; what is known beyond them stands in `details`. Neither ever holds
//! a secret of the network configuration.

use serde_json::{Value, json};

/// The number of an error: those of the CNI specification, and ours from 100.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Code(pub u32);

/// Why a verb did not succeed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{msg}")]
pub struct Failure {
    /// The number.
    pub code: Code,
    /// What operators search for.
    pub msg: String,
    /// More of it; empty = nothing.
    pub details: String,
}

/// Result of a step of a verb.
pub type Result<T, E = Failure> = std::result::Result<T, E>;

// === impl Code ===

impl Code {
    /// The version of the specification is not spoken.
    pub const VERSION: Self = Self(1);
    /// A field of the configuration is not supported.
    pub const FIELD: Self = Self(2);
    /// An environment variable is missing or no good.
    pub const ENVIRONMENT: Self = Self(4);
    /// Input or output failed.
    pub const IO: Self = Self(5);
    /// Something is not the JSON it should be.
    pub const DECODE: Self = Self(6);
    /// The network configuration is no good.
    pub const CONFIG: Self = Self(7);
    /// The namespace given is the plugin's own.
    pub const OWN_NETNS: Self = Self(8);
    /// Nothing is wrong that does not pass: try again.
    pub const TRY_LATER: Self = Self(11);
    /// The plugin cannot add now.
    pub const UNAVAILABLE: Self = Self(50);
    /// Anything else.
    pub const GENERIC: Self = Self(100);
    /// The datastore cannot be reached.
    pub const DATASTORE: Self = Self(101);
    /// The datastore refuses us.
    pub const UNAUTHORIZED: Self = Self(102);
    /// No address is free.
    pub const NO_ADDRESS: Self = Self(103);
    /// The kernel refused.
    pub const KERNEL: Self = Self(104);
    /// Another plugin failed.
    pub const DELEGATE: Self = Self(105);
    /// CHECK: the container's interface is not as it was made.
    pub const CHECK_CONTAINER: Self = Self(110);
    /// CHECK: an address is missing.
    pub const CHECK_ADDRESS: Self = Self(111);
    /// CHECK: a route of the container is missing.
    pub const CHECK_ROUTE: Self = Self(112);
    /// CHECK: the host's end is not as it was made.
    pub const CHECK_HOST: Self = Self(113);
    /// CHECK: a route of the host is missing.
    pub const CHECK_HOST_ROUTE: Self = Self(114);
    /// CHECK: the endpoint's record is missing or another container's.
    pub const CHECK_ENDPOINT: Self = Self(115);
    /// CHECK: an address is not assigned to this container.
    pub const CHECK_ASSIGNMENT: Self = Self(116);
}

// === impl Failure ===

impl Failure {
    /// A failure without details.
    pub fn new(code: Code, msg: impl Into<String>) -> Self {
        Self { code, msg: msg.into(), details: String::new() }
    }

    /// The same with details, added behind those it has.
    #[must_use]
    pub fn with_details(mut self, details: impl AsRef<str>) -> Self {
        let details = details.as_ref();
        if !details.is_empty() {
            if !self.details.is_empty() {
                self.details.push_str("; ");
            }
            self.details.push_str(details);
        }
        self
    }

    /// The object that goes to stdout. Its version is the request's, if that could be read.
    #[must_use]
    pub fn to_json(&self, version: &str) -> Value {
        let mut object = json!({ "cniVersion": version, "code": self.code.0, "msg": self.msg });
        if !self.details.is_empty() {
            object["details"] = Value::String(self.details.clone());
        }
        object
    }
}

impl From<margay_store::datastore::Error> for Failure {
    fn from(error: margay_store::datastore::Error) -> Self {
        use margay_store::datastore::Error as E;
        use margay_store::kv::KvError;
        let code = match &error {
            E::Unauthorized => Code::UNAUTHORIZED,
            // Disk full or not there, a server that talks nonsense: the datastore is away as well.
            E::Unavailable { .. } | E::Store(KvError::Storage(_) | KvError::Server(_)) => Code::DATASTORE,
            E::Conflict { .. } => Code::TRY_LATER,
            E::MissingIdentifier(_)
            | E::DoesNotExist { .. }
            | E::AlreadyExists { .. }
            | E::NotSupported { .. }
            | E::BadRecord { .. }
            | E::Incomplete { .. }
            | E::Store(_) => Code::GENERIC,
        };
        Self::new(code, error.to_string().trim_end())
    }
}

#[cfg(test)]
mod tests {
    use super::{Code, Failure};

    #[test]
    fn details_are_joined_and_left_out_when_empty() {
        let failure = Failure::new(Code::GENERIC, "it broke");
        assert_eq!(
            failure.to_json("1.0.0").to_string(),
            r#"{"cniVersion":"1.0.0","code":100,"msg":"it broke"}"#
        );
        let failure = failure.with_details("one").with_details("").with_details("two");
        assert_eq!(failure.details, "one; two");
        assert_eq!(failure.to_json("")["details"], "one; two");
    }
}
