//! `cleanup` and `plan`: what people do to, or ask of, the kernel of this host without an agent.

use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use margay_client::{AnyStore, ExitCode, Invocation};
use margay_dataplane::felix::Programs;
use margay_dataplane::{Dataplane, LiveMachine};
use margay_intent::HostName;
use margay_policy::{Calculator, Options};
use margay_store::Syncer;
use margay_store::syncer::{self, Status, SyncEvent};

use super::{CONFIG_FILE, UNANSWERED, complain, print, read, socket};
use crate::parameters::{Name, Parameters};
use crate::settings;
use crate::source::{Source, chain, host, jitter};

/// How long the kernel may take for one answer.
const KERNEL: Duration = Duration::from_secs(10);

/// How long `plan` waits for the datastore.
const DATASTORE: Duration = Duration::from_secs(30);

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

/// Says what an agent would change in the kernel as it is now: 0 = nothing, 1 = what is printed, 2 = it cannot be told.
///
/// The datastore is read once, what follows from it is calculated, and the difference is tried on a copy of the
/// kernel's table. Nothing is written anywhere.
pub fn plan(invocation: &mut Invocation<'_>) -> ExitCode {
    let text = match planned(invocation) {
        Ok(text) => text,
        Err((error, hint)) => return complain(invocation, &error, hint),
    };
    let exit = if text.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE };
    print(invocation, &text, exit)
}

fn planned(invocation: &Invocation<'_>) -> Result<String, (String, &'static str)> {
    const CONFIGURE: &str = "'margay agent config' prints what counts";
    let source = Source::new(invocation, CONFIG_FILE);
    let (parameters, _) = read(&source).map_err(|error| (chain(&error), CONFIGURE))?;
    let store = source.open(&parameters).map_err(|error| (chain(&error), CONFIGURE))?;
    let random = invocation.random;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| (error.to_string(), "the system has no file left to open"))?;
    let name = host(&parameters);
    let calculator = runtime.block_on(async {
        let snapshot = snapshot(&store, HostName::from(name), random);
        tokio::time::timeout(DATASTORE, snapshot).await.map_err(|_| {
            let text = format!("the datastore has not answered for {} s", DATASTORE.as_secs());
            (text, "is it running? 'margay agent config' prints where it is looked for")
        })
    });
    let mut calculator = calculator?;
    const ROOT: &str = "it takes root, or CAP_NET_ADMIN";
    let machine = LiveMachine::open(KERNEL).map_err(|error| (chain(&error), ROOT))?;
    let mut dataplane = Dataplane::new(settings::dataplane(&parameters), machine);
    dataplane.update(calculator.take_changes());
    dataplane.plan().map_err(|error| (chain(&error), ROOT))
}

/// A calculator that has read the whole datastore once.
async fn snapshot(store: &AnyStore, host: HostName, random: fn(&mut [u8])) -> Calculator {
    let mut calculator = Calculator::new(host, Options::default());
    let options = syncer::Options { wait_for_ready: false, ..syncer::Options::new(jitter(random)) };
    let mut syncer = Syncer::new(store.kv(), "/calico/v1", options);
    loop {
        match syncer.next().await {
            SyncEvent::Updates(updates) => {
                for update in updates {
                    calculator.update(&update.key, update.value.as_deref());
                }
            }
            // The updates of the snapshot come before this.
            SyncEvent::Status(Status::InSync) => break,
            SyncEvent::Status(_) | SyncEvent::Trouble(_) => {}
        }
    }
    calculator.in_sync();
    calculator
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
