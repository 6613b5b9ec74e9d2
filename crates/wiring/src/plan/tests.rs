use std::collections::BTreeSet;

use margay_kernel::Namespace;
use margay_net::IfName;

use super::*;

fn name(text: &str) -> IfName {
    text.parse().unwrap()
}

fn interface(addresses: &[&str]) -> Interface {
    let mut interface =
        Interface::new(Namespace::current().unwrap(), name("eth0"), name("calic1"), "net.c1".to_owned());
    interface.addresses = addresses.iter().map(|address| address.parse().unwrap()).collect();
    interface
}

fn texts(requests: &[Request]) -> Vec<String> {
    requests.iter().map(Request::to_string).collect()
}

#[test]
fn several_addresses_share_one_gateway_route() {
    let requests = workload(&interface(&["10.65.0.2", "10.65.0.3", "10.65.0.2"]), IfIndex(7));
    assert_eq!(
        texts(&requests),
        [
            "adding address 10.65.0.2/32 on link 7",
            "adding address 10.65.0.3/32 on link 7",
            "adding route 169.254.1.1/32 dev link 7 proto 3 scope 253",
            "adding route 0.0.0.0/0 via 169.254.1.1 dev link 7 proto 3 scope 0",
        ]
    );
}

#[test]
fn an_ipv6_workload_goes_through_the_link_local_address_of_the_host() {
    let requests = workload(&interface(&["fd90::2"]), IfIndex(7));
    assert_eq!(
        texts(&requests),
        [
            "adding address fd90::2/128 on link 7",
            "adding route ::/0 via fe80::ecee:eeff:feee:eeee dev link 7 proto 3 scope 0 metric 1024",
        ]
    );
}

#[test]
fn given_routes_take_the_place_of_the_default_and_foreign_families_are_left_out() {
    let mut interface = interface(&["10.65.0.2"]);
    interface.routes = Some(vec!["10.9.1.1/8".parse().unwrap(), "fd00::/8".parse().unwrap()]);
    let routes = workload_routes(&interface, IfIndex(7));
    let destinations: Vec<_> = routes.iter().map(|route| route.destination.to_string()).collect();
    assert_eq!(destinations, ["169.254.1.1/32", "10.0.0.0/8"]);
}

#[test]
fn the_gateway_address_is_what_the_host_address_makes() {
    let mut octets = GATEWAY_V6.octets();
    octets[8] ^= 2;
    assert_eq!([&octets[8..11], &octets[13..]].concat(), HOST_MAC);
}

#[test]
fn an_ipv4_workload_gets_no_ipv6_settings_but_those_that_protect_the_host() {
    let names = |addresses: &[&str]| -> BTreeSet<String> {
        host_settings(&interface(addresses)).map(|s| s.sysctl(&name("calic1")).to_string()).collect()
    };
    let v4 = names(&["10.65.0.2"]);
    let v6 = names(&["fd90::2"]);
    assert_eq!(
        v4.intersection(&v6).collect::<Vec<_>>(),
        ["net.ipv6.conf.calic1.accept_ra"],
        "common to both"
    );
    assert!(v4.contains("net.ipv4.conf.calic1.proxy_arp") && !v4.contains("net.ipv6.conf.calic1.forwarding"));
    assert!(v6.contains("net.ipv6.conf.calic1.forwarding") && !v6.contains("net.ipv4.conf.calic1.proxy_arp"));
}

#[test]
fn an_alias_is_cut_between_characters() {
    assert_eq!(alias("net.c1"), "net.c1");
    let long = format!("{}ü", "x".repeat(254));
    assert_eq!(alias(&long), "x".repeat(254));
}
