//! ADD: one transaction that leaves a whole endpoint or nothing (`spec/cni.md` 6).
//!
//! Everything that can refuse without a trace is asked first. What is done is noted before it is tried, so that an
//! answer that gets lost is taken back too; taking back goes in reverse and never stops at a failure.

mod undo;

use std::collections::BTreeMap;
use std::time::Duration;

use margay_client::AnyStore;
use margay_ipam::View;
use margay_kernel::Namespace;
use margay_model::v1::{IPNAT, WorkloadEndpoint};
use margay_model::validate::Scope;
use margay_net::{Cidr, IfName, Ip, Mac};
use margay_wiring::{AttachError, Attached, HOST_MAC, Interface, Interrupted, LiveHost, Step};
use serde_json::{Value, json};
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::addresses::{self, Wanted};
use crate::call::{Call, Ipam, LIMIT, Subject, UNDO_LIMIT, check_ready, runtime};
use crate::config::NetConf;
use crate::error::{Code, Failure, Result};
use crate::identity::{Identity, Workload, sanitise_labels};
use crate::result::{Added, Assigned, default_routes};
use crate::version::SpecVersion;
use crate::wishes::{Addresses, Wishes};
use crate::{gates, policy, record, release, wire};
use undo::Undo;

/// The work, as far as it has come.
struct Addition<'c, 'a> {
    call: &'c mut Call<'a>,
    subject: Subject,
    ipam: Ipam,
    store: AnyStore,
    ended: Terminated,
    undo: Undo,
}

/// What the datastore says before anything is done.
struct Seen {
    endpoints: Vec<WorkloadEndpoint>,
    has_profile: bool,
    view: Option<View>,
}

/// Joins a container to the network.
pub(crate) fn add(call: &mut Call<'_>) -> Result<Value> {
    let (subject, understood) = call.subject()?;
    understood?;
    check(call, &subject)?;
    let ipam = call.ipam()?;
    let _lock = call.lock(&subject)?;
    call.faults.pass("add-locked")?;
    let settings = call.settings()?;
    let store = call.open_briefly(&settings)?;
    let runtime = runtime()?;
    runtime.block_on(async {
        let limit = call.left();
        let version = call.conf.version;
        let ended = Terminated::listen()?;
        let mut addition = Addition { call, subject, ipam, store, ended, undo: Undo::default() };
        let outcome = tokio::time::timeout(limit, addition.run()).await;
        match outcome.unwrap_or_else(|_| Err(too_long())) {
            Ok(added) => {
                // A power cut ends the container as well: what was written of it may go with it.
                if let Err(error) = addition.store.settle(false) {
                    addition.call.log.warning(&error.to_string());
                }
                Ok(added.to_json(version))
            }
            Err(failure) => {
                let undone = tokio::time::timeout(UNDO_LIMIT, addition.take_back()).await;
                Err(failure.with_details(undone.unwrap_or_else(|_| "taking back took too long".to_owned())))
            }
        }
    })
}

/// The signals by which a runtime ends a plugin politely.
struct Terminated {
    terminate: Signal,
    interrupt: Signal,
}

// === impl Terminated ===

impl Terminated {
    fn listen() -> Result<Self> {
        let listen = |kind| {
            signal(kind).map_err(|error| Failure::new(Code::IO, format!("listening to signals: {error}")))
        };
        Ok(Self { terminate: listen(SignalKind::terminate())?, interrupt: listen(SignalKind::interrupt())? })
    }

    /// True once one of them has come.
    async fn has_come(&mut self) -> bool {
        // Only then the signals that came meanwhile are seen.
        tokio::task::yield_now().await;
        tokio::select! {
            biased;
            _ = self.terminate.recv() => true,
            _ = self.interrupt.recv() => true,
            () = std::future::ready(()) => false,
        }
    }
}

fn too_long() -> Failure {
    Failure::new(Code::TRY_LATER, format!("ADD took longer than {} s", LIMIT.as_secs()))
}

