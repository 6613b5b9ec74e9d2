//! Documents, places, limits and faults of the readers.

use super::*;
use crate::tree::{NodeValue, Scalar, Style};

fn read(source: &str) -> Vec<Result<Document, SyntaxError>> {
    documents(source.as_bytes()).collect()
}

/// All documents in a short form: `{k: v}` for maps, `[a]` for lists, text in `'` where it cannot be anything else.
fn short(source: &str) -> Vec<String> {
    read(source)
        .into_iter()
        .map(|document| match document {
            Ok(Document { root: Some(root), .. }) => shorten(&root),
            Ok(Document { root: None, .. }) => "blank".to_owned(),
            Err(error) => format!("error {error}"),
        })
        .collect()
}

fn shorten(node: &Node) -> String {
    match &node.value {
        NodeValue::Scalar(Scalar { text, style: Style::Plain }) => text.clone(),
        NodeValue::Scalar(Scalar { text, .. }) => format!("'{text}'"),
        NodeValue::Sequence(items) => {
            format!("[{}]", items.iter().map(shorten).collect::<Vec<_>>().join(", "))
        }
        NodeValue::Mapping(members) => {
            let members = members.iter().map(|member| format!("{}: {}", member.key, shorten(&member.value)));
            format!("{{{}}}", members.collect::<Vec<_>>().join(", "))
        }
    }
}

/// Every key and node with its place and source text.
fn places(source: &str) -> Vec<String> {
    fn walk(node: &Node, source: &str, out: &mut Vec<String>) {
        out.push(place(node.span, source));
        match &node.value {
            NodeValue::Scalar(_) => {}
            NodeValue::Sequence(items) => items.iter().for_each(|item| walk(item, source, out)),
            NodeValue::Mapping(members) => members.iter().for_each(|member| {
                out.push(place(member.key_span, source));
                walk(&member.value, source, out);
            }),
        }
    }
    fn place(span: Span, source: &str) -> String {
        format!("{}:{} {}", span.line, span.column, source[span.start..span.end].replace('\n', "⏎"))
    }
    let mut out = Vec::new();
    for document in read(source) {
        walk(document.unwrap().root.as_ref().unwrap(), source, &mut out);
    }
    out
}

#[test]
fn streams_split_at_markers_and_blank_documents_count() {
    assert_eq!(short(""), [""; 0]);
    assert_eq!(short("\n\n"), [""; 0]);
    assert_eq!(short("# only"), [""; 0]);
    assert_eq!(short("---"), ["blank"]);
    assert_eq!(
        short("---\n---\na: 1\n...\n# x\n--- # y\nb: 2\n--- {c: 3}\n--- |\n  t\n---\n"),
        ["blank", "{a: 1}", "{b: 2}", "{c: 3}", "'t\n'", "blank"],
    );
    assert_eq!(
        short("%YAML 1.1\n---\na: 1\n...\n%TAG !e! tag:e,1:\n---\nb: !e!x 1\n"),
        ["{a: 1}", "{b: '1'}"]
    );
    let numbers: Vec<_> = documents(b"---\n---\na: 1\n").map(|document| document.unwrap().number).collect();
    assert_eq!(numbers, [1, 2]);
}

#[test]
fn a_marker_with_text_or_indentation_does_not_split() {
    assert_eq!(short("a: |\n  x\n  ---y\n"), ["{a: 'x\n---y\n'}"]);
    assert_eq!(short("a: 1\n---foo\nb: 2\n"), ["error 2:1: expected ':' behind the key"]);
}

#[test]
fn byte_order_mark_and_carriage_returns_are_accepted() {
    assert_eq!(short("\u{feff}a: 1\r\nb: |\r\n  x\r\n  y\r\n"), ["{a: 1, b: 'x\ny\n'}"]);
    assert_eq!(places("\u{feff}{\"a\": 1}"), ["1:1 {\"a\": 1}", "1:2 \"a\"", "1:7 1"]);
    assert_eq!(places("\u{feff}a: 1"), ["1:1 a: 1", "1:1 a", "1:4 1"]);
}

