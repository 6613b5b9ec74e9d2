//! Endpoints, pools and addresses of hosts.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};

use margay_intent::{Nat, Pool, ProfileId};
use margay_model::codec::{AsText, MaybeText};
use margay_model::pattern::Pattern;
use margay_net::{Cidr, IfName, Ip, Mac};
use serde::Deserialize;

use super::members::{FieldFault, Members, Text, TextMap, text};
use super::{Effect, Faults, HostEndpoint, Labels, Workload};

/// A workload endpoint, if there is nothing wrong with it: one that cannot be read has no traffic at all.
pub(super) fn workload(value: &str, faults: &mut Faults<'_>) -> Option<Workload> {
    match read_workload(value, faults) {
        Ok(workload) => {
            if let Some(message) = label_fault(&workload.labels) {
                faults.add(Effect::Accepted, message);
            }
            Some(workload)
        }
        Err(fault) => {
            faults.add(Effect::Ignored, fault.0);
            None
        }
    }
}

fn read_workload(value: &str, faults: &mut Faults<'_>) -> Result<Workload, FieldFault> {
    let members = Members::read(value)?.ok_or_else(|| FieldFault("the value is null".to_owned()))?;
    let interface = text(&members, "name")?;
    if interface.is_empty() {
        return Err(FieldFault("name: the endpoint has no interface".to_owned()));
    }
    let interface = interface.parse::<IfName>().map_err(|error| FieldFault(format!("name: {error}")))?;
    let active = text(&members, "state")? == "active";
    let mac = members.field::<AsText<Mac>>("mac")?.map(|mac| mac.0);
    let labels = members.or_default::<TextMap<'_>>("labels")?.into_labels();
    let profiles = profiles(members.or_default("profile_ids")?);
    let mut nets = Vec::new();
    for name in ["ipv4_nets", "ipv6_nets"] {
        let list: Vec<AsText<Cidr>> = members.or_default(name)?;
        nets.extend(list.into_iter().map(|net| net.0));
    }
    text(&members, "active_instance_id")?;
    for name in ["ipv4_gateway", "ipv6_gateway"] {
        members.field::<MaybeText<Ip>>(name)?;
    }
    let nats = nats(&members, &nets, faults)?;
    Ok(Workload { active, interface, mac, profiles, nets: nets.into(), nats, labels })
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct StoredNat {
    int_ip: Option<MaybeText<Ip>>,
    ext_ip: Option<MaybeText<Ip>>,
}

// COMPAT(foreign-nats): upstream routes and translates whatever a record asks for; an inner address that is not the
// endpoint's own would send others' traffic to it.
fn nats(members: &Members<'_>, nets: &[Cidr], faults: &mut Faults<'_>) -> Result<Box<[Nat]>, FieldFault> {
    let mut nats = Vec::new();
    for name in ["ipv4_nat", "ipv6_nat"] {
        let list: Vec<Option<StoredNat>> = members.or_default(name)?;
        for (index, stored) in list.into_iter().enumerate() {
            let stored = stored.unwrap_or_default();
            let address = |stored: Option<MaybeText<Ip>>| stored.and_then(|text| text.0);
            let wrong = match (address(stored.int_ip), address(stored.ext_ip)) {
                (Some(internal), Some(external)) if internal.version() != external.version() => {
                    "int_ip and ext_ip are of different IP versions"
                }
                (Some(internal), Some(_)) if !nets.iter().any(|net| net.contains_ip(internal)) => {
                    "int_ip is no address of the endpoint"
                }
                (Some(internal), Some(external)) => {
                    nats.push(Nat { external: external.get(), internal: internal.get() });
                    continue;
                }
                _ => "int_ip or ext_ip is missing",
            };
            faults.add(Effect::NatLeftOut, format!("{name}[{index}]: {wrong}"));
        }
    }
    Ok(nats.into())
}

/// A host endpoint. A broken one keeps what says which interface it is, without profiles and labels.
// COMPAT(invalid-host-endpoints): upstream takes one that it cannot read for deleted, and its interface is open.
pub(super) fn host(value: &str, faults: &mut Faults<'_>) -> Option<HostEndpoint> {
    let members = match Members::read(value) {
        Ok(Some(members)) => members,
        Ok(None) => {
            faults.add(Effect::Ignored, "the value is null".to_owned());
            return None;
        }
        Err(fault) => {
            faults.add(Effect::Ignored, fault.0);
            return None;
        }
    };
    let mut wrong = Vec::new();
    let (interface, odd) = interface_of(&members, &mut wrong);
    let mut addresses = Vec::new();
    for name in ["expected_ipv4_addrs", "expected_ipv6_addrs"] {
        expected(&members, name, &mut addresses, &mut wrong);
    }
    let labels = keep(labels_of(&members), &mut wrong).unwrap_or_default();
    let profiles = keep(profiles_of(&members), &mut wrong).unwrap_or_default();
    let addresses = addresses.into_boxed_slice();
    // What somebody meant to govern stays governed, by its addresses or else by its name.
    let interface = interface.or(odd.filter(|_| addresses.is_empty()));
    if wrong.is_empty() {
        return Some(HostEndpoint { interface, addresses, profiles, labels });
    }
    let known = interface.is_some() || !addresses.is_empty();
    let effect = if known { Effect::Bare } else { Effect::Ignored };
    for fault in wrong {
        faults.add(effect, fault.0);
    }
    known.then(|| HostEndpoint { interface, addresses, profiles: Box::default(), labels: Box::default() })
}

fn keep<T>(result: Result<T, FieldFault>, wrong: &mut Vec<FieldFault>) -> Option<T> {
    result.map_err(|fault| wrong.push(fault)).ok()
}

/// The interface; and the one of a name that upstream refuses though the kernel has such, as `br+lan`.
fn interface_of(members: &Members<'_>, wrong: &mut Vec<FieldFault>) -> (Option<IfName>, Option<IfName>) {
    let Some(name) = keep(text(members, "name"), wrong).filter(|name| !name.is_empty()) else {
        return (None, None);
    };
    let interface = name.parse::<IfName>().ok();
    if interface.is_some() && Pattern::Interface.matches(&name) {
        return (interface, None);
    }
    wrong.push(FieldFault(format!("name: invalid interface name: {name:?}")));
    // `*` is every interface, in a later model than this.
    (None, interface.filter(|_| name != "*"))
}

/// Adds the addresses of a list that can be read.
fn expected(members: &Members<'_>, name: &str, addresses: &mut Vec<IpAddr>, wrong: &mut Vec<FieldFault>) {
    let list: Vec<&serde_json::value::RawValue> = match members.or_default(name) {
        Ok(list) => list,
        Err(fault) => return wrong.push(fault),
    };
    for (index, raw) in list.into_iter().enumerate() {
        match serde_json::from_str::<MaybeText<Ip>>(raw.get()) {
            Ok(MaybeText(Some(ip))) => addresses.push(ip.get()),
            // An empty address is none.
            Ok(MaybeText(None)) => {}
            Err(_) => wrong.push(FieldFault(format!("{name}[{index}]: {} is no IP address", raw.get()))),
        }
    }
}

fn labels_of(members: &Members<'_>) -> Result<Labels, FieldFault> {
    let labels = members.or_default::<TextMap<'_>>("labels")?.into_labels();
    label_fault(&labels).map_or(Ok(labels), |message| Err(FieldFault(message)))
}

fn profiles_of(members: &Members<'_>) -> Result<Box<[ProfileId]>, FieldFault> {
    let profiles = profiles(members.or_default("profile_ids")?);
    match profiles.iter().position(|id| !Pattern::NamespacedName.matches(id.as_str())) {
        Some(index) => Err(FieldFault(format!("profile_ids[{index}]: '{}' is no name", profiles[index]))),
        None => Ok(profiles),
    }
}

/// The profiles, each where it stands first.
fn profiles(list: Vec<Option<Text<'_>>>) -> Box<[ProfileId]> {
    let mut profiles: Vec<ProfileId> = Vec::with_capacity(list.len());
    for text in list {
        let name = text.map(|Text(name)| name).unwrap_or_default();
        if !profiles.iter().any(|id| *id.0 == *name) {
            profiles.push(ProfileId(name.into()));
        }
    }
    profiles.into()
}

/// What is wrong with the first label that is not allowed.
fn label_fault(labels: &Labels) -> Option<String> {
    labels.iter().find_map(|(key, value)| {
        if !Pattern::LabelKey.matches(key) {
            Some(format!("labels: key '{key}' is not allowed: {}", Pattern::LabelKey.allows()))
        } else if !Pattern::LabelValue.matches(value) {
            let allows = Pattern::LabelValue.allows();
            Some(format!("labels: value '{value}' of '{key}' is not allowed: {allows}"))
        } else {
            None
        }
    })
}

/// A pool; the key says its range.
pub(super) fn pool(value: &str, faults: &mut Faults<'_>) -> Option<Pool> {
    let read = || {
        let members = Members::read(value)?.unwrap_or_default();
        members.field::<AsText<Cidr>>("cidr")?;
        members.or_default("masquerade").map(|masquerade| Pool { masquerade })
    };
    read().map_err(|fault: FieldFault| faults.add(Effect::Ignored, fault.0)).ok()
}

/// The address of a host; empty text is none.
pub(super) fn host_ip(value: &str, faults: &mut Faults<'_>) -> Option<Ipv4Addr> {
    if value.is_empty() {
        return None;
    }
    match value.parse::<Ip>().map(Ip::get) {
        Ok(IpAddr::V4(address)) => Some(address),
        Ok(IpAddr::V6(_)) => {
            faults.add(Effect::Ignored, format!("{value} is not an IPv4 address"));
            None
        }
        Err(error) => {
            faults.add(Effect::Ignored, error.to_string());
            None
        }
    }
}

/// The keys and values that nobody reads, checked because upstream's decoder stops at them.
pub(super) fn annotations(members: &Members<'_>) -> Result<(), FieldFault> {
    members.field::<BTreeMap<String, Option<String>>>("annotations").map(|_| ())
}
