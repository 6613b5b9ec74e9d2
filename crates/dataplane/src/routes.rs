//! Routes and neighbour entries of workloads: what should stand, what we put there, and the requests between the two.
//!
//! Pure but for [`Routes::perform`]. A route is ours by its protocol number and its interface; others' routes on
//! workload interfaces are removed only when they carry Felix's protocol or stand in the way.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use margay_kernel::{
    Neighbour, NeighbourKind, Refusal, RefusalKind, Request, Route, RouteProtocol, RouteTable, RtError,
    Rtnetlink,
};
use margay_net::{Cidr, IfIndex, IfName, IpVersion, Mac};

use crate::host::HostView;

/// Where a network is to be routed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Target {
    /// The workload's interface.
    pub(crate) interface: IfName,
    /// The workload's hardware address.
    pub(crate) mac: Option<Mac>,
}

/// What stands in the kernel for a network, as far as we know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Installed {
    interface: IfName,
    index: IfIndex,
    mac: Option<Mac>,
}

/// Routes that should be and routes that are.
#[derive(Debug, Clone)]
pub(crate) struct Routes {
    protocol: RouteProtocol,
    desired: BTreeMap<Cidr, Target>,
    of_interface: BTreeMap<IfName, BTreeSet<Cidr>>,
    installed: BTreeMap<Cidr, Installed>,
    dirty: BTreeSet<Cidr>,
    /// Networks that have had a route since they have their owner: only they can have flows.
    carried: BTreeSet<Cidr>,
    /// Addresses whose tracked flows are to be forgotten.
    forget: BTreeSet<IpAddr>,
    /// The kernel's routes are to be read and compared.
    check: bool,
    /// Others' routes on our interfaces, seen at the last check.
    foreign: BTreeSet<Route>,
}

/// What one round of requests came to.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    /// How many requests were sent.
    pub(crate) sent: usize,
    /// Those that the kernel refused; tried again later.
    pub(crate) refused: Vec<Refusal>,
}

/// What a check of the kernel's routes found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Checked {
    /// Routes that stood and should not.
    pub(crate) stale: Vec<Route>,
    /// Routes that we had put there and that are gone.
    pub(crate) missing: Vec<Cidr>,
}

/// The kernel's routes on workload interfaces, told apart.
#[derive(Debug, Default)]
struct Sorted {
    /// Those that should stand.
    found: BTreeMap<Cidr, Installed>,
    /// Those that should not.
    stale: Vec<Route>,
    /// Others'.
    foreign: BTreeSet<Route>,
}

// === impl Routes ===

impl Routes {
    /// Nothing is wanted, and nothing is known.
    pub(crate) fn new(protocol: u8) -> Self {
        Self {
            protocol: RouteProtocol(protocol),
            desired: BTreeMap::new(),
            of_interface: BTreeMap::new(),
            installed: BTreeMap::new(),
            dirty: BTreeSet::new(),
            carried: BTreeSet::new(),
            forget: BTreeSet::new(),
            check: true,
            foreign: BTreeSet::new(),
        }
    }

    /// Says where a network is to be routed; none = nowhere.
    pub(crate) fn set(&mut self, net: Cidr, target: Option<Target>) {
        let before = self.desired.get(&net).copied();
        if before == target {
            return;
        }
        if let Some(before) = before {
            if let Some(nets) = self.of_interface.get_mut(&before.interface) {
                nets.remove(&net);
                if nets.is_empty() {
                    self.of_interface.remove(&before.interface);
                }
            }
            let moves = target.is_none_or(|target| target.interface != before.interface);
            if moves && self.carried.remove(&net) && net.is_single() {
                self.forget.insert(net.address().get());
            }
        }
        match target {
            Some(target) => {
                self.desired.insert(net, target);
                self.of_interface.entry(target.interface).or_default().insert(net);
            }
            None => {
                self.desired.remove(&net);
            }
        }
        self.dirty.insert(net);
    }

    /// Takes another protocol number; what stands under the old one is replaced.
    pub(crate) fn set_protocol(&mut self, protocol: u8) {
        if self.protocol != RouteProtocol(protocol) {
            self.protocol = RouteProtocol(protocol);
            self.check = true;
        }
    }

