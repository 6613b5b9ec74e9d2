//! Short words for what the tests build.

use std::time::Duration;

use margay_kernel::nft::{
    Batch, Chain, ChainKind, Element, Features, Field, Fields, Hook, Key, Name, Nft, Op, Rule, Set, SetRef,
    Statement, Table, TableId, Value, Verdict,
};
use margay_net::IpVersion;

pub(crate) fn name(text: &str) -> Name {
    text.parse().expect("a name")
}

pub(crate) fn table() -> TableId {
    TableId::inet(name("t"))
}

pub(crate) fn batch() -> Batch {
    Batch::new(table(), Features::all())
}

/// A batch that makes the table.
pub(crate) fn table_batch() -> Batch {
    let mut batch = batch();
    batch.add_table(&Table::new(table()));
    batch
}

pub(crate) fn open() -> Nft {
    Nft::open(Duration::from_secs(10)).expect("nftables")
}

pub(crate) fn rule(statements: impl IntoIterator<Item = Statement>) -> Rule {
    Rule::new(statements.into_iter().collect()).expect("a rule")
}

pub(crate) fn accept() -> Statement {
    Statement::Verdict(Verdict::Accept)
}

pub(crate) fn v4() -> Statement {
    Statement::version(IpVersion::V4)
}

pub(crate) fn v6() -> Statement {
    Statement::version(IpVersion::V6)
}

pub(crate) fn protocol(number: u8) -> Statement {
    Statement::protocol(Op::Eq, number)
}

pub(crate) fn named(text: &str) -> SetRef {
    (&name(text)).into()
}

pub(crate) fn ip(text: &str) -> Key {
    Value::address(text.parse().expect("an address")).into()
}

pub(crate) fn iface(text: &str) -> Value {
    Value::IfName(text.parse().expect("a name of an interface"))
}

pub(crate) fn jump(chain: &str) -> Verdict {
    Verdict::Jump(name(chain))
}

pub(crate) fn goto(chain: &str) -> Verdict {
    Verdict::Goto(name(chain))
}

pub(crate) fn regular(text: &str) -> Chain {
    Chain::regular(name(text))
}

pub(crate) fn base(text: &str, hook: Hook) -> Chain {
    Chain::base(name(text), ChainKind::Filter, hook, 0)
}

pub(crate) fn set(text: &str, field: Field) -> Set {
    Set::of(name(text), field.into())
}

pub(crate) fn ranges(text: &str, field: Field) -> Set {
    Set::of_ranges(name(text), field.into())
}

pub(crate) fn verdicts(text: &str, field: Field) -> Set {
    Set::map(name(text), Fields::from(field), margay_kernel::nft::DataType::Verdict)
}

pub(crate) fn point(text: &str) -> Element {
    Element::point(ip(text))
}

pub(crate) fn net(text: &str) -> Element {
    Element::net(text.parse().expect("a network"))
}
