//! The `nft` tool, where a test wants a second opinion.

use std::io::Write as _;
use std::process::{Command, Stdio};

/// Feeds commands to the tool.
pub(crate) fn load(commands: &str) {
    let mut child = Command::new("nft")
        .args(["-f", "-"])
        .stdin(Stdio::piped())
        .spawn()
        .expect("the nft tool is installed");
    child.stdin.take().expect("piped").write_all(commands.as_bytes()).expect("it reads");
    assert!(child.wait().expect("it ends").success(), "the tool refused:\n{commands}");
}

/// The table `inet t` in the tool's words.
pub(crate) fn list() -> String {
    let output =
        Command::new("nft").args(["list", "table", "inet", "t"]).output().expect("the nft tool is installed");
    assert!(output.status.success(), "listing: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("text")
}

/// Whether the tool is there. A test that wants it fails without it under CI, and says so loudly elsewhere.
#[expect(clippy::print_stdout, reason = "a test that is skipped says so")]
pub(crate) fn is_missing(test: &str) -> bool {
    let missing = Command::new("nft").arg("--version").output().is_err();
    assert!(!missing || std::env::var_os("CI").is_none(), "the nft tool is missing");
    if missing {
        println!("SKIPPED: {test} needs the nft tool");
    }
    missing
}
