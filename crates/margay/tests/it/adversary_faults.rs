//! Kills, losses and foreign hands while traffic flows: nothing breaks, nothing opens, and the end is always the same.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use margay_testkit::etcd::Etcd;
use margay_testkit::lab::{Lab, Probe, enclosed};
use margay_testkit::policy_world::Choices;

use crate::host::Agent;

/// How long anything may take on a busy machine; it takes milliseconds.
const DEADLINE: Duration = Duration::from_secs(30);

const OPEN: &str = r#"{"inbound_rules":[{"action":"allow"}],"outbound_rules":[{"action":"allow"}]}"#;
const READY: &str = "/calico/v1/Ready";

/// What is forbidden whatever else is written: W2 reaches nobody, nobody reaches the host, nobody borrows a source.
const FORBIDDEN: [&str; 8] = [
    "W2>W1 tcp:80",
    "W2>W0 udp:80",
    "W2>X icmp",
    "W0>h1 tcp:80",
    "W2>W1 v6 tcp:80",
    "X>h1 tcp:81",
    "X>h1 v6 udp:81",
    "W2>W1 udp:81 src=10.65.0.10",
];

/// The host endpoint on the way to X, written in several ways that mean the same there.
const HOST_ENDPOINTS: [&str; 4] = [
    r#"{"name":"eth0"}"#,
    r#"{"expected_ipv4_addrs":["172.17.0.2"],"profile_ids":[]}"#,
    r#"{"name":"eth0","expected_ipv4_addrs":["192.168.77.2"],"labels":{"h":"1"}}"#,
    r#"{"expected_ipv6_addrs":["fd17::2"]}"#,
];

/// Parameters that change how things are done, and values of them.
const PARAMETERS: [(&str, [&str; 2]); 9] = [
    ("InterfacePrefix", ["cali,tap", "cali"]),
    ("IptablesMarkMask", ["0xff00", "0xff000000"]),
    ("FailsafeInboundHostPorts", ["tcp:22,tcp:2222", "none"]),
    ("LogPrefix", ["a", "b"]),
    ("DisableConntrackInvalidCheck", ["true", "false"]),
    ("IpInIpEnabled", ["true", "false"]),
    ("DefaultEndpointToHostAction", ["DROP", "drop"]),
    ("DeviceRouteProtocol", ["3", "80"]),
    ("ClusterType", ["OpenStack", "k8s"]),
];

/// A random sequence of writes and faults; every state allows W0 → W1 on ports 7777 and 7778 and forbids [`FORBIDDEN`].
struct Story {
    choices: Choices,
}

// === impl Story ===

impl Story {
    /// What stands at the beginning.
    fn begin(etcd: &Etcd, lab: &Lab) {
        etcd.put("/calico/v1/policy/profile/open/rules", OPEN);
        for number in 0..3 {
            etcd.put(&workload_key(number), &workload(lab, number, ""));
        }
        etcd.put(
            "/calico/v1/policy/tier/default/policy/a-closed",
            r#"{"selector":"n == '2'","order":-1,"inbound_rules":[{"action":"allow"}],"outbound_rules":[{"action":"deny"}]}"#,
        );
        for endpoint in ["e0", "e1"] {
            etcd.put(&format!("/calico/v1/host/h1/endpoint/{endpoint}"), HOST_ENDPOINTS[0]);
        }
        etcd.put(READY, "true");
    }

