//! Reading a table from the kernel: several requests that are one picture, because the generation is the same before
//! and after, and no dump was interrupted. Otherwise all of it again.

use std::collections::BTreeMap;
use std::sync::Arc;

use rustix::io::Errno;

use super::read::{ChainMessage, Collector, ElementsMessage, RuleMessage, SetMessage, TableMessage};
use super::wire::{self, msg};
use super::{
    AnonymousSet, ChainContents, Contents, Detail, Dump, DumpError, Element, Name, Nft, Rule, RuleContents,
};
use super::{Set, SetContents, SetRef, TableId, decode};
use crate::netlink::{ACK, Buffer, DONE, DUMP, DUMP_INTR, ERROR, Message, Messages};
use crate::netlink::{REQUEST, SocketError};

/// How often a table is read before we give up on it.
const TRIES: usize = 20;

/// What came of one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Answer {
    /// All of it.
    Whole,
    /// Something changed while it was told.
    Interrupted,
    /// There is no such thing.
    Missing,
}

/// One picture was not to be had.
enum Failure {
    Interrupted,
    Error(DumpError),
}

impl From<DumpError> for Failure {
    fn from(error: DumpError) -> Self {
        Failure::Error(error)
    }
}

impl Nft {
    /// What a table holds, as of one moment.
    pub(super) fn dump_table(&mut self, table: &TableId, detail: Detail) -> Result<Dump, DumpError> {
        for _ in 0..TRIES {
            let generation = self.generation_now()?;
            let contents = match self.read_table(table, detail) {
                Ok(contents) => contents,
                Err(Failure::Interrupted) => continue,
                Err(Failure::Error(error)) => return Err(error),
            };
            if self.generation_now()? == generation {
                return Ok(Dump { generation, contents });
            }
        }
        Err(DumpError::Unsettled)
    }

    /// The elements of one set, as of one moment.
    pub(super) fn elements_of_set(
        &mut self,
        table: &TableId,
        set: &Name,
    ) -> Result<Option<Vec<Element>>, DumpError> {
        for _ in 0..TRIES {
            match self.try_elements(table, set) {
                Ok(elements) => return Ok(elements),
                Err(Failure::Interrupted) => {}
                Err(Failure::Error(error)) => return Err(error),
            }
        }
        Err(DumpError::Unsettled)
    }

    /// One try.
    fn try_elements(&mut self, table: &TableId, set: &Name) -> Result<Option<Vec<Element>>, Failure> {
        let mut found = None;
        let one = |buffer: &mut Buffer| {
            buffer.text(wire::set::TABLE, table.name.as_str());
            buffer.text(wire::set::NAME, set.as_str());
        };
        let answer = self.ask(msg::GET_SET, table, ACK, one, |message| {
            found = Some(SetMessage::read(message));
        })?;
        let Some(message) = found.filter(|message| answer != Answer::Missing && message.is_ours()) else {
            return Ok(None);
        };
        let Some(key) = message.key else { return Ok(None) };
        let mut collector = Collector::default();
        self.read_elements(table, set, |raw| collector.take(key, message.is_interval(), message.data, raw))?;
        let elements = collector.finish().into_iter();
        Ok(Some(elements.map(|(key, (last, data))| Element { key, last, data }).collect()))
    }

    /// One try.
    fn read_table(&mut self, table: &TableId, detail: Detail) -> Result<Option<Contents>, Failure> {
        let mut found = None;
        let name = table.name.as_str();
        let one = |buffer: &mut Buffer| buffer.text(wire::table::NAME, name);
        let answer = self.ask(msg::GET_TABLE, table, ACK, one, |message| {
            found = Some(TableMessage::read(message));
        })?;
        let Some(found) = found.filter(|_| answer != Answer::Missing) else { return Ok(None) };
        let mut contents = Contents {
            id: table.clone(),
            comment: found.comment,
            owned: found.flags & wire::table::F_OWNER != 0,
            dormant: found.flags & wire::table::F_DORMANT != 0,
            chains: self.read_chains(table)?,
            sets: BTreeMap::new(),
        };
        let (named, anonymous) = self.read_sets(table, detail)?;
        contents.sets = named;
        self.read_rules(table, detail, &anonymous, &mut contents.chains)?;
        Ok(Some(contents))
    }

