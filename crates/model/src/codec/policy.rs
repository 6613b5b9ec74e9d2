//! Stored policies, profile parts and rules (`spec/datastore-etcdv2.md` 5.3 to 5.5).

use std::borrow::Cow;
use std::collections::BTreeMap;

use margay_net::{Cidr, Port, Protocol};
use margay_text::value::Value;
use serde::Deserialize;
use serde_json::Value as Json;

use super::stored::{AsText, StoredPort, StoredProtocol, known_only, read, word};
use super::{Members, StoredError, borrowed, compact, map, texts};
use crate::key::ProfilePart;
use crate::v1::{EntityRule, ICMPFields, Policy, Profile, Rule};

const POLICY_NAMES: [&str; 8] =
    ["order", "inbound_rules", "outbound_rules", "selector", "untracked", "annotations", "pre_dnat", "types"];

#[derive(Deserialize, Default)]
#[serde(default, deny_unknown_fields)]
struct StoredPolicy {
    order: Option<f64>,
    inbound_rules: Option<Vec<Json>>,
    outbound_rules: Option<Vec<Json>>,
    selector: Option<String>,
    untracked: Option<bool>,
    annotations: Option<BTreeMap<String, String>>,
    pre_dnat: Option<bool>,
    types: Option<Vec<String>>,
}

const RULE_NAMES: [&str; 29] = [
    "action",
    "ip_version",
    "protocol",
    "!protocol",
    "icmp_type",
    "icmp_code",
    "!icmp_type",
    "!icmp_code",
    "src_tag",
    "src_net",
    "src_nets",
    "src_selector",
    "src_ports",
    "dst_tag",
    "dst_selector",
    "dst_net",
    "dst_nets",
    "dst_ports",
    "!src_tag",
    "!src_net",
    "!src_nets",
    "!src_selector",
    "!src_ports",
    "!dst_tag",
    "!dst_selector",
    "!dst_net",
    "!dst_nets",
    "!dst_ports",
    // log_prefix has no field in the API: it is kept like a foreign one.
    "\u{0}",
];

#[derive(Deserialize, Default)]
#[serde(default)]
struct StoredRule {
    action: Option<String>,
    ip_version: Option<i64>,
    protocol: Option<StoredProtocol>,
    #[serde(rename = "!protocol")]
    not_protocol: Option<StoredProtocol>,
    icmp_type: Option<i64>,
    icmp_code: Option<i64>,
    #[serde(rename = "!icmp_type")]
    not_icmp_type: Option<i64>,
    #[serde(rename = "!icmp_code")]
    not_icmp_code: Option<i64>,
    src_tag: Option<String>,
    src_net: Option<AsText<Cidr>>,
    src_nets: Option<Vec<AsText<Cidr>>>,
    src_selector: Option<String>,
    src_ports: Option<Vec<StoredPort>>,
    dst_tag: Option<String>,
    dst_selector: Option<String>,
    dst_net: Option<AsText<Cidr>>,
    dst_nets: Option<Vec<AsText<Cidr>>>,
    dst_ports: Option<Vec<StoredPort>>,
    #[serde(rename = "!src_tag")]
    not_src_tag: Option<String>,
    #[serde(rename = "!src_net")]
    not_src_net: Option<AsText<Cidr>>,
    #[serde(rename = "!src_nets")]
    not_src_nets: Option<Vec<AsText<Cidr>>>,
    #[serde(rename = "!src_selector")]
    not_src_selector: Option<String>,
    #[serde(rename = "!src_ports")]
    not_src_ports: Option<Vec<StoredPort>>,
    #[serde(rename = "!dst_tag")]
    not_dst_tag: Option<String>,
    #[serde(rename = "!dst_selector")]
    not_dst_selector: Option<String>,
    #[serde(rename = "!dst_net")]
    not_dst_net: Option<AsText<Cidr>>,
    #[serde(rename = "!dst_nets")]
    not_dst_nets: Option<Vec<AsText<Cidr>>>,
    #[serde(rename = "!dst_ports")]
    not_dst_ports: Option<Vec<StoredPort>>,
}

