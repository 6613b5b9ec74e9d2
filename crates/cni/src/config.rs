//! The network configuration (`spec/cni.md` 2): one JSON object on stdin, read once into what counts.
//!
//! All faults are found at once. A fault names the place and the kind of value, never the value: the configuration
//! holds secrets. Unknown keys are ignored, `null` is nothing, and a key in another letter case counts with a warning.

mod reader;
mod settings;

use std::path::PathBuf;

use margay_client::Secret;
use margay_net::{Cidr, Ip, Mac};
use serde_json::{Map, Value};

use crate::error::{Code, Failure, Result};
use crate::version::SpecVersion;
use reader::Section;

/// Where the node's name stands when Calico's agent wrote it down.
pub const NODENAME_FILE: &str = "/var/lib/calico/nodename";
/// Where the agent says that the policy of an endpoint is in the kernel.
pub const ENDPOINT_STATUS_DIR: &str = "/var/run/calico/endpoint-status";
/// What the IPAM plugins of a host lock.
pub const IPAM_LOCK_FILE: &str = "/var/run/calico/ipam.lock";
/// The longest name that a network, and so a profile, may have.
const LONGEST_NAME: usize = 128;

/// A network configuration.
pub struct NetConf {
    /// The version of results.
    pub version: SpecVersion,
    /// The network: name of its profile, start of its IPAM handles.
    pub name: String,
    /// MTU of both ends; none = the kernel's.
    pub mtu: Option<u32>,
    /// Fail when the agent's MTU file is missing.
    pub require_mtu_file: bool,
    /// The node's name, first choice.
    pub nodename: String,
    /// The node's name, deprecated spelling.
    pub hostname: String,
    /// The file with the node's name, when one is named.
    pub nodename_file: Option<PathBuf>,
    /// A named file may be missing.
    pub nodename_file_optional: bool,
    /// How to reach the datastore; texts as given, empty = not set.
    pub store: StoreTexts,
    /// What is logged, and where to.
    pub log: LogConf,
    /// Where labels and profiles come from.
    pub policy: PolicyConf,
    /// The Kubernetes cluster.
    pub kubernetes: KubernetesConf,
    /// Who assigns addresses.
    pub ipam: IpamConf,
    /// Labels by Apache Mesos, as given.
    pub mesos_labels: Vec<(String, String)>,
    /// The result of the plugin before us in a chain, or of our own ADD on CHECK and DEL.
    pub prev_result: Option<Value>,
    /// Features that must be allowed.
    pub features: Features,
    /// Whether the container may forward packets; none = as its namespace has it.
    pub allow_ip_forwarding: Option<bool>,
    /// Default routes beside those of `ipam.routes`; none = not said.
    pub include_default_routes: Option<bool>,
    /// Queues of the interface.
    pub queues: u32,
    /// URLs that must answer before a container is added.
    pub readiness_gates: Vec<String>,
    /// How long ADD waits for the policy; none = not said.
    pub policy_setup_timeout: Option<i64>,
    /// Where the agent says that the policy is set up.
    pub endpoint_status_dir: PathBuf,
    /// `dataplane_options.type`.
    pub dataplane: String,
    /// Addresses asked for, by `runtimeConfig.ips` or `args.cni.ips`.
    pub asked_ips: Vec<Ip>,
    /// The MAC address asked for by `runtimeConfig.mac`.
    pub asked_mac: Option<Mac>,
    /// GC: what is in use, as container and interface; none = the key is missing.
    pub valid_attachments: Option<Vec<(String, String)>>,
    /// What a person should know about the configuration.
    pub warnings: Vec<String>,
    /// The whole document, for other plugins. Holds secrets.
    document: Secret<Map<String, Value>>,
}

/// Keys that become settings of the datastore.
#[derive(Clone, Default)]
pub struct StoreTexts {
    /// `datastore_type`.
    pub datastore_type: String,
    /// `etcd_endpoints`.
    pub etcd_endpoints: String,
    /// `etcd_authority`.
    pub etcd_authority: String,
    /// `etcd_scheme`.
    pub etcd_scheme: String,
    /// `etcd_key_file`.
    pub etcd_key_file: String,
    /// `etcd_cert_file`.
    pub etcd_cert_file: String,
    /// `etcd_ca_cert_file`.
    pub etcd_ca_cert_file: String,
    /// `sqlite_path`, ours.
    pub sqlite_path: String,
}

