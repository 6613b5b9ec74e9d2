//! What the parameters say to the parts: the datastore's settings, the dataplane's, the logs'.

use std::net::{IpAddr, SocketAddr, ToSocketAddrs as _};
use std::path::PathBuf;

use margay_client::{DatastoreKind, Settings};
use margay_daemon::log::{Settings as LogSettings, Severity};
use margay_dataplane::{Config, Failsafe, HostAction, IpInIp, LogLimit, Metadata, OpenStack};

use crate::parameters::{FailsafePort, FailsafeProtocol, Name, Parameters};

/// The datastore that the parameters name, over what the environment of all programs says (`base`).
pub(crate) fn datastore(parameters: &Parameters, base: Settings) -> Settings {
    let mut settings = base;
    if parameters.is_set(Name::DatastoreType) {
        settings.datastore = DatastoreKind::from_word(parameters.text(Name::DatastoreType));
    }
    let etcd = &mut settings.etcd;
    let endpoints = parameters.list(Name::EtcdEndpoints);
    let addressed = parameters.is_set(Name::EtcdAddr) || parameters.is_set(Name::EtcdScheme);
    if !endpoints.is_empty() {
        etcd.endpoints = endpoints.join(",");
    } else if addressed {
        etcd.endpoints.clear();
    }
    if addressed || etcd.authority.is_empty() {
        parameters.text(Name::EtcdAddr).clone_into(&mut etcd.authority);
        parameters.text(Name::EtcdScheme).clone_into(&mut etcd.scheme);
    }
    for (name, text) in [
        (Name::EtcdKeyFile, &mut etcd.key_file),
        (Name::EtcdCertFile, &mut etcd.cert_file),
        (Name::EtcdCaFile, &mut etcd.ca_cert_file),
    ] {
        if parameters.is_set(name) {
            parameters.text(name).clone_into(text);
        }
    }
    if parameters.is_set(Name::SqlitePath) && !parameters.text(Name::SqlitePath).is_empty() {
        settings.sqlite_path = PathBuf::from(parameters.text(Name::SqlitePath));
    }
    settings
}

/// What the dataplane is told.
pub(crate) fn dataplane(parameters: &Parameters) -> Config {
    let defaults = Config::default();
    let prefixes =
        parameters.list(Name::InterfacePrefix).iter().filter_map(|prefix| prefix.parse().ok()).collect();
    let ports = |name| parameters.ports(name).iter().copied().map(failsafe).collect();
    let limit = u32::try_from(parameters.int(Name::LogActionRateLimit)).unwrap_or(0);
    let mask = parameters.mask(Name::IptablesMarkMask);
    Config {
        prefixes,
        endpoint_to_host: match parameters.text(Name::DefaultEndpointToHostAction) {
            "ACCEPT" => HostAction::Accept,
            "RETURN" => HostAction::Return,
            _ => HostAction::Drop,
        },
        failsafe_in: ports(Name::FailsafeInboundHostPorts),
        failsafe_out: ports(Name::FailsafeOutboundHostPorts),
        accept_invalid: parameters.bool(Name::DisableConntrackInvalidCheck),
        log_prefix: parameters.text(Name::LogPrefix).to_owned(),
        log_limit: (limit > 0).then(|| LogLimit {
            per_second: limit,
            burst: u32::try_from(parameters.int(Name::LogActionRateLimitBurst)).unwrap_or(1).max(1),
        }),
        mark: mask & mask.wrapping_neg(),
        ipip: parameters.bool(Name::IpInIpEnabled).then(|| IpInIp {
            mtu: u32::try_from(parameters.int(Name::IpInIpMtu)).unwrap_or(1440),
            address: match parameters.address(Name::IpInIpTunnelAddr) {
                Some(IpAddr::V4(address)) => Some(address),
                Some(IpAddr::V6(_)) | None => None,
            },
        }),
        openstack: openstack(parameters),
        ipv6: parameters.bool(Name::Ipv6Support),
        route_protocol: u8::try_from(parameters.int(Name::DeviceRouteProtocol))
            .unwrap_or(defaults.route_protocol),
        startup_guard: parameters.bool(Name::StartupGuard),
        refresh: parameters.time(Name::NftablesRefreshInterval),
        ..defaults
    }
}

/// The OpenStack special cases, when anything hints at OpenStack (`spec/openstack.md` 8).
fn openstack(parameters: &Parameters) -> Option<OpenStack> {
    let (address, port) = (parameters.text(Name::MetadataAddr), parameters.port(Name::MetadataPort));
    let is_active = parameters.text(Name::ClusterType).to_ascii_lowercase().contains("openstack")
        || !matches!(address, "" | "127.0.0.1")
        || !matches!(port, 0 | 8775)
        || parameters.list(Name::InterfacePrefix).iter().any(|prefix| prefix == "tap");
    is_active.then(|| OpenStack {
        metadata: match address.parse() {
            Ok(address) if port != 0 => Some(Metadata { address, port }),
            _ => None,
        },
    })
}

/// Where the logs go.
pub(crate) fn logs(parameters: &Parameters) -> LogSettings {
    let level = |name| Severity::parse(parameters.text(name));
    LogSettings {
        screen: level(Name::LogSeverityScreen),
        file: level(Name::LogSeverityFile),
        path: PathBuf::from(parameters.text(Name::LogFilePath)),
        syslog: level(Name::LogSeveritySys),
        never_drop: parameters.bool(Name::DebugDisableLogDropping),
    }
}

