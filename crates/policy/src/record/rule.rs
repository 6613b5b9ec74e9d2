//! One rule: decoding, the checks that upstream makes, and what becomes of the shapes it gets wrong.

use std::borrow::Cow;

use margay_intent::{Action, IcmpMatch, PortRange};
use margay_model::codec::{AsText, StoredPort, StoredProtocol};
use margay_model::pattern::Pattern;
use margay_net::{Cidr, IpVersion, Protocol};
use margay_selector::Selector;

use super::members::{FieldFault, Members, text};
use super::{Effect, Peer, Rule, RuleProtocol};

/// What became of a rule that could be read.
pub(super) enum Verdict {
    /// It says what it says.
    Rule(Box<Rule>),
    /// Something is odd: what is left of it, what follows, and why.
    Odd(Option<Box<Rule>>, Effect, String),
}

/// Reads a rule; a fault takes the whole record.
pub(super) fn rule(value: &str, index: u32) -> Result<Verdict, FieldFault> {
    let members =
        Members::read(value)?.ok_or_else(|| FieldFault("expected a rule, found null".to_owned()))?;
    let action = action(&text(&members, "action")?)?;
    let version = match members.field::<i64>("ip_version")? {
        None => None,
        Some(4) => Some(IpVersion::V4),
        Some(6) => Some(IpVersion::V6),
        Some(other) => return Err(FieldFault(format!("ip_version: {other} is neither 4 nor 6"))),
    };
    let protocol = protocol(&members, "protocol")?;
    let not_protocol = protocol_or_not(&members)?;
    let (icmp, lone_code) = icmp(&members, "icmp_type", "icmp_code")?;
    let (not_icmp, lone_not_code) = icmp_not(&members)?;
    let source = peer(&members, &SOURCE)?;
    let destination = peer(&members, &DESTINATION)?;
    if !protocol.is_some_and(|protocol| matches!(protocol.number, 6 | 17)) {
        for (names, peer) in [(&SOURCE, &source), (&DESTINATION, &destination)] {
            for (name, ports) in [(names.ports, &peer.ports), (names.not_ports, &peer.not_ports)] {
                if !ports.is_empty() {
                    return Err(FieldFault(format!("{name}: ports need the protocol tcp or udp")));
                }
            }
        }
    }
    let log_prefix = Some(text(&members, "log_prefix")?).filter(|text| !text.is_empty()).map(Into::into);
    let rule = Box::new(Rule {
        index,
        action,
        version,
        protocol,
        not_protocol,
        icmp,
        not_icmp,
        source,
        destination,
        log_prefix,
    });
    Ok(judged(rule, lone_code || lone_not_code))
}

/// `lone_code` is an ICMP code without a type, which upstream forgets.
fn judged(rule: Box<Rule>, lone_code: bool) -> Verdict {
    // COMPAT(lone-icmp-code): upstream drops the code, and an allow matches more than was written.
    if lone_code {
        let message = "an ICMP code without an ICMP type".to_owned();
        return match rule.action {
            Action::Allow | Action::Pass => Verdict::Odd(None, Effect::RuleLeftOut, message),
            Action::Deny | Action::Log => Verdict::Odd(Some(rule), Effect::WithoutCode, message),
        };
    }
    match crate::compile::never_matches(&rule) {
        Some(reason) => Verdict::Odd(Some(rule), Effect::NeverMatches, reason.to_owned()),
        None => Verdict::Rule(rule),
    }
}

fn action(word: &str) -> Result<Action, FieldFault> {
    match word {
        "" | "allow" => Ok(Action::Allow),
        "deny" => Ok(Action::Deny),
        "log" => Ok(Action::Log),
        "next-tier" => Ok(Action::Pass),
        other => Err(FieldFault(format!("action: '{other}' is not one of allow, deny, log, next-tier"))),
    }
}

fn protocol(members: &Members<'_>, name: &str) -> Result<Option<RuleProtocol>, FieldFault> {
    let Some(StoredProtocol(protocol)) = members.field(name)? else { return Ok(None) };
    let named = |number| RuleProtocol { number, named: true };
    Ok(Some(match protocol {
        Protocol::Number(0) => return Err(FieldFault(format!("{name}: 0 is no protocol"))),
        Protocol::Number(number) => RuleProtocol { number, named: false },
        Protocol::Name(word) => match word.as_str() {
            "tcp" => named(6),
            "udp" => named(17),
            "icmp" => named(1),
            "icmpv6" => named(58),
            "sctp" => named(132),
            "udplite" => named(136),
            _ => return Err(FieldFault(format!("{name}: '{word}' is no protocol"))),
        },
    }))
}

