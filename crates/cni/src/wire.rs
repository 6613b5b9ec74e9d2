//! The interface itself: which name it has on the host, whose it is, and what the kernel's refusals mean
//! (`spec/cni.md` 7, 9.4). What is done to the kernel stands in `margay-wiring`.

use std::path::Path;

use margay_kernel::{LinkKey, Namespace, Rtnetlink as _};
use margay_net::IfName;
use margay_wiring::{AttachError, AttachFailure, Detach, Host as _, Interrupted, LiveHost, Step};

use crate::call::{Call, Subject, chain};
use crate::error::{Code, Failure, Result};
use crate::fault::Faults;
use crate::identity::{Identity, Workload};

/// Where the agent writes the MTU that fits this host's tunnels.
const MTU_FILE: &str = "/var/lib/calico/mtu";

/// Who owns an interface on the host: the link's alias.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Owner<'a> {
    pub(crate) container: &'a str,
    pub(crate) ifname: &'a str,
}

/// The alias of an interface: network, container and interface.
pub(crate) fn owner_text(network: &str, identity: &Identity) -> String {
    format!("{network}.{}/{}", identity.container.as_str(), identity.ifname)
}

/// The container and interface that an alias of this network names.
pub(crate) fn parse_owner<'a>(alias: &'a str, network: &str) -> Option<Owner<'a>> {
    let rest = alias.strip_prefix(network)?.strip_prefix('.')?;
    let (container, ifname) = rest.split_once('/')?;
    Some(Owner { container, ifname })
}

/// Opens the host, as this call sees it.
pub(crate) fn open_host() -> Result<LiveHost> {
    LiveHost::open().map_err(|error| Failure::new(Code::KERNEL, chain(&error)))
}

/// Opens the container's namespace.
pub(crate) fn open_netns(path: &Path) -> Result<Namespace> {
    Namespace::open(path).map_err(|error| {
        Failure::new(Code::KERNEL, format!("failed to open netns {:?}: {}", path.display(), chain(&error)))
    })
}

/// The name that the host's end gets, and that the container's name is free: nothing is made that way.
///
/// A name that another interface of the container has makes this one take its second name; an older sandbox of the same
/// pod gives its interface up.
pub(crate) fn choose_name(
    call: &mut Call<'_>,
    subject: &Subject,
    host: &mut LiveHost,
    netns: &Namespace,
) -> Result<IfName> {
    let identity = &subject.identity;
    let kernel = |error: &dyn std::error::Error| Failure::new(Code::KERNEL, chain(error));
    if *netns == *host.namespace() {
        return Err(Failure::new(
            Code::OWN_NETNS,
            "plugin's netns and netns from CNI_NETNS should not be the same",
        ));
    }
    let mut name = identity.host_interface();
    let mut held = host.network().link(LinkKey::Name(name)).map_err(|error| kernel(&error))?;
    if held.as_ref().is_some_and(|link| is_sibling(link.alias.as_deref(), identity)) {
        name = identity.second_host_interface();
        held = host.network().link(LinkKey::Name(name)).map_err(|error| kernel(&error))?;
    }
    let mut inside = host.enter(netns, &[]).map_err(|error| kernel(&error))?.network;
    let inner = inside.link(LinkKey::Name(identity.ifname)).map_err(|error| kernel(&error))?;
    if inner.is_some_and(|inner| held.as_ref().map(|held| held.index) != inner.peer) {
        return Err(Failure::new(
            Code::GENERIC,
            format!("container veth name provided ({}) already exists", identity.ifname),
        ));
    }
    let own = owner_text(&call.conf.name, identity);
    if let Some(other) = held.and_then(|link| link.alias).filter(|alias| *alias != own) {
        if matches!(identity.workload, Workload::Container(_)) && !is_same_container(&other, identity) {
            return Err(Failure::new(Code::GENERIC, format!("host interface {name} belongs to {other}")));
        }
        call.log.info(&format!("interface {name} of {other} is replaced"));
        let old = Detach { workload: None, workload_name: identity.ifname, host_name: name, owner: other };
        detach(call, host, &old)?;
    }
    Ok(name)
}

