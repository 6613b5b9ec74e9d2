//! The parameters of the agent that a verdict depends on.

use std::net::IpAddr;
use std::sync::Arc;

use super::packet::protocol::{TCP, UDP};

/// What becomes of a packet to the host that its workload may send (`DefaultEndpointToHostAction`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum EndpointToHost {
    /// Dropped.
    #[default]
    Drop,
    /// Accepted.
    Accept,
    /// The host's own rules decide.
    Return,
}

/// The parameters of the agent that a verdict depends on, under upstream's defaults.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// The beginnings of the names of workload interfaces.
    pub interface_prefixes: Vec<Arc<str>>,
    /// Protocols and ports of the host that stay open.
    pub failsafe_inbound: Vec<(u8, u16)>,
    /// Protocols and ports outside that the host can always reach.
    pub failsafe_outbound: Vec<(u8, u16)>,
    /// What becomes of allowed traffic from workloads to the host.
    pub endpoint_to_host: EndpointToHost,
    /// IP in IP between hosts is let through, and none from others.
    pub ipip: bool,
    /// What OpenStack needs goes from workloads to the host (`spec/policy.md` 7.6).
    pub openstack: bool,
    /// The metadata service of OpenStack.
    pub metadata: Option<(IpAddr, u16)>,
    /// Packets that belong to no flow are dropped.
    pub check_invalid: bool,
    /// Neighbour discovery of governed host interfaces stays open.
    pub neighbour_failsafe: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            interface_prefixes: vec!["cali".into()],
            failsafe_inbound: vec![(TCP, 22), (UDP, 68)],
            failsafe_outbound: vec![(TCP, 2379), (TCP, 2380), (TCP, 4001), (TCP, 7001), (UDP, 53), (UDP, 67)],
            endpoint_to_host: EndpointToHost::Drop,
            ipip: false,
            openstack: false,
            metadata: None,
            check_invalid: true,
            neighbour_failsafe: true,
        }
    }
}

// === impl Settings ===

impl Settings {
    /// The settings that parameters of the agent ask for, given by name in any letter case. Later ones count; those
    /// that no verdict depends on, and values that mean nothing, are passed over.
    #[must_use]
    pub fn from_parameters<'a>(parameters: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let mut settings = Self::default();
        let mut open_stack = OpenStack::default();
        for (name, value) in parameters {
            let value = value.trim();
            if value.is_empty() {
                continue;
            }
            match name.to_ascii_lowercase().as_str() {
                "interfaceprefix" => settings.interface_prefixes = value.split(',').map(Into::into).collect(),
                "failsafeinboundhostports" => replace(&mut settings.failsafe_inbound, ports(value)),
                "failsafeoutboundhostports" => replace(&mut settings.failsafe_outbound, ports(value)),
                "defaultendpointtohostaction" => replace(&mut settings.endpoint_to_host, action(value)),
                "ipinipenabled" => replace(&mut settings.ipip, boolean(value)),
                "disableconntrackinvalidcheck" => {
                    replace(&mut settings.check_invalid, boolean(value).map(|disable| !disable));
                }
                "clustertype" => open_stack.cluster = value.to_ascii_lowercase().contains("openstack"),
                "metadataaddr" => open_stack.address = Some(value.to_owned()),
                "metadataport" => replace(&mut open_stack.port, value.parse().ok()),
                _ => {}
            }
        }
        let prefixes = &settings.interface_prefixes;
        settings.openstack = open_stack.is_active() || prefixes.iter().any(|prefix| **prefix == *"tap");
        settings.metadata = open_stack.metadata().filter(|_| settings.openstack);
        settings
    }
}

/// The parameters that switch OpenStack's special cases on (`spec/policy.md` 7.6).
struct OpenStack {
    cluster: bool,
    address: Option<String>,
    port: u16,
}

impl Default for OpenStack {
    fn default() -> Self {
        Self { cluster: false, address: None, port: 8775 }
    }
}