fn protocol_or_not(members: &Members<'_>) -> Result<Option<RuleProtocol>, FieldFault> {
    protocol(members, "!protocol")
}

/// Type and code, and whether there is a code without a type.
fn icmp(
    members: &Members<'_>,
    of_type: &str,
    of_code: &str,
) -> Result<(Option<IcmpMatch>, bool), FieldFault> {
    let number = |name: &str, limit: u8| match members.field::<i64>(name)? {
        None => Ok(None),
        Some(value) => match u8::try_from(value) {
            Ok(value) if value <= limit => Ok(Some(value)),
            _ => Err(FieldFault(format!("{name}: {value} is not from 0 to {limit}"))),
        },
    };
    let (kind, code) = (number(of_type, 254)?, number(of_code, 255)?);
    Ok((kind.map(|kind| IcmpMatch { kind, code }), kind.is_none() && code.is_some()))
}

fn icmp_not(members: &Members<'_>) -> Result<(Option<IcmpMatch>, bool), FieldFault> {
    icmp(members, "!icmp_type", "!icmp_code")
}

/// The field names of one side.
struct Side {
    tag: &'static str,
    not_tag: &'static str,
    selector: &'static str,
    not_selector: &'static str,
    nets: [&'static str; 2],
    not_nets: [&'static str; 2],
    ports: &'static str,
    not_ports: &'static str,
}

const SOURCE: Side = Side {
    tag: "src_tag",
    not_tag: "!src_tag",
    selector: "src_selector",
    not_selector: "!src_selector",
    nets: ["src_nets", "src_net"],
    not_nets: ["!src_nets", "!src_net"],
    ports: "src_ports",
    not_ports: "!src_ports",
};

const DESTINATION: Side = Side {
    tag: "dst_tag",
    not_tag: "!dst_tag",
    selector: "dst_selector",
    not_selector: "!dst_selector",
    nets: ["dst_nets", "dst_net"],
    not_nets: ["!dst_nets", "!dst_net"],
    ports: "dst_ports",
    not_ports: "!dst_ports",
};

fn peer(members: &Members<'_>, side: &Side) -> Result<Peer, FieldFault> {
    Ok(Peer {
        tag: tag(members, side.tag)?,
        // COMPAT(not-dst-tag): upstream leaves `!dst_tag` unchecked and crashes at an illegal one.
        not_tag: tag(members, side.not_tag)?,
        selector: selector(members, side.selector)?,
        not_selector: selector(members, side.not_selector)?,
        nets: nets(members, side.nets)?,
        not_nets: nets(members, side.not_nets)?,
        ports: ports(members, side.ports)?,
        not_ports: ports(members, side.not_ports)?,
    })
}

fn tag(members: &Members<'_>, name: &str) -> Result<Option<std::sync::Arc<str>>, FieldFault> {
    let tag: Cow<'_, str> = text(members, name)?;
    if tag.is_empty() {
        return Ok(None);
    }
    if !Pattern::Name.matches(&tag) {
        return Err(FieldFault(format!("{name}: '{tag}' is no tag: {}", Pattern::Name.allows())));
    }
    Ok(Some(tag.into()))
}

/// An empty selector is no criterion here.
fn selector(members: &Members<'_>, name: &str) -> Result<Option<Selector>, FieldFault> {
    let text = text(members, name)?;
    if text.is_empty() {
        return Ok(None);
    }
    Selector::parse(&text).map(Some).map_err(|error| FieldFault(format!("{name}: {error}")))
}

fn nets(members: &Members<'_>, [list, single]: [&str; 2]) -> Result<Box<[Cidr]>, FieldFault> {
    let list: Vec<AsText<Cidr>> = members.or_default(list)?;
    let single: Option<AsText<Cidr>> = members.field(single)?;
    Ok(list.into_iter().chain(single).map(|net| net.0.masked()).collect())
}

fn ports(members: &Members<'_>, name: &str) -> Result<Box<[PortRange]>, FieldFault> {
    let list: Vec<StoredPort> = members.or_default(name)?;
    Ok(list.into_iter().map(|port| PortRange { first: port.0.min(), last: port.0.max() }).collect())
}
