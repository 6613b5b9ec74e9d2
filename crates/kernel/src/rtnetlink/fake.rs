//! A kernel in memory that refuses what the real one would; both pass `tests/it/rtnetlink.rs`.
//!
//! It makes nothing by itself: no link-local addresses, no connected routes, no learned neighbours. It can be told to
//! refuse a request or to lose an answer.

mod rules;

use std::collections::BTreeMap;
use std::fmt;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use margay_net::{IfIndex, IfName, Mac};
use rustix::io::Errno;

use super::{Outcome, Refusal, Request, RtError, Rtnetlink};
use crate::address::Address;
use crate::link::{Link, LinkKind};
use crate::monitor::{Monitor, Notice};
use crate::namespace::Namespace;
use crate::neighbour::Neighbour;
use crate::netlink::SocketError;
use crate::route::Route;
use rules::{Place, World};

/// One namespace of a kernel in memory; a copy looks at the same one.
#[derive(Debug, Clone)]
pub struct FakeNetwork {
    world: Arc<Mutex<World>>,
    place: Place,
}

/// What goes wrong with a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The kernel refuses it.
    Refuse(Errno),
    /// Neither it nor what follows in its message reaches the kernel, and nothing is heard of them.
    Lose,
    /// The kernel does it and stops there; the answer is lost.
    LoseAnswer,
}

/// Decides what goes wrong; asked before each request, with its number, from 0, in all namespaces.
pub type Saboteur = Box<dyn FnMut(usize, &Request) -> Option<Fault> + Send>;

/// A subscription to a namespace in memory.
#[derive(Debug)]
pub struct FakeMonitor {
    queue: Arc<Mutex<Vec<Notice>>>,
}

/// The saboteur and the count of requests, apart from what they happen to.
#[derive(Default)]
pub(super) struct Sabotage {
    requests: usize,
    saboteur: Option<Saboteur>,
}

// === impl FakeNetwork ===

impl Default for FakeNetwork {
    fn default() -> Self {
        Self::new()
    }
}

impl FakeNetwork {
    /// A kernel with one namespace, in which there is a loopback link, down.
    #[must_use]
    pub fn new() -> Self {
        let mut world = World::default();
        let place = world.add_namespace(stand_in());
        Self { world: Arc::new(Mutex::new(world)), place }
    }

    /// Another namespace of the same kernel.
    #[must_use]
    pub fn add_namespace(&self) -> Self {
        let place = self.lock().add_namespace(stand_in());
        Self { world: self.world.clone(), place }
    }

    /// This namespace, as requests name it.
    #[must_use]
    pub fn namespace(&self) -> Namespace {
        self.lock().namespace(self.place).clone()
    }

    /// The namespace that a request would name so; none when it is not of this kernel.
    #[must_use]
    pub fn enter(&self, namespace: &Namespace) -> Option<Self> {
        let place = self.lock().place_of(namespace)?;
        Some(Self { world: self.world.clone(), place })
    }

    /// Subscribes to the changes of this namespace.
    #[must_use]
    pub fn monitor(&self) -> FakeMonitor {
        let queue = Arc::new(Mutex::new(Vec::new()));
        self.lock().subscribe(self.place, &queue);
        FakeMonitor { queue }
    }

    /// Adds a link that stands for hardware: up and with carrier.
    pub fn add_hardware(&self, name: IfName) -> IfIndex {
        self.lock().add_link(self.place, name, LinkKind::Other, None, true)
    }

    /// Adds an entry that the kernel found out by itself.
    pub fn learn(&self, neighbour: Neighbour) {
        self.lock().learn(self.place, neighbour);
    }

    /// Says whether this kernel has the IPIP module; at first it has.
    pub fn set_ipip(&self, present: bool) {
        self.lock().ipip = present;
    }

    /// Lets someone decide what goes wrong from now on.
    pub fn sabotage(&self, saboteur: Saboteur) {
        self.lock().sabotage.saboteur = Some(saboteur);
    }

