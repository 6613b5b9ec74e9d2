//! `margay complete -- WORDS`: names from the datastore for the shell's completion.
//!
//! It never disturbs a prompt: whatever fails, or takes longer than [`PATIENCE`], gives no names.

use std::collections::BTreeSet;
use std::io;
use std::time::Duration;

use margay_model::{Filter, Kind, Resource};
use margay_store::datastore::Listed;

use crate::grammar::ConfigPath;
use crate::help::completions::{Wanted, wanted};
use crate::session::{Session, Store};
use margay_client::ExitCode;

/// How long a person's Tab key waits for names.
const PATIENCE: Duration = Duration::from_millis(150);

/// Prints what fits at the last word, one a line.
pub(crate) fn complete(session: &mut Session<'_, '_>, words: &[String]) -> io::Result<ExitCode> {
    let Some(wanted) = wanted(words) else { return Ok(ExitCode::SUCCESS) };
    let Ok(client) = session.client(&ConfigPath(ConfigPath::DEFAULT.to_owned())) else {
        return Ok(ExitCode::SUCCESS);
    };
    let (kind, nodes) = match wanted {
        Wanted::Names { kind } => match Kind::from_command_word(&kind) {
            Some(kind) => (kind, false),
            None => return Ok(ExitCode::SUCCESS),
        },
        Wanted::Nodes => (Kind::Node, true),
    };
    let listed =
        session.block_on(async { tokio::time::timeout(PATIENCE, names(&client, kind, nodes)).await });
    for name in listed.unwrap_or_default() {
        session.line(&name)?;
    }
    Ok(ExitCode::SUCCESS)
}

async fn names(client: &Store, kind: Kind, nodes: bool) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    let mut visit = |listed: Listed| {
        if let Listed::Resource(stored) = listed {
            names.insert(name(&stored.resource));
        }
    };
    let listed = client.list(if nodes { Kind::Node } else { kind }, &Filter::default(), &mut visit).await;
    if listed.is_err() {
        names.clear();
    }
    names
}

/// What NAME on a command line means for the kind.
fn name(resource: &Resource) -> String {
    let filter = resource.filter();
    let peer = filter.peer.map(|peer| peer.to_string());
    let cidr = filter.cidr.map(|cidr| cidr.to_string());
    filter.name.or(cidr).or(peer).unwrap_or_default()
}
