//! Stored pools and BGP peers (`spec/datastore-etcdv2.md` 5.6, 5.8).

use margay_net::{Cidr, Ip};
use margay_text::value::Value;
use serde::Deserialize;

use super::stored::{AsText, MaybeText, QuotedAsNumber, read};
use super::{Members, StoredError};
use crate::v1::{BgpPeer, IPIPConfiguration, IpPool};

const POOL_NAMES: [&str; 6] = ["cidr", "ipip", "ipip_mode", "masquerade", "ipam", "disabled"];

#[derive(Deserialize, Default)]
#[serde(default, deny_unknown_fields)]
struct StoredPool {
    cidr: Option<AsText<Cidr>>,
    ipip: Option<String>,
    ipip_mode: Option<String>,
    masquerade: Option<bool>,
    #[serde(rename = "ipam")]
    _ipam: Option<bool>,
    disabled: Option<bool>,
}

pub(super) fn decode_pool(text: &str) -> Result<IpPool, StoredError> {
    let stored: StoredPool = read(text, &POOL_NAMES)?;
    let mut document = IpPool::default();
    document.metadata.cidr = stored.cidr.map(|cidr| cidr.0);
    let enabled = stored.ipip.is_some_and(|interface| !interface.is_empty());
    let mode = stored.ipip_mode.unwrap_or_default();
    if enabled || !mode.is_empty() {
        document.spec.ipip = Some(IPIPConfiguration { enabled, mode });
    }
    document.spec.nat_outgoing = stored.masquerade.unwrap_or_default();
    document.spec.disabled = stored.disabled.unwrap_or_default();
    Ok(document)
}

pub(super) fn encode_pool<'a>(document: &'a IpPool, previous: Option<&str>) -> Value<'a> {
    let ipip = document.spec.ipip.as_ref();
    let interface = if ipip.is_some_and(|ipip| ipip.enabled) { "tunl0" } else { "" };
    let cidr = document.metadata.cidr.map(|cidr| cidr.to_string()).unwrap_or_default();
    let mut members = Members::new();
    members.put("cidr", Value::Text(cidr.into()));
    members.put("ipip", Value::Text(interface.into()));
    members.put("ipip_mode", Value::Text(ipip.map_or("", |ipip| ipip.mode.as_str()).into()));
    members.put("masquerade", Value::Bool(document.spec.nat_outgoing));
    members.put("ipam", Value::Bool(!document.spec.disabled));
    members.put("disabled", Value::Bool(document.spec.disabled));
    members.keep_unknown(previous, &POOL_NAMES)
}

const PEER_NAMES: [&str; 2] = ["ip", "as_num"];

#[derive(Deserialize, Default)]
#[serde(default, deny_unknown_fields)]
struct StoredPeer {
    ip: Option<MaybeText<Ip>>,
    as_num: QuotedAsNumber,
}

/// `node` is the node of the key; none = global.
pub(super) fn decode_peer(text: &str, node: Option<&str>) -> Result<BgpPeer, StoredError> {
    let stored: StoredPeer = read(text, &PEER_NAMES)?;
    let mut document = BgpPeer::default();
    document.metadata.scope = if node.is_some() { "node" } else { "global" }.to_owned();
    document.metadata.node = node.unwrap_or_default().to_owned();
    document.metadata.peer_ip = stored.ip.and_then(|ip| ip.0);
    document.spec.as_number = stored.as_num.0;
    Ok(document)
}

pub(super) fn encode_peer<'a>(document: &'a BgpPeer, previous: Option<&str>) -> Value<'a> {
    let ip = document.metadata.peer_ip.map(|ip| ip.to_string()).unwrap_or_default();
    let mut members = Members::new();
    members.put("ip", Value::Text(ip.into()));
    members.put("as_num", Value::Text(document.spec.as_number.0.to_string().into()));
    members.keep_unknown(previous, &PEER_NAMES)
}
