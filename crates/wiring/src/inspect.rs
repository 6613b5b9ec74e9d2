//! Comparing an interface with what it should be, for CHECK. Nothing is changed.

use margay_kernel::{Link, LinkKey, Route, RtError, Rtnetlink, SysctlError};
use margay_net::{Cidr, IfIndex, IfName, Ip, Mac};

use crate::host::{EnterError, Host};
use crate::interface::Interface;
use crate::plan;

/// One difference between an interface and what it should be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Difference {
    /// The workload has no such interface.
    #[error("interface {0} is missing in the workload's network namespace")]
    WorkloadLinkMissing(IfName),
    /// The host has no such interface.
    #[error("host interface {0} is missing")]
    HostLinkMissing(IfName),
    /// The two are not the ends of one pair.
    #[error("interface {workload} is not the other end of {host}")]
    NotAPair {
        /// The workload's.
        workload: IfName,
        /// The host's.
        host: IfName,
    },
    /// The host's end belongs to another workload.
    #[error("host interface {interface} belongs to {owner}")]
    OwnedByOther {
        /// The host's end.
        interface: IfName,
        /// Its owner.
        owner: String,
    },
    /// An end is down.
    #[error("interface {0} is down")]
    Down(IfName),
    /// The workload's end has another hardware address.
    #[error("interface {interface} has MAC {found:?}, not {wanted}")]
    Mac {
        /// The workload's end.
        interface: IfName,
        /// As it should be.
        wanted: Mac,
        /// As it is.
        found: Option<Mac>,
    },
    /// An address is missing on the workload's end.
    #[error("interface {interface} lacks address {address}")]
    AddressMissing {
        /// The workload's end.
        interface: IfName,
        /// The address.
        address: Cidr,
    },
    /// A route is missing in the workload.
    #[error("the workload lacks {0}")]
    WorkloadRouteMissing(Route),
    /// The host's route to an address is missing, or leads elsewhere.
    #[error("the host lacks {0}")]
    HostRouteMissing(Route),
    /// A setting of the host's end has another value.
    #[error("{setting} is {found}, not {wanted}")]
    Setting {
        /// Its name.
        setting: String,
        /// As it should be.
        wanted: &'static str,
        /// As it is.
        found: String,
    },
}

/// The comparison failed.
#[derive(Debug, thiserror::Error)]
pub enum InspectError {
    /// The workload's namespace can not be visited.
    #[error(transparent)]
    Enter(#[from] EnterError),
    /// The kernel can not be spoken to.
    #[error(transparent)]
    Kernel(#[from] RtError),
    /// A setting can not be read.
    #[error(transparent)]
    Setting(#[from] SysctlError),
}

/// Says what differs from what [`attach`](crate::attach()) would make; empty = all is well.
pub fn inspect<H: Host>(host: &mut H, interface: &Interface) -> Result<Vec<Difference>, InspectError> {
    let mut differences = Vec::new();
    let mut inside = host.enter(&interface.workload, &[])?.network;
    let inner = inside.link(LinkKey::Name(interface.workload_name))?;
    let outer = host.network().link(LinkKey::Name(interface.host_name))?;
    match &inner {
        Some(link) => inspect_workload(&mut inside, interface, link, &mut differences)?,
        None => differences.push(Difference::WorkloadLinkMissing(interface.workload_name)),
    }
    match &outer {
        Some(link) => inspect_host(host, interface, link, &mut differences)?,
        None => differences.push(Difference::HostLinkMissing(interface.host_name)),
    }
    if let (Some(inner), Some(outer)) = (&inner, &outer)
        && (inner.peer, outer.peer) != (Some(outer.index), Some(inner.index))
    {
        differences.push(Difference::NotAPair { workload: inner.name, host: outer.name });
    }
    Ok(differences)
}

/// The workload's end, its addresses and routes.
fn inspect_workload(
    inside: &mut impl Rtnetlink,
    interface: &Interface,
    link: &Link,
    differences: &mut Vec<Difference>,
) -> Result<(), InspectError> {
    if !link.up {
        differences.push(Difference::Down(link.name));
    }
    if let Some(wanted) = interface.mac.filter(|wanted| link.mac != Some(*wanted)) {
        differences.push(Difference::Mac { interface: link.name, wanted, found: link.mac });
    }
    let addresses = inside.addresses()?;
    for wanted in &interface.addresses {
        let wanted = Ip::from(*wanted);
        if !addresses.iter().any(|a| a.link == link.index && a.net.address() == wanted) {
            let address = Cidr::host(wanted);
            differences.push(Difference::AddressMissing { interface: link.name, address });
        }
    }
    let routes = inside.routes()?;
    let wanted = plan::workload_routes(interface, link.index);
    differences.extend(missing(&wanted, &routes).map(Difference::WorkloadRouteMissing));
    Ok(())
}

/// The host's end, its routes and settings.
fn inspect_host<H: Host>(
    host: &mut H,
    interface: &Interface,
    link: &Link,
    differences: &mut Vec<Difference>,
) -> Result<(), InspectError> {
    if !link.up {
        differences.push(Difference::Down(link.name));
    }
    if let Some(owner) = link.alias.as_ref().filter(|alias| **alias != plan::alias(&interface.owner)) {
        differences.push(Difference::OwnedByOther { interface: link.name, owner: owner.clone() });
    }
    let routes = host.network().routes()?;
    let wanted = plan::host_routes(interface, link.index);
    differences.extend(missing(&wanted, &routes).map(Difference::HostRouteMissing));
    for setting in plan::host_settings(interface) {
        let sysctl = setting.sysctl(&link.name);
        let found = match host.settings().read(&sysctl) {
            Err(SysctlError::Missing { .. }) if setting.always => continue,
            found => found?,
        };
        if found != setting.value {
            let setting_name = sysctl.to_string();
            differences.push(Difference::Setting { setting: setting_name, wanted: setting.value, found });
        }
    }
    Ok(())
}

/// The wanted routes that are not there. The agent may have put its own protocol on ours.
fn missing<'a>(wanted: &'a [Route], routes: &'a [Route]) -> impl Iterator<Item = Route> + 'a {
    let place = |route: &Route| -> (_, Option<IfIndex>, _) { (route.key(), route.link, route.gateway) };
    wanted.iter().filter(move |wanted| !routes.iter().any(|route| place(route) == place(wanted))).copied()
}
