//! Rules, and the check that finds what the kernel would refuse or, worse, misunderstand.

use std::sync::Arc;

use margay_net::{Cidr, IpVersion};

use super::{DataType, Element, Field, Fields, Key, Load, Name, NatTarget, Op, Reject, Statement, Value};

/// The most expressions of a rule (`NFT_RULE_MAXEXPRS`).
pub(super) const MOST: usize = 128;
/// The longest note in bytes, as the `nft` tool takes it.
const LONGEST_COMMENT: usize = 127;
/// The longest prefix of a log line (`NF_LOG_PREFIXLEN` less the closing NUL).
pub(super) const LONGEST_PREFIX: usize = 127;

/// What becomes of a packet.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Verdict {
    /// It leaves this base chain and goes on to the next.
    Accept,
    /// It is gone.
    Drop,
    /// The next rule.
    Continue,
    /// Back to behind the last jump.
    Return,
    /// Into that chain, and back at its end.
    Jump(Name),
    /// Into that chain, and from its end to behind the last jump.
    Goto(Name),
}

/// The set or map of a statement.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SetRef {
    /// One of the table.
    Named(Name),
    /// The rule's own, which comes and goes with it.
    Anonymous(Arc<AnonymousSet>),
}

/// A set that belongs to one rule.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AnonymousSet {
    /// What is looked up.
    pub(crate) key: Fields,
    /// What is found.
    pub(crate) data: Option<DataType>,
    /// Whether its elements are ranges.
    pub(crate) interval: bool,
    /// In order; ranges are apart.
    pub(crate) elements: Vec<Element>,
}

/// Statements in order, checked.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Rule {
    statements: Vec<Statement>,
    comment: Option<Arc<str>>,
}

/// Statements that make no rule: a mistake of whoever made them.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RuleError {
    /// The address of one version is read before it is known that the packet is of it.
    #[error("statement {0} reads an address before the version of IP is known")]
    Version(usize),
    /// A port or an ICMP message is read before it is known that the packet has one.
    #[error("statement {0} reads behind the IP header before the protocol is known")]
    Protocol(usize),
    /// What is loaded and what it is compared with have different types.
    #[error("statement {0} compares different types")]
    Types(usize),
    /// A range of what stands in the host's order, or one whose ends are the wrong way round.
    #[error("statement {0} has no range")]
    Range(usize),
    /// A statement behind a verdict.
    #[error("statement {0} stands behind a verdict")]
    BehindVerdict(usize),
    /// More expressions than the kernel takes.
    #[error("a rule of {0} expressions is too long")]
    TooLong(usize),
    /// A map where a set belongs, or the other way round.
    #[error("statement {0} needs a set where it has a map, or a map where it has a set")]
    Map(usize),
    /// A prefix or a note that is too long or has a NUL or quotation mark.
    #[error("a text of {0} bytes is too long, or holds what no log line may")]
    Text(usize),
}

// === impl SetRef ===

impl SetRef {
    /// The anonymous set, if it is one.
    pub(crate) fn anonymous(&self) -> Option<&Arc<AnonymousSet>> {
        match self {
            SetRef::Named(_) => None,
            SetRef::Anonymous(set) => Some(set),
        }
    }
}

impl From<AnonymousSet> for SetRef {
    fn from(set: AnonymousSet) -> Self {
        SetRef::Anonymous(Arc::new(set))
    }
}

impl From<&Name> for SetRef {
    fn from(name: &Name) -> Self {
        SetRef::Named(name.clone())
    }
}

// === impl AnonymousSet ===

impl AnonymousSet {
    /// A set of single keys of those fields; keys of other fields are left out.
    #[must_use]
    pub fn of(key: Fields, keys: impl IntoIterator<Item = Key>) -> Self {
        let mut elements: Vec<_> =
            keys.into_iter().filter(|each| each.fields() == key).map(Element::point).collect();
        elements.sort();
        elements.dedup();
        Self { key, data: None, interval: false, elements }
    }

