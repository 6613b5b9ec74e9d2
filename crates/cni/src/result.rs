//! What ADD answers, in the shape of each version (`spec/cni.md` 11), and what other plugins answer us.

use margay_net::{Cidr, IfName, Ip, IpVersion, Mac};
use serde_json::{Map, Value, json};

use crate::error::{Code, Failure, Result};
use crate::version::SpecVersion;

/// What an ADD made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Added {
    /// The host's end.
    pub host_interface: IfName,
    /// The host end's MAC address.
    pub host_mac: Option<Mac>,
    /// The container's end.
    pub container_interface: IfName,
    /// Its MAC address.
    pub mac: Option<Mac>,
    /// MTU of both; none = not known.
    pub mtu: Option<u32>,
    /// The path of the container's namespace.
    pub sandbox: String,
    /// The container's addresses.
    pub addresses: Vec<Cidr>,
    /// The destinations that the container has a route for.
    pub routes: Vec<Cidr>,
    /// Routes as the IPAM plugin said, which results up to 0.2.0 pass on.
    pub told_routes: Vec<ToldRoute>,
    /// Name servers, as the IPAM plugin said.
    pub dns: Map<String, Value>,
}

/// A route of an IPAM plugin's answer: where to, and through whom.
pub type ToldRoute = (Cidr, Option<Ip>);

/// What an IPAM plugin assigned.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Assigned {
    /// Addresses, each with the prefix that the plugin gave.
    pub addresses: Vec<Cidr>,
    /// Routes of an answer up to 0.2.0, each with its family's gateway if it has none of its own.
    pub routes: Vec<ToldRoute>,
    /// Name servers.
    pub dns: Map<String, Value>,
}

// === impl Added ===

impl Added {
    /// The result object.
    #[must_use]
    pub fn to_json(&self, version: SpecVersion) -> Value {
        if version <= SpecVersion::V020 { self.to_old_json(version) } else { self.to_new_json(version) }
    }

    /// One address per version, which is all that 0.2.0 can say.
    fn to_old_json(&self, version: SpecVersion) -> Value {
        let mut object = json!({ "cniVersion": version.as_str() });
        for (family, member) in [(IpVersion::V4, "ip4"), (IpVersion::V6, "ip6")] {
            if let Some(address) = self.addresses.iter().find(|address| address.version() == family) {
                object[member] = json!({ "ip": address.to_string() });
                let of_family = self.told_routes.iter().filter(|(dst, _)| dst.version() == family);
                let routes: Vec<Value> = of_family.map(route_json).collect();
                if !routes.is_empty() {
                    object[member]["routes"] = routes.into();
                }
            }
        }
        object["dns"] = Value::Object(self.dns.clone());
        object
    }

    fn to_new_json(&self, version: SpecVersion) -> Value {
        let ips: Vec<Value> = self
            .addresses
            .iter()
            .map(|address| {
                let mut ip = json!({ "address": address.to_string(), "interface": 1 });
                if version < SpecVersion::V100 {
                    ip["version"] = address.version().number().to_string().into();
                }
                ip
            })
            .collect();
        let routes: Vec<Value> = self.routes.iter().map(|dst| json!({ "dst": dst.to_string() })).collect();
        let mut object = json!({
            "cniVersion": version.as_str(),
            "interfaces": [self.host_json(version), self.container_json(version)],
            "ips": ips,
        });
        if !routes.is_empty() {
            object["routes"] = routes.into();
        }
        if version < SpecVersion::V100 || !self.dns.is_empty() {
            object["dns"] = Value::Object(self.dns.clone());
        }
        object
    }

    fn host_json(&self, version: SpecVersion) -> Value {
        let mut host = json!({ "name": self.host_interface.as_str() });
        if version >= SpecVersion::V110 {
            if let Some(mac) = self.host_mac {
                host["mac"] = mac.to_string().into();
            }
            self.put_mtu(&mut host);
        }
        host
    }

    fn container_json(&self, version: SpecVersion) -> Value {
        let mut container = json!({ "name": self.container_interface.as_str() });
        if let Some(mac) = self.mac {
            container["mac"] = mac.to_string().into();
        }
        if version >= SpecVersion::V100 {
            self.put_mtu(&mut container);
        }
        container["sandbox"] = self.sandbox.as_str().into();
        container
    }

    fn put_mtu(&self, interface: &mut Value) {
        if let Some(mtu) = self.mtu {
            interface["mtu"] = mtu.into();
        }
    }
}

fn route_json((dst, gateway): &ToldRoute) -> Value {
    let mut route = json!({ "dst": dst.to_string() });
    if let Some(gateway) = gateway {
        route["gw"] = gateway.to_string().into();
    }
    route
}

/// The default routes of the versions that a list of addresses has.
#[must_use]
pub fn default_routes(addresses: &[Cidr]) -> Vec<Cidr> {
    let mut routes = Vec::with_capacity(2);
    for (family, text) in [(IpVersion::V4, "0.0.0.0/0"), (IpVersion::V6, "::/0")] {
        if addresses.iter().any(|address| address.version() == family) {
            routes.push(text.parse().expect("a network"));
        }
    }
    routes
}

// === impl Assigned ===

impl Assigned {
    /// Reads an IPAM plugin's answer in the shape that the configuration's version has.
    ///
    /// # Errors
    /// It is no JSON object, or an address in it is none.
    pub fn parse(stdout: &[u8], version: SpecVersion) -> Result<Self> {
        let refuse = |reason: String| Failure::new(Code::DECODE, reason);
        let object = match serde_json::from_slice::<Value>(stdout) {
            Ok(Value::Object(object)) => object,
            Ok(_) => return Err(refuse("the IPAM plugin's answer is no JSON object".to_owned())),
            Err(error) if error.is_eof() => return Err(refuse("unexpected end of JSON input".to_owned())),
            Err(error) => return Err(refuse(format!("the IPAM plugin's answer is no JSON: {error}"))),
        };
        let address = |value: Option<&Value>| match value.and_then(Value::as_str) {
            // With its prefix length, as the CNI library wants it.
            Some(text) => match text.parse::<Cidr>() {
                Ok(address) if text.contains('/') => Ok(address),
                _ => Err(refuse(format!("invalid CIDR address: {text}"))),
            },
            None => Err(refuse("an address of the IPAM plugin's answer is no text".to_owned())),
        };
        let (mut addresses, mut routes) = (Vec::new(), Vec::new());
        if version <= SpecVersion::V020 {
            for member in ["ip4", "ip6"] {
                if let Some(of_family) = object.get(member).filter(|value| !value.is_null()) {
                    addresses.push(address(of_family.get("ip"))?);
                    routes.extend(told_routes(of_family));
                }
            }
        } else if let Some(ips) = object.get("ips").and_then(Value::as_array) {
            for ip in ips {
                addresses.push(address(ip.get("address"))?);
            }
        }
        let dns = object.get("dns").and_then(Value::as_object).cloned().unwrap_or_default();
        Ok(Self { addresses, routes, dns })
    }
}

/// The routes of one family; what is none says nothing that anybody needs.
fn told_routes(of_family: &Value) -> impl Iterator<Item = ToldRoute> {
    let ip = |value: &Value| value.as_str().and_then(|text| text.parse::<Ip>().ok());
    let gateway = ip(&of_family["gateway"]);
    let routes = of_family["routes"].as_array().into_iter().flatten();
    routes.filter_map(move |route| Some((route["dst"].as_str()?.parse().ok()?, ip(&route["gw"]).or(gateway))))
}

#[cfg(test)]
mod tests;
