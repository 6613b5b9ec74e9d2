//! What stands in the kernel, or in the fake: a table read back, and the trait that both pass one suite for.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{Base, Batch, CommitError, Data, DumpError, Element, Features, Key, Name, Rule, Set, TableId};

/// The tables of one network namespace.
pub trait Nftables {
    /// What can be done.
    fn features(&self) -> Features;

    /// Does all changes of the batch, or none.
    ///
    /// # Errors
    ///
    /// Says which messages were refused, and whose they are.
    fn commit(&mut self, batch: &mut Batch) -> Result<(), CommitError>;

    /// As [`Nftables::commit`], unless anything changed in any table since that generation.
    ///
    /// # Errors
    ///
    /// [`CommitError::Stale`] when something changed, and those of [`Nftables::commit`].
    fn commit_at(&mut self, batch: &mut Batch, generation: u32) -> Result<(), CommitError>;

    /// The number of the last change of any table; any change is another number.
    ///
    /// # Errors
    ///
    /// When the kernel can not be asked.
    fn generation(&mut self) -> Result<u32, DumpError>;

    /// What a table holds.
    ///
    /// # Errors
    ///
    /// When the kernel can not be asked, or the tables do not keep still.
    fn dump(&mut self, table: &TableId, detail: Detail) -> Result<Dump, DumpError>;

    /// The elements of one set, in order; none when there is no such set, or it is of a kind that we never make.
    ///
    /// # Errors
    ///
    /// When the kernel can not be asked, or the set does not keep still.
    fn elements(&mut self, table: &TableId, set: &Name) -> Result<Option<Vec<Element>>, DumpError>;
}

/// How much of a table is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Detail {
    /// Names, declarations and notes: no elements, and rules without statements. Quick.
    Names,
    /// Also the elements of named sets.
    Elements,
    /// Everything.
    Full,
}

/// A table as it was at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dump {
    /// The moment, for [`Nftables::commit_at`].
    pub generation: u32,
    /// What the table holds; none = there is no such table.
    pub contents: Option<Contents>,
}

/// What a table holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Contents {
    /// Which table.
    pub id: TableId,
    /// Its note.
    pub comment: Option<Arc<str>>,
    /// Nobody but its maker may change it.
    pub owned: bool,
    /// It stands and no packet sees it.
    pub dormant: bool,
    /// By name.
    pub chains: BTreeMap<Name, Arc<ChainContents>>,
    /// Named sets and maps, by name.
    pub sets: BTreeMap<Name, Arc<SetContents>>,
}

/// What a chain holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChainContents {
    /// Where packets come from. A base of a kind that is not ours reads as none.
    pub base: Option<Base>,
    /// Its note.
    pub comment: Option<Arc<str>>,
    /// In order.
    pub rules: Vec<RuleContents>,
}

/// The number by which the kernel knows a rule of a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RuleHandle(pub u64);

/// What a rule is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuleContents {
    /// Its number.
    pub handle: RuleHandle,
    /// Its note.
    pub comment: Option<Arc<str>>,
    /// What it says; none = not read, or it says what we never say. Compare with [`Rule::canonical`].
    pub rule: Option<Rule>,
}

/// What a set holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SetContents {
    /// Its declaration; none = it is of a kind that we never make.
    pub set: Option<Set>,
    /// Its elements; empty when not read.
    pub elements: Elements,
}

/// The elements of a set by key.
pub type Elements = BTreeMap<Key, (Option<Key>, Option<Data>)>;

// === impl SetContents ===

impl SetContents {
    /// The elements in order.
    pub fn elements(&self) -> impl Iterator<Item = Element> + '_ {
        self.elements.iter().map(|(key, (last, data))| Element { key: *key, last: *last, data: data.clone() })
    }
}
