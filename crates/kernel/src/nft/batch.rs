//! Changes as the bytes that the kernel reads, all done or none.
//!
//! One growing buffer, nothing allocated per element. A message's number is its place in the batch, and its place
//! knows its owner: that is how an error finds whoever caused it.

use std::borrow::Borrow;

use super::encode;
use super::wire::{self, msg};
use super::{AnonymousSet, Verdict};
use super::{
    Chain, Data, DataType, Element, Features, Fields, Key, Name, Rule, RuleHandle, Set, Table, TableId,
};
use crate::netlink::{ACK, APPEND, Buffer, CREATE, EXCL, REQUEST};

/// Elements go into a new message before this many bytes are full; the kernel counts in 16 bits.
const FULL: usize = 60 * 1024;

/// Whose message it is: a number that the maker of the batch chooses.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Owner(pub u32);

/// A list of changes that the kernel takes as one.
#[derive(Debug, Clone)]
pub struct Batch {
    buffer: Buffer,
    table: TableId,
    features: Features,
    owner: Owner,
    /// Where each message begins, and whose it is. The first is number 1; 0 is the beginning of the batch.
    messages: Vec<(usize, Owner)>,
    /// The number of the last set that was added; the kernel wants them to differ within a batch.
    sets: u32,
    /// The numbers of the anonymous sets of the rule at hand.
    anonymous: Vec<u32>,
}

// === impl Batch ===

impl Batch {
    /// No changes yet; those to come are about that table, until [`Batch::set_table`].
    #[must_use]
    pub fn new(table: TableId, features: Features) -> Self {
        let mut batch = Self {
            buffer: Buffer::default(),
            table,
            features,
            owner: Owner::default(),
            messages: Vec::new(),
            sets: 0,
            anonymous: Vec::new(),
        };
        batch.clear();
        batch
    }

    /// Forgets all changes and keeps the memory.
    pub fn clear(&mut self) {
        self.buffer.clear();
        self.messages.clear();
        self.sets = 0;
        self.frame(wire::BATCH_BEGIN, 0);
    }

