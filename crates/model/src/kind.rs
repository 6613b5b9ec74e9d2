//! The seven kinds and the verbs that clients have for them.

use std::fmt;

/// A kind of resource (`spec/api-v1.md` 1.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// The interface that joins a container or VM to its host.
    WorkloadEndpoint,
    /// An interface of the host itself.
    HostEndpoint,
    /// Rules, tags and labels shared by the endpoints that name it.
    Profile,
    /// Ordered rules for the endpoints its selector picks.
    Policy,
    /// A range that addresses are assigned from.
    IpPool,
    /// A host.
    Node,
    /// A BGP neighbour.
    BgpPeer,
}

/// What a client asks a datastore to do with a resource, in upstream's spelling.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Verb {
    /// Write if absent.
    Create,
    /// Write if present.
    Update,
    /// Write.
    Apply,
    /// Remove.
    Delete,
    /// Read one.
    Get,
    /// Read all that match.
    List,
}

// === impl Kind ===

/// Kind, document word, list word, Go name, words that people type.
type Row = (Kind, &'static str, &'static str, &'static str, &'static [&'static str]);

const KINDS: [Row; 7] = [
    (
        Kind::WorkloadEndpoint,
        "workloadEndpoint",
        "workloadEndpointList",
        "WorkloadEndpoint",
        &["workloadendpoint", "workloadendpoints", "wep", "weps"],
    ),
    (
        Kind::HostEndpoint,
        "hostEndpoint",
        "hostEndpointList",
        "HostEndpoint",
        &["hostendpoint", "hostendpoints", "hep", "heps"],
    ),
    (Kind::Profile, "profile", "profileList", "Profile", &["profile", "profiles", "pro", "pros"]),
    (Kind::Policy, "policy", "policyList", "Policy", &["policy", "policies", "pol", "pols"]),
    (Kind::IpPool, "ipPool", "ipPoolList", "IPPool", &["ippool", "ippools", "ipp", "ipps", "pool", "pools"]),
    (Kind::Node, "node", "nodeList", "Node", &["node", "nodes", "no", "nos"]),
    (
        Kind::BgpPeer,
        "bgpPeer",
        "bgpPeerList",
        "BGPPeer",
        &["bgppeer", "bgppeers", "bgpp", "bgpps", "bp", "bps"],
    ),
];

impl Kind {
    /// Every kind, in the order that upstream's reference lists them.
    pub const ALL: [Self; 7] = [
        Self::WorkloadEndpoint,
        Self::HostEndpoint,
        Self::Profile,
        Self::Policy,
        Self::IpPool,
        Self::Node,
        Self::BgpPeer,
    ];

    fn row(self) -> &'static Row {
        &KINDS[self as usize]
    }

    /// The word that stands in a document: `workloadEndpoint`.
    #[must_use]
    pub fn word(self) -> &'static str {
        self.row().1
    }

    /// The kind of a list document: `workloadEndpointList`.
    #[must_use]
    pub fn list_word(self) -> &'static str {
        self.row().2
    }

    /// The name of the Go type: `WorkloadEndpoint`. Error texts print it.
    #[must_use]
    pub fn go_name(self) -> &'static str {
        self.row().3
    }

    /// The words accepted on a command line, in lower case (`spec/calicoctl.md` 4).
    #[must_use]
    pub fn command_words(self) -> &'static [&'static str] {
        self.row().4
    }

    /// The kind named by a document's `kind`, exact case.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        KINDS.iter().find(|row| row.1 == word).map(|row| row.0)
    }

    /// The kind of the items of a list document.
    #[must_use]
    pub fn from_list_word(word: &str) -> Option<Self> {
        KINDS.iter().find(|row| row.2 == word).map(|row| row.0)
    }

    /// The kind named on a command line, in any letter case.
    #[must_use]
    pub fn from_command_word(word: &str) -> Option<Self> {
        let lower = word.to_lowercase();
        KINDS.iter().find(|row| row.4.contains(&lower.as_str())).map(|row| row.0)
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

// === impl Verb ===

impl fmt::Display for Verb {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Create => "Create",
            Self::Update => "Update",
            Self::Apply => "Apply",
            Self::Delete => "Delete",
            Self::Get => "Get",
            Self::List => "List",
        })
    }
}
