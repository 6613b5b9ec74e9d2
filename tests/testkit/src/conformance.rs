//! Recorded sessions of upstream's `calicoctl`, and the player that holds a program against them.
//!
//! A [`Case`] is data; a [`Stage`] is where it is played (a built executable on a real etcd, on the embedded store, or
//! the program's function in-process). What differs from the recording on purpose stands in `ours.json`, is asserted
//! as ours, and must really differ: an exception that says what the recording says is refused.

mod diff;
mod pattern;
mod recording;
mod shell;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

pub use pattern::matches;
pub use recording::{Case, Dump, Exception, Step, cases, exceptions};
pub use shell::words;

/// The files of recordings.
pub const FILES: [&str; 2] = ["calicoctl.json", "random.json"];
/// The port that the recordings name.
const RECORDED_PORT: &str = ":2379";
/// The one value that is random on purpose.
const CLUSTER_GUID: &str = "/calico/v1/config/ClusterGUID";

/// One start of the program.
#[derive(Debug, Clone)]
pub struct Call {
    /// The arguments behind the program's name.
    pub args: Vec<String>,
    /// Everything that standard input holds.
    pub stdin: Vec<u8>,
    /// The whole environment.
    pub env: BTreeMap<String, String>,
    /// The working directory, where the case's files are.
    pub cwd: PathBuf,
}

/// What one start of the program came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// Everything on standard output.
    pub stdout: Vec<u8>,
    /// Everything on standard error. Shown when a step fails, never compared.
    pub stderr: Vec<u8>,
    /// The exit status; -1 when a signal ended the program.
    pub exit: i32,
}

/// Where cases are played: a datastore and a way to start the program.
pub trait Stage {
    /// Where the etcd is that the recordings have at 127.0.0.1:2379; `None` when there is none.
    fn etcd_port(&self) -> Option<u16>;

    /// The variables that lead the program to the datastore, `PATH` included; the player adds `HOME`.
    fn env(&self) -> BTreeMap<String, String>;

    /// Empties the datastore, then puts these keys.
    fn prepare(&mut self, before: &BTreeMap<String, String>);

    /// Everything below `/calico`; `None` when this stage has no dumps.
    fn dump(&mut self) -> Option<BTreeMap<String, String>>;

    /// Starts the program and waits for its end.
    fn run(&mut self, call: &Call) -> Outcome;
}

/// Steps that a stage cannot play.
#[derive(Debug, Clone, Copy)]
pub struct Skip {
    /// The case.
    pub case: &'static str,
    /// The steps, 1-based; none = all.
    pub steps: &'static [usize],
    /// Why.
    pub reason: &'static str,
}

/// What a run of many cases came to.
#[derive(Debug, Default)]
pub struct Report {
    /// How many steps were played.
    pub steps: usize,
    /// How many datastore contents were compared.
    pub dumps: usize,
    /// One readable block for each step or dump that is not as expected.
    pub failures: Vec<String>,
}

impl Report {
    /// Panics with every failure when there is one.
    ///
    /// # Panics
    /// When a step or a dump was not as expected.
    pub fn assert_clean(&self) {
        assert!(
            self.failures.is_empty(),
            "{} of {} steps and {} dumps differ:\n\n{}",
            self.failures.len(),
            self.steps,
            self.dumps,
            self.failures.join("\n")
        );
    }
}

/// Plays every case of one file of recordings.
///
/// # Panics
/// When the file, `ours.json` or a skip is not well formed: they are part of the tests.
pub fn play_file(file: &str, skips: &[Skip], stage: &mut dyn Stage) -> Report {
    let exceptions = exceptions();
    let cases = cases(file);
    check_skips(skips);
    let mut report = Report::default();
    for case in &cases {
        play(case, &exceptions, skips, stage, &mut report);
    }
    report
}

/// A skip of something that is not there would hide a case that was renamed.
fn check_skips(skips: &[Skip]) {
    let all: Vec<Case> = FILES.iter().flat_map(|file| cases(file)).collect();
    for skip in skips {
        let case = all.iter().find(|case| case.id == skip.case);
        let case = case.unwrap_or_else(|| panic!("there is no case {} to skip", skip.case));
        for step in skip.steps {
            assert!(*step >= 1 && *step <= case.steps.len(), "{} has no step {step} to skip", skip.case);
        }
    }
}

/// Plays one case from an empty datastore.
///
/// # Panics
/// When the case's folder cannot be made.
pub fn play(
    case: &Case,
    exceptions: &[Exception],
    skips: &[Skip],
    stage: &mut dyn Stage,
    report: &mut Report,
) {
    let skipped = |step: usize| {
        skips.iter().any(|skip| skip.case == case.id && (skip.steps.is_empty() || skip.steps.contains(&step)))
    };
    if (1..=case.steps.len()).all(skipped) {
        return;
    }
    let ports = Ports { here: stage.etcd_port() };
    let folder = tempfile::tempdir().expect("a folder for the case");
    for (name, content) in &case.files {
        std::fs::write(folder.path().join(name), ports.inward(content)).expect("a file of the case");
    }
    stage.prepare(&case.before);
    for (index, step) in case.steps.iter().enumerate() {
        let number = index + 1;
        if !skipped(number) {
            let call = call_of(case, step, folder.path(), &ports, stage.env());
            let outcome = stage.run(&call);
            let ours = exceptions.iter().find(|e| e.case == case.id && e.step == number);
            report.steps += 1;
            if let Some(failure) = judge(case, number, step, ours, &ports, &outcome) {
                report.failures.push(failure);
            }
        }
        if let Some(dump) = case.dump.as_ref().filter(|dump| dump.after == number)
            && let Some(got) = stage.dump()
        {
            report.dumps += 1;
            if let Some(failure) = judge_dump(case, dump, got) {
                report.failures.push(failure);
            }
        }
    }
}

