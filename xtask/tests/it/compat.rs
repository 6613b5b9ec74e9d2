//! Every difference from upstream that is made on purpose is a row of docs/compat.md that names its test.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::sources::files;

/// One row.
struct Row {
    ids: Vec<String>,
    tests: Vec<String>,
}

/// The rows of docs/compat.md: `| id | upstream | ours | why | test |`, in any of its tables. A row may have several
/// ids: the markers in the code and the name in the recorded cases.
fn rows() -> Vec<Row> {
    let text = std::fs::read_to_string(xtask::root().join("docs/compat.md")).expect("docs/compat.md");
    let lines = text.lines().filter(|line| line.starts_with("| `"));
    lines
        .map(|line| {
            let line = line.replace("\\|", "¦");
            let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
            let [id, upstream, ours, why, test] = cells[..] else { panic!("five cells: {line}") };
            for cell in [id, upstream, ours, why, test] {
                assert!(!cell.is_empty(), "an empty cell: {line}");
            }
            let quoted = |cell: &str| cell.split('`').skip(1).step_by(2).map(str::to_owned).collect();
            Row { ids: quoted(id), tests: quoted(test) }
        })
        .collect()
}

/// The recorded cases: how many steps each has.
fn cases() -> BTreeMap<String, usize> {
    let folder = xtask::root().join("tests/data/conformance");
    let mut steps = BTreeMap::new();
    for name in ["calicoctl.json", "random.json"] {
        let text = std::fs::read_to_string(folder.join(name)).expect("recorded cases");
        let json: Value = serde_json::from_str(&text).expect("JSON");
        let cases = json.as_array().or_else(|| json["cases"].as_array()).expect("a list of cases");
        for case in cases {
            let id = case["id"].as_str().expect("an id").to_owned();
            steps.insert(id, case["steps"].as_array().expect("steps").len());
        }
    }
    steps
}

/// The exceptions of the recorded cases: what each is called, and `CASE/STEP`.
fn exceptions() -> Vec<(String, String)> {
    let path = xtask::root().join("tests/data/conformance/ours.json");
    let json: Value = serde_json::from_slice(&std::fs::read(path).expect("ours.json")).expect("JSON");
    let text = |value: &Value| value.as_str().expect("a text").to_owned();
    let list = json.as_array().expect("a list");
    list.iter().map(|e| (text(&e["compat"]), format!("{}/{}", text(&e["case"]), e["step"]))).collect()
}

/// Our own Rust sources, this crate's left out: it only talks about the marker.
fn sources() -> Vec<(String, String)> {
    let rust = files().into_iter().filter(|(path, _)| path.ends_with(".rs") && !path.starts_with("xtask/"));
    rust.map(|(path, content)| (path, String::from_utf8(content).expect("sources are text"))).collect()
}

#[test]
fn every_marker_in_the_code_is_a_row() {
    let ids: BTreeSet<String> = rows().into_iter().flat_map(|row| row.ids).collect();
    let mut missing = Vec::new();
    for (path, text) in sources() {
        for (number, line) in text.lines().enumerate() {
            for marker in line.split("COMPAT(").skip(1).filter_map(|rest| rest.split_once(')')) {
                if !ids.contains(marker.0) {
                    missing.push(format!(
                        "{path}:{}: `{}` is no row of docs/compat.md",
                        number + 1,
                        marker.0
                    ));
                }
            }
        }
    }
    assert!(missing.is_empty(), "{}", missing.join("\n"));
}

#[test]
fn every_exception_of_the_recorded_cases_is_a_row_that_names_it() {
    let tests_of = |row: Row| row.ids.into_iter().map(move |id| (id, row.tests.clone()));
    let rows: BTreeMap<String, Vec<String>> = rows().into_iter().flat_map(tests_of).collect();
    let missing: Vec<String> = exceptions()
        .into_iter()
        .filter(|(compat, step)| !rows.get(compat).is_some_and(|tests| tests.contains(step)))
        .map(|(compat, step)| format!("the row `{compat}` of docs/compat.md should name `{step}`"))
        .collect();
    assert!(missing.is_empty(), "{}", missing.join("\n"));
}

#[test]
fn every_row_names_tests_that_exist() {
    let rust = files().into_iter().filter(|(path, _)| path.ends_with(".rs"));
    let sources: Vec<String> = rust.map(|(_, text)| String::from_utf8_lossy(&text).into_owned()).collect();
    let (cases, exceptions) = (cases(), exceptions());
    let exists = |test: &str| match test.split_once('/') {
        // An exception that is not recorded in these files belongs to cases that are kept elsewhere.
        Some((case, step)) => {
            let steps = cases.get(case).copied().unwrap_or(0);
            step.parse::<usize>().is_ok_and(|step| (1..=steps).contains(&step))
                || exceptions.iter().any(|(_, known)| known == test)
        }
        None => {
            // The cases of a suite are generic over the store.
            let openings = [format!("fn {test}("), format!("fn {test}<")];
            sources.iter().any(|text| openings.iter().any(|opening| text.contains(opening)))
        }
    };
    let mut wrong = Vec::new();
    for row in rows() {
        let ids = row.ids.join("`, `");
        if row.tests.is_empty() {
            wrong.push(format!("`{ids}` names no test"));
        }
        let absent = row.tests.iter().filter(|test| !exists(test));
        wrong.extend(absent.map(|test| format!("`{ids}`: there is no test {test}")));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn no_row_is_there_twice() {
    let mut seen = BTreeSet::new();
    let twice: Vec<String> =
        rows().into_iter().flat_map(|row| row.ids).filter(|id| !seen.insert(id.clone())).collect();
    assert!(twice.is_empty(), "{twice:?}");
}