    fn read_chains(&mut self, table: &TableId) -> Result<BTreeMap<Name, Arc<ChainContents>>, Failure> {
        let mut chains = BTreeMap::new();
        let of = |buffer: &mut Buffer| buffer.text(wire::chain::TABLE, table.name.as_str());
        let answer = self.ask(msg::GET_CHAIN, table, DUMP, of, |message| {
            let chain = ChainMessage::read(message);
            // Old kernels tell the chains of all tables.
            if let Some(name) = chain.name
                && chain.table.as_ref() == Some(&table.name)
            {
                let ChainMessage { base, comment, .. } = chain;
                chains.insert(name, Arc::new(ChainContents { base, comment, rules: Vec::new() }));
            }
        })?;
        whole(answer, chains)
    }

    /// The named sets, and the anonymous ones by the names that the kernel gave them.
    #[expect(clippy::type_complexity, reason = "two maps, taken apart at once")]
    fn read_sets(
        &mut self,
        table: &TableId,
        detail: Detail,
    ) -> Result<(BTreeMap<Name, Arc<SetContents>>, BTreeMap<Name, Arc<AnonymousSet>>), Failure> {
        let mut messages = Vec::new();
        let of = |buffer: &mut Buffer| buffer.text(wire::set::TABLE, table.name.as_str());
        let answer = self.ask(msg::GET_SET, table, DUMP, of, |message| {
            let set = SetMessage::read(message);
            if set.table.as_ref() == Some(&table.name) {
                messages.push(set);
            }
        })?;
        whole(answer, ())?;
        let (mut named, mut anonymous) = (BTreeMap::new(), BTreeMap::new());
        for message in messages {
            let Some(name) = message.name.clone() else { continue };
            let wanted = match detail {
                Detail::Names => false,
                Detail::Elements => !message.is_anonymous(),
                Detail::Full => true,
            };
            let elements = match message.key.filter(|_| wanted && message.is_ours()) {
                Some(key) => {
                    let mut collector = Collector::default();
                    self.read_elements(table, &name, |raw| {
                        collector.take(key, message.is_interval(), message.data, raw);
                    })?;
                    collector.finish()
                }
                None => BTreeMap::new(),
            };
            if message.is_anonymous() {
                if let Some(set) = AnonymousSet::read(&message, elements) {
                    anonymous.insert(name, Arc::new(set));
                }
                continue;
            }
            named.insert(name, Arc::new(SetContents { set: Set::read(&message), elements }));
        }
        Ok((named, anonymous))
    }

