//! The recorded table (`spec/api-v1.md` 10.6): 110 selectors that ran through upstream's parser.

use margay_selector::Selector;

const UPSTREAM: &str = include_str!("../data/upstream.tsv");

/// The label maps that the column "matches" numbers.
const LABELS: [&[(&str, &str)]; 8] = [
    &[],
    &[("role", "web")],
    &[("role", "web"), ("env", "prod")],
    &[("role", "db"), ("env", "dev")],
    &[("role", "")],
    &[("calico/k8s_ns", "kube-system"), ("k8s-app", "kube-dns")],
    &[("in", "x"), ("not", "y"), ("has", "z"), ("all", "w")],
    &[("q", "it's"), ("dq", "say \"hi\""), ("sp", "a b")],
];

/// Where ours differs on purpose: row, canonical text, and the row whose id is ours.
const OURS: [(u32, &str, u32); 1] = [(105, "has(role)", 34)];

#[derive(Debug, PartialEq, Eq)]
enum Outcome {
    Selector { canonical: String, matches: Vec<usize>, id: String },
    Error(String),
}

struct Row {
    number: u32,
    selector: String,
    outcome: Outcome,
}

fn unescaped(text: &str) -> String {
    let mut plain = String::new();
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        plain.push(match character {
            '\\' => match characters.next() {
                Some('s') => ' ',
                Some('t') => '\t',
                Some('n') => '\n',
                Some('r') => '\r',
                Some('\\') => '\\',
                other => panic!("unknown escape {other:?} in {text}"),
            },
            other => other,
        });
    }
    plain
}

fn rows() -> Vec<Row> {
    UPSTREAM.lines().filter(|line| !line.starts_with('#')).map(row).collect()
}

fn row(line: &str) -> Row {
    let [number, selector, kind, text, matches, id] =
        line.split('\t').collect::<Vec<_>>().try_into().unwrap_or_else(|_| panic!("six columns: {line}"));
    let outcome = match kind {
        "error" => Outcome::Error(unescaped(text)),
        "canonical" => Outcome::Selector {
            canonical: unescaped(text),
            matches: matches
                .split(' ')
                .filter(|word| *word != "none")
                .map(|word| word.parse().unwrap())
                .collect(),
            id: format!("s:{id}"),
        },
        other => panic!("unknown outcome {other}"),
    };
    Row { number: number.parse().unwrap(), selector: unescaped(selector), outcome }
}

fn outcome(text: &str) -> Outcome {
    match Selector::parse(text) {
        Ok(selector) => Outcome::Selector {
            canonical: selector.to_string(),
            matches: (0..LABELS.len()).filter(|index| selector.matches(LABELS[*index])).collect(),
            id: selector.id().to_string(),
        },
        Err(error) => Outcome::Error(error.upstream_text().unwrap_or("accepted upstream").to_owned()),
    }
}

#[test]
fn every_recorded_selector_gives_upstreams_answer() {
    let rows = rows();
    assert_eq!(rows.iter().map(|row| row.number).collect::<Vec<_>>(), (1..=110).collect::<Vec<_>>());
    for row in rows.iter().filter(|row| OURS.iter().all(|(number, ..)| *number != row.number)) {
        assert_eq!(outcome(&row.selector), row.outcome, "row {}: {}", row.number, row.selector);
    }
}

#[test]
fn bracketed_double_negation_is_the_plain_selector() {
    let rows = rows();
    let find = |number| rows.iter().find(|row| row.number == number).unwrap();
    for (number, canonical, same_as) in OURS {
        let (row, plain) = (find(number), find(same_as));
        assert_eq!(plain.selector, canonical);
        assert_eq!(outcome(&row.selector), plain.outcome);
        assert_ne!(row.outcome, plain.outcome, "row {number} differs upstream");
    }
}

#[test]
fn every_canonical_text_is_a_fixed_point() {
    for row in rows() {
        if let Ok(selector) = Selector::parse(&row.selector) {
            let again: Selector = selector.to_string().parse().unwrap();
            assert_eq!(again, selector, "row {}", row.number);
            assert_eq!(again.id(), selector.id(), "row {}", row.number);
        }
    }
}
