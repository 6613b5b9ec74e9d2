//! What the annotations of a pod and its namespace ask for (`spec/cni.md` 4).

use std::collections::BTreeMap;
use std::net::IpAddr;

use margay_net::{Ip, IpVersion, Mac};
use serde_json::Value;

use crate::config::NetConf;
use crate::error::{Code, Failure, Result};

const PREFIX: &str = "cni.projectcalico.org/";

/// What a pod asks for.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Wishes {
    /// Pools for IPv4, as JSON text; none = as configured.
    pub(crate) ipv4_pools: Option<Vec<String>>,
    /// Pools for IPv6.
    pub(crate) ipv6_pools: Option<Vec<String>>,
    /// IPv4 and IPv6; none = as configured.
    pub(crate) families: Option<(bool, bool)>,
    /// These addresses.
    pub(crate) addresses: Addresses,
    /// Addresses outside that lead here.
    pub(crate) floating: Vec<Ip>,
    /// The MAC address of the container's interface.
    pub(crate) mac: Option<Mac>,
    /// What a person should know.
    pub(crate) warnings: Vec<String>,
}

/// Where a pod's addresses come from.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) enum Addresses {
    /// Whatever IPAM gives.
    #[default]
    Any,
    /// These, assigned by IPAM.
    Assigned(Vec<Ip>),
    /// These, and IPAM is not asked.
    Taken(Vec<Ip>),
}

// === impl Wishes ===

impl Wishes {
    /// Reads annotations; what the pod says replaces what its namespace says.
    ///
    /// # Errors
    /// A value cannot be understood, two contradict each other, or a feature is not allowed.
    pub(crate) fn read(
        conf: &NetConf,
        namespace: &BTreeMap<String, String>,
        pod: &BTreeMap<String, String>,
    ) -> Result<Self> {
        let of_pod = |name: &str| pod.get(&format!("{PREFIX}{name}")).filter(|text| !text.is_empty());
        let of_both = |name: &str| {
            of_pod(name).or_else(|| namespace.get(&format!("{PREFIX}{name}")).filter(|t| !t.is_empty()))
        };
        let mut wishes = Self::default();
        if conf.ipam.is_calico() {
            wishes.ipv4_pools = of_both("ipv4pools").map(|raw| texts(raw, "ipv4pools")).transpose()?;
            wishes.ipv6_pools = of_both("ipv6pools").map(|raw| texts(raw, "ipv6pools")).transpose()?;
            wishes.families = of_both("ipFamilies").map(|raw| families(raw)).transpose()?;
        }
        wishes.addresses = addresses(conf, of_pod("ipAddrs"), of_pod("ipAddrsNoIpam"), &mut wishes.warnings)?;
        if let Some(raw) = of_pod("floatingIPs") {
            if conf.features.floating_ips != Some(true) {
                return Err(refuse("requested feature is not enabled: floating_ips".to_owned()));
            }
            wishes.floating = parse_all(raw, "floatingIPs")?;
        }
        if let Some(raw) = of_pod("hwAddr") {
            let mac =
                raw.parse().map_err(|error| refuse(format!("failed to parse MAC address {raw}: {error}")))?;
            wishes.mac = Some(mac);
        }
        Ok(wishes)
    }
}

fn addresses(
    conf: &NetConf,
    assigned: Option<&String>,
    taken: Option<&String>,
    warnings: &mut Vec<String>,
) -> Result<Addresses> {
    match (assigned, taken) {
        (None, None) => Ok(Addresses::Any),
        (Some(_), Some(_)) => Err(refuse(
            "Can't have both annotations: 'ipAddrs' and 'ipAddrsNoIpam' in use at the same time".to_owned(),
        )),
        (Some(raw), None) => Ok(Addresses::Assigned(one_per_version(raw, "ipAddrs")?)),
        (None, Some(raw)) => {
            match conf.features.ip_addrs_no_ipam {
                Some(true) => {}
                Some(false) => {
                    return Err(refuse("requested feature is not enabled: ip_addrs_no_ipam".to_owned()));
                }
                // COMPAT(cni-no-ipam-gate): upstream has no gate. Where nothing is said it stays open, with a warning.
                None => warnings.push(
                    "anyone who may annotate pods may take any address: set feature_control.ip_addrs_no_ipam"
                        .to_owned(),
                ),
            }
            Ok(Addresses::Taken(one_per_version(raw, "ipAddrsNoIpam")?))
        }
    }
}

fn one_per_version(raw: &str, name: &str) -> Result<Vec<Ip>> {
    let addresses = parse_all(raw, name)?;
    if addresses.is_empty() {
        return Err(refuse(format!("Annotation \"{PREFIX}{name}\" specified but empty")));
    }
    for (version, word) in [(IpVersion::V4, "IPv4"), (IpVersion::V6, "IPv6")] {
        if addresses.iter().filter(|address| address.version() == version).count() > 1 {
            return Err(refuse(format!(
                "cannot have more than one {word} address for \"{PREFIX}{name}\" annotation"
            )));
        }
    }
    Ok(addresses)
}

