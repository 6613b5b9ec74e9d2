use super::*;

#[test]
fn names_are_what_the_tool_can_read_back() {
    for good in ["a", "wl_from", "pi-allow.web/80", &"x".repeat(255)] {
        assert_eq!(good.parse::<Name>().map(|name| name.to_string()).as_deref(), Ok(good));
    }
    for bad in ["", "1a", "_a", "a b", "a\0", "a\"", "ä", "a;", &"x".repeat(256)] {
        assert_eq!(bad.parse::<Name>(), Err(NameError(bad.to_owned())), "{bad:?}");
    }
}

#[test]
fn families_keep_their_numbers() {
    for family in [Family::Inet, Family::Ip, Family::Ip6, Family::Arp, Family::Bridge, Family::Netdev] {
        assert_eq!(Family::from_number(family.number()), Some(family));
    }
    assert_eq!(Family::from_number(0), None);
}
