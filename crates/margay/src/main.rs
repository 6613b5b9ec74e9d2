//! The one executable: picks the program and hands it the process's streams, environment and clock.

mod crash;
mod dispatch;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::{self, BufWriter, IsTerminal as _};
use std::process::ExitCode;

use margay_ctl::{HostCommand, Invocation};

fn main() -> ExitCode {
    crash::install();
    let mut args = std::env::args_os();
    let program = dispatch::dispatch(&args.next().unwrap_or_default());
    let env = environment();
    let no_colour = env.get("NO_COLOR").is_some_and(|value| !value.is_empty());
    let mut stdin = io::stdin();
    let mut stdout = BufWriter::with_capacity(64 << 10, io::stdout());
    let mut stderr = io::stderr();
    let exit = margay_ctl::run(
        &mut Invocation {
            args: args.collect(),
            env,
            cwd: std::env::current_dir().unwrap_or_default(),
            stderr_is_terminal: stderr.is_terminal() && !no_colour,
            stdout_is_terminal: stdout.get_ref().is_terminal() && !no_colour,
            stdin: &mut stdin,
            stdout: &mut stdout,
            stderr: &mut stderr,
            now,
            random,
        },
        program,
        &run_on_host,
    );
    ExitCode::from(exit.0)
}

/// Runs a command that works on this host.
fn run_on_host(command: HostCommand, invocation: &mut Invocation<'_>) -> margay_ctl::ExitCode {
    let name = match command {
        HostCommand::AgentRun { .. } | HostCommand::AgentConfig { .. } => "agent",
        HostCommand::Status { .. } => "status",
        HostCommand::TraceDropped { .. } => "trace",
        HostCommand::Cleanup { .. } => "cleanup",
        HostCommand::Doctor { .. } => "doctor",
        HostCommand::CniInstall { .. } => "cni",
    };
    // Nobody is left to tell when stderr is closed.
    let _ = writeln!(invocation.stderr, "margay {name}: this build has no such command yet");
    margay_ctl::ExitCode(2)
}

/// The environment; names that are no text cannot be ours.
fn environment() -> BTreeMap<String, OsString> {
    std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value))).collect()
}

#[expect(clippy::disallowed_methods, reason = "the program reads the clock and passes it on")]
fn now() -> std::time::SystemTime {
    std::time::SystemTime::now()
}

/// Fills a buffer with random bytes from the operating system.
fn random(bytes: &mut [u8]) {
    getrandom::fill(bytes).expect("Linux has had getrandom since 3.17");
}
