//! The dataplane on a real kernel, from changed intents to the kernel's acknowledgement, beside the `nft` tool on equal
//! content, and its growth over the number of local endpoints.
//!
//! Usage: dataplane [ENDPOINTS…], by default 100 1000 10000. Interfaces do not exist: routes and settings are not measured.

use std::collections::BTreeSet;
use std::io::Write as _;
use std::net::{IpAddr, Ipv4Addr};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use margay_dataplane::{Config, Dataplane, LiveMachine};
use margay_intent::{
    Action, Changes, Families, Peer, Policy, PolicyId, PortRange, Profile, ProfileId, Program, ProtocolMatch,
    Rule, SetChange, SetId, Tier, TierEnd, WorkloadEndpoint, WorkloadId,
};
use margay_kernel::{Isolation, Namespace, isolated};
use margay_net::Cidr;

const POLICIES: usize = 2_000;
const RULES: usize = 10;
const SETS: usize = 1_000;
const MEMBERS: u32 = 100;
const PROGRAMS: usize = 100;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let mut sizes: Vec<usize> =
        arguments.iter().map(|word| word.parse().expect("a number of endpoints")).collect();
    if sizes.is_empty() {
        sizes = vec![100, 1_000, 10_000];
    }
    for endpoints in sizes {
        match Namespace::create() {
            Ok(namespace) => namespace.run(move || measure(endpoints)).expect("a visit"),
            Err(_) => match isolated("dataplane-bench", [endpoints.to_string()])
                .expect("user namespaces are allowed here")
            {
                Isolation::Inside => measure(endpoints),
                Isolation::Done(status) => assert!(status.success(), "failed inside"),
            },
        }
    }
}

fn address(number: u32) -> Ipv4Addr {
    Ipv4Addr::from_bits(0x0a00_0000 + number)
}

fn policy_id(number: usize) -> PolicyId {
    PolicyId { name: format!("policy-{number}").into(), tier: "default".into() }
}

fn set_id(number: usize) -> SetId {
    SetId::from(format!("s:set-{number}").as_str())
}

fn policy(number: usize, port: u16) -> Arc<Policy> {
    let rule = |index: usize| Rule {
        index: u32::try_from(index).expect("few"),
        action: Action::Allow,
        families: Families::Both,
        protocol: ProtocolMatch::Is(6),
        source: Peer { sets: vec![set_id((number * RULES / 2 + index) % SETS)], ..Peer::default() },
        destination: Peer {
            ports: vec![PortRange { first: port + u16::try_from(index).expect("few"), last: 60_000 }],
            ..Peer::default()
        },
        icmp: None,
        not_icmp: None,
        log_prefix: None,
    };
    // One rule is two for the kernel, one a family.
    Arc::new(Policy { ingress: (0..RULES / 2).map(rule).collect(), egress: Vec::new() })
}

fn endpoint(number: usize) -> (WorkloadId, Arc<WorkloadEndpoint>) {
    let id = WorkloadId {
        orchestrator: "k8s".into(),
        workload: format!("w{number}").into(),
        endpoint: "eth0".into(),
    };
    let first = number % PROGRAMS * (POLICIES / PROGRAMS);
    let policies = (first..first + POLICIES / PROGRAMS).map(policy_id).collect();
    let endpoint = WorkloadEndpoint {
        interface: format!("cali{number:06x}").parse().expect("a name"),
        active: true,
        mac: None,
        nets: vec![Cidr::host(address(u32::try_from(number).expect("few")))],
        nats: Vec::new(),
        ingress: Program {
            tiers: vec![Tier { name: "default".into(), policies, end: TierEnd::Deny }],
            profiles: Vec::new(),
        },
        egress: Program { tiers: Vec::new(), profiles: vec![ProfileId::from("open")] },
    };
    (id, Arc::new(endpoint))
}

fn everything(endpoints: usize) -> Changes {
    let mut changes = Changes::default();
    let allow = Rule {
        index: 0,
        action: Action::Allow,
        families: Families::Both,
        protocol: ProtocolMatch::Any,
        source: Peer::default(),
        destination: Peer::default(),
        icmp: None,
        not_icmp: None,
        log_prefix: None,
    };
    let open = Profile { ingress: vec![allow.clone()], egress: vec![allow] };
    changes.profiles.insert(ProfileId::from("open"), Some(Arc::new(open)));
    for number in 0..POLICIES {
        changes.policies.insert(policy_id(number), Some(policy(number, 80)));
    }
    for number in 0..SETS {
        let first = u32::try_from(number).expect("few") * MEMBERS;
        let members: BTreeSet<IpAddr> = (first..first + MEMBERS).map(|n| address(n).into()).collect();
        changes.sets.insert(set_id(number), SetChange::Replace(members));
    }
    for number in 0..endpoints {
        let (id, endpoint) = endpoint(number);
        changes.workloads.insert(id, Some(endpoint));
    }
    changes
}

fn start() -> Dataplane<LiveMachine> {
    let mut dataplane =
        Dataplane::new(Config::default(), LiveMachine::open(Duration::from_secs(60)).expect("the kernel"));
    dataplane.in_sync();
    dataplane
}