#[test]
fn every_yaml_node_knows_its_place() {
    let source =
        "a: 1\nb:\n  - ÿé: [q, \"w é\", {z: y}] # c\n    n:\nc:\n- 1\n- - x\n\nd: |\n  lit\ne: 'it''s'\n";
    assert_eq!(
        places(source)[1..],
        [
            "1:1 a",
            "1:4 1",
            "2:1 b",
            "3:3 - ÿé: [q, \"w é\", {z: y}] # c⏎    n",
            "3:5 ÿé: [q, \"w é\", {z: y}] # c⏎    n",
            "3:5 ÿé",
            "3:9 [q, \"w é\", {z: y}]",
            "3:10 q",
            "3:13 \"w é\"",
            "3:20 {z: y}",
            "3:21 z",
            "3:24 y",
            "4:5 n",
            "4:6 ",
            "5:1 c",
            "6:1 - 1⏎- - x",
            "6:3 1",
            "7:3 - x",
            "7:5 x",
            "9:1 d",
            "10:3 lit⏎",
            "11:1 e",
            "11:4 'it''s'",
        ],
    );
}

#[test]
fn every_json_node_knows_its_place() {
    let source = "{\n\t\"é\": [1, \"ü\\u00e9\", {}],\r\n \"k\":true } [ 2 ]";
    assert_eq!(
        places(source),
        [
            "1:1 {⏎\t\"é\": [1, \"ü\\u00e9\", {}],\r⏎ \"k\":true }",
            "2:2 \"é\"",
            "2:7 [1, \"ü\\u00e9\", {}]",
            "2:8 1",
            "2:11 \"ü\\u00e9\"",
            "2:22 {}",
            "3:2 \"k\"",
            "3:6 true",
            "3:13 [ 2 ]",
            "3:15 2",
        ],
    );
}

#[test]
fn places_go_on_behind_a_json_value() {
    let source = "{\"é\": True} {\"a\": 1}\n--- [é, b]";
    assert_eq!(
        places(source)
            .iter()
            .filter(|place| !place.contains('[') && !place.contains('{'))
            .collect::<Vec<_>>(),
        ["1:2 \"é\"", "1:7 True", "1:14 \"a\"", "1:19 1", "2:6 é", "2:9 b"],
    );
}

