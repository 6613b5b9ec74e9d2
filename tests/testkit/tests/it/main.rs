//! The laboratory tells what passes from what does not, before any code of ours is judged by it.

use std::process::Command;

use margay_testkit::lab::{Lab, Probe, enclosed};

fn probes(texts: &[&str], expected: impl Fn(&str) -> bool) -> Vec<(Probe, bool)> {
    texts.iter().map(|text| (text.parse().expect(text), expected(text))).collect()
}

fn sh(script: &str) {
    let output = Command::new("sh").args(["-ec", script]).output().expect("starting sh");
    assert!(output.status.success(), "{script}: {}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn the_lab_sees_what_passes_and_what_is_dropped() {
    if !enclosed("the_lab_sees_what_passes_and_what_is_dropped") {
        return;
    }
    let lab = Lab::new(2);
    // What the agent would do for routes and proxy ARP.
    sh("for n in 0 1; do ip route add 10.65.0.1$n dev cali$n scope link; ip -6 route add fd65::1$n dev cali$n
            echo 1 > /proc/sys/net/ipv4/conf/cali$n/proxy_arp; echo 0 > /proc/sys/net/ipv4/neigh/cali$n/proxy_delay
        done");
    let texts = [
        "W0>W1 tcp:80",
        "W0>W1 v6 tcp:80",
        "W0>W1 udp:53",
        "W0>W1 v6 udp:53",
        "W0>W1 icmp",
        "W0>W1 v6 icmp",
        "W0>X tcp:443 sport=700",
        "X>W0 tcp:81 src=10.0.0.1",
        "Y>W1 udp:53 src=10.65.0.200",
        "Y>W1 v6 icmp src=fd00::9",
        "X>Y v6 udp:5000 sport=4000",
        "Y>h1@192.168.77.2 tcp:22",
        "Y>h1@fd77::2 v6 tcp:22",
        "h1>W1 icmp",
        "h1>X v6 tcp:80",
        "W0>h1 udp:5000",
        "X>W1 icmp type=13 code=0",
        "Y>X tcp:80",
        "Y>X tcp:80 sport=700",
        "W1>X v6 icmp type=1 code=4",
    ];
    let seen = lab.probe_all(&probes(&texts, |_| true));
    let failed: Vec<_> = texts.iter().zip(&seen).filter(|(_, passed)| !**passed).collect();
    assert!(failed.is_empty(), "{failed:?}");

    sh("nft add table inet t; nft add chain inet t f '{ type filter hook forward priority 0; policy drop; }'
        nft add chain inet t i '{ type filter hook input priority 0; policy drop; }'
        nft add rule inet t i iif lo accept
        nft add rule inet t i icmpv6 type '{ 133, 134, 135, 136 }' accept
        nft add rule inet t i ct state established accept");
    let passes = |text: &str| text.starts_with("h1>");
    let seen = lab.probe_all(&probes(&texts, passes));
    let expected: Vec<bool> = texts.iter().map(|text| passes(text)).collect();
    assert_eq!(texts.iter().zip(seen).collect::<Vec<_>>(), texts.iter().zip(expected).collect::<Vec<_>>());
}