/// Where a page is served, when it is.
pub(crate) fn page(parameters: &Parameters, enabled: Name, host: Name, port: Name) -> Option<SocketAddr> {
    if !parameters.bool(enabled) {
        return None;
    }
    let (host, port) = (parameters.text(host), parameters.port(port));
    let host = if host.is_empty() { "127.0.0.1" } else { host };
    // Only addresses and names of this host's own files are expected here.
    match host.trim_matches(['[', ']']).parse::<IpAddr>() {
        Ok(address) => Some(SocketAddr::new(address, port)),
        Err(_) => (host, port).to_socket_addrs().ok()?.next(),
    }
}

fn failsafe(port: FailsafePort) -> Failsafe {
    let protocol = match port.protocol {
        FailsafeProtocol::Tcp => 6,
        FailsafeProtocol::Udp => 17,
    };
    Failsafe { protocol, port: port.port }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::path::{Path, PathBuf};

    use margay_client::{DatastoreKind, Settings};
    use margay_dataplane::{Config, HostAction, Metadata, OpenStack};

    use super::{dataplane, datastore, page};
    use crate::parameters::{Host, Name, Parameters, Texts, resolve};

    const HOST: Host<'static> = Host { name: "node1", exists: &|_| true };

    fn with(texts: &[(&str, &str)]) -> Parameters {
        let environment = texts.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect();
        resolve(&Texts { environment, ..Texts::default() }, HOST).unwrap().0
    }

    fn base(env: &[(&str, &str)]) -> Settings {
        let env: BTreeMap<_, _> = env.iter().map(|(name, text)| ((*name).to_owned(), text.into())).collect();
        Settings::of_environment(Path::new("/"), &env, DatastoreKind::Etcd).unwrap()
    }

    #[test]
    fn defaults_of_both_tables_agree() {
        assert_eq!(dataplane(&with(&[])), Config::default());
    }

    #[test]
    fn each_parameter_reaches_the_dataplane() {
        let config = dataplane(&with(&[
            ("InterfacePrefix", "tap,cali"),
            ("DefaultEndpointToHostAction", "return"),
            ("FailsafeInboundHostPorts", "none"),
            ("LogActionRateLimit", "none"),
            ("IptablesMarkMask", "0x0ff0"),
            ("IpInIpEnabled", "true"),
            ("IpInIpTunnelAddr", "10.0.0.1"),
            ("MetadataAddr", "10.9.0.1"),
        ]));
        assert_eq!(config.prefixes.len(), 2);
        assert_eq!(config.endpoint_to_host, HostAction::Return);
        assert_eq!(config.failsafe_in, []);
        assert_eq!(config.log_limit, None);
        assert_eq!(config.mark, 0x10);
        assert_eq!(
            config.ipip.map(|ipip| (ipip.mtu, ipip.address)),
            Some((1440, Some([10, 0, 0, 1].into())))
        );
        let metadata = Some(Metadata { address: [10, 9, 0, 1].into(), port: 8775 });
        assert_eq!(config.openstack, Some(OpenStack { metadata }));
    }

    #[test]
    fn openstack_is_seen_by_any_of_its_signs() {
        for (texts, seen) in [
            (&[][..], false),
            (&[("ClusterType", "k8s,OpenStack")], true),
            (&[("MetadataPort", "80")], true),
            (&[("MetadataPort", "none")], false),
            (&[("MetadataAddr", "none")], false),
            (&[("InterfacePrefix", "tapx")], false),
            (&[("InterfacePrefix", "cali,tap")], true),
        ] {
            assert_eq!(dataplane(&with(texts)).openstack.is_some(), seen, "{texts:?}");
        }
    }

    #[test]
    fn the_agents_parameters_win_over_the_environment_of_all_programs() {
        let urls =
            |texts: &[(&str, &str)], env: &[(&str, &str)]| datastore(&with(texts), base(env)).etcd.urls();
        assert_eq!(urls(&[], &[]), ["http://127.0.0.1:2379"]);
        assert_eq!(urls(&[], &[("ETCD_ENDPOINTS", "http://a:1")]), ["http://a:1"]);
        assert_eq!(urls(&[("EtcdAddr", "b:2")], &[("ETCD_ENDPOINTS", "http://a:1")]), ["http://b:2"]);
        assert_eq!(urls(&[("EtcdAddr", "b:2"), ("EtcdScheme", "https")], &[]), ["https://b:2"]);
        assert_eq!(urls(&[("EtcdAddr", "b:2"), ("EtcdEndpoints", "http://c:3")], &[]), ["http://c:3/"]);
        let sqlite = datastore(&with(&[("DatastoreType", "SQLite"), ("SqlitePath", "/x.db")]), base(&[]));
        assert_eq!((sqlite.datastore, sqlite.sqlite_path), (DatastoreKind::Sqlite, PathBuf::from("/x.db")));
    }

    #[test]
    fn pages_are_of_this_host_alone_unless_told_otherwise() {
        let at = |texts| page(&with(texts), Name::HealthEnabled, Name::HealthHost, Name::HealthPort);
        assert_eq!(at(&[]), None);
        assert_eq!(at(&[("HealthEnabled", "1")]), Some("127.0.0.1:9099".parse().unwrap()));
        assert_eq!(
            at(&[("HealthEnabled", "1"), ("HealthHost", "none")]),
            Some("127.0.0.1:9099".parse().unwrap())
        );
        let open = [("HealthEnabled", "1"), ("HealthHost", "::"), ("HealthPort", "80")];
        assert_eq!(at(&open), Some("[::]:80".parse().unwrap()));
    }
}