    /// Nothing goes wrong any more.
    pub fn heal(&self) {
        self.lock().sabotage.saboteur = None;
    }

    /// How many requests there have been in all namespaces.
    #[must_use]
    pub fn requests(&self) -> usize {
        self.lock().sabotage.requests
    }

    /// Everything in all namespaces: links, addresses, routes and neighbours, to be compared whole.
    #[must_use]
    pub fn picture(&self) -> Vec<FakePicture> {
        self.lock().picture()
    }

    fn lock(&self) -> MutexGuard<'_, World> {
        // A test that panicked has said what was wrong.
        self.world.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What one namespace holds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FakePicture {
    /// By name; numbers differ from one run to the next.
    pub links: BTreeMap<IfName, Link>,
    /// Sorted.
    pub addresses: Vec<Address>,
    /// Sorted.
    pub routes: Vec<Route>,
    /// Sorted.
    pub neighbours: Vec<Neighbour>,
}

impl Rtnetlink for FakeNetwork {
    fn submit(&mut self, requests: &[Request]) -> Result<Vec<Outcome>, RtError> {
        let mut world = self.lock();
        let mut outcomes = Vec::with_capacity(requests.len());
        for request in requests {
            let fault = world.sabotage.decide(request);
            if fault == Some(Fault::Lose) {
                return Err(lost());
            }
            let result = match fault {
                Some(Fault::Refuse(errno)) => Err(errno),
                _ => world.perform(self.place, request),
            };
            if fault == Some(Fault::LoseAnswer) {
                return Err(lost());
            }
            outcomes.push(result.map_err(|errno| Refusal::new(request, errno, None)));
        }
        Ok(outcomes)
    }

    fn links(&mut self) -> Result<Vec<Link>, RtError> {
        Ok(self.lock().links(self.place))
    }

    fn addresses(&mut self) -> Result<Vec<Address>, RtError> {
        Ok(self.lock().addresses(self.place))
    }

    fn routes(&mut self) -> Result<Vec<Route>, RtError> {
        Ok(self.lock().routes(self.place))
    }

    fn neighbours(&mut self) -> Result<Vec<Neighbour>, RtError> {
        Ok(self.lock().neighbours(self.place))
    }
}

// === impl FakeMonitor ===

impl FakeMonitor {
    /// Loses everything that has not been received, as an overrun does.
    pub fn overrun(&self) {
        let mut queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        queue.clear();
        queue.push(Notice::Overrun);
    }
}

impl Monitor for FakeMonitor {
    fn receive(&mut self) -> Result<Vec<Notice>, RtError> {
        Ok(std::mem::take(&mut *self.queue.lock().unwrap_or_else(PoisonError::into_inner)))
    }
}

// === impl Sabotage ===

impl Sabotage {
    /// Counts a request and decides what goes wrong with it.
    fn decide(&mut self, request: &Request) -> Option<Fault> {
        let number = self.requests;
        self.requests += 1;
        self.saboteur.as_mut().and_then(|saboteur| saboteur(number, request))
    }
}

impl fmt::Debug for Sabotage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sabotage").field("requests", &self.requests).finish_non_exhaustive()
    }
}

// === helpers ===

/// What a caller hears when an answer is lost.
fn lost() -> RtError {
    RtError::Socket {
        doing: "changing links, addresses or routes",
        source: SocketError::Timeout(std::time::Duration::ZERO),
    }
}

/// A file that stands for a namespace: requests compare namespaces by device and inode.
fn stand_in() -> Namespace {
    let file = rustix::fs::memfd_create("margay-namespace", rustix::fs::MemfdFlags::CLOEXEC);
    let file: OwnedFd = file.expect("a descriptor is free");
    Namespace::try_from(file).expect("an open file has an inode")
}

/// A hardware address for a link that was given none.
fn some_mac(number: u32) -> Mac {
    let [a, b, c, d] = number.to_be_bytes();
    Mac::from([2, 0, a, b, c, d])
}
