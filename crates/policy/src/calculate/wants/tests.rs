use std::sync::Arc;

use super::*;
use crate::calculate::cluster::{Content, Place};

/// Two endpoints with label `a`, one with `b`, none with `c`.
fn crowd() -> Cluster {
    let mut cluster = Cluster::default();
    for (rest, labels) in [("1", &[("a", "x"), ("b", "x")][..]), ("2", &[("a", "x")])] {
        let labels: Vec<(Arc<str>, Arc<str>)> =
            labels.iter().map(|(key, value)| ((*key).into(), (*value).into())).collect();
        let content = Content { labels: &labels, profiles: &[], addresses: &[] };
        cluster.insert(Place { host: "h", workload: true, rest }, content);
    }
    cluster
}

/// What a selector needs, as `key=value` and `key`; none = nothing is known.
fn of(text: &str) -> Option<Vec<String>> {
    let selector = Selector::parse(text).unwrap();
    let mut cluster = crowd();
    let found = needs(&selector, &cluster).map(|needs| {
        let pairs = needs.pairs.iter().map(|(key, value)| format!("{key}={value}"));
        let mut all: Vec<String> = pairs.chain(needs.keys.iter().map(|key| (*key).to_owned())).collect();
        all.sort();
        all
    });
    Wants::new(&selector, &mut cluster).drop_from(&mut cluster.vocabulary);
    let index = cluster.all().collect::<Vec<_>>();
    index.into_iter().for_each(|index| cluster.remove(index));
    assert!(cluster.is_empty(), "{text} keeps labels in use");
    found
}

#[test]
fn a_selector_needs_what_it_cannot_match_without() {
    for (selector, needs) in [
        ("a == 'x'", Some(&["a=x"][..])),
        ("has(a)", Some(&["a"])),
        ("a in {'x', 'y'}", Some(&["a=x", "a=y"])),
        ("a in {}", Some(&[])),
        ("", None),
        ("a != 'x'", None),
        ("a not in {'x'}", None),
        ("!has(a)", None),
        ("!(a != 'x')", None),
        // Of several needs the one that the fewest endpoints fulfil is enough.
        ("has(a) && b == 'x'", Some(&["b=x"])),
        ("!has(a) && b in {'x', 'y'} && c == 'z'", Some(&["c=z"])),
        ("a == 'x' || has(b)", Some(&["a=x", "b"])),
        ("a == 'x' || !has(b)", None),
        ("(a == 'x' || b == 'y') && !has(c)", Some(&["a=x", "b=y"])),
        ("(a == 'x' && has(c)) || (b == 'y' && has(c))", Some(&["c", "c"])),
    ] {
        let expected = needs.map(|needs| needs.iter().map(|need| (*need).to_owned()).collect::<Vec<_>>());
        assert_eq!(of(selector), expected, "{selector}");
    }
}

#[test]
fn deep_nesting_needs_no_stack() {
    let text = format!("{}a == 'x'{}", "(!has(b) && ".repeat(900), ")".repeat(900));
    assert_eq!(of(&text), Some(vec!["a=x".to_owned()]));
}
