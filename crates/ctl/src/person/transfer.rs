//! `margay datastore export|import|copy`: everything below `/calico`, counted and compared at the end.

use std::fs::OpenOptions;
use std::io::{self, BufReader, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;

use margay_client::transfer::{Imported, Options, Progress, TransferError, copy, export, import};

use crate::grammar::ConfigPath;
use crate::grammar::command::DatastoreArgs;
use crate::input::os_error_text;
use crate::session::{Session, SetUpError, Store, runtime};
use margay_client::ExitCode;

/// Carries out a `datastore` command. Exit 0, or 1 with the reason on stderr.
pub(crate) fn datastore(session: &mut Session<'_, '_>, args: &DatastoreArgs) -> io::Result<ExitCode> {
    let outcome = match args {
        DatastoreArgs::Export { filename, config } => export_to(session, filename, config),
        DatastoreArgs::Import { filename, config } => import_from(session, filename, config),
        DatastoreArgs::Copy { from, to } => copy_between(session, from, to),
    };
    match outcome {
        Ok(summary) => {
            session.note(&summary)?;
            Ok(ExitCode::SUCCESS)
        }
        Err(failure) => {
            session.note(&failure.text)?;
            session.hints(failure.hint)?;
            Ok(ExitCode::FAILURE)
        }
    }
}

impl From<TransferError> for SetUpError {
    fn from(error: TransferError) -> Self {
        let hint = error.hint();
        let mut text = error.to_string();
        let mut cause = std::error::Error::source(&error);
        while let Some(error) = cause {
            text = format!("{text}: {error}");
            cause = error.source();
        }
        Self::new(text, hint)
    }
}

fn file_error(doing: &str, filename: &str, error: &io::Error) -> SetUpError {
    SetUpError::new(format!("{doing} {filename}: {}", os_error_text(error)), None)
}

fn export_to(
    session: &mut Session<'_, '_>,
    filename: &str,
    config: &ConfigPath,
) -> Result<String, SetUpError> {
    let client = session.client(config)?;
    let kv = client.store().kv();
    let exported = if filename == "-" {
        runtime().block_on(export(&kv, session.invocation.stdout))?
    } else {
        // Values may be secrets of the cluster: nobody else reads the file.
        let path = session.invocation.cwd.join(filename);
        let file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path);
        let mut file = file.map_err(|error| file_error("creating", filename, &error))?;
        let exported = runtime().block_on(export(&kv, &mut file))?;
        file.sync_all().map_err(|error| file_error("writing", filename, &error))?;
        exported
    };
    Ok(format!("exported {} keys at revision {}", exported.keys, exported.revision))
}

fn import_from(
    session: &mut Session<'_, '_>,
    filename: &str,
    config: &ConfigPath,
) -> Result<String, SetUpError> {
    let client = session.client(config)?;
    let mut file = if filename == "-" {
        // An export is checked whole before anything is written, so it must be there whole.
        let mut spool = spool()?;
        io::copy(session.invocation.stdin, &mut spool)
            .map_err(|error| file_error("reading", "stdin", &error))?;
        spool.seek(SeekFrom::Start(0)).map_err(|error| file_error("reading", "stdin", &error))?;
        spool
    } else {
        let path = session.invocation.cwd.join(filename);
        std::fs::File::open(path).map_err(|error| file_error("opening", filename, &error))?
    };
    let kv = client.store().kv();
    let mut meter = Meter::new(session);
    let mut file = BufReader::new(&mut file);
    let outcome = runtime().block_on(import(&mut file, &kv, Options::default(), &mut |p| meter.show(p)));
    meter.end();
    Ok(summary("imported", outcome?))
}

fn copy_between(session: &mut Session<'_, '_>, from: &str, to: &str) -> Result<String, SetUpError> {
    // A source that is not there is a slip of the finger, not an empty store.
    let from: Store = session.client_of(from, margay_client::open_existing)?;
    let to: Store = session.client_of(to, margay_client::open)?;
    let (source, target) = (from.store().kv(), to.store().kv());
    let mut spool = spool()?;
    let mut meter = Meter::new(session);
    let outcome =
        runtime().block_on(copy(&source, &target, &mut spool, Options::default(), &mut |p| meter.show(p)));
    meter.end();
    Ok(summary("copied", outcome?))
}

/// An unnamed file for what has to be read twice.
fn spool() -> Result<std::fs::File, SetUpError> {
    tempfile::tempfile().map_err(|error| file_error("creating", "a temporary file", &error))
}

fn summary(done: &str, imported: Imported) -> String {
    let Imported { keys, added, replaced, unchanged, expiring, others, stale } = imported;
    let mut text = format!("{done} {keys} keys: {added} added, {replaced} replaced, {unchanged} unchanged");
    for (count, what) in [
        (expiring, "left out because they expire"),
        (others, "in the target only, left there"),
        (stale, "changed meanwhile: copy again"),
    ] {
        if count > 0 {
            text.push_str(&format!(", {count} {what}"));
        }
    }
    text
}

/// The counter line of a transfer on a terminal.
struct Meter<'a> {
    stderr: Option<&'a mut (dyn io::Write + Send)>,
}

impl<'a> Meter<'a> {
    fn new(session: &'a mut Session<'_, '_>) -> Self {
        let invocation = &mut *session.invocation;
        Self { stderr: invocation.stderr_is_terminal.then_some(&mut *invocation.stderr) }
    }

    fn show(&mut self, progress: Progress) {
        if let Some(stderr) = &mut self.stderr {
            // A counter that cannot be shown is no reason to stop a transfer.
            let _ = write!(stderr, "\r{} of {} keys", progress.done, progress.total);
        }
    }

    fn end(self) {
        if let Some(stderr) = self.stderr {
            let _ = writeln!(stderr);
        }
    }
}
