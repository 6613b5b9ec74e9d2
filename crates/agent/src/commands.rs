//! What people ask about an agent, from outside of it.

mod host;
mod trace;

use std::io::{self, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use margay_client::{ExitCode, Invocation};
use serde_json::Value;

use crate::parameters::{Name, Parameters, explain};
use crate::source::{Source, SourceError, chain, host};
use crate::status as page;

pub use host::{CleanupOptions, cleanup, plan};
pub use trace::{TraceOptions, trace_dropped};

/// The exit status when there is nobody to ask or the question cannot be answered.
pub(crate) const UNANSWERED: ExitCode = ExitCode(2);

/// How long one question to the agent may take.
const ANSWER: Duration = Duration::from_secs(10);

/// How often a waiting `status` asks.
const ASK_AGAIN: Duration = Duration::from_millis(100);

/// How long `agent config` waits for the datastore.
const DATASTORE: Duration = Duration::from_secs(5);

/// The default of `--config-file`.
pub const CONFIG_FILE: &str = "/etc/calico/felix.cfg";

/// Of `status`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct StatusOptions {
    /// Wait so long until the agent is well.
    pub wait: Option<Duration>,
    /// JSON instead of text.
    pub json: bool,
}

/// Of `agent config`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigOptions {
    /// The file with parameters.
    pub config_file: String,
    /// With source and effect of each.
    pub explain: bool,
}

/// Asks the running agent how it is: 0 = well, 1 = not, 2 = there is none.
pub fn status(options: &StatusOptions, invocation: &mut Invocation<'_>) -> ExitCode {
    let path = socket(invocation);
    let begun = Instant::now();
    let wait = options.wait.unwrap_or_default();
    let answer = loop {
        let answer = ask(&path);
        let is_well = answer.as_ref().is_ok_and(|document| document["well"] == true);
        if is_well || begun.elapsed() >= wait {
            break answer;
        }
        std::thread::sleep(ASK_AGAIN);
    };
    let document = match answer {
        Ok(document) => document,
        Err(error) => {
            return complain(
                invocation,
                &format!("asking the agent at {}: {error}", path.display()),
                "is it running here? it is started with calico-felix or 'margay agent run'",
            );
        }
    };
    let text = if options.json { format!("{document:#}\n") } else { page::text(&document) };
    let exit = if document["well"] == true { ExitCode::SUCCESS } else { ExitCode::FAILURE };
    print(invocation, &text, exit)
}

/// Prints the parameters as the agent would use them.
pub fn config(options: &ConfigOptions, invocation: &mut Invocation<'_>) -> ExitCode {
    let source = Source::new(invocation, &options.config_file);
    let (parameters, notes) = match read(&source) {
        Ok(read) => read,
        Err(error) => {
            return complain(invocation, &chain(&error), "correct it: the agent waits until it can be read");
        }
    };
    for note in notes {
        let _ = writeln!(invocation.stderr, "{note}");
    }
    let text = if options.explain {
        explain(&parameters)
    } else {
        let rows = crate::parameters::TABLE.iter();
        rows.map(|row| format!("{}={}\n", row.text, parameters.value(row.name))).collect()
    };
    print(invocation, &text, ExitCode::SUCCESS)
}

/// The parameters from all sources, and what is to be said about them.
pub(crate) fn read(source: &Source) -> Result<(Parameters, Vec<String>), SourceError> {
    let mut texts = source.local()?;
    let (parameters, mut notices) = source.resolve(&texts)?;
    let mut notes = Vec::new();
    let from_datastore = source.open(&parameters).and_then(|store| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error| SourceError::Unreadable(PathBuf::from("/proc/self"), error))?;
        runtime.block_on(async {
            match tokio::time::timeout(DATASTORE, source.read(&store, host(&parameters))).await {
                Ok(texts) => texts.map(Some),
                Err(_) => Ok(None),
            }
        })
    });
    let mut parameters = parameters;
    match from_datastore {
        Ok(Some(found)) => {
            texts.per_host = found.per_host;
            texts.global = found.global;
            (parameters, notices) = source.resolve(&texts)?;
        }
        Ok(None) => {
            notes.push("the datastore does not answer: its parameters are not among these".to_owned())
        }
        Err(error) => notes.push(format!("{}: its parameters are not among these", chain(&error))),
    }
    notes.extend(notices.iter().map(ToString::to_string));
    Ok((parameters, notes))
}

// === helpers ===

/// Where the agent of this host listens: as an agent started with this environment would.
fn socket(invocation: &Invocation<'_>) -> PathBuf {
    let source = Source::new(invocation, CONFIG_FILE);
    let default = Name::StatusSocketPath.row().default;
    let parameters = source.local().ok().and_then(|texts| source.resolve(&texts).ok());
    match parameters {
        Some((parameters, _)) if !parameters.text(Name::StatusSocketPath).is_empty() => {
            PathBuf::from(parameters.text(Name::StatusSocketPath))
        }
        _ => PathBuf::from(default),
    }
}

/// The agent's document.
fn ask(path: &Path) -> io::Result<Value> {
    let mut stream = UnixStream::connect(path)?;
    stream.set_read_timeout(Some(ANSWER))?;
    stream.set_write_timeout(Some(ANSWER))?;
    stream.write_all(format!("GET {} HTTP/1.0\r\n\r\n", page::PATH).as_bytes())?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let odd = || io::Error::new(io::ErrorKind::InvalidData, "it does not speak as an agent does");
    let (head, body) = answer.split_once("\r\n\r\n").ok_or_else(odd)?;
    if !head.starts_with("HTTP/1.") || !head.contains(" 200 ") {
        return Err(odd());
    }
    serde_json::from_str(body).map_err(|_| odd())
}

/// Says on stderr what went wrong and what to do.
pub(crate) fn complain(invocation: &mut Invocation<'_>, text: &str, hint: &str) -> ExitCode {
    // Nobody is left to tell when stderr is closed.
    let _ = writeln!(invocation.stderr, "{text}\n  hint: {hint}");
    UNANSWERED
}

/// Prints a result; a reader that went away is no failure.
pub(crate) fn print(invocation: &mut Invocation<'_>, text: &str, exit: ExitCode) -> ExitCode {
    let written = invocation.stdout.write_all(text.as_bytes()).and_then(|()| invocation.stdout.flush());
    match written {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => UNANSWERED,
        _ => exit,
    }
}
