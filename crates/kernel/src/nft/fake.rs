//! Tables in memory that take the very bytes that the kernel would, and refuse what it would.
//!
//! A batch is applied to a copy, checked, and swapped in when nothing was refused; a clone of the fake is a dry run.
//! Unlike the kernel it understands only the rules that we write: another program's are refused.

mod apply;
mod check;
mod elements;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use rustix::io::Errno;

use super::wire;
use super::{
    Batch, CommitError, Contents, Detail, Dump, DumpError, Element, Features, Foreign, Name, Nftables, Owner,
};
use super::{RuleHandle, SetContents, TableId, Touched};
use crate::netlink::{Messages, SocketError, be32};
use apply::Applying;

/// The fake.
#[derive(Debug, Clone)]
pub struct Fake {
    tables: BTreeMap<TableId, Held>,
    generation: u32,
    rule: RuleHandle,
    features: Features,
    faults: VecDeque<Fault>,
    poison: BTreeMap<Owner, Errno>,
    foreign: VecDeque<Foreign>,
    commits: usize,
}

/// A table, and how often each chain and set is named.
#[derive(Debug, Clone)]
struct Held {
    contents: Contents,
    chains_used: BTreeMap<Name, usize>,
    sets_used: BTreeMap<Name, usize>,
}

/// What goes wrong, once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// That message of the next batch, counted from 1, is refused; a number beyond its last refuses the whole.
    Refuse {
        /// Which.
        message: u32,
        /// Why.
        errno: Errno,
    },
    /// The next batch is not done, and no answer comes.
    LoseRequest,
    /// The next batch is done, and no answer comes.
    LoseAnswer,
    /// The next dump fails.
    Dump(DumpError),
}

/// The number of messages and refusals of one run over a batch.
#[derive(Debug, Default)]
struct Outcome {
    refused: Vec<(u32, Errno)>,
    touched: BTreeMap<TableId, BTreeSet<Touched>>,
    /// The batch changed where packets can go, and whether they come round must be found out.
    verdicts: bool,
}

// === impl Fake ===

impl Fake {
    /// No tables yet, on a kernel of those features.
    #[must_use]
    pub fn new(features: Features) -> Self {
        Self {
            tables: BTreeMap::new(),
            generation: 1,
            rule: RuleHandle(0),
            features,
            faults: VecDeque::new(),
            poison: BTreeMap::new(),
            foreign: VecDeque::new(),
            commits: 0,
        }
    }

    /// What that table holds.
    #[must_use]
    pub fn contents(&self, table: &TableId) -> Option<&Contents> {
        self.tables.get(table).map(|held| &held.contents)
    }

    /// The tables there are.
    pub fn tables(&self) -> impl Iterator<Item = &TableId> {
        self.tables.keys()
    }

    /// The number of batches that were sent, refused ones included.
    #[must_use]
    pub fn commits(&self) -> usize {
        self.commits
    }

    /// Something goes wrong, once; several go wrong one after another.
    pub fn fail(&mut self, fault: Fault) {
        self.faults.push_back(fault);
    }

    /// Every message of that owner is refused, until [`Fake::heal`].
    pub fn poison(&mut self, owner: Owner, errno: Errno) {
        self.poison.insert(owner, errno);
    }

    /// Nothing goes wrong any more.
    pub fn heal(&mut self) {
        self.faults.clear();
        self.poison.clear();
    }

    /// Another program does these changes.
    ///
    /// # Errors
    ///
    /// As [`Nftables::commit`], faults excepted.
    pub fn commit_foreign(&mut self, batch: &mut Batch) -> Result<(), CommitError> {
        let outcome = batch.closed(None, |bytes| self.run(bytes, &|_| None));
        for (table, touched) in self.settle(batch, outcome)? {
            let foreign = Foreign { generation: self.generation, program: "another".into(), table, touched };
            self.foreign.push_back(foreign);
        }
        Ok(())
    }

    /// Another program sends these bytes, whatever they are; true when they were a batch and it was done.
    pub fn commit_bytes(&mut self, bytes: &[u8]) -> bool {
        let (outcome, tried) = self.run(bytes, &|_| None);
        let Some(tried) = tried.filter(|_| outcome.refused.is_empty()) else { return false };
        self.tables = tried.tables;
        self.rule = tried.rule;
        self.generation += 1;
        true
    }

    /// What other programs did since the last call.
    pub fn take_foreign(&mut self) -> Vec<Foreign> {
        self.foreign.drain(..).collect()
    }

    /// Applies and swaps in, or says what is refused.
    fn run(&mut self, bytes: &[u8], fault: &dyn Fn(u32) -> Option<Errno>) -> (Outcome, Option<Tried>) {
        if bytes.is_empty() {
            return (Outcome::default(), None);
        }
        let mut tried = self.attempt(bytes, fault, false);
        if tried.0.refused.is_empty() && tried.0.verdicts && !self.sound(&tried.1) {
            // Again, looking after each message, as the kernel does.
            tried = self.attempt(bytes, fault, true);
        }
        let (outcome, tables) = tried;
        if outcome.refused.is_empty() { (outcome, Some(tables)) } else { (outcome, None) }
    }

