//! Messages about tables, chains, rules, sets and elements, read back: as the kernel dumps them, and as a batch has
//! them for the fake. What makes no sense is none or left out; nothing here panics, whatever the bytes.

use std::sync::Arc;

use super::wire::{self, userdata};
use super::{
    Base, ChainKind, ChainPolicy, Data, DataType, Elements, Fields, Hook, Key, Name, RuleHandle, Verdict,
};
use crate::netlink::{Attributes, Message, be32, be64, text};

/// A message about a table.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct TableMessage {
    pub(super) name: Option<Name>,
    pub(super) flags: u32,
    pub(super) handle: Option<u64>,
    pub(super) comment: Option<Arc<str>>,
}

/// A message about a chain.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct ChainMessage {
    pub(super) table: Option<Name>,
    pub(super) name: Option<Name>,
    pub(super) handle: Option<u64>,
    /// It is at a hook, even at one that we do not know.
    pub(super) hooked: bool,
    pub(super) base: Option<Base>,
    pub(super) comment: Option<Arc<str>>,
}

/// A message about a rule.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct RuleMessage<'a> {
    pub(super) table: Option<Name>,
    pub(super) chain: Option<Name>,
    pub(super) handle: Option<RuleHandle>,
    pub(super) position: Option<RuleHandle>,
    pub(super) comment: Option<Arc<str>>,
    pub(super) expressions: &'a [u8],
}

/// A message about a set.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct SetMessage {
    pub(super) table: Option<Name>,
    pub(super) name: Option<Name>,
    pub(super) handle: Option<u64>,
    pub(super) flags: u32,
    pub(super) id: Option<u32>,
    /// None = types that we never use.
    pub(super) key: Option<Fields>,
    pub(super) key_length: u32,
    pub(super) data: Option<DataType>,
    pub(super) data_length: u32,
    /// The lengths of the fields, when told.
    pub(super) fields: Vec<u32>,
    pub(super) comment: Option<Arc<str>>,
}

/// A message about elements.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct ElementsMessage<'a> {
    pub(super) table: Option<Name>,
    pub(super) set: Option<Name>,
    pub(super) set_id: Option<u32>,
    /// None = all of them.
    pub(super) elements: Option<&'a [u8]>,
}

/// One element as the kernel has it.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct RawElement<'a> {
    pub(super) key: &'a [u8],
    pub(super) last: Option<&'a [u8]>,
    pub(super) data: Option<RawData<'a>>,
    pub(super) flags: u32,
}

/// What an element gives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum RawData<'a> {
    Verdict(Verdict),
    Value(&'a [u8]),
}

/// Reads bytes as every kind of answer that the kernel could give; says how many messages there were.
///
/// For fuzzers: whatever the bytes, it must not panic.
#[must_use]
pub fn read_anything(bytes: &[u8]) -> usize {
    let find = |name: &str, _: Option<u32>| Some(super::SetRef::Named(Name::read(name)));
    let mut count = 0;
    for message in crate::netlink::Messages(bytes) {
        count += 1;
        let _ = (message.ack(), super::describe::message(message.whole));
        let _ = (TableMessage::read(&message), ChainMessage::read(&message));
        let set = SetMessage::read(&message);
        let _ = (super::Set::read(&set), super::AnonymousSet::read(&set, Elements::new()));
        let rule = RuleMessage::read(&message);
        if let Some(statements) = super::decode::statements(rule.expressions, &find) {
            let _ = super::Rule::trusted(statements, rule.comment).to_string();
        }
        for field in super::Field::ALL {
            for interval in [false, true] {
                let mut collector = Collector::default();
                for raw in ElementsMessage::read(&message).iter() {
                    collector.take(field.into(), interval, Some(DataType::Verdict), &raw);
                }
                let _ = collector.finish();
            }
        }
    }
    super::monitor::read_anything(bytes);
    count
}

// === messages ===

impl TableMessage {
    pub(super) fn read(message: &Message<'_>) -> Self {
        let mut read = Self::default();
        for (kind, value) in message.attributes(wire::GENMSG) {
            match kind {
                wire::table::NAME => read.name = name(value),
                wire::table::FLAGS => read.flags = be32(value).unwrap_or(0),
                wire::table::HANDLE => read.handle = be64(value),
                wire::table::USERDATA => read.comment = comment(value, userdata::COMMENT),
                _ => {}
            }
        }
        read
    }
}

