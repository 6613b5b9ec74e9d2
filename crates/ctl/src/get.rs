//! `get`: lists of resources in any format (`spec/calicoctl.md` 6, 7).

use std::io;

use margay_client::ClientError;
use margay_model::validate::Scope;
use margay_model::{Filter, Kind, Resource};
use margay_store::datastore::{Listed, Skipped};

use crate::grammar::command::{GetArgs, Selection};
use crate::input;
use crate::output::{Format, OutputError, Printer};
use crate::person::watch::watch;
use crate::resources::{kind_hint, target};
use crate::session::{Session, Store, wait};
use margay_client::ExitCode;

/// From this many resources of one kind in a file, one list of the kind serves them all.
const ONE_LIST: usize = 4;

/// `get`.
pub(crate) fn get(session: &mut Session<'_, '_>, args: &GetArgs) -> io::Result<ExitCode> {
    let format = match Format::parse(&args.output) {
        Ok(format) => format,
        Err(text) => {
            let words = ["ps", "wide", "yaml", "json", "custom-columns", "go-template", "go-template-file"];
            let near = margay_model::decode::nearest(&args.output, words.into_iter());
            session.hints(near.map(|near| format!("did you mean '{near}'?")))?;
            return session.fail(&text);
        }
    };
    let targets: Vec<(Kind, Filter)> = match &args.selection {
        Selection::File(filename) => match input::resources(session, filename, Scope::Metadata)? {
            Ok(loaded) => {
                let target = |resource: Resource| (resource.kind(), resource.filter());
                loaded.into_iter().map(|located| target(located.resource)).collect()
            }
            Err(text) => return session.fail(&format!("Failed to execute command: {text}")),
        },
        Selection::Named(named) => match target(named) {
            Ok(target) => vec![target],
            Err(text) => {
                session.hints(kind_hint(named))?;
                return session.fail(&format!("Failed to get resources: {text}"));
            }
        },
    };
    if targets.is_empty() {
        return session.fail("Failed to get resources: no resources specified");
    }
    let client = match session.client(&args.config) {
        Ok(client) => client,
        Err(error) => return session.no_client(error),
    };
    if args.watch {
        return match targets.as_slice() {
            [(kind, filter)] => watch(session, &client, &format, *kind, filter),
            _ => session.fail("Failed to get resources: --watch takes one kind"),
        };
    }
    print(session, &client, &format, &targets)
}

/// What listing left behind.
struct Run {
    fresh: bool,
    listed: Result<(), ClientError>,
    printed: Result<(), OutputError>,
    skipped: Vec<Skipped>,
}

fn print(
    session: &mut Session<'_, '_>,
    client: &Store,
    format: &Format,
    targets: &[(Kind, Filter)],
) -> io::Result<ExitCode> {
    let kinds: Vec<Kind> = targets.iter().map(|(kind, _)| *kind).collect();
    let global_as = if format.needs_global_as(&kinds) {
        let number = session.block_on(client.get_config("asNumber", None, None));
        number.unwrap_or_else(|_| "unknown".to_owned())
    } else {
        String::new()
    };
    let invocation = &mut *session.invocation;
    let run = match Printer::new(format, &invocation.cwd, global_as, invocation.stdout) {
        Ok(printer) => {
            let terminal = invocation.stderr_is_terminal.then_some(&mut *invocation.stderr);
            wait(list_all(client, targets, printer), terminal)
        }
        Err(error) => Run { fresh: true, listed: Ok(()), printed: Err(error), skipped: Vec::new() },
    };
    for skipped in &run.skipped {
        session.note(&format!("warning: {} is left out: {}", skipped.path, skipped.reason))?;
    }
    if let Err(error) = run.listed {
        session.hints(error.hints())?;
        if !run.fresh {
            session.note("error: the output above is incomplete")?;
        }
        return session.fail(&format!("Failed to get resources: {error}"));
    }
    match run.printed {
        Ok(()) => Ok(ExitCode::SUCCESS),
        Err(OutputError::Io(error)) => Err(error),
        // COMPAT(output-errors): upstream prints these to stdout and succeeds.
        Err(OutputError::Refused(text)) => {
            session.note(&text)?;
            Ok(ExitCode::FAILURE)
        }
    }
}

async fn list_all(client: &Store, targets: &[(Kind, Filter)], mut printer: Printer<'_>) -> Run {
    let mut skipped = Vec::new();
    let mut listed = Ok(());
    for (kind, filters) in runs_of_one_kind(targets) {
        listed = if filters.len() >= ONE_LIST {
            list_once(client, kind, &filters, &mut printer, &mut skipped).await
        } else {
            list_each(client, kind, &filters, &mut printer, &mut skipped).await
        };
        if listed.is_err() {
            break;
        }
    }
    let fresh = printer.is_fresh();
    let printed = if listed.is_ok() || !fresh { printer.finish() } else { Ok(()) };
    Run { fresh, listed, printed, skipped }
}

/// One request per resource asked for, each printed as it arrives.
async fn list_each(
    client: &Store,
    kind: Kind,
    filters: &[&Filter],
    printer: &mut Printer<'_>,
    skipped: &mut Vec<Skipped>,
) -> Result<(), ClientError> {
    for filter in filters {
        printer.begin(kind);
        client
            .list(kind, filter, &mut |listed| match listed {
                Listed::Resource(stored) => printer.item(&stored.resource),
                Listed::Skipped(record) => skipped.push(record),
            })
            .await?;
        printer.end();
    }
    Ok(())
}

/// One request for many resources of one kind, kept and then printed in the order asked for.
async fn list_once(
    client: &Store,
    kind: Kind,
    filters: &[&Filter],
    printer: &mut Printer<'_>,
    skipped: &mut Vec<Skipped>,
) -> Result<(), ClientError> {
    for filter in filters {
        client.check_filter(kind, filter)?;
    }
    let mut all = Vec::new();
    client
        .list(kind, &Filter::default(), &mut |listed| match listed {
            Listed::Resource(stored) => {
                if filters.iter().any(|filter| filter.admits(&stored.resource)) {
                    all.push(stored.resource);
                }
            }
            Listed::Skipped(record) => skipped.push(record),
        })
        .await?;
    for filter in filters {
        printer.begin(kind);
        for resource in all.iter().filter(|resource| filter.admits(resource)) {
            printer.item(resource);
        }
        printer.end();
    }
    Ok(())
}

/// Cuts the targets into runs of one kind, in order.
fn runs_of_one_kind(targets: &[(Kind, Filter)]) -> Vec<(Kind, Vec<&Filter>)> {
    targets
        .chunk_by(|a, b| a.0 == b.0)
        .map(|run| (run[0].0, run.iter().map(|(_, filter)| filter).collect()))
        .collect()
}