/// What is logged, and where to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LogConf {
    /// `log_level`.
    pub level: String,
    /// `log_file_path`.
    pub file: Option<PathBuf>,
    /// `log_file_max_size` in MB.
    pub max_megabytes: u64,
    /// `log_file_max_age` in days.
    pub max_days: u64,
    /// `log_file_max_count`.
    pub max_files: u64,
}

/// Where labels and profiles come from.
#[derive(Default)]
pub struct PolicyConf {
    /// `policy.type`.
    pub kind: String,
    /// `policy.k8s_api_root`, cut at `/api/`.
    pub api_root: String,
    /// `policy.k8s_auth_token`.
    pub auth_token: Secret<String>,
    /// `policy.k8s_client_certificate`.
    pub client_certificate: String,
    /// `policy.k8s_client_key`.
    pub client_key: String,
    /// `policy.k8s_certificate_authority`.
    pub certificate_authority: String,
}

/// The Kubernetes cluster.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct KubernetesConf {
    /// `kubernetes.kubeconfig`.
    pub kubeconfig: String,
    /// `kubernetes.k8s_api_root`.
    pub api_root: String,
    /// `kubernetes.node_name`.
    pub node_name: String,
}

/// Who assigns addresses, and which.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct IpamConf {
    /// True when there is an `ipam` object at all.
    pub present: bool,
    /// `ipam.type`.
    pub kind: String,
    /// `ipam.assign_ipv4`.
    pub assign_ipv4: bool,
    /// `ipam.assign_ipv6`.
    pub assign_ipv6: bool,
    /// `ipam.ipv4_pools`, as given.
    pub ipv4_pools: Vec<String>,
    /// `ipam.ipv6_pools`, as given.
    pub ipv6_pools: Vec<String>,
    /// `ipam.subnet` when it is text.
    pub subnet: String,
    /// `ipam.routes[].dst`; none = not given.
    pub routes: Option<Vec<Cidr>>,
    /// `ipam_lock_file`.
    pub lock_file: PathBuf,
}

/// Features that an administrator must allow; none = not said.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Features {
    /// `feature_control.ip_addrs_no_ipam`.
    pub ip_addrs_no_ipam: Option<bool>,
    /// `feature_control.floating_ips`.
    pub floating_ips: Option<bool>,
}

// === impl NetConf ===

impl NetConf {
    /// Reads a configuration.
    ///
    /// # Errors
    /// It is no JSON object, its version is not spoken, a field has a value of the wrong kind, or the name is no good.
    pub fn parse(stdin: &[u8]) -> Result<Self> {
        let document = Self::document_of(stdin)?;
        let version = SpecVersion::of_config(&version_text(&document)?)?;
        let mut reader = reader::Reader::default();
        let mut conf = Self::read(&mut reader, version, &document);
        if !reader.faults.is_empty() {
            return Err(Failure::new(Code::CONFIG, format!("failed to load netconf: {}", reader.faults[0]))
                .with_details(reader.faults.join("; ")));
        }
        conf.warnings = reader.warnings;
        conf.document = Secret::new(document);
        check_name(&conf.name)?;
        Ok(conf)
    }

    /// The version that a configuration asks results in, as far as it can be read.
    #[must_use]
    pub fn version_asked(stdin: &[u8]) -> String {
        let text = Self::document_of(stdin).and_then(|document| version_text(&document));
        let spoken = text.and_then(|text| SpecVersion::of_config(&text));
        spoken.unwrap_or(SpecVersion::V110).as_str().to_owned()
    }

