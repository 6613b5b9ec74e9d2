//! Links, addresses, routes and neighbours of one network namespace: requests as values, sent together.
//!
//! [`Rtnetlink`] is what others see of it. [`RtSocket`] asks the kernel of the namespace in which it was opened,
//! [`FakeNetwork`] answers from memory and refuses what the kernel would. Requests of one [`Rtnetlink::submit`] go in
//! one message; the kernel takes them in order, each by itself: one that is refused does not stop those after it.

mod decode;
mod encode;
mod fake;
mod socket;

use std::fmt;

use crate::address::Address;
use crate::link::{Link, LinkChange, LinkKey, Veth};
use crate::neighbour::Neighbour;
use crate::netlink::SocketError;
use crate::route::Route;
use margay_net::{IfIndex, IfName};
use rustix::io::Errno;

pub use fake::{FakeMonitor, FakeNetwork, FakePicture, Fault, Saboteur};
pub use socket::{RtMonitor, RtSocket};
pub(crate) use socket::{failed, list_once, neighbours};

/// One thing to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Request {
    /// Look at a link; [`Reply::Link`].
    ShowLink(LinkKey),
    /// Make a pair; refused when either name is taken.
    AddVeth(Veth),
    /// Make an IPIP tunnel that takes any packet; refused when the name is taken.
    AddIpip(IfName),
    /// Change a link.
    ChangeLink(IfIndex, LinkChange),
    /// Remove a link, and the other end of a pair with it.
    DeleteLink(LinkKey),
    /// Add an address; refused when the link has it.
    AddAddress(Address),
    /// Add an address, or bring its flags up to date.
    ReplaceAddress(Address),
    /// Remove an address.
    DeleteAddress(Address),
    /// Add a route; refused when there is one with its [`Route::key`].
    AddRoute(Route),
    /// Add a route, in the place of one with its key if there is one.
    ReplaceRoute(Route),
    /// Remove a route with that table, destination and protocol, and with that metric, link and gateway where there are
    /// any. For IPv4 scope and kind are compared too; nothing ever compares `onlink`.
    DeleteRoute(Route),
    /// Add a permanent or proxy entry, in the place of any other for that address.
    ReplaceNeighbour(Neighbour),
    /// Remove an entry.
    DeleteNeighbour(Neighbour),
}

/// What came of one request.
pub type Outcome = Result<Reply, Refusal>;

/// What the kernel said to a request that it took.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    /// Done.
    Done,
    /// The link that was asked for.
    Link(Box<Link>),
}

/// The kernel did not do one request.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{request}: {}", describe(.errno, .message))]
pub struct Refusal {
    /// What was asked, in words.
    pub request: String,
    /// The kernel's number.
    pub errno: Errno,
    /// The kernel's words, when it has any.
    pub message: Option<String>,
}

/// Why something was refused, as far as a caller acts on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RefusalKind {
    /// It is there already.
    Exists,
    /// The thing, or the link that it should be on, is not there.
    Missing,
    /// This kernel can not do it.
    Unsupported,
    /// We may not.
    NotPermitted,
    /// The link is down.
    LinkDown,
    /// The gateway can not be reached.
    Unreachable,
    /// Anything else.
    Other,
}

/// Talking to the kernel failed as a whole; nothing is known about what came of the requests.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RtError {
    /// The kernel can not be spoken to.
    #[error("{doing}")]
    Socket {
        /// What was being done.
        doing: &'static str,
        /// How it failed.
        #[source]
        source: SocketError,
    },
    /// A listing was refused.
    #[error("{doing}")]
    Refused {
        /// What was being done.
        doing: &'static str,
        /// The kernel's answer.
        #[source]
        source: Errno,
    },
    /// Things changed during each of many attempts to list them.
    #[error("{doing}: changed during each attempt")]
    Restless {
        /// What was being done.
        doing: &'static str,
    },
}

/// Links, addresses, routes and neighbours of one network namespace.
pub trait Rtnetlink {
    /// Does the requests in order; the outcomes stand in the same order.
    fn submit(&mut self, requests: &[Request]) -> Result<Vec<Outcome>, RtError>;

    /// All links, by number. Those with a name that is no text are left out.
    fn links(&mut self) -> Result<Vec<Link>, RtError>;

    /// All addresses, sorted.
    fn addresses(&mut self) -> Result<Vec<Address>, RtError>;

    /// All routes of all tables, sorted; without the kernel's caches.
    fn routes(&mut self) -> Result<Vec<Route>, RtError>;

    /// All neighbour entries, proxies too, sorted.
    fn neighbours(&mut self) -> Result<Vec<Neighbour>, RtError>;

    /// One link; none when there is no such link.
    fn link(&mut self, key: LinkKey) -> Result<Option<Link>, RtError> {
        match self.submit(&[Request::ShowLink(key)])?.pop() {
            Some(Ok(Reply::Link(link))) => Ok(Some(*link)),
            Some(Err(refusal)) if refusal.kind() == RefusalKind::Missing => Ok(None),
            Some(Err(refusal)) => Err(RtError::Refused { doing: "reading a link", source: refusal.errno }),
            Some(Ok(Reply::Done)) | None => {
                Err(RtError::Socket { doing: "reading a link", source: SocketError::Nonsense })
            }
        }
    }
}

// === impl Request ===

impl fmt::Display for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Request::ShowLink(key) => write!(f, "reading {key}"),
            Request::AddVeth(veth) => write!(f, "adding pair {} - {}", veth.near.name, veth.far.name),
            Request::AddIpip(name) => write!(f, "adding IPIP tunnel {name}"),
            Request::ChangeLink(index, _) => write!(f, "changing link {}", index.0),
            Request::DeleteLink(key) => write!(f, "deleting {key}"),
            Request::AddAddress(address) => write!(f, "adding {address}"),
            Request::ReplaceAddress(address) => write!(f, "setting {address}"),
            Request::DeleteAddress(address) => write!(f, "deleting {address}"),
            Request::AddRoute(route) => write!(f, "adding {route}"),
            Request::ReplaceRoute(route) => write!(f, "setting {route}"),
            Request::DeleteRoute(route) => write!(f, "deleting {route}"),
            Request::ReplaceNeighbour(neighbour) => write!(f, "setting {neighbour}"),
            Request::DeleteNeighbour(neighbour) => write!(f, "deleting {neighbour}"),
        }
    }
}

// === impl Refusal ===

impl Refusal {
    /// The kernel's answer to that request.
    #[must_use]
    pub fn new(request: &Request, errno: Errno, message: Option<String>) -> Self {
        Self { request: request.to_string(), errno, message }
    }

    /// What a caller acts on.
    #[must_use]
    pub fn kind(&self) -> RefusalKind {
        match self.errno {
            Errno::EXIST => RefusalKind::Exists,
            Errno::NODEV | Errno::NOENT | Errno::SRCH | Errno::ADDRNOTAVAIL => RefusalKind::Missing,
            Errno::OPNOTSUPP | Errno::AFNOSUPPORT | Errno::PROTONOSUPPORT => RefusalKind::Unsupported,
            Errno::PERM | Errno::ACCESS => RefusalKind::NotPermitted,
            Errno::NETDOWN => RefusalKind::LinkDown,
            Errno::NETUNREACH | Errno::HOSTUNREACH => RefusalKind::Unreachable,
            _ => RefusalKind::Other,
        }
    }
}

/// The words of the system, then the kernel's own.
fn describe(errno: &Errno, message: &Option<String>) -> String {
    match message {
        Some(message) => format!("{errno} ({message})"),
        None => errno.to_string(),
    }
}
