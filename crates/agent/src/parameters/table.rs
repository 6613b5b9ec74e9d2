//! [`TABLE`]: the parameters, in the order of `spec/agent.md` 2.3, ours behind them.

use super::{Effect, Flags, Kind, Parameter};

const ANY: Kind = Kind::Int(i64::MIN, i64::MAX);
const PORT: Kind = Kind::Int(0, 65_535);
const LEVEL: Kind = Kind::OneOf(&["DEBUG", "INFO", "WARNING", "ERROR", "FATAL"]);

const NONE: Flags = Flags { non_zero: false, die: false, local: false };
const N: Flags = Flags { non_zero: true, die: false, local: false };
const D: Flags = Flags { non_zero: false, die: true, local: false };
const L: Flags = Flags { non_zero: false, die: false, local: true };
const ND: Flags = Flags { non_zero: true, die: true, local: false };
const NL: Flags = Flags { non_zero: true, die: false, local: true };
const LD: Flags = Flags { non_zero: false, die: true, local: true };

const INTERNAL: &str = "the dataplane is part of the agent";
const NO_TYPHA: &str = "the agent reads the datastore itself";
const EVENTS: &str = "the kernel tells of changes, nothing is polled";
const NFTABLES: &str = "nftables is used, over netlink";
const NO_PHONE: &str = "nothing is ever reported to anybody";
const NO_GO: &str = "it is of the Go runtime";
const OWN_CHECK: &str = "spoofed sources are dropped by rules of our own";

macro_rules! parameters {
    ($($name:ident : $kind:expr, $default:literal, $flags:expr, $effect:expr, $about:literal;)*) => {
        /// The name of a parameter.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Name {
            $(#[doc = $about] $name,)*
        }

        /// Every parameter; the index of a row is its name's number.
        pub const TABLE: &[Parameter] = &[
            $(Parameter {
                name: Name::$name,
                text: stringify!($name),
                kind: $kind,
                default: $default,
                flags: $flags,
                effect: $effect,
                about: $about,
            },)*
        ];
    };
}

