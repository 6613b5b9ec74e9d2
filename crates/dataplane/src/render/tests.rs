use std::collections::BTreeMap;
use std::sync::Arc;

use margay_intent::{
    Action, Direction, Families, IcmpMatch, Peer, Policy, PolicyId, PortRange, Profile, ProfileId,
    ProtocolMatch, Rule, SetId, Tier, TierEnd,
};

use super::matching::criteria;
use super::program::Source;
use super::*;
use crate::config::Config;
use crate::names::{Flavour, ProgramKey, ProgramKind};

fn rule(action: Action) -> Rule {
    Rule {
        index: 0,
        action,
        families: Families::Both,
        protocol: ProtocolMatch::Any,
        source: Peer::default(),
        destination: Peer::default(),
        icmp: None,
        not_icmp: None,
        log_prefix: None,
    }
}

fn nets(list: &[&str]) -> Vec<margay_net::Cidr> {
    list.iter().map(|net| net.parse().unwrap()).collect()
}

fn ports(list: &[(u16, u16)]) -> Vec<PortRange> {
    list.iter().map(|(first, last)| PortRange { first: *first, last: *last }).collect()
}

/// The criteria of a rule, one line for each way in which they are written.
fn written(rule: &Rule) -> Vec<String> {
    let text = |statements: Vec<Statement>| {
        statements.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ").trim().to_owned()
    };
    criteria(rule).into_iter().map(text).collect()
}

fn policy(name: &str) -> PolicyId {
    PolicyId { name: name.into(), tier: "default".into() }
}

/// A chain's rules as the `nft` tool would write them, without stamps; names without hashes.
fn chain(policies: &[(&str, Policy)], profiles: &[(&str, Profile)], key: &ChainKey) -> Vec<String> {
    let config = Config::default();
    let policies: BTreeMap<PolicyId, Arc<Policy>> =
        policies.iter().map(|(name, rules)| (policy(name), Arc::new(rules.clone()))).collect();
    let profiles: BTreeMap<ProfileId, Arc<Profile>> =
        profiles.iter().map(|(name, rules)| (ProfileId::from(*name), Arc::new(rules.clone()))).collect();
    let source = Source { policies: &policies, profiles: &profiles, config: &config };
    let rendered = source.render(key, &key.name());
    assert_eq!(rendered.rules.len(), rendered.stamps.len());
    rendered.rules.iter().map(|rule| plain(&rule.to_string())).collect()
}

fn plain(rule: &str) -> String {
    let (rule, comment) = rule.split_once(" comment \"").unwrap_or((rule, ""));
    let words = Stamp::words(comment.trim_end_matches('"'));
    let hash = |word: &str| word.len() == 20 && word.chars().all(|c| c.is_ascii_hexdigit());
    let mut rule: Vec<String> = rule
        .split(' ')
        .map(|word| match word.rsplit_once('-') {
            Some((name, last)) if hash(last) => name.to_owned(),
            _ => word.to_owned(),
        })
        .collect();
    if !words.is_empty() {
        rule.push(format!("# {words}"));
    }
    rule.join(" ")
}

fn program(kind: ProgramKind, policies: &[&str], profiles: &[&str]) -> Arc<ProgramKey> {
    let policies: Vec<PolicyId> = policies.iter().map(|name| policy(name)).collect();
    let tier = Tier { name: "default".into(), policies, end: TierEnd::Deny };
    Arc::new(ProgramKey {
        kind,
        entry: true,
        tiers: if tier.policies.is_empty() { Vec::new() } else { vec![tier] },
        profiles: profiles.iter().map(|name| ProfileId::from(*name)).collect(),
    })
}

#[test]
fn a_rule_without_addresses_is_one_line_for_both_families() {
    let tcp = Rule { protocol: ProtocolMatch::Is(6), ..rule(Action::Allow) };
    assert_eq!(written(&tcp), ["meta l4proto tcp"]);
    assert_eq!(written(&rule(Action::Allow)), [""]);
    assert_eq!(written(&Rule { families: Families::V6, ..tcp }), ["meta nfproto ipv6 meta l4proto tcp"]);
}

#[test]
fn a_list_without_networks_of_a_family_makes_no_rule_there_and_never_one_without_the_criterion() {
    let v4 = Rule { source: Peer { nets: nets(&["10.0.0.0/8"]), ..Peer::default() }, ..rule(Action::Allow) };
    assert_eq!(written(&v4), ["meta nfproto ipv4 ip saddr 10.0.0.0/8"]);
    let not =
        Rule { source: Peer { not_nets: nets(&["10.0.0.0/8"]), ..Peer::default() }, ..rule(Action::Deny) };
    assert_eq!(written(&not), ["meta nfproto ipv4 ip saddr != 10.0.0.0/8"]);
    let everything =
        Rule { source: Peer { not_nets: nets(&["0.0.0.0/0", "::/0"]), ..Peer::default() }, ..not };
    assert_eq!(written(&everything), Vec::<String>::new());
}

