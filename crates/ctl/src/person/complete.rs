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
    let (kinds, name): (Vec<Kind>, fn(&Resource) -> String) = match wanted {
        Wanted::Names { kind } => match Kind::from_command_word(&kind) {
            Some(kind) => (vec![kind], name),
            None => return Ok(ExitCode::SUCCESS),
        },
        Wanted::Nodes => (vec![Kind::Node], name),
        Wanted::Endpoints => (vec![Kind::WorkloadEndpoint, Kind::HostEndpoint], full_name),
    };
    let listed =
        session.block_on(async { tokio::time::timeout(PATIENCE, names(&client, &kinds, name)).await });
    for name in listed.unwrap_or_default() {
        session.line(&name)?;
    }
    Ok(ExitCode::SUCCESS)
}

async fn names(client: &Store, kinds: &[Kind], name: fn(&Resource) -> String) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for kind in kinds {
        let mut visit = |listed: Listed| {
            if let Listed::Resource(stored) = listed {
                names.insert(name(&stored.resource));
            }
        };
        if client.list(*kind, &Filter::default(), &mut visit).await.is_err() {
            return BTreeSet::new();
        }
    }
    names
}

/// What FROM and TO of `explain` mean: the identifiers of an endpoint with slashes between.
fn full_name(resource: &Resource) -> String {
    match resource {
        Resource::WorkloadEndpoint(d) => {
            let m = &d.metadata;
            format!("{}/{}/{}/{}", m.node, m.orchestrator, m.workload, m.name)
        }
        Resource::HostEndpoint(d) => format!("{}/{}", d.metadata.node, d.metadata.name),
        other => name(other),
    }
}

/// What NAME on a command line means for the kind.
fn name(resource: &Resource) -> String {
    let filter = resource.filter();
    let peer = filter.peer.map(|peer| peer.to_string());
    let cidr = filter.cidr.map(|cidr| cidr.to_string());
    filter.name.or(cidr).or(peer).unwrap_or_default()
}
