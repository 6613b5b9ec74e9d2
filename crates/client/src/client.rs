//! [`Client`]: validated operations on resources, in upstream's order of steps (`spec/api-v1.md` 6).
//!
//! What must stay true: nothing invalid is written, writes of many stop at the first error in order, and an error's
//! text is upstream's while everything we know beyond it stands in `hints`.

mod delete;
mod error;

use margay_model::validate::{Scope, validate, validate_filter};
use margay_model::{Filter, Identity, Key, Kind, Resource, Verb, codec};
use margay_store::datastore::{Datastore, Error, Listed, Stored, Write};
use margay_store::flat::Random;
use margay_store::kv::Revision;

pub use error::ClientError;

/// Names of policies that come from Kubernetes and cannot be written.
const KUBERNETES_POLICY: &str = "knp.default.";

/// Operations on a datastore.
#[derive(Clone)]
pub struct Client<D> {
    store: D,
    random: Random,
}

/// What a write made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Outcome {
    /// The revision of the write, where a single one exists.
    pub revision: Option<Revision>,
}

/// Which errors count as handled when many resources are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Skip {
    /// None.
    Nothing,
    /// Creating what exists.
    Existing,
}

/// Where an identity comes from: upstream's words for a missing one differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NameSource {
    /// Arguments of a command.
    Arguments,
    /// A document.
    File,
}

// === impl Client ===

impl<D: Datastore> Client<D> {
    /// A client of `store`; `random` makes the names of workload endpoints created without one.
    pub fn new(store: D, random: Random) -> Self {
        Self { store, random }
    }

    /// The datastore beneath.
    pub fn store(&self) -> &D {
        &self.store
    }

    /// Writes one resource, filling in its defaults and, on create, the name of a workload endpoint.
    ///
    /// # Errors
    /// It is invalid, incomplete, exists or does not, or the store failed.
    pub async fn write(&self, how: Write, resource: &mut Resource) -> Result<Outcome, ClientError> {
        self.write_if(how, resource, None).await
    }

    /// Writes one resource if it was not written since `when`.
    ///
    /// # Errors
    /// As [`Client::write`], and a conflict.
    pub async fn write_if(
        &self,
        how: Write,
        resource: &mut Resource,
        when: Option<Revision>,
    ) -> Result<Outcome, ClientError> {
        self.prepare(how, resource)?;
        Ok(Outcome { revision: self.store.write(how, resource, when).await? })
    }

    /// Writes resources in order until one fails. Returns how many were handled, skipped ones included; nothing
    /// behind them is written.
    pub async fn write_all(
        &self,
        how: Write,
        resources: &mut [Resource],
        skip: Skip,
    ) -> (usize, Result<(), ClientError>) {
        let mut ready = 0;
        let mut refused = Ok(());
        for resource in resources.iter_mut() {
            if let Err(error) = self.prepare(how, resource) {
                refused = Err(error);
                break;
            }
            ready += 1;
        }
        let mut handled = 0;
        while handled < ready {
            let (written, outcome) = self.store.write_all(how, &resources[handled..ready]).await;
            handled += written;
            match outcome {
                Ok(()) => break,
                Err(Error::AlreadyExists { .. }) if skip == Skip::Existing => handled += 1,
                Err(error) => return (handled, Err(error.into())),
            }
        }
        (handled, refused)
    }

    /// Reads the resource that the filter names.
    ///
    /// # Errors
    /// Identifiers are invalid or missing, it does not exist, or the store failed.
    pub async fn get(&self, kind: Kind, filter: &Filter) -> Result<Stored, ClientError> {
        self.check_filter(kind, filter)?;
        let identity = filter.identity(kind).map_err(|missing| ClientError::Missing { kind, missing })?;
        self.check_supported(Verb::Get, &identity)?;
        Ok(self.store.get(&identity).await?)
    }

    /// Visits the resources of a kind that the filter admits, and the records that should be one but cannot be
    /// understood. None is no error.
    ///
    /// # Errors
    /// An identifier of the filter is invalid, or the store failed.
    pub async fn list(
        &self,
        kind: Kind,
        filter: &Filter,
        visit: &mut (dyn FnMut(Listed) + Send),
    ) -> Result<(), ClientError> {
        self.check_filter(kind, filter)?;
        Ok(self.store.list(kind, filter, visit).await?)
    }

    /// Checks the identifiers of a filter as those of a document are checked.
    ///
    /// # Errors
    /// One is invalid.
    pub fn check_filter(&self, kind: Kind, filter: &Filter) -> Result<(), ClientError> {
        ClientError::of_findings(validate_filter(kind, filter))
    }

    /// Reads one record's value; none when absent.
    ///
    /// # Errors
    /// The store failed.
    pub async fn record(&self, key: &Key) -> Result<Option<String>, ClientError> {
        Ok(self.store.get_record(key).await?.map(|record| record.value))
    }

    /// Everything that comes before a write.
    fn prepare(&self, how: Write, resource: &mut Resource) -> Result<(), ClientError> {
        if let (Write::Create, Resource::WorkloadEndpoint(endpoint)) = (how, &mut *resource)
            && endpoint.metadata.name.is_empty()
        {
            endpoint.metadata.name = uuid((self.random)());
        }
        ClientError::of_findings(validate(resource, Scope::All))?;
        let kind = resource.kind();
        let identity = resource.identity().map_err(|missing| ClientError::Missing { kind, missing })?;
        self.check_supported(how.verb(), &identity)?;
        codec::fill_defaults(resource);
        Ok(())
    }

    fn check_supported(&self, verb: Verb, identity: &Identity) -> Result<(), ClientError> {
        let refuse = |on: String| Err(ClientError::Store(Error::NotSupported { operation: verb, on }));
        match identity {
            // COMPAT(knp-default): the bare name, without its kind.
            Identity::Policy(name) if verb != Verb::Get && name.starts_with(KUBERNETES_POLICY) => {
                refuse(name.clone())
            }
            _ if !self.store.supports(identity.kind(), verb) => refuse(identity.to_string()),
            _ => Ok(()),
        }
    }
}

/// A version 4 UUID in lower case.
fn uuid(mut random: [u8; 16]) -> String {
    random[6] = random[6] & 0x0f | 0x40;
    random[8] = random[8] & 0x3f | 0x80;
    let hex: String = random.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
}

#[cfg(test)]
mod tests;
