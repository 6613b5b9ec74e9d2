use std::collections::BTreeMap;
use std::ffi::OsString;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::Duration;

use margay_client::Secret;
use tempfile::TempDir;

use super::find;
use crate::error::Result;
use crate::request::Verb;

fn plugin(script: &str) -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    write(&directory.path().join("odd"), script);
    directory
}

fn write(path: &Path, script: &str) {
    std::fs::write(path, format!("#!/bin/sh\n{script}\n")).unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
}

fn call(script: &str, limit: Duration) -> (Result<String>, String) {
    let directory = plugin(script);
    let env = BTreeMap::from([
        ("PATH".to_owned(), std::env::var_os("PATH").unwrap_or_default()),
        ("CNI_COMMAND".to_owned(), OsString::from("GC")),
        ("CNI_CONTAINERID".to_owned(), OsString::from("c1")),
    ]);
    let delegate = find("odd", &[directory.path().to_owned()]).unwrap();
    let mut passed = Vec::new();
    let document = Secret::new(r#"{"token":"s3cret"}"#.to_owned());
    let said = delegate.call(Verb::Add, &env, "IP=10.0.0.1", &document, limit, &mut |bytes| {
        passed.extend_from_slice(bytes);
    });
    (said.map(|bytes| String::from_utf8(bytes).unwrap()), String::from_utf8(passed).unwrap())
}

const LONG: Duration = Duration::from_secs(60);

#[test]
fn a_plugin_gets_verb_arguments_environment_and_the_whole_configuration() {
    let (said, passed) = call("echo heard >&2; echo \"$CNI_COMMAND $CNI_CONTAINERID $CNI_ARGS\"; cat", LONG);
    assert_eq!(said.unwrap(), "ADD c1 IgnoreUnknown=1;IP=10.0.0.1\n{\"token\":\"s3cret\"}");
    assert_eq!(passed, "heard\n");
}

#[test]
fn what_a_plugin_says_against_it_is_kept() {
    let (said, _) = call(r#"echo '{"code":7,"msg":"no room","details":"all rented"}'; exit 1"#, LONG);
    let failure = said.unwrap_err();
    assert_eq!((failure.code.0, failure.msg.as_str()), (7, "no room; all rented"));
    let (mute, _) = call("exit 3", LONG);
    assert_eq!(
        mute.unwrap_err().msg,
        "netplugin failed but error parsing its diagnostic message \"\": unexpected end of JSON input"
    );
    let (other, _) = call("echo '{\"x\":1}'; exit 1", LONG);
    assert_eq!(other.unwrap_err().msg, "");
    for odd in [r#"{"code":"x","msg":"m"}"#, r#"{"msg":7}"#, r#"{"details":[]}"#, "[]"] {
        let (said, _) = call(&format!("echo '{odd}'; exit 1"), LONG);
        let msg = said.unwrap_err().msg;
        assert!(msg.starts_with("netplugin failed but error parsing its diagnostic message"), "{msg}");
    }
}

#[test]
fn a_plugin_that_never_stops_talking_is_heard_for_a_while() {
    let (said, _) = call("exec yes", LONG);
    let failure = said.unwrap_err();
    assert!(failure.msg.len() < 4000 && failure.msg.contains("y\\ny\\n"), "{}", failure.msg);
    let (said, passed) = call("yes >&2 || true; echo '{}'", LONG);
    assert_eq!((said.unwrap().as_str(), passed.len()), ("{}\n", 1 << 20));
}

#[test]
fn a_plugin_that_never_ends_is_stopped() {
    let (said, _) = call("exec sleep 1000", Duration::from_millis(50));
    assert_eq!(said.unwrap_err().msg, "plugin odd took longer than 0 s");
}

#[test]
fn the_first_regular_file_counts() {
    let (first, second) = (tempfile::tempdir().unwrap(), plugin("true"));
    std::fs::create_dir(first.path().join("odd")).unwrap();
    let path = [first.path().to_owned(), second.path().to_owned()];
    assert_eq!(find("odd", &path).unwrap().program(), second.path().join("odd"));
    let missing = find("even", &path).unwrap_err();
    assert_eq!(
        missing.msg,
        format!("failed to find plugin \"even\" in path [{} {}]", path[0].display(), path[1].display())
    );
    assert_eq!(find("", &path).unwrap_err().msg, "no plugin name provided");
    assert!(find("../odd", &path).is_err());
}
