//! Making an interface: plan by plan, an undo for each, and the undoing when something fails.

use margay_kernel::{
    Link, LinkKey, Outcome, Refusal, RefusalKind, Reply, Request, Route, RtError, Rtnetlink, Sysctl,
    SysctlError,
};
use margay_net::{IfIndex, IfName, IpVersion, Mac};

use crate::host::{EnterError, Host};
use crate::interface::{HOST_MAC, Interface};
use crate::plan;
use crate::settings::Importance;
use crate::step::{Interrupted, Step};

/// An interface that has been made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attached {
    /// The host's end.
    pub host: End,
    /// The workload's end.
    pub workload: End,
    /// What is not as it should be, and did not stop the work.
    pub warnings: Vec<Warning>,
}

/// One end of a pair that has been made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct End {
    /// Its name.
    pub name: IfName,
    /// Its number in its namespace.
    pub index: IfIndex,
    /// Its hardware address.
    pub mac: Mac,
    /// Its MTU.
    pub mtu: u32,
}

/// What is not as it should be, and did not stop the work.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Warning {
    /// A setting that would be good to have can not be made.
    #[error("{0}")]
    Setting(String),
    /// The host's end has another hardware address.
    #[error("host interface {interface} has MAC {mac}")]
    HostMac {
        /// The host's end.
        interface: IfName,
        /// The address that it has.
        mac: Mac,
    },
    /// A leftover of an earlier attempt, or of an earlier life of this workload, was removed first.
    #[error("removed an earlier interface {0}")]
    Replaced(IfName),
    /// A route of another interface was replaced.
    #[error("replaced {route} of interface {holder}")]
    Evicted {
        /// The route as it was.
        route: Route,
        /// Whose it was.
        holder: IfName,
    },
}

/// Who holds a route that we need.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder {
    /// The interface; none when the route leads to none, or to several.
    pub link: Option<Link>,
    /// The route.
    pub route: Route,
}

/// Why an interface can not be made.
#[derive(Debug, thiserror::Error)]
pub enum AttachError {
    /// The workload's namespace can not be visited.
    #[error(transparent)]
    Enter(EnterError),
    /// The workload's namespace is the host's own.
    #[error("the workload's network namespace is that of the host")]
    SameNamespace,
    /// The workload has an interface of that name.
    #[error("interface {0} exists in the workload's network namespace")]
    NameTaken(IfName),
    /// The host has an interface of that name, and it belongs to another workload.
    #[error("host interface {interface} belongs to {owner}")]
    OwnedByOther {
        /// The host's end.
        interface: IfName,
        /// Its owner.
        owner: String,
    },
    /// The host has a route to one of the addresses that leads elsewhere.
    // COMPAT(route conflict): the words are upstream's (`spec/cni.md` 7.3), operators look for them.
    #[error(
        "route (Ifindex: {}, Dst: {}, Scope: {}) already exists for an interface other than '{interface}'",
        .wanted.link.map_or(0, |link| link.0), .wanted.destination, .wanted.scope.0
    )]
    RouteTaken {
        /// The host's end that was to have it.
        interface: IfName,
        /// The route that was to be added.
        wanted: Route,
        /// Who has it.
        holder: Box<Holder>,
    },
    /// The workload has an IPv6 address, and this kernel or host has no IPv6.
    // COMPAT(no IPv6): the words are upstream's (`spec/cni.md` 7.1).
    #[error("failed to get IPv6 addresses for host side of the veth pair")]
    NoIpv6(#[source] SysctlError),
    /// A setting can not be made.
    #[error(transparent)]
    Setting(SysctlError),
    /// The kernel refused something.
    #[error(transparent)]
    Refused(Refusal),
    /// The kernel can not be spoken to.
    #[error(transparent)]
    Kernel(RtError),
    /// The hook wanted it to stop.
    #[error("interrupted after step {}", .0.name())]
    Interrupted(Step),
}

/// A failure, and what could not be undone after it.
#[derive(Debug, thiserror::Error)]
#[error("making interface {interface}")]
pub struct AttachFailure {
    /// The host's end.
    pub interface: IfName,
    /// Why it failed.
    #[source]
    pub error: AttachError,
    /// What could not be undone; empty = everything is as before.
    pub left: Vec<Undone>,
}

/// Something that could not be undone.
#[derive(Debug, thiserror::Error)]
pub enum Undone {
    /// The namespace can not be visited again.
    #[error(transparent)]
    Enter(EnterError),
    /// A setting can not be put back.
    #[error(transparent)]
    Setting(SysctlError),
    /// The kernel refused.
    #[error(transparent)]
    Refused(Refusal),
    /// The kernel can not be spoken to.
    #[error(transparent)]
    Kernel(RtError),
}