#[test]
fn positive_and_negative_lists_stand_in_each_line() {
    let both = Rule {
        source: Peer {
            nets: nets(&["10.0.0.0/8", "11.0.0.0/8"]),
            not_nets: nets(&["10.1.0.0/16"]),
            sets: vec![SetId::from("s:a"), SetId::from("s:b")],
            not_sets: vec![SetId::from("s:c")],
            ..Peer::default()
        },
        protocol: ProtocolMatch::Is(17),
        destination: Peer {
            ports: ports(&[(80, 80), (81, 90), (443, 443)]),
            not_ports: ports(&[(85, 85)]),
            ..Peer::default()
        },
        ..rule(Action::Allow)
    };
    let before = "ip saddr != 10.1.0.0/16 ip saddr @s4-a ip saddr @s4-b ip saddr != @s4-c meta l4proto udp";
    let line = |net: &str, port: &str| {
        format!("meta nfproto ipv4 ip saddr {net} {before} th dport {port} th dport != 85")
    };
    let (ten, eleven) = ("10.0.0.0/8", "11.0.0.0/8");
    assert_eq!(
        written(&both),
        [line(ten, "80-90"), line(ten, "443"), line(eleven, "80-90"), line(eleven, "443")]
    );
}

#[test]
fn long_lists_are_sets_and_short_ones_lines_of_which_a_packet_fulfils_one() {
    let with = |from: &[&str], to: &[(u16, u16)]| Rule {
        source: Peer { nets: nets(from), ..Peer::default() },
        destination: Peer { ports: ports(to), ..Peer::default() },
        protocol: ProtocolMatch::Is(6),
        families: Families::V4,
        ..rule(Action::Log)
    };
    let three = with(&["10.0.0.0/8", "10.1.0.0/16", "10.0.0.0/8"], &[(80, 82), (82, 83), (84, 84)]);
    assert_eq!(written(&three), ["meta nfproto ipv4 ip saddr 10.0.0.0/8 meta l4proto tcp th dport 80-84"]);
    let five = with(&["10.0.0.0/8"], &[(1, 1), (3, 3), (5, 5), (7, 7), (9, 9)]);
    assert_eq!(
        written(&five),
        ["meta nfproto ipv4 ip saddr 10.0.0.0/8 meta l4proto tcp th dport { 1, 3, 5, 7, 9 }"]
    );
    let product = with(&["10.0.0.0/8", "12.0.0.0/8"], &[(1, 1), (3, 3), (5, 5)]);
    assert_eq!(
        written(&product),
        ["10.0.0.0/8", "12.0.0.0/8"]
            .map(|net| format!("meta nfproto ipv4 ip saddr {net} meta l4proto tcp th dport {{ 1, 3, 5 }}"))
    );
    let not = Rule {
        destination: Peer { not_ports: ports(&[(1, 1), (3, 4)]), ..Peer::default() },
        protocol: ProtocolMatch::Is(6),
        ..rule(Action::Allow)
    };
    assert_eq!(written(&not), ["meta l4proto tcp th dport != 1 th dport != 3-4"]);
}

#[test]
fn ports_without_a_protocol_are_those_of_protocols_that_have_ports() {
    let any = Rule {
        destination: Peer { ports: ports(&[(80, 80)]), ..Peer::default() },
        protocol: ProtocolMatch::IsNot(6),
        ..rule(Action::Allow)
    };
    assert_eq!(written(&any), ["meta l4proto { udp, 33, sctp, 136 } th dport 80"]);
    assert_eq!(written(&Rule { protocol: ProtocolMatch::Is(1), ..any }), Vec::<String>::new());
}

#[test]
fn icmp_type_and_code_are_negated_together() {
    let message = |code| Some(IcmpMatch { kind: 8, code });
    let not = Rule { not_icmp: message(Some(1)), families: Families::V4, ..rule(Action::Allow) };
    assert_eq!(written(&not), ["meta nfproto ipv4 meta l4proto icmp icmp type . icmp code != 8 . 1"]);
    let tcp = Rule { protocol: ProtocolMatch::Is(6), icmp: message(None), ..rule(Action::Allow) };
    assert_eq!(written(&tcp), Vec::<String>::new());
}

