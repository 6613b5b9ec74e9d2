//! CHECK: is the container still joined as ADD left it (`spec/cni.md` 13)? Nothing is changed.

use std::time::Duration;

use margay_kernel::Rtnetlink as _;
use margay_model::v1::WorkloadEndpoint;
use margay_net::{Cidr, IfName, Ip};
use margay_store::Datastore as _;
use margay_wiring::{Difference, Host as _, Interface, LiveHost};
use serde_json::Value;

use crate::call::{Call, Ipam, Subject, chain, check_ready, runtime};
use crate::error::{Code, Failure, Result};
use crate::request::Verb;
use crate::{record, release, wire};

/// How often, and how far apart, one looks before something counts as wrong: the agent may be at work.
const LOOKS: u32 = 4;
const PACE: Duration = Duration::from_millis(200);

/// The interface as the result of ADD described it.
struct Described {
    host_name: Option<IfName>,
    mac: Option<margay_net::Mac>,
    addresses: Vec<Ip>,
}

/// Looks whether everything is there.
pub(crate) fn check(call: &mut Call<'_>) -> Result<()> {
    let (subject, understood) = call.subject()?;
    understood?;
    let Some(result) = call.conf.prev_result.clone() else {
        return Err(Failure::new(Code::CONFIG, "required prevResult missing"));
    };
    let described = describe(&result, subject.identity.ifname);
    let mut look = 1;
    loop {
        match look_once(call, &subject, &described) {
            Err(failure) if failure.code.0 >= Code::GENERIC.0 && look < LOOKS => {
                call.log.debug(&failure.msg);
                look += 1;
                std::thread::sleep(PACE);
            }
            outcome => return outcome,
        }
    }
}

fn describe(result: &Value, ifname: IfName) -> Described {
    let interfaces = result["interfaces"].as_array().map_or(&[][..], Vec::as_slice);
    let has_sandbox = |interface: &Value| interface["sandbox"].as_str().is_some_and(|path| !path.is_empty());
    let own = interfaces.iter().position(|i| i["name"] == ifname.as_str() && has_sandbox(i));
    let host = interfaces.iter().find(|interface| !has_sandbox(interface));
    let of_us = |ip: &&Value| match (ip["interface"].as_u64(), own) {
        (Some(index), Some(own)) => index == own as u64,
        _ => true,
    };
    let addresses = result["ips"].as_array().into_iter().flatten().filter(of_us);
    let addresses = addresses.filter_map(|ip| ip["address"].as_str()?.parse::<Cidr>().ok());
    Described {
        host_name: host.and_then(|host| host["name"].as_str()?.parse().ok()),
        mac: own.and_then(|own| interfaces[own]["mac"].as_str()?.parse().ok()),
        addresses: addresses.map(|address| address.address()).collect(),
    }
}

fn look_once(call: &mut Call<'_>, subject: &Subject, described: &Described) -> Result<()> {
    inspect(call, subject, described)?;
    let settings = call.settings()?;
    let store = call.open(&settings)?;
    let ipam = call.ipam()?;
    let identity = &subject.identity;
    runtime()?.block_on(async {
        check_ready(&store).await?;
        let record = store.get_record(&identity.key()).await?;
        let Some(record) = record else {
            return Err(Failure::new(
                Code::CHECK_ENDPOINT,
                format!("there is no endpoint {}", identity.key()),
            ));
        };
        check_endpoint(record::decode(&record), subject, described)?;
        if ipam != Ipam::Ours {
            return Ok(());
        }
        let handle = call.conf.handle(&identity.container);
        let held = margay_ipam::addresses_of_handle(&store, &handle).await;
        let held = held.map_err(|error| crate::addresses::failure(error.into()))?.unwrap_or_default();
        for address in &described.addresses {
            if !held.iter().any(|(ip, _)| ip == address) {
                let msg = format!("address {address} is not assigned to {handle}");
                return Err(Failure::new(Code::CHECK_ASSIGNMENT, msg).with_details("/prevResult/ips"));
            }
        }
        Ok(())
    })?;
    if let Ipam::Other(delegate) = call.ipam()? {
        let (arguments, document) = (call.arguments.clone(), release::document_for(call, identity, true)?);
        call.delegate(&delegate, Verb::Check, &arguments, &document)?;
    }
    Ok(())
}

fn check_endpoint(
    endpoint: Option<WorkloadEndpoint>,
    subject: &Subject,
    described: &Described,
) -> Result<()> {
    let key = subject.identity.key();
    let wrong = |what: String| Err(Failure::new(Code::CHECK_ENDPOINT, format!("the endpoint {key} {what}")));
    let Some(endpoint) = endpoint else { return wrong("cannot be understood".to_owned()) };
    let instance = &endpoint.metadata.active_instance_id;
    if instance != subject.identity.active_instance() {
        return wrong(format!("belongs to container {instance}"));
    }
    let has = |address: &Ip| endpoint.spec.ip_networks.iter().any(|net| net.address() == *address);
    match described.addresses.iter().find(|address| !has(address)) {
        Some(address) => wrong(format!("lacks address {address}")),
        None => Ok(()),
    }
}

fn inspect(call: &Call<'_>, subject: &Subject, described: &Described) -> Result<()> {
    let identity = &subject.identity;
    let netns = subject.attachment.netns.clone().unwrap_or_default();
    let netns = wire::open_netns(&netns)?;
    let mut host = wire::open_host()?;
    let name = described.host_name.unwrap_or_else(|| identity.host_interface());
    let owner = wire::owner_text(&call.conf.name, identity);
    let mut interface = Interface::new(netns, identity.ifname, name, owner);
    interface.addresses = described.addresses.iter().map(|address| address.get()).collect();
    interface.mac = described.mac;
    let differences = margay_wiring::inspect(&mut host, &interface)
        .map_err(|error| Failure::new(Code::KERNEL, chain(&error)))?;
    for difference in differences {
        if let Difference::WorkloadRouteMissing(route) = &difference
            && has_other(&mut host, &interface, route)
        {
            continue;
        }
        return Err(told(&difference));
    }
    Ok(())
}

/// True when a later plugin of the chain, or another interface, has another route in the place of ours.
fn has_other(host: &mut LiveHost, interface: &Interface, missing: &margay_kernel::Route) -> bool {
    let Ok(mut inside) = host.enter(&interface.workload, &[]) else { return false };
    let routes = inside.network.routes().unwrap_or_default();
    routes.iter().any(|route| route.key() == missing.key())
}

fn told(difference: &Difference) -> Failure {
    let (code, place) = match difference {
        Difference::WorkloadLinkMissing(_) | Difference::Mac { .. } => {
            (Code::CHECK_CONTAINER, "/prevResult/interfaces/1")
        }
        Difference::AddressMissing { .. } => (Code::CHECK_ADDRESS, "/prevResult/ips"),
        Difference::WorkloadRouteMissing(_) => (Code::CHECK_ROUTE, "/prevResult/routes"),
        Difference::HostLinkMissing(_)
        | Difference::NotAPair { .. }
        | Difference::OwnedByOther { .. }
        | Difference::Down(_)
        | Difference::Setting { .. } => (Code::CHECK_HOST, "/prevResult/interfaces/0"),
        Difference::HostRouteMissing(_) => (Code::CHECK_HOST_ROUTE, "/prevResult/ips"),
    };
    Failure::new(code, difference.to_string()).with_details(place)
}
