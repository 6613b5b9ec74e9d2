//! The command line of `calico-felix`: upstream's, and `--log-format`.

use std::ffi::OsString;

use margay_client::{ExitCode, Invocation};
use margay_daemon::log::Format;

use crate::commands::CONFIG_FILE;
use crate::run::{RunOptions, run_with};

/// What `--help` prints.
const HELP: &str = "\
Calico Felix, the Calico per-host agent

Usage:
  calico-felix [options]

Options:
  -c --config-file=<filename>  Config file to load [default: /etc/calico/felix.cfg].
     --log-format=<format>     Shape of log lines: text or json [default: text].
  -h --help                    Print this text and exit.
     --version                 Print the version and exit.
";

/// The commit this build was made from, where the build says so.
const COMMIT: Option<&str> = option_env!("MARGAY_COMMIT");

/// The date of this build, where the build says so.
const DATE: Option<&str> = option_env!("MARGAY_DATE");

/// What a command line asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Wanted {
    Run(RunOptions),
    Help,
    Version,
}

/// `calico-felix`: runs the agent until a signal ends it.
pub fn run(invocation: &mut Invocation<'_>) -> ExitCode {
    let text = match parse(&invocation.args) {
        Ok(Wanted::Run(options)) => return run_with(&options, invocation),
        Ok(Wanted::Help) => HELP.to_owned(),
        Ok(Wanted::Version) => format!(
            "Version:            {}\nFull git commit ID: {}\nBuild date:         {}\n",
            crate::VERSION,
            COMMIT.unwrap_or("unknown"),
            DATE.unwrap_or("unknown")
        ),
        Err(what) => {
            let _ = write!(invocation.stderr, "{what}\n{HELP}");
            return ExitCode::FAILURE;
        }
    };
    crate::commands::print(invocation, &text, ExitCode::SUCCESS)
}

fn parse(args: &[OsString]) -> Result<Wanted, String> {
    let mut options = RunOptions { config_file: CONFIG_FILE.to_owned(), log_format: Format::Text };
    let mut args = args.iter();
    while let Some(arg) = args.next() {
        let Some(arg) = arg.to_str() else { return Err("an argument is not valid UTF-8".to_owned()) };
        let (name, mut value) = match arg.split_once('=') {
            Some((name, value)) if name.starts_with("--") => (name, Some(value.to_owned())),
            _ if arg.starts_with("-c") && arg.len() > 2 => ("-c", Some(arg[2..].to_owned())),
            _ => (arg, None),
        };
        let mut needed = || match value.take().or_else(|| args.next()?.to_str().map(str::to_owned)) {
            Some(value) => Ok(value),
            None => Err(format!("{name} needs a value")),
        };
        match name {
            "-c" | "--config-file" => options.config_file = needed()?,
            "--log-format" => {
                options.log_format = match needed()?.as_str() {
                    "text" => Format::Text,
                    "json" => Format::Json,
                    other => return Err(format!("--log-format is text or json, not {other:?}")),
                }
            }
            "-h" | "--help" if value.is_none() => return Ok(Wanted::Help),
            "--version" if value.is_none() => return Ok(Wanted::Version),
            _ => return Err(format!("unknown argument: {arg}")),
        }
    }
    Ok(Wanted::Run(options))
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;

    use margay_daemon::log::Format;

    use super::{Wanted, parse};
    use crate::run::RunOptions;

    fn parsed(args: &[&str]) -> Result<Wanted, String> {
        parse(&args.iter().map(OsString::from).collect::<Vec<_>>())
    }

    #[test]
    fn the_command_line_is_upstreams() {
        let with =
            |file: &str, log_format| Wanted::Run(RunOptions { config_file: file.to_owned(), log_format });
        for args in [&["-c", "a"][..], &["-ca"], &["--config-file", "a"], &["--config-file=a"]] {
            assert_eq!(parsed(args), Ok(with("a", Format::Text)), "{args:?}");
        }
        assert_eq!(parsed(&[]), Ok(with("/etc/calico/felix.cfg", Format::Text)));
        assert_eq!(parsed(&["--log-format=json"]), Ok(with("/etc/calico/felix.cfg", Format::Json)));
        assert_eq!(parsed(&["--version"]), Ok(Wanted::Version));
        assert_eq!(parsed(&["-h"]), Ok(Wanted::Help));
    }

    #[test]
    fn anything_else_is_refused() {
        for args in [&["-c"][..], &["x"], &["--version=1"], &["--log-format=xml"], &["--unknown"]] {
            assert!(parsed(args).is_err(), "{args:?}");
        }
    }
}
