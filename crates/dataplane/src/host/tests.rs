use super::*;
use margay_intent::Program;

fn view(interfaces: &[(&str, &[&str])]) -> HostView {
    let mut view = HostView::default();
    for (index, (name, addresses)) in interfaces.iter().enumerate() {
        let index = IfIndex(u32::try_from(index).unwrap() + 1);
        let addresses = addresses.iter().map(|address| address.parse().unwrap()).collect();
        view.interfaces.insert(name.parse().unwrap(), Interface { index, running: true, addresses });
    }
    view
}

fn endpoints(list: &[(&str, Option<&str>, &[&str])]) -> BTreeMap<HostEndpointId, Arc<HostEndpoint>> {
    let endpoint = |interface: Option<&str>, addresses: &[&str]| HostEndpoint {
        interface: interface.map(|name| name.parse().unwrap()),
        addresses: addresses.iter().map(|address| address.parse().unwrap()).collect(),
        ingress: Program::default(),
        egress: Program::default(),
        untracked_ingress: Program::default(),
        untracked_egress: Program::default(),
        pre_dnat: Program::default(),
    };
    list.iter()
        .map(|(id, name, addresses)| (HostEndpointId::from(*id), Arc::new(endpoint(*name, addresses))))
        .collect()
}

fn owners(view: &HostView, list: &[(&str, Option<&str>, &[&str])]) -> Vec<(String, String)> {
    let owners = HostOwners::resolve(&Config::default(), view, &endpoints(list));
    owners.by_interface.iter().map(|(name, id)| (name.to_string(), id.to_string())).collect()
}

fn pair(a: &str, b: &str) -> (String, String) {
    (a.to_owned(), b.to_owned())
}

#[test]
fn a_name_has_no_precedence_over_an_address() {
    let view = view(&[("eth0", &["172.17.0.2"])]);
    assert_eq!(owners(&view, &[("b", Some("eth0"), &[]), ("a", None, &["172.17.0.2"])]), [pair("eth0", "a")]);
    assert_eq!(owners(&view, &[("a", Some("eth0"), &[]), ("b", None, &["172.17.0.2"])]), [pair("eth0", "a")]);
}

#[test]
fn a_named_endpoint_is_not_found_by_address_and_owns_an_interface_to_come() {
    let view = view(&[("eth0", &["172.17.0.2"])]);
    assert_eq!(owners(&view, &[("h", Some("eth1"), &["172.17.0.2"])]), [pair("eth1", "h")]);
}

#[test]
fn an_endpoint_without_a_name_owns_every_interface_with_an_address_of_its() {
    let view = view(&[("eth0", &["172.17.0.2"]), ("eth1", &["192.168.77.2", "fd77::2"]), ("eth2", &[])]);
    assert_eq!(
        owners(&view, &[("h", None, &["172.17.0.2", "fd77::2"])]),
        [pair("eth0", "h"), pair("eth1", "h")]
    );
}

#[test]
fn a_workload_interface_is_never_a_host_endpoint() {
    let view = view(&[("cali0", &["10.0.0.1"])]);
    assert_eq!(owners(&view, &[("a", None, &["10.0.0.1"]), ("b", Some("cali0"), &[])]), []);
}