/// What can be refused without asking anybody.
fn check(call: &Call<'_>, subject: &Subject) -> Result<()> {
    let conf = &call.conf;
    let refuse = |code, msg: &str| Err(Failure::new(code, msg));
    if conf.name_is_too_long() {
        return refuse(Code::CONFIG, "the network's name is longer than 128 characters");
    }
    if conf.prev_result.as_ref().is_some_and(|result| *result != json!({})) {
        return refuse(
            Code::CONFIG,
            "prevResult: calico makes the interface and must be the first plugin of a chain",
        );
    }
    match conf.dataplane.as_str() {
        "" | "linux" => {}
        "grpc" => return refuse(Code::FIELD, "dataplane_options.type: this build has no grpc data plane"),
        other => return Err(Failure::new(Code::FIELD, format!("invalid dataplane type: {other}"))),
    }
    if let Some(seconds) = conf.policy_setup_timeout.filter(|seconds| *seconds < 0) {
        return Err(Failure::new(Code::CONFIG, format!("invalid pod startup delay of {seconds}")));
    }
    let is_pod = matches!(subject.identity.workload, Workload::Pod { .. });
    if !is_pod && conf.features.ip_addrs_no_ipam == Some(true) {
        let msg = "requested feature is not supported for this runtime: ip_addrs_no_ipam";
        return refuse(Code::FIELD, msg);
    }
    Ok(())
}

// === impl Addition ===

impl Addition<'_, '_> {
    async fn run(&mut self) -> Result<Added> {
        let mut seen = self.look().await?;
        self.step("add-read").await?;
        if !self.call.journal.is_empty() {
            let datastore = self.call.datastore()?;
            if release::replay(self.call, &self.store, &datastore, &self.subject.identity).await? {
                seen = self.look().await?;
            }
        }
        self.step("add-replayed").await?;
        if let Some(endpoint) = self.known(&seen) {
            return self.adopt(endpoint, seen.has_profile).await;
        }
        gates::wait(&self.call.conf.readiness_gates, self.call.end)?;
        let wishes = self.wishes()?;
        self.subject.identity.check(&wishes.labels)?;
        let netns = self.subject.attachment.netns.clone().unwrap_or_default();
        let netns = wire::open_netns(&netns)?;
        let mut host = wire::open_host()?;
        let host_name = wire::choose_name(self.call, &self.subject, &mut host, &netns)?;
        self.step("add-assigning").await?;
        let assigned = self.assign(&wishes, seen.view.take()).await?;
        self.step("add-assigned").await?;
        let interface = self.interface(netns, host_name, &assigned.addresses, &wishes)?;
        let attached = self.attach(&mut host, interface).await?;
        self.record(&seen, &attached, &assigned.addresses, &wishes).await?;
        self.wait_for_policy(&attached, &assigned.addresses);
        Ok(self.added(&attached, assigned))
    }

    /// Between two steps nothing is under way that could still arrive after it was taken back: here a signal counts.
    async fn step(&mut self, point: &str) -> Result<()> {
        self.call.faults.pass(point)?;
        if self.ended.has_come().await {
            return Err(Failure::new(Code::TRY_LATER, "ADD was ended by a signal"));
        }
        Ok(())
    }

    /// Asks the datastore all at once.
    async fn look(&self) -> Result<Seen> {
        let (call, store) = (&*self.call, &self.store);
        let view = async {
            match (&self.ipam, self.asked().is_empty()) {
                (Ipam::Ours, true) => {
                    let wanted =
                        Wanted::new(&call.conf, &self.subject.identity, Vec::new(), (call.now)()).ok()?;
                    // What goes wrong here is found again, and said, when addresses are assigned.
                    margay_ipam::look(store, &wanted.request).await.ok()
                }
                _ => None,
            }
        };
        let profile = async {
            if self.wants_profile() { record::has_profile(store, &call.conf.name).await } else { Ok(true) }
        };
        let (ready, endpoints, has_profile, view) = tokio::join!(
            check_ready(store),
            record::of_workload(store, &self.subject.identity),
            profile,
            view
        );
        ready?;
        Ok(Seen { endpoints: endpoints?, has_profile: has_profile?, view })
    }

    fn wants_profile(&self) -> bool {
        self.call.conf.policy.kind.is_empty()
    }

    fn is_pod(&self) -> bool {
        matches!(self.subject.identity.workload, Workload::Pod { .. })
    }

    /// A container that is already joined by this interface.
    fn known(&self, seen: &Seen) -> Option<WorkloadEndpoint> {
        let ifname = self.subject.identity.ifname.as_str();
        let found = seen.endpoints.iter().find(|endpoint| endpoint.metadata.name == ifname);
        found.filter(|_| !self.is_pod()).cloned()
    }

