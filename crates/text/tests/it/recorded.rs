//! What upstream's calicoctl printed, read and printed again: every byte must come back.

use std::fmt::Write as _;

use margay_text::json::write_json;
use margay_text::read::documents;
use margay_text::table::Table;
use margay_text::value::Value;
use margay_text::yaml::{write_yaml, write_yaml_item};

use super::{read_one, value_of};

/// Splits a file of recorded outputs at its `=== title` lines.
fn outputs(file: &str) -> Vec<(&str, &str)> {
    let outputs: Vec<_> = file
        .trim_start_matches("=== ")
        .split("\n=== ")
        .map(|case| case.split_once('\n').expect("a title line stands before each output"))
        .collect();
    assert!(outputs.len() > 10, "the file lost its cases");
    outputs
}

#[test]
fn yaml_outputs_come_back_byte_for_byte() {
    for (title, expected) in outputs(include_str!("../data/recorded-yaml.txt")) {
        let expected = format!("{}\n", expected.trim_end_matches('\n'));
        let root = read_one(&expected);
        let value = value_of(&root);
        let mut whole = String::new();
        write_yaml(&mut whole, &value);
        assert_eq!(whole, expected, "{title}");
        let Value::List(items) = value else { panic!("{title}: not a list") };
        let mut pieces = String::new();
        items.iter().for_each(|item| write_yaml_item(&mut pieces, item));
        assert_eq!(if items.is_empty() { "[]\n" } else { &pieces }, expected, "{title}, item by item");
    }
}

#[test]
fn json_outputs_come_back_byte_for_byte() {
    for (title, expected) in outputs(include_str!("../data/recorded-json.txt")) {
        let expected = expected.trim_end_matches('\n');
        let root = read_one(expected);
        let mut written = String::new();
        write_json(&mut written, &value_of(&root), 0);
        assert_eq!(written, expected, "{title}");
    }
}

#[test]
fn tables_come_back_byte_for_byte() {
    for (title, output) in outputs(include_str!("../data/recorded-table.txt")) {
        for expected in output.split("\n\n").filter(|table| !table.trim().is_empty()) {
            let lines: Vec<&str> = expected.trim_matches('\n').lines().collect();
            let columns = column_starts(lines[0]);
            let mut table = Table::new();
            for line in &lines {
                let ends = columns.iter().skip(1).copied().chain([line.len()]);
                table.row(
                    columns.iter().zip(ends).map(|(&start, end)| line[start..end].trim_end_matches(' ')),
                );
            }
            let mut written = String::new();
            table.write_text(&mut written);
            let mut expected = lines.join("\n");
            expected.write_char('\n').unwrap();
            assert_eq!(written, expected, "{title}");
        }
    }
}

/// Where the words of a heading start.
fn column_starts(heading: &str) -> Vec<usize> {
    let bytes = heading.as_bytes();
    (0..bytes.len()).filter(|&at| bytes[at] != b' ' && (at == 0 || bytes[at - 1] == b' ')).collect()
}

/// Values and what go-yaml v2, with its rules of late 2016 put back, makes of them; one pair in a line.
#[test]
fn odd_values_are_written_as_go_yaml_writes_them() {
    let mut cases = 0;
    for document in documents(include_bytes!("../data/go-yaml-write.jsonl")) {
        let root = document.unwrap().root.unwrap();
        let Value::List(pair) = value_of(&root) else { panic!("not a pair") };
        let [value, Value::Text(expected)] = pair.as_slice() else { panic!("not a value and a text") };
        let mut written = String::new();
        write_yaml(&mut written, value);
        assert_eq!(written, *expected, "{value:?}");
        cases += 1;
    }
    assert!(cases > 400, "the file lost its cases");
}