impl ChainMessage {
    pub(super) fn read(message: &Message<'_>) -> Self {
        let mut read = Self::default();
        let (mut hook, mut priority, mut kind_name, mut policy) = (None, None, None, None);
        for (kind, value) in message.attributes(wire::GENMSG) {
            match kind {
                wire::chain::TABLE => read.table = name(value),
                wire::chain::NAME => read.name = name(value),
                wire::chain::HANDLE => read.handle = be64(value),
                wire::chain::USERDATA => read.comment = comment(value, userdata::COMMENT),
                wire::chain::KIND => kind_name = text(value),
                wire::chain::POLICY => policy = be32(value).map(u32::cast_signed),
                wire::chain::HOOK => {
                    read.hooked = true;
                    for (kind, value) in Attributes(value) {
                        match kind {
                            wire::chain::HOOK_NUMBER => hook = be32(value),
                            wire::chain::HOOK_PRIORITY => priority = be32(value).map(u32::cast_signed),
                            _ => {}
                        }
                    }
                }
                _ => {}
            }
        }
        read.base = (|| {
            let policy = match policy {
                None | Some(wire::verdict::ACCEPT) => ChainPolicy::Accept,
                Some(wire::verdict::DROP) => ChainPolicy::Drop,
                Some(_) => return None,
            };
            let (hook, kind) = (Hook::from_number(hook?)?, ChainKind::from_name(kind_name?)?);
            Some(Base { kind, hook, priority: priority?, policy })
        })();
        read
    }
}

impl<'a> RuleMessage<'a> {
    pub(super) fn read(message: &Message<'a>) -> Self {
        let mut read = Self::default();
        for (kind, value) in message.attributes(wire::GENMSG) {
            match kind {
                wire::rule::TABLE => read.table = name(value),
                wire::rule::CHAIN => read.chain = name(value),
                wire::rule::HANDLE => read.handle = be64(value).map(RuleHandle),
                wire::rule::POSITION => read.position = be64(value).map(RuleHandle),
                wire::rule::USERDATA => read.comment = comment(value, userdata::COMMENT),
                wire::rule::EXPRESSIONS => read.expressions = value,
                _ => {}
            }
        }
        read
    }
}

impl SetMessage {
    pub(super) fn read(message: &Message<'_>) -> Self {
        let mut read = Self::default();
        let mut data_type = None;
        for (kind, value) in message.attributes(wire::GENMSG) {
            match kind {
                wire::set::TABLE => read.table = name(value),
                wire::set::NAME => read.name = name(value),
                wire::set::HANDLE => read.handle = be64(value),
                wire::set::FLAGS => read.flags = be32(value).unwrap_or(0),
                wire::set::ID => read.id = be32(value),
                wire::set::KEY_TYPE => read.key = be32(value).and_then(Fields::from_number),
                wire::set::KEY_LENGTH => read.key_length = be32(value).unwrap_or(0),
                wire::set::DATA_TYPE => data_type = be32(value),
                wire::set::DATA_LENGTH => read.data_length = be32(value).unwrap_or(0),
                wire::set::USERDATA => read.comment = comment(value, userdata::SET_COMMENT),
                wire::set::DESCRIPTION => {
                    let fields = Attributes(value).find(|(kind, _)| *kind == wire::set::DESCRIPTION_CONCAT);
                    read.fields = fields.map(|(_, value)| field_lengths(value)).unwrap_or_default();
                }
                _ => {}
            }
        }
        read.data = match data_type {
            None => None,
            Some(wire::set::VERDICT) => Some(DataType::Verdict),
            Some(number) => Fields::from_number(number).map(DataType::Values),
        };
        let known = |fields: Option<Fields>, length: u32| {
            fields.filter(|fields| u32::try_from(fields.length()) == Ok(length))
        };
        read.key = known(read.key, read.key_length);
        if read.flags & wire::set::F_MAP == 0 {
            read.data = None;
        } else {
            // The kernel tells 16 for verdicts.
            let fits = match read.data {
                Some(DataType::Values(fields)) => known(Some(fields), read.data_length).is_some(),
                Some(DataType::Verdict) => true,
                None => false,
            };
            read.key = read.key.filter(|_| fits);
        }
        read
    }

    /// Whether it is of a kind that we make.
    pub(super) fn is_ours(&self) -> bool {
        use wire::set::{F_ANONYMOUS, F_CONCAT, F_CONSTANT, F_INTERVAL, F_MAP};
        self.key.is_some() && self.flags & !(F_ANONYMOUS | F_CONCAT | F_CONSTANT | F_INTERVAL | F_MAP) == 0
    }

    pub(super) fn is_interval(&self) -> bool {
        self.flags & wire::set::F_INTERVAL != 0
    }

    pub(super) fn is_anonymous(&self) -> bool {
        self.flags & wire::set::F_ANONYMOUS != 0
    }
}

impl<'a> ElementsMessage<'a> {
    pub(super) fn read(message: &Message<'a>) -> Self {
        let mut read = Self::default();
        for (kind, value) in message.attributes(wire::GENMSG) {
            match kind {
                wire::element::TABLE => read.table = name(value),
                wire::element::SET => read.set = name(value),
                wire::element::SET_ID => read.set_id = be32(value),
                wire::element::ELEMENTS => read.elements = Some(value),
                _ => {}
            }
        }
        read
    }