    /// One write that changes how things are done, but neither the flow nor what is forbidden.
    fn write(&mut self, etcd: &Etcd, lab: &Lab) {
        let number = self.choices.below(4);
        let policy = format!("/calico/v1/policy/tier/default/policy/p{number}");
        match self.choices.below(8) {
            6 => {
                let endpoint = self.choices.of(&["e0", "e1"]);
                etcd.put(
                    &format!("/calico/v1/host/h1/endpoint/{endpoint}"),
                    self.choices.of(&HOST_ENDPOINTS),
                );
            }
            7 => {
                let (name, values) = self.choices.of(&PARAMETERS);
                let key = format!("/calico/v1/config/{name}");
                if self.choices.percent(70) {
                    etcd.put(&key, self.choices.of(&values))
                } else {
                    etcd.delete(&key)
                }
            }
            0 => etcd.delete(&policy),
            1 => {
                let workload = self.choices.below(3);
                let label = self.choices.of(&["x", "y", ""]);
                etcd.put(&workload_key(workload), &crate::adversary_faults::workload(lab, workload, label));
            }
            2 => {
                let key = format!("/calico/v1/host/far/workload/k8s/r{number}/endpoint/eth0");
                let value = format!(
                    r#"{{"state":"active","name":"cali0","profile_ids":["open"],"ipv4_nets":["10.65.9.{}/32"],"labels":{{"l":"x"}}}}"#,
                    self.choices.below(200)
                );
                etcd.put(&key, &value);
            }
            3 => {
                let key = format!("/calico/v1/host/h1/workload/k8s/extra{number}/endpoint/eth0");
                let value = format!(
                    r#"{{"state":"active","name":"calix{number}","profile_ids":["open"],"ipv4_nets":["10.65.8.{number}/32"]}}"#
                );
                if self.choices.percent(50) { etcd.put(&key, &value) } else { etcd.delete(&key) }
            }
            _ => {
                let selector = self.choices.of(&["all()", "n == '0'", "n == '1'", "has(l)", "l == 'x'"]);
                let action = self.choices.of(&["allow", "next-tier", "deny", "log"]);
                let other = self.choices.of(&["l == 'x'", "has(l)", "n == '1'", "l == 'y'"]);
                let port = self.choices.of(&[80, 81, 443]);
                let value = format!(
                    r#"{{"selector":"({selector}) && has(n)","order":{number},"inbound_rules":[{{"action":"allow","protocol":"tcp","dst_ports":["7777:7778"]}},{{"action":"{action}","protocol":"tcp","src_selector":"{other}","dst_ports":[{port}]}},{{"action":"next-tier"}}],"outbound_rules":[{{"action":"next-tier"}}]}}"#
                );
                etcd.put(&policy, &value);
            }
        }
    }
}

fn workload_key(number: usize) -> String {
    format!("/calico/v1/host/h1/workload/k8s/w{number}/endpoint/eth0")
}

/// A workload of the laboratory.
fn workload(lab: &Lab, number: usize, label: &str) -> String {
    let [v4, v6] = lab.workload_addresses(number);
    format!(
        r#"{{"state":"active","name":"cali{number}","mac":"02:00:00:00:00:1{number}","profile_ids":["open"],"ipv4_nets":["{v4}/32"],"ipv6_nets":["{v6}/128"],"labels":{{"n":"{number}","l":"{label}"}}}}"#
    )
}

/// What a table holds whatever the order in which it came to hold it: the rules of each chain, the elements of each set.
fn content(table: &str) -> BTreeMap<String, BTreeSet<String>> {
    let mut blocks: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let mut name = String::new();
    let mut rule = 0;
    // The digest by which a restarted agent knows its work counts the commits.
    for line in table.lines().map(str::trim).filter(|line| !line.contains(" . 0x")) {
        if line.is_empty() || line == "}" {
            continue;
        }
        if line.ends_with('{') {
            line.clone_into(&mut name);
            rule = 0;
            blocks.entry(name.clone()).or_default();
            continue;
        }
        let block = blocks.entry(name.clone()).or_default();
        if name.starts_with("chain") {
            // Rules count in their order; their counters and comments' digests of the moment do not.
            let words: Vec<&str> = line.split(' ').collect();
            let mut kept = Vec::new();
            let mut skip = 0;
            for word in words {
                match word {
                    _ if skip > 0 => skip -= 1,
                    "packets" | "bytes" => skip = 1,
                    word => kept.push(word),
                }
            }
            rule += 1;
            block.insert(format!("{rule:03} {}", kept.join(" ")));
        } else {
            let line = line.trim_start_matches("elements = {").trim_end_matches('}');
            block.extend(
                line.split(',').map(|element| element.trim().to_owned()).filter(|text| !text.is_empty()),
            );
        }
    }
    blocks
}

fn table(agent: &Agent) -> BTreeMap<String, BTreeSet<String>> {
    content(&agent.nft(&["list", "table", "inet", "calico"]))
}

