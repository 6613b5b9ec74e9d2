//! What is wrong with a record, and what follows from it (`spec/policy.md` 1.3).

use std::fmt;
use std::sync::Arc;

/// The kind of a record; its word labels metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// `workloadEndpoint`.
    WorkloadEndpoint,
    /// `hostEndpoint`.
    HostEndpoint,
    /// `policy`.
    Policy,
    /// `profile`.
    Profile,
    /// `ipPool`.
    IpPool,
    /// `node`.
    Node,
}

/// What follows from a fault. The first four take a whole record; the others leave the rest of it alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Effect {
    /// The record counts for nothing.
    Ignored,
    /// The policy denies everything in its directions, at its place.
    DeniesAll,
    /// The profile is as good as missing: it denies at its place.
    ProfileDenies,
    /// The host endpoint stays, with no profile and no label.
    Bare,
    /// The rule is left out.
    RuleLeftOut,
    /// The rule applies without its ICMP code.
    WithoutCode,
    /// The rule can match no packet.
    NeverMatches,
    /// The NAT is left out.
    NatLeftOut,
    /// Nothing: the record is used as it is.
    Accepted,
}

/// One thing wrong with one record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Quarantine {
    /// What kind of record it is.
    pub kind: Kind,
    /// Its datastore key.
    pub key: Arc<str>,
    /// What is wrong, naming the field.
    pub message: String,
    /// What follows.
    pub effect: Effect,
}

// === impl Kind ===

impl Kind {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::WorkloadEndpoint, Self::HostEndpoint, Self::Policy, Self::Profile, Self::IpPool, Self::Node];

    /// The kind's name in documents.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::WorkloadEndpoint => "workloadEndpoint",
            Self::HostEndpoint => "hostEndpoint",
            Self::Policy => "policy",
            Self::Profile => "profile",
            Self::IpPool => "ipPool",
            Self::Node => "node",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

// === impl Effect ===

impl Effect {
    /// True when the record, or a part of it, does not say what its writer meant.
    #[must_use]
    pub fn is_invalid(self) -> bool {
        !matches!(self, Self::NeverMatches | Self::Accepted)
    }
}

impl fmt::Display for Effect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ignored => "it counts for nothing",
            Self::DeniesAll => "the policy denies everything in its directions",
            Self::ProfileDenies => "the profile denies, as a missing one does",
            Self::Bare => "the host endpoint stays, without profiles and labels",
            Self::RuleLeftOut => "this rule is left out",
            Self::WithoutCode => "this rule applies whatever the ICMP code",
            Self::NeverMatches => "this rule matches no packet",
            Self::NatLeftOut => "this NAT is left out",
            Self::Accepted => "it is used as it is",
        })
    }
}

// === impl Quarantine ===

impl fmt::Display for Quarantine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}: {}", self.key, self.message, self.effect)
    }
}
