//! Runs a test's body on a throw-away host: this executable again, in fresh user, network and mount namespaces.

use margay_kernel::{Isolation, isolated};

/// Runs the body inside. `test` is the test's own path, by which it is found again.
pub(crate) fn in_isolation(test: &str, body: impl FnOnce()) {
    let arguments = ["--exact", test, "--nocapture", "--test-threads=1"];
    match isolated(test, arguments).expect("user namespaces are allowed here") {
        Isolation::Inside => body(),
        Isolation::Done(status) => assert!(status.success(), "{test} failed inside"),
    }
}
