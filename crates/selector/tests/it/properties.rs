//! Properties: printing undoes parsing, and evaluation agrees with a model that is plainly right.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use margay_selector::Selector;
use proptest::prelude::*;

/// A selector as one would define it in a textbook.
#[derive(Debug, Clone)]
enum Tree {
    All,
    Has(&'static str),
    Compare { key: &'static str, equal: bool, value: &'static str },
    Member { key: &'static str, inside: bool, values: Vec<&'static str> },
    Not(Box<Tree>),
    And(Vec<Tree>),
    Or(Vec<Tree>),
}

const KEYS: [&str; 6] = ["a", "b", "not", "k8s/x.y-z_", "-1", "index"];
const VALUES: [&str; 7] = ["", "x", "X", "it's", "say \"hi\"", "a b", "wéb\n"];

impl Tree {
    fn holds(&self, labels: &BTreeMap<String, String>) -> bool {
        match self {
            Tree::All => true,
            Tree::Has(key) => labels.contains_key(*key),
            Tree::Compare { key, equal, value } => {
                labels.get(*key).is_some_and(|actual| actual == value) == *equal
            }
            Tree::Member { key, inside, values } => {
                labels.get(*key).is_some_and(|actual| values.iter().any(|value| value == actual)) == *inside
            }
            Tree::Not(operand) => !operand.holds(labels),
            Tree::And(operands) => operands.iter().all(|operand| operand.holds(labels)),
            Tree::Or(operands) => operands.iter().any(|operand| operand.holds(labels)),
        }
    }

    /// The canonical text by definition.
    fn canonical(&self) -> String {
        match self {
            Tree::Member { key, inside, values } => {
                let values: BTreeSet<&str> = values.iter().copied().collect();
                let values: Vec<String> = values.into_iter().map(|value| quoted(value, '"')).collect();
                format!("{key} {} {{{}}}", if *inside { "in" } else { "not in" }, values.join(", "))
            }
            Tree::Compare { key, equal, value } => {
                format!("{key} {} {}", if *equal { "==" } else { "!=" }, quoted(value, '"'))
            }
            Tree::Not(operand) => match operand.canonical().strip_prefix('!') {
                Some(plain) => plain.to_owned(),
                None => format!("!{}", operand.canonical()),
            },
            Tree::And(operands) => group(operands, " && "),
            Tree::Or(operands) => group(operands, " || "),
            Tree::All => "all()".to_owned(),
            Tree::Has(key) => format!("has({key})"),
        }
    }

