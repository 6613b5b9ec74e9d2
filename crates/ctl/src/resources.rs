//! `create`, `apply`, `replace`, `delete`: resources one after another, and the line that tells how far it went
//! (`spec/calicoctl.md` 3, 6).

use std::io;

use margay_client::{ClientError, NameSource, Skip};
use margay_model::document::Loaded;
use margay_model::validate::Scope;
use margay_model::{Filter, Kind, Resource};
use margay_store::datastore::Write;

use crate::grammar::ConfigPath;
use crate::grammar::command::{DeleteArgs, Named, Selection};
use crate::input;
use crate::session::{Session, Store};
use margay_client::ExitCode;

/// The verb of a command and its participle, as result lines have them.
#[derive(Debug, Clone, Copy)]
struct Words {
    verb: &'static str,
    done: &'static str,
}

const DELETE: Words = Words { verb: "delete", done: "deleted" };

/// How many resources are written between two looks at the progress line of a terminal.
const CHUNK: usize = 5000;

fn words(how: Write) -> Words {
    match how {
        Write::Create => Words { verb: "create", done: "created" },
        Write::Apply => Words { verb: "apply", done: "applied" },
        Write::Update => Words { verb: "replace", done: "replaced" },
    }
}

/// `create`, `apply`, `replace`.
pub(crate) fn write(
    session: &mut Session<'_, '_>,
    config: &ConfigPath,
    filename: &str,
    how: Write,
    skip_exists: bool,
) -> io::Result<ExitCode> {
    let loaded = match input::resources(session, filename, Scope::All)? {
        Ok(loaded) => loaded,
        Err(text) => return session.fail(&format!("Failed to execute command: {text}")),
    };
    let (client, mut resources) = match ready(session, config, loaded)? {
        Ok(ready) => ready,
        Err(exit) => return Ok(exit),
    };
    let kinds: Vec<Kind> = resources.iter().map(Resource::kind).collect();
    let unnamed = unnamed(&resources);
    let skip = if skip_exists { Skip::Existing } else { Skip::Nothing };
    let (handled, outcome) = write_chunks(session, &client, how, &mut resources, skip)?;
    for index in unnamed.into_iter().filter(|index| *index < handled && how == Write::Create) {
        let note = format!("created {}", resources[index].printed_identity());
        session.note(&note)?;
    }
    result(session, words(how), &kinds, handled, outcome)
}

/// The positions of workload endpoints that `create` will name.
fn unnamed(resources: &[Resource]) -> Vec<usize> {
    let nameless = |resource: &Resource| match resource {
        Resource::WorkloadEndpoint(endpoint) => endpoint.metadata.name.is_empty(),
        _ => false,
    };
    resources.iter().enumerate().filter(|(_, resource)| nameless(resource)).map(|(index, _)| index).collect()
}

/// Opens the client, unless there is nothing to do.
fn ready(
    session: &mut Session<'_, '_>,
    config: &ConfigPath,
    loaded: Loaded,
) -> io::Result<Result<(Store, Vec<Resource>), ExitCode>> {
    if loaded.is_empty() {
        return session.fail("No resources specified in file").map(Err);
    }
    match session.client(config) {
        Ok(client) => Ok(Ok((client, loaded.into_iter().map(|located| located.resource).collect()))),
        Err(error) => session.no_client(error).map(Err),
    }
}

/// Writes all resources, with a counter line on a terminal.
fn write_chunks(
    session: &mut Session<'_, '_>,
    client: &Store,
    how: Write,
    resources: &mut [Resource],
    skip: Skip,
) -> io::Result<(usize, Result<(), ClientError>)> {
    let total = resources.len();
    let mut handled = 0;
    let chunk = if session.invocation.stderr_is_terminal { CHUNK } else { total };
    for chunk in resources.chunks_mut(chunk.max(1)) {
        let (count, outcome) = session.block_on(client.write_all(how, chunk, skip));
        handled += count;
        progress(session, words(how), handled, total)?;
        if outcome.is_err() {
            return Ok((handled, outcome));
        }
    }
    Ok((handled, Ok(())))
}

/// The counter line of long runs on a terminal; the last one ends the line.
fn progress(session: &mut Session<'_, '_>, words: Words, handled: usize, total: usize) -> io::Result<()> {
    if session.invocation.stderr_is_terminal && total > 50 {
        let end = if handled == total { "\n" } else { "" };
        write!(session.invocation.stderr, "\r{} {handled} of {total}{end}", words.done)?;
        session.invocation.stderr.flush()?;
    }
    Ok(())
}

