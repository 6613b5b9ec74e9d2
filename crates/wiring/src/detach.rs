//! Taking an interface away: every failure is collected, none stops the work.

use margay_kernel::{Link, LinkKey, LinkKind, Namespace, Refusal, RefusalKind, Request, RtError, Rtnetlink};
use margay_net::IfName;

use crate::attach::first;
use crate::host::{EnterError, Host};
use crate::plan;
use crate::step::{Interrupted, Step};

/// An interface that is to go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Detach {
    /// Where the workload lives; none = unknown, or gone.
    pub workload: Option<Namespace>,
    /// The name of its end there.
    pub workload_name: IfName,
    /// The name of the host's end.
    pub host_name: IfName,
    /// Whose it is, as for [`Interface::owner`](crate::Interface::owner).
    pub owner: String,
}

/// What came of it.
#[derive(Debug, Default)]
pub struct Detached {
    /// Something was removed.
    pub removed: bool,
    /// It belongs to another owner, this one, and stays.
    pub kept_for: Option<String>,
    /// What failed.
    pub failures: Vec<DetachFailure>,
}

/// One failure.
#[derive(Debug, thiserror::Error)]
pub enum DetachFailure {
    /// The workload's namespace can not be visited.
    #[error(transparent)]
    Enter(EnterError),
    /// The kernel refused to remove an end.
    #[error(transparent)]
    Refused(Refusal),
    /// The kernel can not be spoken to.
    #[error(transparent)]
    Kernel(RtError),
    /// The hook wanted it to stop.
    #[error("interrupted after step {}", .0.name())]
    Interrupted(Step),
}

/// Takes an interface away, with the routes that lead to it; nothing to take is fine.
///
/// What another owner has under that name stays. An interface without an owner, as upstream makes them, goes. The
/// addresses may be given to others once this has returned without failures.
pub fn detach<H: Host>(
    host: &mut H,
    interface: &Detach,
    after: &mut dyn FnMut(Step) -> Result<(), Interrupted>,
) -> Detached {
    let mut detached = Detached::default();
    let mut reached = |step, detached: &mut Detached| {
        let result = after(step);
        if result == Err(Interrupted) {
            detached.failures.push(DetachFailure::Interrupted(step));
        }
        result
    };
    let outer = look(host.network(), interface.host_name, &mut detached);
    if reached(Step::Examined, &mut detached).is_err() {
        return detached;
    }
    let owner = plan::alias(&interface.owner);
    match outer {
        Some(link) => match link.alias.as_ref().filter(|alias| **alias != owner) {
            Some(other) => detached.kept_for = Some(other.clone()),
            None => remove(host.network(), &link, &mut detached),
        },
        None => remove_inner(host, interface, &owner, &mut detached),
    }
    let _ = reached(Step::Removed, &mut detached);
    detached
}

/// The host's end is not there under its name: removes the workload's end, if that is a pair's and nobody else's.
fn remove_inner<H: Host>(host: &mut H, interface: &Detach, owner: &str, detached: &mut Detached) {
    let Some(workload) = interface.workload.as_ref().filter(|workload| *workload != host.namespace()) else {
        return;
    };
    let mut inside = match host.enter(workload, &[]) {
        Ok(entered) => entered.network,
        Err(error) => return detached.failures.push(DetachFailure::Enter(error)),
    };
    let Some(link) = look(&mut inside, interface.workload_name, detached) else { return };
    if link.kind != LinkKind::Veth {
        return;
    }
    // A pair whose other end bears another owner's name has been renamed, or is another plugin's.
    let peer = link.peer.filter(|_| link.peer_elsewhere).map(LinkKey::Index);
    if let Some(key) = peer
        && let Ok(Some(outer)) = host.network().link(key)
        && outer.peer == Some(link.index)
        && let Some(other) = outer.alias.filter(|alias| alias != owner)
    {
        detached.kept_for = Some(other);
        return;
    }
    remove(&mut inside, &link, detached);
}

/// The link of that name, if it is there.
fn look(network: &mut impl Rtnetlink, name: IfName, detached: &mut Detached) -> Option<Link> {
    match network.link(LinkKey::Name(name)) {
        Ok(link) => link,
        Err(error) => {
            detached.failures.push(DetachFailure::Kernel(error));
            None
        }
    }
}

/// Removes a link, by number: another may have its name by now.
fn remove(network: &mut impl Rtnetlink, link: &Link, detached: &mut Detached) {
    match network.submit(&[Request::DeleteLink(LinkKey::Index(link.index))]) {
        Ok(outcomes) => match first(outcomes) {
            Ok(_) => detached.removed = true,
            Err(refusal) if refusal.kind() == RefusalKind::Missing => {}
            Err(refusal) => detached.failures.push(DetachFailure::Refused(refusal)),
        },
        Err(error) => detached.failures.push(DetachFailure::Kernel(error)),
    }
}
