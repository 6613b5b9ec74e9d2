//! `margay plan -f`: the flows whose verdict a change of documents would change, old rule and new rule.
//!
//! Endpoints that no rule can tell apart are one class, and one pair of them speaks for all: the work depends on how
//! many kinds of endpoints there are. It is bounded all the same, and what was left out is told.

mod classes;
mod print;

use std::collections::BTreeSet;
use std::io;
use std::net::IpAddr;

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
const MOST_WORK: usize = 1_000_000_000;

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
    let traffic = traffic(&before.records, &after.records);
    let most = most_flows(&after.records);
    let pairs = classes.iter().flat_map(|from| classes.iter().map(move |to| (from, to)));
    // Between two that nothing new governs, nothing is new.
    let pairs: Vec<_> = pairs.filter(|(from, to)| from.affected || to.affected).collect();
    let mut plan = Plan { changed: Vec::new(), looked_at: 0, all: 2 * pairs.len() * traffic.len() };
    let (mut old, mut new) = (Judge::new(before), Judge::new(after));
    for (from, to) in pairs {
        let Some((first, second, count)) = from.pair(to) else {
            plan.all -= 2 * traffic.len();
            continue;
        };
        for v4 in [true, false] {
            let (first, second) = (only(first, v4), only(second, v4));
            for traffic in &traffic {
                if plan.looked_at == most {
                    return Ok(plan);
                }
                plan.looked_at += 1;
                let is_of_family = traffic.protocol != if v4 { protocol::ICMPV6 } else { protocol::ICMP };
                if first.addresses.is_empty() || second.addresses.is_empty() || !is_of_family {
                    continue;
                }
                let before = old.ask(&first, &second, *traffic)?;
                let after = new.ask(&first, &second, *traffic)?;
                if before.allowed != after.allowed {
                    let (from, to) = (first.clone(), second.clone());
                    plan.changed.push(Changed { from, to, traffic: *traffic, before, after, pairs: count });
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
fn only(end: &End, v4: bool) -> End {
    let addresses = end.addresses.iter().copied().filter(|address| address.is_ipv4() == v4).collect();
    End { addresses, ..end.clone() }
}

/// The kinds of packets that rules tell apart by protocol and port, and some that they may not name.
fn traffic(before: &Records, after: &Records) -> Vec<Traffic> {
    let mut all = BTreeSet::new();
    let mut named = BTreeSet::new();
    for rule in rules(before).chain(rules(after)) {
        let protocols = rule.protocol.iter().chain(&rule.not_protocol).map(|protocol| protocol.number);
        for number in protocols {
            for range in rule.destination.ports.iter().chain(&rule.destination.not_ports) {
                for port in [range.first, range.last].into_iter().filter(|port| *port > 0) {
                    named.insert(port);
                    all.insert(Traffic { protocol: number, port: Some(port) });
                }
            }
            if !Traffic::has_ports(number) {
                all.insert(Traffic { protocol: number, port: None });
            }
        }
    }
    let ordinary = ORDINARY_PORTS.into_iter().find(|port| {
        rules(before).chain(rules(after)).all(|rule| {
            let mut ranges = rule.destination.ports.iter().chain(&rule.destination.not_ports);
            !ranges.any(|range| range.contains(*port))
        })
    });
    let ordinary = ordinary.unwrap_or(ORDINARY_PORTS[0]);
    for number in [protocol::TCP, protocol::UDP] {
        all.insert(Traffic { protocol: number, port: Some(ordinary) });
    }
    for number in [protocol::ICMP, protocol::ICMPV6] {
        all.insert(Traffic { protocol: number, port: None });
    }
    all.into_iter().collect()
}

/// Every rule of every policy and profile.
fn rules(records: &Records) -> impl Iterator<Item = &Rule> {
    let policies = records.policies.values().flat_map(|policy| policy.ingress.iter().chain(&policy.egress));
    let profiles = records.profile_rules.values().flat_map(|rules| rules.ingress.iter().chain(&rules.egress));
    policies.chain(profiles)
}

#[cfg(test)]
mod tests;
