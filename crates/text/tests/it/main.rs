//! Reading and writing together: recorded outputs of upstream, and what is written reads back the same.

mod recorded;
mod round_trip;

use std::borrow::Cow;

use margay_text::read::documents;
use margay_text::tree::{Node, NodeValue, Resolved};
use margay_text::value::Value;

/// Reads input that holds exactly one document.
fn read_one(source: &str) -> Node {
    let mut all = documents(source.as_bytes());
    let document = all.next().expect("one document").unwrap_or_else(|error| panic!("{error}\n{source}"));
    assert!(all.next().is_none(), "more than one document:\n{source}");
    document.root.unwrap_or_else(|| panic!("blank document:\n{source}"))
}

/// What a tree says, ready to be written again.
fn value_of(node: &Node) -> Value<'_> {
    match &node.value {
        NodeValue::Sequence(items) => Value::List(items.iter().map(value_of).collect()),
        NodeValue::Mapping(members) => Value::Map(
            members
                .iter()
                .map(|member| (Cow::Borrowed(member.key.as_str()), value_of(&member.value)))
                .collect(),
        ),
        NodeValue::Scalar(scalar) => match scalar.resolve() {
            Resolved::Null => Value::Null,
            Resolved::Bool(value) => Value::Bool(value),
            Resolved::Int(value) => Value::Int(value),
            Resolved::Float(value) => Value::Float(value),
            Resolved::Text(text) => Value::Text(Cow::Borrowed(text)),
        },
    }
}
