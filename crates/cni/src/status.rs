//! STATUS: could a container be joined now (`spec/cni.md` 13)? Also the self test of `-t`.

use margay_client::AnyStore;
use margay_ipam::block::Block;
use margay_net::IpVersion;
use margay_store::Datastore as _;
use margay_store::datastore::{Record, RecordSet};

use crate::addresses;
use crate::call::{Call, Ipam, check_ready, runtime};
use crate::error::{Code, Failure, Result};
use crate::identity::node_name;
use crate::request::Verb;

/// Says what would stop an ADD.
pub(crate) fn status(call: &mut Call<'_>) -> Result<()> {
    let log = &mut call.log;
    let node = node_name(&call.conf, &mut |text| log.warning(text)).map_err(unavailable)?;
    let ipam = call.ipam().map_err(unavailable)?;
    let settings = call.settings().map_err(unavailable)?;
    let store = call.open(&settings).map_err(unavailable)?;
    let limit = call.left();
    let asking = async {
        check_ready(&store).await?;
        if ipam == Ipam::Ours { check_room(call, &store, &node).await } else { Ok(()) }
    };
    let outcome = runtime()?.block_on(async { tokio::time::timeout(limit, asking).await });
    let late = |_| Err(Failure::new(Code::DATASTORE, "the datastore took too long"));
    outcome.unwrap_or_else(late).map_err(unavailable)?;
    if let Ipam::Other(delegate) = ipam {
        let (arguments, document) = (call.arguments.clone(), call.conf.document_with(|_| {}));
        call.delegate(&delegate, Verb::Status, &arguments, &document)?;
    }
    Ok(())
}

fn unavailable(failure: Failure) -> Failure {
    Failure { code: Code::UNAVAILABLE, ..failure }
}

/// Looks for an address that this node could get, in each version that is wanted.
async fn check_room(call: &Call<'_>, store: &AnyStore, node: &str) -> Result<()> {
    let ipam = &call.conf.ipam;
    let pools = margay_ipam::pools(store).await.map_err(|error| addresses::failure(error.into()))?;
    let strict = margay_ipam::config(store).await.map_err(|error| addresses::failure(error.into()))?;
    for (version, wanted, named) in [
        (IpVersion::V4, ipam.assign_ipv4, &ipam.ipv4_pools),
        (IpVersion::V6, ipam.assign_ipv6, &ipam.ipv6_pools),
    ] {
        if !wanted {
            continue;
        }
        let named = addresses::pools(named, version)?;
        let usable: Vec<_> = pools
            .iter()
            .filter(|pool| pool.enabled && pool.cidr.version() == version)
            .filter(|pool| named.is_empty() || named.contains(&pool.cidr))
            .collect();
        if usable.is_empty() {
            let msg = format!("no enabled pool has IPv{} addresses for node {node}", version.number());
            return Err(Failure::new(Code::NO_ADDRESS, msg));
        }
        let mut blocks = Vec::new();
        let mut visit = |record: Record| blocks.extend(Block::decode(&record.value).ok());
        store.list_records(&RecordSet::IpamBlocks(Some(version)), &mut visit).await?;
        let has_room = |pool: &&margay_ipam::Pool| {
            let within: Vec<&Block> =
                blocks.iter().filter(|block| pool.cidr.contains(block.cidr())).collect();
            let size = margay_ipam::block_prefix(version);
            let all =
                1u128.checked_shl(u32::from(size.saturating_sub(pool.cidr.prefix()))).unwrap_or(u128::MAX);
            let own = |block: &&&Block| block.is_owned_by(node) || !strict.strict_affinity;
            (within.len() as u128) < all || within.iter().filter(own).any(|block| block.free() > 0)
        };
        if !usable.iter().any(has_room) {
            let msg = format!("no IPv{} address is free for node {node}", version.number());
            return Err(Failure::new(Code::NO_ADDRESS, msg));
        }
    }
    Ok(())
}