pub(super) fn decode(text: &str) -> Result<Policy, StoredError> {
    let stored: StoredPolicy = read(text, &POLICY_NAMES)?;
    let mut document = Policy::default();
    document.metadata.annotations = stored.annotations.unwrap_or_default();
    let spec = &mut document.spec;
    spec.order = stored.order;
    spec.ingress = decode_rules(stored.inbound_rules)?;
    spec.egress = decode_rules(stored.outbound_rules)?;
    spec.selector = stored.selector.unwrap_or_default();
    spec.do_not_track = stored.untracked.unwrap_or_default();
    spec.pre_dnat = stored.pre_dnat.unwrap_or_default();
    spec.types = stored.types.unwrap_or_default();
    if spec.types.is_empty() {
        // Written before types existed: it decided both directions.
        let types: &[&str] = if spec.pre_dnat { &["ingress"] } else { &["ingress", "egress"] };
        spec.types = types.iter().map(|word| (*word).to_owned()).collect();
    }
    Ok(document)
}

pub(super) fn encode<'a>(document: &'a Policy, previous: Option<&str>) -> Value<'a> {
    let spec = &document.spec;
    let before = previous.and_then(|text| read::<StoredPolicy>(text, &POLICY_NAMES).ok()).unwrap_or_default();
    let mut members = Members::new();
    members.put_set("order", spec.order.map_or(Value::Null, Value::Float));
    members.put_set("inbound_rules", encode_rules(&spec.ingress, before.inbound_rules.as_deref()));
    members.put_set("outbound_rules", encode_rules(&spec.egress, before.outbound_rules.as_deref()));
    members.put("selector", Value::Text(spec.selector.as_str().into()));
    members.put_set("untracked", Value::Bool(spec.do_not_track));
    members.put_set("annotations", map(&document.metadata.annotations));
    members.put_set("pre_dnat", Value::Bool(spec.pre_dnat));
    members.put_set("types", borrowed(&spec.types));
    members.keep_unknown(previous, &POLICY_NAMES)
}

fn decode_rules(rules: Option<Vec<Json>>) -> Result<Vec<Rule>, StoredError> {
    rules.unwrap_or_default().into_iter().map(decode_rule).collect()
}

fn decode_rule(json: Json) -> Result<Rule, StoredError> {
    let known = match json {
        Json::Object(object) => known_only(object, &RULE_NAMES),
        Json::Null => Json::Object(serde_json::Map::new()),
        other => return Err(StoredError(format!("expected a rule, found {}", word(&other)))),
    };
    let stored = StoredRule::deserialize(known).map_err(|error| StoredError(error.to_string()))?;
    let action = match stored.action.as_deref() {
        None | Some("") => "allow".to_owned(),
        Some("next-tier") => "pass".to_owned(),
        Some(action) => action.to_owned(),
    };
    let icmp = |icmp_type: Option<i64>, code: Option<i64>| {
        (icmp_type.is_some() || code.is_some()).then_some(ICMPFields { icmp_type, code })
    };
    Ok(Rule {
        action,
        ip_version: stored.ip_version,
        protocol: stored.protocol.map(|p| p.0),
        icmp: icmp(stored.icmp_type, stored.icmp_code),
        not_protocol: stored.not_protocol.map(|p| p.0),
        not_icmp: icmp(stored.not_icmp_type, stored.not_icmp_code),
        source: EntityRule {
            tag: stored.src_tag.unwrap_or_default(),
            net: None,
            nets: nets(stored.src_nets, stored.src_net),
            selector: stored.src_selector.unwrap_or_default(),
            ports: ports(stored.src_ports),
            not_tag: stored.not_src_tag.unwrap_or_default(),
            not_net: None,
            not_nets: nets(stored.not_src_nets, stored.not_src_net),
            not_selector: stored.not_src_selector.unwrap_or_default(),
            not_ports: ports(stored.not_src_ports),
        },
        destination: EntityRule {
            tag: stored.dst_tag.unwrap_or_default(),
            net: None,
            nets: nets(stored.dst_nets, stored.dst_net),
            selector: stored.dst_selector.unwrap_or_default(),
            ports: ports(stored.dst_ports),
            not_tag: stored.not_dst_tag.unwrap_or_default(),
            not_net: None,
            not_nets: nets(stored.not_dst_nets, stored.not_dst_net),
            not_selector: stored.not_dst_selector.unwrap_or_default(),
            not_ports: ports(stored.not_dst_ports),
        },
    })
}

