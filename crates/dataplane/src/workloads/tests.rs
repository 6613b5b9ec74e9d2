use super::*;

fn id(name: &str) -> WorkloadId {
    WorkloadId { orchestrator: "o".into(), workload: name.into(), endpoint: "e".into() }
}

fn endpoint(interface: &str, nets: &[&str]) -> Arc<WorkloadEndpoint> {
    Arc::new(WorkloadEndpoint {
        interface: interface.parse().unwrap(),
        active: true,
        mac: None,
        nets: nets.iter().map(|net| net.parse().unwrap()).collect(),
        nats: Vec::new(),
        ingress: margay_intent::Program::default(),
        egress: margay_intent::Program::default(),
    })
}

#[test]
fn the_lowest_id_owns_an_interface_and_the_next_takes_over() {
    let (a, b) = (endpoint("cali0", &["10.0.0.1/32"]), endpoint("cali0", &["10.0.0.2/32"]));
    let (mut claims, mut touched) = (Claims::default(), Touched::default());
    claims.set(&id("b"), None, Some(&b), &mut touched);
    claims.set(&id("a"), None, Some(&a), &mut touched);
    let cali0 = "cali0".parse().unwrap();
    assert_eq!(claims.owner(&cali0), Some(&id("a")));
    claims.set(&id("a"), Some(&a), None, &mut touched);
    assert_eq!(claims.owner(&cali0), Some(&id("b")));
    claims.set(&id("b"), Some(&b), None, &mut touched);
    assert_eq!(claims, Claims::default());
}

#[test]
fn an_address_inside_a_wide_network_of_another_is_taken() {
    let (mut claims, mut touched) = (Claims::default(), Touched::default());
    claims.set(&id("a"), None, Some(&endpoint("cali0", &["10.0.0.0/24"])), &mut touched);
    let inside = "10.0.0.7".parse().unwrap();
    assert!(claims.is_owned_by_other(inside, &id("b")));
    assert!(!claims.is_owned_by_other(inside, &id("a")));
    assert!(!claims.is_owned_by_other("10.0.1.7".parse().unwrap(), &id("b")));
}

#[test]
fn networks_that_reach_beyond_a_machine_are_refused() {
    for net in [
        "0.0.0.0/0",
        "::/0",
        "127.0.0.1/32",
        "126.0.0.0/7",
        "169.254.169.254/32",
        "224.0.0.5/32",
        "fe80::/64",
    ] {
        assert_eq!(check_net(net.parse().unwrap()), Err(AddressFault::NotUnicast), "{net}");
    }
    for net in ["10.65.0.2/32", "10.0.0.0/24", "fd65::10/128", "fd65::/64"] {
        assert_eq!(check_net(net.parse().unwrap()), Ok(()), "{net}");
    }
}
