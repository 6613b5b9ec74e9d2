//! Everything said to Linux: rtnetlink, nftables batches, conntrack, namespaces, sysctls; and a fake of it.

mod address;
mod conntrack;
mod foreign;
mod link;
mod memory;
mod monitor;
mod namespace;
mod neighbour;
mod netlink;
pub mod nft;
mod route;
mod rtnetlink;
mod sysctl;

pub use address::Address;
pub use conntrack::{CtSocket, FakeFlows, Flow, Flows};
pub use foreign::understand;
pub use link::{Link, LinkChange, LinkKey, LinkKind, Veth, VethEnd};
pub use memory::give_back_memory;
pub use monitor::{Event, Interfaces, Monitor, Notice};
pub use namespace::{Isolation, Namespace, NamespaceError, isolated};
pub use neighbour::{Neighbour, NeighbourKind};
pub use netlink::SocketError;
pub use route::{Route, RouteKind, RouteProtocol, RouteScope, RouteTable};
pub use rtnetlink::{
    FakeMonitor, FakeNetwork, FakePicture, Fault, Outcome, Refusal, RefusalKind, Reply, Request, RtError,
    RtMonitor, RtSocket, Rtnetlink, Saboteur,
};
pub use rustix::io::Errno;
pub use sysctl::{FakeSysctls, ProcSys, Sysctl, SysctlError, Sysctls};