#[test]
fn json_has_all_its_escapes() {
    assert_eq!(
        short(r#"["\"\\\/\b\f\n\r\t\u00e9\ud83d\ude00", "", -0, 1.5E+3, null]"#),
        ["['\"\\/\x08\x0c\n\r\té\u{1f600}', '', -0, 1.5E+3, null]"],
    );
    assert_eq!(short("{\"a\":1}{\"b\":2}\n[3]\t"), ["{a: 1}", "{b: 2}", "[3]"]);
}

#[test]
fn what_is_no_json_is_read_as_yaml() {
    assert_eq!(short("{a: b, c: [x, 007, True]}"), ["{a: b, c: [x, 007, True]}"]);
    assert_eq!(short("{\"a\": True, # x\n \"b\": 'c',}\n{\"d\": 1}"), ["{a: True, b: 'c'}", "{d: 1}"]);
    assert_eq!(short("{\"a\": \"x\ty\"}"), ["{a: 'x\ty'}"]);
    assert_eq!(short("{\"a\": 1} # x\n---\nb: 2\n---\n{\"c\": 3}"), ["{a: 1}", "{b: 2}", "{c: 3}"]);
}

#[test]
fn faults_in_json_are_told_in_the_terms_of_json() {
    for (source, error) in [
        ("{\"a\": 1,, \"b\": 2}", "1:9: expected a key in double quotes, found ','"),
        ("{\"a\": 1 \"b\": 2}", "1:9: expected ',' or '}' behind the member, found '\"'"),
        (
            "{\"a\": 1,\n \"é\": \"b\"",
            "2:10: expected ',' or '}' behind the member, found the end of the input",
        ),
        ("[1, \"\\ud83d\"]", "1:6: half of a surrogate pair stands alone"),
        ("{a: 1, b: [2, 3}", "1:11: mismatched bracket '[' closed by '}'"),
    ] {
        assert_eq!(short(source), [format!("error {error}")], "{source}");
    }
    assert_eq!(short("{\"a\": 1} x")[1..], ["error 1:10: unexpected text behind the end of the document"]);
}

#[test]
fn faults_in_yaml_name_place_and_reason() {
    for (source, error) in [
        ("a: b: c", "1:5: mapping values are not allowed in this context"),
        ("a: *nope", "1:4: the alias names no anchor of this document"),
        ("a: &a [1, *a]", "1:11: the alias stands inside the value that it names"),
        ("? [x, y]\n: 1", "1:3: a list or map cannot be a key"),
        ("&a [x]: 1", "1:4: a list or map cannot be a key"),
        ("a: &a [x]\n*a : 1", "1:7: a list or map cannot be a key"),
        ("a: 1\nb: !!int x", "2:10: 'x' is no value of type !!int"),
        ("a: !!binary aGk=", "1:13: values of type !!binary are not supported"),
        ("x: y\na:\n  - @b", "3:5: text that starts with '@' needs quotes"),
        ("a: {<<: 1}", "1:9: '<<' takes a map or a list of maps"),
        ("a: {<<: [{}, 1]}", "1:14: '<<' takes a map or a list of maps"),
        ("a: 'b", "1:4: unclosed quote"),
    ] {
        assert_eq!(short(source), [format!("error {error}")], "{source}");
    }
}

#[test]
fn input_must_be_text() {
    let error = |source: &[u8]| documents(source).next().unwrap().unwrap_err().to_string();
    assert_eq!(error(b"a: 1\n\xc3\xa9b: \xff"), "2:5: the input is not UTF-8 text");
    assert_eq!(error(b"a: 1\nb: x\0y"), "2:5: the input holds a NUL character");
    assert_eq!(error("a: \"x\u{1}\"".as_bytes()), "1:6: unexpected character: `\\u{1}'");
}

#[test]
fn reading_ends_at_the_first_fault() {
    let mut all = documents(b"a: 1\n---\nb: *x\n---\nc: 3\n");
    assert!(all.next().unwrap().is_ok());
    assert!(all.next().unwrap().is_err());
    assert_eq!(all.next(), None);
    assert_eq!(all.next(), None);
}

#[test]
fn the_last_of_repeated_keys_stands() {
    assert_eq!(short("a: 1\nb: 2\na: 3"), ["{b: 2, a: 3}"]);
    assert_eq!(short("{\"a\": 1, \"b\": 2, \"a\": 3}"), ["{b: 2, a: 3}"]);
    let many: String = (0..40).map(|number| format!("k{}: {number}\n", number % 20)).collect();
    let expected: Vec<_> = (20..40).map(|number| format!("k{}: {number}", number - 20)).collect();
    assert_eq!(short(&many), [format!("{{{}}}", expected.join(", "))]);
}

#[test]
fn anchors_aliases_merge_keys_and_tags_work() {
    assert_eq!(short("a: &x {k: v}\nb: *x\n&y c: *y"), ["{a: {k: v}, b: {k: v}, c: 'c'}".replace('\'', "")]);
    let merged =
        "a: &x {k: v, l: w}\nb: {<<: *x, l: z}\nc:\n  l: z\n  <<: [*x, {k: other, m: n}]\nd: {\"<<\": *x}\n";
    assert_eq!(
        short(merged),
        ["{a: {k: v, l: w}, b: {k: v, l: z}, c: {m: n, k: v, l: z}, d: {<<: {k: v, l: w}}}"],
    );
    assert_eq!(
        short("[!!str 5, !!int \"5\", !!float 5, !!bool 'on', !!null '', !foo 7, ! 8, !!str ]"),
        ["['5', 5, 5, on, , '7', '8', '']"],
    );
    assert_eq!(short("a: {!!str <<: {b: c}}"), ["{a: {<<: {b: c}}}"]);
    assert_eq!(short("--- &a x\n--- *a\n")[1], "error 2:5: the alias names no anchor of this document");
}

#[test]
fn colons_in_flow_style_stay_in_the_text() {
    assert_eq!(
        short("{ip: fd00::1, ports: [80:90, ::1, ::/0, 00:1a:2b], \"q\":x}"),
        ["{ip: fd00::1, ports: [80:90, ::1, ::/0, 00:1a:2b], q: x}"],
    );
}

#[test]
fn nothing_written_is_a_plain_empty_scalar_and_a_tilde_is_not() {
    assert_eq!(short("a:\nb: ~\nc: ''\nd:\n-\n- x"), ["{a: , b: ~, c: '', d: [, x]}"]);
}

#[test]
fn a_literal_block_ends_as_it_is_written() {
    assert_eq!(short("a: |\n  x"), ["{a: 'x'}"]);
    assert_eq!(short("a: |\n  x\n"), ["{a: 'x\n'}"]);
    assert_eq!(short("a: >-\n  x\n  y\n\n  z\n"), ["{a: 'x y\nz'}"]);
    assert_eq!(short("a: |\n  \nb: x\n"), ["{a: '', b: x}"]);
}

#[test]
fn nesting_has_a_limit_in_every_style() {
    let limit = "lists and maps nest deeper than 200 levels";
    let nested = |open: &str, close: &str, levels: usize| open.repeat(levels) + "1" + &close.repeat(levels);
    for (open, close) in [("[", "]"), ("{\"a\":", "}"), ("{a: ", "}"), ("- ", "")] {
        assert!(read(&nested(open, close, 200))[0].is_ok(), "{open}");
        for levels in [201, 100_000] {
            let error = read(&nested(open, close, levels)).remove(0).unwrap_err();
            assert_eq!(error.message, limit, "{open}");
        }
    }
    let block: String = (0..250).map(|level| " ".repeat(level) + "a:\n").collect();
    assert_eq!(read(&block).remove(0).unwrap_err().message, limit);
    let aliases: String = "a: &a1 [[[[[[[[[[1]]]]]]]]]]\n".to_owned()
        + &(2..40).map(|n| format!("b{n}: &a{n} [[[[[[[[[[*a{}]]]]]]]]]]\n", n - 1)).collect::<String>();
    assert_eq!(read(&aliases).remove(0).unwrap_err().message, limit);
}

#[test]
fn alias_expansion_has_a_limit() {
    let mut laughs = String::from("a0: &a0 [lol, lol, lol, lol, lol, lol, lol, lol, lol, lol]\n");
    for level in 1..12 {
        let aliases = vec![format!("*a{}", level - 1); 10].join(", ");
        laughs += &format!("a{level}: &a{level} [{aliases}]\n");
    }
    let error = read(&laughs).remove(0).unwrap_err();
    assert_eq!(error.message, "the aliases of the document expand to too much text");
    let long = format!("a: &a {}\nb: [{}]\n", "x".repeat(100_000), "*a, ".repeat(2000));
    assert_eq!(
        read(&long).remove(0).unwrap_err().message,
        "the aliases of the document expand to too much text"
    );
    // The limit is counted for each document, not for the input.
    let modest = format!("a: &a {}\nb: [{}]\n---\n", "x".repeat(100_000), "*a, ".repeat(400)).repeat(3);
    assert_eq!(documents(modest.as_bytes()).filter(Result::is_ok).count(), 4);
}

#[test]
fn any_bytes_end_in_trees_or_an_error() {
    use proptest::prelude::*;
    let piece = prop::sample::select(vec![
        "a", "é", ": ", ":", "- ", "-", "\n", "\n  ", "\n ", "{", "}", "[", "]", ",", "\"", "'", "|", ">-",
        "#", " #", "&x ", "*x", "<<: ", "!!str ", "!", "%", "---", "...", "\t", "\r\n", "\\", "\\u12", "1",
        "null", "? ", "~",
    ]);
    let config = ProptestConfig { cases: 3000, failure_persistence: None, ..ProptestConfig::default() };
    proptest!(config, |(pieces in prop::collection::vec(piece, 0..30))| {
        let source = pieces.concat();
        for document in documents(source.as_bytes()) {
            let Ok(Document { root: Some(root), .. }) = document else { continue };
            check_spans(&root, &source)?;
        }
    });
}

/// Every span must cut the source at characters and agree with its line and column.
fn check_spans(node: &Node, source: &str) -> Result<(), proptest::test_runner::TestCaseError> {
    use proptest::prelude::*;
    let check = |span: Span| {
        prop_assert!(source.get(span.start..span.end).is_some(), "{:?} in {:?}", span, source);
        let before = source[..span.start].replace("\r\n", "\n");
        let before = before.strip_prefix('\u{feff}').unwrap_or(&before);
        let line = before.matches(['\n', '\r']).count() + 1;
        prop_assert_eq!(span.line as usize, line, "{:?} in {:?}", span, source);
        let column = before.rsplit(['\n', '\r']).next().map_or(0, |line| line.chars().count()) + 1;
        prop_assert_eq!(span.column as usize, column, "{:?} in {:?}", span, source);
        Ok(())
    };
    check(node.span)?;
    match &node.value {
        NodeValue::Scalar(_) => Ok(()),
        NodeValue::Sequence(items) => items.iter().try_for_each(|item| check_spans(item, source)),
        NodeValue::Mapping(members) => members.iter().try_for_each(|member| {
            check(member.key_span)?;
            check_spans(&member.value, source)
        }),
    }
}
