//! Whole command lines, on a datastore in memory.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::Cursor;
use std::os::unix::ffi::OsStringExt as _;

use margay_ctl::{Invocation, Program, run_on_memory};
use margay_store::MemoryKv;
use tempfile::TempDir;

/// What stands between commands, and in front of what standard input holds.
const BORDER: &[u8] = b"\n--\n";
/// How many commands one input may hold.
const MOST: usize = 6;
/// A password that no output may hold.
const SECRET: &str = "canary-password-7f3a";
/// Commands that ask or change the host instead of the datastore.
const OF_THE_HOST: [&[u8]; 4] = [b"run", b"status", b"diags", b"checksystem"];

/// Command lines and a file: arguments with NUL between, commands with `--` on a line of its own between.
///
/// The first argument is the program's name, and the part behind the last border is standard input. Commands run one
/// after another on one datastore. All end with a known status and print UTF-8; a failure says something.
pub fn arguments(input: &[u8]) {
    let mut sections = sections(input);
    let stdin = if sections.len() > 1 { sections.pop().unwrap_or_default() } else { b"" };
    let commands: Vec<Vec<&[u8]>> =
        sections.iter().take(MOST).map(|section| section.split(|byte| *byte == 0).collect()).collect();
    if !commands.iter().all(|args| stays_inside(args)) {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("a.yaml"), stdin).expect("the folder is ours");
    let kv = MemoryKv::new();
    for args in commands {
        command(&args, stdin, &folder, &kv);
    }
}

fn sections(input: &[u8]) -> Vec<&[u8]> {
    let mut sections = Vec::new();
    let mut rest = input;
    while let Some(at) = rest.windows(BORDER.len()).position(|window| window == BORDER) {
        sections.push(&rest[..at]);
        rest = &rest[at + BORDER.len()..];
    }
    sections.push(rest);
    sections
}

/// True when the command touches nothing but its working directory.
fn stays_inside(args: &[&[u8]]) -> bool {
    let of_the_host = args.contains(&b"node".as_slice()) && args.iter().any(|arg| OF_THE_HOST.contains(arg));
    !of_the_host && args.iter().all(|arg| has_no_foreign_path(arg))
}

/// True when every `/` can only be that of a network.
fn has_no_foreign_path(arg: &[u8]) -> bool {
    let network = |at: usize| {
        let before = at.checked_sub(1).and_then(|at| arg.get(at));
        before.is_some_and(|byte| byte.is_ascii_hexdigit() || *byte == b':')
            && arg.get(at + 1).is_some_and(u8::is_ascii_digit)
    };
    let slashes = arg.iter().enumerate().filter(|(_, byte)| **byte == b'/');
    slashes.map(|(at, _)| at).all(network) && !arg.windows(2).any(|window| window == b"..")
}

fn command(args: &[&[u8]], stdin: &[u8], folder: &TempDir, kv: &MemoryKv) {
    let (program, args) = match args.split_first() {
        Some((&b"margay", args)) => (Program::Margay, args),
        Some((&b"calicoctl", args)) => (Program::Calicoctl, args),
        _ => (Program::Calicoctl, args),
    };
    let env = [("DATASTORE_TYPE", "etcdv2"), ("ETCD_PASSWORD", SECRET)];
    let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
    let exit = run_on_memory(
        &mut Invocation {
            args: args.iter().map(|arg| OsString::from_vec(arg.to_vec())).collect(),
            env: BTreeMap::from(env.map(|(name, value)| (name.to_owned(), value.into()))),
            cwd: folder.path().to_owned(),
            stdin: &mut Cursor::new(stdin),
            stdout: &mut stdout,
            stderr: &mut stderr,
            stderr_is_terminal: false,
            stdout_is_terminal: false,
            now: || std::time::UNIX_EPOCH,
            random: |bytes| bytes.fill(7),
        },
        program,
        kv.clone(),
    );
    // Commands that compare have a third status, as diff has; an option may be abbreviated.
    let compares = args.iter().any(|arg| *arg == b"diff" || arg.starts_with(b"--d"));
    let highest = if program == Program::Margay && compares { 2 } else { 1 };
    assert!(exit.0 <= highest, "status {}", exit.0);
    assert!(exit.0 == 0 || !(stdout.is_empty() && stderr.is_empty()), "fails without a word");
    for output in [stdout, stderr] {
        let text = String::from_utf8(output).expect("UTF-8");
        let known = args.iter().any(|arg| contains(arg, SECRET)) || contains(stdin, SECRET);
        assert!(known || !text.contains(SECRET), "a password is shown: {text}");
    }
}

fn contains(bytes: &[u8], text: &str) -> bool {
    bytes.windows(text.len()).any(|window| window == text.as_bytes())
}
