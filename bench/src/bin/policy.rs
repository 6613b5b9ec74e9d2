//! The calculation on one core: a cluster's records loaded, then single changes, then the memory that it takes.
//!
//! Usage: policy [ENDPOINTS [LOCAL [POLICIES]]], by default 100,000 endpoints, 1,000 of this host, 10,000 policies.

use std::time::{Duration, Instant};

use margay_policy::{Calculator, Options};

const HOST: &str = "node0000";
const NAMESPACES: usize = 100;
const APPS: usize = 20;

fn main() {
    let arguments: Vec<usize> =
        std::env::args().skip(1).map(|word| word.parse().expect("a number of records")).collect();
    let size = |at: usize, default| arguments.get(at).copied().unwrap_or(default);
    let (endpoints, local, policies) = (size(0, 100_000), size(1, 1_000), size(2, 10_000));
    let host_of = |i: usize| if i * 7_919 % endpoints < local { 0 } else { 1 + i % 999 };
    let here: Vec<usize> = (0..endpoints).filter(|i| host_of(*i) == 0).collect();
    let before = resident();
    let mut calculator = Calculator::new(HOST.into(), Options::default());
    let mut busy = Duration::ZERO;
    let mut put = |calculator: &mut Calculator, key: &str, value: &str| {
        let started = Instant::now();
        calculator.update(key, Some(value));
        busy += started.elapsed();
    };
    for i in 0..endpoints {
        let (key, value) = endpoint(i, host_of(i), i / NAMESPACES % APPS);
        put(&mut calculator, &key, &value);
    }
    for i in 0..policies {
        let (key, value) = policy(i);
        put(&mut calculator, &key, &value);
    }
    for i in 0..NAMESPACES {
        for (part, value) in profile(i) {
            put(&mut calculator, &format!("/calico/v1/policy/profile/k8s_ns.ns{i}/{part}"), &value);
        }
    }
    let loaded = resident();
    let started = Instant::now();
    calculator.in_sync();
    let changes = calculator.take_changes();
    let first = started.elapsed();
    let members: usize = changes
        .sets
        .values()
        .map(|change| match change {
            margay_intent::SetChange::Replace(members) => members.len(),
            _ => 0,
        })
        .sum();
    println!("{endpoints} endpoints, {} local, {policies} policies", changes.workloads.len());
    println!("load                 {:>9.1} ms", busy.as_secs_f64() * 1e3);
    println!("first intents        {:>9.1} ms", first.as_secs_f64() * 1e3);
    println!(
        "in use               {} policies, {} profiles, {} sets, {members} members",
        changes.policies.len(),
        changes.profiles.len(),
        changes.sets.len()
    );
    drop(changes);
    println!("resident after load  {:>9.1} MiB", mib(loaded - before));
    println!("resident after first {:>9.1} MiB", mib(resident() - before));
    let change = |name: &str, calculator: &mut Calculator, f: &mut dyn FnMut(usize) -> (String, String)| {
        let mut times: Vec<Duration> = Vec::new();
        let mut changed = 0;
        for round in 0..5_000 {
            let (key, value) = f(round);
            let started = Instant::now();
            calculator.update(&key, Some(&value));
            let changes = calculator.take_changes();
            times.push(started.elapsed());
            changed += usize::from(!changes.is_empty());
        }
        times.sort();
        let at = |percent: usize| times[times.len() * percent / 100].as_secs_f64() * 1e6;
        println!(
            "{name:<20} {:>9.1} us p50 {:>9.1} us p99 ({changed} of {} changed something)",
            at(50),
            at(99),
            times.len()
        );
    };
    let spread = |round: usize| round * 104_729 % endpoints;
    change("remote labels", &mut calculator, &mut |round| {
        let i = spread(round);
        endpoint(i, host_of(i), round % APPS)
    });
    change("local labels", &mut calculator, &mut |round| {
        let i = here[round % here.len()];
        endpoint(i, 0, (round + round / here.len() + 1) % APPS)
    });
    change("policy", &mut calculator, &mut |round| {
        let (key, value) = policy(round * 31 % policies);
        (key, value.replace("\"dst_ports\":[80", &format!("\"dst_ports\":[{}", 1 + round % 60_000)))
    });
    println!("resident at the end  {:>9.1} MiB", mib(resident() - before));
}

fn endpoint(i: usize, host: usize, app: usize) -> (String, String) {
    let namespace = i % NAMESPACES;
    let key = format!("/calico/v1/host/node{host:04}/workload/k8s/ns{namespace}.pod-{i:06}/endpoint/eth0");
    let address = format!("10.{}.{}.{}", i >> 16 & 255, i >> 8 & 255, i & 255);
    let value = format!(
        "{{\"state\":\"active\",\"name\":\"cali{i:011x}\",\"active_instance_id\":\"\",\"mac\":\"02:00:5e:00:00:01\",\
         \"profile_ids\":[\"k8s_ns.ns{namespace}\"],\"ipv4_nets\":[\"{address}/32\"],\"ipv6_nets\":[],\
         \"labels\":{{\"app\":\"app{app}\",\"calico/k8s_ns\":\"ns{namespace}\"}}}}"
    );
    (key, value)
}

fn policy(i: usize) -> (String, String) {
    let (namespace, app) = (i % NAMESPACES, i / NAMESPACES % APPS);
    let other = (app + 1 + i / NAMESPACES / APPS) % APPS;
    let value = format!(
        "{{\"order\":{},\"inbound_rules\":[{{\"action\":\"allow\",\"protocol\":\"tcp\",\
         \"src_selector\":\"calico/k8s_ns == 'ns{namespace}' && app == 'app{other}'\",\"dst_ports\":[80,443]}},\
         {{\"action\":\"allow\",\"protocol\":\"icmp\"}}],\
         \"selector\":\"calico/k8s_ns == 'ns{namespace}' && app == 'app{app}'\",\"types\":[\"ingress\"]}}",
        1000 + i % 3
    );
    (format!("/calico/v1/policy/tier/default/policy/knp.default.ns{namespace}.policy-{i}"), value)
}

fn profile(i: usize) -> [(&'static str, String); 3] {
    [
        ("labels", format!("{{\"pcns.name\":\"ns{i}\"}}")),
        (
            "rules",
            "{\"inbound_rules\":[{\"action\":\"allow\"}],\"outbound_rules\":[{\"action\":\"allow\"}]}"
                .to_owned(),
        ),
        ("tags", format!("[\"k8s_ns.ns{i}\"]")),
    ]
}

/// Pages in memory.
fn resident() -> usize {
    let text = std::fs::read_to_string("/proc/self/statm").expect("/proc is mounted");
    text.split(' ').nth(1).and_then(|word| word.parse().ok()).expect("statm has seven numbers")
}

fn mib(pages: usize) -> f64 {
    pages as f64 * 4096.0 / f64::from(1 << 20)
}