    fn document_of(stdin: &[u8]) -> Result<Map<String, Value>> {
        let refuse = |reason: String| {
            Err(Failure::new(Code::DECODE, format!("decoding version from network config: {reason}")))
        };
        match serde_json::from_slice::<Value>(stdin) {
            Ok(Value::Object(document)) => Ok(document),
            Ok(other) => refuse(format!("expected an object, found {}", reader::word(&other))),
            // Serde names place and kind only: no value of the document.
            Err(error) if error.is_eof() => refuse("unexpected end of JSON input".to_owned()),
            Err(error) => refuse(format!("no JSON at line {} column {}", error.line(), error.column())),
        }
    }

    fn read(reader: &mut reader::Reader, version: SpecVersion, document: &Map<String, Value>) -> Self {
        let root = Section::root(document);
        let policy = root.section(reader, "policy");
        let kubernetes = root.section(reader, "kubernetes");
        let features = root.section(reader, "feature_control");
        let container = root.section(reader, "container_settings");
        let dataplane = root.section(reader, "dataplane_options");
        let runtime = root.section(reader, "runtimeConfig");
        let arguments = root.section(reader, "args");
        let mesos = arguments.section(reader, "org.apache.mesos").section(reader, "network_info");
        // Nothing asks for these, but text they are.
        root.text(reader, "type");
        mesos.text(reader, "name");
        let by_runtime = runtime.addresses(reader, "ips");
        let by_arguments = arguments.section(reader, "cni").addresses(reader, "ips");
        Self {
            version,
            name: root.text(reader, "name"),
            mtu: root.number(reader, "mtu").and_then(positive),
            require_mtu_file: root.flag(reader, "require_mtu_file").unwrap_or(false),
            nodename: root.text(reader, "nodename"),
            hostname: root.text(reader, "hostname"),
            nodename_file: root.path(reader, "nodename_file"),
            nodename_file_optional: root.flag(reader, "nodename_file_optional").unwrap_or(false),
            store: StoreTexts::read(reader, &root),
            log: LogConf::read(reader, &root),
            policy: PolicyConf::read(reader, &policy),
            kubernetes: KubernetesConf {
                kubeconfig: kubernetes.text(reader, "kubeconfig"),
                api_root: kubernetes.text(reader, "k8s_api_root"),
                node_name: kubernetes.text(reader, "node_name"),
            },
            ipam: IpamConf::read(reader, &root),
            mesos_labels: mesos.section(reader, "labels").labels(reader, "labels"),
            prev_result: root.value(reader, "prevResult").cloned(),
            features: Features {
                ip_addrs_no_ipam: features.flag(reader, "ip_addrs_no_ipam"),
                floating_ips: features.flag(reader, "floating_ips"),
            },
            allow_ip_forwarding: container.flag(reader, "allow_ip_forwarding"),
            include_default_routes: root.flag(reader, "include_default_routes"),
            queues: root.number(reader, "num_queues").and_then(positive).unwrap_or(1),
            readiness_gates: root.texts(reader, "readiness_gates"),
            policy_setup_timeout: root.number(reader, "policy_setup_timeout_seconds"),
            endpoint_status_dir: root
                .path(reader, "endpoint_status_dir")
                .unwrap_or_else(|| PathBuf::from(ENDPOINT_STATUS_DIR)),
            dataplane: dataplane.text(reader, "type"),
            // The runtime's wish counts first, then that of the arguments.
            asked_ips: if by_runtime.is_empty() { by_arguments } else { by_runtime },
            asked_mac: runtime.mac(reader, "mac"),
            valid_attachments: root.attachments(reader, "cni.dev/valid-attachments"),
            warnings: Vec::new(),
            document: Secret::new(Map::new()),
        }
    }

    /// The document as other plugins get it, after a change.
    #[must_use]
    pub fn document_with(&self, change: impl FnOnce(&mut Map<String, Value>)) -> Secret<String> {
        let mut document = self.document.expose().clone();
        change(&mut document);
        Secret::new(Value::Object(document).to_string())
    }

    /// A text of somebody who knows the configuration, without the token in it.
    #[must_use]
    pub fn without_token(&self, text: &str) -> String {
        match self.policy.auth_token.expose().as_str() {
            "" => text.to_owned(),
            token => text.replace(token, "***"),
        }
    }