fn parse_all(raw: &str, name: &str) -> Result<Vec<Ip>> {
    texts(raw, name)?
        .iter()
        .map(|text| {
            text.parse::<IpAddr>().map(Ip::from).map_err(|_| refuse(format!("Invalid IP format: {text}")))
        })
        .collect()
}

fn texts(raw: &str, name: &str) -> Result<Vec<String>> {
    let wrong = |reason: String| {
        refuse(format!("Failed to parse IPs {raw} for annotation \"{PREFIX}{name}\": {reason}"))
    };
    let value: Value = serde_json::from_str(raw).map_err(|error| wrong(error.to_string()))?;
    let items = value.as_array().ok_or_else(|| wrong("it is no list".to_owned()))?;
    items
        .iter()
        .map(|item| item.as_str().map(str::to_owned).ok_or_else(|| wrong("an item is no text".to_owned())))
        .collect()
}

fn families(raw: &str) -> Result<(bool, bool)> {
    let wrong = || refuse(format!("error parsing ipFamilies: {raw}"));
    let words = texts(raw, "ipFamilies").map_err(|_| wrong())?;
    let mut wanted = (false, false);
    for word in words {
        match word.as_str() {
            "IPv4" => wanted.0 = true,
            "IPv6" => wanted.1 = true,
            _ => return Err(wrong()),
        }
    }
    Ok(wanted)
}

fn refuse(msg: String) -> Failure {
    Failure::new(Code::GENERIC, msg)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde_json::json;

    use super::{Addresses, Wishes};
    use crate::config::NetConf;
    use crate::error::Result;

    fn annotations(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs
            .iter()
            .map(|(name, value)| (format!("cni.projectcalico.org/{name}"), (*value).to_owned()))
            .collect()
    }

    fn read(features: serde_json::Value, pod: &[(&str, &str)]) -> Result<Wishes> {
        let conf = json!({ "name": "n", "ipam": { "type": "calico-ipam" }, "feature_control": features });
        let namespace = annotations(&[("ipv4pools", r#"["10.0.0.0/8"]"#), ("ipAddrs", r#"["1.1.1.1"]"#)]);
        Wishes::read(&NetConf::parse(conf.to_string().as_bytes()).unwrap(), &namespace, &annotations(pod))
    }

    fn refused(pod: &[(&str, &str)]) -> String {
        read(json!(null), pod).unwrap_err().msg
    }

    #[test]
    fn a_pod_beats_its_namespace() {
        assert_eq!(read(json!(null), &[]).unwrap().ipv4_pools.unwrap(), ["10.0.0.0/8"]);
        let pools = read(json!(null), &[("ipv4pools", r#"["10.1.0.0/16"]"#)]).unwrap();
        assert_eq!(pools.ipv4_pools.unwrap(), ["10.1.0.0/16"]);
        assert_eq!(pools.addresses, Addresses::Any, "addresses are of pods alone");
    }

    #[test]
    fn other_ipam_plugins_get_no_pools() {
        let conf = NetConf::parse(br#"{"name":"n","ipam":{"type":"host-local"}}"#).unwrap();
        let pod = annotations(&[("ipv4pools", "nonsense")]);
        assert_eq!(Wishes::read(&conf, &BTreeMap::new(), &pod).unwrap(), Wishes::default());
    }

    #[test]
    fn addresses_without_ipam_are_gated() {
        let pod = [("ipAddrsNoIpam", r#"["10.0.0.1","fd00::1"]"#)];
        let open = read(json!(null), &pod).unwrap();
        assert!(matches!(&open.addresses, Addresses::Taken(list) if list.len() == 2));
        assert_eq!(open.warnings.len(), 1);
        assert!(read(json!({ "ip_addrs_no_ipam": true }), &pod).unwrap().warnings.is_empty());
        let closed = read(json!({ "ip_addrs_no_ipam": false }), &pod).unwrap_err();
        assert_eq!(closed.msg, "requested feature is not enabled: ip_addrs_no_ipam");
    }

    #[test]
    fn contradictions_and_nonsense_are_refused_in_upstreams_words() {
        let one = r#"["10.0.0.1"]"#;
        assert!(
            refused(&[("ipAddrs", one), ("ipAddrsNoIpam", one)]).starts_with("Can't have both annotations")
        );
        assert_eq!(
            refused(&[("ipAddrs", r#"["10.0.0.1","10.0.0.2"]"#)]),
            "cannot have more than one IPv4 address for \"cni.projectcalico.org/ipAddrs\" annotation"
        );
        assert_eq!(
            refused(&[("ipAddrs", "[]")]),
            "Annotation \"cni.projectcalico.org/ipAddrs\" specified but empty"
        );
        assert_eq!(refused(&[("ipAddrs", r#"["x"]"#)]), "Invalid IP format: x");
        assert!(refused(&[("ipAddrs", "x")]).starts_with("Failed to parse IPs x for annotation"));
        assert_eq!(refused(&[("ipFamilies", r#"["IPv5"]"#)]), "error parsing ipFamilies: [\"IPv5\"]");
        assert!(refused(&[("hwAddr", "nope")]).starts_with("failed to parse MAC address nope"));
        assert!(refused(&[("floatingIPs", one)]).ends_with("floating_ips"));
    }
}
