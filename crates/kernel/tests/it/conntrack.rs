//! Forgetting flows of a real kernel.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::process::Command;

use margay_kernel::{CtSocket, Flows, LinkChange, Request, RtSocket, Rtnetlink};
use margay_net::IfIndex;

use crate::isolated::in_isolation;

/// Sends from one address to another and back, so that the kernel tracks it; the ports in use.
fn talk(from: &str, to: &str) -> (UdpSocket, UdpSocket) {
    let bind = |ip: &str| {
        let address = SocketAddr::new(ip.parse().expect("an address"), 0);
        UdpSocket::bind(address).expect("a socket")
    };
    let (one, other) = (bind(from), bind(to));
    one.send_to(b"?", other.local_addr().expect("bound")).expect("sent");
    let mut buffer = [0; 8];
    let (_, peer) = other.recv_from(&mut buffer).expect("received");
    other.send_to(b"!", peer).expect("sent");
    one.recv_from(&mut buffer).expect("received");
    (one, other)
}

fn addresses(texts: &[&str]) -> BTreeSet<IpAddr> {
    texts.iter().map(|text| text.parse().expect("an address")).collect()
}

#[test]
fn flows_of_an_address_are_forgotten_and_others_stay() {
    in_isolation("conntrack::flows_of_an_address_are_forgotten_and_others_stay", || {
        let up = LinkChange { up: Some(true), ..LinkChange::default() };
        let mut network = RtSocket::open().expect("a socket");
        network.submit(&[Request::ChangeLink(IfIndex(1), up)]).expect("an answer").remove(0).expect("done");
        // Something must look at flows, or the kernel tracks none.
        let rules = "table inet t { chain c { type filter hook input priority 0; ct state new counter; }; }";
        let status = Command::new("nft").arg(rules).status().expect("nft is installed");
        assert!(status.success());
        let mut flows = CtSocket::open().expect("a socket");
        let _sockets: Vec<_> = (0..150)
            .map(|_| talk("127.0.0.1", "127.0.0.2"))
            .chain([talk("127.0.0.3", "127.0.0.1"), talk("127.0.0.4", "127.0.0.5"), talk("::1", "::1")])
            .collect();
        assert_eq!(flows.forget(&addresses(&[])).expect("an answer"), 0);
        assert_eq!(flows.forget(&addresses(&["127.0.0.9", "fd00::9"])).expect("an answer"), 0);
        assert_eq!(
            flows.forget(&addresses(&["127.0.0.1"])).expect("an answer"),
            151,
            "begun by it or answered by it"
        );
        assert_eq!(flows.forget(&addresses(&["127.0.0.1"])).expect("an answer"), 0);
        assert_eq!(flows.forget(&addresses(&["127.0.0.4", "::1"])).expect("an answer"), 2, "both families");
    });
}
