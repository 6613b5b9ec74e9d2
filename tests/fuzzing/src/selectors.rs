//! Label selectors.

use std::collections::BTreeMap;

use margay_selector::{Expr, ParseError, Selector};

/// A label selector.
///
/// Its printed form is the same selector with the same id and the same verdicts, and `!` turns every verdict around.
pub fn selectors(input: &[u8]) {
    let Some(text) = crate::text(input) else { return };
    let selector = match Selector::parse(text) {
        Ok(selector) => selector,
        Err(error) => return refused(&error, text),
    };
    let printed = selector.to_string();
    let again = match Selector::parse(&printed) {
        Ok(again) => again,
        Err(error) => panic!("{text:?} prints as {printed:?}: {error}"),
    };
    assert_eq!(again, selector, "{text:?} prints as {printed:?}");
    assert_eq!(again.to_string(), printed, "{text:?}");
    assert_eq!(again.id().to_string(), selector.id().to_string(), "{text:?}");
    // Behind the deepest nesting there is no room for one more operator.
    let negated = Selector::parse(&format!("!({printed})")).ok();
    for labels in worlds(&selector) {
        let verdict = selector.matches(&labels);
        assert_eq!(again.matches(&labels), verdict, "{text:?} on {labels:?}");
        if let Some(negated) = negated.as_ref().filter(|_| !text.trim().is_empty()) {
            assert_eq!(negated.matches(&labels), !verdict, "!({printed}) on {labels:?}");
        }
    }
}

fn refused(error: &ParseError, text: &str) {
    let said = error.to_string();
    assert!(!said.is_empty());
    // It quotes a part of the selector, never all of a long one.
    assert!(said.len() < 2000, "{} bytes about {} bytes", said.len(), text.len());
    let mut cause = std::error::Error::source(error);
    while let Some(next) = cause {
        assert!(!said.contains(&next.to_string()), "{said:?} says its cause twice");
        cause = next.source();
    }
}

/// Labels that this selector asks about: none, those that it names, and those with other values.
fn worlds(selector: &Selector) -> [BTreeMap<String, String>; 3] {
    let mut named = BTreeMap::new();
    for part in selector.walk().take(64) {
        let (key, value) = match part {
            Expr::Has(key) => (key, ""),
            Expr::Equal { key, value } | Expr::NotEqual { key, value } => (key, value),
            Expr::In { key, values } | Expr::NotIn { key, values } => {
                (key, values.first().map_or("", |value| value.as_ref()))
            }
            Expr::All | Expr::Not(_) | Expr::And(_) | Expr::Or(_) => continue,
        };
        named.insert(key.to_owned(), value.to_owned());
    }
    let others = named.iter().map(|(key, value)| (key.clone(), format!("{value}x"))).collect();
    [BTreeMap::new(), named, others]
}
