//! The bytes of YAML output.

use super::*;

fn yaml(value: &Value<'_>) -> String {
    let mut out = String::new();
    write_yaml(&mut out, value);
    out
}

fn text(text: &str) -> Value<'_> {
    Value::Text(Cow::Borrowed(text))
}

fn map<'a>(members: &[(&'a str, Value<'a>)]) -> Value<'a> {
    Value::Map(members.iter().map(|(key, value)| (Cow::Borrowed(*key), value.clone())).collect())
}

#[test]
fn texts_are_quoted_only_as_far_as_needed() {
    for (plain, written) in [
        ("abc", "abc"),
        ("", "\"\""),
        ("a b", "a b"),
        ("a: b", "'a: b'"),
        ("a:b", "a:b"),
        ("a:", "'a:'"),
        ("a #b", "'a #b'"),
        ("a#b", "a#b"),
        ("- a", "'- a'"),
        ("-a", "-a"),
        ("-", "'-'"),
        ("? a", "'? a'"),
        ("?a", "?a"),
        ("---", "'---'"),
        ("...x", "'...x'"),
        ("@a", "'@a'"),
        ("%a", "'%a'"),
        ("[a]", "'[a]'"),
        ("a]", "a]"),
        ("it's", "it's"),
        ("'it's'", "'''it''s'''"),
        (" a", "' a'"),
        ("a ", "'a '"),
        ("yes", "\"yes\""),
        ("Null", "\"Null\""),
        ("007", "\"007\""),
        ("1e5", "\"1e5\""),
        ("10:20", "\"10:20\""),
        ("-1:59.5", "\"-1:59.5\""),
        ("10:60", "10:60"),
        ("1:2:", "'1:2:'"),
        ("2017-01-01", "2017-01-01"),
        ("10.0.0.0/8", "10.0.0.0/8"),
        ("fd00::1", "fd00::1"),
        ("::1", "::1"),
        ("02:00:5e:10:00:01", "02:00:5e:10:00:01"),
        ("<<", "\"<<\""),
        ("a\tb", "\"a\\tb\""),
        ("a\r\n", "\"a\\r\\n\""),
        ("\u{1f600}", "\"\\U0001F600\""),
        ("é漢", "é漢"),
        ("\u{a0}", "\u{a0}"),
        ("\u{85}", "\"\\N\""),
        ("a\u{2028}b", "\"a\\Lb\""),
        ("\u{feff}a b", "\"\\uFEFF\\x61\\x20\\x62\""),
        ("\u{1}", "\"\\x01\""),
        ("say \"hi\"", "say \"hi\""),
        ("\"hi\" \t", "\"\\\"hi\\\" \\t\""),
    ] {
        assert_eq!(yaml(&text(plain)), format!("{written}\n"), "{plain:?}");
    }
}

#[test]
fn texts_with_newlines_are_literal_blocks() {
    let cases = [
        ("a\nb", "k: |-\n  a\n  b\n"),
        ("a\nb\n", "k: |\n  a\n  b\n"),
        ("a\n\n", "k: |+\n  a\n\n"),
        ("\n", "k: |2+\n\n"),
        (" a\n  b", "k: |2-\n   a\n    b\n"),
        ("\na", "k: |2-\n\n  a\n"),
        ("a\n\n b\n", "k: |\n  a\n\n   b\n"),
        ("a \nb", "k: \"a \\nb\"\n"),
        ("a\nb ", "k: \"a\\nb \"\n"),
        ("a\n\tb", "k: \"a\\n\\tb\"\n"),
    ];
    for (plain, written) in cases {
        assert_eq!(yaml(&map(&[("k", text(plain))])), written, "{plain:?}");
    }
    let list = Value::List(vec![map(&[("k", text("a\nb\n")), ("l", Value::Int(1))]), text("x\ny")]);
    assert_eq!(yaml(&list), "- k: |\n    a\n    b\n  l: 1\n- |-\n  x\n  y\n");
}