/// The recordings name one port, the stage has another.
struct Ports {
    here: Option<u16>,
}

impl Ports {
    /// A recorded text as this stage needs it.
    fn inward(&self, text: &str) -> String {
        match self.here {
            Some(port) => text.replace(RECORDED_PORT, &format!(":{port}")),
            None => text.to_owned(),
        }
    }

    /// A text of this stage as it would have been recorded.
    fn outward(&self, text: &str) -> String {
        match self.here {
            Some(port) => text.replace(&format!(":{port}"), RECORDED_PORT),
            None => text.to_owned(),
        }
    }
}

fn call_of(
    case: &Case,
    step: &Step,
    folder: &Path,
    ports: &Ports,
    mut env: BTreeMap<String, String>,
) -> Call {
    env.insert("HOME".to_owned(), folder.to_string_lossy().into_owned());
    for (name, value) in &step.env {
        env.insert(name.clone(), ports.inward(value));
    }
    let stdin = step.stdin.as_ref().map_or_else(String::new, |name| {
        ports.inward(case.files.get(name).expect("standard input is one of the case's files"))
    });
    let args = words(&step.args).iter().map(|word| ports.inward(word)).collect();
    Call { args, stdin: stdin.into_bytes(), env, cwd: folder.to_path_buf() }
}

/// Compares one outcome with what is expected of it: the recording, or ours where an exception says so.
fn judge(
    case: &Case,
    number: usize,
    step: &Step,
    ours: Option<&Exception>,
    ports: &Ports,
    outcome: &Outcome,
) -> Option<String> {
    let got = ports.outward(&String::from_utf8_lossy(&outcome.stdout));
    let exit = ours.and_then(|ours| ours.exit).unwrap_or(step.exit);
    let (expected, same) = match ours.and_then(|ours| ours.stdout.as_deref()) {
        Some(pattern) => (pattern, matches(pattern, &got)),
        // Upstream's order is random there and nobody wrote ours down.
        None if step.unstable => (step.stdout.as_str(), true),
        None => (step.stdout.as_str(), got == step.stdout),
    };
    if same && exit == outcome.exit {
        return None;
    }
    let mut block = headline(case, number, step);
    if let Some(ours) = ours {
        let _ = writeln!(block, "    ours, {}: {}", ours.compat, ours.reason);
    }
    if exit != outcome.exit {
        let _ = writeln!(block, "  exit: expected {exit}, got {}", outcome.exit);
    }
    if !same {
        let _ = writeln!(block, "  stdout (- expected, + got):");
        block.push_str(&diff::lines(expected, &got));
    }
    let _ = writeln!(block, "  stderr:");
    block.push_str(&diff::quoted(&String::from_utf8_lossy(&outcome.stderr)));
    Some(block)
}

/// The case, the command and the files it reads, so that a failure can be understood where it is printed.
fn headline(case: &Case, number: usize, step: &Step) -> String {
    let mut block = format!("{} step {number} ({})\n", case.id, case.title);
    let env: String = step.env.iter().map(|(name, value)| format!("{name}={value} ")).collect();
    let input = step.stdin.as_ref().map_or_else(String::new, |name| format!(" < {name}"));
    let _ = writeln!(block, "  $ {env}calicoctl {}{input}", step.args);
    for (name, content) in &case.files {
        if step.args.contains(name.as_str()) || step.stdin.as_ref() == Some(name) {
            let _ = writeln!(block, "  {name}:");
            block.push_str(&diff::quoted(content));
        }
    }
    block
}

fn judge_dump(case: &Case, dump: &Dump, mut got: BTreeMap<String, String>) -> Option<String> {
    if let (Some(value), Some(recorded)) = (got.get_mut(CLUSTER_GUID), dump.keys.get(CLUSTER_GUID))
        && is_guid(value)
    {
        value.clone_from(recorded);
    }
    if got == dump.keys {
        return None;
    }
    let mut block = format!("{} datastore after step {} (- expected, + got):\n", case.id, dump.after);
    block.push_str(&diff::lines(&key_lines(&dump.keys), &key_lines(&got)));
    Some(block)
}

fn is_guid(value: &str) -> bool {
    value.len() == 32 && value.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
}

fn key_lines(keys: &BTreeMap<String, String>) -> String {
    keys.iter().fold(String::new(), |mut text, (key, value)| {
        let _ = writeln!(text, "{key} = {value}");
        text
    })
}

#[cfg(test)]
mod tests;
