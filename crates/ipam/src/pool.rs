//! The pools that addresses come from (`spec/ipam.md` 3).

use margay_model::{Resource, codec};
use margay_net::{Cidr, Ip, IpVersion};
use margay_store::datastore::{Datastore, Record, RecordSet};

use crate::Result;
use crate::assign::AssignFailure;

/// A pool, as far as assigning is concerned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pool {
    /// Its range.
    pub cidr: Cidr,
    /// New addresses may come from it.
    pub enabled: bool,
}

/// All pools in the order of their keys, IPv4 before IPv6. One that cannot be understood is left out: nothing is
/// assigned from it.
///
/// # Errors
/// The datastore failed.
pub async fn pools<D: Datastore>(store: &D) -> Result<Vec<Pool>> {
    let mut pools = Vec::new();
    let mut visit = |record: Record| pools.extend(read(&record));
    store.list_records(&RecordSet::Pools, &mut visit).await?;
    Ok(pools)
}

fn read(record: &Record) -> Option<Pool> {
    let Ok(Some(Resource::IpPool(pool))) = codec::decode(&record.key, &record.value) else { return None };
    let cidr = pool.metadata.cidr?.masked();
    Some(Pool { cidr, enabled: !pool.spec.disabled })
}

/// The enabled pools of a version, only those requested if any are.
pub(crate) fn allowed(pools: &[Pool], version: IpVersion, requested: &[Cidr]) -> Vec<Cidr> {
    let wanted = |cidr: Cidr| requested.is_empty() || requested.iter().any(|pool| pool.masked() == cidr);
    pools
        .iter()
        .filter(|pool| pool.enabled && pool.cidr.version() == version && wanted(pool.cidr))
        .map(|pool| pool.cidr)
        .collect()
}

/// Refuses requested pools that do not exist, and a choice without any pool.
pub(crate) fn check(pools: &[Pool], version: IpVersion, requested: &[Cidr]) -> Result<(), AssignFailure> {
    let exists = |cidr: Cidr| pools.iter().any(|pool| pool.cidr == cidr);
    if let Some(unknown) = requested.iter().map(|pool| pool.masked()).find(|pool| !exists(*pool)) {
        return Err(AssignFailure::UnknownPool(unknown));
    }
    match allowed(pools, version, requested).is_empty() {
        true => Err(AssignFailure::NoPools),
        false => Ok(()),
    }
}

/// True when an enabled pool holds the address.
pub(crate) fn serve(pools: &[Pool], ip: Ip) -> bool {
    pools.iter().any(|pool| pool.enabled && pool.cidr.contains_ip(ip))
}