    /// A set of ranges of one field, first and last included; those that touch become one.
    #[must_use]
    pub fn of_ranges(field: Field, ranges: impl IntoIterator<Item = (Key, Key)>) -> Self {
        let key = Fields::from(field);
        let ranges = ranges.into_iter().filter(|(first, last)| first.fields() == key && last.fields() == key);
        Self { key, data: None, interval: true, elements: merge_ranges(ranges) }
    }

    /// A set of ports.
    #[must_use]
    pub fn of_ports(ranges: impl IntoIterator<Item = (u16, u16)>) -> Self {
        let ranges =
            ranges.into_iter().map(|(first, last)| (Value::Port(first).into(), Value::Port(last).into()));
        Self::of_ranges(Field::InetService, ranges)
    }

    /// A set of the networks of that version; the others are left out.
    #[must_use]
    pub fn of_nets(version: IpVersion, nets: impl IntoIterator<Item = Cidr>) -> Self {
        let field = match version {
            IpVersion::V4 => Field::Ipv4Addr,
            IpVersion::V6 => Field::Ipv6Addr,
        };
        let ranges = nets.into_iter().filter_map(|net| {
            let Element { key, last, .. } = Element::net(net);
            Some((key, last?))
        });
        Self::of_ranges(field, ranges)
    }

    /// A map from single keys of those fields to verdicts.
    #[must_use]
    pub fn verdicts(key: Fields, entries: impl IntoIterator<Item = (Key, Verdict)>) -> Self {
        let entries = entries.into_iter().filter(|(each, _)| each.fields() == key);
        let mut elements: Vec<_> = entries.map(|(key, verdict)| Element::verdict(key, verdict)).collect();
        elements.sort();
        elements.dedup_by(|second, first| second.key == first.key);
        Self { key, data: Some(DataType::Verdict), interval: false, elements }
    }

    /// Its elements in order; ranges are apart.
    #[must_use]
    pub fn elements(&self) -> &[Element] {
        &self.elements
    }

    /// True when nothing is in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.elements.is_empty()
    }
}

/// Ranges in ascending order, apart from each other: those that overlap or touch become one.
#[must_use]
pub fn merge_ranges(ranges: impl IntoIterator<Item = (Key, Key)>) -> Vec<Element> {
    let mut ranges: Vec<_> = ranges.into_iter().filter(|(first, last)| first <= last).collect();
    ranges.sort();
    let mut merged: Vec<(Key, Key)> = Vec::with_capacity(ranges.len());
    for (first, last) in ranges {
        match merged.last_mut() {
            Some((_, end)) if end.successor().is_none_or(|next| first <= next) => *end = (*end).max(last),
            _ => merged.push((first, last)),
        }
    }
    merged.into_iter().map(|(first, last)| Element::range(first, last)).collect()
}

// === impl Rule ===

impl Rule {
    /// The statements as a rule, if the kernel will understand them as they are meant.
    pub fn new(statements: Vec<Statement>) -> Result<Self, RuleError> {
        let length = statements.iter().map(expressions).sum();
        if length > MOST {
            return Err(RuleError::TooLong(length));
        }
        let mut known = Known::default();
        for (index, statement) in statements.iter().enumerate() {
            known.take(index, statement)?;
        }
        Ok(Self { statements, comment: None })
    }

    /// The rule with a note, cut off where it is too long for the kernel.
    #[must_use]
    pub fn with_comment(self, comment: &str) -> Self {
        let mut end = comment.len().min(LONGEST_COMMENT);
        while !comment.is_char_boundary(end) {
            end -= 1;
        }
        let comment = comment[..end].replace(['\0', '"'], "'");
        Self { comment: Some(comment.into()), ..self }
    }

    /// Statements that have been a rule before.
    pub(super) fn trusted(statements: Vec<Statement>, comment: Option<Arc<str>>) -> Self {
        Self { statements, comment }
    }

    /// The statements in order.
    #[must_use]
    pub fn statements(&self) -> &[Statement] {
        &self.statements
    }

