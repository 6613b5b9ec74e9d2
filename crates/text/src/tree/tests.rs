//! What unquoted words and numbers mean.

use super::*;
use crate::go_fmt::format_float_g;
use crate::read::documents;

/// The meaning in the words of the recorded file.
fn describe(resolved: Resolved<'_>) -> String {
    match resolved {
        Resolved::Null => "!!null <nil>".to_owned(),
        Resolved::Bool(value) => format!("!!bool {value}"),
        Resolved::Int(value) => format!("!!int {value}"),
        Resolved::Float(value) => format!("!!float {}", format_float_g(value)),
        Resolved::Text(text) => format!("!!str {text}"),
    }
}

/// The cases are what go-yaml v2, with its rules of late 2016 put back, answers.
#[test]
fn plain_scalars_mean_what_go_yaml_takes_them_for() {
    let mut cases = 0;
    for document in documents(include_bytes!("../../tests/data/go-yaml-resolve.jsonl")) {
        let root = document.unwrap().root.unwrap();
        let NodeValue::Sequence(pair) = &root.value else { panic!("not a pair") };
        let [NodeValue::Scalar(text), NodeValue::Scalar(expected)] = [&pair[0].value, &pair[1].value] else {
            panic!("not two texts")
        };
        assert_eq!(describe(resolve_plain(&text.text)), expected.text, "{:?}", text.text);
        cases += 1;
    }
    assert!(cases > 400, "the file lost its cases");
}

#[test]
fn words_of_yaml_1_1_are_booleans_in_three_spellings() {
    for (word, value) in [("y", true), ("yes", true), ("on", true), ("true", true)].into_iter().chain([
        ("n", false),
        ("no", false),
        ("off", false),
        ("false", false),
    ]) {
        let capitalised = word[..1].to_uppercase() + &word[1..];
        for spelling in [word.to_owned(), capitalised, word.to_uppercase()] {
            assert_eq!(resolve_plain(&spelling), Resolved::Bool(value), "{spelling}");
        }
    }
    assert_eq!(resolve_plain("yEs"), Resolved::Text("yEs"));
}

#[test]
fn quoted_text_is_text() {
    for text in ["true", "7", "", "~", "1.5"] {
        let scalar = Scalar { text: text.to_owned(), style: Style::Text };
        assert_eq!(scalar.resolve(), Resolved::Text(text));
    }
    let plain = Scalar { text: "0x1F".to_owned(), style: Style::Plain };
    assert_eq!(plain.resolve(), Resolved::Int(31));
}
