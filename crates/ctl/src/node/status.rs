//! `node status`: is the node's agent running, and how are its BGP sessions.

use std::error::Error as _;
use std::io::{self, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;

use margay_net::IpVersion;

use super::{Host, fail_without_newline, os_error_text, table};
use crate::bird::{self, BirdError, Peer};
use margay_client::{ExitCode, Invocation};

/// How much of a process's name the kernel keeps.
const NAME_LENGTH: usize = 15;

/// Where BIRD listens: in a calico/node container, then as a package installs it.
const SOCKET_DIRECTORIES: [&str; 2] = ["/var/run/calico", "/var/run/bird"];

/// Carries out `node status`.
pub(super) fn status(host: &dyn Host, invocation: &mut Invocation<'_>) -> io::Result<ExitCode> {
    let names: Vec<String> = match host.processes() {
        Ok(processes) => processes.into_iter().map(|process| process.name).collect(),
        Err(error) => {
            writeln!(invocation.stdout, "{}", os_error_text(&error))?;
            Vec::new()
        }
    };
    let runs = |name: &str| names.iter().any(|running| *running == name[..name.len().min(NAME_LENGTH)]);
    let stdout = &mut *invocation.stdout;
    if !runs("calico-felix") {
        writeln!(stdout, "Calico process is not running.")?;
        return Ok(ExitCode::FAILURE);
    }
    writeln!(stdout, "Calico process is running.")?;
    if runs("bird") || runs("bird6") {
        for version in [IpVersion::V4, IpVersion::V6] {
            let process = process_name(version);
            if !runs(process) {
                let number = version.number();
                writeln!(stdout, "\nINFO: BIRDv{number} process: '{process}' is not running.")?;
            } else if let Some(failed) = sessions(host, version, stdout)? {
                return Ok(failed);
            }
        }
    } else if runs("calico-bgp-daemon") {
        // COMPAT(GoBGP): upstream asks it over gRPC, which this program does not speak.
        writeln!(
            stdout,
            "\nINFO: GoBGP process: 'calico-bgp-daemon' is running; its peers cannot be shown."
        )?;
        writeln!(
            invocation.stderr,
            "hint: this program does not read GoBGP's peers; run `gobgp neighbor` where it runs"
        )?;
    } else {
        writeln!(stdout, "\nNone of the BGP backend processes (BIRD or GoBGP) are running.")?;
    }
    writeln!(invocation.stdout)?;
    Ok(ExitCode::SUCCESS)
}

const fn process_name(version: IpVersion) -> &'static str {
    match version {
        IpVersion::V4 => "bird",
        IpVersion::V6 => "bird6",
    }
}

/// Prints the sessions of one BIRD; `Some` ends the command.
fn sessions(host: &dyn Host, version: IpVersion, stdout: &mut dyn Write) -> io::Result<Option<ExitCode>> {
    let number = version.number();
    writeln!(stdout, "\nIPv{number} BGP status")?;
    let socket = match connect(host, version) {
        Ok(socket) => socket,
        Err(text) => {
            // COMPAT(no newline): upstream leaves it out here and in the errors below.
            write!(stdout, "Error querying BIRD: unable to connect to BIRDv{number} socket: {text}")?;
            return Ok(None);
        }
    };
    let peers = match bird::peers(socket, version) {
        Ok(peers) => peers,
        Err(error) => return fail_without_newline(stdout, &describe(&error)).map(Some),
    };
    if peers.is_empty() {
        writeln!(stdout, "No IPv{number} peers found.")?;
    } else {
        stdout.write_all(render(&peers).as_bytes())?;
    }
    Ok(None)
}

fn connect(host: &dyn Host, version: IpVersion) -> Result<UnixStream, String> {
    let file = format!("{}.ctl", process_name(version));
    let mut problem = String::new();
    for directory in SOCKET_DIRECTORIES {
        let path = format!("{directory}/{file}");
        match host.connect(Path::new(&path)) {
            Ok(socket) => return Ok(socket),
            Err(error) => problem = format!("dial unix {path}: connect: {}", os_error_text(&error)),
        }
    }
    Err(problem)
}

fn describe(error: &BirdError) -> String {
    match error.source().and_then(|cause| cause.downcast_ref::<io::Error>()) {
        Some(cause) => format!("{error}: {}", os_error_text(cause)),
        None => error.to_string(),
    }
}

fn render(peers: &[Peer]) -> String {
    let rows: Vec<[String; 5]> = peers
        .iter()
        .map(|peer| {
            [
                peer.address.clone(),
                peer.kind.text().to_owned(),
                peer.state.clone(),
                peer.since.clone(),
                peer.details.clone(),
            ]
        })
        .collect();
    table::render(["Peer address", "Peer type", "State", "Since", "Info"], &rows)
}

#[cfg(test)]
mod tests;
