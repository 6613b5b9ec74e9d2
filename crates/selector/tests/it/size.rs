//! Sizes that hurt: deep, long and wide selectors on a small stack.

use std::thread;

use margay_selector::{Expected, MAX_NESTING, Selector};

/// The stack of an ordinary thread.
const STACK: usize = 2 << 20;

/// Runs the check on a small stack and passes its failure on.
fn on_small_stack(check: impl FnOnce() + Send + 'static) {
    thread::Builder::new().stack_size(STACK).spawn(check).unwrap().join().unwrap();
}

/// Does everything that a selector can do, and returns whether it matches `a=x`.
fn used(text: &str) -> bool {
    let selector = Selector::parse(text).unwrap();
    let again = Selector::parse(&selector.to_string()).unwrap();
    assert_eq!(again, selector);
    assert_eq!(again.clone().id(), selector.id());
    assert!(format!("{:?}{:?}", selector, selector.expr()).len() > selector.walk().count());
    selector.matches(&[("a", "x")])
}

#[test]
fn nesting_is_free_up_to_the_limit_and_an_error_beyond() {
    on_small_stack(|| {
        let nested =
            |levels: usize, open: &str| format!("{}has(a){}", open.repeat(levels), ")".repeat(levels));
        assert!(used(&nested(MAX_NESTING, "(")));
        assert!(used(&nested(MAX_NESTING, "!(")));
        assert!(used(&nested(MAX_NESTING - 1, "(has(b) || ")));
        let two_levels = "has(a) && !(has(b) || !!!(";
        let mixed = |inner: &str| {
            format!("{}{inner}{}", two_levels.repeat(MAX_NESTING / 2), "))".repeat(MAX_NESTING / 2))
        };
        assert!(used(&mixed("has(a)")));
        assert!(!used(&mixed("has(b)")));
        let error = Selector::parse(&nested(MAX_NESTING + 1, "(")).unwrap_err();
        assert_eq!(error.expected(), Expected::LessNesting);
        assert_eq!(
            error.to_string(),
            "selector, column 1001: expected at most 1000 brackets inside each other, found '('",
        );
        assert_eq!(error.upstream_text(), None);
    });
}

#[test]
fn the_canonical_text_keeps_to_the_limit_too() {
    on_small_stack(|| {
        let nested =
            |levels: usize| format!("{}has(a){}", "(has(b) || all() && ".repeat(levels), ")".repeat(levels));
        assert!(used(&nested(MAX_NESTING / 2)));
        let error = Selector::parse(&nested(MAX_NESTING / 2 + 1)).unwrap_err();
        assert_eq!(error.expected(), Expected::LessNesting);
        assert_eq!(error.column(), 20 * (MAX_NESTING / 2) + 2);
    });
}

#[test]
fn brackets_side_by_side_do_not_count_as_nesting() {
    let text = vec!["(has(a))"; 5000].join(" && ");
    assert!(used(&text));
}

#[test]
fn a_chain_of_negations_has_any_length() {
    on_small_stack(|| {
        assert!(used(&format!("{}has(a)", "!".repeat(1_000_000))));
        assert!(!used(&format!("{}has(a)", "! ".repeat(1_000_001))));
    });
}

#[test]
fn lists_of_operands_and_values_have_any_length() {
    on_small_stack(|| {
        let repeated = |word: &str, separator: &str| vec![word; 100_000].join(separator);
        assert!(used(&repeated("has(a)", " && ")));
        assert!(!used(&repeated("has(b)", " || ")));
        assert!(used(&repeated("has(b) && has(a) || a == \"x\"", "||")));
        let values: Vec<String> = (0..100_000).rev().map(|number| format!("'{number}'")).collect();
        let set = Selector::parse(&format!("a in {{{}}}", values.join(","))).unwrap();
        assert!(set.matches(&[("a", "77777")]));
        assert!(!set.matches(&[("a", "100000")]));
    });
}

#[test]
fn an_error_in_a_huge_selector_is_found() {
    on_small_stack(|| {
        let text = format!("{}) ", vec!["has(a)"; 100_000].join(" && "));
        let error = Selector::parse(&text).unwrap_err();
        assert_eq!(error.column(), text.len() - 1);
        assert_eq!(error.expected(), Expected::End);
    });
}
