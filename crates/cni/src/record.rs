//! The endpoint's record, and the profile that gives it rules (`spec/cni.md` 6.5, 10.1).
//!
//! Every write is a compare-and-swap, and what was written can be taken back as long as nobody has changed it since.

use margay_model::key::ProfilePart;
use margay_model::v1::{EntityRule, Profile, Rule, WorkloadEndpoint};
use margay_model::validate::{Scope, upstream_text, validate};
use margay_model::{Filter, Key, Kind, Resource, codec};
use margay_store::Datastore;
use margay_store::datastore::{Error, Listed, Record};
use margay_store::kv::{Precondition, Revision};

use crate::error::{Code, Failure, Result};
use crate::identity::Identity;

/// How often a write is tried against others.
const ATTEMPTS: usize = 5;

/// A written record, and what it replaced.
#[derive(Debug, Clone)]
pub(crate) struct Written {
    key: Key,
    value: String,
    previous: Option<String>,
}

/// What became of a record that was to be removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Removed {
    /// It is gone, or there was none.
    Gone,
    /// It belongs to a newer container, or cannot be understood, and stays.
    Kept,
}

/// The endpoints of the workload on its node, whichever interface they are of. Records that cannot be understood are
/// left out.
///
/// # Errors
/// The datastore failed.
pub(crate) async fn of_workload<D: Datastore>(
    store: &D,
    identity: &Identity,
) -> Result<Vec<WorkloadEndpoint>, Error> {
    let filter = Filter {
        node: Some(identity.node.clone()),
        orchestrator: Some(identity.workload.orchestrator().to_owned()),
        workload: Some(identity.workload.id()),
        ..Filter::default()
    };
    let mut endpoints = Vec::new();
    let mut visit = |listed: Listed| {
        if let Listed::Resource(stored) = listed
            && let Resource::WorkloadEndpoint(endpoint) = stored.resource
        {
            endpoints.push(*endpoint);
        }
    };
    store.list(Kind::WorkloadEndpoint, &filter, &mut visit).await?;
    Ok(endpoints)
}

/// Refuses an endpoint that everybody else would refuse to write.
///
/// # Errors
/// What is wrong with it, in upstream's words.
pub(crate) fn check(endpoint: WorkloadEndpoint, scope: Scope) -> Result<()> {
    let findings = validate(&Resource::WorkloadEndpoint(Box::new(endpoint)), scope);
    match upstream_text(&findings) {
        Some(text) => Err(Failure::new(Code::CONFIG, text.trim_end())),
        None => Ok(()),
    }
}

/// Writes the endpoint's record. `change` turns what stands there, if it can be understood, into what shall; none = leave
/// it. `expected` says whether a record was there when the workload was looked at.
///
/// # Errors
/// The datastore failed, or others never left the record alone.
pub(crate) async fn write<D: Datastore>(
    store: &D,
    identity: &Identity,
    expected: bool,
    change: impl Fn(Option<WorkloadEndpoint>) -> Option<WorkloadEndpoint>,
    attempt: &mut Option<Written>,
) -> Result<()> {
    let key = identity.key();
    let mut previous = if expected { store.get_record(&key).await? } else { None };
    for _ in 0..ATTEMPTS {
        let Some(endpoint) = change(previous.as_ref().and_then(decode)) else { return Ok(()) };
        let value = encode(endpoint, previous.as_ref());
        let when =
            previous.as_ref().map_or(Precondition::Absent, |record| Precondition::Revision(record.revision));
        // Noted first: an answer that gets lost may belong to a write that was done.
        *attempt = Some(Written {
            key: key.clone(),
            value: value.clone(),
            previous: previous.as_ref().map(|record| record.value.clone()),
        });
        match store.put_record(&key, &value, when).await {
            Ok(_) => return Ok(()),
            Err(Error::AlreadyExists { .. } | Error::Conflict { .. } | Error::DoesNotExist { .. }) => {
                *attempt = None;
                previous = store.get_record(&key).await?;
            }
            Err(error) => return Err(error.into()),
        }
    }
    Err(Failure::new(Code::TRY_LATER, format!("update conflict: '{key}'")))
}

