//! Who a request is about: node, orchestrator, workload, host interface (`spec/cni.md` 5).

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use margay_model::Key;
use margay_model::v1::WorkloadEndpoint;
use margay_model::validate::Scope;
use margay_net::IfName;
use sha1::{Digest as _, Sha1};

use crate::args::Args;
use crate::config::{NODENAME_FILE, NetConf};
use crate::error::{Code, Failure, Result};
use crate::record;
use crate::request::ContainerId;

/// What every interface of a workload begins with; the agent knows workloads by it.
pub(crate) const INTERFACE_PREFIX: &str = "cali";

/// Letters of an interface name behind the prefix.
const DIGITS: usize = 11;

/// Who made a workload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Workload {
    /// A pod.
    Pod {
        /// Its namespace.
        namespace: String,
        /// Its name.
        name: String,
    },
    /// A container that nothing else is known of.
    Container(ContainerId),
}

/// The identifiers of an endpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Identity {
    /// The host it runs on.
    pub(crate) node: String,
    /// The workload.
    pub(crate) workload: Workload,
    /// The container.
    pub(crate) container: ContainerId,
    /// The interface inside it: the endpoint's name.
    pub(crate) ifname: IfName,
}

// === impl Workload ===

impl Workload {
    /// A pod when both its names are known, else a container.
    #[must_use]
    pub(crate) fn of(args: &Args, container: &ContainerId) -> Self {
        if args.pod_namespace.is_empty() || args.pod_name.is_empty() {
            return Self::Container(container.clone());
        }
        Self::Pod { namespace: args.pod_namespace.clone(), name: args.pod_name.clone() }
    }

    /// The orchestrator's word.
    #[must_use]
    pub(crate) const fn orchestrator(&self) -> &'static str {
        match self {
            Self::Pod { .. } => "k8s",
            Self::Container(_) => "cni",
        }
    }

    /// The workload's identifier, which old versions also used as IPAM handle.
    #[must_use]
    pub(crate) fn id(&self) -> String {
        match self {
            Self::Pod { namespace, name } => format!("{namespace}.{name}"),
            Self::Container(id) => id.as_str().to_owned(),
        }
    }
}

// === impl Identity ===

impl Identity {
    /// The key of the endpoint's record.
    #[must_use]
    pub(crate) fn key(&self) -> Key {
        Key::WorkloadEndpoint {
            node: self.node.clone(),
            orchestrator: self.workload.orchestrator().to_owned(),
            workload: self.workload.id(),
            name: self.ifname.to_string(),
        }
    }

    /// What the record says of the instance behind the endpoint: the container of a pod.
    #[must_use]
    pub(crate) fn active_instance(&self) -> &str {
        match self.workload {
            Workload::Pod { .. } => self.container.as_str(),
            Workload::Container(_) => "",
        }
    }

    /// Refuses identifiers and labels that no endpoint may have: whoever reads the record could not write it again.
    ///
    /// # Errors
    /// The first of them that is wrong, or all, in upstream's words.
    pub(crate) fn check(&self, labels: &BTreeMap<String, String>) -> Result<()> {
        let mut endpoint = WorkloadEndpoint::default();
        let metadata = &mut endpoint.metadata;
        metadata.name = self.ifname.to_string();
        metadata.workload = self.workload.id();
        self.workload.orchestrator().clone_into(&mut metadata.orchestrator);
        metadata.node.clone_from(&self.node);
        self.active_instance().clone_into(&mut metadata.active_instance_id);
        metadata.labels.clone_from(labels);
        record::check(endpoint, Scope::Metadata)
    }

    /// The interface on the host. Other programs compute the same name: the rule is part of the protocol.
    #[must_use]
    pub(crate) fn host_interface(&self) -> IfName {
        let digits = match &self.workload {
            Workload::Pod { .. } => sha1_hex(&self.workload.id()),
            Workload::Container(id) => id.as_str().to_owned(),
        };
        interface(&digits)
    }

