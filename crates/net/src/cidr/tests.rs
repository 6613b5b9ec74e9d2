//! Networks: spellings, keys, and the arithmetic against a count of single addresses.

use super::*;
use proptest::prelude::*;

fn cidr(text: &str) -> Cidr {
    text.parse().unwrap()
}

#[test]
fn accepted_spellings_keep_their_host_bits() {
    let cases = [
        ("10.0.0.0/8", "10.0.0.0/8"),
        ("10.20.0.5/16", "10.20.0.5/16"),
        ("10.0.0.1", "10.0.0.1/32"),
        ("10.0.0.0/08", "10.0.0.0/8"),
        ("0.0.0.0/0", "0.0.0.0/0"),
        ("FD80:24E2:F998:72D6::/64", "fd80:24e2:f998:72d6::/64"),
        ("::1", "::1/128"),
        ("::/0", "::/0"),
        ("::1.2.3.4/120", "::102:304/120"),
        ("::ffff:1.2.3.4", "1.2.3.4/32"),
        ("::ffff:1.2.3.4/128", "1.2.3.4/32"),
        ("::ffff:1.2.3.4/120", "1.2.3.4/24"),
        ("::ffff:0:0/96", "0.0.0.0/0"),
    ];
    for (text, expected) in cases {
        assert_eq!(cidr(text).to_string(), expected, "{text}");
    }
}

#[test]
fn other_texts_are_refused_by_name() {
    let cases = [
        "",
        "/",
        "/8",
        "10.0.0.0/",
        "10.20.0.5/33",
        "10.0.1.0/33",
        "10.0.256.0/24",
        "10.0.0.0/+8",
        "10.0.0.0/-8",
        "10.0.0.0/ 8",
        "10.0.0.0/8/8",
        "10.0.0.0/255.0.0.0",
        "10.0.0/24",
        "fd5f::2::1/32",
        "fd5f::/129",
        "fd5f::/256",
        "fe80::1%eth0/64",
        "::ffff:1.2.3.4/95",
        "::ffff:1.2.3.4/0",
        "::ffff:1.2.3.4/129",
    ];
    for text in cases {
        let error = text.parse::<Cidr>().unwrap_err();
        assert_eq!(error.to_string(), format!("invalid IP address: {text}"));
    }
}

#[test]
fn a_command_argument_needs_a_length_and_is_masked() {
    assert_eq!(Cidr::parse_strict("10.0.1.5/24"), Ok(cidr("10.0.1.0/24")));
    assert_eq!(Cidr::parse_strict("fd5f::1:2/112"), Ok(cidr("fd5f::1:0/112")));
    for text in ["10.0.1.0", "10.0.1.0/33", "", "::1"] {
        let error = Cidr::parse_strict(text).unwrap_err();
        assert_eq!(error.to_string(), format!("invalid CIDR address: {text}"));
    }
}

#[test]
fn keys_spell_the_length_after_a_dash() {
    for (text, key) in [
        ("10.0.0.0/8", "10.0.0.0-8"),
        ("192.168.0.0/16", "192.168.0.0-16"),
        ("fd80:24e2:f998:72d6::/64", "fd80:24e2:f998:72d6::-64"),
    ] {
        assert_eq!(cidr(text).to_key(), key);
        assert_eq!(Cidr::from_key(key), Ok(cidr(text)));
    }
    for key in ["10.0.0.0", "10.0.0.0-33", "10.0.0.0-8-8", "banana-1", ""] {
        let error = Cidr::from_key(key).unwrap_err();
        assert_eq!(error.to_string(), format!("invalid IP address: {key}"));
    }
}

#[test]
fn lengths_beyond_the_address_cannot_be_built() {
    assert_eq!(Cidr::new(Ipv4Addr::LOCALHOST, 33), None);
    assert_eq!(Cidr::new(Ipv6Addr::LOCALHOST, 129), None);
    assert_eq!(Cidr::new(Ipv4Addr::LOCALHOST, 32), Some(Cidr::host(Ipv4Addr::LOCALHOST)));
}