/// How one thing is undone.
#[derive(Debug)]
enum Undo {
    /// Give settings of the workload's namespace their values back.
    Settings(Vec<(Sysctl, String)>),
    /// Remove the pair, with all that stands on it, by the number of the host's end. None: the kernel's answer was
    /// lost, look first.
    Pair(Option<IfIndex>),
    /// Put a route back.
    Route(Route),
}

/// The work, as far as it has come.
struct Work<'a, H: Host> {
    host: &'a mut H,
    interface: &'a Interface,
    undo: Vec<Undo>,
    warnings: Vec<Warning>,
}

/// Makes an interface in three netlink messages, or leaves nothing of it.
///
/// A leftover of the same owner, or without one, is removed first. `after` is called after each step of
/// [`Step::ATTACH`]; when it says so, everything is undone. Killed at any point, what is left is a pair whose host end
/// has no owner or ours: the next [`attach`] or [`detach`](crate::detach()) removes it.
pub fn attach<H: Host>(
    host: &mut H,
    interface: &Interface,
    after: &mut dyn FnMut(Step) -> Result<(), Interrupted>,
) -> Result<Attached, AttachFailure> {
    let mut work = Work { host, interface, undo: Vec::new(), warnings: Vec::new() };
    work.run(after).map_err(|error| {
        let left = work.unwind();
        AttachFailure { interface: interface.host_name, error, left }
    })
}

// === impl Work ===

