//! Checks of policies, profiles and their rules (`spec/api-v1.md` 4.3, 4.4, 5).

use margay_net::{Cidr, Port, Protocol};

use super::{Checker, Fault, Scope, go_list, go_pointer};
use crate::decode::Segment;
use crate::pattern::Pattern;
use crate::record::FieldValue;
use crate::v1::{EntityRule, ICMPFields, Policy, PolicySpec, Profile, Rule};

const PROTOCOLS: [&str; 6] = ["tcp", "udp", "icmp", "icmpv6", "sctp", "udplite"];

pub(super) fn profile(checker: &mut Checker, document: &Profile, scope: Scope) {
    checker.within(Segment::Field("metadata"), |c| {
        c.pattern("name", &document.metadata.name, Pattern::NamespacedName);
        c.patterns("tags", &document.metadata.tags, Pattern::Name);
        c.labels(&document.metadata.labels);
    });
    if scope == Scope::All {
        checker.within(Segment::Field("spec"), |c| {
            rules(c, "ingress", &document.spec.ingress);
            rules(c, "egress", &document.spec.egress);
        });
    }
}

pub(super) fn policy(checker: &mut Checker, document: &Policy, scope: Scope) {
    checker.within(Segment::Field("metadata"), |c| {
        c.pattern("name", &document.metadata.name, Pattern::NamespacedName);
    });
    if scope == Scope::All {
        checker.within(Segment::Field("spec"), |c| policy_spec(c, &document.spec));
    }
}

fn policy_spec(c: &mut Checker, spec: &PolicySpec) {
    rules(c, "ingress", &spec.ingress);
    rules(c, "egress", &spec.egress);
    c.selector("selector", &spec.selector);
    c.within(Segment::Field("types"), |c| {
        for (index, word) in spec.types.iter().enumerate().filter(|(_, word)| !is_type(word)) {
            let name = format!("types[{index}]");
            let message = format!("'{word}' is not one of ingress, egress");
            let hint = crate::decode::nearest(word, ["ingress", "egress"].into_iter())
                .map(|word| format!("did you mean '{word}'?"));
            c.within(Segment::Index(index), |c| {
                c.report(Fault { name: &name, value: word.clone(), reason: None, message, hint });
            });
        }
    });
    if spec.do_not_track && spec.pre_dnat {
        let reason = "PreDNAT and DoNotTrack cannot both be true, for a given PolicySpec";
        refuse(c, "preDNAT", "PolicySpec.PreDNAT", "true".to_owned(), reason);
    }
    if spec.pre_dnat && !spec.egress.is_empty() {
        let dump: Vec<String> = spec.egress.iter().map(go_dump).collect();
        let reason = "PreDNAT PolicySpec cannot have any EgressRules";
        refuse(c, "egress", "PolicySpec.EgressRules", go_list(&dump), reason);
    }
    if spec.pre_dnat && spec.types.iter().any(|word| word == "egress") {
        let reason = "PreDNAT PolicySpec cannot have 'egress' Type";
        refuse(c, "types", "PolicySpec.Types", go_list(&spec.types), reason);
    }
    let twice = spec.types.iter().enumerate().find(|(index, word)| spec.types[..*index].contains(word));
    if let Some((_, word)) = twice {
        let reason = format!("'{word}' type specified more than once");
        refuse(c, "types", "PolicySpec.Types", go_list(&spec.types), &reason);
    }
}

fn is_type(word: &str) -> bool {
    matches!(word, "ingress" | "egress")
}

/// The Go dump of a rule, which upstream prints as a value.
fn go_dump(rule: &Rule) -> String {
    {
        let mut out = String::new();
        margay_text::go_fmt::write_go_value(&mut out, &rule.go_value());
        out
    }
}

fn refuse(c: &mut Checker, field: &'static str, name: &str, value: String, reason: &str) {
    c.within(Segment::Field(field), |c| {
        c.report(Fault { name, value, reason: Some(reason), message: reason.to_owned(), hint: None });
    });
}

fn rules(c: &mut Checker, field: &'static str, rules: &[Rule]) {
    c.within(Segment::Field(field), |c| {
        for (index, one) in rules.iter().enumerate() {
            c.within(Segment::Index(index), |c| rule(c, one));
        }
    });
}

fn rule(c: &mut Checker, rule: &Rule) {
    c.one_of("action", "action", &rule.action, &["allow", "deny", "log", "pass"]);
    if let Some(version) = rule.ip_version.filter(|version| !matches!(version, 4 | 6)) {
        c.within(Segment::Field("ipVersion"), |c| {
            let message = format!("{version} is not an IP version: 4 or 6");
            c.report(Fault {
                name: "ipVersion",
                value: version.to_string(),
                reason: None,
                message,
                hint: None,
            });
        });
    }
    protocol(c, "protocol", rule.protocol.as_ref());
    icmp(c, "icmp", rule.icmp.as_ref());
    protocol(c, "notProtocol", rule.not_protocol.as_ref());
    icmp(c, "notICMP", rule.not_icmp.as_ref());
    c.within(Segment::Field("source"), |c| entity(c, &rule.source));
    c.within(Segment::Field("destination"), |c| entity(c, &rule.destination));
    ports_fit_protocol(c, rule);
    net_or_nets(c, rule);
    versions(c, rule);
}

