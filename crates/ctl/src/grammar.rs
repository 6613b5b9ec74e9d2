//! The argument grammar: what a command line means, told without doing any of it.
//!
//! One table (`table.rs`) feeds parsing, usage, help, completions and the man page. The scanner behaves as docopt
//! does, because scripts rely on it (`spec/calicoctl.md` 2).

mod build;
pub(crate) mod command;
mod forms;
mod nearest;
mod scan;
mod table;

use std::ffi::OsString;

use self::table::Words;
use crate::help;
use margay_client::ExitCode;

pub use command::HostCommand;
pub(crate) use command::{Command, ConfigPath, LogLevel, Shell};
pub(crate) use scan::scan;
pub(crate) use table::{Audience, CommandSpec, Entry, GroupSpec, Offer, OptionSpec, TOP, Word, entries};

/// The name a program was called by, which decides the commands it offers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Program {
    /// The drop-in: upstream's commands and texts, nothing else.
    Calicoctl,
    /// Upstream's commands and ours.
    Margay,
}

/// What a command line asks for.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Parsed {
    /// Carry out a command.
    Run(Box<Request>),
    /// Print `PROGRAM version VERSION, build COMMIT`.
    ShortVersion,
    /// Print this and end.
    Stop(Stop),
}

/// A command and what was said before it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Request {
    /// The command.
    pub(crate) command: Command,
    /// The level of `--log-level`.
    pub(crate) log_level: LogLevel,
}

/// A command line that ends by itself: help, or an error.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Stop {
    /// Text for stdout.
    pub(crate) stdout: String,
    /// Text for stderr.
    pub(crate) stderr: String,
    /// The exit status.
    pub(crate) exit: ExitCode,
}

/// Why arguments do not fit a command.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Problem {
    /// The line docopt prints in front of the usage, for the faults it can name.
    pub(crate) reason: Option<String>,
    /// What we can tell beyond that.
    pub(crate) hint: Option<String>,
}

// === impl Program ===

impl Program {
    /// The name in usage, help and error texts.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Calicoctl => "calicoctl",
            Self::Margay => "margay",
        }
    }

    /// True for what this program's parser accepts.
    pub(crate) const fn accepts(self, audience: Audience) -> bool {
        match audience {
            Audience::Everyone => true,
            Audience::Calicoctl => matches!(self, Self::Calicoctl),
            Audience::Margay | Audience::Hidden => matches!(self, Self::Margay),
        }
    }

    /// True for what this program's help shows.
    pub(crate) const fn shows(self, audience: Audience) -> bool {
        match audience {
            Audience::Hidden => false,
            Audience::Everyone | Audience::Calicoctl | Audience::Margay => self.accepts(audience),
        }
    }
}

// === impl Problem ===

impl Problem {
    /// A fault that docopt names itself.
    pub(crate) fn reason(text: impl Into<String>) -> Self {
        Self { reason: Some(text.into()), hint: None }
    }

    /// A fault that docopt leaves without a word.
    pub(crate) fn hint(text: impl Into<String>) -> Self {
        Self { reason: None, hint: Some(text.into()) }
    }
}

// === impl Stop ===

impl Stop {
    fn help(text: String) -> Self {
        Self { stdout: text, stderr: String::new(), exit: ExitCode::SUCCESS }
    }

    fn usage(usage: &str, problem: &Problem) -> Self {
        Self { stdout: String::new(), stderr: explain(usage, problem), exit: ExitCode::FAILURE }
    }

    fn invalid(program: Program, args: &[String], usage: &str, problem: &Problem) -> Self {
        let stdout = format!(
            "Invalid option: '{} {}'. Use flag '--help' to read about a specific subcommand.\n",
            program.name(),
            args.join(" "),
        );
        Self { stdout, stderr: explain(usage, problem), exit: ExitCode::FAILURE }
    }
}

fn explain(usage: &str, problem: &Problem) -> String {
    let mut text = String::new();
    if let Some(reason) = &problem.reason {
        text.push_str(reason);
        text.push('\n');
    }
    text.push_str(usage);
    if let Some(hint) = &problem.hint {
        text.push_str(&format!("hint: {hint}\n"));
    }
    text
}

/// Reads the arguments behind the program's name.
///
/// Pure: nothing is opened, and no default that depends on the machine is filled in.
pub(crate) fn parse(program: Program, args: &[OsString]) -> Parsed {
    match decode(program, args) {
        Ok(args) => top(program, &args).unwrap_or_else(Parsed::Stop),
        Err(stop) => Parsed::Stop(stop),
    }
}

fn decode(program: Program, args: &[OsString]) -> Result<Vec<String>, Stop> {
    let mut decoded = Vec::with_capacity(args.len());
    for (index, arg) in args.iter().enumerate() {
        let Some(text) = arg.to_str() else {
            let lossy: Vec<String> = args.iter().map(|arg| arg.to_string_lossy().into_owned()).collect();
            let reason = format!("argument {} is not valid UTF-8: {arg:?}", index + 1);
            return Err(Stop::invalid(program, &lossy, &help::top_usage(program), &Problem::reason(reason)));
        };
        decoded.push(text.to_owned());
    }
    Ok(decoded)
}

