//! Stored workload and host endpoints (`spec/datastore-etcdv2.md` 5.1, 5.2).

use std::collections::BTreeMap;

use margay_net::{Cidr, Ip, IpVersion, Mac};
use margay_text::value::Value;
use serde::Deserialize;

use super::stored::{AsText, MaybeText, read};
use super::{Members, StoredError, borrowed, map, texts};
use crate::v1::{Gateway, HostEndpoint, IPNAT, WorkloadEndpoint, WorkloadEndpointSpec};

const WORKLOAD_NAMES: [&str; 12] = [
    "state",
    "name",
    "active_instance_id",
    "mac",
    "profile_ids",
    "ipv4_nets",
    "ipv6_nets",
    "ipv4_nat",
    "ipv6_nat",
    "labels",
    "ipv4_gateway",
    "ipv6_gateway",
];

#[derive(Deserialize, Default)]
#[serde(default, deny_unknown_fields)]
struct StoredWorkload {
    state: Option<String>,
    name: Option<String>,
    active_instance_id: Option<String>,
    mac: Option<AsText<Mac>>,
    profile_ids: Option<Vec<String>>,
    ipv4_nets: Option<Vec<AsText<Cidr>>>,
    ipv6_nets: Option<Vec<AsText<Cidr>>>,
    ipv4_nat: Option<Vec<StoredNat>>,
    ipv6_nat: Option<Vec<StoredNat>>,
    labels: Option<BTreeMap<String, String>>,
    ipv4_gateway: Option<MaybeText<Ip>>,
    ipv6_gateway: Option<MaybeText<Ip>>,
}

#[derive(Deserialize)]
struct StoredNat {
    int_ip: MaybeText<Ip>,
    ext_ip: MaybeText<Ip>,
}

pub(super) fn decode_workload(text: &str) -> Result<WorkloadEndpoint, StoredError> {
    let stored: StoredWorkload = read(text, &WORKLOAD_NAMES)?;
    let mut document = WorkloadEndpoint::default();
    document.metadata.active_instance_id = stored.active_instance_id.unwrap_or_default();
    document.metadata.labels = stored.labels.unwrap_or_default();
    let nets = [stored.ipv4_nets, stored.ipv6_nets].into_iter().flatten().flatten();
    let nats = [stored.ipv4_nat, stored.ipv6_nat].into_iter().flatten().flatten();
    let gateway = |stored: Option<MaybeText<Ip>>| stored.and_then(|ip| ip.0).map(|ip| Gateway(Some(ip)));
    document.spec = WorkloadEndpointSpec {
        ip_networks: nets.map(|net| net.0).collect(),
        ip_nats: nats.map(|nat| IPNAT { internal_ip: nat.int_ip.0, external_ip: nat.ext_ip.0 }).collect(),
        ipv4_gateway: gateway(stored.ipv4_gateway),
        ipv6_gateway: gateway(stored.ipv6_gateway),
        profiles: stored.profile_ids.unwrap_or_default(),
        interface_name: stored.name.unwrap_or_default(),
        mac: stored.mac.map(|mac| mac.0),
    };
    Ok(document)
}

/// The state that others may have given the endpoint: an administrator's `inactive` survives our rewrite.
fn previous_state(previous: Option<&str>) -> String {
    previous
        .and_then(|text| read::<StoredWorkload>(text, &WORKLOAD_NAMES).ok())
        .and_then(|stored| stored.state)
        .filter(|state| !state.is_empty())
        .unwrap_or_else(|| "active".to_owned())
}

pub(super) fn encode_workload<'a>(document: &'a WorkloadEndpoint, previous: Option<&str>) -> Value<'a> {
    let spec = &document.spec;
    let nets = |version: IpVersion| {
        texts(spec.ip_networks.iter().filter(move |net| net.version() == version).map(|net| net.masked()))
    };
    let mut members = Members::new();
    members.put("state", Value::Text(previous_state(previous).into()));
    members.put("name", Value::Text(spec.interface_name.as_str().into()));
    members.put("active_instance_id", Value::Text(document.metadata.active_instance_id.as_str().into()));
    members.put("mac", spec.mac.map_or(Value::Null, |mac| Value::Text(mac.to_string().into())));
    members.put("profile_ids", if spec.profiles.is_empty() { Value::Null } else { borrowed(&spec.profiles) });
    members.put("ipv4_nets", nets(IpVersion::V4));
    members.put("ipv6_nets", nets(IpVersion::V6));
    members.put_set("ipv4_nat", nats(spec, IpVersion::V4));
    members.put_set("ipv6_nat", nats(spec, IpVersion::V6));
    members.put_set("labels", map(&document.metadata.labels));
    let gateway = |gateway: Option<Gateway>| {
        gateway.and_then(|g| g.0).map_or(Value::Null, |ip| Value::Text(ip.to_string().into()))
    };
    members.put_set("ipv4_gateway", gateway(spec.ipv4_gateway));
    members.put_set("ipv6_gateway", gateway(spec.ipv6_gateway));
    members.keep_unknown(previous, &WORKLOAD_NAMES)
}

fn nats(spec: &WorkloadEndpointSpec, version: IpVersion) -> Value<'static> {
    let ip = |ip: Option<Ip>| Value::Text(ip.map(|ip| ip.to_string()).unwrap_or_default().into());
    let of = |nat: &&IPNAT| nat.internal_ip.is_some_and(|ip| ip.version() == version);
    Value::List(
        spec.ip_nats
            .iter()
            .filter(of)
            .map(|nat| {
                Value::Map(vec![
                    ("int_ip".into(), ip(nat.internal_ip)),
                    ("ext_ip".into(), ip(nat.external_ip)),
                ])
            })
            .collect(),
    )
}

const HOST_NAMES: [&str; 5] = ["name", "expected_ipv4_addrs", "expected_ipv6_addrs", "labels", "profile_ids"];

#[derive(Deserialize, Default)]
#[serde(default, deny_unknown_fields)]
struct StoredHost {
    name: Option<String>,
    expected_ipv4_addrs: Option<Vec<MaybeText<Ip>>>,
    expected_ipv6_addrs: Option<Vec<MaybeText<Ip>>>,
    labels: Option<BTreeMap<String, String>>,
    profile_ids: Option<Vec<String>>,
}

pub(super) fn decode_host(text: &str) -> Result<HostEndpoint, StoredError> {
    let stored: StoredHost = read(text, &HOST_NAMES)?;
    let mut document = HostEndpoint::default();
    document.metadata.labels = stored.labels.unwrap_or_default();
    document.spec.interface_name = stored.name.unwrap_or_default();
    let addresses = [stored.expected_ipv4_addrs, stored.expected_ipv6_addrs].into_iter().flatten().flatten();
    document.spec.expected_ips = addresses.filter_map(|ip| ip.0).collect();
    document.spec.profiles = stored.profile_ids.unwrap_or_default();
    Ok(document)
}

pub(super) fn encode_host<'a>(document: &'a HostEndpoint, previous: Option<&str>) -> Value<'a> {
    let spec = &document.spec;
    let addresses =
        |version: IpVersion| texts(spec.expected_ips.iter().filter(move |ip| ip.version() == version));
    let mut members = Members::new();
    members.put_set("name", Value::Text(spec.interface_name.as_str().into()));
    members.put_set("expected_ipv4_addrs", addresses(IpVersion::V4));
    members.put_set("expected_ipv6_addrs", addresses(IpVersion::V6));
    members.put_set("labels", map(&document.metadata.labels));
    members.put_set("profile_ids", borrowed(&spec.profiles));
    members.keep_unknown(previous, &HOST_NAMES)
}