/// True when an alias names another interface of the same container.
fn is_sibling(alias: Option<&str>, identity: &Identity) -> bool {
    alias
        .and_then(|alias| alias.rsplit_once('/'))
        .is_some_and(|(owner, ifname)| is_of(owner, identity) && ifname != identity.ifname.as_str())
}

/// True when an alias names an interface of the same container, in whichever network.
fn is_same_container(alias: &str, identity: &Identity) -> bool {
    alias.rsplit_once('/').is_some_and(|(owner, _)| is_of(owner, identity))
}

/// True when an alias names the same interface of the same container, in whichever network.
fn is_same_interface(alias: &str, identity: &Identity) -> bool {
    is_same_container(alias, identity) && !is_sibling(Some(alias), identity)
}

fn is_of(owner: &str, identity: &Identity) -> bool {
    // The container's identifier may have dots, the network's name too.
    owner.strip_suffix(identity.container.as_str()).is_some_and(|network| network.ends_with('.'))
}

/// Takes the interface of a call away, under whichever name it has.
pub(crate) fn unwire(call: &mut Call<'_>, subject: &Subject) -> Result<()> {
    let identity = &subject.identity;
    let mut host = open_host()?;
    let netns = match subject.attachment.netns.as_deref().map(Namespace::open) {
        Some(Ok(netns)) => Some(netns),
        Some(Err(error)) => {
            call.log.debug(&format!("the namespace is gone: {}", chain(&error)));
            None
        }
        None => None,
    };
    let owner = owner_text(&call.conf.name, identity);
    let end = |host_name, workload| Detach {
        workload,
        workload_name: identity.ifname,
        host_name,
        owner: owner.clone(),
    };
    // The second name is of this interface alone.
    detach(call, &mut host, &end(identity.second_host_interface(), None))?;
    let faults = call.faults.clone();
    let kept_for = detach_with(call, &mut host, &end(identity.host_interface(), netns), &faults)?;
    // The container joined another network first, and this one by name alone: one interface, one endpoint for both.
    match kept_for.filter(|other| is_same_interface(other, identity)) {
        Some(other) => {
            detach(call, &mut host, &Detach { owner: other, ..end(identity.host_interface(), None) })
                .map(|_| ())
        }
        None => Ok(()),
    }
}

/// Takes one interface away; the answer names the owner for whom it stays.
pub(crate) fn detach(call: &mut Call<'_>, host: &mut LiveHost, end: &Detach) -> Result<Option<String>> {
    detach_with(call, host, end, &Faults::default())
}

fn detach_with(
    call: &mut Call<'_>,
    host: &mut LiveHost,
    end: &Detach,
    faults: &Faults,
) -> Result<Option<String>> {
    let mut after = |step: Step| faults.pass(step.name()).map_err(|_| Interrupted);
    let detached = margay_wiring::detach(host, end, &mut after);
    if let Some(other) = &detached.kept_for {
        call.log.info(&format!("interface {} stays: it belongs to {other}", end.host_name));
    }
    if detached.removed {
        call.log.info(&format!("removed interface {}", end.host_name));
    }
    let failures: Vec<String> = detached.failures.iter().map(|failure| chain(failure)).collect();
    if failures.is_empty() {
        return Ok(detached.kept_for);
    }
    Err(Failure::new(
        Code::KERNEL,
        format!("failed to clean up workload's veth inside netns: {}", failures.join("; ")),
    ))
}

