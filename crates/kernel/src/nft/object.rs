//! Declarations of tables, chains and sets.

use std::fmt;
use std::sync::Arc;

use super::{DataType, Fields, Name, TableId};

/// A table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Table {
    /// Which.
    pub id: TableId,
    /// A note for people and for the next start.
    pub comment: Option<Arc<str>>,
    /// Nobody but the socket that made it may change it, and it stays when that socket closes (`owner, persist`).
    /// Only where [`crate::nft::Features::persist`] holds.
    pub owned: bool,
}

/// A chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chain {
    /// Its name, which is one of all chains of the table.
    pub name: Name,
    /// Where packets come from; none = only from rules that jump to it.
    pub base: Option<Base>,
    /// A note.
    pub comment: Option<Arc<str>>,
}

/// The place of a chain on a packet's way through the host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Base {
    /// What it may do.
    pub kind: ChainKind,
    /// Where.
    pub hook: Hook,
    /// Lower comes first.
    pub priority: i32,
    /// What becomes of packets at its end.
    pub policy: ChainPolicy,
}

/// What a base chain may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ChainKind {
    /// Let pass or drop.
    Filter,
    /// Choose the route again when it changed a packet that goes out.
    Route,
    /// Translate addresses; sees the first packet of a flow only.
    Nat,
}

/// A place on a packet's way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Hook {
    /// Before the route is chosen.
    Prerouting,
    /// For the host itself.
    Input,
    /// Through the host.
    Forward,
    /// From the host itself.
    Output,
    /// When the route has been chosen.
    Postrouting,
}

/// What becomes of packets at the end of a base chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ChainPolicy {
    /// On to the next chain.
    Accept,
    /// Gone.
    Drop,
}

/// A set, or with data a map.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Set {
    /// Its name, which is one of all sets and maps of the table.
    pub name: Name,
    /// What is looked up.
    pub key: Fields,
    /// What is found; none = a set.
    pub data: Option<DataType>,
    /// Elements are ranges. Those with one field must not overlap, and each has a last key.
    pub interval: bool,
    /// A note.
    pub comment: Option<Arc<str>>,
}

// === impl Table ===

impl Table {
    /// A table without a note that anybody may change.
    #[must_use]
    pub fn new(id: TableId) -> Self {
        Self { id, comment: None, owned: false }
    }
}

// === impl Chain ===

impl Chain {
    /// A chain that rules jump to.
    #[must_use]
    pub fn regular(name: Name) -> Self {
        Self { name, base: None, comment: None }
    }

    /// A chain at a hook; packets that reach its end go on.
    #[must_use]
    pub fn base(name: Name, kind: ChainKind, hook: Hook, priority: i32) -> Self {
        Self { name, base: Some(Base { kind, hook, priority, policy: ChainPolicy::Accept }), comment: None }
    }
}

// === impl Set ===

impl Set {
    /// A set of single values.
    #[must_use]
    pub fn of(name: Name, key: Fields) -> Self {
        Self { name, key, data: None, interval: false, comment: None }
    }

    /// A set of ranges.
    #[must_use]
    pub fn of_ranges(name: Name, key: Fields) -> Self {
        Self { interval: true, ..Self::of(name, key) }
    }

    /// A map from single values.
    #[must_use]
    pub fn map(name: Name, key: Fields, data: DataType) -> Self {
        Self { data: Some(data), ..Self::of(name, key) }
    }
}

// === impl ChainKind ===

impl ChainKind {
    /// The kernel's name.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            ChainKind::Filter => "filter",
            ChainKind::Route => "route",
            ChainKind::Nat => "nat",
        }
    }

    /// The kind of that name.
    pub(crate) fn from_name(name: &str) -> Option<Self> {
        [ChainKind::Filter, ChainKind::Route, ChainKind::Nat].into_iter().find(|kind| kind.as_str() == name)
    }
}

impl fmt::Display for ChainKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

// === impl Hook ===

impl Hook {
    /// `NF_INET_…`.
    pub(crate) fn number(self) -> u32 {
        match self {
            Hook::Prerouting => 0,
            Hook::Input => 1,
            Hook::Forward => 2,
            Hook::Output => 3,
            Hook::Postrouting => 4,
        }
    }

    /// The hook of that number.
    pub(crate) fn from_number(number: u32) -> Option<Self> {
        [Hook::Prerouting, Hook::Input, Hook::Forward, Hook::Output, Hook::Postrouting]
            .into_iter()
            .find(|hook| hook.number() == number)
    }
}

impl fmt::Display for Hook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Hook::Prerouting => "prerouting",
            Hook::Input => "input",
            Hook::Forward => "forward",
            Hook::Output => "output",
            Hook::Postrouting => "postrouting",
        })
    }
}

// === impl ChainPolicy ===

impl fmt::Display for ChainPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            ChainPolicy::Accept => "accept",
            ChainPolicy::Drop => "drop",
        })
    }
}