#[test]
fn a_programme_opens_with_known_connections_and_ends_with_a_drop() {
    let web = Policy { ingress: vec![rule(Action::Allow)], egress: Vec::new() };
    let key = ChainKey::Program(program(ProgramKind::WorkloadIn, &["web"], &["open"]));
    assert_eq!(
        chain(&[("web", web)], &[], &key),
        [
            "ct state established,related accept",
            "ct state invalid drop",
            "jump pi-web",
            "counter drop # end of tier default",
        ]
    );
    let key = ChainKey::Program(program(ProgramKind::WorkloadOut, &[], &["open"]));
    assert_eq!(
        chain(&[], &[], &key)[2..],
        ["jump fo-open".to_owned(), "counter drop # no profile decided".to_owned()]
    );
}

#[test]
fn pass_goes_to_the_profiles_of_the_programme_and_leaves_a_profile() {
    let pass = Policy { ingress: vec![rule(Action::Pass)], egress: Vec::new() };
    let entry = program(ProgramKind::WorkloadIn, &["p"], &["open"]);
    let rest = Arc::new(entry.rest(0));
    let key = ChainKey::Policy {
        id: policy("p"),
        direction: Direction::Ingress,
        flavour: Flavour::Normal,
        rest: Some(rest.clone()),
    };
    assert_eq!(chain(&[("p", pass.clone())], &[], &key), ["goto wi-open"]);
    assert_eq!(
        chain(&[], &[], &ChainKey::Program(rest)),
        ["jump fi-open", "counter drop # no profile decided"]
    );
    let profile = Profile { ingress: pass.ingress, egress: Vec::new() };
    let key = ChainKey::Profile { id: ProfileId::from("open"), direction: Direction::Ingress };
    assert_eq!(chain(&[], &[("open", profile)], &key), ["return"]);
}

#[test]
fn before_tracking_allow_takes_the_packet_out_and_pass_ends_the_list() {
    let rules = Policy { ingress: vec![rule(Action::Pass), rule(Action::Allow)], egress: Vec::new() };
    let key =
        |flavour| ChainKey::Policy { id: policy("p"), direction: Direction::Ingress, flavour, rest: None };
    assert_eq!(
        chain(&[("p", rules.clone())], &[], &key(Flavour::Untracked)),
        ["accept", "notrack meta mark set meta mark | 0x01000000 accept"]
    );
    assert_eq!(
        chain(&[("p", rules)], &[], &key(Flavour::PreDnat)),
        ["accept", "meta mark set meta mark | 0x01000000 accept"]
    );
}

#[test]
fn what_is_not_there_denies() {
    let key = ChainKey::Profile { id: ProfileId::from("lost"), direction: Direction::Egress };
    assert_eq!(chain(&[], &[], &key), ["counter drop # profile lost is not there"]);
    let key = ChainKey::Policy {
        id: policy("lost"),
        direction: Direction::Egress,
        flavour: Flavour::Normal,
        rest: None,
    };
    assert_eq!(chain(&[], &[], &key), ["counter drop # policy lost is not there"]);
}

#[test]
fn a_log_line_carries_the_rules_prefix_cut_to_what_can_be_printed() {
    let log = Rule { log_prefix: Some(format!("a\n\"{}", "x".repeat(200)).into()), ..rule(Action::Log) };
    let policy_of = |rule| Policy { ingress: vec![rule], egress: Vec::new() };
    let key = ChainKey::Policy {
        id: policy("p"),
        direction: Direction::Ingress,
        flavour: Flavour::Normal,
        rest: None,
    };
    let lines = chain(&[("p", policy_of(log))], &[], &key);
    assert!(lines[0].contains(&format!("log prefix \"a{}: \" level notice", "x".repeat(124))), "{lines:?}");
    let lines = chain(&[("p", policy_of(rule(Action::Log)))], &[], &key);
    assert!(
        lines[0].contains("limit rate 10/second") && lines[0].contains("\"calico-packet: \""),
        "{lines:?}"
    );
}

#[test]
fn a_stamp_stands_for_a_rule_and_all_before_it() {
    let stamps = |words: &[&str]| {
        let mut chain = Builder::new(&"c".parse().unwrap());
        words.iter().for_each(|words| chain.drop(words));
        chain.finish().stamps
    };
    let (a, b) = (stamps(&["x", "y"]), stamps(&["z", "y"]));
    assert_eq!(stamps(&["x"])[0], a[0]);
    assert_ne!(a[1], b[1]);
    let comment = "calico:00000000000000ff end of tier";
    assert_eq!((Stamp::read(Some(comment)), Stamp::words(comment)), (Some(Stamp(255)), "end of tier"));
    assert_eq!(Stamp::read(Some("calico:ff")), None);
    assert_eq!(Stamp::read(Some("mine")), None);
}