fn top(program: Program, args: &[String]) -> Result<Parsed, Stop> {
    let usage = || help::top_usage(program);
    let specs: Vec<&OptionSpec> = TOP.options.iter().collect();
    let scanned = scan(args, &specs, Words::EndOptions)
        .map_err(|reason| Stop::usage(&usage(), &Problem::reason(reason)))?;
    if scanned.has("--help") {
        return Err(Stop::help(help::top(program)));
    }
    if scanned.has("--version") {
        return Ok(Parsed::ShortVersion);
    }
    let given = forms::known_once(&scanned, &specs).map_err(|problem| Stop::usage(&usage(), &problem))?;
    let Some((name, rest)) = scanned.words.split_first() else {
        return Err(Stop::usage(&usage(), &Problem::hint("a command is needed")));
    };
    // COMPAT(log level): upstream takes the empty text as "leave the default".
    let level = given.iter().find_map(|(spec, value)| (spec.long == "log-level").then_some(value.as_deref()));
    let log_level = match level.flatten().filter(|level| !level.is_empty()) {
        Some(text) => LogLevel::parse(text).ok_or_else(|| unknown_level(text))?,
        None => LogLevel::Panic,
    };
    let command = command(program, name, rest)?;
    Ok(Parsed::Run(Box::new(Request { command, log_level })))
}

fn unknown_level(text: &str) -> Stop {
    let stdout = format!(
        "Unknown log level: {text}, expected one of: \n\
         panic, fatal, error, warn, info, debug.\n"
    );
    Stop { stdout, stderr: String::new(), exit: ExitCode::FAILURE }
}

fn command(program: Program, name: &str, rest: &[String]) -> Result<Command, Stop> {
    let found = entries(&TOP, program).find(|entry| entry.name() == name);
    let Some(entry) = found else {
        let stderr = format!("Unknown command: \"{name}\"\n{}", nearest::command_hint(&TOP, program, name));
        return Err(Stop { stdout: format!("{}\n", help::top(program)), stderr, exit: ExitCode::FAILURE });
    };
    match entry {
        Entry::Command(spec) => single(program, spec, &[name], rest),
        Entry::Group(group) => member(program, group, rest),
    }
}

fn member(program: Program, group: &'static GroupSpec, rest: &[String]) -> Result<Command, Stop> {
    let Some((name, rest)) = rest.split_first() else {
        let args = [group.name.to_owned()];
        let problem = Problem::hint(format!("'{}' needs a sub command", group.name));
        return Err(Stop::invalid(program, &args, &help::group_usage(program, group), &problem));
    };
    if name == "-h" || name == "--help" {
        return Err(Stop::help(help::group(program, group)));
    }
    let found = entries(group, program).find(|entry| entry.name() == name);
    let Some(Entry::Command(spec)) = found else {
        // COMPAT(unknown sub command): upstream prints the help on stdout and exits 0; ours is an error.
        let stderr = format!(
            "{}\nUnknown command: \"{} {name}\"\n{}",
            help::group(program, group),
            group.name,
            nearest::command_hint(group, program, name),
        );
        return Err(Stop { stdout: String::new(), stderr, exit: ExitCode::FAILURE });
    };
    single(program, spec, &[group.name, name], rest)
}

fn single(
    program: Program,
    spec: &'static CommandSpec,
    path: &[&str],
    rest: &[String],
) -> Result<Command, Stop> {
    let refuse = |problem: &Problem| {
        let args: Vec<String> =
            path.iter().map(|word| (*word).to_owned()).chain(rest.iter().cloned()).collect();
        let stop = Stop::invalid(program, &args, &help::usage(program, spec), problem);
        if spec.refused == ExitCode::FAILURE {
            return stop;
        }
        Stop { stdout: String::new(), stderr: stop.stdout + &stop.stderr, exit: spec.refused }
    };
    let specs: Vec<&'static OptionSpec> =
        spec.options.iter().filter(|option| program.accepts(option.audience)).collect();
    let scanned = scan(rest, &specs, spec.words).map_err(|reason| refuse(&Problem::reason(reason)))?;
    if scanned.has("--help") {
        return Err(Stop::help(help::command(program, spec)));
    }
    if spec.name == "config" && program == Program::Calicoctl && scanned.has("--version") {
        // COMPAT(config --version): upstream passes the program's name where docopt wants a version.
        return Err(Stop::help("calicoctl\n".to_owned()));
    }
    forms::fit(&scanned, spec, &specs)
        .and_then(|values| (spec.build)(&values))
        .map_err(|problem| refuse(&problem))
}

#[cfg(test)]
mod tests;