/// The table is what an agent makes that finds none.
pub(crate) fn assert_like_a_fresh_start(agent: &mut Agent, etcd: &Etcd, host: &str, mark: &mut usize) {
    *mark += 1;
    agent.settle_on(etcd, host, *mark);
    let mut before = table(agent);
    agent.kill();
    assert_eq!(agent.nft(&["delete", "table", "inet", "calico"]), "");
    agent.restart();
    *mark += 1;
    agent.settle_on(etcd, host, *mark);
    let mut after = table(agent);
    // What the marks leave differs by their numbers.
    for table in [&mut before, &mut after] {
        for name in ["map wl_from {", "map wl_to {"] {
            let map = table.get_mut(name).expect("the dispatch maps are there");
            map.retain(|element| !element.contains("calimark"));
        }
    }
    assert_eq!(before, after, "\n{}", agent.log());
}

fn ip(arguments: &str) {
    let output = Command::new("ip").args(arguments.split(' ')).output().expect("starting ip");
    assert!(output.status.success(), "ip {arguments}: {}", String::from_utf8_lossy(&output.stderr));
}

fn probe(lab: &Lab, text: &str, passes: bool) -> bool {
    lab.probe(&text.parse::<Probe>().expect("a probe"), passes)
}

/// Tries all of [`FORBIDDEN`] at once.
fn nothing_forbidden_passes(lab: &Lab) -> bool {
    let probes: Vec<_> = FORBIDDEN.iter().map(|text| (text.parse().expect("a probe"), false)).collect();
    lab.probe_all(&probes).iter().all(|passed| !passed)
}

/// Runs something while somebody tries what is forbidden without a pause.
fn under_fire(lab: &Lab, body: impl FnOnce()) {
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let fire = scope.spawn(|| {
            let mut tries = 0;
            while !over.load(Ordering::Relaxed) {
                for text in FORBIDDEN {
                    if probe(lab, text, false) {
                        return Err(text);
                    }
                    tries += 1;
                }
            }
            Ok(tries)
        });
        let stop = Stop(&over);
        body();
        drop(stop);
        let tries = fire.join().expect("probes do not panic");
        assert!(tries.as_ref().is_ok_and(|tries| *tries > 0), "what is forbidden passed: {tries:?}");
    });
}

/// Ends the fire, also when the test fails.
struct Stop<'a>(&'a AtomicBool);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

fn kills(seed: u64, count: usize) {
    let (lab, etcd) = (Lab::new(3), Etcd::start());
    Story::begin(&etcd, &lab);
    let mut story = Story { choices: Choices::new(seed) };
    let mut mark = 1;
    let mut agent = Agent::start_on_etcd(&etcd, &[]);
    agent.settle(&etcd, mark);
    let flow = lab.flow("W0", "W1", 7777).expect("the policy allows it");
    under_fire(&lab, || {
        for number in 0..count {
            for _ in 0..story.choices.below(6) {
                story.write(&etcd, &lab);
            }
            // From at once to after the work is done.
            let micros = u64::try_from(story.choices.below(60_000)).expect("a number");
            std::thread::sleep(Duration::from_micros(micros));
            agent.kill();
            for _ in 0..story.choices.below(3) {
                story.write(&etcd, &lab);
            }
            agent.restart();
            assert!(flow.goes_on(), "the flow broke at kill {number} of seed {seed}\n{}", agent.log());
        }
    });
    assert!(flow.goes_on());
    assert_like_a_fresh_start(&mut agent, &etcd, "h1", &mut mark);
    assert!(flow.goes_on());
}

#[test]
fn kills_at_any_moment_break_no_flow_open_nothing_and_lose_nothing() {
    let name = "adversary_faults::kills_at_any_moment_break_no_flow_open_nothing_and_lose_nothing";
    if enclosed(name) && Etcd::available() {
        kills(1, 25);
    }
}

#[test]
#[ignore = "takes minutes"]
fn kills_at_a_million_moments_break_no_flow_open_nothing_and_lose_nothing() {
    let name = "adversary_faults::kills_at_a_million_moments_break_no_flow_open_nothing_and_lose_nothing";
    if enclosed(name) && Etcd::available() {
        kills(2, 500);
    }
}

