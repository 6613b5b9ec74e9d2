//! Workloads and records that claim what is not theirs.

use std::net::IpAddr;
use std::process::Command;
use std::time::Duration;

use margay_testkit::etcd::Etcd;
use margay_testkit::lab::{Lab, Probe, enclosed};

use crate::host::Agent;

/// How long anything may take on a busy machine; it takes milliseconds.
const DEADLINE: Duration = Duration::from_secs(30);

const OPEN: &str = r#"{"inbound_rules":[{"action":"allow"}],"outbound_rules":[{"action":"allow"}]}"#;

/// Everything is allowed between three workloads; what is dropped is so for its source alone.
fn open_world(etcd: &Etcd, lab: &Lab) {
    etcd.put("/calico/v1/policy/profile/open/rules", OPEN);
    for number in 0..3 {
        put_workload(etcd, lab, number, "", "");
    }
    etcd.put("/calico/v1/Ready", "true");
}

/// A workload of the laboratory with more networks and floating addresses.
fn put_workload(etcd: &Etcd, lab: &Lab, number: usize, nets: &str, nats: &str) {
    let [v4, v6] = lab.workload_addresses(number);
    etcd.put(
        &format!("/calico/v1/host/h1/workload/k8s/w{number}/endpoint/eth0"),
        &format!(
            r#"{{"state":"active","name":"cali{number}","mac":"02:00:00:00:00:1{number}","profile_ids":["open"],"ipv4_nets":["{v4}/32"],"ipv6_nets":["{v6}/128"{nets}],"ipv4_nat":[{nats}]}}"#
        ),
    );
}

fn passes(lab: &Lab, text: &str, expected: bool) -> bool {
    lab.probe(&text.parse::<Probe>().expect("a probe"), expected)
}

