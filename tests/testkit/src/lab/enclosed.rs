//! [`enclosed`]: a test in namespaces of its own.

use std::process::{Command, ExitCode};

/// Set in the test that runs inside.
const MARK: &str = "MARGAY_ENCLOSED";

/// True inside new network, mount and process namespaces (and a user namespace, without root).
///
/// Outside it runs the test of that full name (`module::test`) again inside, and returns false when that passed, or when
/// this machine allows no namespaces and the variable `CI` is not set. Begin a test with
/// `if !enclosed("lab::test") { return; }`. Inside, /run is empty and of its own, and every process ends with the test.
///
/// # Panics
/// When the test inside failed, or under `CI` when there are no namespaces.
#[must_use]
#[expect(clippy::print_stderr, reason = "a skipped test says so")]
pub fn enclosed(test: &str) -> bool {
    if std::env::var_os(MARK).is_some_and(|name| name == *test) {
        mount("tmpfs", "/run");
        return true;
    }
    if !possible() {
        assert!(
            std::env::var_os("CI").is_none(),
            "{test} needs network namespaces, and none can be made here"
        );
        eprintln!("SKIPPED {test}: network namespaces cannot be made here");
        return false;
    }
    let this = std::env::current_exe().expect("a test knows its executable");
    let output = unshare()
        .arg(this)
        .args(["--exact", test, "--nocapture", "--include-ignored"])
        .env(MARK, test)
        .output()
        .expect("starting unshare");
    let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "inside {test}:\n{stdout}{stderr}");
    assert!(stdout.contains("1 passed"), "no test is called {test}:\n{stdout}{stderr}");
    false
}

/// Runs a whole program again inside such namespaces: its exit status outside, none inside.
///
/// A machine that allows no namespaces is told, and that is a failure under `CI` alone.
///
/// # Panics
/// When the program cannot be started again.
#[must_use]
#[expect(clippy::print_stderr, reason = "what is skipped is told")]
pub fn enclosed_program() -> Option<ExitCode> {
    let program = "program";
    if std::env::var_os(MARK).is_some_and(|name| name == *program) {
        mount("tmpfs", "/run");
        return None;
    }
    if !possible() {
        eprintln!("SKIPPED: network namespaces cannot be made on this machine");
        let fails = std::env::var_os("CI").is_some();
        return Some(if fails { ExitCode::FAILURE } else { ExitCode::SUCCESS });
    }
    let this = std::env::current_exe().expect("a program knows its executable");
    let status = unshare().arg(this).args(std::env::args_os().skip(1)).env(MARK, program).status();
    let code = status.expect("starting unshare").code().and_then(|code| u8::try_from(code).ok());
    Some(code.map_or(ExitCode::FAILURE, ExitCode::from))
}

/// `unshare` with what every such test needs.
fn unshare() -> Command {
    let mut command = Command::new("unshare");
    if !rustix::process::geteuid().is_root() {
        command.args(["--user", "--map-root-user"]);
    }
    command.args(["--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"]);
    command
}

/// True when this machine lets us make the namespaces.
fn possible() -> bool {
    unshare().arg("true").output().is_ok_and(|output| output.status.success())
}

fn mount(kind: &str, at: &str) {
    let status = Command::new("mount").args(["-t", kind, kind, at]).status().expect("starting mount");
    assert!(status.success(), "mounting {kind} on {at}");
}
