//! Messages and hints: what a person reads when a selector is wrong.

use margay_selector::{Expected, Found, Selector};

/// The message without its fixed start, and the hint.
fn told(text: &str) -> (String, Option<String>) {
    let error = Selector::parse(text).unwrap_err();
    let message = error.to_string();
    (message.strip_prefix("selector, ").unwrap().to_owned(), error.hint())
}

#[test]
fn a_fault_has_a_place_an_expectation_and_a_find() {
    let error = Selector::parse("role == web").unwrap_err();
    assert_eq!(error.to_string(), "selector, column 9: expected a string in quotes, found label 'web'");
    assert_eq!(error.column(), 9);
    assert_eq!(error.expected(), Expected::Text);
    assert_eq!(error.found(), &Found::Label("web".to_owned()));
    assert_eq!(error.upstream_text(), Some("Expected string"));
    assert_eq!(error.hint().as_deref(), Some("put the value in quotes: \"web\""));
}

#[test]
fn columns_count_characters() {
    let (message, _) = told("a == \"é→\" && b = \"x\"");
    assert_eq!(message, "column 16: expected '==', found '='");
}

#[test]
fn every_kind_of_fault_has_its_message() {
    let operand = "expected a label, has(LABEL), all(), '!' or '('";
    let operator = "expected '==', '!=', 'in' or 'not in'";
    let end = "expected '&&', '||' or the end of the selector";
    let cases = [
        ("%", "column 1: expected a label, an operator or a string in quotes, found '%'".to_owned()),
        (
            "a == 'x'\n",
            "column 9: expected a label, an operator or a string in quotes, found '\\n'".to_owned(),
        ),
        (
            "a == \"x",
            "column 6: expected a closing \" for the string that starts here, found the end of the selector"
                .to_owned(),
        ),
        ("a = 'x'", "column 3: expected '==', found '='".to_owned()),
        ("a & b", "column 3: expected '&&', found '&'".to_owned()),
        ("a | b", "column 3: expected '||', found '|'".to_owned()),
        ("!", format!("column 2: {operand}, found the end of the selector")),
        ("\"web\" == role", format!("column 1: {operand}, found string 'web'")),
        ("a == 'x' && || b == 'x'", format!("column 13: {operand}, found '||'")),
        ("in == 'x'", format!("column 1: {operand}, found the keyword 'in'")),
        ("role", format!("column 5: {operator}, found the end of the selector")),
        ("role has(x)", format!("column 6: {operator}, found has(x)")),
        ("role all()", format!("column 6: {operator}, found all()")),
        ("a in 'x'", "column 6: expected a set of strings in '{' and '}', found string 'x'".to_owned()),
        ("a in {x}", "column 7: expected a string in quotes or '}', found label 'x'".to_owned()),
        ("a in {'x' 'y'}", "column 11: expected ',' or '}', found string 'y'".to_owned()),
        ("(has(a)", "column 8: expected '&&', '||' or ')', found the end of the selector".to_owned()),
        ("has(a) has(b)", format!("column 8: {end}, found has(b)")),
        ("has(a))", format!("column 7: {end}, found ')'")),
    ];
    for (text, expected) in cases {
        assert_eq!(told(text).0, expected, "{text}");
    }
}

#[test]
fn long_and_odd_finds_are_cut_and_escaped() {
    let (message, _) = told(&format!("has(a) '{}'", "v".repeat(1000)));
    assert!(message.ends_with(&format!("found string '{}…'", "v".repeat(60))), "{message}");
    let (message, _) = told("has(a) 'x\ny'");
    assert!(message.ends_with("found string 'x\\ny'"), "{message}");
}

#[test]
fn common_mistakes_get_a_hint() {
    let cases = [
        ("a = 'x'", "write '=='"),
        ("a === 'x'", "write '==', two signs only"),
        ("a =~ 'x'", "there is no pattern matching; list the values: in {\"a\", \"b\"}"),
        ("a <> 'x'", "write '!='"),
        ("has(a) & has(b)", "write '&&'"),
        ("has(a) | has(b)", "write '||'"),
        ("has(a) and has(b)", "write '&&'"),
        ("has(a) AND has(b)", "write '&&'"),
        ("(has(a) or has(b))", "write '||'"),
        ("not has(a)", "write '!' to negate a condition"),
        ("a IN {'x'}", "write 'in' in lower case"),
        ("a NOT IN {'x'}", "write 'not in' in lower case"),
        ("a NOTIN {'x'}", "write 'not in'"),
        ("a eq 'x'", "write '=='"),
        ("a ne 'x'", "write '!='"),
        ("a contains 'x'", "values are compared whole; list them: in {\"a\", \"b\"}"),
        ("a == x", "put the value in quotes: \"x\""),
        ("a in {x}", "put the value in quotes: \"x\""),
        ("a in {'x', y}", "put the value in quotes: \"y\""),
        ("a in {'x' 'y'}", "separate the values with ','"),
        ("a == {'x'}", "compare with a set by 'in' or 'not in'"),
        ("a in 'x'", "write a set: {\"x\"}"),
        ("a in ('x')", "write sets in '{' and '}'"),
        ("a in ['x']", "write sets in '{' and '}'"),
        ("'x' == a", "the label stands on the left, without quotes"),
        ("all", "write all(): lower case, no blank before '('"),
        ("ALL()", "write all(): lower case, no blank before '('"),
        ("has (a)", "write has(LABEL): lower case, no blank before '(', no quotes"),
        ("has('a')", "write has(LABEL): lower case, no blank before '(', no quotes"),
        ("HAS(a)", "write has(LABEL): lower case, no blank before '(', no quotes"),
        ("global()", "write all() to select everything"),
        ("()", "write all() to select everything"),
        ("role", "a label alone is no condition; write has(LABEL) or LABEL == \"VALUE\""),
        ("role and env", "a label alone is no condition; write has(LABEL) or LABEL == \"VALUE\""),
        ("in == 'x'", "a label spelled like a keyword can only be tested by has(LABEL)"),
        ("has(a) || || has(b)", "one of the two operators is too many"),
        ("a == 'x', b == 'y'", "join conditions with '&&' or '||'"),
        ("has(a))", "this ')' closes nothing"),
        ("a == 'x", "nothing escapes a quote; to put ' inside a string, enclose it in \""),
        ("a == “x”", "write plain quotes: \" or '"),
        (
            "a == \"x\\\"y\\\"\"",
            "strings have no escapes; enclose a value that holds one kind of quote in the other kind",
        ),
        ("has(a) &&\nhas(b)", "write the selector on one line; only blanks and tabs may stand between words"),
        ("rôle == 'x'", "a label key holds only A-Z a-z 0-9 _ . / -"),
        ("role:x", "write LABEL == \"VALUE\"; a label key cannot hold ':'"),
    ];
    for (text, expected) in cases {
        assert_eq!(told(text).1.as_deref(), Some(expected), "{text}");
    }
    let long = format!("{} == 'x'", "a".repeat(513));
    assert_eq!(told(&long).1.as_deref(), Some("a label key has at most 512 characters"));
}

#[test]
fn a_fault_nobody_explains_has_no_hint() {
    for text in ["%", "!", "has(a) &&", "(has(a)", "a in {'x'"] {
        assert_eq!(told(text).1, None, "{text}");
    }
}
