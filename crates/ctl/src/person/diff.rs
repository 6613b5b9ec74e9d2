//! `margay diff -f` and `margay apply --dry-run`: what apply would change, after defaults.

use std::io;

use margay_client::ClientError;
use margay_model::codec::as_stored;
use margay_model::validate::Scope;
use margay_model::{Resource, document::Loaded};
use margay_text::yaml::write_yaml_item;

use super::lines::{Line, difference};
use crate::grammar::ConfigPath;
use crate::input;
use crate::session::{Session, Store};
use margay_client::ExitCode;

/// What apply would do with one resource.
enum Change {
    Created,
    Changed(Box<Resource>),
    Same,
}

/// Exit status of a difference that could not be told.
const TROUBLE: ExitCode = ExitCode(2);

/// `margay diff -f`: exit 0 same, 1 differs, 2 error.
pub(crate) fn diff(
    session: &mut Session<'_, '_>,
    config: &ConfigPath,
    filename: &str,
) -> io::Result<ExitCode> {
    let Some(changes) = changes(session, config, filename)? else { return Ok(TROUBLE) };
    let mut differs = false;
    for (resource, change) in changes {
        let old = match change {
            Change::Same => continue,
            Change::Created => String::new(),
            Change::Changed(old) => yaml(&old),
        };
        differs = true;
        let name = resource.printed_identity();
        session.line(&format!("--- {}", if old.is_empty() { "(absent)" } else { &name }))?;
        session.line(&format!("+++ {name}"))?;
        for line in difference(&old, &yaml(&as_stored(&resource))) {
            let text = match line {
                Line::Same(text) => format!("  {text}"),
                Line::Removed(text) => colour(session, "31", format!("- {text}")),
                Line::Added(text) => colour(session, "32", format!("+ {text}")),
            };
            session.line(&text)?;
        }
    }
    Ok(if differs { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// `margay apply --dry-run`: created, changed or same, a line for each resource. Exit 0, or 1 on an error, as apply.
pub(crate) fn dry_run(
    session: &mut Session<'_, '_>,
    config: &ConfigPath,
    filename: &str,
) -> io::Result<ExitCode> {
    let Some(changes) = changes(session, config, filename)? else { return Ok(ExitCode::FAILURE) };
    for (resource, change) in changes {
        let word = match change {
            Change::Created => "created",
            Change::Changed(_) => "changed",
            Change::Same => "same",
        };
        session.line(&format!("{word:<8} {}", resource.printed_identity()))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Compares every resource of the file with what is stored; none when that failed, which is told already.
fn changes(
    session: &mut Session<'_, '_>,
    config: &ConfigPath,
    filename: &str,
) -> io::Result<Option<Vec<(Resource, Change)>>> {
    let loaded = match input::resources(session, filename, Scope::All)? {
        Ok(loaded) => loaded,
        Err(text) => {
            session.note(&text)?;
            return Ok(None);
        }
    };
    let client = match session.client(config) {
        Ok(client) => client,
        Err(error) => {
            session.note(&error.text)?;
            session.hints(error.hint)?;
            return Ok(None);
        }
    };
    match session.block_on(compare(&client, loaded)) {
        Ok(changes) => Ok(Some(changes)),
        Err(error) => {
            session.note(&error.to_string())?;
            session.hints(error.hints())?;
            Ok(None)
        }
    }
}

async fn compare(client: &Store, loaded: Loaded) -> Result<Vec<(Resource, Change)>, ClientError> {
    let mut changes = Vec::with_capacity(loaded.len());
    for located in loaded {
        let resource = located.resource;
        let change = match client.get(resource.kind(), &resource.filter()).await {
            Ok(stored) if stored.resource == as_stored(&resource) => Change::Same,
            Ok(stored) => Change::Changed(Box::new(stored.resource)),
            Err(error) if error.is_absent() => Change::Created,
            Err(error) => return Err(error),
        };
        changes.push((resource, change));
    }
    Ok(changes)
}

fn yaml(resource: &Resource) -> String {
    let mut text = String::new();
    write_yaml_item(&mut text, &resource.value());
    text
}

/// Colours a line when stdout is a terminal that wants it; the sign in front says the same.
fn colour(session: &Session<'_, '_>, code: &str, text: String) -> String {
    let wanted = session.invocation.stdout_is_terminal && !session.invocation.env.contains_key("NO_COLOR");
    if wanted { format!("\u{1b}[{code}m{text}\u{1b}[0m") } else { text }
}
