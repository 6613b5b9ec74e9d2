//! Records that are far too large, far too deep, or collide: the agent goes on and does what they say.

use std::fmt::Write as _;
use std::time::Duration;

use margay_testkit::etcd::Etcd;
use margay_testkit::lab::{Lab, Probe, enclosed};

use crate::host::Agent;

/// How long anything may take on a busy machine; it takes milliseconds.
const DEADLINE: Duration = Duration::from_secs(60);

const POLICY: &str = "/calico/v1/policy/tier/default/policy/giant";

fn workload(etcd: &Etcd, lab: &Lab, number: usize, more: &str) {
    let [v4, v6] = lab.workload_addresses(number);
    etcd.put(
        &format!("/calico/v1/host/h1/workload/k8s/w{number}/endpoint/eth0"),
        &format!(
            r#"{{"state":"active","name":"cali{number}","profile_ids":["open"],"ipv4_nets":["{v4}/32"],"ipv6_nets":["{v6}/128"]{more}}}"#
        ),
    );
}

/// A policy on every endpoint with these rules for what comes in.
fn policy(rules: &str) -> String {
    format!(r#"{{"selector":"all()","types":["ingress"],"inbound_rules":[{rules}]}}"#)
}

/// Numbers made into a list of texts.
fn list(count: u32, text: impl Fn(u32) -> String) -> String {
    let mut list = String::new();
    for number in 0..count {
        let comma = if number == 0 { "" } else { "," };
        write!(list, "{comma}{}", text(number)).expect("writing to a text");
    }
    list
}

/// Giant policies, and what becomes of packets under them.
fn policies() -> Vec<(String, &'static [(&'static str, bool)])> {
    let nets = list(4_000, |n| format!("\"10.{}.{}.0/25\"", 100 + n / 256, n % 256));
    let apart = list(3_000, |n| format!("\"10.{}.{}.7/32\"", 100 + n / 256, n % 256));
    let ports = list(6_000, |n| format!("{}", 2 * n + 10_001));
    let deep = format!("{}1{}", "[".repeat(20_000), "]".repeat(20_000));
    let selector = list(2_000, |n| format!("'v{n}'"));
    let nested = format!("{}all(){}", "(".repeat(3_000), ")".repeat(3_000));
    let nots = format!("{}has(x)", "!".repeat(30_000));
    vec![
        (
            policy(&format!(r#"{{"src_nets":[{nets},"10.65.0.10/32"],"protocol":"tcp","dst_ports":[80]}}"#)),
            &[("W0>W1 tcp:80", true), ("W0>W1 tcp:81", false), ("W0>W1 v6 tcp:80", false)],
        ),
        (
            policy(&format!(r#"{{"!src_nets":[{apart},"10.65.0.10/32"]}}"#)),
            &[("W0>W1 tcp:80", false), ("X>W1 tcp:80", true), ("W0>W1 v6 tcp:80", false)],
        ),
        (
            policy(&format!(r#"{{"protocol":"udp","dst_ports":[{ports}],"!src_ports":[{ports}]}}"#)),
            &[("W0>W1 udp:10003", true), ("W0>W1 udp:10004", false), ("W0>W1 udp:10003 sport=10001", false)],
        ),
        (
            policy(&format!(
                "{},{{\"action\":\"allow\",\"protocol\":\"tcp\",\"dst_ports\":[80]}}",
                list(5_000, |n| format!(
                    r#"{{"action":"deny","protocol":"tcp","src_nets":["10.66.{}.{}/32"],"dst_ports":[{}]}}"#,
                    n / 256,
                    n % 256,
                    n + 1
                ))
            )),
            &[("W0>W1 tcp:80", true), ("W0>W1 tcp:81", false)],
        ),
        (
            policy(&format!("{},{{}}", list(300, |n| format!(r#"{{"action":"log","log_prefix":"{n}"}}"#)))),
            &[("W0>W1 tcp:80", true)],
        ),
        (
            policy(&list(400, |n| format!(r#"{{"src_selector":"k == 'v{n}' || k{n} == 'v'"}}"#))),
            &[("W0>W1 tcp:80", false)],
        ),
        (policy(&format!(r#"{{"src_selector":"k in {{{selector}}}"}}"#)), &[("W0>W1 tcp:80", false)]),
        // A selector too deep is no selector; what cannot be read denies.
        (policy(&format!(r#"{{"src_selector":"{nested}"}}"#)), &[("X>W1 tcp:80", false)]),
        (policy(&format!(r#"{{"!src_selector":"{nots}"}}"#)), &[("X>h1 tcp:80", true)]),
        (format!(r#"{{"selector":"all()","inbound_rules":{deep}}}"#), &[("W0>W1 tcp:80", false)]),
        (
            format!(r#"{{"selector":"all()","whatever":{deep},"inbound_rules":[{{}}]}}"#),
            &[("X>h1 tcp:80", true)],
        ),
        (format!(r#"{{"selector":"{nested}","inbound_rules":[]}}"#), &[("X>h1 tcp:80", true)]),
        (
            "{\"selector\":\"all()\",\"selector\":\"has(none)\",\"types\":[\"ingress\"]}".to_owned(),
            &[("W0>W1 tcp:80", true)],
        ),
        ("\u{feff}{\"selector\":\"all()\"}".to_owned(), &[("W0>W1 tcp:80", true)]),
        (r#"{"selector":"all()","order":1e400}"#.to_owned(), &[("X>h1 tcp:80", true)]),
        (
            r#"{"selector":"all()","order":-0.0,"inbound_rules":[{"src_ports":["65536"],"protocol":"tcp"}]}"#
                .to_owned(),
            &[("W0>W1 tcp:80", false)],
        ),
    ]
}

#[test]
fn giant_and_monstrous_records_do_what_they_say_and_harm_nobody() {
    let name = "adversary_giants::giant_and_monstrous_records_do_what_they_say_and_harm_nobody";
    if !enclosed(name) || !Etcd::available() {
        return;
    }
    let (lab, etcd) = (Lab::new(2), Etcd::start());
    etcd.put(
        "/calico/v1/policy/profile/open/rules",
        r#"{"inbound_rules":[{"action":"allow"}],"outbound_rules":[{"action":"allow"}]}"#,
    );
    for number in 0..2 {
        workload(&etcd, &lab, number, "");
    }
    etcd.put("/calico/v1/Ready", "true");
    let agent = Agent::start_on_etcd(&etcd, &[("NetlinkTimeoutSecs", "60")]);
    agent.settle(&etcd, 1);
    let mut mark = 1;
    for (value, probes) in &policies() {
        etcd.put(POLICY, value);
        mark += 1;
        agent.settle(&etcd, mark);
        for (text, expected) in *probes {
            let probe: Probe = text.parse().expect("a probe");
            let begin: String = value.chars().take(150).collect();
            assert_eq!(lab.probe(&probe, *expected), *expected, "{text}: {begin}\n{}", agent.log());
        }
    }
    // Endpoints: a thousand addresses, thousands of labels, and everything else at once.
    etcd.put(POLICY, &policy(r#"{"src_selector":"k2999 == 'v'"}"#));
    let [_, v6] = lab.workload_addresses(0);
    let labels = list(3_000, |n| format!("\"k{n}\":\"v\""));
    let many = list(1_000, |n| format!("\"10.70.{}.{}/32\"", n / 256, n % 256));
    workload(
        &etcd,
        &lab,
        0,
        &format!(r#","labels":{{{labels}}},"IPV4_NETS":["10.65.0.10/32",{many}],"extra":{{"x":["{v6}"]}}"#),
    );
    mark += 1;
    agent.settle(&etcd, mark);
    agent.wait_for(DEADLINE, "a member of a set", || {
        lab.probe(&"W0>W1 tcp:80".parse::<Probe>().expect("a probe"), true)
    });
    etcd.delete(POLICY);
    workload(&etcd, &lab, 0, "");
    mark += 1;
    agent.settle(&etcd, mark);
    assert!(lab.probe(&"W0>W1 tcp:80".parse::<Probe>().expect("a probe"), true));
    let rules = agent.nft(&["list", "table", "inet", "calico"]);
    assert!(!rules.contains("10.70.") && !rules.contains("giant"), "nothing is left of giants");
}
