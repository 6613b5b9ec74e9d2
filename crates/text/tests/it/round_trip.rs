//! What is written reads back the same.

use std::borrow::Cow;

use margay_text::json::{write_json, write_json_compact};
use margay_text::value::Value;
use margay_text::yaml::{write_yaml, write_yaml_item};
use proptest::prelude::*;

use super::{read_one, value_of};

/// Texts that writers get wrong: blanks, breaks, indicators, words with a meaning, signs of every width.
fn text() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        4 => "[a-zA-Z0-9_./-]{1,12}",
        3 => Just(" ".to_owned()),
        1 => "[ ]{2,4}",
        1 => "[\n]{1,3}",
        2 => "[-?:,#&*!|>'\"%@`{}\\[\\]=<~+.]",
        1 => Just(": ".to_owned()),
        1 => Just(" #".to_owned()),
        1 => "\\PC{1,5}",
        1 => any::<char>().prop_map(String::from),
        1 => prop::sample::select(vec![
            "\t", "\r", "\r\n", "\u{85}", "\u{a0}", "\u{2028}", "\u{2029}", "\u{feff}", "\u{7f}", "\u{1f600}", "---",
            "...", "<<", "yes", "null", "0x1F", "1e5", "10:20", "\\", "é", "漢字",
        ])
        .prop_map(str::to_owned),
    ];
    prop::collection::vec(piece, 0..40).prop_map(|pieces| pieces.concat())
}

/// A float that is no integer, since those are printed, and read back, as integers.
fn fraction(float: f64) -> Value<'static> {
    Value::Float(if float.is_finite() && float.fract() != 0.0 { float } else { 0.5 })
}

fn scalar() -> impl Strategy<Value = Value<'static>> {
    prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::Bool),
        any::<i64>().prop_map(|value| Value::Int(value.into())),
        any::<i16>().prop_map(|small| Value::Float(f64::from(small) + 0.25)),
        any::<f64>().prop_map(fraction),
        text().prop_map(|text| Value::Text(Cow::Owned(text))),
    ]
}

fn value() -> impl Strategy<Value = Value<'static>> {
    scalar().prop_recursive(4, 40, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::List),
            prop::collection::btree_map(text(), inner, 0..6).prop_map(|map| Value::Map(
                map.into_iter().map(|(key, value)| (Cow::Owned(key), value)).collect()
            )),
        ]
    })
}

/// The value with every map in the same order.
fn sorted(value: &Value<'_>) -> Value<'static> {
    match value {
        Value::List(items) => Value::List(items.iter().map(sorted).collect()),
        Value::Map(members) => {
            let mut members: Vec<(Cow<'static, str>, Value<'static>)> =
                members.iter().map(|(key, value)| (Cow::Owned(key.to_string()), sorted(value))).collect();
            members.sort_by(|(left, _), (right, _)| left.cmp(right));
            Value::Map(members)
        }
        Value::Text(text) => Value::Text(Cow::Owned(text.to_string())),
        Value::Null => Value::Null,
        Value::Bool(value) => Value::Bool(*value),
        Value::Int(value) => Value::Int(*value),
        Value::Float(value) => Value::Float(*value),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn yaml_text_reads_back_the_same(text in text()) {
        let member = |key: &str, value: &str| {
            Value::Map(vec![(Cow::Owned(key.to_owned()), Value::Text(Cow::Owned(value.to_owned())))])
        };
        for value in [Value::Text(Cow::Owned(text.clone())), member("key", &text), member(&text, "value")] {
            for value in [value.clone(), Value::List(vec![value])] {
                let mut written = String::new();
                write_yaml(&mut written, &value);
                let root = read_one(&written);
                prop_assert_eq!(value_of(&root), value, "{}", written);
            }
        }
    }

    #[test]
    fn yaml_values_read_back_the_same(value in value()) {
        let mut written = String::new();
        write_yaml(&mut written, &value);
        let root = read_one(&written);
        prop_assert_eq!(sorted(&value_of(&root)), sorted(&value), "{}", written);
    }

    #[test]
    fn yaml_items_one_by_one_are_the_whole_list(items in prop::collection::vec(value(), 1..6)) {
        let mut pieces = String::new();
        items.iter().for_each(|item| write_yaml_item(&mut pieces, item));
        let mut whole = String::new();
        write_yaml(&mut whole, &Value::List(items));
        prop_assert_eq!(pieces, whole);
    }

    #[test]
    fn json_values_read_back_the_same(value in value()) {
        // Only maps and lists start a JSON document here; anything else would be YAML.
        let value = Value::List(vec![value]);
        let mut indented = String::new();
        write_json(&mut indented, &value, 0);
        let mut compact = String::new();
        write_json_compact(&mut compact, &value);
        for written in [indented, compact] {
            let root = read_one(&written);
            prop_assert_eq!(value_of(&root), value.clone(), "{}", written);
        }
    }
}