#[test]
fn whatever_becomes_of_the_datastore_the_end_is_that_of_a_fresh_start() {
    let name = "adversary_faults::whatever_becomes_of_the_datastore_the_end_is_that_of_a_fresh_start";
    if !enclosed(name) || !Etcd::available() {
        return;
    }
    let (lab, mut etcd) = (Lab::new(3), Etcd::start());
    Story::begin(&etcd, &lab);
    let mut story = Story { choices: Choices::new(7) };
    let mut mark = 1;
    let mut agent = Agent::start_on_etcd(&etcd, &[("NetlinkTimeoutSecs", "5")]);
    agent.settle(&etcd, mark);
    let flow = lab.flow("W0", "W1", 7777).expect("the policy allows it");
    under_fire(&lab, || {
        for trouble in
            ["pause", "compaction", "restart", "empty", "not ready", "no flag", "stopped agent", "wipe"]
        {
            for _ in 0..5 {
                story.write(&etcd, &lab);
            }
            match trouble {
                "pause" => {
                    etcd.pause(0);
                    std::thread::sleep(Duration::from_millis(300));
                    etcd.resume(0);
                }
                "compaction" => {
                    agent.signal("-STOP");
                    for number in 0..1_100 {
                        etcd.put("/calico/v1/policy/profile/other/tags", &format!("[\"{number}\"]"));
                    }
                    for _ in 0..10 {
                        story.write(&etcd, &lab);
                    }
                    agent.signal("-CONT");
                }
                "restart" => {
                    etcd.kill(0);
                    etcd.restart(0);
                }
                "empty" => {
                    etcd.restart_empty();
                    Story::begin(&etcd, &lab);
                }
                "not ready" => {
                    etcd.put(READY, "false");
                    for _ in 0..5 {
                        story.write(&etcd, &lab);
                    }
                    etcd.put(READY, "true");
                }
                "no flag" => {
                    etcd.delete(READY);
                    for _ in 0..5 {
                        story.write(&etcd, &lab);
                    }
                    etcd.put(READY, "true");
                }
                "stopped agent" => {
                    agent.signal("-STOP");
                    etcd.kill(0);
                    agent.signal("-CONT");
                    etcd.restart(0);
                    agent.kill();
                    agent.restart();
                }
                _ => {
                    // Everything goes; the endpoints with it, so that nothing can open.
                    etcd.wipe();
                    Story::begin(&etcd, &lab);
                }
            }
            for _ in 0..5 {
                story.write(&etcd, &lab);
            }
            mark += 1;
            agent.settle(&etcd, mark);
            assert!(probe(&lab, "W0>W1 tcp:7778", true), "{trouble}");
        }
    });
    drop(flow);
    assert_like_a_fresh_start(&mut agent, &etcd, "h1", &mut mark);
}

/// Damage done with `nft` by someone else.
const DAMAGE: [&str; 24] = [
    "flush table inet calico",
    "delete table inet calico",
    "delete table inet calico; add table inet calico { comment \"margay schema 1\"; }",
    "flush ruleset",
    "flush chain inet calico fwd_from",
    "flush chain inet calico fwd_to",
    "flush chain inet calico raw_pre",
    "flush chain inet calico antispoof",
    "flush chain inet calico in_from",
    "flush chain inet calico from_wl",
    "insert rule inet calico fwd_from accept",
    "insert rule inet calico antispoof accept",
    "insert rule inet calico in_action accept",
    "add element inet calico src4 { \"cali2\" . 10.65.0.10 }",
    "flush map inet calico wl_to",
    "delete element inet calico wl_from { \"cali2\" }; add element inet calico wl_from { \"cali2\" : accept }",
    "add chain inet calico stray { type filter hook forward priority 5; policy drop; }",
    "add set inet calico stray { type ipv4_addr; }",
    "add table inet calico { flags dormant; }",
    "add chain inet calico fwd_from { policy drop; }",
    "rename chain inet calico antispoof other",
    "delete chain inet calico nat_post",
    "add element inet calico hosts4 { 192.0.2.1 }",
    "flush chain inet calico wl_exempt; add rule inet calico wl_exempt accept",
];

