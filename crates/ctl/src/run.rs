//! From a command line to its command: the whole program.

use std::io;

use margay_store::MemoryKv;

use crate::grammar::command::Command;
use crate::grammar::{Parsed, Program, Request, parse};
use crate::help::completions::completions;
use crate::help::man::man_page;
use crate::node::host::LocalHost;
use crate::session::Session;
use crate::{config, get, ipam, node, person, resources, version};
use margay_client::{ExitCode, Invocation};

/// Runs the program on the datastore that its settings name.
pub fn run(invocation: &mut Invocation<'_>, program: Program) -> ExitCode {
    start(invocation, program, None)
}

/// Runs the program on a keyspace in memory, whatever its settings say: tests in one process.
pub fn run_on_memory(invocation: &mut Invocation<'_>, program: Program, kv: MemoryKv) -> ExitCode {
    start(invocation, program, Some(kv))
}

fn start(invocation: &mut Invocation<'_>, program: Program, memory: Option<MemoryKv>) -> ExitCode {
    let outcome = dispatch(invocation, program, memory).and_then(|exit| {
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
        Parsed::Run(request) => execute(*request, &mut Session::new(invocation, program, memory)),
    }
}

fn execute(request: Request, session: &mut Session<'_, '_>) -> io::Result<ExitCode> {
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
        Command::Node(command) => {
            node::execute(&command, &session.node_datastore(), &LocalHost, session.invocation)
        }
        Command::Version { config } => version::version(session, &config),
        Command::Validate(args) => person::validate::validate(session, &args.filename),
        Command::Diff(args) => person::diff::diff(session, &args.config, &args.filename),
        Command::ExplainField { path } => person::explain::explain(session, &path),
        Command::Completions { shell } => text(session, &completions(shell)),
        Command::Complete { words } => person::complete::complete(session, &words),
        Command::Datastore(args) => person::transfer::datastore(session, &args),
        Command::Man => text(session, &man_page()),
    }
}

fn text(session: &mut Session<'_, '_>, text: &str) -> io::Result<ExitCode> {
    session.invocation.stdout.write_all(text.as_bytes())?;
    Ok(ExitCode::SUCCESS)
}
