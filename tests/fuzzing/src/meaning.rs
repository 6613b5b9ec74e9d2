//! Whether a document that was read says what was written.

use std::collections::BTreeMap;

use margay_text::read;
use margay_text::tree::{Node, NodeValue, Resolved};
use margay_text::value::Value;

/// Writes a value as YAML and as JSON and holds what is read back against it.
pub(crate) fn survives_writing(value: &Value<'_>) {
    let mut yaml = String::new();
    margay_text::yaml::write_yaml(&mut yaml, value);
    let mut json = String::new();
    margay_text::json::write_json(&mut json, value, 0);
    let mut compact = String::new();
    margay_text::json::write_json_compact(&mut compact, value);
    for written in [&yaml, &json, &compact] {
        let mut documents = read::documents(written.as_bytes());
        let root = match documents.next() {
            Some(Ok(document)) => document.root,
            other => panic!("{value:?} was written as {written:?}, which reads as {other:?}"),
        };
        let same = root.as_ref().is_some_and(|root| says(root, value));
        assert!(same, "{value:?} was written as {written:?}, which reads as {root:?}");
        assert!(documents.next().is_none(), "{value:?} was written as two documents: {written:?}");
    }
    let parsed = serde_json::from_str::<serde_json::Value>(&json);
    let of_compact = serde_json::from_str::<serde_json::Value>(&compact);
    assert_eq!(parsed.ok(), of_compact.ok(), "{json:?} and {compact:?}");
}

/// True when the node means the value, whatever the order of members.
fn says(node: &Node, value: &Value<'_>) -> bool {
    match (&node.value, value) {
        (NodeValue::Sequence(nodes), Value::List(items)) => {
            nodes.len() == items.len() && nodes.iter().zip(items).all(|(node, item)| says(node, item))
        }
        (NodeValue::Mapping(members), Value::Map(fields)) => {
            let found: BTreeMap<&str, &Node> = members.iter().map(|m| (m.key.as_str(), &m.value)).collect();
            let same = |(name, value): &(_, Value<'_>)| {
                let name: &std::borrow::Cow<'_, str> = name;
                found.get(name.as_ref()).is_some_and(|node| says(node, value))
            };
            members.len() == fields.len() && fields.iter().all(same)
        }
        (NodeValue::Scalar(scalar), value) => match (scalar.resolve(), value) {
            (Resolved::Null, Value::Null) => true,
            (Resolved::Bool(found), Value::Bool(wanted)) => found == *wanted,
            (Resolved::Int(found), Value::Int(wanted)) => found == *wanted,
            (Resolved::Float(found), Value::Float(wanted)) => found.to_bits() == wanted.to_bits(),
            // Whole floats are written as integers are.
            #[expect(clippy::cast_precision_loss, reason = "the written float was whole")]
            (Resolved::Int(found), Value::Float(wanted)) => found as f64 == *wanted,
            (Resolved::Text(found), Value::Text(wanted)) => found == wanted,
            _ => false,
        },
        (NodeValue::Sequence(_) | NodeValue::Mapping(_), _) => false,
    }
}
