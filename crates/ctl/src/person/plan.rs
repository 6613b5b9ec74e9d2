//! `margay plan -f`: the flows whose verdict a change of documents would change, old rule and new rule.
//!
//! Endpoints that no rule can tell apart are one class, and one pair of them speaks for all: the work depends on how
//! many kinds of endpoints there are. It is bounded all the same, and what was left out is told.

mod classes;
mod print;

use std::collections::BTreeSet;
use std::io;
use std::net::IpAddr;

use margay_net::IpVersion;
use margay_policy::evaluate::{Records, protocol};
use margay_policy::record::Rule;

use super::policy_explain::{Answer, End, Facts, Judge, Party, Traffic, failed, tell_broken, trouble};
use crate::grammar::command::PlanArgs;
use crate::session::Session;
use classes::Class;
use margay_client::ExitCode;

/// How many flows are looked at, before and after, at most.
const MOST_FLOWS: usize = 200_000;

/// How much is looked at for all of them: policies that may govern an endpoint, endpoints that may have an address.
const MOST_WORK: usize = 5_000_000_000;

/// An address of nobody, in both families (RFC 5737, RFC 3849).
const OUTSIDER: [&str; 2] = ["198.51.100.1", "2001:db8::1"];

/// A port that no rule names speaks for all others.
const ORDINARY_PORTS: [u16; 4] = [60_001, 30_001, 10_001, 7];

/// A flow that is not what it was.
pub(super) struct Changed {
    from: End,
    to: End,
    traffic: Traffic,
    before: Answer,
    after: Answer,
    /// How many pairs of endpoints it speaks for.
    pairs: usize,
}

/// Everything that changes.
pub(super) struct Plan {
    changed: Vec<Changed>,
    /// Flows looked at.
    looked_at: usize,
    /// Flows there are.
    all: usize,
}

/// Shows what would change. Exit 0 nothing, 1 something, 2 error.
pub(crate) fn plan(session: &mut Session<'_, '_>, args: &PlanArgs) -> io::Result<ExitCode> {
    let before = match Facts::from_datastore(session, &args.config)? {
        Ok(facts) => facts,
        Err(failure) => return failed(session, failure),
    };
    let mut after = before.clone();
    for filename in &args.filenames {
        if let Err(failure) = after.apply_file(session, filename)? {
            return failed(session, failure);
        }
    }
    let plan = match compare(&before, &after) {
        Ok(plan) => plan,
        Err(text) => return trouble(session, &text),
    };
    tell_broken(session, &after.records)?;
    if plan.looked_at < plan.all {
        session.note(&format!("warning: cut at {} of {} flows", plan.looked_at, plan.all))?;
    }
    let text = if args.json { print::json(&plan) } else { print::text(&plan, &before, &after) };
    session.invocation.stdout.write_all(text.as_bytes())?;
    Ok(if plan.changed.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn compare(before: &Facts, after: &Facts) -> Result<Plan, String> {
    let mut classes = classes::classes(before, after);
    classes.push(Class::of_one(End {
        party: Party::Outside,
        name: "outside".to_owned(),
        addresses: OUTSIDER.map(|text| text.parse::<IpAddr>().expect("an address")).to_vec(),
    }));
    let most = most_flows(&after.records);
    let usual = usual_traffic(&before.records, &after.records);
    let (mut old, mut new) = (Judge::new(before), Judge::new(after));
    let named: Vec<_> = classes.iter().map(|class| traffic_of(class.first(), &mut old, &mut new)).collect();
    let mut plan = Plan { changed: Vec::new(), looked_at: 0, all: 0 };
    for (from, of_from) in classes.iter().zip(&named) {
        for (to, of_to) in classes.iter().zip(&named) {
            // Between two that nothing new governs, nothing is new.
            if !(from.egress_affected || to.ingress_affected) {
                continue;
            }
            let Some((from, to, pairs)) = from.pair(to) else { continue };
            let traffic: BTreeSet<Traffic> = usual.iter().chain(of_from).chain(of_to).copied().collect();
            for version in [IpVersion::V4, IpVersion::V6] {
                let (from, to) = (only(from, version), only(to, version));
                if from.addresses.is_empty() || to.addresses.is_empty() {
                    continue;
                }
                for traffic in traffic.iter().filter(|traffic| traffic.is_of(version)) {
                    plan.all += 1;
                    if plan.looked_at == most {
                        continue;
                    }
                    plan.looked_at += 1;
                    let (before, after) = (old.ask(&from, &to, *traffic)?, new.ask(&from, &to, *traffic)?);
                    if before.allowed != after.allowed {
                        let (from, to) = (from.clone(), to.clone());
                        plan.changed.push(Changed { from, to, traffic: *traffic, before, after, pairs });
                    }
                }
            }
        }
    }
    Ok(plan)
}

/// How many flows can be looked at: the more records there are, the longer each one takes.
fn most_flows(records: &Records) -> usize {
    let endpoints = records.workloads.len() + records.host_endpoints.len();
    (MOST_WORK / (1 + 4 * records.policies.len() + 10 * endpoints)).min(MOST_FLOWS)
}

/// An end with the addresses of one family.
fn only(end: &End, version: IpVersion) -> End {
    let is_of = |address: &IpAddr| address.is_ipv4() == (version == IpVersion::V4);
    End { addresses: end.addresses.iter().copied().filter(is_of).collect(), ..end.clone() }
}

/// The kinds of packets that the rules for an end name, before and after.
fn traffic_of(end: &End, old: &mut Judge<'_>, new: &mut Judge<'_>) -> BTreeSet<Traffic> {
    let mut all = BTreeSet::new();
    for rule in old.rules_of(end).into_iter().chain(new.rules_of(end)) {
        for protocol in rule.protocol.iter().chain(&rule.not_protocol).map(|protocol| protocol.number) {
            let ranges = rule.destination.ports.iter().chain(&rule.destination.not_ports);
            let ports = ranges.flat_map(|range| [range.first, range.last]).filter(|port| *port > 0);
            all.extend(ports.map(|port| Traffic { protocol, port: Some(port) }));
            if !Traffic::has_ports(protocol) {
                all.insert(Traffic { protocol, port: None });
            }
        }
    }
    all
}

/// The kinds of packets that are looked at in any case: a port that no rule names, and pings.
fn usual_traffic(before: &Records, after: &Records) -> BTreeSet<Traffic> {
    let is_named = |port: u16| {
        rules(before).chain(rules(after)).any(|rule| {
            let mut ranges = rule.destination.ports.iter().chain(&rule.destination.not_ports);
            ranges.any(|range| range.contains(port))
        })
    };
    let port = ORDINARY_PORTS.into_iter().find(|port| !is_named(*port)).unwrap_or(ORDINARY_PORTS[0]);
    let with_port = [protocol::TCP, protocol::UDP].map(|protocol| Traffic { protocol, port: Some(port) });
    let without = [protocol::ICMP, protocol::ICMPV6].map(|protocol| Traffic { protocol, port: None });
    with_port.into_iter().chain(without).collect()
}

/// Every rule of every policy and profile.
fn rules(records: &Records) -> impl Iterator<Item = &Rule> {
    let policies = records.policies.values().flat_map(|policy| policy.ingress.iter().chain(&policy.egress));
    let profiles = records.profile_rules.values().flat_map(|rules| rules.ingress.iter().chain(&rules.egress));
    policies.chain(profiles)
}

#[cfg(test)]
mod tests;
