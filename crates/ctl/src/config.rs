//! `config`: friendly and raw configuration values (`spec/calicoctl.md` 8).

use std::io;

use crate::grammar::command::{ConfigArgs, ConfigVerb};
use crate::session::Session;
use margay_client::ExitCode;

/// `config set`, `unset`, `get`.
pub(crate) fn config(session: &mut Session<'_, '_>, args: &ConfigArgs) -> io::Result<ExitCode> {
    let client = match session.client(&args.config) {
        Ok(client) => client,
        Err(error) => {
            session.hints(error.hint)?;
            return session.fail(&error.text);
        }
    };
    let (name, node, raw) = (args.name.as_str(), args.node.as_deref(), args.raw.as_deref());
    let outcome = session.block_on(async {
        match &args.verb {
            ConfigVerb::Set(value) => client.set_config(name, value, node, raw).await.map(|()| None),
            ConfigVerb::Unset => client.unset_config(name, node, raw).await.map(|()| None),
            ConfigVerb::Get => client.get_config(name, node, raw).await.map(Some),
        }
    });
    match outcome {
        Ok(None) => Ok(ExitCode::SUCCESS),
        Ok(Some(value)) => {
            session.line(&value)?;
            Ok(ExitCode::SUCCESS)
        }
        Err(error) => {
            session.hints(error.hint())?;
            session.fail(&format!("Error executing command: {error}"))
        }
    }
}
