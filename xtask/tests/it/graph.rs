//! The import table of ARCHITECTURE.md against the real imports; licences; doubled versions.

use std::collections::{BTreeMap, BTreeSet};

use crate::metadata::Metadata;

/// What a crate without async must not reach.
const RUNTIMES: [&str; 3] = ["tokio", "hyper", "rustls"];

/// The licences that what we ship may have. Of an `OR` one side is enough.
const LICENCES: [&str; 8] =
    ["Apache-2.0", "MIT", "ISC", "Zlib", "0BSD", "BSD-3-Clause", "Unicode-3.0", "Unlicense"];

/// Crates that are built in two versions, and why that cannot be helped.
const DOUBLED: [(&str, &str); 1] = [("getrandom", "ring needs 0.2, everything else 0.4")];

/// One row of the table.
#[derive(Debug, PartialEq, Eq)]
struct Row {
    may_import: BTreeSet<String>,
    is_async: bool,
    dev_only: bool,
}

/// The rows of the import table by package name.
fn table(text: &str) -> BTreeMap<String, Row> {
    let mut lines = text.lines().skip_while(|line| !line.starts_with("| crate | one sentence |"));
    assert!(lines.next().is_some(), "there is no import table");
    lines
        .skip(1)
        .take_while(|line| line.starts_with('|'))
        .map(|line| {
            let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
            let [name, sentence, may_import, is_async] = cells[..] else { panic!("four cells: {line}") };
            let may_import = may_import.split(',').map(str::trim).filter(|word| *word != "–");
            let row = Row {
                may_import: may_import.map(package).collect(),
                is_async: match is_async {
                    "yes" => true,
                    "no" => false,
                    other => panic!("yes or no, not {other}: {line}"),
                },
                dev_only: sentence.starts_with("Dev only"),
            };
            (package(name.trim_matches('`')), row)
        })
        .collect()
}

/// The package of a crate that the table names.
fn package(name: &str) -> String {
    match name {
        "margay" | "xtask" => name.to_owned(),
        _ => format!("margay-{name}"),
    }
}

/// Everything in which the imports are not what the table allows.
fn objections(table: &BTreeMap<String, Row>, metadata: &Metadata) -> Vec<String> {
    let mut objections = Vec::new();
    let ours = || metadata.packages.values().filter(|package| package.ours);
    for name in table.keys().filter(|name| !ours().any(|package| package.name == **name)) {
        objections.push(format!("the table lists {name}, which does not exist"));
    }
    for package in ours() {
        let Some(row) = table.get(&package.name) else {
            objections.push(format!("the table does not list {}", package.name));
            continue;
        };
        for need in package.needs.iter().map(|id| &metadata.packages[id]).filter(|need| need.ours) {
            if !row.may_import.contains(&need.name) {
                objections.push(format!("{} may not import {}", package.name, need.name));
            }
            if !row.dev_only && table.get(&need.name).is_some_and(|need| need.dev_only) {
                objections.push(format!("{} ships with {}, which is dev only", package.name, need.name));
            }
        }
        if !row.is_async {
            for reached in metadata.reach(&package.name) {
                if RUNTIMES.contains(&reached.name.as_str()) {
                    objections.push(format!("{} reaches {}", package.name, reached.name));
                }
            }
        }
    }
    objections
}

fn read_table() -> BTreeMap<String, Row> {
    table(&std::fs::read_to_string(xtask::root().join("ARCHITECTURE.md")).expect("ARCHITECTURE.md"))
}

#[test]
fn imports_are_those_of_the_table() {
    let objections = objections(&read_table(), &Metadata::read());
    assert!(objections.is_empty(), "{}", objections.join("\n"));
}

#[test]
fn an_import_or_crate_outside_the_table_is_told() {
    let mut table = read_table();
    table.remove("margay-net");
    table.get_mut("margay-ipam").expect("a row").may_import.remove("margay-store");
    table.get_mut("margay-store").expect("a row").is_async = false;
    table.insert(
        "margay-ghost".to_owned(),
        Row { may_import: BTreeSet::new(), is_async: false, dev_only: false },
    );
    assert_eq!(
        objections(&table, &Metadata::read()).into_iter().collect::<BTreeSet<_>>(),
        BTreeSet::from(
            [
                "the table lists margay-ghost, which does not exist",
                "the table does not list margay-net",
                "margay-ipam may not import margay-store",
                "margay-store reaches tokio",
            ]
            .map(str::to_owned)
        )
    );
}

/// Whether a licence expression can be satisfied with [`LICENCES`]: `OR` of `AND`s, brackets around either.
fn allowed(expression: &str) -> bool {
    let expression = expression.trim();
    if let Some((left, right)) = split(expression, &[" AND "]) {
        return allowed(left) && allowed(right);
    }
    if let Some((left, right)) = split(expression, &[" OR ", "/"]) {
        return allowed(left) || allowed(right);
    }
    let inner = expression.strip_prefix('(').and_then(|rest| rest.strip_suffix(')'));
    inner.map_or_else(|| LICENCES.contains(&expression), allowed)
}

/// Splits at the first of `words` that stands outside of brackets.
fn split<'a>(expression: &'a str, words: &[&str]) -> Option<(&'a str, &'a str)> {
    let mut depth = 0_i32;
    for (at, c) in expression.char_indices() {
        depth += i32::from(c == '(') - i32::from(c == ')');
        for word in words.iter().filter(|_| depth == 0) {
            if let Some(right) = expression[at..].strip_prefix(word) {
                return Some((&expression[..at], right));
            }
        }
    }
    None
}

#[test]
fn everything_that_ships_has_a_licence_of_the_list() {
    let metadata = Metadata::read();
    let wrong: Vec<String> = metadata
        .reach("margay")
        .into_iter()
        .filter(|package| !package.licence.as_deref().is_some_and(allowed))
        .map(|package| format!("{} {}: {:?}", package.name, package.version, package.licence))
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn licence_expressions_are_read() {
    for (expression, expected) in [
        ("MIT", true),
        ("GPL-3.0", false),
        ("MIT OR GPL-3.0", true),
        ("GPL-3.0/MIT", true),
        ("Apache-2.0 AND ISC", true),
        ("Apache-2.0 AND GPL-3.0", false),
        ("(MIT OR Apache-2.0) AND Unicode-3.0", true),
        ("(MIT OR Apache-2.0) AND OpenSSL", false),
        ("Apache-2.0 WITH LLVM-exception", false),
        ("Apache-2.0 WITH LLVM-exception OR MIT", true),
    ] {
        assert_eq!(allowed(expression), expected, "{expression}");
    }
}

#[test]
fn nothing_ships_in_two_versions() {
    let metadata = Metadata::read();
    let mut versions: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for package in metadata.reach("margay") {
        versions.entry(&package.name).or_default().insert(&package.version);
    }
    versions.retain(|_, versions| versions.len() > 1);
    let expected: BTreeSet<&str> = DOUBLED.iter().map(|(name, _)| *name).collect();
    let found: BTreeSet<&str> = versions.keys().copied().collect();
    assert_eq!(found, expected, "{versions:?}; exceptions: {DOUBLED:?}");
}