/// Takes a write back, unless somebody has changed the record since.
///
/// # Errors
/// The datastore failed.
pub(crate) async fn unwrite<D: Datastore>(store: &D, identity: &Identity, written: &Written) -> Result<()> {
    let Some(record) = store.get_record(&written.key).await? else { return Ok(()) };
    if record.value != written.value {
        return Ok(());
    }
    let outcome = match &written.previous {
        None => delete(store, identity, record.revision).await,
        Some(previous) => {
            let when = Precondition::Revision(record.revision);
            store.put_record(&written.key, previous, when).await.map(|_| ())
        }
    };
    match outcome {
        Ok(()) | Err(Error::Conflict { .. } | Error::DoesNotExist { .. }) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Removes the endpoint's record, if it is the container's.
///
/// # Errors
/// The datastore failed, or others never left the record alone.
pub(crate) async fn remove<D: Datastore>(
    store: &D,
    identity: &Identity,
    seen: Option<Record>,
) -> Result<Removed> {
    let mut seen = seen;
    let mut last = None;
    for _ in 0..=ATTEMPTS {
        let Some(record) = seen.take() else { return Ok(Removed::Gone) };
        if !is_of_container(&record, identity) {
            return Ok(Removed::Kept);
        }
        match delete(store, identity, record.revision).await {
            Ok(()) | Err(Error::DoesNotExist { .. }) => return Ok(Removed::Gone),
            Err(error @ Error::Conflict { .. }) => last = Some(error),
            Err(error) => return Err(error.into()),
        }
        seen = store.get_record(&identity.key()).await?;
    }
    let cause = last.map(|error| error.to_string()).unwrap_or_default();
    Err(Failure::new(
        Code::TRY_LATER,
        format!("Error deleting endpoint: endpoint was modified before it could be deleted: {cause}"),
    ))
}

/// A pod's endpoint belongs to the container it names; one that names none, to any. Other workloads are the container.
fn is_of_container(record: &Record, identity: &Identity) -> bool {
    if identity.active_instance().is_empty() {
        return true;
    }
    decode(record).is_some_and(|endpoint| {
        let instance = &endpoint.metadata.active_instance_id;
        instance.is_empty() || instance == identity.active_instance()
    })
}

async fn delete<D: Datastore>(store: &D, identity: &Identity, revision: Revision) -> Result<(), Error> {
    let identity = margay_model::Identity::WorkloadEndpoint {
        node: identity.node.clone(),
        orchestrator: identity.workload.orchestrator().to_owned(),
        workload: identity.workload.id(),
        name: identity.ifname.to_string(),
    };
    store.delete(&identity, Some(revision)).await
}

/// The endpoint that a record holds; none when it cannot be understood.
#[must_use]
pub(crate) fn decode(record: &Record) -> Option<WorkloadEndpoint> {
    match codec::decode(&record.key, &record.value) {
        Ok(Some(Resource::WorkloadEndpoint(endpoint))) => Some(*endpoint),
        _ => None,
    }
}

fn encode(endpoint: WorkloadEndpoint, previous: Option<&Record>) -> String {
    let resource = Resource::WorkloadEndpoint(Box::new(endpoint));
    codec::encode(&resource, previous.map(|record| record.value.as_str())).expect("an endpoint has one key")
}

/// Whether the network's profile exists: its tags alone say so.
///
/// # Errors
/// The datastore failed.
pub(crate) async fn has_profile<D: Datastore>(store: &D, name: &str) -> Result<bool, Error> {
    Ok(store.get_record(&part_key(name, ProfilePart::Tags)).await?.is_some())
}

/// Makes the network's profile. Parts that are there stay as they are, whoever made them.
///
/// COMPAT(cni-profile): upstream fails when it finds a part, having written the others and released the address.
///
/// # Errors
/// The datastore failed.
pub(crate) async fn make_profile<D: Datastore>(store: &D, name: &str, pods: bool) -> Result<()> {
    let mut profile = Profile::default();
    name.clone_into(&mut profile.metadata.name);
    profile.metadata.tags = vec![name.to_owned()];
    let allow = || Rule { action: "allow".to_owned(), ..Rule::default() };
    let from_network = EntityRule { tag: name.to_owned(), ..EntityRule::default() };
    profile.spec.egress = vec![allow()];
    profile.spec.ingress = vec![if pods { allow() } else { Rule { source: from_network, ..allow() } }];
    let put = async |part: ProfilePart| {
        let value = codec::encode_profile_part(&profile, part, None);
        match store.put_record(&part_key(name, part), &value, Precondition::Absent).await {
            Ok(_) | Err(Error::AlreadyExists { .. }) => Ok(()),
            Err(error) => Err(Failure::from(error)),
        }
    };
    // The tags come last: as soon as the profile exists it is complete.
    let (rules, labels) = tokio::join!(put(ProfilePart::Rules), put(ProfilePart::Labels));
    rules.and(labels)?;
    put(ProfilePart::Tags).await
}

fn part_key(name: &str, part: ProfilePart) -> Key {
    Key::ProfilePart { name: name.to_owned(), part }
}

#[cfg(test)]
mod tests;
