//! The commands about this machine: `node run`, `status`, `diags` and `checksystem` (`spec/calicoctl.md` 10).
//!
//! They reach the machine only through [`Host`], so the tests put another one in its place.

mod autodetect;
mod checksystem;
mod diags;
pub(crate) mod host;
mod mask;
mod run;
mod status;
mod table;

use std::io::{self, Write};

use crate::grammar::ConfigPath;
use crate::grammar::command::NodeCommand;
use margay_client::{ExitCode, Invocation};

use host::{Ended, Host};

/// What `node run` hands on from the connection settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum NodeDatastore {
    /// etcd with the v2 API.
    EtcdV2(EtcdSettings),
    /// A datastore that the container cannot be started for.
    Unsupported,
    /// The settings cannot be read; the text says why.
    Invalid(String),
    /// The named file of settings is not there; the text is the line to print.
    NoFile(String),
}

/// Where etcd is; an empty text counts as not set.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct EtcdSettings {
    /// URLs with `,` between; they win over scheme and authority.
    pub(crate) endpoints: String,
    /// `http` or `https`.
    pub(crate) scheme: String,
    /// `host:port`.
    pub(crate) authority: String,
    /// Path of the certificate of the authority.
    pub(crate) ca_cert_file: String,
    /// Path of the client's key.
    pub(crate) key_file: String,
    /// Path of the client's certificate.
    pub(crate) cert_file: String,
}

/// Carries out a command; the error is one of writing to stdout or stderr.
///
/// `datastore` is asked at most once, by `node run`, at the point where the settings are checked.
pub(crate) fn execute(
    command: &NodeCommand,
    datastore: &dyn Fn(&ConfigPath) -> NodeDatastore,
    host: &dyn Host,
    invocation: &mut Invocation<'_>,
) -> io::Result<ExitCode> {
    if !cfg!(target_os = "linux") {
        return fail(invocation.stdout, "'calicoctl node' commands are not available on this OS");
    }
    match command {
        NodeCommand::Run(args) => run::run(args, datastore, host, invocation),
        NodeCommand::Status => as_root(host, invocation, status::status),
        NodeCommand::CheckSystem => as_root(host, invocation, checksystem::checksystem),
        NodeCommand::Diags { log_dir } => {
            as_root(host, invocation, |host, invocation| diags::diags(log_dir, host, invocation))
        }
    }
}

fn as_root(
    host: &dyn Host,
    invocation: &mut Invocation<'_>,
    then: impl FnOnce(&dyn Host, &mut Invocation<'_>) -> io::Result<ExitCode>,
) -> io::Result<ExitCode> {
    if host.uid() == 0 {
        return then(host, invocation);
    }
    writeln!(invocation.stdout, "Need super user privileges: Operation not permitted")?;
    Ok(ExitCode::FAILURE)
}

fn fail(stdout: &mut dyn Write, text: &str) -> io::Result<ExitCode> {
    writeln!(stdout, "Error executing command: {text}")?;
    Ok(ExitCode::FAILURE)
}

// COMPAT(no newline): upstream ends these lines of `node status` without one.
fn fail_without_newline(stdout: &mut dyn Write, text: &str) -> io::Result<ExitCode> {
    write!(stdout, "Error executing command: {text}")?;
    Ok(ExitCode::FAILURE)
}

/// An operating system error in the words that Go programs print.
pub(crate) fn os_error_text(error: &io::Error) -> String {
    if error.kind() == io::ErrorKind::TimedOut || error.kind() == io::ErrorKind::WouldBlock {
        return "i/o timeout".to_owned();
    }
    let text = error.to_string();
    let text = text.split(" (os error").next().unwrap_or_default();
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_lowercase().chain(letters).collect())
}

#[cfg(test)]
mod tests;
