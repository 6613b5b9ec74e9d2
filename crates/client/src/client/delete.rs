//! Deleting: what is more than removing a key (`spec/api-v1.md` 6.3).

use margay_model::resource::MissingIdentifier;
use margay_model::{Filter, Identity, Kind, Resource, Verb};
use margay_net::Cidr;
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
            Identity::IpPool(cidr) => self.delete_pool(identity, *cidr, when).await,
            Identity::Node(name) => self.delete_node(identity, name).await,
            Identity::WorkloadEndpoint { .. }
            | Identity::HostEndpoint { .. }
            | Identity::Profile(_)
            | Identity::Policy(_)
            | Identity::BgpPeer { .. } => Ok(self.store.delete(identity, when).await?),
        }
    }

    /// Stops assignments from a pool, gives its blocks back, so that none comes between, and removes it.
    ///
    /// COMPAT(pool-delete): upstream validates the stored pool here, and cannot delete one that breaks today's rules.
    async fn delete_pool(
        &self,
        identity: &Identity,
        cidr: Cidr,
        mut when: Option<Revision>,
    ) -> Result<(), ClientError> {
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
        if let Err(cause) = margay_ipam::release_pool_affinities(&self.store, cidr).await {
            return Err(half_done(cause.into(), done));
        }
        self.store.delete(identity, when).await.map_err(|cause| half_done(cause.into(), done))
    }

    /// Gives back the addresses of a node's workloads and its blocks, and removes it with everything below it.
    ///
    /// COMPAT(node-delete-errors): upstream goes on after an error of the first steps, and the addresses leak. Here
    /// the node stays until they are free, and the command can be repeated.
    async fn delete_node(&self, identity: &Identity, name: &str) -> Result<(), ClientError> {
        let addresses = margay_ipam::release_node_addresses(&self.store, name).await?;
        let done = (!addresses.is_empty()).then_some("the addresses of its workloads are released");
        let blocks = match margay_ipam::release_host_affinities(&self.store, name).await {
            Ok(blocks) => blocks,
            Err(cause) => return Err(half_done(cause.into(), done)),
        };
        let done = done.or((!blocks.is_empty()).then_some("its blocks of addresses are released"));
        self.store.delete(identity, None).await.map_err(|cause| half_done(cause.into(), done))
    }
}

/// The error, with what was done before it, unless the thing turned out to be gone.
fn half_done(cause: ClientError, done: Option<&'static str>) -> ClientError {
    match done {
        Some(done) if !cause.is_absent() => ClientError::HalfDone { cause: Box::new(cause), done },
        _ => cause,
    }
}
