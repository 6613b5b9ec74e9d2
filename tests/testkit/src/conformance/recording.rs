//! The files of `tests/data/conformance`: recorded cases, and where ours differs from them on purpose.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::Deserialize;

/// One recorded session, from an empty datastore.
#[derive(Debug, Clone)]
pub struct Case {
    /// Its name: C-numbers are those of `spec/calicoctl.md` 15, R and M are generated.
    pub id: String,
    /// What it is about.
    pub title: String,
    /// Name → content of the files in the working directory.
    pub files: BTreeMap<String, String>,
    /// Key → value put into the datastore beforehand.
    pub before: BTreeMap<String, String>,
    /// The commands, in order.
    pub steps: Vec<Step>,
    /// The datastore's content after one of them.
    pub dump: Option<Dump>,
}

/// One command and what upstream answered.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Step {
    /// Shell words after `calicoctl`.
    pub args: String,
    /// The file that standard input is.
    pub stdin: Option<String>,
    /// Variables set for this step alone.
    #[serde(default)]
    pub env: BTreeMap<String, String>,
    /// Everything on standard output.
    pub stdout: String,
    /// Everything on standard error; not compared.
    pub stderr: String,
    /// The exit status.
    pub exit: i32,
    /// Upstream's output is in random order.
    #[serde(default)]
    pub unstable: bool,
    /// What a step of a table of documents is about.
    pub label: Option<String>,
}

/// Everything below `/calico` at one moment.
#[derive(Debug, Clone)]
pub struct Dump {
    /// After this step, 1-based.
    pub after: usize,
    /// Key → value.
    pub keys: BTreeMap<String, String>,
}

/// One step where ours differs from the recording on purpose.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Exception {
    /// The case.
    pub case: String,
    /// The step, 1-based.
    pub step: usize,
    /// The row of `docs/compat.md`.
    pub compat: String,
    /// Why ours differs.
    pub reason: String,
    /// Our output, with holes as [`super::matches`] fills them; absent = as recorded.
    pub stdout: Option<String>,
    /// Our exit status; absent = as recorded.
    pub exit: Option<i32>,
}

/// A case as the file has it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawCase {
    id: String,
    title: String,
    files: BTreeMap<String, String>,
    before: BTreeMap<String, String>,
    steps: Vec<Step>,
    etcd_after_step: Option<usize>,
    etcd: Option<BTreeMap<String, String>>,
    #[serde(rename = "note")]
    _note: Option<String>,
}

/// The cases of one file, `calicoctl.json` for example.
///
/// # Panics
/// When the file is not well formed: it is part of the tests.
#[must_use]
pub fn cases(file: &str) -> Vec<Case> {
    let raw: Vec<RawCase> = load(file);
    raw.into_iter()
        .map(|raw| Case {
            id: raw.id,
            title: raw.title,
            files: raw.files,
            before: raw.before,
            steps: raw.steps,
            dump: raw.etcd_after_step.zip(raw.etcd).map(|(after, keys)| Dump { after, keys }),
        })
        .collect()
}

/// Where ours differs, from `ours.json`.
///
/// # Panics
/// When the file is not well formed.
#[must_use]
pub fn exceptions() -> Vec<Exception> {
    load("ours.json")
}

fn load<T: for<'de> Deserialize<'de>>(file: &str) -> T {
    let path: PathBuf = [env!("CARGO_MANIFEST_DIR"), "..", "data", "conformance", file].iter().collect();
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("reading {file}: {error}"));
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("reading {file}: {error}"))
}