    /// The note.
    #[must_use]
    pub fn comment(&self) -> Option<&str> {
        self.comment.as_deref()
    }
}

/// What is known of a packet that has come so far in a rule.
#[derive(Debug, Default)]
struct Known {
    version: Option<IpVersion>,
    protocol: Protocols,
    ended: bool,
}

/// Which protocols a packet may be of.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Protocols {
    /// Any.
    #[default]
    Unknown,
    /// That one.
    One(u8),
    /// One of several that all have ports, as far as the rule's maker knows.
    Some,
}

// === impl Known ===

impl Known {
    /// Checks the next statement, and learns from it.
    fn take(&mut self, index: usize, statement: &Statement) -> Result<(), RuleError> {
        if self.ended {
            return Err(RuleError::BehindVerdict(index));
        }
        match statement {
            Statement::Compare(load, op, value) => self.compare(index, *load, *op, *value),
            Statement::Range(load, _, first, last) => {
                self.load(index, *load)?;
                let field =
                    load.field().filter(|field| !field.is_host_order()).ok_or(RuleError::Range(index))?;
                same(index, field, first.field())?;
                same(index, field, last.field())?;
                if first > last { Err(RuleError::Range(index)) } else { Ok(()) }
            }
            Statement::Bits(load, _, _) => match load {
                Load::Mark | Load::CtState | Load::CtStatus => Ok(()),
                _ => Err(RuleError::Types(index)),
            },
            Statement::Net(load, _, net) => {
                self.load(index, *load)?;
                if load.version() == Some(net.version()) { Ok(()) } else { Err(RuleError::Types(index)) }
            }
            Statement::IfPrefix(load, _, _) => match load {
                Load::IifName | Load::OifName => Ok(()),
                _ => Err(RuleError::Types(index)),
            },
            Statement::Icmp { version, .. } => self.message(index, *version),
            Statement::Lookup(loads, op, set) => {
                self.loads(index, loads, set, |data| data.is_none())?;
                if *op == Op::Eq && loads.contains(&Load::L4Proto) {
                    self.protocol = Protocols::Some;
                }
                Ok(())
            }
            Statement::VerdictMap(loads, map) => {
                self.loads(index, loads, map, |data| data == Some(DataType::Verdict))
            }
            Statement::Log(_, prefix) => text(prefix, LONGEST_PREFIX),
            Statement::Nat(nat) => {
                self.ended = true;
                self.nat(index, nat)
            }
            Statement::Masquerade { ports, .. } => {
                self.ended = true;
                if ports.is_some() { self.ports(index) } else { Ok(()) }
            }
            Statement::Reject(reject) => {
                self.ended = true;
                if *reject == Reject::TcpReset && self.protocol != Protocols::One(6) {
                    return Err(RuleError::Protocol(index));
                }
                Ok(())
            }
            Statement::Verdict(_) => {
                self.ended = true;
                Ok(())
            }
            Statement::Masked { .. }
            | Statement::AddressKind(..)
            | Statement::ReversePath(_)
            | Statement::Counter
            | Statement::Limit(_)
            | Statement::Notrack
            | Statement::SetMark { .. } => Ok(()),
        }
    }

    /// Checks a comparison, and learns from it.
    fn compare(&mut self, index: usize, load: Load, op: Op, value: Value) -> Result<(), RuleError> {
        self.load(index, load)?;
        same(index, load.field().ok_or(RuleError::Types(index))?, value.field())?;
        match (op, value) {
            (Op::Eq, Value::NfProto(version)) => self.version = Some(version),
            (Op::Eq, Value::Protocol(protocol)) => self.protocol = Protocols::One(protocol),
            _ => {}
        }
        Ok(())
    }

    /// Whether that may be loaded now.
    fn load(&self, index: usize, load: Load) -> Result<(), RuleError> {
        if load.version().is_some() && load.version() != self.version {
            return Err(RuleError::Version(index));
        }
        match load {
            Load::Sport | Load::Dport => self.ports(index),
            Load::IcmpType | Load::IcmpCode => self.message(index, IpVersion::V4),
            Load::Icmp6Type | Load::Icmp6Code => self.message(index, IpVersion::V6),
            _ => Ok(()),
        }
    }