    /// The elements.
    pub(super) fn iter(&self) -> impl Iterator<Item = RawElement<'a>> + use<'a> {
        Attributes(self.elements.unwrap_or(&[])).filter(|(kind, _)| *kind == wire::LIST_ELEMENT).map(
            |(_, value)| {
                let mut read = RawElement::default();
                for (kind, value) in Attributes(value) {
                    match kind {
                        wire::element::KEY => read.key = plain(value).unwrap_or(&[]),
                        wire::element::KEY_END => read.last = plain(value),
                        wire::element::FLAGS => read.flags = be32(value).unwrap_or(0),
                        wire::element::DATA => read.data = data(value),
                        _ => {}
                    }
                }
                read
            },
        )
    }
}

/// Elements as they come from the kernel, put together: a range of one field is two of them.
#[derive(Debug, Default)]
pub(super) struct Collector {
    /// The lowest keys of ranges, with false, and the keys behind their highest, with true.
    ends: Vec<(Key, bool, Option<Data>)>,
    elements: Elements,
}

impl Collector {
    /// One more.
    pub(super) fn take(
        &mut self,
        fields: Fields,
        interval: bool,
        of: Option<DataType>,
        raw: &RawElement<'_>,
    ) {
        let Some(key) = Key::read(fields, raw.key) else { return };
        let data = raw.data.as_ref().and_then(|data| typed(data, of));
        if interval && !fields.is_concatenation() {
            self.ends.push((key, raw.flags & wire::element::F_END != 0, data));
            return;
        }
        let last = match raw.last {
            Some(last) => Key::read(fields, last),
            None => interval.then_some(key),
        };
        self.elements.insert(key, (last, data));
    }

    /// All of them.
    pub(super) fn finish(mut self) -> Elements {
        // At one key the end of a range comes before the beginning of the next.
        self.ends.sort_by_key(|(key, end, _)| (*key, !end));
        let mut open: Option<(Key, Option<Data>)> = None;
        for (key, end, data) in self.ends {
            if let Some((first, data)) = open.take() {
                self.elements.insert(first, (key.predecessor(), data));
            }
            if !end {
                open = Some((key, data));
            }
        }
        if let Some((first, data)) = open {
            self.elements.insert(first, (Some(Key::highest(first.fields())), data));
        }
        self.elements
    }
}

// === values ===

/// Data of the type that the map gives.
pub(super) fn typed(data: &RawData<'_>, of: Option<DataType>) -> Option<Data> {
    match (data, of?) {
        (RawData::Verdict(verdict), DataType::Verdict) => Some(Data::Verdict(verdict.clone())),
        (RawData::Value(bytes), DataType::Values(fields)) => Key::read(fields, bytes).map(Data::Values),
        _ => None,
    }
}

/// A name, as it is in the kernel; bytes that are no text are shown as such.
pub(super) fn name(bytes: &[u8]) -> Option<Name> {
    let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
    let text = String::from_utf8_lossy(&bytes[..end]);
    (!text.is_empty() && text.len() <= Name::LONGEST).then(|| Name::read(&text))
}

/// The bytes of a value (`NFTA_DATA_VALUE`).
pub(super) fn plain(nested: &[u8]) -> Option<&[u8]> {
    Attributes(nested).find(|(kind, _)| *kind == wire::data::VALUE).map(|(_, value)| value)
}

/// A value or a verdict.
pub(super) fn data(nested: &[u8]) -> Option<RawData<'_>> {
    Attributes(nested).find_map(|(kind, value)| match kind {
        wire::data::VALUE => Some(RawData::Value(value)),
        wire::data::VERDICT => verdict(value).map(RawData::Verdict),
        _ => None,
    })
}

/// A verdict.
fn verdict(nested: &[u8]) -> Option<Verdict> {
    use wire::verdict as number;
    let (mut code, mut chain) = (None, None);
    for (kind, value) in Attributes(nested) {
        match kind {
            wire::data::CODE => code = be32(value).map(u32::cast_signed),
            wire::data::CHAIN => chain = name(value),
            _ => {}
        }
    }
    Some(match code? {
        number::ACCEPT => Verdict::Accept,
        number::DROP => Verdict::Drop,
        number::CONTINUE => Verdict::Continue,
        number::RETURN => Verdict::Return,
        number::JUMP => Verdict::Jump(chain?),
        number::GOTO => Verdict::Goto(chain?),
        _ => return None,
    })
}

/// The lengths of a key's fields.
fn field_lengths(list: &[u8]) -> Vec<u32> {
    Attributes(list)
        .filter_map(|(_, field)| Attributes(field).find(|(kind, _)| *kind == wire::set::FIELD_LENGTH))
        .filter_map(|(_, value)| be32(value))
        .collect()
}

/// The note of that type among user data.
fn comment(mut bytes: &[u8], wanted: u8) -> Option<Arc<str>> {
    while let [kind, length, rest @ ..] = bytes {
        let (value, behind) = rest.split_at_checked(usize::from(*length))?;
        if *kind == wanted {
            return text(value).map(Into::into);
        }
        bytes = behind;
    }
    None
}
