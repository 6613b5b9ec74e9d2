//! `version` (`spec/calicoctl.md` 11).

use std::io;

use margay_model::Key;

use crate::grammar::{ConfigPath, Program};
use crate::session::Session;
use margay_client::ExitCode;

/// The version of this build.
const VERSION: &str = concat!("v", env!("CARGO_PKG_VERSION"));

/// The commit this build was made from, where the build says so.
const COMMIT: Option<&str> = option_env!("MARGAY_COMMIT");

/// The date of this build, where the build says so.
const DATE: Option<&str> = option_env!("MARGAY_DATE");

/// The line of `--version`.
pub(crate) fn short(program: Program) -> String {
    format!("{} version {VERSION}, build {}", program.name(), COMMIT.unwrap_or("unknown"))
}

/// The `version` command: of this program, then of the cluster.
pub(crate) fn version(session: &mut Session<'_, '_>, config: &ConfigPath) -> io::Result<ExitCode> {
    session.line(&format!("Client Version:    {VERSION}"))?;
    session.line(&format!("Build date:        {}", DATE.unwrap_or("unknown")))?;
    session.line(&format!("Git commit:        {}", COMMIT.unwrap_or("unknown")))?;
    let client = match session.client(config) {
        Ok(client) => client,
        Err(error) => {
            session.hints(error.hint)?;
            return session.fail(&error.text);
        }
    };
    for (label, name) in [("Cluster Version:   ", "CalicoVersion"), ("Cluster Type:      ", "ClusterType")] {
        let key = Key::FelixConfig { node: None, name: name.to_owned() };
        let value = match session.block_on(client.record(&key)) {
            Ok(value) => value.unwrap_or_else(|| "unknown".to_owned()),
            Err(error) => format!("unknown ({error})"),
        };
        session.line(&format!("{label}{value}"))?;
    }
    Ok(ExitCode::SUCCESS)
}