    /// The number of routes that should stand.
    pub(crate) fn len(&self) -> usize {
        self.desired.len()
    }

    /// The networks routed to an interface.
    pub(crate) fn networks_of(&self, interface: &IfName) -> impl Iterator<Item = &Cidr> {
        self.of_interface.get(interface).into_iter().flatten()
    }

    /// The interfaces of routes that may have to be put.
    pub(crate) fn dirty_interfaces(&self) -> BTreeSet<IfName> {
        self.dirty.iter().filter_map(|net| self.desired.get(net)).map(|target| target.interface).collect()
    }

    /// Others' routes on workload interfaces.
    pub(crate) fn foreign(&self) -> impl Iterator<Item = &Route> {
        self.foreign.iter()
    }

    /// The interface came, went, or changed: the kernel may have taken its routes away.
    pub(crate) fn interface_changed(&mut self, name: &IfName) {
        let nets: Vec<Cidr> = self.networks_of(name).copied().collect();
        for net in nets {
            // A route of the interface's former life counts for nothing.
            if self.installed.get(&net).is_some_and(|installed| installed.interface == *name) {
                self.installed.remove(&net);
            }
            self.dirty.insert(net);
        }
    }

    /// Someone else changed a route on an interface of ours.
    pub(crate) fn route_changed(&mut self, route: &Route, gone: bool) {
        if route.table != RouteTable::MAIN {
            return;
        }
        let ours =
            self.installed.get(&route.destination).filter(|installed| Some(installed.index) == route.link);
        match (ours, gone) {
            (Some(_), true) => {
                self.installed.remove(&route.destination);
                self.dirty.insert(route.destination);
                self.check = true;
            }
            // What we wanted ourselves; it says so a moment later.
            (Some(_), false) if route.protocol == self.protocol => {}
            (None, true) => {}
            (Some(_) | None, false) => self.check = true,
        }
    }

    /// The kernel's routes are to be compared at the next occasion.
    pub(crate) fn recheck(&mut self) {
        self.check = true;
    }

    /// True when there is something to do.
    pub(crate) fn is_pending(&self) -> bool {
        self.check || !self.dirty.is_empty() || !self.forget.is_empty()
    }

    /// Addresses whose flows are to be forgotten, once.
    pub(crate) fn take_forgotten(&mut self) -> BTreeSet<IpAddr> {
        std::mem::take(&mut self.forget)
    }

    /// The flows were not forgotten; to be tried again.
    pub(crate) fn put_forgotten(&mut self, addresses: BTreeSet<IpAddr>) {
        self.forget.extend(addresses);
    }

    /// Withdraws what is to be routed nowhere, or to where it can not be routed now.
    pub(crate) fn withdraw(
        &mut self,
        network: &mut impl Rtnetlink,
        view: &HostView,
    ) -> Result<Outcome, RtError> {
        let goes = |net: &Cidr, installed: &Installed| match self.desired.get(net) {
            None => true,
            Some(target) => target.interface != installed.interface && !view.is_running(&target.interface),
        };
        let gone: Vec<(Cidr, Installed)> = self
            .dirty
            .iter()
            .filter_map(|net| self.installed.get(net).map(|installed| (*net, *installed)))
            .filter(|(net, installed)| goes(net, installed))
            .collect();
        let nowhere: Vec<Cidr> =
            self.dirty.iter().filter(|net| !self.desired.contains_key(net)).copied().collect();
        let mut work = Vec::new();
        for (net, installed) in &gone {
            work.push((*net, Request::DeleteRoute(self.route(*net, installed.index))));
            if let Some(neighbour) = neighbour(*net, installed.index, installed.mac) {
                work.push((*net, Request::DeleteNeighbour(neighbour)));
            }
        }
        let mut failed = BTreeSet::new();
        let outcome = Self::perform(network, &work, |net, _| {
            failed.insert(net);
        })?;
        // What would not go stays known, and is looked at again.
        self.check |= !failed.is_empty();
        for (net, _) in gone.iter().filter(|(net, _)| !failed.contains(net)) {
            self.installed.remove(net);
        }
        for net in nowhere.iter().filter(|net| !failed.contains(net)) {
            self.dirty.remove(net);
        }
        Ok(outcome)
    }