    /// One run over a copy.
    fn attempt(&self, bytes: &[u8], fault: &dyn Fn(u32) -> Option<Errno>, careful: bool) -> (Outcome, Tried) {
        let mut applying = Applying::new(self.tables.clone(), self.features, self.rule);
        let mut outcome = Outcome::default();
        for message in Messages(bytes) {
            if matches!(message.kind, wire::BATCH_BEGIN | wire::BATCH_END) {
                continue;
            }
            let result = match fault(message.sequence) {
                Some(errno) => Err(errno),
                None => applying.message(&message, &mut outcome),
            };
            let checked =
                result.and_then(|()| if careful { check::tables(&applying.tables) } else { Ok(()) });
            if let Err(errno) = checked {
                outcome.refused.push((message.sequence, errno));
                if careful {
                    break;
                }
            }
        }
        (outcome, Tried { tables: applying.tables, rule: applying.rule })
    }

    /// Whether packets can go nowhere in circles.
    fn sound(&self, tried: &Tried) -> bool {
        check::tables(&tried.tables).is_ok()
    }

    /// Swaps in what was done.
    fn settle(
        &mut self,
        batch: &Batch,
        (outcome, tried): (Outcome, Option<Tried>),
    ) -> Result<BTreeMap<TableId, BTreeSet<Touched>>, CommitError> {
        if !outcome.refused.is_empty() {
            let told = outcome.refused.into_iter().map(|(sequence, errno)| (sequence, errno, None));
            return Err(CommitError::refused(batch, told));
        }
        if let Some(tried) = tried {
            self.tables = tried.tables;
            self.rule = tried.rule;
            self.generation += 1;
        }
        Ok(outcome.touched)
    }

    /// A commit of ours, faults included.
    fn commit_ours(&mut self, batch: &mut Batch, expected: Option<u32>) -> Result<(), CommitError> {
        if batch.is_empty() {
            return Ok(());
        }
        self.commits += 1;
        let fault = match self.faults.front() {
            Some(Fault::Dump(_)) | None => None,
            Some(_) => self.faults.pop_front(),
        };
        let lost = || CommitError::Socket {
            bytes: batch.byte_len(),
            source: SocketError::Timeout(std::time::Duration::from_secs(1)),
        };
        if matches!(fault, Some(Fault::LoseRequest)) {
            return Err(lost());
        }
        let lost = matches!(fault, Some(Fault::LoseAnswer)).then(lost);
        let mut owners = BTreeMap::new();
        for sequence in 1..=batch.last_sequence() {
            let poison = batch.owner_of(sequence).and_then(|owner| self.poison.get(&owner));
            owners.extend(poison.map(|errno| (sequence, *errno)));
        }
        if let Some(Fault::Refuse { message, errno }) = fault {
            if message > batch.last_sequence() {
                return Err(CommitError::refused(batch, [(0, errno, None)]));
            }
            owners.insert(message, errno);
        }
        let generation = self.generation;
        let tried = batch.closed(expected, |bytes| {
            let begin = Messages(bytes).next()?;
            let wanted = begin.attributes(wire::GENMSG).find(|(kind, _)| *kind == wire::BATCH_GENERATION);
            if wanted.and_then(|(_, value)| be32(value)).is_some_and(|wanted| wanted != generation) {
                return None;
            }
            Some(self.run(bytes, &|sequence| owners.get(&sequence).copied()))
        });
        self.settle(batch, tried.ok_or(CommitError::Stale)?)?;
        lost.map_or(Ok(()), Err)
    }
}

/// The tables as a batch leaves them.
#[derive(Debug)]
struct Tried {
    tables: BTreeMap<TableId, Held>,
    rule: RuleHandle,
}

impl Nftables for Fake {
    fn features(&self) -> Features {
        self.features
    }

    fn commit(&mut self, batch: &mut Batch) -> Result<(), CommitError> {
        self.commit_ours(batch, None)
    }

    fn commit_at(&mut self, batch: &mut Batch, generation: u32) -> Result<(), CommitError> {
        self.commit_ours(batch, Some(generation))
    }

    fn generation(&mut self) -> Result<u32, DumpError> {
        Ok(self.generation)
    }

    fn dump(&mut self, table: &TableId, detail: Detail) -> Result<Dump, DumpError> {
        if let Some(Fault::Dump(error)) = self.faults.front().copied() {
            self.faults.pop_front();
            return Err(error);
        }
        let contents = self.contents(table).map(|contents| reduced(contents, detail));
        Ok(Dump { generation: self.generation, contents })
    }

    fn elements(&mut self, table: &TableId, set: &Name) -> Result<Option<Vec<Element>>, DumpError> {
        let set = self.contents(table).and_then(|contents| contents.sets.get(set));
        Ok(set.filter(|set| set.set.is_some()).map(|set| set.elements().collect()))
    }
}

// === helpers ===

/// As much of a table as is asked for.
fn reduced(contents: &Contents, detail: Detail) -> Contents {
    let mut contents = contents.clone();
    if detail < Detail::Full {
        for chain in contents.chains.values_mut() {
            for rule in &mut Arc::make_mut(chain).rules {
                rule.rule = None;
            }
        }
    }
    if detail < Detail::Elements {
        for set in contents.sets.values_mut() {
            *set = Arc::new(SetContents { set: set.set.clone(), elements: BTreeMap::new() });
        }
    }
    contents
}
