//! Protocols: which text is a number, and which protocols have ports.

use super::*;
use proptest::prelude::*;

#[test]
fn decimal_text_is_a_number_and_all_else_a_name() {
    for (text, number) in [("0", 0), ("6", 6), ("006", 6), ("255", 255)] {
        assert_eq!(Protocol::from(text), Protocol::Number(number));
    }
    for text in ["tcp", "TCP", "256", "-1", "+6", " 6", "6.0", ""] {
        assert_eq!(Protocol::from(text), Protocol::Name(text.to_owned()));
    }
}

#[test]
fn only_tcp_and_udp_support_ports() {
    let supporting = |texts: &[&'static str]| -> Vec<&'static str> {
        texts.iter().copied().filter(|text| Protocol::from(*text).supports_ports()).collect()
    };
    let all =
        ["tcp", "udp", "6", "17", "TCP", "icmp", "icmpv6", "sctp", "udplite", "1", "58", "132", "136", ""];
    assert_eq!(supporting(&all), ["tcp", "udp", "6", "17"]);
}

proptest! {
    #[test]
    fn printing_undoes_parsing(text in "[0-9]{0,3}|[a-z0-9]{0,8}") {
        let protocol = Protocol::from(text.as_str());
        prop_assert_eq!(Protocol::from(protocol.to_string().as_str()), protocol.clone());
        prop_assert_eq!(protocol.to_string().parse(), Ok(protocol));
    }
}