    /// The interface on the host of a second interface of a workload whose first one has [`Identity::host_interface`].
    ///
    /// COMPAT(cni-second-interface): upstream gives both the same name, so that the second replaces the first.
    #[must_use]
    pub(crate) fn second_host_interface(&self) -> IfName {
        interface(&sha1_hex(&format!("{}/{}", self.workload.id(), self.ifname)))
    }
}

fn interface(digits: &str) -> IfName {
    let name = format!("{INTERFACE_PREFIX}{}", &digits[..digits.len().min(DIGITS)]);
    name.parse().expect("fifteen letters that an identifier may have")
}

fn sha1_hex(text: &str) -> String {
    let mut hex = String::with_capacity(40);
    for byte in Sha1::digest(text.as_bytes()) {
        let _ = write!(hex, "{byte:02x}");
    }
    hex
}

/// The node's name: as configured, as the agent wrote it down, else that of the host.
///
/// # Errors
/// A file that must be there is not, or the host's name is no text.
pub(crate) fn node_name(conf: &NetConf, warn: &mut dyn FnMut(&str)) -> Result<String> {
    let named_file = match &conf.nodename_file {
        Some(path) => read_name(path, conf.nodename_file_optional)?,
        None => None,
    };
    if !conf.nodename.is_empty() {
        if let Some(written) = named_file.filter(|written| *written != conf.nodename) {
            warn(&format!("nodename is {}, but the agent of this host calls it {written}", conf.nodename));
        }
        return Ok(conf.nodename.clone());
    }
    if let Some(name) = named_file {
        return Ok(name);
    }
    if !conf.hostname.is_empty() {
        warn("hostname is deprecated: write nodename");
        return Ok(conf.hostname.clone());
    }
    if let Some(name) = read_name(Path::new(NODENAME_FILE), true)? {
        return Ok(name);
    }
    let name = rustix::system::uname().nodename().to_string_lossy().into_owned();
    if name.is_empty() || name.contains('/') {
        return Err(Failure::new(Code::CONFIG, "this host has no usable name: set nodename"));
    }
    Ok(name)
}

fn read_name(path: &Path, optional: bool) -> Result<Option<String>> {
    match std::fs::read_to_string(path) {
        Ok(text) => Ok(Some(text.trim().to_owned()).filter(|name| !name.is_empty())),
        Err(_) if optional => Ok(None),
        Err(error) => Err(Failure::new(
            Code::TRY_LATER,
            format!(
                "stat {}: {error}: check that the calico/node container is running and has mounted /var/lib/calico/",
                path.display()
            ),
        )),
    }
}

/// Labels as selectors can match them: the rule of Calico's Mesos integration.
pub(crate) fn sanitise_labels(
    labels: &[(String, String)],
    warn: &mut dyn FnMut(&str),
) -> BTreeMap<String, String> {
    let mut clean = BTreeMap::new();
    for (key, value) in labels {
        let key = sanitise(key);
        if clean.insert(key.clone(), sanitise(value)).is_some() {
            warn(&format!("two labels are called {key} once they are clean: the last counts"));
        }
    }
    clean
}

/// Slashes become dots, every other run of foreign characters one dash, runs around a dot one dot; ends are cut.
fn sanitise(text: &str) -> String {
    let own = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    let mut dashed = String::with_capacity(text.len());
    let mut in_foreign = false;
    for c in text.chars().map(|c| if c == '/' { '.' } else { c }) {
        if own(c) {
            dashed.push(c);
        } else if !in_foreign {
            dashed.push('-');
        }
        in_foreign = !own(c);
    }
    let mut clean = String::with_capacity(dashed.len());
    let mut rest = dashed.as_str();
    while !rest.is_empty() {
        let separators = rest.len() - rest.trim_start_matches(['.', '-']).len();
        let (run, behind) = rest.split_at(separators);
        clean.push_str(if run.contains('.') { "." } else { run });
        let word = behind.find(['.', '-']).unwrap_or(behind.len());
        clean.push_str(&behind[..word]);
        rest = &behind[word..];
    }
    clean.trim_matches(['.', '-']).to_owned()
}

#[cfg(test)]
mod tests;
