//! `cargo xtask gen [--check]`: writes `docs/reference`, or says which of its files are not what the code says.

use std::io::Write as _;
use std::process::ExitCode;

use xtask::reference;

fn main() -> anyhow::Result<ExitCode> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let mut stdout = std::io::stdout().lock();
    match args.as_slice() {
        ["gen"] => {
            for path in reference::write(&xtask::root())? {
                writeln!(stdout, "{path}")?;
            }
            Ok(ExitCode::SUCCESS)
        }
        ["gen", "--check"] => {
            let stale = reference::stale(&xtask::root())?;
            for path in &stale {
                writeln!(stdout, "{path} is not what the code says: run `cargo xtask gen`")?;
            }
            Ok(if stale.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
        }
        _ => anyhow::bail!("usage: cargo xtask gen [--check]"),
    }
}