/// The MTU of an interface: as configured, else what the agent found out, else the kernel's.
pub(crate) fn mtu(call: &Call<'_>) -> Result<Option<u32>> {
    if call.conf.mtu.is_some() {
        return Ok(call.conf.mtu);
    }
    match std::fs::read_to_string(MTU_FILE) {
        Ok(text) => text.trim().parse().map(Some).map_err(|error| {
            Failure::new(Code::CONFIG, format!("failed to read MTU file: {MTU_FILE}: {error}"))
        }),
        Err(error) if call.conf.require_mtu_file => {
            Err(Failure::new(Code::TRY_LATER, format!("failed to read MTU file: {MTU_FILE}: {error}")))
        }
        Err(_) => Ok(None),
    }
}

/// What a refusal of the kernel means to a runtime.
pub(crate) fn failure(failure: &AttachFailure) -> Failure {
    let interface = failure.interface;
    let told = match &failure.error {
        AttachError::SameNamespace => {
            Failure::new(Code::OWN_NETNS, "plugin's netns and netns from CNI_NETNS should not be the same")
        }
        AttachError::NameTaken(name) => {
            Failure::new(Code::GENERIC, format!("container veth name provided ({name}) already exists"))
        }
        AttachError::OwnedByOther { .. } => Failure::new(Code::GENERIC, failure.error.to_string()),
        AttachError::RouteTaken { holder, .. } => {
            let by = holder.link.as_ref().map_or_else(
                || "no interface".to_owned(),
                |link| format!("interface {} ({})", link.name, link.alias.as_deref().unwrap_or("no owner")),
            );
            Failure::new(
                Code::KERNEL,
                format!("error adding host side routes for interface: {interface}, error: {}", failure.error),
            )
            .with_details(format!("the route is held by {by}"))
        }
        AttachError::Setting(error) => Failure::new(
            Code::KERNEL,
            format!("error configuring sysctls for interface: {interface}, error: {}", chain(error)),
        ),
        AttachError::Interrupted(_) => Failure::new(Code::TRY_LATER, failure.error.to_string()),
        AttachError::NoIpv6(_) | AttachError::Enter(_) | AttachError::Refused(_) | AttachError::Kernel(_) => {
            Failure::new(Code::KERNEL, chain(&failure.error))
        }
    };
    let left: Vec<String> = failure.left.iter().map(|left| format!("left behind: {}", chain(left))).collect();
    told.with_details(left.join("; "))
}

#[cfg(test)]
mod tests {
    use super::{is_same_container, is_same_interface, is_sibling, owner_text, parse_owner};
    use crate::args::Args;
    use crate::identity::{Identity, Workload};
    use crate::request::ContainerId;

    fn identity() -> Identity {
        let container = ContainerId::parse("c.1").unwrap();
        Identity {
            node: "h1".to_owned(),
            workload: Workload::of(&Args::default(), &container),
            container,
            ifname: "eth0".parse().unwrap(),
        }
    }

    #[test]
    fn an_alias_names_network_container_and_interface() {
        let alias = owner_text("n.et", &identity());
        assert_eq!(alias, "n.et.c.1/eth0");
        let owner = parse_owner(&alias, "n.et").unwrap();
        assert_eq!((owner.container, owner.ifname), ("c.1", "eth0"));
        assert_eq!(parse_owner("other.c/eth0", "n.et"), None);
        assert_eq!(parse_owner("by somebody", "n.et"), None);
    }

    #[test]
    fn siblings_are_of_one_container_and_another_interface() {
        let identity = identity();
        for (alias, sibling, same) in [
            ("net.c.1/eth1", true, true),
            ("other.c.1/eth1", true, true),
            ("net.c.1/eth0", false, true),
            ("net.xc.1/eth1", false, false),
            ("c.1/eth1", false, false),
            ("", false, false),
        ] {
            assert_eq!(is_sibling(Some(alias), &identity), sibling, "{alias}");
            assert_eq!(is_same_container(alias, &identity), same, "{alias}");
            assert_eq!(is_same_interface(alias, &identity), same && !sibling, "{alias}");
        }
    }
}
