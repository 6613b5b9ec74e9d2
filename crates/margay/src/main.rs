//! The one executable: picks the program and hands it the process's streams, environment and clock.

mod crash;
mod dispatch;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::{self, BufWriter, IsTerminal as _};
use std::process::ExitCode;

use dispatch::Called;
use margay_agent::{CleanupOptions, ConfigOptions, LogFormat, RunOptions, StatusOptions, TraceOptions};
use margay_client::Invocation;
use margay_cni::{DoctorOptions, InstallOptions};
use margay_ctl::HostCommand;

fn main() -> ExitCode {
    crash::install();
    let mut args = std::env::args_os();
    let called = dispatch::dispatch(&args.next().unwrap_or_default());
    let env = environment();
    let no_colour = env.get("NO_COLOR").is_some_and(|value| !value.is_empty());
    let mut stdin = io::stdin();
    let mut stdout = BufWriter::with_capacity(64 << 10, io::stdout());
    let mut stderr = io::stderr();
    let mut invocation = Invocation {
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
    };
    let exit = match called {
        Called::Ctl(program) => margay_ctl::run(&mut invocation, program, &run_on_host),
        Called::Agent => margay_agent::run(&mut invocation),
        Called::Cni => margay_cni::run_plugin(&mut invocation),
        Called::CniIpam => margay_cni::run_ipam(&mut invocation),
    };
    // The programs flush what has to be told when it cannot be written; what is left has nobody to be told to.
    let _ = invocation.stdout.flush();
    ExitCode::from(exit.0)
}

/// Runs a command that works on this host.
fn run_on_host(command: HostCommand, invocation: &mut Invocation<'_>) -> margay_client::ExitCode {
    match command {
        HostCommand::AgentRun { config_file } => {
            margay_agent::run_with(&RunOptions { config_file, log_format: LogFormat::Text }, invocation)
        }
        HostCommand::AgentConfig { explain, config_file } => {
            margay_agent::config(&ConfigOptions { config_file, explain }, invocation)
        }
        HostCommand::Status { wait, json } => margay_agent::status(&StatusOptions { wait, json }, invocation),
        HostCommand::Cleanup { felix } => margay_agent::cleanup(CleanupOptions { felix }, invocation),
        HostCommand::Plan => margay_agent::plan(invocation),
        HostCommand::TraceDropped { time, json } => {
            margay_agent::trace_dropped(TraceOptions { time, json }, invocation)
        }
        HostCommand::Doctor { json } => {
            margay_cni::doctor(&DoctorOptions { json, ..DoctorOptions::default() }, invocation)
        }
        HostCommand::CniInstall { bin_dir, conf_dir } => {
            let options = InstallOptions { bin_dir: bin_dir.into(), conf_dir: conf_dir.into() };
            margay_cni::install(&options, invocation)
        }
    }
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