    /// Puts what should stand, on interfaces that run and that `may` have routes.
    pub(crate) fn install(
        &mut self,
        network: &mut impl Rtnetlink,
        view: &HostView,
        may: impl Fn(&IfName) -> bool,
    ) -> Result<Outcome, RtError> {
        let mut work = Vec::new();
        let mut settled = Vec::new();
        let mut wanted = BTreeMap::new();
        for net in &self.dirty {
            let Some(target) = self.desired.get(net) else { continue };
            if !may(&target.interface) {
                continue;
            }
            let Some(interface) =
                view.interfaces.get(&target.interface).filter(|interface| interface.running)
            else {
                // Its link event comes back to it.
                settled.push(*net);
                continue;
            };
            let new = Installed { interface: target.interface, index: interface.index, mac: target.mac };
            let before = self.installed.get(net).copied();
            if before == Some(new) {
                settled.push(*net);
                continue;
            }
            wanted.insert(*net, new);
            if before.is_none_or(|before| before.index != new.index) {
                work.push((*net, Request::ReplaceRoute(self.route(*net, new.index))));
            }
            let (old, new) = (
                before.and_then(|before| neighbour(*net, before.index, before.mac)),
                neighbour(*net, new.index, new.mac),
            );
            if old != new {
                if let Some(old) = old.filter(|old| new.is_none_or(|new| new.link != old.link)) {
                    work.push((*net, Request::DeleteNeighbour(old)));
                }
                if let Some(new) = new {
                    work.push((*net, Request::ReplaceNeighbour(new)));
                }
            }
        }
        let mut failed = BTreeSet::new();
        let outcome = Self::perform(network, &work, |net, _| {
            failed.insert(net);
        })?;
        for net in settled {
            self.dirty.remove(&net);
        }
        for (net, new) in wanted {
            if !failed.contains(&net) {
                self.installed.insert(net, new);
                self.carried.insert(net);
                self.dirty.remove(&net);
            }
        }
        Ok(outcome)
    }

    /// Reads the kernel's routes and takes what is there for installed; stale ones are deleted.
    ///
    /// `spare` says which interfaces are left alone as long as Felix's protocol alone speaks against a route: a plugin
    /// may have put it there before its record came.
    pub(crate) fn compare(
        &mut self,
        network: &mut impl Rtnetlink,
        view: &HostView,
        is_workload: impl Fn(&IfName) -> bool,
        spare: impl Fn(&IfName) -> bool,
    ) -> Result<(Checked, Outcome), RtError> {
        if !self.check {
            return Ok((Checked::default(), Outcome::default()));
        }
        let names = names_of(view);
        let Sorted { mut found, stale, foreign } = self.sort(network.routes()?, view, &is_workload, spare);
        let mut work: Vec<(Cidr, Request)> =
            stale.iter().map(|route| (route.destination, Request::DeleteRoute(*route))).collect();
        for neighbour in network.neighbours()? {
            let NeighbourKind::Permanent(mac) = neighbour.kind else { continue };
            let net = Cidr::host(neighbour.address);
            let known = self.installed.get(&net).is_some_and(|installed| installed.index == neighbour.link);
            let ours = names.get(&neighbour.link).is_some_and(&is_workload)
                && (known || self.desired.contains_key(&net) || stale.iter().any(|r| r.destination == net));
            match found.get_mut(&net).filter(|installed| installed.index == neighbour.link) {
                Some(installed) => installed.mac = Some(mac),
                None if ours => work.push((net, Request::DeleteNeighbour(neighbour))),
                None => {}
            }
        }
        let mut failed = BTreeSet::new();
        let outcome = Self::perform(network, &work, |net, _| {
            failed.insert(net);
        })?;
        let left = stale.iter().map(|route| route.destination).filter(|net| net.is_single());
        self.forget.extend(left.filter(|net| !self.desired.contains_key(net)).map(|net| net.address().get()));
        let missing = self.installed.keys().filter(|net| !found.contains_key(net)).copied().collect();
        self.foreign = foreign;
        self.carried.extend(found.keys());
        let before = std::mem::replace(&mut self.installed, found);
        for (net, installed) in before.into_iter().filter(|(net, _)| failed.contains(net)) {
            // What would not go stays known, and is looked at again.
            self.installed.entry(net).or_insert(installed);
            self.dirty.insert(net);
        }
        self.dirty.extend(self.desired.keys().copied());
        self.check = !failed.is_empty();
        Ok((Checked { stale, missing }, outcome))
    }

