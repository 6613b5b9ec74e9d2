//! `cleanup` and `plan`: what people do to, or ask of, the kernel of this host without an agent.

use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use margay_client::{ExitCode, Invocation};
use margay_dataplane::felix::Programs;
use margay_dataplane::{Dataplane, LiveMachine};

use super::{CONFIG_FILE, UNANSWERED, complain, print, read, socket};
use crate::parameters::{Name, Parameters};
use crate::settings;
use crate::source::{Source, chain};

/// How long the kernel may take for one answer.
const KERNEL: Duration = Duration::from_secs(10);

/// Of `cleanup`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CleanupOptions {
    /// What upstream's agent left goes, too.
    pub felix: bool,
}

/// Removes table, routes and status files of ours, and on request what Felix left: 0 = all is gone, 1 = something
/// stayed, 2 = nothing was tried.
pub fn cleanup(options: CleanupOptions, invocation: &mut Invocation<'_>) -> ExitCode {
    let path = socket(invocation);
    if UnixStream::connect(&path).is_ok() {
        let text = format!("an agent runs here: it answers at {}", path.display());
        return complain(invocation, &text, "stop it first, or it puts everything back");
    }
    let parameters = match parameters(invocation) {
        Ok(parameters) => parameters,
        Err(exit) => return exit,
    };
    let machine = match LiveMachine::open(KERNEL) {
        Ok(machine) => machine,
        Err(error) => return complain(invocation, &chain(&error), "it takes root, or CAP_NET_ADMIN"),
    };
    let mut dataplane = Dataplane::new(settings::dataplane(&parameters), machine);
    let mut cleaned = dataplane.cleanup();
    if options.felix {
        let felix = dataplane.cleanup_felix(&mut Programs);
        cleaned.removed.extend(felix.removed);
        cleaned.failed.extend(felix.failed);
    }
    let files = parameters.text(Name::EndpointStatusPathPrefix);
    if !files.is_empty() {
        crate::endpoint_files::remove_all(Path::new(files), &mut cleaned.removed, &mut cleaned.failed);
    }
    let mut text: String = cleaned.removed.iter().map(|what| format!("removed {what}\n")).collect();
    if text.is_empty() {
        text.push_str("nothing to remove\n");
    }
    for what in &cleaned.failed {
        let _ = writeln!(invocation.stderr, "not removed: {what}");
    }
    let exit = if cleaned.failed.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE };
    print(invocation, &text, exit)
}

/// The parameters, as far as they can be had; what cannot is said.
fn parameters(invocation: &mut Invocation<'_>) -> Result<Parameters, ExitCode> {
    let source = Source::new(invocation, CONFIG_FILE);
    match read(&source) {
        Ok((parameters, _)) => Ok(parameters),
        Err(error) => {
            let _ = complain(invocation, &chain(&error), "correct it first");
            Err(UNANSWERED)
        }
    }
}