fn protocol(c: &mut Checker, field: &'static str, protocol: Option<&Protocol>) {
    let (value, reason, hint) = match protocol {
        None => return,
        Some(Protocol::Number(0)) => ("0".to_owned(), "protocol number invalid", None),
        Some(Protocol::Number(_)) => return,
        Some(Protocol::Name(name)) if PROTOCOLS.contains(&name.as_str()) => return,
        Some(Protocol::Name(name)) => {
            let near = crate::decode::nearest(name, PROTOCOLS.into_iter());
            let hint = near.map_or_else(
                || format!("one of {}, or a number from 1 to 255", PROTOCOLS.join(", ")),
                |near| format!("did you mean '{near}'?"),
            );
            (name.clone(), "protocol name invalid", Some(hint))
        }
    };
    c.within(Segment::Field(field), |c| {
        c.report(Fault { name: "Protocol", value, reason: Some(reason), message: reason.to_owned(), hint });
    });
}

fn icmp(c: &mut Checker, field: &'static str, icmp: Option<&ICMPFields>) {
    let Some(icmp) = icmp else { return };
    c.within(Segment::Field(field), |c| {
        for (field, value, limit) in [("type", icmp.icmp_type, 254), ("code", icmp.code, 255)] {
            if let Some(value) = value.filter(|value| !(0..=limit).contains(value)) {
                let message = format!("{value} is not from 0 to {limit}");
                c.within(Segment::Field(field), |c| {
                    c.report(Fault {
                        name: field,
                        value: value.to_string(),
                        reason: None,
                        message,
                        hint: None,
                    });
                });
            }
        }
        if let (None, Some(code)) = (icmp.icmp_type, icmp.code) {
            refuse(c, "code", "Code", code.to_string(), "ICMP code specified without an ICMP type");
        }
    });
}

fn entity(c: &mut Checker, entity: &EntityRule) {
    c.pattern("tag", &entity.tag, Pattern::Name);
    c.selector("selector", &entity.selector);
    ports(c, "ports", &entity.ports);
    c.pattern("notTag", &entity.not_tag, Pattern::Name);
    c.selector("notSelector", &entity.not_selector);
    ports(c, "notPorts", &entity.not_ports);
}

fn ports(c: &mut Checker, field: &'static str, ports: &[Port]) {
    c.within(Segment::Field(field), |c| {
        for (index, port) in ports.iter().enumerate().filter(|(_, port)| Port::min(**port) == 0) {
            c.within(Segment::Index(index), |c| {
                c.report(Fault {
                    name: "Port",
                    value: Port::max(*port).to_string(),
                    // COMPAT(port-error): upstream's text names the wrong limits.
                    reason: Some("port range invalid, port number must be between 0 and 65536"),
                    message: format!("port {port} is not allowed"),
                    hint: Some("ports go from 1 to 65535".to_owned()),
                });
            });
        }
    });
}

fn ports_fit_protocol(c: &mut Checker, rule: &Rule) {
    if rule.protocol.as_ref().is_some_and(Protocol::supports_ports) {
        return;
    }
    for (side, field, name, ports) in [
        ("source", "ports", "Source.Ports", &rule.source.ports),
        ("source", "notPorts", "Source.NotPorts", &rule.source.not_ports),
        ("destination", "ports", "Destination.Ports", &rule.destination.ports),
        ("destination", "notPorts", "Destination.NotPorts", &rule.destination.not_ports),
    ] {
        if !ports.is_empty() {
            c.within(Segment::Field(side), |c| {
                c.within(Segment::Field(field), |c| {
                    c.report(Fault {
                        name,
                        value: go_list(ports),
                        reason: Some("protocol does not support ports"),
                        message: "ports need a protocol that has them".to_owned(),
                        hint: Some("set protocol to tcp or udp in this rule".to_owned()),
                    });
                });
            });
        }
    }
}

fn net_or_nets(c: &mut Checker, rule: &Rule) {
    let ends = [&rule.source, &rule.destination];
    let net = ends.iter().any(|end| end.net.is_some() || end.not_net.is_some());
    let nets = ends.iter().any(|end| !end.nets.is_empty() || !end.not_nets.is_empty());
    if net && nets {
        c.report(Fault {
            name: "Source/Destination.Net/Nets",
            value: go_list(&rule.source.nets),
            reason: Some("only one of Net and Nets fields allowed"),
            message: "net or notNet stand beside nets or notNets in one rule".to_owned(),
            hint: Some("move the network of net into nets, and that of notNet into notNets".to_owned()),
        });
    }
}

fn versions(c: &mut Checker, rule: &Rule) {
    let mut seen = None;
    for (side, name, net_field, nets_field, net, nets) in [
        ("source", "Source.Net(s)", "net", "nets", rule.source.net, &rule.source.nets),
        ("source", "Source.NotNet(s)", "notNet", "notNets", rule.source.not_net, &rule.source.not_nets),
        ("destination", "Destination.Net(s)", "net", "nets", rule.destination.net, &rule.destination.nets),
        (
            "destination",
            "Destination.NotNet(s)",
            "notNet",
            "notNets",
            rule.destination.not_net,
            &rule.destination.not_nets,
        ),
    ] {
        let all: Vec<Cidr> = net.into_iter().chain(nets.iter().copied()).collect();
        let Some(first) = all.first() else { continue };
        let shown = || if nets.is_empty() { go_pointer(net.as_ref()) } else { go_list(nets) };
        let field = if nets.is_empty() { net_field } else { nets_field };
        let mut refuse = |value: String, reason: &str| {
            c.within(Segment::Field(side), |c| refuse(c, field, name, value, reason));
        };
        let wanted = rule.ip_version;
        if wanted.is_some_and(|v| all.iter().any(|cidr| i64::from(cidr.version().number()) != v)) {
            // COMPAT(ip-version-value): upstream prints source.net whatever the field.
            refuse(shown(), "rule IP version doesn't match CIDR version");
        }
        let version = *seen.get_or_insert(first.version());
        if all.iter().any(|cidr| cidr.version() != version) {
            refuse(shown(), "rule contains both IPv4 and IPv6 CIDRs");
        }
    }
}