parameters! {
    UseInternalDataplaneDriver: Kind::Bool, "true", NONE, Effect::Meaningless(INTERNAL),
        "False started an external driver.";
    DataplaneDriver: Kind::Executable, "calico-iptables-plugin", ND, Effect::Meaningless(INTERNAL),
        "The external driver.";
    DatastoreType: Kind::OneOf(&["etcdv2", "kubernetes", "sqlite"]), "etcdv2", ND, Effect::Start,
        "The datastore: etcd, the Kubernetes API (not in this build), or a file on this host.";
    FelixHostname: Kind::Hostname, "", NL, Effect::Start,
        "This host's name in the datastore; the kernel's host name when not set.";
    EtcdAddr: Kind::Authority, "127.0.0.1:2379", L, Effect::Start,
        "Where etcd is, when EtcdEndpoints is not set.";
    EtcdScheme: Kind::OneOf(&["http", "https"]), "http", L, Effect::Start,
        "How to speak to EtcdAddr.";
    EtcdKeyFile: Kind::ExistingFile, "", L, Effect::Start,
        "The client's key for etcd.";
    EtcdCertFile: Kind::ExistingFile, "", L, Effect::Start,
        "The client's certificate for etcd.";
    EtcdCaFile: Kind::ExistingFile, "", L, Effect::Start,
        "The trusted roots for etcd.";
    EtcdEndpoints: Kind::Endpoints, "", L, Effect::Start,
        "The URLs of etcd's members.";
    TyphaAddr: Kind::Authority, "", NONE, Effect::Meaningless(NO_TYPHA),
        "Where Typha is.";
    TyphaK8sServiceName: Kind::Text, "", NONE, Effect::Meaningless(NO_TYPHA),
        "The service that Typha is found by.";
    TyphaK8sNamespace: Kind::Text, "kube-system", N, Effect::Meaningless(NO_TYPHA),
        "The namespace of Typha's service.";
    TyphaReadTimeout: Kind::Seconds, "30", NONE, Effect::Meaningless(NO_TYPHA),
        "How long Typha may be silent.";
    TyphaWriteTimeout: Kind::Seconds, "10", NONE, Effect::Meaningless(NO_TYPHA),
        "How long a write to Typha may take.";
    Ipv6Support: Kind::Bool, "true", NONE, Effect::Dataplane,
        "False leaves IPv6 of workloads without routes and settings; policy holds for both families.";
    IgnoreLooseRPF: Kind::Bool, "false", NONE, Effect::Meaningless(OWN_CHECK),
        "True let the agent start with a loose reverse path filter.";
    RouteRefreshInterval: Kind::Seconds, "90", NONE, Effect::Meaningless(EVENTS),
        "How often routes were listed.";
    IptablesRefreshInterval: Kind::Seconds, "90", NONE, Effect::Meaningless(EVENTS),
        "How often rules were listed.";
    IptablesPostWriteCheckIntervalSecs: Kind::Seconds, "1", NONE, Effect::Meaningless(EVENTS),
        "When rules were first listed again after a write.";
    IptablesLockFilePath: Kind::File, "/run/xtables.lock", NONE, Effect::Meaningless(NFTABLES),
        "The lock that iptables takes.";
    IptablesLockTimeoutSecs: Kind::Seconds, "0", NONE, Effect::Meaningless(NFTABLES),
        "How long to wait for that lock.";
    IptablesLockProbeIntervalMillis: Kind::Millis, "50", NONE, Effect::Meaningless(NFTABLES),
        "How often to try that lock.";
    IpsetsRefreshInterval: Kind::Seconds, "10", NONE, Effect::Meaningless(EVENTS),
        "How often sets were listed.";
    MaxIpsetSize: ANY, "1048576", N, Effect::Meaningless(NFTABLES),
        "The largest number of members of a set.";
    NetlinkTimeoutSecs: Kind::Seconds, "10", NONE, Effect::Start,
        "How long the kernel may take to answer.";
    MetadataAddr: Kind::Hostname, "127.0.0.1", D, Effect::Dataplane,
        "Where the metadata service of OpenStack is; none = nowhere.";
    MetadataPort: PORT, "8775", D, Effect::Dataplane,
        "The port of the metadata service.";
    InterfacePrefix: Kind::Interfaces, "cali", ND, Effect::Dataplane,
        "What names of workload interfaces begin with.";
    ChainInsertMode: Kind::OneOf(&["insert", "append"]), "insert", ND, Effect::Meaningless(NFTABLES),
        "Where rules stood in the kernel's own chains.";
    DefaultEndpointToHostAction: Kind::OneOf(&["DROP", "RETURN", "ACCEPT"]), "DROP", ND, Effect::Dataplane,
        "What becomes of traffic from a workload to its host that its policy allows.";
    IptablesFilterAllowAction: Kind::OneOf(&["ACCEPT", "RETURN"]), "ACCEPT", ND, Effect::Dataplane,
        "RETURN lets other filter rules see traffic that policy allows.";
    IptablesMangleAllowAction: Kind::OneOf(&["ACCEPT", "RETURN"]), "ACCEPT", ND, Effect::Dataplane,
        "RETURN lets other mangle rules see traffic that preDNAT policy allows.";
    LogPrefix: Kind::Text, "calico-packet", NONE, Effect::Dataplane,
        "What lines of log rules begin with.";
    LogFilePath: Kind::File, "/var/log/calico/felix.log", D, Effect::Logs,
        "The log file; none = no file.";
    LogSeverityFile: LEVEL, "INFO", NONE, Effect::Logs,
        "The least severity that the file gets; none = nothing.";
    LogSeverityScreen: LEVEL, "INFO", NONE, Effect::Logs,
        "The least severity that standard output gets; none = nothing.";
    LogSeveritySys: LEVEL, "INFO", NONE, Effect::Logs,
        "The least severity that syslog gets; none = nothing.";
    IpInIpEnabled: Kind::Bool, "false", NONE, Effect::Dataplane,
        "Makes the IPIP device and lets IPIP from other hosts in.";
    IpInIpMtu: ANY, "1440", N, Effect::Dataplane,
        "The MTU of the IPIP device.";
    IpInIpTunnelAddr: Kind::Address, "", NONE, Effect::Dataplane,
        "The address of the IPIP device.";
    ReportingIntervalSecs: Kind::Seconds, "30", NONE, Effect::Reports,
        "How often the agent's own status is written; 0 = never.";
    ReportingTTLSecs: Kind::Seconds, "90", NONE, Effect::Reports,
        "When the agent's own status expires.";
    EndpointReportingEnabled: Kind::Bool, "false", NONE, Effect::Reports,
        "Writes the status of each endpoint into the datastore; OpenStack needs it.";
    EndpointReportingDelaySecs: Kind::Seconds, "1", NONE, Effect::Reports,
        "How long changes of endpoint status are gathered before they are written together.";
    IptablesMarkMask: Kind::MarkMask, "0xff000000", ND, Effect::Dataplane,
        "The mark bits that are ours; the lowest is used.";
    DisableConntrackInvalidCheck: Kind::Bool, "false", NONE, Effect::Dataplane,
        "True lets packets pass that connection tracking calls invalid.";
    HealthEnabled: Kind::Bool, "false", NONE, Effect::Health,
        "Serves /liveness and /readiness.";
    HealthPort: PORT, "9099", NONE, Effect::Health,
        "The port of the health page.";
    PrometheusMetricsEnabled: Kind::Bool, "false", NONE, Effect::Metrics,
        "Serves /metrics.";
    PrometheusMetricsPort: PORT, "9091", NONE, Effect::Metrics,
        "The port of the metrics page.";
    PrometheusGoMetricsEnabled: Kind::Bool, "true", NONE, Effect::Meaningless(NO_GO),
        "Metrics of the Go runtime.";
    PrometheusProcessMetricsEnabled: Kind::Bool, "true", NONE, Effect::Metrics,
        "Metrics of the process: memory, open files, CPU time.";
    FailsafeInboundHostPorts: Kind::Ports, "tcp:22,udp:68", D, Effect::Dataplane,
        "Ports of this host that host endpoints never close; none = no such port.";
    FailsafeOutboundHostPorts: Kind::Ports, "tcp:2379,tcp:2380,tcp:4001,tcp:7001,udp:53,udp:67", D,
        Effect::Dataplane, "Ports of others that host endpoints never close; none = no such port.";
    UsageReportingEnabled: Kind::Bool, "true", NONE, Effect::Meaningless(NO_PHONE),
        "Usage reports to the makers.";
    UsageReportingInitialDelaySecs: Kind::Seconds, "300", NONE, Effect::Meaningless(NO_PHONE),
        "When the first usage report went out.";
    UsageReportingIntervalSecs: Kind::Seconds, "86400", NONE, Effect::Meaningless(NO_PHONE),
        "How often usage reports went out.";
    ClusterGUID: Kind::Text, "baddecaf", NONE, Effect::Kept,
        "The cluster's id.";
    ClusterType: Kind::Text, "", NONE, Effect::Dataplane,
        "What the cluster is made of; openstack switches its special cases on.";
    CalicoVersion: Kind::Text, "", NONE, Effect::Kept,
        "The version that somebody wrote into the datastore.";
    DebugMemoryProfilePath: Kind::File, "", NONE, Effect::Meaningless(NO_GO),
        "Where a memory profile was written on SIGUSR1.";
    DebugDisableLogDropping: Kind::Bool, "false", NONE, Effect::Logs,
        "True waits when a log destination is slow, instead of dropping lines.";
    DebugSimulateCalcGraphHangAfter: Kind::Seconds, "0", NONE, Effect::Start,
        "For tests: the calculation hangs after this time.";
    DebugSimulateDataplaneHangAfter: Kind::Seconds, "0", NONE, Effect::Start,
        "For tests: the dataplane hangs after this time.";
    EarlyLogSeverityScreen: LEVEL, "", L, Effect::Start,
        "The least severity that standard output gets until the parameters are read.";
    HealthHost: Kind::Text, "127.0.0.1", NONE, Effect::Health,
        "The address that the health page listens on; 0.0.0.0 or :: = all.";
    PrometheusMetricsHost: Kind::Text, "127.0.0.1", NONE, Effect::Metrics,
        "The address that the metrics page listens on; 0.0.0.0 or :: = all.";
    LogActionRateLimit: Kind::Int(0, 1_000_000), "10", NONE, Effect::Dataplane,
        "How many lines a second one log rule writes; 0 or none = without limit.";
    LogActionRateLimitBurst: Kind::Int(1, 9_999), "5", NONE, Effect::Dataplane,
        "How many lines at once before that limit counts.";
    DeviceRouteProtocol: Kind::Int(1, 255), "80", NONE, Effect::Dataplane,
        "The protocol number of our routes.";
    NftablesRefreshInterval: Kind::Seconds, "600", NONE, Effect::Dataplane,
        "How often everything in the kernel is compared; 0 = only when something hints at a difference.";
    EndpointStatusPathPrefix: Kind::File, "/var/run/calico", NONE, Effect::Reports,
        "Where the folder endpoint-status is, which tells the CNI plugin of programmed endpoints; none = nowhere.";
    SqlitePath: Kind::File, "", L, Effect::Start,
        "The file of the embedded datastore; when not set, as SQLITE_PATH for all programs.";
    StartupGuard: Kind::Bool, "true", LD, Effect::Start,
        "Drops traffic of workloads until the first rules stand, on a host that has none.";
    StatusSocketPath: Kind::File, "/run/margay/agent.sock", L, Effect::Start,
        "The socket that margay status asks; none = no socket.";
}
