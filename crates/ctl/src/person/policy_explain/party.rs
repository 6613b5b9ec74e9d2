//! The two ends of a question: from what a person types to an endpoint, a host or an address outside.

use std::net::IpAddr;

use margay_intent::{HostEndpointId, HostName, WorkloadId};
use margay_policy::evaluate::Records;

/// How many candidates an error names.
const NAMED: usize = 20;

/// Who stands at one end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Party {
    /// A workload endpoint.
    Workload(HostName, WorkloadId),
    /// A host itself, by one of its host endpoints if there is one.
    Host(HostName, Option<HostEndpointId>),
    /// Nobody that the records know.
    Outside,
}

/// One end of a question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct End {
    pub(crate) party: Party,
    /// The full name, or the address itself.
    pub(crate) name: String,
    /// The addresses that it can be asked with, IPv4 first.
    pub(crate) addresses: Vec<IpAddr>,
}

/// Finds the end that a word names.
///
/// # Errors
/// A text for people: nothing, or several things, have that name.
pub(crate) fn resolve(records: &Records, word: &str) -> Result<End, String> {
    if let Ok(address) = word.parse::<margay_net::Ip>() {
        return Ok(at(records, address.get()));
    }
    let all = everybody(records);
    let is_part = |name: &str| {
        let (parts, wanted): (Vec<_>, Vec<_>) = (name.split('/').collect(), word.split('/').collect());
        parts.windows(wanted.len()).any(|window| window == wanted)
    };
    let tests: [&dyn Fn(&str) -> bool; 3] =
        [&|name| name == word, &is_part, &|name| !word.is_empty() && name.contains(word)];
    for test in tests {
        let mut found: Vec<&End> = all.iter().filter(|end| test(&end.name)).collect();
        if found.len() > 1 {
            return Err(ambiguous(word, &found));
        }
        if let Some(end) = found.pop() {
            return Ok(end.clone());
        }
    }
    Err(unknown(word, &all))
}

/// The end that has an address.
fn at(records: &Records, address: IpAddr) -> End {
    let end = |party, name| End { party, name, addresses: vec![address] };
    for ((host, id), workload) in &records.workloads {
        let own = workload.nets.iter().any(|net| net.contains_ip(address));
        if own || workload.nats.iter().any(|nat| nat.external == address) {
            return end(Party::Workload(host.clone(), id.clone()), format!("{host}/{id}"));
        }
    }
    for ((host, id), endpoint) in &records.host_endpoints {
        if endpoint.addresses.contains(&address) {
            return end(Party::Host(host.clone(), Some(id.clone())), format!("{host}/{id}"));
        }
    }
    let host = records.hosts.iter().find(|(_, known)| IpAddr::V4(**known) == address);
    match host {
        Some((host, _)) => end(Party::Host(host.clone(), None), host.to_string()),
        None => end(Party::Outside, address.to_string()),
    }
}

/// Every endpoint of every host.
pub(crate) fn everybody(records: &Records) -> Vec<End> {
    let workloads = records.workloads.iter().map(|((host, id), workload)| End {
        party: Party::Workload(host.clone(), id.clone()),
        name: format!("{host}/{id}"),
        addresses: sorted(workload.nets.iter().map(|net| net.address().get())),
    });
    let hosts = records.host_endpoints.iter().map(|((host, id), endpoint)| {
        let known = records.hosts.get(host).map(|address| IpAddr::V4(*address));
        let other = known.filter(|_| endpoint.addresses.is_empty());
        End {
            party: Party::Host(host.clone(), Some(id.clone())),
            name: format!("{host}/{id}"),
            addresses: sorted(endpoint.addresses.iter().copied().chain(other)),
        }
    });
    workloads.chain(hosts).collect()
}

/// IPv4 first, otherwise as they stand.
fn sorted(addresses: impl Iterator<Item = IpAddr>) -> Vec<IpAddr> {
    let (mut v4, v6): (Vec<_>, Vec<_>) = addresses.partition(IpAddr::is_ipv4);
    v4.extend(v6);
    v4
}

fn ambiguous(word: &str, found: &[&End]) -> String {
    let mut text = format!("'{word}' is the name of {} endpoints:", found.len());
    for end in found.iter().take(NAMED) {
        text.push_str(&format!("\n  {}", end.name));
    }
    if found.len() > NAMED {
        text.push_str(&format!("\n  and {} more", found.len() - NAMED));
    }
    text
}

fn unknown(word: &str, all: &[End]) -> String {
    let parts = all.iter().flat_map(|end| end.name.split('/').chain([end.name.as_str()]));
    let hint = match margay_model::decode::nearest(word, parts) {
        Some(near) => format!("did you mean '{near}'?"),
        None => {
            "an endpoint is NODE/ORCHESTRATOR/WORKLOAD/NAME, NODE/NAME for a host endpoint, or a part of it; \
                 or give an address"
                .to_owned()
        }
    };
    format!("no endpoint is called '{word}'\nhint: {hint}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn records() -> Records {
        let mut records = Records::default();
        for (key, value) in [
            (
                "host/rack1/workload/k8s/shop.cart-0/endpoint/eth0",
                r#"{"state":"active","name":"cali1","ipv4_nets":["10.20.0.5/32"],"ipv6_nets":["fd20::5/128"],"ipv4_nat":[{"int_ip":"10.20.0.5","ext_ip":"192.0.2.9"}]}"#,
            ),
            (
                "host/rack1/workload/k8s/shop.cart-1/endpoint/eth0",
                r#"{"state":"active","name":"cali2","ipv4_nets":["10.20.0.6/32"]}"#,
            ),
            ("host/rack1/endpoint/front", r#"{"name":"eth0","expected_ipv4_addrs":["192.0.2.1"]}"#),
            ("host/rack2/bird_ip", "192.0.2.2"),
        ] {
            records.put(&format!("/calico/v1/{key}"), Some(value));
        }
        records
    }

    fn name(word: &str) -> Result<String, String> {
        resolve(&records(), word).map(|end| end.name)
    }

    #[test]
    fn any_part_that_only_one_endpoint_has_names_it() {
        let full = "rack1/k8s/shop.cart-0/eth0";
        for word in [full, "shop.cart-0", "k8s/shop.cart-0", "cart-0"] {
            assert_eq!(name(word).as_deref(), Ok(full), "{word}");
        }
        assert_eq!(name("front").as_deref(), Ok("rack1/front"));
    }

    #[test]
    fn a_part_that_several_have_lists_them() {
        let text = name("eth0").unwrap_err();
        assert_eq!(
            text,
            "'eth0' is the name of 2 endpoints:\n  rack1/k8s/shop.cart-0/eth0\n  rack1/k8s/shop.cart-1/eth0"
        );
        let text = name("shop.cart-7").unwrap_err();
        assert!(text.contains("no endpoint") && text.contains("did you mean 'shop.cart-"), "{text}");
        assert!(name("").is_err());
    }

    #[test]
    fn an_address_stands_for_whoever_has_it() {
        let party = |word: &str| resolve(&records(), word).unwrap().party;
        assert!(matches!(party("10.20.0.5"), Party::Workload(..)));
        assert!(matches!(party("fd20::5"), Party::Workload(..)));
        // A floating address is its endpoint's.
        assert!(matches!(party("192.0.2.9"), Party::Workload(..)));
        assert!(matches!(party("192.0.2.1"), Party::Host(_, Some(_))));
        assert!(matches!(party("192.0.2.2"), Party::Host(_, None)));
        assert_eq!(party("198.51.100.1"), Party::Outside);
    }
}
