//! What an ADD decides before it asks anybody.

use std::collections::BTreeMap;

use margay_model::v1::{IPNAT, WorkloadEndpoint};
use margay_net::{Cidr, IfIndex};
use margay_wiring::{Attached, End};
use serde_json::{Value, json};

use super::{endpoint, routes_of_host_local};
use crate::args::Args;
use crate::config::NetConf;
use crate::identity::{Identity, Workload};
use crate::request::ContainerId;

/// The routes that a container with 10.0.0.5 gets instead of the default.
fn routes(version: &str, ipam: &Value, include_default_routes: &Value) -> Option<Vec<String>> {
    let conf = json!({
        "cniVersion": version, "name": "net1", "ipam": ipam, "include_default_routes": include_default_routes
    });
    let conf = NetConf::parse(conf.to_string().as_bytes()).unwrap();
    let address: Cidr = "10.0.0.5/32".parse().unwrap();
    let routes = routes_of_host_local(&conf, &[address])?;
    Some(routes.iter().map(ToString::to_string).collect())
}

#[test]
fn routes_of_host_local_count_for_those_who_know_version_3() {
    let host_local =
        json!({ "type": "host-local", "routes": [{ "dst": "10.9.0.0/16" }, { "dst": "0.0.0.0/0" }] });
    let only = Some(vec!["10.9.0.0/16".to_owned(), "0.0.0.0/0".to_owned()]);
    let default_first = Some(vec!["0.0.0.0/0".to_owned(), "10.9.0.0/16".to_owned()]);
    assert_eq!(routes("0.3.1", &host_local, &Value::Null), None, "as version 1");
    assert_eq!(routes("0.3.1", &host_local, &json!(false)), only);
    assert_eq!(routes("0.3.1", &host_local, &json!(true)), default_first);
    assert_eq!(routes("0.4.0", &host_local, &Value::Null), only);
    assert_eq!(routes("1.0.0", &json!({ "type": "host-local" }), &Value::Null), None, "none are said");
    let ours = json!({ "type": "calico-ipam", "routes": [{ "dst": "10.9.0.0/16" }] });
    assert_eq!(routes("1.0.0", &ours, &json!(true)), None, "another plugin's");
}

#[test]
fn an_earlier_lifes_translations_stay_only_for_addresses_that_stay() {
    let container = ContainerId::parse("y").unwrap();
    let identity = Identity {
        node: "h1".to_owned(),
        workload: Workload::of(&Args::parse("K8S_POD_NAMESPACE=n;K8S_POD_NAME=p").unwrap(), &container),
        container,
        ifname: "eth0".parse().unwrap(),
    };
    let end = |name: &str| End {
        name: name.parse().unwrap(),
        index: IfIndex(7),
        mac: [2, 0, 0, 0, 0, 1].into(),
        mtu: 1500,
    };
    let attached = Attached { host: end("cali1"), workload: end("eth0"), warnings: Vec::new() };
    let translation = |inside: &str| IPNAT {
        internal_ip: Some(inside.parse().unwrap()),
        external_ip: Some("192.0.2.1".parse().unwrap()),
    };
    let mut earlier = WorkloadEndpoint::default();
    earlier.spec.ip_nats = vec![translation("10.0.0.5"), translation("10.0.0.6")];
    let addresses = ["10.0.0.6/32".parse().unwrap()];
    let now = endpoint(Some(earlier), &identity, &attached, &addresses, "net1", &BTreeMap::new(), &[]);
    assert_eq!(now.spec.ip_nats, [translation("10.0.0.6")]);
    assert_eq!(now.metadata.active_instance_id, "y");
}