impl<H: Host> Work<'_, H> {
    fn run(
        &mut self,
        after: &mut dyn FnMut(Step) -> Result<(), Interrupted>,
    ) -> Result<Attached, AttachError> {
        let mut reached = |step| after(step).map_err(|Interrupted| AttachError::Interrupted(step));
        let mut inside = self.enter()?;
        reached(Step::Entered)?;
        let (workload, host_index) = self.create(&mut inside)?;
        reached(Step::Created)?;
        self.address(&mut inside, workload.index)?;
        reached(Step::Addressed)?;
        self.configure()?;
        reached(Step::Configured)?;
        let host = self.publish(host_index)?;
        reached(Step::Published)?;
        Ok(Attached { host, workload, warnings: std::mem::take(&mut self.warnings) })
    }

    /// Goes into the workload's namespace, and makes its settings.
    fn enter(&mut self) -> Result<H::Network, AttachError> {
        if self.interface.workload == *self.host.namespace() {
            return Err(AttachError::SameNamespace);
        }
        let settings = plan::workload_settings(self.interface);
        let entered = self.host.enter(&self.interface.workload, &settings).map_err(AttachError::Enter)?;
        if !entered.previous.is_empty() {
            self.undo.push(Undo::Settings(entered.previous));
        }
        match entered.failed {
            None => Ok(entered.network),
            Some(error) => Err(setting_error(self.interface, error)),
        }
    }

    /// Makes the pair; the workload's end, and the number of the host's.
    fn create(&mut self, inside: &mut H::Network) -> Result<(End, IfIndex), AttachError> {
        let requests = plan::create(self.interface, self.host.namespace());
        let mut outcomes = self.ask_for_pair(inside, &requests)?;
        if exists(outcomes.first()) {
            self.take_over(inside)?;
            outcomes = self.ask_for_pair(inside, &requests)?;
            if exists(outcomes.first()) {
                return Err(AttachError::NameTaken(self.interface.workload_name));
            }
        }
        let mut outcomes = outcomes.into_iter();
        done(outcomes.next())?;
        self.undo.push(Undo::Pair(None));
        let link = shown(outcomes.next())?;
        let host = link.peer.ok_or(AttachError::Kernel(nonsense()))?;
        // By its number from here on: should another have taken the name over, theirs stays.
        self.undo.pop();
        self.undo.push(Undo::Pair(Some(host)));
        Ok((end(&link)?, host))
    }

    /// Asks for the pair. When the answer is lost, the pair may be there or not.
    fn ask_for_pair(
        &mut self,
        inside: &mut H::Network,
        requests: &[Request],
    ) -> Result<Vec<Outcome>, AttachError> {
        inside.submit(requests).map_err(|error| {
            self.undo.push(Undo::Pair(None));
            AttachError::Kernel(error)
        })
    }

    /// A name is taken: removes what an earlier attempt or life of this workload has left, and nothing else.
    fn take_over(&mut self, inside: &mut H::Network) -> Result<(), AttachError> {
        let name = self.interface.host_name;
        let taken = AttachError::NameTaken(self.interface.workload_name);
        let Some(old) = self.host.network().link(LinkKey::Name(name)).map_err(AttachError::Kernel)? else {
            return Err(taken);
        };
        if let Some(owner) = old.alias.filter(|alias| *alias != plan::alias(&self.interface.owner)) {
            return Err(AttachError::OwnedByOther { interface: name, owner });
        }
        let theirs = inside.link(LinkKey::Name(self.interface.workload_name)).map_err(AttachError::Kernel)?;
        if theirs.is_some_and(|link| link.peer != Some(old.index)) {
            // Removing the host's end would not make the name free.
            return Err(taken);
        }
        let gone = self.host.network().submit(&[Request::DeleteLink(LinkKey::Index(old.index))]);
        match first(gone.map_err(AttachError::Kernel)?) {
            Err(refusal) if refusal.kind() != RefusalKind::Missing => Err(AttachError::Refused(refusal)),
            // Someone was faster: it is gone all the same.
            Ok(_) | Err(_) => {
                self.warnings.push(Warning::Replaced(name));
                Ok(())
            }
        }
    }

    /// Gives the workload's end its addresses and routes. A route that another interface of the workload has already
    /// stays that one's: the first leads to the rest of the world.
    fn address(&mut self, inside: &mut H::Network, link: IfIndex) -> Result<(), AttachError> {
        let requests = plan::workload(self.interface, link);
        let outcomes = inside.submit(&requests).map_err(AttachError::Kernel)?;
        let mut elsewhere = false;
        for (request, outcome) in requests.iter().zip(outcomes) {
            match (request, outcome) {
                (_, Ok(_)) => {}
                (Request::AddRoute(_), Err(refusal)) if refusal.kind() == RefusalKind::Exists => {
                    elsewhere = true
                }
                // Without a route to the gateway there is none through it.
                (Request::AddRoute(route), Err(_)) if elsewhere && route.gateway.is_some() => {}
                (_, Err(refusal)) => return Err(AttachError::Refused(refusal)),
            }
        }
        Ok(())
    }

    /// Makes the settings of the host's end.
    fn configure(&mut self) -> Result<(), AttachError> {
        for setting in plan::host_settings(self.interface) {
            let sysctl = setting.sysctl(&self.interface.host_name);
            match (self.host.settings().set(&sysctl, setting.value), setting.importance) {
                (Ok(_), _) => {}
                // A setting that counts always is not missed where its family does not exist.
                (Err(SysctlError::Missing { .. }), Importance::Wanted) if setting.always => {}
                (Err(error), Importance::Wanted) => {
                    self.warnings.push(Warning::Setting(with_causes(&error)));
                }
                (Err(error), Importance::Required) => return Err(setting_error(self.interface, error)),
            }
        }
        Ok(())
    }

    /// Sets the host's end up and adds the host's routes, in one message.
    fn publish(&mut self, link: IfIndex) -> Result<End, AttachError> {
        let routes = plan::host_routes(self.interface, link);
        let mut requests = plan::publish(self.interface, link);
        let own = requests.len();
        requests.extend(routes.iter().copied().map(Request::AddRoute));
        let mut outcomes = self.host.network().submit(&requests).map_err(AttachError::Kernel)?;
        let of_routes = outcomes.split_off(own.min(outcomes.len()));
        let link = shown(outcomes.pop())?;
        for outcome in outcomes {
            done(Some(outcome))?;
        }
        for (route, outcome) in routes.iter().zip(of_routes) {
            match outcome {
                Ok(_) => {}
                Err(refusal) if refusal.kind() == RefusalKind::Exists => self.evict(route)?,
                Err(refusal) => return Err(AttachError::Refused(refusal)),
            }
        }
        let host = end(&link)?;
        if host.mac != Mac::from(HOST_MAC) {
            self.warnings.push(Warning::HostMac { interface: host.name, mac: host.mac });
        }
        Ok(host)
    }

    /// Someone has the route: takes it when its holder is known to be gone.
    fn evict(&mut self, wanted: &Route) -> Result<(), AttachError> {
        let network = self.host.network();
        let routes = network.routes().map_err(AttachError::Kernel)?;
        let Some(route) = routes.into_iter().find(|route| route.key() == wanted.key()) else {
            // Gone between the two questions.
            return self.replace(wanted);
        };
        if route.link == wanted.link {
            return Ok(());
        }
        let link = match route.link {
            Some(index) => network.link(LinkKey::Index(index)).map_err(AttachError::Kernel)?,
            None => None,
        };
        match link {
            Some(link) if !link.running || self.interface.evict.contains(&link.name) => {
                self.replace(wanted)?;
                self.undo.push(Undo::Route(route));
                self.warnings.push(Warning::Evicted { route, holder: link.name });
                Ok(())
            }
            link => Err(AttachError::RouteTaken {
                interface: self.interface.host_name,
                wanted: *wanted,
                holder: Box::new(Holder { link, route }),
            }),
        }
    }

    fn replace(&mut self, wanted: &Route) -> Result<(), AttachError> {
        all_done(self.host.network().submit(&[Request::ReplaceRoute(*wanted)]))
    }

    /// Undoes what has been done, last first, and goes on when something can not be undone.
    fn unwind(&mut self) -> Vec<Undone> {
        let mut left = Vec::new();
        while let Some(undo) = self.undo.pop() {
            match undo {
                Undo::Settings(mut previous) => {
                    previous.reverse();
                    match self.host.enter(&self.interface.workload, &previous) {
                        Ok(entered) => left.extend(entered.failed.map(Undone::Setting)),
                        Err(error) => left.push(Undone::Enter(error)),
                    }
                }
                Undo::Pair(host) => self.remove_pair(host, &mut left),
                Undo::Route(route) => {
                    let outcome = self.host.network().submit(&[Request::ReplaceRoute(route)]);
                    // A holder that is down can not have its route back; nobody misses it.
                    remember(outcome, &[RefusalKind::Missing, RefusalKind::LinkDown], &mut left);
                }
            }
        }
        left
    }

    /// Removes the pair by the host's end; what another made under that name stays.
    fn remove_pair(&mut self, host: Option<IfIndex>, left: &mut Vec<Undone>) {
        let index = match host {
            Some(index) => index,
            None => match self.host.network().link(LinkKey::Name(self.interface.host_name)) {
                // One that is up was there before.
                Ok(Some(link)) if !link.up && link.alias.is_none() => link.index,
                Ok(_) => return,
                Err(error) => return left.push(Undone::Kernel(error)),
            },
        };
        let outcome = self.host.network().submit(&[Request::DeleteLink(LinkKey::Index(index))]);
        remember(outcome, &[RefusalKind::Missing], left);
    }
}