#[test]
fn what_others_do_to_the_table_is_put_right_whether_the_agent_sees_it_or_not() {
    let name = "adversary_faults::what_others_do_to_the_table_is_put_right_whether_the_agent_sees_it_or_not";
    if !enclosed(name) || !Etcd::available() {
        return;
    }
    let (lab, etcd) = (Lab::new(3), Etcd::start());
    Story::begin(&etcd, &lab);
    let mut agent = Agent::start_on_etcd(&etcd, &[]);
    agent.settle(&etcd, 1);
    let right = table(&agent);
    let flow = lab.flow("W0", "W1", 7777).expect("the policy allows it");
    let seal = agent_seal;
    let mut slowest = Duration::ZERO;
    let mut last = String::new();
    for away in [false, true] {
        for damage in DAMAGE {
            if away {
                // The table as the agent leaves it carries a seal that lets the next one trust it unread.
                agent.wait_for(DEADLINE, "a new seal", || seal().contains(" . 0x") && seal() != last);
                last = seal();
                agent.kill();
            }
            let said = agent.nft(&[damage]);
            assert_eq!(said, "", "{damage}");
            let begun = std::time::Instant::now();
            if away {
                agent.restart();
            }
            agent.wait_for(DEADLINE, &format!("repair of '{damage}', agent away: {away}"), || {
                table(&agent) == right
            });
            if !away {
                slowest = slowest.max(begun.elapsed());
            }
        }
    }
    assert!(flow.goes_on());
    assert!(nothing_forbidden_passes(&lab));
    // Not a bound of ours, which is a second: of any machine.
    assert!(slowest < Duration::from_secs(10), "{slowest:?}");
}