    /// The handle of a container's addresses.
    #[must_use]
    pub fn handle(&self, container: &crate::request::ContainerId) -> String {
        format!("{}.{}", self.name, container.as_str())
    }

    /// True when the name is too long for the profile that an ADD would need.
    #[must_use]
    pub fn name_is_too_long(&self) -> bool {
        self.name.len() > LONGEST_NAME
    }
}

impl std::fmt::Debug for NetConf {
    /// The name is all that is surely no secret.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("NetConf").field("name", &self.name).finish_non_exhaustive()
    }
}

fn version_text(document: &Map<String, Value>) -> Result<String> {
    let key = document.keys().find(|key| *key == "cniVersion");
    let key = key.or_else(|| document.keys().find(|key| key.eq_ignore_ascii_case("cniVersion")));
    match key.and_then(|key| document.get(key)) {
        None | Some(Value::Null) => Ok(String::new()),
        Some(Value::String(text)) => Ok(text.clone()),
        Some(other) => Err(Failure::new(
            Code::DECODE,
            format!(
                "decoding version from network config: cniVersion: expected text, found {}",
                reader::word(other)
            ),
        )),
    }
}

fn check_name(name: &str) -> Result<()> {
    let good = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-');
    if !name.is_empty() && name.chars().all(good) {
        return Ok(());
    }
    Err(Failure::new(
        Code::CONFIG,
        "Invalid characters detected in the given network name. Only letters a-z, numbers 0-9, and symbols _.- are \
         supported.",
    ))
}

/// A number that counts only above 0; one that is too large stays too large.
fn positive(number: i64) -> Option<u32> {
    (number > 0).then(|| u32::try_from(number).unwrap_or(u32::MAX))
}

// === impl LogConf, PolicyConf, IpamConf ===

impl LogConf {
    fn read(reader: &mut reader::Reader, root: &Section<'_>) -> Self {
        let mut number =
            |key: &str, default: u64| root.number(reader, key).and_then(positive).map_or(default, u64::from);
        let (max_megabytes, max_days, max_files) = (
            number("log_file_max_size", 100),
            number("log_file_max_age", 30),
            number("log_file_max_count", 10),
        );
        Self {
            level: root.text(reader, "log_level"),
            file: root.path(reader, "log_file_path"),
            max_megabytes,
            max_days,
            max_files,
        }
    }
}

impl PolicyConf {
    fn read(reader: &mut reader::Reader, policy: &Section<'_>) -> Self {
        let root = policy.text(reader, "k8s_api_root");
        Self {
            kind: policy.text(reader, "type"),
            api_root: root.split_once("/api/").map_or(root.as_str(), |(before, _)| before).to_owned(),
            auth_token: Secret::new(policy.text(reader, "k8s_auth_token")),
            client_certificate: policy.text(reader, "k8s_client_certificate"),
            client_key: policy.text(reader, "k8s_client_key"),
            certificate_authority: policy.text(reader, "k8s_certificate_authority"),
        }
    }
}

impl IpamConf {
    fn read(reader: &mut reader::Reader, root: &Section<'_>) -> Self {
        let ipam = root.section(reader, "ipam");
        ipam.text(reader, "name");
        Self {
            present: ipam.is_present(),
            kind: ipam.text(reader, "type"),
            assign_ipv4: ipam.word_or_flag(reader, "assign_ipv4") != "false",
            assign_ipv6: ipam.word_or_flag(reader, "assign_ipv6") == "true",
            ipv4_pools: ipam.texts(reader, "ipv4_pools"),
            ipv6_pools: ipam.texts(reader, "ipv6_pools"),
            subnet: ipam.text(reader, "subnet"),
            routes: ipam.routes(reader, "routes"),
            lock_file: root.path(reader, "ipam_lock_file").unwrap_or_else(|| PathBuf::from(IPAM_LOCK_FILE)),
        }
    }

    /// True when our own IPAM is asked for.
    #[must_use]
    pub fn is_calico(&self) -> bool {
        self.kind == "calico-ipam"
    }
}

#[cfg(test)]
mod tests;