    /// Another spelling of the same: few blanks, few brackets, single quotes, sets with repeats.
    fn loose(&self) -> String {
        match self {
            Tree::Compare { key, equal, value } => {
                format!("{key}{}{}", if *equal { "==" } else { "!=" }, quoted(value, '\''))
            }
            Tree::Member { key, inside, values } => {
                let values: String =
                    values.iter().map(|value| format!("{} ,", quoted(value, '\''))).collect();
                format!("{key}\t{}{{{values}}}", if *inside { "in" } else { "notin" })
            }
            Tree::Not(operand) => format!("!!! ({})", operand.loose()),
            Tree::And(operands) => {
                joined(operands, "&&", |inner| matches!(inner, Tree::And(_) | Tree::Or(_)))
            }
            Tree::Or(operands) => joined(operands, "||", |inner| matches!(inner, Tree::Or(_))),
            Tree::All => " all(\n)".to_owned(),
            Tree::Has(key) => format!("has( {key}\r\n)"),
        }
    }
}

fn quoted(value: &str, preferred: char) -> String {
    let other = if preferred == '"' { '\'' } else { '"' };
    let quote = if value.contains(preferred) { other } else { preferred };
    format!("{quote}{value}{quote}")
}

fn group(operands: &[Tree], separator: &str) -> String {
    let operands: Vec<String> = operands.iter().map(Tree::canonical).collect();
    format!("({})", operands.join(separator))
}

fn joined(operands: &[Tree], separator: &str, needs_brackets: fn(&Tree) -> bool) -> String {
    let operands: Vec<String> = operands
        .iter()
        .map(|inner| if needs_brackets(inner) { format!("({})", inner.loose()) } else { inner.loose() })
        .collect();
    operands.join(separator)
}

fn tree() -> impl Strategy<Value = Tree> {
    let key = || prop::sample::select(&KEYS[..]);
    let value = || prop::sample::select(&VALUES[..]);
    let leaf = prop_oneof![
        Just(Tree::All),
        prop_oneof![key(), Just("in"), Just("notin")].prop_map(Tree::Has),
        (key(), any::<bool>(), value()).prop_map(|(key, equal, value)| Tree::Compare { key, equal, value }),
        // `not in` is always the operator, so the label `not` cannot stand before `in`.
        (key(), any::<bool>(), prop::collection::vec(value(), 0..5))
            .prop_filter("unsayable", |(key, inside, _)| !(*key == "not" && *inside))
            .prop_map(|(key, inside, values)| Tree::Member { key, inside, values }),
    ];
    leaf.prop_recursive(6, 40, 4, |inner| {
        prop_oneof![
            inner.clone().prop_map(|operand| Tree::Not(Box::new(operand))),
            prop::collection::vec(inner.clone(), 2..5).prop_map(Tree::And),
            prop::collection::vec(inner, 2..5).prop_map(Tree::Or),
        ]
    })
}

fn labels() -> impl Strategy<Value = BTreeMap<String, String>> {
    let pair = (prop::sample::select(&KEYS[..]), prop::sample::select(&VALUES[..]));
    prop::collection::vec(pair, 0..6)
        .prop_map(|pairs| pairs.into_iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect())
}

proptest! {
    #[test]
    fn every_spelling_has_the_one_canonical_text(tree in tree()) {
        let selector = Selector::parse(&tree.loose()).unwrap();
        prop_assert_eq!(selector.to_string(), tree.canonical());
        let again = Selector::parse(&tree.canonical()).unwrap();
        prop_assert_eq!(again.to_string(), tree.canonical());
        prop_assert_eq!(&again, &selector);
        prop_assert_eq!(again.id(), selector.id());
    }

    #[test]
    fn evaluation_agrees_with_the_model(tree in tree(), labels in prop::collection::vec(labels(), 8)) {
        let selector = Selector::parse(&tree.loose()).unwrap();
        for labels in labels {
            let expected = tree.holds(&labels);
            let hashed: HashMap<String, String> = labels.clone().into_iter().collect();
            let listed: Vec<(String, String)> = labels.clone().into_iter().collect();
            prop_assert_eq!(selector.matches(&labels), expected, "{}", &selector);
            prop_assert_eq!(selector.matches(&hashed), expected);
            prop_assert_eq!(selector.matches(listed.as_slice()), expected);
        }
    }

    #[test]
    fn arbitrary_text_is_a_selector_or_an_error_inside_it(text in ".*") {
        if let Err(error) = Selector::parse(&text) {
            prop_assert!((1..=text.chars().count() + 1).contains(&error.column()));
        }
    }

    #[test]
    fn arbitrary_tokens_are_a_selector_or_an_error_inside_them(words in prop::collection::vec(
        prop::sample::select(vec![
            "a", "in", "not", "not in", "has(a)", "all()", "has", "all", "==", "!=", "!", "=", "&&", "||", "&",
            "(", ")", "{", "}", ",", "'x'", "\"y\"", "'", "é", "\n",
        ]), 0..12))
    {
        let text = words.join(" ");
        match Selector::parse(&text) {
            Ok(selector) => prop_assert_eq!(&selector.to_string().parse::<Selector>().unwrap(), &selector),
            Err(error) => {
                prop_assert!((1..=text.chars().count() + 1).contains(&error.column()));
                prop_assert!(error.upstream_text().is_some());
            }
        }
    }
}
