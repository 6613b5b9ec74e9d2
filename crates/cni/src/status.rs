//! STATUS: could a container be joined now (`spec/cni.md` 13)? Also the self test of `-t`.

use margay_client::AnyStore;
use margay_net::IpVersion;

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
    for (version, wanted, pools) in [
        (IpVersion::V4, ipam.assign_ipv4, &ipam.ipv4_pools),
        (IpVersion::V6, ipam.assign_ipv6, &ipam.ipv6_pools),
    ] {
        let pools = if wanted { addresses::pools(pools, version)? } else { Vec::new() };
        if wanted && !margay_ipam::has_room(store, node, version, &pools).await.map_err(addresses::failure)? {
            let msg = format!("no IPv{} address is free for node {node}", version.number());
            return Err(Failure::new(Code::NO_ADDRESS, msg));
        }
    }
    Ok(())
}
