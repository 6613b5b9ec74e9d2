use margay_net::Mac;

use super::*;
use crate::link::LinkKind;

fn link(index: u32, name: &str) -> Link {
    Link {
        index: IfIndex(index),
        name: name.parse().unwrap(),
        kind: LinkKind::Veth,
        mac: Some(Mac::from([2, 0, 0, 0, 0, 1])),
        mtu: 1500,
        up: true,
        running: true,
        peer: None,
        peer_elsewhere: false,
        alias: None,
    }
}

fn address(index: u32, net: &str) -> Address {
    Address { link: IfIndex(index), net: net.parse().unwrap(), no_dad: false }
}

#[test]
fn what_is_known_is_no_event() {
    let mut interfaces = Interfaces::default();
    let notice = Notice::Link(link(2, "cali1"));
    assert_eq!(interfaces.apply(&notice), [Event::Appeared(link(2, "cali1"))]);
    assert_eq!(interfaces.apply(&notice), []);
    let notice = Notice::Address(address(2, "10.0.0.1/24"));
    assert_eq!(interfaces.apply(&notice), [Event::AddressAdded(IfIndex(2), "10.0.0.1/24".parse().unwrap())]);
    assert_eq!(interfaces.apply(&notice), []);
    assert_eq!(interfaces.apply(&Notice::LinkGone(IfIndex(7))), []);
    assert_eq!(interfaces.apply(&Notice::AddressGone(address(7, "10.0.0.1/24"))), []);
}

#[test]
fn a_new_name_is_a_rename_and_another_field_a_change() {
    let mut interfaces = Interfaces::default();
    interfaces.apply(&Notice::Link(link(2, "cali1")));
    let down = Link { running: false, ..link(2, "cali1") };
    assert_eq!(
        interfaces.apply(&Notice::Link(down.clone())),
        [Event::Changed { before: link(2, "cali1"), after: down.clone() }]
    );
    let renamed = link(2, "eth7");
    assert_eq!(
        interfaces.apply(&Notice::Link(renamed.clone())),
        [Event::Renamed { before: down, after: renamed.clone() }]
    );
    assert_eq!(interfaces.named(&renamed.name), Some(&renamed));
    assert_eq!(interfaces.named(&link(2, "cali1").name), None);
}

#[test]
fn a_link_takes_its_addresses_along() {
    let mut interfaces = Interfaces::default();
    interfaces.apply(&Notice::Link(link(2, "cali1")));
    interfaces.apply(&Notice::Address(address(2, "fe80::1/64")));
    interfaces.apply(&Notice::Address(address(2, "0.0.0.0/0")));
    interfaces.apply(&Notice::Address(address(3, "10.0.0.1/32")));
    assert_eq!(interfaces.addresses_of(IfIndex(2)).count(), 2);
    assert_eq!(interfaces.apply(&Notice::LinkGone(IfIndex(2))), [Event::Gone(link(2, "cali1"))]);
    assert_eq!(interfaces.addresses_of(IfIndex(2)).count(), 0);
    assert_eq!(interfaces.addresses_of(IfIndex(3)).count(), 1);
}

#[test]
fn a_listing_gives_the_events_that_were_missed() {
    let mut interfaces = Interfaces::default();
    interfaces.resync(vec![link(2, "cali1"), link(3, "cali2")], &[address(2, "10.0.0.1/32")]);
    let events = interfaces.resync(vec![link(3, "cali3"), link(4, "eth0")], &[address(4, "10.0.0.2/24")]);
    assert_eq!(
        events,
        [
            Event::Gone(link(2, "cali1")),
            Event::Renamed { before: link(3, "cali2"), after: link(3, "cali3") },
            Event::Appeared(link(4, "eth0")),
            Event::AddressAdded(IfIndex(4), "10.0.0.2/24".parse().unwrap()),
        ]
    );
    let mut fresh = Interfaces::default();
    fresh.resync(vec![link(3, "cali3"), link(4, "eth0")], &[address(4, "10.0.0.2/24")]);
    assert_eq!(interfaces, fresh);
}