    /// Whether the packet has ports.
    fn ports(&self, index: usize) -> Result<(), RuleError> {
        match self.protocol {
            Protocols::Some | Protocols::One(6 | 17 | 33 | 132 | 136) => Ok(()),
            Protocols::Unknown | Protocols::One(_) => Err(RuleError::Protocol(index)),
        }
    }

    /// Whether the packet is an ICMP message of that version.
    fn message(&self, index: usize, version: IpVersion) -> Result<(), RuleError> {
        let protocol = match version {
            IpVersion::V4 => 1,
            IpVersion::V6 => 58,
        };
        if self.protocol == Protocols::One(protocol) { Ok(()) } else { Err(RuleError::Protocol(index)) }
    }

    /// Checks what is looked up where. A protocol that is looked up beside a port makes the port readable.
    fn loads(
        &mut self,
        index: usize,
        loads: &[Load],
        set: &SetRef,
        data: impl FnOnce(Option<DataType>) -> bool,
    ) -> Result<(), RuleError> {
        let before = self.protocol;
        if loads.contains(&Load::L4Proto) && before == Protocols::Unknown {
            self.protocol = Protocols::Some;
        }
        let checked = loads.iter().try_for_each(|load| self.load(index, *load));
        self.protocol = before;
        checked?;
        let fields: Option<Vec<_>> = loads.iter().map(|load| load.field()).collect();
        let fields = fields.and_then(|fields| Fields::from_slice(&fields)).ok_or(RuleError::Types(index))?;
        match set.anonymous() {
            Some(set) if set.key != fields => Err(RuleError::Types(index)),
            Some(set) if !data(set.data) => Err(RuleError::Map(index)),
            _ => Ok(()),
        }
    }

    /// Checks a change of addresses.
    fn nat(&mut self, index: usize, nat: &super::Nat) -> Result<(), RuleError> {
        match &nat.to {
            NatTarget::Address(address, port) => {
                let fits = margay_net::Ip::from(*address).version() == nat.version;
                if self.version.is_some_and(|version| version != nat.version) || !fits {
                    return Err(RuleError::Version(index));
                }
                if port.is_some() { self.ports(index) } else { Ok(()) }
            }
            NatTarget::Map(loads, map) => {
                if self.version != Some(nat.version) {
                    return Err(RuleError::Version(index));
                }
                self.loads(index, loads, map, |data| matches!(data, Some(DataType::Values(_))))
            }
        }
    }
}

// === helpers ===

/// As how many expressions a statement is written, at most.
fn expressions(statement: &Statement) -> usize {
    match statement {
        Statement::Lookup(loads, _, _) | Statement::VerdictMap(loads, _) => loads.len() + 1,
        Statement::Nat(super::Nat { to: NatTarget::Map(loads, _), .. }) => loads.len() + 2,
        Statement::Range(..)
        | Statement::Bits(..)
        | Statement::Masked { .. }
        | Statement::Net(..)
        | Statement::SetMark { .. }
        | Statement::Masquerade { .. }
        | Statement::Nat(_) => 3,
        Statement::Compare(..)
        | Statement::IfPrefix(..)
        | Statement::Icmp { .. }
        | Statement::AddressKind(..)
        | Statement::ReversePath(_) => 2,
        Statement::Counter
        | Statement::Limit(_)
        | Statement::Log(..)
        | Statement::Notrack
        | Statement::Reject(_)
        | Statement::Verdict(_) => 1,
    }
}

/// The two types are one.
fn same(index: usize, left: Field, right: Field) -> Result<(), RuleError> {
    if left == right { Ok(()) } else { Err(RuleError::Types(index)) }
}

/// The text fits where it is to stand.
fn text(text: &str, longest: usize) -> Result<(), RuleError> {
    if text.len() > longest || text.contains(['\0', '"', '\n']) {
        return Err(RuleError::Text(text.len()));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
