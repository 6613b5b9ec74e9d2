//! The page holds every command, and roff finds nothing wrong with it.

use std::io::Write;
use std::process::{Command, Stdio};

use super::*;

#[test]
fn the_page_names_every_shown_command_and_option() {
    let page = man_page();
    for text in
        [".SS get\n", ".SS ipam release\n", ".SS datastore copy\n", "\\fB\\-w\\fR, \\fB\\-\\-watch\\fR\n"]
    {
        assert!(page.contains(text), "{text} is missing");
    }
    assert!(!page.contains(".SS man\n") && !page.contains(".SS complete\n"));
}

#[test]
fn a_line_never_turns_into_a_request() {
    assert_eq!(line_of_text(".TH -x \\ "), "\\&.TH \\-x \\e \n");
    assert_eq!(line_of_text("'quoted'"), "\\&'quoted'\n");
}

#[test]
fn roff_takes_the_page_without_a_warning() {
    let Ok(mut child) = Command::new("groff")
        .args(["-man", "-Tascii", "-ww", "-z"])
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
    else {
        assert!(std::env::var_os("CI").is_none(), "CI lacks groff");
        println!("SKIPPED: groff is not installed");
        return;
    };
    child.stdin.take().expect("stdin is a pipe").write_all(man_page().as_bytes()).expect("groff reads");
    let output = child.wait_with_output().expect("groff ends");
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
}