    /// A container that is joined joins a second network by name alone: its profiles grow, nothing else happens.
    async fn adopt(&mut self, endpoint: WorkloadEndpoint, has_profile: bool) -> Result<Added> {
        let name = self.call.conf.name.clone();
        // One without interface would be a container without network that counts as joined.
        record::check(endpoint.clone(), Scope::All)?;
        if !has_profile {
            record::make_profile(&self.store, &name, self.is_pod()).await?;
        }
        let join = |previous: Option<WorkloadEndpoint>| {
            let mut endpoint = previous.unwrap_or_else(|| endpoint.clone());
            if endpoint.spec.profiles.contains(&name) {
                return None;
            }
            endpoint.spec.profiles.push(name.clone());
            Some(endpoint)
        };
        if !endpoint.spec.profiles.contains(&name) {
            let identity = &self.subject.identity;
            record::write(&self.store, identity, true, join, &mut self.undo.written).await?;
        }
        let addresses = endpoint.spec.ip_networks;
        let unnamed = self.subject.identity.host_interface();
        Ok(Added {
            host_interface: endpoint.spec.interface_name.parse().unwrap_or(unnamed),
            host_mac: Some(Mac::from(HOST_MAC)),
            container_interface: self.subject.identity.ifname,
            mac: endpoint.spec.mac,
            mtu: None,
            sandbox: self.sandbox(),
            routes: default_routes(&addresses),
            addresses,
            told_routes: Vec::new(),
            dns: serde_json::Map::new(),
        })
    }

    fn sandbox(&self) -> String {
        self.subject.attachment.netns.as_deref().map(|path| path.display().to_string()).unwrap_or_default()
    }

    /// What the pod's annotations ask for, where they count; the labels of other containers.
    fn wishes(&mut self) -> Result<Pod> {
        let Workload::Pod { namespace, name } = &self.subject.identity.workload else {
            let log = &mut self.call.log;
            let labels = sanitise_labels(&self.call.conf.mesos_labels, &mut |text| log.warning(text));
            return Ok(Pod { labels, ..Pod::default() });
        };
        if self.call.conf.policy.kind != "k8s" {
            return Ok(Pod::default());
        }
        let pod = self.call.cluster.pod(namespace, name)?;
        let of_namespace = self.call.cluster.namespace_annotations(namespace)?;
        let wishes = Wishes::read(&self.call.conf, &of_namespace, &pod.annotations)?;
        for warning in &wishes.warnings {
            self.call.log.warning(warning);
        }
        let mut labels = pod.labels;
        labels.insert("calico/k8s_ns".to_owned(), namespace.clone());
        Ok(Pod { wishes, labels, profile: Some(format!("k8s_ns.{namespace}")) })
    }

    /// The addresses that the runtime asks for.
    fn asked(&self) -> Vec<Ip> {
        let conf = &self.call.conf;
        if conf.asked_ips.is_empty() {
            self.subject.args.ip.into_iter().collect()
        } else {
            conf.asked_ips.clone()
        }
    }

    async fn assign(&mut self, pod: &Pod, view: Option<View>) -> Result<Assigned> {
        let mut assigned = match (&pod.wishes.addresses, self.ipam.clone()) {
            (Addresses::Taken(list), _) => {
                Assigned { addresses: list.iter().copied().map(Cidr::from).collect(), ..Assigned::default() }
            }
            (Addresses::Assigned(list), Ipam::Ours) => {
                self.assign_ours(pod, list.clone(), None).await.map_err(from_annotation)?
            }
            (Addresses::Assigned(list), Ipam::Other(delegate)) => {
                let mut all = Assigned::default();
                for ip in list {
                    let arguments = format!("{};IP={ip}", self.call.arguments);
                    let one = self
                        .assign_other(&delegate, arguments.trim_start_matches(';'))
                        .map_err(from_annotation)?;
                    all.addresses.extend(one.addresses);
                    all.routes.extend(one.routes);
                    all.dns = one.dns;
                }
                all
            }
            (Addresses::Any, Ipam::Ours) => {
                let asked = self.asked();
                // What was looked up counts only for what was asked then.
                let view = view.filter(|_| pod.wishes.ipv4_pools.is_none() && pod.wishes.families.is_none());
                self.assign_ours(pod, asked, view).await?
            }
            (Addresses::Any, Ipam::Other(delegate)) => {
                let arguments = self.call.arguments.clone();
                self.assign_other(&delegate, &arguments)?
            }
        };
        if assigned.addresses.is_empty() {
            return Err(Failure::new(Code::DELEGATE, "IPAM plugin returned missing IP config"));
        }
        for address in &mut assigned.addresses {
            *address = Cidr::from(address.address());
        }
        Ok(assigned)
    }