#[test]
fn sizes_follow_the_prefix_length() {
    let cases = [
        ("10.0.0.0/26", 6, Some(64)),
        ("10.0.0.1/32", 0, Some(1)),
        ("0.0.0.0/0", 32, Some(1 << 32)),
        ("fd00::/122", 6, Some(64)),
        ("::/1", 127, Some(1 << 127)),
        ("::/0", 128, None),
    ];
    for (text, host_bits, size) in cases {
        assert_eq!((cidr(text).host_bits(), cidr(text).network_size()), (host_bits, size), "{text}");
    }
    assert!(cidr("10.0.0.1").is_single());
    assert!(!cidr("10.0.0.1/31").is_single());
}

#[test]
fn networks_of_two_versions_never_meet() {
    assert!(!cidr("::/0").contains(cidr("10.0.0.0/8")));
    assert!(!cidr("0.0.0.0/0").overlaps(cidr("::/0")));
    assert!(!cidr("::/0").contains_ip(Ipv4Addr::LOCALHOST));
}

#[test]
fn whole_address_space_contains_everything_of_its_version() {
    assert!(cidr("0.0.0.0/0").contains_ip(Ipv4Addr::BROADCAST));
    assert!(cidr("::/0").contains(cidr("fd00::1")));
    assert!(!cidr("fd00::1").contains(cidr("::/0")));
    assert!(cidr("fd00::1").overlaps(cidr("::/0")));
}

fn any_cidr() -> impl Strategy<Value = Cidr> {
    prop_oneof![
        (any::<u32>(), 0u8..=32).prop_map(|(bits, prefix)| Cidr::new(Ipv4Addr::from(bits), prefix).unwrap()),
        (any::<u128>(), 0u8..=128).prop_map(|(bits, prefix)| {
            let address = Ip::from(Ipv6Addr::from(bits));
            Cidr::new(address, prefix.min(address.version().bits())).unwrap()
        }),
    ]
}

/// Networks inside 10.0.0.0/24, small enough to list their addresses.
fn small_cidr() -> impl Strategy<Value = Cidr> {
    (any::<u8>(), 24u8..=32)
        .prop_map(|(last, prefix)| Cidr::new(Ipv4Addr::new(10, 0, 0, last), prefix).unwrap())
}

/// The addresses of a small network, found by comparing leading binary digits.
fn members(network: Cidr) -> Vec<Ip> {
    let digits = |ip: Ip| format!("{:032b}", bits(ip))[..usize::from(network.prefix())].to_owned();
    (0..=255u8)
        .map(|last| Ip::from(Ipv4Addr::new(10, 0, 0, last)))
        .filter(|ip| digits(*ip) == digits(network.address()))
        .collect()
}

proptest! {
    #[test]
    fn printing_undoes_parsing(cidr in any_cidr()) {
        prop_assert_eq!(cidr.to_string().parse::<Cidr>(), Ok(cidr));
        prop_assert_eq!(Cidr::from_key(&cidr.to_key()), Ok(cidr));
        prop_assert_eq!(Cidr::parse_strict(&cidr.to_string()), Ok(cidr.masked()));
    }

    #[test]
    fn masking_is_idempotent_and_keeps_the_network(cidr in any_cidr()) {
        let masked = cidr.masked();
        prop_assert!(masked.is_masked());
        prop_assert_eq!(masked.masked(), masked);
        prop_assert!(masked.contains(cidr) && cidr.contains(masked));
    }

    #[test]
    fn arithmetic_agrees_with_a_count_of_addresses(a in small_cidr(), b in small_cidr()) {
        let (in_a, in_b) = (members(a), members(b));
        prop_assert_eq!(a.network_size(), Some(in_a.len() as u128));
        prop_assert_eq!(a.masked().address(), in_a[0]);
        prop_assert_eq!(a.contains(b), in_b.iter().all(|ip| in_a.contains(ip)));
        prop_assert_eq!(a.overlaps(b), in_b.iter().any(|ip| in_a.contains(ip)));
        prop_assert_eq!(a.contains_ip(b.address()), in_a.contains(&b.address()));
    }

    #[test]
    fn any_text_parses_or_is_named(text in "[0-9a-f.:/+-]{0,20}") {
        if let Err(error) = text.parse::<Cidr>() {
            prop_assert_eq!(error.to_string(), format!("invalid IP address: {text}"));
        }
    }
}