/// The mark by which a restarted agent knows the table again.
fn agent_seal() -> String {
    let output =
        Command::new("nft").args(["list", "set", "inet", "calico", "seal"]).output().expect("starting nft");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// What `ip` shows of the routes and permanent neighbours of a workload.
fn routes(number: usize) -> String {
    let of = |arguments: &[&str]| {
        let output = Command::new("ip").args(arguments).output().expect("starting ip");
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        text.lines()
            .map(str::trim)
            .filter(|line| !line.contains("fe80::"))
            .fold(String::new(), |all, line| all + line + "\n")
    };
    let interface = format!("cali{number}");
    of(&["-4", "route", "show", "dev", &interface])
        + &of(&["-6", "route", "show", "dev", &interface])
        + &of(&["neigh", "show", "dev", &interface, "nud", "permanent"])
}

#[test]
fn routes_come_back_whatever_becomes_of_them_and_their_interface() {
    let name = "adversary_faults::routes_come_back_whatever_becomes_of_them_and_their_interface";
    if !enclosed(name) || !Etcd::available() {
        return;
    }
    let (lab, etcd) = (Lab::new(3), Etcd::start());
    Story::begin(&etcd, &lab);
    let agent = Agent::start_on_etcd(&etcd, &[]);
    agent.settle(&etcd, 1);
    agent.wait_for(DEADLINE, "routes", || routes(1).contains("10.65.0.11") && routes(1).contains("fd65::11"));
    let right = routes(1);
    for damage in [
        &["route del 10.65.0.11 dev cali1"][..],
        &["route flush dev cali1"],
        &["-6 route del fd65::11 dev cali1"],
        &["route replace 10.65.0.11 dev cali0 scope link"],
        &["route replace 10.65.0.11 via 172.17.0.9"],
        &["route replace blackhole 10.65.0.11"],
        &["link set cali1 down", "link set cali1 up"],
        &[
            "link set cali1 down",
            "link set cali1 name elsewhere",
            "link set elsewhere name cali1",
            "link set cali1 up",
        ],
        &["link set cali1 mtu 1300", "link set cali1 mtu 1500"],
        &[
            "link del cali1",
            "link add cali1 address ee:ee:ee:ee:ee:ee type veth peer name eth0 address 02:00:00:00:00:11 netns W1",
            "link set cali1 up",
            "-n W1 addr add 10.65.0.11/32 dev eth0",
            "-n W1 addr add fd65::11/128 dev eth0 nodad",
            "-n W1 link set eth0 up",
            "-n W1 route add 169.254.1.1 dev eth0 scope link",
            "-n W1 route add default via 169.254.1.1 dev eth0",
        ],
    ] {
        for line in damage {
            ip(line);
        }
        agent.wait_for(DEADLINE, &format!("repair of {damage:?}"), || routes(1) == right);
        agent.wait_for(DEADLINE, &format!("traffic after {damage:?}"), || probe(&lab, "W0>W1 tcp:80", true));
        assert!(nothing_forbidden_passes(&lab), "{damage:?}");
    }
}

#[test]
fn a_flow_does_not_follow_its_address_to_another_endpoint() {
    let name = "adversary_faults::a_flow_does_not_follow_its_address_to_another_endpoint";
    if !enclosed(name) || !Etcd::available() {
        return;
    }
    let (lab, etcd) = (Lab::new(3), Etcd::start());
    etcd.put("/calico/v1/policy/profile/open/rules", OPEN);
    for number in 0..3 {
        etcd.put(&workload_key(number), &workload(&lab, number, ""));
    }
    etcd.put(READY, "true");
    let agent = Agent::start_on_etcd(&etcd, &[]);
    agent.settle(&etcd, 1);
    let flow = lab.flow("X", "W1", 7777).expect("everything is allowed");
    assert!(flow.goes_on());
    ip("-n W2 addr add 10.65.0.11/32 dev eth0");
    let watch = |machine: &str| {
        let rules = "table inet watch { chain c { type filter hook prerouting priority -450; ip daddr 10.65.0.11 tcp dport 7777 counter; }; }";
        let output = lab.run(machine, "nft", &[rules]);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    };
    let count = |machine: &str| -> u64 {
        let text =
            String::from_utf8_lossy(&lab.run(machine, "nft", &["list", "table", "inet", "watch"]).stdout)
                .into_owned();
        let number = text.split("packets ").nth(1).and_then(|rest| rest.split(' ').next());
        number.unwrap_or_else(|| panic!("a counter: {text}")).parse().expect("a number")
    };
    // W2 takes the address over and nobody may reach it; the old endpoint goes in the same moment.
    etcd.put(
        "/calico/v1/policy/tier/default/policy/closed",
        r#"{"selector":"n == '2'","types":["ingress"],"inbound_rules":[{"action":"deny"}]}"#,
    );
    watch("W2");
    watch("h1");
    etcd.delete(&workload_key(1));
    etcd.put(
        &workload_key(2),
        &workload(&lab, 2, "").replace("10.65.0.12/32\"", "10.65.0.12/32\",\"10.65.0.11/32\""),
    );
    agent.settle(&etcd, 2);
    agent.wait_for(DEADLINE, "the route", || routes(2).contains("10.65.0.11"));
    let before = count("h1");
    agent.wait_for(DEADLINE, "packets of the flow", || count("h1") > before + 1);
    assert_eq!(count("W2"), 0, "the flow follows the address");
}

/// Open files, kibibytes of memory, and rules.
fn footprint(agent: &Agent) -> [usize; 3] {
    let of = format!("/proc/{}", agent.pid());
    let status = std::fs::read_to_string(format!("{of}/status")).expect("the agent runs");
    let memory = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("its memory");
    let memory = memory.trim().split(' ').next().expect("a number").parse().expect("a number");
    let files = std::fs::read_dir(format!("{of}/fd")).expect("its files").count();
    [files, memory, table(agent).values().map(BTreeSet::len).sum()]
}

/// One interface goes down and up again, another comes and goes.
fn flaps(count: usize) {
    let lines = "link set cali1 down\nlink set cali1 up\nlink add calix1 type veth peer name other\nlink set calix1 up\nlink del calix1\n";
    let file = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(file.path(), lines.repeat(count)).expect("writing it");
    ip(&format!("-batch {}", file.path().display()));
}

#[test]
fn events_that_are_lost_are_made_up_for() {
    if !enclosed("adversary_faults::events_that_are_lost_are_made_up_for") || !Etcd::available() {
        return;
    }
    let (lab, etcd) = (Lab::new(3), Etcd::start());
    Story::begin(&etcd, &lab);
    let agent = Agent::start_on_etcd(&etcd, &[]);
    agent.settle(&etcd, 1);
    agent.wait_for(DEADLINE, "routes", || routes(1).contains("10.65.0.11") && routes(1).contains("fd65::11"));
    let (right, rules) = (routes(1), table(&agent));
    // More than its sockets hold, of interfaces and of tables; and what matters in the middle of it.
    agent.signal("-STOP");
    flaps(300);
    ip("link set cali2 down");
    ip("link set cali2 name elsewhere");
    ip("link set elsewhere name cali2");
    ip("link set cali2 up");
    ip("route del 10.65.0.10 dev cali0");
    assert_eq!(agent.nft(&["flush chain inet calico fwd_from; flush chain inet calico antispoof"]), "");
    let mut noise = String::from("table inet noise { set s { type ipv4_addr; }; }\n");
    for number in 0..40_000 {
        noise.push_str(&format!("add element inet noise s {{ 10.{}.{}.1 }}\n", number / 256, number % 256));
    }
    let file = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(file.path(), noise).expect("writing it");
    assert_eq!(agent.nft(&["-f", &file.path().display().to_string()]), "");
    flaps(500);
    agent.signal("-CONT");
    agent.wait_for(DEADLINE, "the routes", || {
        routes(1) == right && routes(0).contains("10.65.0.10") && routes(2).contains("10.65.0.12")
    });
    agent.wait_for(DEADLINE, "the rules", || table(&agent) == rules);
    assert!(probe(&lab, "W0>W1 tcp:80", true));
    assert!(nothing_forbidden_passes(&lab));
}

#[test]
fn a_thousand_flaps_leave_nothing_behind() {
    if !enclosed("adversary_faults::a_thousand_flaps_leave_nothing_behind") || !Etcd::available() {
        return;
    }
    let (lab, etcd) = (Lab::new(3), Etcd::start());
    Story::begin(&etcd, &lab);
    let agent = Agent::start_on_etcd(&etcd, &[]);
    agent.settle(&etcd, 1);
    flaps(20);
    agent.wait_for(DEADLINE, "traffic", || probe(&lab, "W0>W1 tcp:80", true));
    let before = footprint(&agent);
    flaps(500);
    agent.wait_for(DEADLINE, "traffic", || probe(&lab, "W0>W1 tcp:80", true));
    agent.wait_for(DEADLINE, "the same rules and files", || {
        let after = footprint(&agent);
        (after[0], after[2]) == (before[0], before[2])
    });
    let after = footprint(&agent);
    assert!(after[1] < before[1] + 8 * 1024, "{before:?} {after:?}");
}

#[test]
fn changes_without_end_leave_nothing_behind() {
    if !enclosed("adversary_faults::changes_without_end_leave_nothing_behind") || !Etcd::available() {
        return;
    }
    let (lab, etcd) = (Lab::new(3), Etcd::start());
    Story::begin(&etcd, &lab);
    let agent = Agent::start_on_etcd(&etcd, &[]);
    agent.settle(&etcd, 1);
    let churn = |from: usize, to: usize| {
        for number in from..to {
            // Names, selectors, addresses and rules that never come again.
            let policy = format!("/calico/v1/policy/tier/default/policy/churn{number}");
            let far = format!("/calico/v1/host/far{number}/workload/k8s/churn/endpoint/eth0");
            let own = format!("/calico/v1/host/h1/workload/k8s/churn{number}/endpoint/eth0");
            let profile = format!("/calico/v1/policy/profile/churn{number}");
            etcd.put(&policy, &format!(r#"{{"selector":"has(churn{number}) || n == '1'","order":9,"inbound_rules":[{{"src_selector":"churn == '{number}'","action":"next-tier"}},{{"action":"next-tier"}}],"types":["ingress"]}}"#));
            etcd.put(&far, &format!(r#"{{"state":"active","name":"cali0","profile_ids":["churn{number}"],"ipv4_nets":["10.71.{}.{}/32"],"labels":{{"churn":"{number}"}}}}"#, number / 256, number % 256));
            etcd.put(&own, &format!(r#"{{"state":"active","name":"calic{number}","profile_ids":["churn{number}"],"ipv4_nets":["10.72.{}.{}/32"],"labels":{{"churn{number}":""}}}}"#, number / 256, number % 256));
            etcd.put(&format!("{profile}/rules"), OPEN);
            etcd.put(&format!("{profile}/labels"), &format!(r#"{{"l{number}":"v"}}"#));
            if number >= 20 {
                let old = number - 20;
                etcd.delete(&format!("/calico/v1/policy/tier/default/policy/churn{old}"));
                etcd.delete(&format!("/calico/v1/host/far{old}"));
                etcd.delete(&format!("/calico/v1/host/h1/workload/k8s/churn{old}"));
                etcd.delete(&format!("/calico/v1/policy/profile/churn{old}"));
            }
        }
    };
    churn(0, 150);
    agent.settle(&etcd, 2);
    let before = footprint(&agent);
    churn(150, 500);
    agent.settle(&etcd, 3);
    let after = footprint(&agent);
    assert_eq!((after[0], after[2]), (before[0], before[2]), "files and rules");
    assert!(after[1] < before[1] + 6 * 1024, "{before:?} {after:?}");
    assert!(nothing_forbidden_passes(&lab));
}
