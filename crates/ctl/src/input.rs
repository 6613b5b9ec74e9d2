//! Reading the files that commands are given (`spec/calicoctl.md` 5).

use std::io::{self, Read};

use margay_model::document::{Loaded, load};
use margay_model::validate::Scope;

use crate::report;
use crate::session::Session;

/// Reads `filename`, `-` being stdin.
///
/// # Errors
/// Upstream's text: `open X: no such file or directory`, `read X: is a directory`.
pub(crate) fn read(session: &mut Session<'_, '_>, filename: &str) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    if filename == "-" {
        let read = session.invocation.stdin.read_to_end(&mut bytes);
        return read.map(|_| bytes).map_err(|error| format!("read /dev/stdin: {}", os_error_text(&error)));
    }
    let path = session.invocation.cwd.join(filename);
    let mut file =
        std::fs::File::open(path).map_err(|error| format!("open {filename}: {}", os_error_text(&error)))?;
    let read = file.read_to_end(&mut bytes);
    read.map(|_| bytes).map_err(|error| format!("read {filename}: {}", os_error_text(&error)))
}

/// Reads, decodes and validates a file. `Err` carries the line for stdout; details are on stderr already.
pub(crate) fn resources(
    session: &mut Session<'_, '_>,
    filename: &str,
    scope: Scope,
) -> io::Result<Result<Loaded, String>> {
    let bytes = match read(session, filename) {
        Ok(bytes) => bytes,
        Err(text) => return Ok(Err(text)),
    };
    match load(&bytes, scope) {
        Ok(loaded) => Ok(Ok(loaded)),
        Err(refusal) => {
            report::faults(session, filename, &bytes, &refusal.faults, report::Detail::Lines)?;
            Ok(Err(refusal.upstream))
        }
    }
}

/// An operating system's error in Go's words.
pub(crate) use crate::node::os_error_text;