    async fn assign_ours(&mut self, pod: &Pod, asked: Vec<Ip>, view: Option<View>) -> Result<Assigned> {
        let mut wanted = Wanted::new(&self.call.conf, &self.subject.identity, asked, (self.call.now)())?;
        pod.narrow(&mut wanted)?;
        self.undo.owner = Some(wanted.request.owner.clone());
        let _host_lock = self.host_lock();
        let addresses = addresses::assign(&self.store, &wanted, view).await?;
        Ok(Assigned { addresses, ..Assigned::default() })
    }

    /// The lock that all IPAM plugins of a host take, so that they need not fight for one block.
    fn host_lock(&mut self) -> Option<crate::lock::Lock> {
        let (path, limit) = (self.call.conf.ipam.lock_file.clone(), self.call.left());
        match crate::lock::Lock::take(&path, limit) {
            Ok(lock) => Some(lock),
            Err(error) => {
                self.call.log.warning(&format!("locking {}: {error}", path.display()));
                None
            }
        }
    }

    fn assign_other(&mut self, delegate: &crate::delegate::Delegate, arguments: &str) -> Result<Assigned> {
        let document = release::document_for(self.call, &self.subject.identity, false)?;
        self.undo.delegated = Some(delegate.clone());
        let stdout = self.call.delegate(delegate, crate::request::Verb::Add, arguments, &document)?;
        Assigned::parse(&stdout, self.call.conf.version)
    }

    fn interface(&self, netns: Namespace, name: IfName, addresses: &[Cidr], pod: &Pod) -> Result<Interface> {
        let (conf, identity) = (&self.call.conf, &self.subject.identity);
        let owner = wire::owner_text(&conf.name, identity);
        let mut interface = Interface::new(netns, identity.ifname, name, owner);
        interface.addresses = addresses.iter().map(|address| address.address().get()).collect();
        interface.mtu = wire::mtu(self.call)?;
        interface.queues = Some(conf.queues).filter(|queues| *queues > 1);
        interface.mac = pod.wishes.mac.or(conf.asked_mac).or(self.subject.args.mac);
        interface.forwarding = conf.allow_ip_forwarding;
        interface.routes = routes_of_host_local(conf, addresses);
        Ok(interface)
    }

    /// Makes the interface. A route that an interface without an endpoint holds is taken from it.
    async fn attach(&mut self, host: &mut LiveHost, mut interface: Interface) -> Result<Attached> {
        let faults = self.call.faults.clone();
        let mut after = |step: Step| faults.pass(step.name()).map_err(|_| Interrupted);
        let mut outcome = margay_wiring::attach(host, &interface, &mut after);
        if let Err(failure) = &outcome
            && let AttachError::RouteTaken { holder, .. } = &failure.error
            && let Some(link) = &holder.link
            && release::is_abandoned(&self.store, &self.subject.identity.node, &link.name).await
        {
            interface.evict.insert(link.name);
            outcome = margay_wiring::attach(host, &interface, &mut after);
        }
        let attached = outcome.map_err(|failure| wire::failure(&failure))?;
        for warning in &attached.warnings {
            self.call.log.warning(&warning.to_string());
        }
        self.undo.wired = Some(interface);
        Ok(attached)
    }

    /// Writes the profile, if the network has none yet, and the endpoint.
    async fn record(
        &mut self,
        seen: &Seen,
        attached: &Attached,
        addresses: &[Cidr],
        pod: &Pod,
    ) -> Result<()> {
        let identity = self.subject.identity.clone();
        if !seen.has_profile {
            record::make_profile(&self.store, &self.call.conf.name, self.is_pod()).await?;
        }
        self.step("add-profiled").await?;
        let labels = &pod.labels;
        let profile = pod.profile.clone().unwrap_or_else(|| self.call.conf.name.clone());
        let change = |previous: Option<WorkloadEndpoint>| {
            Some(endpoint(previous, &identity, attached, addresses, &profile, labels, &pod.wishes.floating))
        };
        let expected = seen.endpoints.iter().any(|known| known.metadata.name == identity.ifname.as_str());
        record::write(&self.store, &identity, expected, change, &mut self.undo.written).await?;
        self.step("add-recorded").await
    }