    /// True when there is nothing to do.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.messages.is_empty()
    }

    /// The number of messages.
    #[must_use]
    pub fn len(&self) -> usize {
        self.messages.len()
    }

    /// The length in bytes.
    #[must_use]
    pub fn byte_len(&self) -> usize {
        self.buffer.len()
    }

    /// Whose the following changes are.
    pub fn set_owner(&mut self, owner: Owner) {
        self.owner = owner;
    }

    /// Which table the following changes are about.
    pub fn set_table(&mut self, table: TableId) {
        self.table = table;
    }

    /// The table that changes are about.
    #[must_use]
    pub fn table(&self) -> &TableId {
        &self.table
    }

    /// Adds a table, unless it is there.
    pub fn add_table(&mut self, table: &Table) {
        let open = self.start(msg::NEW_TABLE, CREATE);
        self.buffer.text(wire::table::NAME, table.id.name.as_str());
        let flags = if table.owned { wire::table::F_OWNER | wire::table::F_PERSIST } else { 0 };
        self.buffer.be32(wire::table::FLAGS, flags);
        if let Some(comment) = &table.comment {
            encode::comment(&mut self.buffer, wire::table::USERDATA, wire::userdata::COMMENT, comment);
        }
        self.buffer.end_message(open);
    }

    /// Deletes the table with all that it holds; refused when it is not there.
    pub fn delete_table(&mut self) {
        self.named_table(msg::DEL_TABLE, 0);
    }

    /// Deletes the table with all that it holds, if it is there.
    pub fn destroy_table(&mut self) {
        if self.features.destroy {
            self.named_table(msg::DESTROY_TABLE, 0);
        } else {
            self.named_table(msg::NEW_TABLE, CREATE);
            self.named_table(msg::DEL_TABLE, 0);
        }
    }

    /// Adds a chain; one that is there must have the same base, and takes the policy.
    pub fn add_chain(&mut self, chain: &Chain) {
        let open = self.start(msg::NEW_CHAIN, CREATE);
        self.buffer.text(wire::chain::TABLE, self.table.name.as_str());
        self.buffer.text(wire::chain::NAME, chain.name.as_str());
        if let Some(base) = &chain.base {
            let hook = self.buffer.nest(wire::chain::HOOK);
            self.buffer.be32(wire::chain::HOOK_NUMBER, base.hook.number());
            self.buffer.be32(wire::chain::HOOK_PRIORITY, base.priority.cast_unsigned());
            self.buffer.end(hook);
            let policy = match base.policy {
                super::ChainPolicy::Accept => wire::verdict::ACCEPT,
                super::ChainPolicy::Drop => wire::verdict::DROP,
            };
            self.buffer.be32(wire::chain::POLICY, policy.cast_unsigned());
            self.buffer.text(wire::chain::KIND, base.kind.as_str());
        }
        if let Some(comment) = &chain.comment {
            encode::comment(&mut self.buffer, wire::chain::USERDATA, wire::userdata::COMMENT, comment);
        }
        self.buffer.end_message(open);
    }

    /// Deletes a chain with its rules; refused when it is not there or somebody jumps to it.
    pub fn delete_chain(&mut self, chain: &Name) {
        self.named(msg::DEL_CHAIN, wire::chain::TABLE, wire::chain::NAME, chain);
    }

    /// Deletes a chain with its rules, if it is there; refused when somebody jumps to it.
    pub fn destroy_chain(&mut self, chain: &Chain) {
        if self.features.destroy {
            self.named(msg::DESTROY_CHAIN, wire::chain::TABLE, wire::chain::NAME, &chain.name);
        } else {
            self.add_chain(chain);
            self.delete_chain(&chain.name);
        }
    }

    /// Deletes the rules of a chain.
    pub fn flush_chain(&mut self, chain: &Name) {
        self.named(msg::DEL_RULE, wire::rule::TABLE, wire::rule::CHAIN, chain);
    }

    /// Adds a rule at the end of a chain.
    pub fn add_rule(&mut self, chain: &Name, rule: &Rule) {
        self.put_rule(chain, rule, None, CREATE | APPEND);
    }

    /// Adds a rule before all others of a chain.
    pub fn insert_rule(&mut self, chain: &Name, rule: &Rule) {
        self.put_rule(chain, rule, None, CREATE);
    }

    /// Adds a rule behind another.
    pub fn add_rule_behind(&mut self, chain: &Name, rule: &Rule, other: RuleHandle) {
        self.put_rule(chain, rule, Some(other), CREATE | APPEND);
    }

    /// Deletes a rule.
    pub fn delete_rule(&mut self, chain: &Name, rule: RuleHandle) {
        let open = self.start(msg::DEL_RULE, 0);
        self.buffer.text(wire::rule::TABLE, self.table.name.as_str());
        self.buffer.text(wire::rule::CHAIN, chain.as_str());
        self.buffer.be64(wire::rule::HANDLE, rule.0);
        self.buffer.end_message(open);
    }

    /// Adds a set or map, unless one of the same kind is there.
    pub fn add_set(&mut self, set: &Set) {
        self.sets += 1;
        let flags = if set.interval { wire::set::F_INTERVAL } else { 0 };
        let shape = SetShape { key: set.key, data: set.data, flags, size: None, id: self.sets };
        self.put_set(set.name.as_str(), shape, set.comment.as_deref());
    }

    /// Deletes a set or map; refused when it is not there or a rule names it.
    pub fn delete_set(&mut self, set: &Name) {
        self.named(msg::DEL_SET, wire::set::TABLE, wire::set::NAME, set);
    }

    /// Deletes a set or map, if it is there; refused when a rule names it.
    pub fn destroy_set(&mut self, set: &Set) {
        if self.features.destroy {
            self.named(msg::DESTROY_SET, wire::set::TABLE, wire::set::NAME, &set.name);
        } else {
            self.add_set(set);
            self.delete_set(&set.name);
        }
    }

    /// Deletes all elements of a set.
    pub fn flush_set(&mut self, set: &Name) {
        self.named(msg::DEL_ELEMENT, wire::element::TABLE, wire::element::SET, set);
    }

    /// Adds elements. One that is there stays; in a map with other data it is refused. Ranges must not overlap
    /// ([`super::merge_ranges`]): the kernel refuses most of those that do, and lets some pass.
    pub fn add_elements<I>(&mut self, set: &Name, elements: I)
    where
        I: IntoIterator<Item: Borrow<Element>>,
    {
        self.put_elements(msg::NEW_ELEMENT, CREATE, set.as_str(), None, elements);
    }

    /// Adds elements; refused when one of them is there.
    pub fn create_elements<I>(&mut self, set: &Name, elements: I)
    where
        I: IntoIterator<Item: Borrow<Element>>,
    {
        self.put_elements(msg::NEW_ELEMENT, CREATE | EXCL, set.as_str(), None, elements);
    }

    /// Deletes elements; refused when one of them is not there.
    pub fn delete_elements<I>(&mut self, set: &Name, elements: I)
    where
        I: IntoIterator<Item: Borrow<Element>>,
    {
        self.put_elements(msg::DEL_ELEMENT, 0, set.as_str(), None, elements);
    }

    /// Deletes elements that are there. Where the kernel knows no such thing, a map's element must name its data.
    pub fn destroy_elements<I>(&mut self, set: &Name, elements: I)
    where
        I: IntoIterator<Item: Borrow<Element>> + Clone,
    {
        if self.features.destroy {
            self.put_elements(msg::DESTROY_ELEMENT, 0, set.as_str(), None, elements);
        } else {
            self.add_elements(set, elements.clone());
            self.delete_elements(set, elements);
        }
    }

    /// Whose the message of that number is; none for the beginning and the end.
    pub(crate) fn owner_of(&self, sequence: u32) -> Option<Owner> {
        let index = usize::try_from(sequence).ok()?.checked_sub(1)?;
        self.messages.get(index).map(|(_, owner)| *owner)
    }

    /// The bytes of the message of that number and of those behind it.
    pub(crate) fn message(&self, sequence: u32) -> Option<&[u8]> {
        let index = usize::try_from(sequence).ok()?.checked_sub(1)?;
        self.messages.get(index).map(|(start, _)| &self.buffer.bytes()[*start..])
    }

    /// The number of the last message.
    pub(crate) fn last_sequence(&self) -> u32 {
        u32::try_from(self.messages.len()).expect("fewer than 4 billion messages")
    }

    /// Hands out the closed batch: its end is written, and the last message asks for an acknowledgement. Every other
    /// one answers by an error or not at all, so one reply says that all is well.
    ///
    /// Never ask the end of the batch for one: kernels before 6.10 give none.
    pub(crate) fn closed<R>(&mut self, expected: Option<u32>, send: impl FnOnce(&[u8]) -> R) -> R {
        let Some((last, _)) = self.messages.last() else { return send(&[]) };
        self.buffer.add_flags(*last, ACK);
        let open = self.buffer.len();
        self.frame(wire::BATCH_END, self.last_sequence() + 1);
        let result = match expected {
            None => send(self.buffer.bytes()),
            Some(generation) => {
                let mut bytes = Buffer::default();
                let begin = bytes.message(wire::BATCH_BEGIN, REQUEST, 0);
                bytes.raw(&[0, 0, 0, wire::SUBSYSTEM]);
                bytes.be32(wire::BATCH_GENERATION, generation);
                bytes.end_message(begin);
                bytes.raw(&self.buffer.bytes()[BEGIN..]);
                send(bytes.bytes())
            }
        };
        self.buffer.truncate(open);
        self.buffer.remove_flags(*last_start(&self.messages), ACK);
        result
    }

    /// A message that begins or ends the batch.
    fn frame(&mut self, kind: u16, sequence: u32) {
        let open = self.buffer.message(kind, REQUEST, sequence);
        self.buffer.raw(&[0, 0, 0, wire::SUBSYSTEM]);
        self.buffer.end_message(open);
    }

    /// Opens a message of the current owner about the current table's family.
    fn start(&mut self, kind: u8, flags: u16) -> crate::netlink::OpenMessage {
        self.messages.push((self.buffer.len(), self.owner));
        let kind = u16::from_be_bytes([wire::SUBSYSTEM, kind]);
        let open = self.buffer.message(kind, REQUEST | flags, self.last_sequence());
        self.buffer.raw(&[self.table.family.number(), 0, 0, 0]);
        open
    }

    /// A message about the table itself.
    fn named_table(&mut self, kind: u8, flags: u16) {
        let open = self.start(kind, flags);
        self.buffer.text(wire::table::NAME, self.table.name.as_str());
        self.buffer.end_message(open);
    }

    /// A message that names one thing of the table.
    fn named(&mut self, kind: u8, table: u16, attribute: u16, name: &Name) {
        let open = self.start(kind, 0);
        self.buffer.text(table, self.table.name.as_str());
        self.buffer.text(attribute, name.as_str());
        self.buffer.end_message(open);
    }

    /// A rule, and before it its anonymous sets.
    fn put_rule(&mut self, chain: &Name, rule: &Rule, position: Option<RuleHandle>, flags: u16) {
        let mut numbers = std::mem::take(&mut self.anonymous);
        numbers.clear();
        for set in rule.statements().iter().filter_map(encode::anonymous) {
            self.put_anonymous(set);
            numbers.push(self.sets);
        }
        let open = self.start(msg::NEW_RULE, flags);
        self.buffer.text(wire::rule::TABLE, self.table.name.as_str());
        self.buffer.text(wire::rule::CHAIN, chain.as_str());
        encode::statements(&mut self.buffer, rule.statements(), &numbers);
        if let Some(RuleHandle(position)) = position {
            self.buffer.be64(wire::rule::POSITION, position);
        }
        if let Some(comment) = rule.comment() {
            encode::comment(&mut self.buffer, wire::rule::USERDATA, wire::userdata::COMMENT, comment);
        }
        self.buffer.end_message(open);
        self.anonymous = numbers;
    }

    /// A set that belongs to the rule that follows.
    fn put_anonymous(&mut self, set: &AnonymousSet) {
        self.sets += 1;
        let name = encode::anonymous_name(set);
        let flags = wire::set::F_ANONYMOUS | wire::set::F_CONSTANT;
        let flags = flags | if set.interval { wire::set::F_INTERVAL } else { 0 };
        // The kernel counts both ends of a range.
        let size = u32::try_from(set.elements.len() * if set.interval { 2 } else { 1 }).ok();
        let id = self.sets;
        self.put_set(name, SetShape { key: set.key, data: set.data, flags, size, id }, None);
        self.put_elements(msg::NEW_ELEMENT, CREATE, name, Some(id), &set.elements);
    }

    /// A set or map.
    fn put_set(&mut self, name: &str, shape: SetShape, comment: Option<&str>) {
        let SetShape { key, data, flags, size, id } = shape;
        let open = self.start(msg::NEW_SET, CREATE);
        let buffer = &mut self.buffer;
        buffer.text(wire::set::TABLE, self.table.name.as_str());
        buffer.text(wire::set::NAME, name);
        let ranges_of_several = flags & wire::set::F_INTERVAL != 0 && key.is_concatenation();
        let flags = flags | if data.is_some() { wire::set::F_MAP } else { 0 };
        let flags = flags | if ranges_of_several { wire::set::F_CONCAT } else { 0 };
        buffer.be32(wire::set::FLAGS, flags);
        buffer.be32(wire::set::KEY_TYPE, key.number());
        buffer.be32(wire::set::KEY_LENGTH, short(key.length()));
        match data {
            None => {}
            Some(DataType::Verdict) => buffer.be32(wire::set::DATA_TYPE, wire::set::VERDICT),
            Some(DataType::Values(fields)) => {
                buffer.be32(wire::set::DATA_TYPE, fields.number());
                buffer.be32(wire::set::DATA_LENGTH, short(fields.length()));
            }
        }
        buffer.be32(wire::set::ID, id);
        if size.is_some() || ranges_of_several {
            let description = buffer.nest(wire::set::DESCRIPTION);
            if let Some(size) = size {
                buffer.be32(wire::set::DESCRIPTION_SIZE, size);
            }
            if ranges_of_several {
                let fields = buffer.nest(wire::set::DESCRIPTION_CONCAT);
                for field in key.as_slice() {
                    let one = buffer.nest(wire::LIST_ELEMENT);
                    buffer.be32(wire::set::FIELD_LENGTH, short(field.length()));
                    buffer.end(one);
                }
                buffer.end(fields);
            }
            buffer.end(description);
        }
        encode::set_userdata(buffer, key, data, comment);
        self.buffer.end_message(open);
    }

    /// Elements in as many messages as they need.
    fn put_elements<I>(&mut self, kind: u8, flags: u16, set: &str, id: Option<u32>, elements: I)
    where
        I: IntoIterator<Item: Borrow<Element>>,
    {
        let mut elements = elements.into_iter().peekable();
        while elements.peek().is_some() {
            let open = self.start(kind, flags);
            let buffer = &mut self.buffer;
            buffer.text(wire::element::TABLE, self.table.name.as_str());
            buffer.text(wire::element::SET, set);
            if let Some(id) = id {
                buffer.be32(wire::element::SET_ID, id);
            }
            let list = buffer.nest(wire::element::ELEMENTS);
            while buffer.filled(&list) < FULL
                && let Some(element) = elements.next()
            {
                put_element(buffer, element.borrow());
            }
            buffer.end(list);
            self.buffer.end_message(open);
        }
    }
}

