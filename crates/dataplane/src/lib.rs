//! Renders intents to nftables objects and routes, and reconciles them with the kernel (`docs/design/dataplane.md`).
//!
//! ```text
//! let mut dataplane = Dataplane::new(config, machine);
//! dataplane.guard()?;                       // before the datastore is asked
//! dataplane.update(changes);                // any number of times; merge changes before, if they wait
//! dataplane.in_sync();                      // once: from here on commits write
//! dataplane.link_event(&notice);            // whatever the link monitor says
//! dataplane.nft_event(&notice);             // whatever the nftables monitor says
//! let report = dataplane.commit(now);       // again after changes, events, and at `report.deadline`
//! ```

mod actual;
mod config;
mod dataplane;
mod desired;
mod digest;
pub mod felix;
mod floating;
mod host;
mod machine;
mod model;
mod names;
mod render;
mod report;
mod routes;
mod tunnel;
mod workloads;

pub use config::{Config, Failsafe, HostAction, IpInIp, LogLimit, Metadata, OpenStack};
pub use dataplane::{CleanupError, Dataplane, Guard, GuardError, PlanError};
pub use desired::Counts;
pub use floating::AddressFault;
pub use machine::{LiveMachine, Machine, OpenError, Parts};
pub use report::{Drift, EndpointId, EndpointState, Quarantined, Report};