#[test]
fn keys_sort_naturally() {
    let keys = ["a10", "b", "a2", "B", "_z", "A-1", "a/b", "a.b", "a1"];
    let members: Vec<_> = keys.iter().map(|key| (*key, Value::Null)).collect();
    let written = yaml(&map(&members));
    let order: Vec<_> = written.lines().map(|line| line.trim_end_matches(": null")).collect();
    assert_eq!(order, ["_z", "A-1", "B", "a.b", "a/b", "a1", "a2", "a10", "b"]);
}

#[test]
fn keys_that_no_order_fits_are_written_all_the_same() {
    // By upstream's rule n19 < n20 < n100 < n19.
    let keys: Vec<String> = (0..300).map(|number| format!("n{}", number * 7 % 300)).collect();
    let members: Vec<_> = keys.iter().map(|key| (key.as_str(), Value::Null)).collect();
    let written = yaml(&map(&members));
    let mut lines: Vec<_> = written.lines().collect();
    lines.sort_unstable();
    lines.dedup();
    assert_eq!(lines.len(), 300);
    assert_eq!(yaml(&map(&[("a11", Value::Null), ("a100", Value::Null)])), "a100: null\na11: null\n");
}

#[test]
fn keys_are_quoted_like_values_and_long_or_broken_ones_stand_behind_a_question_mark() {
    let long = "k".repeat(129);
    let value =
        map(&[("", Value::Int(1)), ("yes", Value::Int(2)), ("a\nb", Value::Int(3)), ("x: y", text("z"))]);
    assert_eq!(yaml(&value), "\"\": 1\n? |-\n  a\n  b\n: 3\n'x: y': z\n\"yes\": 2\n");
    let value = map(&[(&long, Value::List(vec![Value::Int(1), map(&[("a", Value::Null)])]))]);
    assert_eq!(yaml(&value), format!("? {long}\n: - 1\n  - a: null\n"));
    assert_eq!(yaml(&map(&[(&long[1..], Value::Null)])), format!("{}: null\n", &long[1..]));
}

#[test]
fn nested_collections_indent_as_upstream_does() {
    let value = Value::List(vec![
        map(&[
            (
                "list",
                Value::List(vec![Value::Int(1), Value::List(vec![Value::Bool(true), Value::List(vec![])])]),
            ),
            ("map", map(&[("empty", map(&[])), ("float", Value::Float(0.5))])),
        ]),
        Value::List(vec![Value::List(vec![Value::Null])]),
        Value::Map(vec![]),
    ]);
    let expected =
        "- list:\n  - 1\n  - - true\n    - []\n  map:\n    empty: {}\n    float: 0.5\n- - - null\n- {}\n";
    assert_eq!(yaml(&value), expected);
    assert_eq!(yaml(&Value::List(vec![])), "[]\n");
    assert_eq!(yaml(&Value::Map(vec![])), "{}\n");
    assert_eq!(yaml(&Value::Float(f64::INFINITY)), ".inf\n");
}

#[test]
fn long_texts_fold_behind_column_80() {
    let words = ["word"; 40].join(" ");
    let line = |count: usize| vec!["word"; count].join(" ");
    let fold = |written: &str| yaml(&map(&[("selector", text(written))]));
    assert_eq!(fold(&words), format!("selector: {}\n  {}\n  {}\n", line(15), line(16), line(9)));
    let quoted = format!("{words}: it's");
    let expected = format!("selector: '{}\n  {}\n  {}: it''s'\n", line(15), line(16), line(9));
    assert_eq!(fold(&quoted), expected);
    let escaped = format!("{}  {words}\t", line(15));
    let expected =
        format!("selector: \"{}\n  \\ {}\n  {}\n  {}\\t\"\n", line(15), line(16), line(16), line(8));
    assert_eq!(fold(&escaped), expected);
    // Two blanks do not become a break outside double quotes, and a word may be as long as it likes.
    let wide = format!("{}  word", line(20).replace(' ', "-"));
    assert_eq!(fold(&wide), format!("selector: {wide}\n"));
    // Columns count characters.
    let accents = ["wörd"; 16].join(" ");
    assert_eq!(fold(&accents), format!("selector: {}\n  wörd\n", ["wörd"; 15].join(" ")));
}