/// The list, with the single network of older records behind it.
fn nets(list: Option<Vec<AsText<Cidr>>>, single: Option<AsText<Cidr>>) -> Vec<Cidr> {
    list.into_iter().flatten().chain(single).map(|cidr| cidr.0).collect()
}

fn ports(list: Option<Vec<StoredPort>>) -> Vec<Port> {
    list.into_iter().flatten().map(|port| port.0).collect()
}

fn encode_rules<'a>(rules: &'a [Rule], before: Option<&[Json]>) -> Value<'a> {
    let encode = |(index, rule)| encode_rule(rule, before.and_then(|before| before.get(index)));
    Value::List(rules.iter().enumerate().map(encode).collect())
}

/// `before` is the rule that stood at this place: if it says the same, what others added to it stays.
fn encode_rule<'a>(rule: &'a Rule, before: Option<&Json>) -> Value<'a> {
    let action = if rule.action == "pass" { "next-tier" } else { rule.action.as_str() };
    let number = |value: Option<i64>| value.map_or(Value::Null, |value| Value::Int(value.into()));
    let (icmp, not_icmp) = (rule.icmp.as_ref(), rule.not_icmp.as_ref());
    let mut m = Members::new();
    m.put_set("action", Value::Text(action.into()));
    m.put_set("ip_version", number(rule.ip_version));
    m.put_set("protocol", protocol(rule.protocol.as_ref()));
    m.put_set("!protocol", protocol(rule.not_protocol.as_ref()));
    m.put_set("icmp_type", number(icmp.and_then(|icmp| icmp.icmp_type)));
    m.put_set("icmp_code", number(icmp.and_then(|icmp| icmp.code)));
    m.put_set("!icmp_type", number(not_icmp.and_then(|icmp| icmp.icmp_type)));
    m.put_set("!icmp_code", number(not_icmp.and_then(|icmp| icmp.code)));
    let (source, destination) = (&rule.source, &rule.destination);
    m.put_set("src_tag", Value::Text(source.tag.as_str().into()));
    m.put_set("src_net", network(source.net));
    m.put_set("src_nets", networks(&source.nets));
    m.put_set("src_selector", Value::Text(source.selector.as_str().into()));
    m.put_set("src_ports", port_list(&source.ports));
    m.put_set("dst_tag", Value::Text(destination.tag.as_str().into()));
    m.put_set("dst_selector", Value::Text(destination.selector.as_str().into()));
    m.put_set("dst_net", network(destination.net));
    m.put_set("dst_nets", networks(&destination.nets));
    m.put_set("dst_ports", port_list(&destination.ports));
    m.put_set("!src_tag", Value::Text(source.not_tag.as_str().into()));
    m.put_set("!src_net", network(source.not_net));
    m.put_set("!src_nets", networks(&source.not_nets));
    m.put_set("!src_selector", Value::Text(source.not_selector.as_str().into()));
    m.put_set("!src_ports", port_list(&source.not_ports));
    m.put_set("!dst_tag", Value::Text(destination.not_tag.as_str().into()));
    m.put_set("!dst_selector", Value::Text(destination.not_selector.as_str().into()));
    m.put_set("!dst_net", network(destination.not_net));
    m.put_set("!dst_nets", networks(&destination.not_nets));
    m.put_set("!dst_ports", port_list(&destination.not_ports));
    if let Some(Json::Object(object)) = before {
        let said = decode_rule(Json::Object(object.clone()));
        let says = serde_json::from_str(&compact(&Value::Map(m.0.clone())))
            .map_or_else(|_| said.clone(), decode_rule);
        if said.is_ok() && said == says {
            m.keep_unknown_of(object, &RULE_NAMES);
        }
    }
    Value::Map(m.0)
}

