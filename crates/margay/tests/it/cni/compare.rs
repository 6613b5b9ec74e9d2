//! Compares what is seen with what a recorded session says, and with where ours differs on purpose.

use serde_json::Value;

/// One place where ours differs.
#[derive(Debug, serde::Deserialize)]
pub(crate) struct Ours {
    step: Value,
    path: String,
    #[serde(default, deserialize_with = "present")]
    expect: Option<Value>,
    contains: Option<Vec<Value>>,
}

/// Also a `null` that is written is an expectation.
fn present<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<Value>, D::Error> {
    serde::Deserialize::deserialize(deserializer).map(Some)
}

// === impl Ours ===

impl Ours {
    fn is_of(&self, step: usize) -> bool {
        self.step == "*" || self.step == step
    }
}

/// The differences of one step, each with its path. `unsaid` is what an error does not say.
pub(crate) fn differences(
    step: usize,
    expected: &Value,
    found: &Value,
    unsaid: Option<String>,
    ours: &[Ours],
) -> Vec<String> {
    let ours: Vec<&Ours> = ours.iter().filter(|ours| ours.is_of(step)).collect();
    let mut all = Vec::new();
    compare("", expected, found, &mut all);
    all.extend(unsaid.map(|what| ("stdout/msg".to_owned(), what)));
    // Whatever stands below a place that differs, differs too.
    let above = |path: &str, pattern: &[u8]| {
        let ends = path.match_indices('/').map(|(end, _)| end).chain([path.len()]);
        ends.into_iter().any(|end| glob(pattern, &path.as_bytes()[..end]))
    };
    let excused = |path: &str| ours.iter().any(|ours| above(path, ours.path.as_bytes()));
    all.retain(|(path, _)| !excused(path));
    let mut differences: Vec<String> =
        all.into_iter().map(|(path, what)| format!("{path}: {what}")).collect();
    for ours in ours {
        let at = at(found, &ours.path);
        if let Some(expected) = &ours.expect {
            let mut own = Vec::new();
            compare(&ours.path, expected, at, &mut own);
            differences.extend(own.into_iter().map(|(path, what)| format!("{path} (ours): {what}")));
        }
        for wanted in ours.contains.iter().flatten() {
            if !at.as_array().is_some_and(|list| list.contains(wanted)) {
                differences.push(format!("{} (ours): {wanted} is missing in {at}", ours.path));
            }
        }
    }
    differences
}

fn at<'v>(mut value: &'v Value, path: &str) -> &'v Value {
    for part in path.split('/') {
        value = match value {
            Value::Array(list) => {
                part.parse::<usize>().ok().and_then(|i| list.get(i)).unwrap_or(&Value::Null)
            }
            other => &other[part],
        };
    }
    value
}

/// Members of an answer and of what is noted with an address may be more than recorded.
fn may_be_more(path: &str) -> bool {
    path.starts_with("/stdout") || path.contains("/taken/")
}

fn compare(path: &str, expected: &Value, found: &Value, differences: &mut Vec<(String, String)>) {
    let here = path.trim_start_matches('/').to_owned();
    match (expected, found) {
        (Value::Object(wanted), Value::Object(members)) => {
            for (name, value) in wanted {
                let member = members.get(name).unwrap_or(&Value::Null);
                compare(&format!("{path}/{name}"), value, member, differences);
            }
            if !may_be_more(&format!("/{here}")) {
                for (name, value) in members.iter().filter(|(name, _)| !wanted.contains_key(*name)) {
                    differences.push((format!("{here}/{name}"), format!("{value} should not be there")));
                }
            }
        }
        (Value::Array(wanted), Value::Array(items)) if wanted.len() == items.len() => {
            for (index, (value, item)) in wanted.iter().zip(items).enumerate() {
                compare(&format!("{path}/{index}"), value, item, differences);
            }
        }
        // Nothing was noted with an address; we note whose it is.
        (Value::Null, _) if here.ends_with("/secondary") => {}
        (wanted, found) if wanted == found => {}
        (wanted, found) => differences.push((here, format!("{found}, not {wanted}"))),
    }
}

/// `*` stands for anything, slashes too.
fn glob(pattern: &[u8], text: &[u8]) -> bool {
    match pattern.split_first() {
        None => text.is_empty(),
        Some((b'*', rest)) => (0..=text.len()).any(|at| glob(rest, &text[at..])),
        Some((letter, rest)) => text.first() == Some(letter) && glob(rest, &text[1..]),
    }
}