    /// What a commit would do about the kernel's routes, in words; nothing is done.
    pub(crate) fn preview(
        &self,
        network: &mut impl Rtnetlink,
        view: &HostView,
        is_workload: impl Fn(&IfName) -> bool,
    ) -> Result<Vec<String>, RtError> {
        let Sorted { found, stale, .. } = self.sort(network.routes()?, view, &is_workload, |_| false);
        let mut lines: Vec<String> = stale.iter().map(|route| format!("- {route}")).collect();
        for (net, target) in &self.desired {
            if !found.contains_key(net) && view.is_running(&target.interface) {
                lines.push(format!("+ route {net} dev {} proto {}", target.interface, self.protocol.0));
            }
        }
        Ok(lines)
    }

    /// Tells the kernel's routes on workload interfaces apart.
    fn sort(
        &self,
        routes: Vec<Route>,
        view: &HostView,
        is_workload: &impl Fn(&IfName) -> bool,
        spare: impl Fn(&IfName) -> bool,
    ) -> Sorted {
        let names = names_of(view);
        let mut sorted = Sorted::default();
        for route in routes.into_iter().filter(|route| route.table == RouteTable::MAIN) {
            let place = route.link.and_then(|index| names.get(&index).map(|name| (index, *name)));
            let Some((index, name)) = place.filter(|(_, name)| is_workload(name)) else { continue };
            let ours = self.route(route.destination, index);
            let target = self.desired.get(&route.destination);
            if route == ours && target.is_some_and(|target| target.interface == name) {
                sorted.found.insert(route.destination, Installed { interface: name, index, mac: None });
                continue;
            }
            let takes_over = target.is_some_and(|target| view.is_running(&target.interface));
            if takes_over && ours.key() == route.key() {
                // Ours comes into its place: replaced, not deleted, so that there is no gap.
                continue;
            }
            if route.protocol == RouteProtocol::KERNEL {
                continue;
            }
            let by_felix = route.protocol == RouteProtocol::BOOT && !spare(&name);
            if route.protocol == self.protocol || by_felix || target.is_some() {
                sorted.stale.push(route);
            } else {
                sorted.foreign.insert(route);
            }
        }
        sorted
    }

    /// Our route to a network on an interface.
    fn route(&self, net: Cidr, index: IfIndex) -> Route {
        Route::on_link(net, index, self.protocol)
    }

    /// Sends requests together; what is there or gone already is fine.
    fn perform(
        network: &mut impl Rtnetlink,
        work: &[(Cidr, Request)],
        mut failed: impl FnMut(Cidr, &Refusal),
    ) -> Result<Outcome, RtError> {
        if work.is_empty() {
            return Ok(Outcome::default());
        }
        let requests: Vec<Request> = work.iter().map(|(_, request)| request.clone()).collect();
        let outcomes = network.submit(&requests)?;
        let mut outcome = Outcome { sent: requests.len(), refused: Vec::new() };
        for ((net, request), result) in work.iter().zip(outcomes) {
            let Err(refusal) = result else { continue };
            let delete = matches!(request, Request::DeleteRoute(_) | Request::DeleteNeighbour(_));
            // A link that is gone took its routes along; one that came down comes back with an event.
            let harmless = delete && refusal.kind() == RefusalKind::Missing;
            if !harmless {
                failed(*net, &refusal);
                outcome.refused.push(refusal);
            }
        }
        Ok(outcome)
    }
}

/// The interfaces by number.
fn names_of(view: &HostView) -> BTreeMap<IfIndex, IfName> {
    view.interfaces.iter().map(|(name, interface)| (interface.index, *name)).collect()
}

/// The neighbour entry of a single IPv4 address whose hardware address is known.
fn neighbour(net: Cidr, index: IfIndex, mac: Option<Mac>) -> Option<Neighbour> {
    let single = net.is_single() && net.version() == IpVersion::V4;
    mac.filter(|_| single).map(|mac| Neighbour::permanent(index, net.address().get(), mac))
}

#[cfg(test)]
mod tests;
