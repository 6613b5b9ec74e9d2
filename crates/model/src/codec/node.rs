//! The parts of a stored node (`spec/datastore-etcdv2.md` 6.2).

use margay_net::{AsNumber, Cidr, Ip, IpVersion};
use margay_text::value::Value;
use serde::Deserialize;

use super::{Members, StoredError, compact};
use crate::key::Key;
use crate::v1::{Node, NodeBGPSpec, OrchRef, Subnet};

/// The values that stand for a node, besides the metadata key that makes it exist.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct NodeParts {
    /// `ip_addr_v4`: always written, empty when unset.
    pub ip_addr_v4: Option<String>,
    /// `ip_addr_v6`: always written, empty when unset.
    pub ip_addr_v6: Option<String>,
    /// `bird_ip`.
    pub bird_ip: Option<String>,
    /// `as_num`.
    pub as_num: Option<String>,
    /// `network_v4`.
    pub network_v4: Option<String>,
    /// `network_v6`.
    pub network_v6: Option<String>,
    /// `orchestrator_refs`.
    pub orch_refs: Option<String>,
}

impl NodeParts {
    /// The parts of a node as it is written.
    #[must_use]
    pub fn of(node: &Node) -> Self {
        let bgp = node.spec.bgp.as_ref();
        let v4 = bgp.and_then(|bgp| bgp.ipv4_address?.0);
        let v6 = bgp.and_then(|bgp| bgp.ipv6_address?.0);
        let address = |cidr: Option<Cidr>| cidr.map(|cidr| cidr.address().to_string());
        let network = |cidr: Option<Cidr>| cidr.map(|cidr| cidr.masked().to_string());
        Self {
            ip_addr_v4: Some(address(v4).unwrap_or_default()),
            ip_addr_v6: Some(address(v6).unwrap_or_default()),
            bird_ip: address(v4),
            as_num: bgp.and_then(|bgp| bgp.as_number).map(|number| number.to_string()),
            network_v4: network(v4),
            network_v6: network(v6),
            orch_refs: (!node.spec.orch_refs.is_empty()).then(|| orch_refs(&node.spec.orch_refs)),
        }
    }
}

/// The keys of a node's parts in the order of writing, each with its value or none when it is removed.
#[must_use]
pub fn node_parts(node: &Node) -> Vec<(Key, Option<String>)> {
    let name = &node.metadata.name;
    let bgp = |word: &str| Key::BgpConfig { node: Some(name.clone()), name: word.to_owned() };
    let parts = NodeParts::of(node);
    vec![
        (bgp("ip_addr_v4"), parts.ip_addr_v4),
        (bgp("ip_addr_v6"), parts.ip_addr_v6),
        (Key::NodeBirdIp { node: name.clone() }, parts.bird_ip),
        (bgp("as_num"), parts.as_num),
        (bgp("network_v4"), parts.network_v4),
        (bgp("network_v6"), parts.network_v6),
        // COMPAT(orch-refs): upstream never removes them again.
        (Key::OrchRefs { node: name.clone() }, parts.orch_refs),
    ]
}

/// The stored form of a node's names in orchestrators.
#[must_use]
pub fn orch_refs(refs: &[OrchRef]) -> String {
    let one = |one: &OrchRef| {
        let mut members = Members::new();
        members.put_set("orchestrator", Value::Text(one.orchestrator.clone().into()));
        members.put_set("nodeName", Value::Text(one.node_name.clone().into()));
        Value::Map(members.0)
    };
    compact(&Value::List(refs.iter().map(one).collect()))
}

/// A node from its parts. `bgp` is there only if an address is; an address without network gets its full length.
///
/// # Errors
/// What is wrong, and with which part.
pub fn decode_node(name: &str, parts: &NodeParts) -> Result<Node, StoredError> {
    let mut node = Node::default();
    name.clone_into(&mut node.metadata.name);
    let ipv4_address =
        address("ip_addr_v4", parts.ip_addr_v4.as_deref(), parts.network_v4.as_deref(), IpVersion::V4)?;
    let ipv6_address =
        address("ip_addr_v6", parts.ip_addr_v6.as_deref(), parts.network_v6.as_deref(), IpVersion::V6)?;
    if ipv4_address.is_some() || ipv6_address.is_some() {
        let as_number = match parts.as_num.as_deref() {
            None | Some("") => None,
            Some(text) => {
                let number =
                    text.parse::<AsNumber>().map_err(|error| StoredError(format!("as_num: {error}")))?;
                Some(number)
            }
        };
        node.spec.bgp = Some(NodeBGPSpec {
            as_number,
            ipv4_address: ipv4_address.map(Subnet::from),
            ipv6_address: ipv6_address.map(Subnet::from),
        });
    }
    if let Some(text) = parts.orch_refs.as_deref() {
        let refs = serde_json::from_str::<Option<Vec<StoredRef>>>(text);
        let refs =
            refs.map_err(|error| StoredError(format!("orchestrator_refs: {error}")))?.unwrap_or_default();
        node.spec.orch_refs = refs
            .into_iter()
            .map(|one| OrchRef { node_name: one.node_name, orchestrator: one.orchestrator })
            .collect();
    }
    Ok(node)
}

#[derive(Deserialize)]
struct StoredRef {
    #[serde(default)]
    orchestrator: String,
    #[serde(default, rename = "nodeName")]
    node_name: String,
}

fn address(
    part: &str,
    address: Option<&str>,
    network: Option<&str>,
    version: IpVersion,
) -> Result<Option<Cidr>, StoredError> {
    let Some(text) = address.filter(|text| !text.is_empty()) else { return Ok(None) };
    let ip: Ip = text.parse().map_err(|error| StoredError(format!("{part}: {error}")))?;
    let length =
        network.and_then(|text| text.parse::<Cidr>().ok()).map_or(version.bits(), |cidr| cidr.prefix());
    Ok(Cidr::new(ip, length))
}
