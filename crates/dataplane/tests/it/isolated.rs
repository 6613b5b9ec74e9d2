//! Runs a test's body on a throw-away host: this executable again, in fresh user, network and mount namespaces.

use margay_kernel::{Isolation, isolated};

/// Runs the body inside. `test` is the test's own path, by which it is found again.
#[expect(clippy::print_stderr, reason = "a skipped test says so")]
pub(crate) fn in_isolation(test: &str, body: impl FnOnce()) {
    let arguments = ["--exact", test, "--nocapture", "--test-threads=1"];
    match isolated(test, arguments) {
        Ok(Isolation::Inside) => body(),
        Ok(Isolation::Done(status)) => assert!(status.success(), "{test} failed inside"),
        Err(error) => {
            assert!(std::env::var_os("CI").is_none(), "{test} needs user and network namespaces: {error}");
            eprintln!("SKIPPED {test}: user and network namespaces can not be made here: {error}");
        }
    }
}
