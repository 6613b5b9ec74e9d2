use super::*;

fn nat(external: &str, internal: &str) -> Nat {
    Nat { external: external.parse().unwrap(), internal: internal.parse().unwrap() }
}

#[test]
fn of_two_internal_addresses_the_lowest_text_gets_the_floating_one() {
    let maps = maps([nat("1.1.1.1", "10.0.0.9"), nat("1.1.1.1", "10.0.0.10")].iter());
    assert_eq!(maps.inward, BTreeMap::from([("1.1.1.1".parse().unwrap(), "10.0.0.10".parse().unwrap())]));
}

#[test]
fn of_two_floating_addresses_the_lowest_text_is_the_source_of_a_hairpin() {
    let maps = maps([nat("9.1.1.1", "10.0.0.9"), nat("10.1.1.1", "10.0.0.9")].iter());
    assert_eq!(maps.inward.len(), 2);
    assert_eq!(maps.hairpin, BTreeMap::from([("10.0.0.9".parse().unwrap(), "10.1.1.1".parse().unwrap())]));
}

#[test]
fn a_floating_address_needs_an_owner_inside_and_a_unicast_address_outside() {
    let owns = |address: IpAddr| address == "10.0.0.9".parse::<IpAddr>().unwrap();
    assert_eq!(check(&nat("1.1.1.1", "10.0.0.9"), owns), Ok(()));
    assert_eq!(check(&nat("1.1.1.1", "10.0.0.8"), owns), Err(AddressFault::InternalNotOwned));
    assert_eq!(check(&nat("fd00::1", "10.0.0.9"), owns), Err(AddressFault::MixedFamilies));
    for external in ["127.0.0.1", "0.0.0.0", "224.0.0.1", "255.255.255.255", "169.254.169.254"] {
        assert_eq!(check(&nat(external, "10.0.0.9"), owns), Err(AddressFault::NotUnicast), "{external}");
    }
    for external in ["::", "::1", "fe80::1", "ff02::1"] {
        assert_eq!(unicast(external.parse().unwrap()), Err(AddressFault::NotUnicast), "{external}");
    }
}
