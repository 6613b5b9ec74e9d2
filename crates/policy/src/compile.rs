//! From rules as written to rules as they run: families, ICMP, tags and selectors as sets (`spec/policy.md` 5).
//!
//! A rule is compiled once for both families. Where it exists is worked out here, so that a reader of the result has
//! nothing left to decide; a rule that can match no packet is left out.

use std::collections::BTreeMap;

use margay_intent as intent;
use margay_intent::{Families, ProtocolMatch, SetId};
use margay_net::{Cidr, IpVersion};
use margay_selector::Selector;

use crate::record::{Peer, Rule};

/// The sets that compiled rules name, and what selects their members.
pub type Sets = BTreeMap<SetId, Selector>;

/// The selector that a tag stands for; none for a text that is no label key.
#[must_use]
pub fn tag_selector(tag: &str) -> Option<Selector> {
    Selector::parse(&format!("has({tag})")).ok()
}

/// The name of a selector's set.
#[must_use]
pub fn set_id(selector: &Selector) -> SetId {
    SetId(selector.id().to_string().into())
}

/// Compiles the rules of one direction, adding the sets that they name.
#[must_use]
pub fn rules(rules: &[Rule], sets: &mut Sets) -> Vec<intent::Rule> {
    let mut compiled = Vec::with_capacity(rules.len());
    compiled.extend(rules.iter().filter_map(|one| rule(one, sets)));
    compiled
}

/// Compiles one rule; none when it can match no packet.
#[must_use]
pub fn rule(rule: &Rule, sets: &mut Sets) -> Option<intent::Rule> {
    let families = families(rule).ok()?;
    let protocol = match (rule.protocol, rule.not_protocol) {
        // Where both stand they differ, and the one that says more decides.
        (Some(protocol), _) => ProtocolMatch::Is(protocol.number),
        // An ICMP criterion is about one protocol, which is another than this.
        (None, Some(_)) if rule.icmp.is_some() || rule.not_icmp.is_some() => ProtocolMatch::Any,
        (None, Some(protocol)) => ProtocolMatch::IsNot(protocol.number),
        (None, None) => ProtocolMatch::Any,
    };
    Some(intent::Rule {
        index: rule.index,
        action: rule.action,
        families,
        protocol,
        source: peer(&rule.source, families, sets),
        destination: peer(&rule.destination, families, sets),
        icmp: rule.icmp,
        not_icmp: rule.not_icmp,
        log_prefix: rule.log_prefix.clone(),
    })
}

/// Why a rule can match no packet; none when it can.
#[must_use]
pub fn never_matches(rule: &Rule) -> Option<&'static str> {
    families(rule).err()
}

/// The families in which a rule exists, or why in none.
fn families(rule: &Rule) -> Result<Families, &'static str> {
    // COMPAT(protocol-twice): upstream's rule with both cannot be loaded.
    if rule.protocol.is_some_and(|is| rule.not_protocol.is_some_and(|not| is.number == not.number)) {
        return Err("protocol and !protocol are the same");
    }
    let (v4, v6) = (missing_in(rule, IpVersion::V4), missing_in(rule, IpVersion::V6));
    match (v4, v6) {
        (None, None) => Ok(Families::Both),
        (None, Some(_)) => Ok(Families::V4),
        (Some(_), None) => Ok(Families::V6),
        // The later reason says more: a rule for one family alone is missing from the other one anyway.
        (Some(v4), Some(v6)) => Err(v4.max(v6).text()),
    }
}

/// Why a rule is missing from a family, in the order in which criteria are looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Missing {
    Version,
    Protocol,
    Networks,
    Everything,
    Icmp,
}

/// Why the rule does not exist in the family, if it does not.
fn missing_in(rule: &Rule, version: IpVersion) -> Option<Missing> {
    match (rule.version, rule.protocol) {
        (Some(only), _) if only != version => return Some(Missing::Version),
        (None, Some(protocol)) if protocol.named => match (protocol.number, version) {
            (1, IpVersion::V6) | (58, IpVersion::V4) => return Some(Missing::Protocol),
            _ => {}
        },
        _ => {}
    }
    let (source, destination) = (&rule.source, &rule.destination);
    // COMPAT(negated-nets): a list of negated networks of the other family alone takes the rule out as well.
    for nets in [&source.nets, &destination.nets, &source.not_nets, &destination.not_nets] {
        if !nets.is_empty() && !nets.iter().any(|net| net.version() == version) {
            return Some(Missing::Networks);
        }
    }
    let everything = |net: &Cidr| net.prefix() == 0 && net.version() == version;
    if source.not_nets.iter().chain(&destination.not_nets).any(everything) {
        return Some(Missing::Everything);
    }
    // COMPAT(icmp-without-protocol): upstream's rule for it cannot be loaded; here the criterion implies the protocol.
    if rule.icmp.is_some() || rule.not_icmp.is_some() {
        let icmp = match version {
            IpVersion::V4 => 1,
            IpVersion::V6 => 58,
        };
        let is = rule.protocol.is_none_or(|protocol| protocol.number == icmp);
        let is_not = rule.not_protocol.is_some_and(|protocol| protocol.number == icmp);
        if !is || is_not {
            return Some(Missing::Icmp);
        }
    }
    None
}

fn peer(peer: &Peer, families: Families, sets: &mut Sets) -> intent::Peer {
    let nets = |nets: &[Cidr]| -> Vec<Cidr> {
        let kept = nets.iter().copied().filter(|net| families.has(net.version()));
        let mut list = Vec::with_capacity(nets.len());
        list.extend(kept);
        list
    };
    let mut named = |tag: Option<&str>, selector: Option<&Selector>| -> Vec<SetId> {
        let mut ids = Vec::with_capacity(usize::from(tag.is_some()) + usize::from(selector.is_some()));
        for selector in tag.and_then(tag_selector).into_iter().chain(selector.cloned()) {
            let id = set_id(&selector);
            sets.entry(id.clone()).or_insert(selector);
            ids.push(id);
        }
        ids.dedup();
        ids
    };
    intent::Peer {
        sets: named(peer.tag.as_deref(), peer.selector.as_ref()),
        not_sets: named(peer.not_tag.as_deref(), peer.not_selector.as_ref()),
        nets: nets(&peer.nets),
        not_nets: nets(&peer.not_nets),
        ports: peer.ports.to_vec(),
        not_ports: peer.not_ports.to_vec(),
    }
}

// === impl Missing ===

impl Missing {
    fn text(self) -> &'static str {
        match self {
            Self::Version => "it is for another IP version than its protocol",
            Self::Protocol => "its protocol belongs to another IP version",
            Self::Networks => "its networks are not of one IP version, or not of the rule's",
            Self::Everything => "a negated list of networks holds every address",
            Self::Icmp => "ICMP type or code on another protocol than ICMP",
        }
    }
}

#[cfg(test)]
mod tests;
