use super::*;

fn name(text: &str) -> IfName {
    text.parse().expect("a name")
}

#[test]
fn fields_beside_others_are_padded_to_four_bytes() {
    let key = Key::new([Value::Protocol(6), Value::Port(80)]);
    assert_eq!(key.as_bytes(), [6, 0, 0, 0, 0, 80, 0, 0]);
    assert_eq!(Key::from(Value::Port(80)).as_bytes(), [0, 80]);
    assert_eq!(
        Key::new([Value::IfName(name("cali1")), Value::V4([10, 0, 0, 1].into())]).as_bytes().len(),
        20
    );
}

#[test]
fn types_are_told_as_the_tool_tells_them() {
    assert_eq!(Fields::new([Field::IfName, Field::Ipv4Addr]).number(), 0xa47);
    assert_eq!(Fields::new([Field::IcmpType, Field::IcmpCode]).number(), 0x3a0);
    for field in Field::ALL {
        let fields = Fields::new([Field::IfName, field]);
        assert_eq!(Fields::from_number(fields.number()), Some(fields));
        assert_eq!(Fields::from_number(field.number()), Some(field.into()));
    }
    assert_eq!(Fields::from_number(0), None);
    assert_eq!(Fields::from_number(63), None);
}

#[test]
fn a_key_gives_its_values_back() {
    let values = [
        Value::IfName(name("eth0")),
        Value::V6("fd00::1".parse().expect("an address")),
        Value::NfProto(IpVersion::V6),
        Value::CtState(CtState::ESTABLISHED),
    ];
    let key = Key::new(values);
    assert_eq!(key.values().collect::<Option<Vec<_>>>().as_deref(), Some(values.as_slice()));
    assert_eq!(Key::read(key.fields(), key.as_bytes()), Some(key));
    assert_eq!(Key::read(key.fields(), &key.as_bytes()[1..]), None);
    assert_eq!(key.to_string(), "\"eth0\" . fd00::1 . ipv6 . established");
}

#[test]
fn a_network_is_a_range_of_addresses() {
    let net = |text: &str| Element::net(text.parse().expect("a network"));
    let v4 = |text: &str| Key::from(Value::V4(text.parse().expect("an address")));
    assert_eq!(net("10.1.2.3/8"), Element::range(v4("10.0.0.0"), v4("10.255.255.255")));
    assert_eq!(net("10.1.2.3/32"), Element::range(v4("10.1.2.3"), v4("10.1.2.3")));
    assert_eq!(net("0.0.0.0/0"), Element::range(v4("0.0.0.0"), v4("255.255.255.255")));
    assert_eq!(net("::/0").last, Some(Key::highest(Field::Ipv6Addr.into())));
}

#[test]
fn a_prefix_is_a_range_of_names() {
    let prefix: IfPrefix = "cali".parse().expect("a prefix");
    let range = prefix.range();
    let inside = Key::from(Value::IfName(name("cali12")));
    assert!(range.key <= inside && Some(inside) <= range.last);
    assert!(Some(Key::from(Value::IfName(name("calj")))) > range.last);
    assert!(Key::from(Value::IfName(name("cal"))) < range.key);
    assert!(prefix.begins(&name("cali")) && !prefix.begins(&name("cal")));
    assert!("a/b".parse::<IfPrefix>().is_err());
}

#[test]
fn keys_count_up_and_down() {
    let port = |port| Key::from(Value::Port(port));
    assert_eq!(port(255).successor(), Some(port(256)));
    assert_eq!(port(256).predecessor(), Some(port(255)));
    assert_eq!(port(65535).successor(), None);
    assert_eq!(port(0).predecessor(), None);
}