// === helpers ===

/// Keeps what went wrong, except for what does not matter.
fn remember(outcome: Result<Vec<Outcome>, RtError>, harmless: &[RefusalKind], left: &mut Vec<Undone>) {
    match outcome {
        Ok(outcomes) => left.extend(
            outcomes
                .into_iter()
                .filter_map(Result::err)
                .filter(|refusal| !harmless.contains(&refusal.kind()))
                .map(Undone::Refused),
        ),
        Err(error) => left.push(Undone::Kernel(error)),
    }
}

/// A setting of IPv6 that is missing means that there is no IPv6.
fn setting_error(interface: &Interface, error: SysctlError) -> AttachError {
    let missing = matches!(&error, SysctlError::Missing { sysctl, .. }
        if interface.has(IpVersion::V6) && sysctl.to_string().starts_with("net.ipv6."));
    if missing { AttachError::NoIpv6(error) } else { AttachError::Setting(error) }
}

fn exists(outcome: Option<&Outcome>) -> bool {
    matches!(outcome, Some(Err(refusal)) if refusal.kind() == RefusalKind::Exists)
}

/// The only outcome.
pub(crate) fn first(outcomes: Vec<Outcome>) -> Outcome {
    outcomes.into_iter().next().expect("one outcome for each request")
}

fn done(outcome: Option<Outcome>) -> Result<(), AttachError> {
    match outcome {
        Some(Ok(_)) => Ok(()),
        Some(Err(refusal)) => Err(AttachError::Refused(refusal)),
        None => Err(AttachError::Kernel(nonsense())),
    }
}

fn shown(outcome: Option<Outcome>) -> Result<Link, AttachError> {
    match outcome {
        Some(Ok(Reply::Link(link))) => Ok(*link),
        Some(Err(refusal)) => Err(AttachError::Refused(refusal)),
        Some(Ok(Reply::Done)) | None => Err(AttachError::Kernel(nonsense())),
    }
}

/// The first refusal, if there is one.
fn all_done(outcomes: Result<Vec<Outcome>, RtError>) -> Result<(), AttachError> {
    for outcome in outcomes.map_err(AttachError::Kernel)? {
        outcome.map_err(AttachError::Refused)?;
    }
    Ok(())
}

/// The kernel answered, but not what was asked.
fn nonsense() -> RtError {
    RtError::Socket { doing: "making a pair", source: margay_kernel::SocketError::Nonsense }
}

fn end(link: &Link) -> Result<End, AttachError> {
    let mac = link.mac.ok_or(AttachError::Kernel(nonsense()))?;
    Ok(End { name: link.name, index: link.index, mac, mtu: link.mtu })
}

/// An error and its causes in one line.
fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}