fn measure(endpoints: usize) {
    println!("{endpoints} endpoints, {PROGRAMS} programmes, {POLICIES} policies, {SETS} sets of {MEMBERS}");
    let mut dataplane = start();
    let changes = everything(endpoints);
    let begun = Instant::now();
    dataplane.update(changes.clone());
    let rendered = begun.elapsed();
    let report = dataplane.commit(Instant::now());
    assert!(report.errors.is_empty(), "{:?}", report.errors);
    println!(
        "  cold start {:.1} ms, of it rendering {:.1} ms; {:?}",
        ms(begun.elapsed()),
        ms(rendered),
        dataplane.counts()
    );
    restart(&changes, "restart on a table without its seal");
    // A table that was quiet for a while is sealed.
    dataplane.commit(Instant::now() + Duration::from_secs(1));
    restart(&changes, "restart on a sealed table");
    let stranger: IpAddr = Ipv4Addr::new(172, 16, 0, 1).into();
    series("one member more or less", 4_000, |round| {
        let mut changes = Changes::default();
        let one = BTreeSet::from([stranger]);
        let change = match round % 2 {
            0 => SetChange::Update { added: one, removed: BTreeSet::new() },
            _ => SetChange::Update { added: BTreeSet::new(), removed: one },
        };
        changes.sets.insert(set_id(round / 2 % SETS), change);
        commit(&mut dataplane, changes);
    });
    series("rules of one policy changed", 1_000, |round| {
        let mut changes = Changes::default();
        let port = u16::try_from(1_000 + round % 2).expect("small");
        changes.policies.insert(policy_id(round / 2 % POLICIES), Some(policy(round, port)));
        commit(&mut dataplane, changes);
    });
    series("one endpoint more or less", 1_000, |round| {
        let mut changes = Changes::default();
        let (id, endpoint) = endpoint(endpoints + round / 2 % 7);
        changes.workloads.insert(id, (round % 2 == 0).then_some(endpoint));
        commit(&mut dataplane, changes);
    });
    tool();
    println!("  resident {} MiB", resident());
    let machine = dataplane.cleanup();
    assert!(machine.failed.is_empty(), "{machine:?}");
}

/// An agent that remembers nothing on a table that is right.
fn restart(changes: &Changes, what: &str) {
    for _ in 0..3 {
        let mut again = start();
        let begun = Instant::now();
        again.update(changes.clone());
        let rendered = begun.elapsed();
        let report = again.commit(Instant::now());
        assert!(!report.wrote_table, "a restart writes nothing");
        println!("  {what} {:.1} ms, of it rendering {:.1} ms", ms(begun.elapsed()), ms(rendered));
    }
}

fn commit(dataplane: &mut Dataplane<LiveMachine>, changes: Changes) {
    dataplane.update(changes);
    let report = dataplane.commit(Instant::now());
    assert!(report.wrote_table && report.errors.is_empty(), "{report:?}");
}

/// The same by the tool: one member, one element, everything.
fn tool() {
    let ruleset =
        Command::new("nft").args(["list", "table", "inet", "calico"]).output().expect("nft is there");
    let text = String::from_utf8_lossy(&ruleset.stdout).into_owned();
    series("  nft: one member more or less", 20, |round| {
        let verb = if round % 2 == 0 { "add" } else { "delete" };
        nft(&format!("{verb} element inet calico s4-set-0 {{ 172.16.0.1 }}"));
    });
    series("  nft: one endpoint more or less", 20, |round| {
        let (verb, action) = if round % 2 == 0 { ("add", " : drop") } else { ("delete", "") };
        nft(&format!(
            "{verb} element inet calico wl_from {{ \"calinew\"{action} }}\n{verb} element inet calico wl_to {{ \"calinew\"{action} }}"
        ));
    });
    let begun = Instant::now();
    nft(&format!("delete table inet calico\n{text}"));
    println!("    nft -f of everything {:.1} ms", ms(begun.elapsed()));
}

fn nft(text: &str) {
    let mut child =
        Command::new("nft").args(["-f", "-"]).stdin(Stdio::piped()).spawn().expect("nft is there");
    child.stdin.take().expect("piped").write_all(text.as_bytes()).expect("nft reads");
    assert!(child.wait().expect("nft ends").success(), "nft refused");
}

fn series(what: &str, rounds: usize, mut round: impl FnMut(usize)) {
    let mut times: Vec<Duration> = (0..rounds)
        .map(|number| {
            let begun = Instant::now();
            round(number);
            begun.elapsed()
        })
        .collect();
    times.sort_unstable();
    let at = |percent: usize| times[(times.len() - 1) * percent / 100].as_secs_f64() * 1e6;
    println!("  {what}: p50 {:.1} µs, p99 {:.1} µs", at(50), at(99));
}

fn ms(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}

fn resident() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").expect("proc is mounted");
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).expect("a resident size");
    line.split_whitespace().nth(1).and_then(|kib| kib.parse::<usize>().ok()).expect("a number") / 1024
}
