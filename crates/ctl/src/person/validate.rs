//! `margay validate -f`: every fault of a file, offline, with the source line and a caret.

use std::io;

use margay_model::document::{Fault, Loaded, load};
use margay_model::validate::Scope;
use margay_model::{Resource, resource::RESERVED_POLICIES};

use crate::input;
use crate::report::{self, Detail};
use crate::session::Session;
use margay_client::ExitCode;

/// Checks a file as `create` would, without a datastore. Exit 0 valid, 1 faults or unreadable.
pub(crate) fn validate(session: &mut Session<'_, '_>, filename: &str) -> io::Result<ExitCode> {
    let bytes = match input::read(session, filename) {
        Ok(bytes) => bytes,
        Err(text) => {
            session.note(&text)?;
            return Ok(ExitCode::FAILURE);
        }
    };
    let (count, faults) = match load(&bytes, Scope::All) {
        Ok(loaded) => (loaded.len(), unwritable(&loaded)),
        Err(refusal) => (0, refusal.faults),
    };
    if faults.is_empty() {
        session.line(&format!("{filename}: {count} resource(s), no faults"))?;
        return Ok(ExitCode::SUCCESS);
    }
    report::faults(session, filename, &bytes, &faults, Detail::Excerpts)?;
    session.line(&format!("{filename}: {} fault(s)", faults.len()))?;
    Ok(ExitCode::FAILURE)
}

/// What decodes and validates but no command would write: missing identifiers and reserved names.
fn unwritable(loaded: &Loaded) -> Vec<Fault> {
    let mut faults = Vec::new();
    for located in loaded {
        let mut fault = |path: &str, message: String, hint: Option<String>| {
            faults.push(Fault {
                document: located.document,
                span: located.span,
                path: path.to_owned(),
                message,
                hint,
            });
        };
        match &located.resource {
            Resource::Policy(policy) if policy.metadata.name.starts_with(RESERVED_POLICIES) => {
                let name = &policy.metadata.name;
                let hint = format!("names beginning {RESERVED_POLICIES} belong to Kubernetes NetworkPolicy");
                fault("metadata.name", format!("'{name}' cannot be written"), Some(hint));
            }
            resource => {
                if let Err(missing) = resource.identity() {
                    let path = format!("metadata.{}", missing.0);
                    let only_create =
                        matches!(resource, Resource::WorkloadEndpoint(_)) && missing.0 == "name";
                    let hint = only_create.then(|| "`create` would make up a random name".to_owned());
                    if !only_create {
                        fault(&path, format!("{} is missing", missing.0), hint);
                    }
                }
            }
        }
    }
    faults
}