impl OpenStack {
    fn address(&self) -> Option<&str> {
        self.address.as_deref().filter(|text| *text != "127.0.0.1" && !text.eq_ignore_ascii_case("none"))
    }

    fn is_active(&self) -> bool {
        self.cluster || self.address().is_some() || !matches!(self.port, 0 | 8775)
    }

    fn metadata(&self) -> Option<(IpAddr, u16)> {
        self.address()?.parse().ok().map(|address| (address, self.port))
    }
}

fn replace<T>(place: &mut T, value: Option<T>) {
    if let Some(value) = value {
        *place = value;
    }
}

fn boolean(text: &str) -> Option<bool> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "1" | "yes" | "y" | "t" => Some(true),
        "false" | "0" | "no" | "n" | "f" => Some(false),
        _ => None,
    }
}

fn action(text: &str) -> Option<EndpointToHost> {
    match text.to_ascii_uppercase().as_str() {
        "DROP" => Some(EndpointToHost::Drop),
        "ACCEPT" => Some(EndpointToHost::Accept),
        "RETURN" => Some(EndpointToHost::Return),
        _ => None,
    }
}

/// `tcp:22,udp:68,8080`, or `none`.
fn ports(text: &str) -> Option<Vec<(u8, u16)>> {
    if text.eq_ignore_ascii_case("none") {
        return Some(Vec::new());
    }
    let one = |word: &str| {
        let (protocol, port) = word.trim().split_once(':').unwrap_or(("tcp", word.trim()));
        let protocol = match protocol.to_ascii_lowercase().as_str() {
            "tcp" => TCP,
            "udp" => UDP,
            _ => return None,
        };
        port.parse().ok().map(|port| (protocol, port))
    };
    text.split(',').map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_count_in_any_letter_case_and_the_last_one_counts() {
        let settings = Settings::from_parameters([
            ("interfaceprefix", "cali,eni"),
            ("FAILSAFEINBOUNDHOSTPORTS", "udp:53, 8080"),
            ("FailsafeOutboundHostPorts", "none"),
            ("IpInIpEnabled", "no"),
            ("IpInIpEnabled", "Yes"),
            ("DisableConntrackInvalidCheck", "true"),
            ("DefaultEndpointToHostAction", "return"),
            ("LogSeverityScreen", "debug"),
        ]);
        let expected = Settings {
            interface_prefixes: vec!["cali".into(), "eni".into()],
            failsafe_inbound: vec![(UDP, 53), (TCP, 8080)],
            failsafe_outbound: Vec::new(),
            endpoint_to_host: EndpointToHost::Return,
            ipip: true,
            check_invalid: false,
            ..Settings::default()
        };
        assert_eq!(settings, expected);
    }

    #[test]
    fn values_that_mean_nothing_leave_the_default() {
        let odd = [
            ("IpInIpEnabled", "maybe"),
            ("FailsafeInboundHostPorts", "sctp:1"),
            ("DefaultEndpointToHostAction", "REJECT"),
            ("MetadataPort", "x"),
            ("InterfacePrefix", " "),
        ];
        assert_eq!(Settings::from_parameters(odd), Settings::default());
    }

    #[test]
    fn openstack_is_recognised_by_each_of_its_parameters() {
        let is = |name, value| Settings::from_parameters([(name, value)]).openstack;
        assert!(
            is("ClusterType", "k8s,OpenStack") && is("MetadataPort", "8776") && is("InterfacePrefix", "tap")
        );
        assert!(is("MetadataAddr", "10.1.1.1") && is("MetadataAddr", "metadata.example"));
        assert!(!is("MetadataAddr", "127.0.0.1") && !is("MetadataPort", "8775") && !is("ClusterType", "k8s"));
        let metadata = |address| Settings::from_parameters([("MetadataAddr", address)]).metadata;
        assert_eq!(metadata("10.1.1.1"), Some((IpAddr::from([10, 1, 1, 1]), 8775)));
        assert_eq!(metadata("metadata.example"), None);
    }
}