    fn read_elements(
        &mut self,
        table: &TableId,
        set: &Name,
        mut take: impl FnMut(&super::read::RawElement<'_>),
    ) -> Result<(), Failure> {
        let of = |buffer: &mut Buffer| {
            buffer.text(wire::element::TABLE, table.name.as_str());
            buffer.text(wire::element::SET, set.as_str());
        };
        let answer = self.ask(msg::GET_ELEMENT, table, DUMP, of, |message| {
            for raw in ElementsMessage::read(message).iter() {
                take(&raw);
            }
        })?;
        whole(answer, ())
    }

    fn read_rules(
        &mut self,
        table: &TableId,
        detail: Detail,
        anonymous: &BTreeMap<Name, Arc<AnonymousSet>>,
        chains: &mut BTreeMap<Name, Arc<ChainContents>>,
    ) -> Result<(), Failure> {
        let find = |name: &str, _: Option<u32>| {
            if !name.starts_with("__") {
                return Some(SetRef::Named(Name::read(name)));
            }
            anonymous.get(&Name::read(name)).map(|set| SetRef::Anonymous(Arc::clone(set)))
        };
        let of = |buffer: &mut Buffer| buffer.text(wire::rule::TABLE, table.name.as_str());
        let answer = self.ask(msg::GET_RULE, table, DUMP, of, |message| {
            let rule = RuleMessage::read(message);
            let (Some(chain), Some(handle)) = (rule.chain, rule.handle) else { return };
            if rule.table.as_ref() != Some(&table.name) {
                return;
            }
            let Some(chain) = chains.get_mut(&chain) else { return };
            let statements = match detail {
                Detail::Names | Detail::Elements => None,
                Detail::Full => decode::statements(rule.expressions, &find),
            };
            let said = statements.map(|statements| Rule::trusted(statements, rule.comment.clone()));
            Arc::make_mut(chain).rules.push(RuleContents { handle, comment: rule.comment, rule: said });
        })?;
        whole(answer, ())
    }

    /// Sends one request and hands out every message of its answer.
    fn ask(
        &mut self,
        kind: u8,
        table: &TableId,
        flags: u16,
        attributes: impl FnOnce(&mut Buffer),
        mut take: impl FnMut(&Message<'_>),
    ) -> Result<Answer, DumpError> {
        self.clean();
        self.sequence = self.sequence.wrapping_add(1);
        let sequence = self.sequence;
        self.request.clear();
        let kind = u16::from_be_bytes([wire::SUBSYSTEM, kind]);
        let open = self.request.message(kind, REQUEST | flags, sequence);
        self.request.raw(&[table.family.number(), 0, 0, 0]);
        attributes(&mut self.request);
        self.request.end_message(open);
        self.socket.send(self.request.bytes())?;
        self.set_stale(true);
        let mut answer = Answer::Whole;
        loop {
            for message in Messages(self.socket.receive()?) {
                if message.sequence != sequence {
                    continue;
                }
                if message.flags & DUMP_INTR != 0 {
                    answer = Answer::Interrupted;
                }
                match message.kind {
                    DONE => {
                        self.set_stale(false);
                        return Ok(answer);
                    }
                    ERROR => {
                        let errno = message.ack().ok_or(SocketError::Nonsense)?.errno;
                        self.set_stale(false);
                        return match errno {
                            0 => Ok(answer),
                            libc::ENOENT => Ok(Answer::Missing),
                            libc::EINTR => Ok(Answer::Interrupted),
                            errno => Err(DumpError::Refused(Errno::from_raw_os_error(errno))),
                        };
                    }
                    _ => take(&message),
                }
            }
        }
    }
}

// === impl Set ===

impl Set {
    /// The set that a message declares; none when it is of a kind that we never make.
    pub(super) fn read(message: &SetMessage) -> Option<Self> {
        Some(Self {
            name: message.name.clone()?,
            key: message.key.filter(|_| message.is_ours())?,
            data: message.data,
            interval: message.is_interval(),
            comment: message.comment.clone(),
        })
    }
}

// === impl AnonymousSet ===

impl AnonymousSet {
    /// The set that a message declares, with its elements.
    pub(super) fn read(message: &SetMessage, elements: super::Elements) -> Option<Self> {
        let elements = elements.into_iter().map(|(key, (last, data))| super::Element { key, last, data });
        Some(Self {
            key: message.key.filter(|_| message.is_ours())?,
            data: message.data,
            interval: message.is_interval(),
            elements: elements.collect(),
        })
    }
}

// === helpers ===

/// The answer, if it is whole. What is missing went away between two requests.
fn whole<T>(answer: Answer, value: T) -> Result<T, Failure> {
    match answer {
        Answer::Whole => Ok(value),
        Answer::Interrupted | Answer::Missing => Err(Failure::Interrupted),
    }
}