/// `delete`.
pub(crate) fn delete(session: &mut Session<'_, '_>, args: &DeleteArgs) -> io::Result<ExitCode> {
    let (targets, source): (Vec<(Kind, Filter)>, NameSource) = match &args.selection {
        Selection::File(filename) => match input::resources(session, filename, Scope::Metadata)? {
            Ok(loaded) => {
                let target = |resource: Resource| (resource.kind(), resource.filter());
                (loaded.into_iter().map(|located| target(located.resource)).collect(), NameSource::File)
            }
            Err(text) => return session.fail(&format!("Failed to execute command: {text}")),
        },
        Selection::Named(named) => match target(named) {
            Ok(target) => (vec![target], NameSource::Arguments),
            // COMPAT(delete-arguments): upstream says that the file holds no resources.
            Err(text) => return session.fail(&format!("Failed to delete resource: {text}")),
        },
    };
    if targets.is_empty() {
        return session.fail("No resources specified in file");
    }
    let client = match session.client(&args.config) {
        Ok(client) => client,
        Err(error) => return session.no_client(error),
    };
    let (handled, outcome) = session.block_on(delete_all(&client, &targets, source, args.skip_not_exists));
    let kinds: Vec<Kind> = targets.iter().map(|(kind, _)| *kind).collect();
    result(session, DELETE, &kinds, handled, outcome)
}

async fn delete_all(
    client: &Store,
    targets: &[(Kind, Filter)],
    source: NameSource,
    skip_absent: bool,
) -> (usize, Result<(), ClientError>) {
    for (handled, (kind, filter)) in targets.iter().enumerate() {
        match client.delete(*kind, filter, source).await {
            Ok(()) => {}
            Err(error) if skip_absent && error.is_absent() => {}
            Err(error) => return (handled, Err(error)),
        }
    }
    (targets.len(), Ok(()))
}

/// The kind and identifiers that arguments name; the error is upstream's text.
pub(crate) fn target(named: &Named) -> Result<(Kind, Filter), String> {
    let kind = Kind::from_command_word(&named.kind)
        .ok_or_else(|| format!("Resource type '{}' is not supported", named.kind))?;
    let mut filter = Filter::default();
    match kind {
        Kind::WorkloadEndpoint => {
            filter.node.clone_from(&named.node);
            filter.orchestrator.clone_from(&named.orchestrator);
            filter.workload.clone_from(&named.workload);
            filter.name.clone_from(&named.name);
        }
        Kind::HostEndpoint => {
            filter.node.clone_from(&named.node);
            filter.name.clone_from(&named.name);
        }
        Kind::Profile | Kind::Policy | Kind::Node => filter.name.clone_from(&named.name),
        Kind::IpPool => {
            let cidr = named.name.as_deref().map(margay_net::Cidr::parse_strict).transpose();
            filter.cidr = cidr.map_err(|error| error.to_string())?;
        }
        Kind::BgpPeer => {
            let peer = named.name.as_deref().map(str::parse::<margay_net::Ip>).transpose();
            filter.peer = peer.map_err(|error| error.to_string())?;
            filter.node.clone_from(&named.node);
            filter.scope.clone_from(&named.scope);
            if let Some(scope) = named.scope.as_deref().filter(|scope| !matches!(*scope, "global" | "node")) {
                return Err(format!("Unrecognized scope '{scope}', must be one of: global, node"));
            }
        }
    }
    Ok((kind, filter))
}

/// What to do next after a fault of the arguments.
pub(crate) fn kind_hint(named: &Named) -> Option<String> {
    if Kind::from_command_word(&named.kind).is_some() {
        return None;
    }
    let words = Kind::ALL.iter().flat_map(|kind| kind.command_words().iter().copied());
    let near = margay_model::decode::nearest(&named.kind, words);
    Some(near.map_or_else(
        || format!("kinds are {}", Kind::ALL.map(Kind::word).join(", ")),
        |near| format!("did you mean '{near}'?"),
    ))
}

/// The result lines (`spec/calicoctl.md` 6).
fn result(
    session: &mut Session<'_, '_>,
    words: Words,
    kinds: &[Kind],
    handled: usize,
    outcome: Result<(), ClientError>,
) -> io::Result<ExitCode> {
    let total = kinds.len();
    let one_kind = kinds.iter().all(|kind| *kind == kinds[0]).then(|| format!("'{}' ", kinds[0].word()));
    let Words { verb, done } = words;
    let Err(error) = outcome else {
        session.line(&format!("Successfully {done} {total} {}resource(s)", one_kind.unwrap_or_default()))?;
        return Ok(ExitCode::SUCCESS);
    };
    session.hints(error.hints())?;
    match (handled, total, one_kind) {
        (0, 1, kind) => {
            session.fail(&format!("Failed to {verb} {}resource: {error}", kind.unwrap_or_default()))
        }
        (0, _, kind) => {
            session.fail(&format!("Failed to {verb} any {}resources: {error}", kind.unwrap_or_default()))
        }
        (_, _, kind) => {
            let kind = kind.unwrap_or_default();
            session.line(&format!(
                "Partial success: {done} the first {handled} out of {total} {kind}resources:"
            ))?;
            session.fail(&format!("Hit error: {error}"))
        }
    }
}
