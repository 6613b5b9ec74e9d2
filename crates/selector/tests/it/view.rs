//! The expression as other crates see it.

use margay_selector::{Expr, Labels, Selector};

/// The expression spelled by its shape.
fn shape(expr: Expr<'_>) -> String {
    let list = |operands: margay_selector::Operands<'_>| operands.map(shape).collect::<Vec<_>>().join(" ");
    match expr {
        Expr::All => "all".to_owned(),
        Expr::Has(key) => format!("has:{key}"),
        Expr::Equal { key, value } => format!("{key}={value}"),
        Expr::NotEqual { key, value } => format!("{key}≠{value}"),
        Expr::In { key, values } => format!("{key}∈{}", values.join("+")),
        Expr::NotIn { key, values } => format!("{key}∉{}", values.join("+")),
        Expr::Not(operand) => format!("not[{}]", shape(operand.expr())),
        Expr::And(operands) => format!("and[{}]", list(operands)),
        Expr::Or(operands) => format!("or[{}]", list(operands)),
    }
}

const TEXT: &str =
    "a == '1' && !(b != '2' || has(c) && all()) && d in {'y', 'x', 'x'} || (has(e)) || !!(f not in {})";

#[test]
fn the_view_shows_every_part_once() {
    let selector = Selector::parse(TEXT).unwrap();
    let expected = "or[and[a=1 not[or[b≠2 and[has:c all]]] d∈x+y] has:e f∉]";
    assert_eq!(shape(selector.expr()), expected);
}

#[test]
fn the_walk_shows_parts_before_their_operands() {
    let selector = Selector::parse(TEXT).unwrap();
    let first_words: Vec<String> = selector
        .walk()
        .map(|expr| shape(expr).split_inclusive(['[', ' ']).next().unwrap().to_owned())
        .collect();
    let expected =
        ["or[", "and[", "a=1", "not[", "or[", "b≠2", "and[", "has:c", "all", "d∈x+y", "has:e", "f∉"];
    assert_eq!(first_words, expected);
}

#[test]
fn debug_output_is_the_canonical_text() {
    let selector = Selector::parse("!(has(a) && b == 'x')").unwrap();
    assert_eq!(format!("{selector:?}"), "Selector(!(has(a) && b == \"x\"))");
    assert_eq!(format!("{:?}", selector.expr()), "Not((has(a) && b == \"x\"))");
    let both = Selector::parse("has(a) && !(has(b) || has(c))").unwrap();
    assert_eq!(format!("{:?}", both.expr()), "And(has(a), !(has(b) || has(c)))");
}

#[test]
fn any_source_of_labels_will_do() {
    struct Inherited<'l>(&'l [(&'l str, &'l str)], &'l [(&'l str, &'l str)]);
    impl Labels for Inherited<'_> {
        fn get(&self, key: &str) -> Option<&str> {
            Labels::get(self.0, key).or_else(|| Labels::get(self.1, key))
        }
    }
    let selector = Selector::parse("role == 'web' && env == 'prod'").unwrap();
    assert!(selector.matches(&Inherited(&[("role", "web")], &[("role", "db"), ("env", "prod")])));
    assert!(!selector.matches(&Inherited(&[("role", "db")], &[("role", "web"), ("env", "prod")])));
}

#[test]
fn ids_are_equal_for_equal_selectors_only() {
    let id = |text: &str| Selector::parse(text).unwrap().id();
    assert_eq!(id("a in {'x','y'}"), id("(a in {\"y\", 'x', 'x'})"));
    assert_ne!(id("a in {'x'}"), id("a == 'x'"));
    assert_eq!(id("").to_string().len(), 40);
}
