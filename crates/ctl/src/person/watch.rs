//! `margay get -w`: what is there, then every change, a line each, until interrupted.

use std::collections::BTreeMap;
use std::io;

use margay_model::{Filter, Identity, Key, Kind, Resource};
use margay_store::Datastore as _;
use margay_store::datastore::{RecordEvent, RecordUpdate, RecordWatch as _};
use margay_store::syncer;
use margay_text::json::write_json_compact;
use margay_text::value::Value;

use crate::output::Format;
use crate::session::{Session, Store};
use margay_client::ExitCode;

/// Watches the resources of one kind.
pub(crate) fn watch(
    session: &mut Session<'_, '_>,
    client: &Store,
    format: &Format,
    kind: Kind,
    filter: &Filter,
) -> io::Result<ExitCode> {
    let json = match format {
        Format::Json => true,
        Format::Short => false,
        Format::Wide | Format::Columns(_) | Format::Yaml | Format::Template(_) => {
            session.note("get --watch prints lines of text, or JSON with -o json")?;
            return Ok(ExitCode::FAILURE);
        }
    };
    if kind == Kind::BgpPeer {
        session.note("BGP peers cannot be watched: they stand outside the watched part of the datastore")?;
        return Ok(ExitCode::FAILURE);
    }
    let fill = session.invocation.random;
    let jitter = Box::new(move || {
        let mut bytes = [0; 4];
        fill(&mut bytes);
        u32::from_ne_bytes(bytes)
    });
    let options = syncer::Options { wait_for_ready: false, ..syncer::Options::new(jitter) };
    let mut records = client.store().watch(options);
    let runtime = crate::session::runtime();
    let mut seen = BTreeMap::new();
    loop {
        match runtime.block_on(records.next()) {
            RecordEvent::Status(_) => {}
            RecordEvent::Trouble(error) => session.note(&format!("warning: {error}; trying again"))?,
            RecordEvent::Updates(updates) => {
                for identity in touched(kind, updates) {
                    let now =
                        runtime.block_on(client.store().get(&identity)).ok().map(|stored| stored.resource);
                    let now = now.filter(|resource| filter.admits(resource));
                    if let Some(line) = line(&mut seen, identity, now, json) {
                        session.line(&line)?;
                    }
                }
                session.invocation.stdout.flush()?;
            }
        }
    }
}

/// The resources of a kind that updates are about, each once, in order.
fn touched(kind: Kind, updates: Vec<RecordUpdate>) -> Vec<Identity> {
    let mut identities = Vec::new();
    for update in updates {
        let identity = match update.key {
            Key::WorkloadEndpoint { node, orchestrator, workload, name } => {
                Identity::WorkloadEndpoint { node, orchestrator, workload, name }
            }
            Key::HostEndpoint { node, name } => Identity::HostEndpoint { node, name },
            Key::Policy { name } => Identity::Policy(name),
            Key::ProfilePart { name, .. } => Identity::Profile(name),
            Key::IpPool { cidr } => Identity::IpPool(cidr),
            Key::NodeMetadata { node } | Key::NodeBirdIp { node } | Key::OrchRefs { node } => {
                Identity::Node(node)
            }
            _ => continue,
        };
        if identity.kind() == kind && !identities.contains(&identity) {
            identities.push(identity);
        }
    }
    identities
}

/// The line for a resource's state, none when nothing is new.
fn line(
    seen: &mut BTreeMap<Identity, Resource>,
    identity: Identity,
    now: Option<Resource>,
    json: bool,
) -> Option<String> {
    let before = seen.remove(&identity);
    let event = match (&before, &now) {
        (None, None) => return None,
        (None, Some(_)) => "added",
        (Some(_), None) => "deleted",
        (Some(before), Some(now)) if before == now => "",
        (Some(_), Some(_)) => "changed",
    };
    let text = now.as_ref().or(before.as_ref()).filter(|_| !event.is_empty()).map(|resource| {
        if json {
            let mut text = String::new();
            let members =
                vec![("event".into(), Value::Text(event.into())), ("resource".into(), resource.value())];
            write_json_compact(&mut text, &Value::Map(members));
            text
        } else {
            format!("{event:<8} {}", resource.printed_identity())
        }
    });
    if let Some(now) = now {
        seen.insert(identity, now);
    }
    text
}
