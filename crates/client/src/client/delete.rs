//! Deleting: what is more than removing a key (`spec/api-v1.md` 6.3).

use margay_model::resource::MissingIdentifier;
use margay_model::{Filter, Identity, Kind, Resource, Verb};
use margay_store::datastore::{Datastore, Write};
use margay_store::kv::Revision;

use super::{Client, ClientError, NameSource};

impl<D: Datastore> Client<D> {
    /// Removes the resource that the filter names, and what depends on it.
    ///
    /// # Errors
    /// Identifiers are invalid or missing, it does not exist, or the store failed.
    pub async fn delete(&self, kind: Kind, filter: &Filter, from: NameSource) -> Result<(), ClientError> {
        self.check_filter(kind, filter)?;
        let identity = filter.identity(kind).map_err(|missing| {
            let missing = match (kind, from) {
                // COMPAT(node-delete): upstream's own check comes first, with another word.
                (Kind::Node, NameSource::Arguments) => MissingIdentifier("node"),
                _ => missing,
            };
            ClientError::Missing { kind, missing }
        })?;
        self.delete_if(&identity, None).await
    }

    /// Removes a resource if it was not written since `when`, and what depends on it.
    ///
    /// # Errors
    /// It does not exist, was written since, or the store failed.
    pub async fn delete_if(&self, identity: &Identity, when: Option<Revision>) -> Result<(), ClientError> {
        self.check_supported(Verb::Delete, identity)?;
        match identity {
            Identity::IpPool(_) => self.delete_pool(identity, when).await,
            Identity::WorkloadEndpoint { .. }
            | Identity::HostEndpoint { .. }
            | Identity::Profile(_)
            | Identity::Policy(_)
            | Identity::Node(_)
            | Identity::BgpPeer { .. } => Ok(self.store.delete(identity, when).await?),
        }
    }

    /// Stops assignments from a pool, so that none comes between its blocks' release and its end, and removes it.
    ///
    /// COMPAT(pool-delete): upstream validates the stored pool here, and cannot delete one that breaks today's rules.
    async fn delete_pool(&self, identity: &Identity, mut when: Option<Revision>) -> Result<(), ClientError> {
        let mut stored = self.store.get(identity).await?;
        let mut done = None;
        if let Resource::IpPool(pool) = &mut stored.resource
            && !pool.spec.disabled
        {
            pool.spec.disabled = true;
            let disabled = self.store.write(Write::Update, &stored.resource, when).await?;
            when = when.and(disabled);
            done = Some("the pool is disabled, but still there");
        }
        match (self.store.delete(identity, when).await, done) {
            (Ok(()), _) => Ok(()),
            (Err(cause), Some(done)) if !cause.is_absent() => Err(ClientError::HalfDone { cause, done }),
            (Err(cause), _) => Err(cause.into()),
        }
    }
}
