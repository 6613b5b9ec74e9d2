//! What an ADD decides before it asks anybody.

use margay_net::Cidr;
use serde_json::{Value, json};

use super::routes_of_host_local;
use crate::config::NetConf;

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
