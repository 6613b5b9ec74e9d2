//! The tree's own files: how long, and where they point.

use std::path::Path;
use std::process::Command;

/// The longest that a source file may be, tests not counted.
const LONGEST: usize = 1000;

/// Folders of the machines that this was written on; a file that names one works nowhere else.
const MACHINE_PATHS: [&str; 5] = [
    concat!("/work", "/main"),
    concat!("/work", "/shared"),
    concat!("/work", "/."),
    concat!("/root", "/"),
    concat!("/tmp", "/h/"),
];

/// Every file that is, or would be, in the repository, with its path from the root.
pub(crate) fn files() -> Vec<(String, Vec<u8>)> {
    let root = xtask::root();
    let output = Command::new("git")
        .args(["-c", "safe.directory=*", "ls-files", "-z", "--cached", "--others", "--exclude-standard"])
        .current_dir(&root)
        .output()
        .expect("git starts");
    assert!(output.status.success(), "git ls-files: {}", String::from_utf8_lossy(&output.stderr));
    let names = String::from_utf8(output.stdout).expect("paths are text");
    let read = |name: &str| Some((name.to_owned(), std::fs::read(root.join(name)).ok()?));
    // A file may be deleted and not yet committed.
    names.split_terminator('\0').filter_map(read).collect()
}

/// True for `tests.rs`, and for what stands in a folder `tests` of a crate.
pub(crate) fn is_test(path: &str) -> bool {
    let inner = path.strip_prefix("tests/").unwrap_or(path);
    inner.ends_with("tests.rs") || Path::new(inner).components().any(|part| part.as_os_str() == "tests")
}

#[test]
fn no_source_file_is_longer_than_it_may_be() {
    let long: Vec<String> = files()
        .into_iter()
        .filter(|(path, _)| path.ends_with(".rs") && !is_test(path))
        .map(|(path, content)| (path, content.iter().filter(|byte| **byte == b'\n').count()))
        .filter(|(_, lines)| *lines > LONGEST)
        .map(|(path, lines)| format!("{path}: {lines} lines, {LONGEST} at most"))
        .collect();
    assert!(long.is_empty(), "{}", long.join("\n"));
}

#[test]
fn no_file_names_a_folder_of_one_machine() {
    let mut found = Vec::new();
    for (path, content) in files() {
        let Ok(text) = std::str::from_utf8(&content) else { continue };
        for (number, line) in text.lines().enumerate() {
            // Recorded cases and seeds of fuzzers may hold anything.
            let named = |place: &str| line.match_indices(place).any(|(at, _)| is_absolute(line, at));
            if !path.starts_with("tests/data/") && MACHINE_PATHS.iter().any(|place| named(place)) {
                found.push(format!("{path}:{}: {line}", number + 1));
            }
        }
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
}

/// True when the slash at `at` begins a path instead of continuing one.
fn is_absolute(line: &str, at: usize) -> bool {
    !line[..at].ends_with(|c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | '}' | ')'))
}

/// What a page points to in this tree: the targets of its links, and paths in back quotes.
fn paths(page: &str) -> Vec<&str> {
    let links = page.split("](").skip(1).filter_map(|rest| rest.split_once(')')).map(|(target, _)| target);
    let links = links.filter(|target| !target.contains("://") && !target.starts_with('#'));
    let quoted = page.split('`').skip(1).step_by(2).filter(|word| {
        let folders =
            ["bench/", "changes/", "crates/", "docs/", "examples/", "fuzz/", "scripts/", "tests/", "xtask/"];
        // Capital letters stand for something else.
        folders.iter().any(|folder| word.starts_with(folder))
            && !word.contains(|c: char| c.is_uppercase() || c == ' ')
    });
    links.chain(quoted).collect()
}

#[test]
fn what_the_pages_point_to_exists() {
    let root = xtask::root();
    let mut missing = Vec::new();
    for name in ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "CHANGELOG.md"] {
        let page = std::fs::read_to_string(root.join(name)).expect(name);
        let found = paths(&page);
        assert!(!found.is_empty(), "{name} points to nothing");
        missing.extend(
            found.iter().filter(|path| !root.join(path).exists()).map(|path| format!("{name}: {path}")),
        );
    }
    assert!(missing.is_empty(), "{}", missing.join("\n"));
}

#[test]
fn test_files_are_told_from_sources() {
    for (path, test) in [
        ("crates/text/src/yaml.rs", false),
        ("crates/text/src/yaml/tests.rs", true),
        ("crates/text/src/template/tests/golden.rs", true),
        ("crates/margay/tests/it/main.rs", true),
        ("tests/testkit/src/etcd.rs", false),
        ("tests/testkit/src/etcd/tests.rs", true),
    ] {
        assert_eq!(is_test(path), test, "{path}");
    }
}
