use margay_kernel::{Address, FakeNetwork, LinkChange, Veth, VethEnd};

use super::*;
use crate::host::Interface;

const PROTOCOL: u8 = 80;

/// A host with `cali0` and `cali1`, both up.
fn host() -> (FakeNetwork, HostView) {
    let mut network = FakeNetwork::new();
    let mut view = HostView::default();
    for name in ["cali0", "cali1"] {
        let end = |name: &str| VethEnd { name: name.parse().unwrap(), mac: None };
        let far = format!("x{name}");
        let veth = Veth {
            near: end(name),
            near_up: true,
            far: end(&far),
            far_namespace: None,
            mtu: None,
            queues: None,
        };
        network.submit(&[Request::AddVeth(veth)]).unwrap().remove(0).unwrap();
        let far = network.link(far.parse::<IfName>().unwrap().into()).unwrap().unwrap().index;
        let up = LinkChange { up: Some(true), ..LinkChange::default() };
        network.submit(&[Request::ChangeLink(far, up)]).unwrap().remove(0).unwrap();
        let name: IfName = name.parse().unwrap();
        let index = network.link(name.into()).unwrap().unwrap().index;
        view.interfaces.insert(name, Interface { index, running: true, addresses: BTreeSet::new() });
    }
    (network, view)
}

fn target(name: &str, mac: Option<&str>) -> Option<Target> {
    Some(Target { interface: name.parse().unwrap(), mac: mac.map(|mac| mac.parse().unwrap()) })
}

fn net(text: &str) -> Cidr {
    text.parse().unwrap()
}

fn is_workload(name: &IfName) -> bool {
    name.as_str().starts_with("cali")
}

/// All that a commit does about routes.
fn settle(routes: &mut Routes, network: &mut FakeNetwork, view: &HostView, spare: bool) -> usize {
    let (_, compared) = routes.compare(network, view, is_workload, |_| spare).unwrap();
    let withdrawn = routes.withdraw(network, view).unwrap();
    let installed = routes.install(network, view, |_| true).unwrap();
    for outcome in [&compared, &withdrawn, &installed] {
        assert!(outcome.refused.is_empty(), "{outcome:?}");
    }
    compared.sent + withdrawn.sent + installed.sent
}

fn listed(network: &mut FakeNetwork) -> Vec<String> {
    let routes = network.routes().unwrap().iter().map(ToString::to_string).collect::<Vec<_>>();
    let neighbours = network.neighbours().unwrap();
    routes.into_iter().chain(neighbours.iter().map(ToString::to_string)).collect()
}

#[test]
fn a_route_comes_with_its_neighbour_moves_in_place_and_goes_with_its_flows() {
    let (mut network, view) = host();
    let mut routes = Routes::new(PROTOCOL);
    let address = net("10.65.0.2/32");
    routes.set(address, target("cali0", Some("02:00:00:00:00:01")));
    settle(&mut routes, &mut network, &view, false);
    assert_eq!(
        listed(&mut network),
        ["route 10.65.0.2/32 dev link 3 proto 80 scope 253", "neighbour 10.65.0.2 on link 3"]
    );
    assert!(routes.take_forgotten().is_empty(), "it is new");
    routes.set(address, target("cali1", None));
    settle(&mut routes, &mut network, &view, false);
    assert_eq!(listed(&mut network), ["route 10.65.0.2/32 dev link 5 proto 80 scope 253"]);
    assert_eq!(routes.take_forgotten(), BTreeSet::from(["10.65.0.2".parse().unwrap()]));
    routes.set(address, None);
    settle(&mut routes, &mut network, &view, false);
    assert_eq!(listed(&mut network), Vec::<String>::new());
    assert_eq!(routes.take_forgotten().len(), 1);
    assert!(!routes.is_pending());
}

#[test]
fn what_stands_is_not_written_again_by_one_who_remembers_nothing() {
    let (mut network, view) = host();
    for _ in 0..2 {
        let mut routes = Routes::new(PROTOCOL);
        routes.set(net("10.65.0.2/32"), target("cali0", Some("02:00:00:00:00:01")));
        routes.set(net("fd65::2/128"), target("cali0", Some("02:00:00:00:00:01")));
        let sent = settle(&mut routes, &mut network, &view, false);
        assert_eq!(settle(&mut routes, &mut network, &view, false), 0);
        assert!(sent == 0 || network.routes().unwrap().len() == 2);
    }
    let mut routes = Routes::new(PROTOCOL);
    routes.set(net("10.65.0.2/32"), target("cali0", Some("02:00:00:00:00:01")));
    routes.set(net("fd65::2/128"), target("cali0", Some("02:00:00:00:00:01")));
    assert_eq!(settle(&mut routes, &mut network, &view, false), 0);
}

#[test]
fn stale_routes_go_others_stay_and_a_plugins_is_spared_for_a_while() {
    let (mut network, view) = host();
    let index = view.interfaces[&"cali0".parse().unwrap()].index;
    let on = |destination: &str, protocol| Route::on_link(net(destination), index, protocol);
    let others = on("10.65.0.4/32", RouteProtocol::STATIC);
    let kernels = on("10.65.0.5/32", RouteProtocol::KERNEL);
    let stale = on("10.65.0.2/32", RouteProtocol(PROTOCOL));
    let plugins = on("10.65.0.3/32", RouteProtocol::BOOT);
    let add = [others, kernels, stale, plugins].map(Request::AddRoute);
    network.submit(&add).unwrap();
    let mut routes = Routes::new(PROTOCOL);
    settle(&mut routes, &mut network, &view, true);
    assert_eq!(network.routes().unwrap().len(), 3);
    routes.recheck();
    settle(&mut routes, &mut network, &view, false);
    assert_eq!(network.routes().unwrap(), {
        let mut left = vec![others, kernels];
        left.sort();
        left
    });
    assert_eq!(routes.foreign().collect::<Vec<_>>(), [&others]);
}

#[test]
fn a_route_that_another_deletes_is_put_back() {
    let (mut network, view) = host();
    let mut routes = Routes::new(PROTOCOL);
    routes.set(net("10.65.0.2/32"), target("cali0", None));
    settle(&mut routes, &mut network, &view, false);
    let route = network.routes().unwrap()[0];
    network.submit(&[Request::DeleteRoute(route)]).unwrap();
    assert!(!routes.is_pending());
    routes.route_changed(&route, true);
    assert_eq!(settle(&mut routes, &mut network, &view, false), 1);
    assert_eq!(network.routes().unwrap(), [route]);
}

#[test]
fn an_interface_that_is_down_waits_and_one_that_came_anew_gets_its_routes_again() {
    let (mut network, mut view) = host();
    let name: IfName = "cali0".parse().unwrap();
    let mut routes = Routes::new(PROTOCOL);
    view.interfaces.get_mut(&name).unwrap().running = false;
    routes.set(net("10.65.0.2/32"), target("cali0", None));
    settle(&mut routes, &mut network, &view, false);
    assert_eq!(network.routes().unwrap().len(), 0);
    view.interfaces.get_mut(&name).unwrap().running = true;
    routes.interface_changed(&name);
    settle(&mut routes, &mut network, &view, false);
    assert_eq!(network.routes().unwrap().len(), 1);
    // An address of the interface itself is nobody's route.
    let own = Address::new(view.interfaces[&name].index, net("169.254.1.1/32"));
    network.submit(&[Request::AddAddress(own)]).unwrap().remove(0).unwrap();
    routes.recheck();
    assert_eq!(settle(&mut routes, &mut network, &view, false), 0);
}