fn protocol(protocol: Option<&Protocol>) -> Value<'_> {
    match protocol {
        None => Value::Null,
        Some(Protocol::Number(number)) => Value::Int(i128::from(*number)),
        Some(Protocol::Name(name)) => Value::Text(Cow::Borrowed(name)),
    }
}

fn network(net: Option<Cidr>) -> Value<'static> {
    net.map_or(Value::Null, |net| Value::Text(net.masked().to_string().into()))
}

// COMPAT(source-nets): upstream masks destination networks only; both are masked here.
fn networks(nets: &[Cidr]) -> Value<'static> {
    texts(nets.iter().map(|net| net.masked()))
}

fn port_list(ports: &[Port]) -> Value<'static> {
    let port = |port: &Port| {
        port.as_single()
            .map_or_else(|| Value::Text(port.to_string().into()), |port| Value::Int(i128::from(port)))
    };
    Value::List(ports.iter().map(port).collect())
}

const PROFILE_RULES_NAMES: [&str; 2] = ["inbound_rules", "outbound_rules"];

#[derive(Deserialize, Default)]
#[serde(default, deny_unknown_fields)]
struct StoredProfileRules {
    inbound_rules: Option<Vec<Json>>,
    outbound_rules: Option<Vec<Json>>,
}

/// The value of one part of a profile; `previous` is the part's value now.
#[must_use]
pub fn encode_profile_part(profile: &Profile, part: ProfilePart, previous: Option<&str>) -> String {
    compact(&match part {
        // Felix takes no null here: empty lists and maps are written out.
        ProfilePart::Tags => borrowed(&profile.metadata.tags),
        ProfilePart::Labels => map(&profile.metadata.labels),
        ProfilePart::Rules => {
            let before =
                previous.and_then(|text| read::<StoredProfileRules>(text, &PROFILE_RULES_NAMES).ok());
            let before = before.unwrap_or_default();
            let mut members = Members::new();
            members.put_set(
                "inbound_rules",
                encode_rules(&profile.spec.ingress, before.inbound_rules.as_deref()),
            );
            members.put_set(
                "outbound_rules",
                encode_rules(&profile.spec.egress, before.outbound_rules.as_deref()),
            );
            members.keep_unknown(previous, &PROFILE_RULES_NAMES)
        }
    })
}

/// A profile from whatever parts of it are stored.
///
/// # Errors
/// What is wrong, and with which part.
pub fn decode_profile(
    name: &str,
    tags: Option<&str>,
    labels: Option<&str>,
    rules: Option<&str>,
) -> Result<Profile, StoredError> {
    let mut profile = Profile::default();
    name.clone_into(&mut profile.metadata.name);
    let part = |word: &'static str| move |error: serde_json::Error| StoredError(format!("{word}: {error}"));
    if let Some(text) = tags {
        profile.metadata.tags =
            serde_json::from_str::<Option<Vec<String>>>(text).map_err(part("tags"))?.unwrap_or_default();
    }
    if let Some(text) = labels {
        let labels = serde_json::from_str::<Option<BTreeMap<String, String>>>(text);
        profile.metadata.labels = labels.map_err(part("labels"))?.unwrap_or_default();
    }
    if let Some(text) = rules {
        let in_rules = |error: StoredError| StoredError(format!("rules: {error}"));
        let stored: StoredProfileRules = read(text, &PROFILE_RULES_NAMES).map_err(in_rules)?;
        profile.spec.ingress = decode_rules(stored.inbound_rules).map_err(in_rules)?;
        profile.spec.egress = decode_rules(stored.outbound_rules).map_err(in_rules)?;
    }
    Ok(profile)
}