fn show(arguments: &[&str]) -> String {
    let output = Command::new("ip").args(arguments).output().expect("starting ip");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn set(path: &str, value: &str) {
    std::fs::write(format!("/proc/sys/net/{path}"), value).unwrap_or_else(|error| panic!("{path}: {error}"));
}

#[test]
fn a_workload_sends_from_its_own_addresses_alone() {
    if !enclosed("adversary_spoof::a_workload_sends_from_its_own_addresses_alone") || !Etcd::available() {
        return;
    }
    let (lab, etcd) = (Lab::new(3), Etcd::start());
    open_world(&etcd, &lab);
    // The kernel itself shall not help: neither its reverse path filter nor its distrust of routers.
    for interface in ["all", "cali0", "cali1", "cali2"] {
        set(&format!("ipv4/conf/{interface}/rp_filter"), "0");
        set(&format!("ipv4/conf/{interface}/accept_local"), "1");
        set(&format!("ipv6/conf/{interface}/accept_ra"), "2");
    }
    let agent = Agent::start_on_etcd(&etcd, &[("DefaultEndpointToHostAction", "ACCEPT")]);
    agent.settle(&etcd, 1);
    for text in ["W0>W1 tcp:80", "W0>W1 v6 tcp:80", "W0>X icmp", "W0>h1 tcp:80", "W0>h1 v6 icmp"] {
        assert!(passes(&lab, text, true), "{text}");
    }
    for text in [
        "W0>W1 tcp:80 src=10.65.0.12",
        "W0>W1 udp:80 src=172.17.0.2",
        "W0>W1 icmp type=8 code=0 src=172.17.0.9",
        "W0>X tcp:80 src=10.65.0.12",
        "W0>X tcp:80 src=169.254.1.1",
        "W0>h1 udp:80 src=10.65.0.12",
        "W0>h1 udp:80 src=172.17.0.2",
        "W0>h1 tcp:22 src=172.17.0.9",
        "W0>h1 udp:67 sport=68 src=10.65.0.12",
        "W0>W1 v6 tcp:80 src=fd65::12",
        "W0>W1 v6 udp:80 src=fd17::2",
        "W0>h1 v6 udp:80 src=fd65::12",
        "W0>X v6 icmp type=128 code=0 src=fd77::9",
        "W0>h1 v6 icmp type=134 code=0",
        "W0>h1 v6 icmp type=137 code=0",
        "W0>W1 v6 icmp type=134 code=0",
        "W0>h1 v6 icmp type=136 code=0 src=fd65::12",
        "W0>h1 v6 icmp type=135 code=0 src=fd65::12",
    ] {
        assert!(!passes(&lab, text, false), "{text}");
    }
}

/// An IPv4 packet: header, then what follows.
fn ipv4(source: IpAddr, destination: IpAddr, protocol: u8, id: u16, offset: u16, payload: &[u8]) -> Vec<u8> {
    let (IpAddr::V4(source), IpAddr::V4(destination)) = (source, destination) else {
        panic!("IPv4 addresses")
    };
    let length = u16::try_from(20 + payload.len()).expect("a short packet").to_be_bytes();
    let ([id_high, id_low], [offset_high, offset_low]) = (id.to_be_bytes(), offset.to_be_bytes());
    // The kernel fills in the checksum.
    let mut packet =
        vec![0x45, 0, length[0], length[1], id_high, id_low, offset_high, offset_low, 64, protocol, 0, 0];
    packet.extend(source.octets());
    packet.extend(destination.octets());
    packet.extend(payload);
    packet
}

/// What a machine has received of packets with that source port, in its own counter.
fn count(lab: &Lab, machine: &str) -> u64 {
    let output = lab.run(machine, "nft", &["list", "table", "inet", "observer"]);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let number = text.split("packets ").nth(1).and_then(|rest| rest.split(' ').next());
    number.unwrap_or_else(|| panic!("a counter: {text}")).parse().expect("a number")
}

/// "Packet number n came": a counter of its own on the machine, which sees packets before anything else does.
fn observe(lab: &Lab, machine: &str, what: &str) {
    let rules = format!(
        "table inet observer; delete table inet observer; table inet observer {{ chain c {{ type filter hook prerouting priority -450; {what} counter; }}; }}"
    );
    let output = lab.run(machine, "nft", &[&rules]);
    assert!(output.status.success(), "{rules}: {}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn fragments_pass_as_the_whole_packet_would() {
    if !enclosed("adversary_spoof::fragments_pass_as_the_whole_packet_would") || !Etcd::available() {
        return;
    }
    let (lab, etcd) = (Lab::new(3), Etcd::start());
    open_world(&etcd, &lab);
    etcd.put(
        "/calico/v1/policy/tier/default/policy/ports",
        r#"{"selector":"all()","inbound_rules":[{"action":"allow","protocol":"udp","dst_ports":[8000]},{"action":"deny"}],"outbound_rules":[{"action":"allow"}]}"#,
    );
    let agent = Agent::start_on_etcd(&etcd, &[]);
    agent.settle(&etcd, 1);
    let [from, _] = lab.workload_addresses(0);
    let [to, _] = lab.workload_addresses(1);
    observe(&lab, "W1", "ip saddr 10.65.0.10 ip protocol udp");
    let datagram = |port: u16, id: u16| {
        let [high, low] = port.to_be_bytes();
        let mut whole = vec![0x9c, 0x40, high, low, 0, 40, 0, 0];
        whole.extend([b'm'; 32]);
        // 0x2000: more follow; offsets count eight bytes.
        [ipv4(from, to, 17, id, 0x2000, &whole[..8]), ipv4(from, to, 17, id, 1, &whole[8..])]
    };
    let mut id = 1;
    let mut send = |port: u16, pieces: &[usize]| {
        id += 1;
        for piece in pieces {
            lab.inject("W0", to, &datagram(port, id)[*piece]);
        }
    };
    // What is forbidden first: when the allowed one has come, all have been judged.
    send(8001, &[0, 1]);
    send(8001, &[1, 0]);
    send(8000, &[1]);
    send(8001, &[1]);
    // Overlapping: the second piece brings another header.
    lab.inject("W0", to, &datagram(8000, 77)[0]);
    lab.inject("W0", to, &datagram(8001, 77)[0]);
    assert_eq!(count(&lab, "W1"), 0);
    send(8000, &[0, 1]);
    agent.wait_for(DEADLINE, "the allowed datagram", || count(&lab, "W1") > 0);
    let came = count(&lab, "W1");
    // Reassembled on the way, so it is one packet or its two pieces.
    assert!(came <= 2, "{came}");
}

#[test]
fn records_that_claim_what_is_not_theirs_reach_neither_routes_nor_sources() {
    let name = "adversary_spoof::records_that_claim_what_is_not_theirs_reach_neither_routes_nor_sources";
    if !enclosed(name) || !Etcd::available() {
        return;
    }
    let (lab, etcd) = (Lab::new(3), Etcd::start());
    open_world(&etcd, &lab);
    etcd.put("/calico/v1/host/far/bird_ip", "172.17.0.9");
    let agent =
        Agent::start_on_etcd(&etcd, &[("DefaultEndpointToHostAction", "ACCEPT"), ("IpInIpEnabled", "true")]);
    agent.settle(&etcd, 1);
    let routes = || {
        let of = |family| show(&[family, "route", "show"]);
        (of("-4") + &of("-6"))
            .lines()
            .map(str::trim)
            .filter(|line| !line.contains("fe80::"))
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    agent.wait_for(DEADLINE, "all routes", || {
        routes().iter().filter(|line| line.contains("cali")).count() == 6
    });
    let right = routes();
    let mut mark = 1;
    let mut wrong = Vec::new();
    for (nets, nats, spoofs) in [
        // Everything, and what is nobody's.
        (r#","0.0.0.0/0","::/0""#, "", &["W0>X tcp:80 src=10.9.9.9", "W0>W1 v6 tcp:80 src=fd09::9"][..]),
        (
            r#","127.0.0.1/32","127.0.0.0/8","169.254.1.1/32","224.0.0.5/32","255.255.255.255/32","0.0.0.0/32","fe80::1/128","ff02::1/128","::/128","::1/128""#,
            "",
            &["W0>X tcp:80 src=169.254.1.1"],
        ),
        (r#","128.0.0.0/1","0.0.0.0/1","8000::/1","::/1""#, "", &["W0>X tcp:80 src=192.0.2.1"]),
        // The host's own.
        (r#","172.17.0.2/32","fd17::2/128""#, "", &["W0>W1 v6 udp:80 src=fd17::2"]),
        (r#","172.17.0.0/25","fd17::/65""#, "", &["W0>W1 udp:80 src=172.17.0.77"]),
        // Floating addresses: the host's, another endpoint's, an inner one of another.
        ("", r#"{"int_ip":"10.65.0.10","ext_ip":"172.17.0.2"}"#, &[]),
        ("", r#"{"int_ip":"10.65.0.10","ext_ip":"10.65.0.11"}"#, &[]),
        ("", r#"{"int_ip":"10.65.0.11","ext_ip":"10.67.0.1"}"#, &[]),
        (
            "",
            r#"{"int_ip":"10.65.0.10","ext_ip":"127.0.0.1"},{"int_ip":"10.65.0.10","ext_ip":"224.0.0.1"}"#,
            &[],
        ),
    ] {
        put_workload(&etcd, &lab, 0, nets, nats);
        mark += 1;
        agent.settle(&etcd, mark);
        let now = routes();
        if now != right {
            let new: Vec<_> = now.iter().filter(|line| !right.contains(line)).collect();
            wrong.push(format!("{nets}{nats}: routes {new:?}"));
        }
        for text in spoofs {
            if passes(&lab, text, false) {
                wrong.push(format!("{nets}{nats}: {text}"));
            }
        }
        for text in ["W0>W1 tcp:80", "X>h1 tcp:81", "X>W1 tcp:80", "h1>W1 tcp:80", "h1>X tcp:80"] {
            if !passes(&lab, text, true) {
                wrong.push(format!("{nets}{nats}: no {text}"));
            }
        }
    }
    put_workload(&etcd, &lab, 0, "", "");
    mark += 1;
    agent.settle(&etcd, mark);
    assert_eq!(routes(), right);
    assert!(wrong.is_empty(), "{}\n{}", wrong.join("\n"), agent.log());
}

#[test]
fn a_network_around_others_addresses_gives_no_right_to_speak_for_them() {
    let name = "adversary_spoof::a_network_around_others_addresses_gives_no_right_to_speak_for_them";
    if !enclosed(name) || !Etcd::available() {
        return;
    }
    let (lab, etcd) = (Lab::new(3), Etcd::start());
    open_world(&etcd, &lab);
    put_workload(&etcd, &lab, 0, r#","10.65.0.0/24","10.66.0.0/24","fd65::/64","fd66::/64""#, "");
    let agent = Agent::start_on_etcd(&etcd, &[]);
    agent.settle(&etcd, 1);
    for (text, expected) in [
        ("W0>W1 udp:80 src=10.65.0.12", false),
        ("W0>W1 v6 udp:80 src=fd65::12", false),
        ("W0>W1 udp:80 src=10.66.0.12", true),
        ("W0>W1 v6 udp:80 src=fd66::12", true),
        ("W0>W1 tcp:80", true),
        ("W2>W1 tcp:80", true),
    ] {
        assert_eq!(passes(&lab, text, expected), expected, "{text}");
    }
    // An address inside comes, and goes again.
    put_workload(&etcd, &lab, 2, r#","10.66.0.77/32""#, "");
    agent.settle(&etcd, 2);
    assert!(!passes(&lab, "W0>W1 udp:81 src=10.66.0.77", false));
    put_workload(&etcd, &lab, 2, "", "");
    agent.settle(&etcd, 3);
    assert!(passes(&lab, "W0>W1 udp:82 src=10.66.0.77", true));
}

#[test]
fn only_what_leaves_all_pools_hides_behind_the_host() {
    if !enclosed("adversary_spoof::only_what_leaves_all_pools_hides_behind_the_host") || !Etcd::available() {
        return;
    }
    let (lab, etcd) = (Lab::new(3), Etcd::start());
    open_world(&etcd, &lab);
    let pool = |net: &str, masquerade: bool| {
        let key = format!("/calico/v1/ipam/v4/pool/{}", net.replace('/', "-"));
        etcd.put(&key, &format!(r#"{{"cidr":"{net}","masquerade":{masquerade}}}"#));
    };
    pool("10.65.0.0/24", true);
    pool("10.65.0.0/16", false);
    pool("172.17.0.0/24", false);
    let agent = Agent::start_on_etcd(&etcd, &[]);
    agent.settle(&etcd, 1);
    let mut mark = 1;
    // What the other machine sees: the host's address, or the workload's own.
    let mut check = |machine: &str, port: u16, source: &str| {
        mark += 1;
        agent.settle(&etcd, mark);
        observe(&lab, machine, &format!("ip saddr {source} tcp dport {port}"));
        assert!(passes(&lab, &format!("W0>{machine} tcp:{port}"), true), "{machine} {port}");
        assert!(count(&lab, machine) > 0, "{machine} {port}: not from {source}");
    };
    check("Y", 80, "192.168.77.2");
    check("X", 80, "10.65.0.10");
    check("W1", 80, "10.65.0.10");
    pool("10.65.0.0/24", false);
    check("Y", 81, "10.65.0.10");
    pool("10.65.0.0/16", true);
    check("Y", 82, "192.168.77.2");
    etcd.delete("/calico/v1/ipam/v4/pool/172.17.0.0-24");
    check("X", 82, "172.17.0.2");
    // A pool that nobody can read is none.
    etcd.put("/calico/v1/ipam/v4/pool/192.168.77.0-24", r#"{"cidr":"192.168.77.0/24","masquerade":"yes"}"#);
    check("Y", 83, "192.168.77.2");
}
