//! From a command line to its command: the whole program.

use std::io;

use margay_store::MemoryKv;

use crate::grammar::command::{Command, HostCommand};
use crate::grammar::{Parsed, Program, Request, parse};
use crate::help::completions::completions;
use crate::help::man::man_page;
use crate::node::host::LocalHost;
use crate::session::Session;
use crate::{config, get, ipam, node, person, resources, version};
use margay_client::{ExitCode, Invocation};

/// What runs the commands that work on this host, which other crates implement.
pub type RunHost<'r> = &'r dyn Fn(HostCommand, &mut Invocation<'_>) -> ExitCode;

/// Runs the program on the datastore that its settings name.
pub fn run(invocation: &mut Invocation<'_>, program: Program, host: RunHost<'_>) -> ExitCode {
    start(invocation, program, None, host)
}

/// Runs the program on a keyspace in memory, whatever its settings say: tests in one process.
pub fn run_on_memory(invocation: &mut Invocation<'_>, program: Program, kv: MemoryKv) -> ExitCode {
    start(invocation, program, Some(kv), &|_, invocation| {
        // Nobody is left to tell when stderr is gone.
        let _ = writeln!(invocation.stderr, "commands that work on this host are not run in memory");
        ExitCode(2)
    })
}

fn start(
    invocation: &mut Invocation<'_>,
    program: Program,
    memory: Option<MemoryKv>,
    host: RunHost<'_>,
) -> ExitCode {
    let outcome = dispatch(invocation, program, memory, host).and_then(|exit| {
        invocation.stdout.flush()?;
        Ok(exit)
    });
    match outcome {
        Ok(exit) => exit,
        // Whoever read our output has seen enough.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(error) => {
            // Nothing is left to tell it to when stderr is gone as well.
            let _ = writeln!(invocation.stderr, "{}: writing output: {error}", program.name());
            ExitCode::FAILURE
        }
    }
}

fn dispatch(
    invocation: &mut Invocation<'_>,
    program: Program,
    memory: Option<MemoryKv>,
    host: RunHost<'_>,
) -> io::Result<ExitCode> {
    match parse(program, &invocation.args) {
        Parsed::Stop(stop) => {
            invocation.stdout.write_all(stop.stdout.as_bytes())?;
            invocation.stderr.write_all(stop.stderr.as_bytes())?;
            Ok(stop.exit)
        }
        Parsed::ShortVersion => {
            writeln!(invocation.stdout, "{}", version::short(program))?;
            Ok(ExitCode::SUCCESS)
        }
        Parsed::Run(request) => execute(*request, &mut Session::new(invocation, program, memory), host),
    }
}

fn execute(request: Request, session: &mut Session<'_, '_>, host: RunHost<'_>) -> io::Result<ExitCode> {
    use margay_store::datastore::Write;
    session.log_level = request.log_level;
    match request.command {
        Command::Create(args) => {
            resources::write(session, &args.config, &args.filename, Write::Create, args.skip_exists)
        }
        Command::Apply(args) if args.dry_run => person::diff::dry_run(session, &args.config, &args.filename),
        Command::Apply(args) => resources::write(session, &args.config, &args.filename, Write::Apply, false),
        Command::Replace(args) => {
            resources::write(session, &args.config, &args.filename, Write::Update, false)
        }
        Command::Delete(args) => resources::delete(session, &args),
        Command::Get(args) => get::get(session, &args),
        Command::Config(args) => config::config(session, &args),
        Command::Ipam(args) => ipam::ipam(session, &args),
        Command::IpamTask(task) => ipam::task(session, &task),
        Command::Node(command) => {
            node::execute(&command, &session.node_datastore(), &LocalHost, session.invocation)
        }
        Command::Version { config } => version::version(session, &config),
        Command::Validate(args) => person::validate::validate(session, &args.filename),
        Command::Diff(args) => person::diff::diff(session, &args.config, &args.filename),
        Command::Explain(args) => person::policy_explain::explain(session, &args),
        Command::Plan(args) => person::plan::plan(session, &args),
        Command::ExplainField { path } => person::explain::explain(session, &path),
        Command::Completions { shell } => text(session, &completions(shell)),
        Command::Complete { words } => person::complete::complete(session, &words),
        Command::Datastore(args) => person::transfer::datastore(session, &args),
        Command::Man => text(session, &man_page()),
        Command::Host(command) => Ok(host(command, session.invocation)),
    }
}

fn text(session: &mut Session<'_, '_>, text: &str) -> io::Result<ExitCode> {
    session.invocation.stdout.write_all(text.as_bytes())?;
    Ok(ExitCode::SUCCESS)
}
