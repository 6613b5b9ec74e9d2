//! Addresses: the accepted spellings, what they print as, and the refused ones.

use super::*;
use proptest::prelude::*;

fn printed(text: &str) -> Result<String, String> {
    text.parse::<Ip>().map(|ip| ip.to_string()).map_err(|error| error.to_string())
}

#[test]
fn accepted_spellings_print_in_canonical_form() {
    let cases = [
        ("10.0.0.1", "10.0.0.1"),
        ("0.0.0.0", "0.0.0.0"),
        ("::", "::"),
        ("::1", "::1"),
        ("1::", "1::"),
        ("FD80:24E2:F998:72D6:0:0:0:1", "fd80:24e2:f998:72d6::1"),
        ("2001:0db8:0000:0000:0001:0000:0000:0001", "2001:db8::1:0:0:1"),
        ("2001:0:0:1:0:0:0:1", "2001:0:0:1::1"),
        ("1:0:2:3:4:5:6:7", "1:0:2:3:4:5:6:7"),
        ("1:2:3:4:5:6:7:8", "1:2:3:4:5:6:7:8"),
        ("0:0:1:1:1:1:0:0", "::1:1:1:1:0:0"),
        ("1:2:3:4:5:6:1.2.3.4", "1:2:3:4:5:6:102:304"),
        ("::1.2.3.4", "::102:304"),
        ("64:ff9b::192.0.2.33", "64:ff9b::c000:221"),
        ("::ffff:1.2.3.4", "1.2.3.4"),
        ("::FFFF:102:304", "1.2.3.4"),
        ("0:0:0:0:0:ffff:0:0", "0.0.0.0"),
    ];
    for (text, expected) in cases {
        assert_eq!(printed(text), Ok(expected.to_owned()), "{text}");
    }
}

#[test]
fn other_texts_are_refused_by_name() {
    let cases = [
        "",
        " ",
        "10.0.0.1 ",
        "10.0.0",
        "10.0.0.256",
        "192.168.0.256",
        "010.0.0.1",
        "10.0.0.01",
        "+1.0.0.1",
        "1.2.3.4.5",
        "192.0.2.0/24",
        "fd5f::6::ee",
        "fe80::1%eth0",
        "1:2:3:4:5:6:7",
        "1:2:3:4:5:6:7:8:9",
        "1:2:3:4::5:6:7:8",
        "12345::",
        "1:2:3:4:5:6:7:1.2.3.4",
        "[::1]",
        "abc",
    ];
    for text in cases {
        assert_eq!(printed(text), Err(format!("invalid IP address: {text}")));
    }
}

#[test]
fn mapped_addresses_are_version_4() {
    let mapped: IpAddr = "::ffff:1.2.3.4".parse().unwrap();
    assert_eq!(Ip::from(mapped).version(), IpVersion::V4);
    assert_eq!(parse_ip("::ffff:1.2.3.4").unwrap(), IpAddr::V4(Ipv4Addr::new(1, 2, 3, 4)));
    assert_eq!("::1".parse::<Ip>().unwrap().version(), IpVersion::V6);
}

#[test]
fn versions_know_their_number_and_width() {
    assert_eq!(IpVersion::from_number(4).map(IpVersion::bits), Some(32));
    assert_eq!(IpVersion::from_number(6).map(IpVersion::bits), Some(128));
    assert_eq!(IpVersion::from_number(5), None);
    assert_eq!([IpVersion::V4.number(), IpVersion::V6.number()], [4, 6]);
}

/// IPv6 addresses with many zero groups, where printing has choices to make.
fn sparse_v6() -> impl Strategy<Value = Ipv6Addr> {
    prop::array::uniform8(prop_oneof![Just(0u16), Just(0xffff), any::<u16>()]).prop_map(Ipv6Addr::from)
}

proptest! {
    #[test]
    fn printing_undoes_parsing_v4(bits: u32) {
        let ip = Ip::from(Ipv4Addr::from(bits));
        prop_assert_eq!(ip.to_string().parse::<Ip>().unwrap(), ip);
    }

    #[test]
    fn printing_undoes_parsing_v6(address in sparse_v6()) {
        let ip = Ip::from(address);
        prop_assert_eq!(ip.to_string().parse::<Ip>().unwrap(), ip);
    }

    #[test]
    fn printing_agrees_with_the_standard_library_where_no_group_is_zero(
        groups in prop::array::uniform8(1u16..),
    ) {
        let address = Ipv6Addr::from(groups);
        prop_assert_eq!(Ip::from(address).to_string(), address.to_string());
    }

    #[test]
    fn any_text_parses_or_is_named(text in ".*") {
        if let Err(error) = text.parse::<Ip>() {
            prop_assert_eq!(error.to_string(), format!("invalid IP address: {text}"));
        }
    }
}