/// What a set is made of.
#[derive(Debug, Clone, Copy)]
struct SetShape {
    key: Fields,
    data: Option<DataType>,
    flags: u32,
    size: Option<u32>,
    id: u32,
}

// === helpers ===

/// The length of the beginning of a batch.
const BEGIN: usize = 20;

/// Where the last message begins.
fn last_start(messages: &[(usize, Owner)]) -> &usize {
    &messages.last().expect("checked by the caller").0
}

/// Lengths of keys and fields.
fn short(length: usize) -> u32 {
    u32::try_from(length).expect("at most 64")
}

/// One element; a range of one field is two for the kernel, its lowest key and the one behind its highest.
fn put_element(buffer: &mut Buffer, element: &Element) {
    let Element { key, last, data } = element;
    let several = key.fields().is_concatenation();
    let open = buffer.nest(wire::LIST_ELEMENT);
    put_key(buffer, wire::element::KEY, key);
    if let Some(last) = last
        && several
    {
        put_key(buffer, wire::element::KEY_END, last);
    }
    match data {
        None => {}
        Some(Data::Values(values)) => put_key(buffer, wire::element::DATA, values),
        Some(Data::Verdict(verdict)) => {
            let data = buffer.nest(wire::element::DATA);
            put_verdict(buffer, verdict);
            buffer.end(data);
        }
    }
    buffer.end(open);
    if let Some(behind) = last.as_ref().filter(|_| !several).and_then(Key::successor) {
        let open = buffer.nest(wire::LIST_ELEMENT);
        put_key(buffer, wire::element::KEY, &behind);
        buffer.be32(wire::element::FLAGS, wire::element::F_END);
        buffer.end(open);
    }
}

/// A key in an attribute of that kind.
fn put_key(buffer: &mut Buffer, kind: u16, key: &Key) {
    let open = buffer.nest(kind);
    buffer.attribute(wire::data::VALUE, key.as_bytes());
    buffer.end(open);
}

/// A verdict.
pub(super) fn put_verdict(buffer: &mut Buffer, verdict: &Verdict) {
    use wire::verdict as number;
    let (code, chain) = match verdict {
        Verdict::Accept => (number::ACCEPT, None),
        Verdict::Drop => (number::DROP, None),
        Verdict::Continue => (number::CONTINUE, None),
        Verdict::Return => (number::RETURN, None),
        Verdict::Jump(chain) => (number::JUMP, Some(chain)),
        Verdict::Goto(chain) => (number::GOTO, Some(chain)),
    };
    let open = buffer.nest(wire::data::VERDICT);
    buffer.be32(wire::data::CODE, code.cast_unsigned());
    if let Some(chain) = chain {
        buffer.text(wire::data::CHAIN, chain.as_str());
    }
    buffer.end(open);
}
