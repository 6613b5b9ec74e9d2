use std::collections::BTreeMap;

use margay_testkit::policy_world::Choices;

use super::*;

/// A selector of up to so many groups.
fn selector(choices: &mut Choices, depth: usize) -> String {
    let key = |choices: &mut Choices| choices.of(&["a", "b", "c"]);
    let value = |choices: &mut Choices| choices.of(&["'x'", "'y'", "''"]);
    match choices.below(if depth == 0 { 6 } else { 9 }) {
        0 => "all()".to_owned(),
        1 => format!("has({})", key(choices)),
        2 => format!("{} == {}", key(choices), value(choices)),
        3 => format!("{} != {}", key(choices), value(choices)),
        n @ (4 | 5) => {
            let word = if n == 4 { "in" } else { "not in" };
            let list = choices.some(2, &["'x'", "'y'", "''"]).join(", ");
            format!("{} {word} {{{list}}}", key(choices))
        }
        6 => format!("!({})", selector(choices, depth - 1)),
        n => {
            let word = if n == 7 { " && " } else { " || " };
            let parts: Vec<String> =
                (0..2 + choices.below(2)).map(|_| selector(choices, depth - 1)).collect();
            format!("({})", parts.join(word))
        }
    }
}

#[test]
fn a_program_says_what_its_selector_says() {
    let mut choices = Choices::new(7);
    let (mut matched, rounds) = (0, 3_000);
    for _ in 0..rounds {
        let text = selector(&mut choices, 4);
        let parsed = Selector::parse(&text).unwrap();
        let mut vocabulary = Vocabulary::default();
        let program = Program::new(&parsed, &mut vocabulary);
        let labels: BTreeMap<&str, &str> = choices
            .some(3, &["a", "b", "c"])
            .into_iter()
            .map(|key| (key, choices.of(&["x", "y", "", "z"])))
            .collect();
        let pairs: Vec<Pair> = labels.iter().map(|(key, value)| vocabulary.use_pair(key, value)).collect();
        let found = program.matches(|key| pairs.iter().copied().find(|pair| vocabulary.key(*pair) == key));
        assert_eq!(found, parsed.matches(&labels), "{text} on {labels:?}");
        matched += usize::from(found);
        program.drop_from(&mut vocabulary);
        pairs.into_iter().for_each(|pair| vocabulary.drop_pair(pair));
        assert!(vocabulary.is_empty(), "{text} keeps labels in use");
    }
    assert!((rounds / 10..rounds * 9 / 10).contains(&matched), "{matched} matched");
}

#[test]
fn deep_nesting_needs_no_stack() {
    let text = format!("{}a == 'x'{}", "(!has(b) && ".repeat(900), ")".repeat(900));
    let mut vocabulary = Vocabulary::default();
    let program = Program::new(&Selector::parse(&text).unwrap(), &mut vocabulary);
    let x = vocabulary.use_pair("a", "x");
    assert!(program.matches(|key| (key == vocabulary.key(x)).then_some(x)));
    assert!(!program.matches(|_| Some(x)));
}