    fn wait_for_policy(&mut self, attached: &Attached, addresses: &[Cidr]) {
        let wanted = policy::Wanted { mac: attached.workload.mac, addresses };
        let limit = self.call.left().saturating_sub(Duration::from_secs(1));
        if !policy::wait(&self.call.conf, &self.subject.identity, &wanted, limit) {
            self.call.log.warning("the agent has not said in time that the policy is set up");
        }
    }

    fn added(&self, attached: &Attached, assigned: Assigned) -> Added {
        let programmed = self.undo.wired.as_ref().and_then(|interface| interface.routes.clone());
        Added {
            host_interface: attached.host.name,
            host_mac: Some(attached.host.mac),
            container_interface: attached.workload.name,
            mac: Some(attached.workload.mac),
            mtu: Some(attached.workload.mtu),
            sandbox: self.sandbox(),
            routes: programmed.unwrap_or_else(|| default_routes(&assigned.addresses)),
            addresses: assigned.addresses,
            told_routes: assigned.routes,
            dns: assigned.dns,
        }
    }
}

fn from_annotation(failure: Failure) -> Failure {
    Failure { msg: format!("Error getting IP from IPAM: {}", failure.msg), ..failure }
}

/// The routes that `ipam.routes` gives a container instead of the defaults; none = the defaults.
///
/// COMPAT(cni-host-local-routes): version 1 ignores them. Whoever asks for results that version 1 does not speak, or says
/// something about default routes, gets what version 3 does.
fn routes_of_host_local(conf: &NetConf, addresses: &[Cidr]) -> Option<Vec<Cidr>> {
    let asked = conf.version >= SpecVersion::V040 || conf.include_default_routes.is_some();
    let routes = conf.ipam.routes.as_ref().filter(|_| asked && conf.ipam.kind == "host-local")?;
    let mut all =
        if conf.include_default_routes == Some(true) { default_routes(addresses) } else { Vec::new() };
    all.extend(routes.iter().filter(|route| !all.contains(route)).copied().collect::<Vec<_>>());
    Some(all)
}

/// The endpoint as it shall be; what an earlier life of it has besides stays.
fn endpoint(
    previous: Option<WorkloadEndpoint>,
    identity: &Identity,
    attached: &Attached,
    addresses: &[Cidr],
    profile: &str,
    labels: &BTreeMap<String, String>,
    floating: &[Ip],
) -> WorkloadEndpoint {
    let mut endpoint = previous.unwrap_or_default();
    identity.active_instance().clone_into(&mut endpoint.metadata.active_instance_id);
    endpoint.metadata.labels = labels.clone();
    let spec = &mut endpoint.spec;
    spec.interface_name = attached.host.name.to_string();
    spec.mac = Some(attached.workload.mac);
    spec.profiles = vec![profile.to_owned()];
    spec.ip_networks = addresses.to_vec();
    let is_here = |ip: Ip| addresses.iter().any(|address| address.address() == ip);
    spec.ip_nats.retain(|nat| nat.internal_ip.is_some_and(is_here));
    if !floating.is_empty() {
        let inside =
            |outside: &Ip| addresses.iter().map(|a| a.address()).find(|a| a.version() == outside.version());
        spec.ip_nats = floating
            .iter()
            .filter_map(|outside| {
                Some(IPNAT { internal_ip: Some(inside(outside)?), external_ip: Some(*outside) })
            })
            .collect();
    }
    endpoint
}

/// What is known of a pod, or of another container.
#[derive(Debug, Default)]
struct Pod {
    wishes: Wishes,
    labels: BTreeMap<String, String>,
    profile: Option<String>,
}

// === impl Pod ===

impl Pod {
    /// Takes the pod's word over the configuration's.
    fn narrow(&self, wanted: &mut Wanted) -> Result<()> {
        if let Some((v4, v6)) = self.wishes.families {
            (wanted.request.v4, wanted.request.v6) = (usize::from(v4), usize::from(v6));
        }
        if let Some(pools) = &self.wishes.ipv4_pools {
            wanted.request.v4_pools = addresses::pools(pools, margay_net::IpVersion::V4)?;
        }
        if let Some(pools) = &self.wishes.ipv6_pools {
            wanted.request.v6_pools = addresses::pools(pools, margay_net::IpVersion::V6)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
