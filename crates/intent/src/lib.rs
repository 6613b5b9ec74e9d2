//! What this node should look like, as plain values: the only language between `policy` and `dataplane`.
//!
//! Names are shared texts, rules are compiled (tags and selectors are set names, networks are masked), and nothing
//! here says how a kernel does it. [`Changes`] is what goes from one to the other: unordered, idempotent, and two of
//! them merge into one. [`State`] is the sum of all changes so far. Not everything that holds in the datastore stands
//! here: only what this node needs.

mod changes;
mod endpoint;
mod name;
mod rule;

pub use changes::{Changes, Members, Pool, SetChange, State};
pub use endpoint::{HostEndpoint, Nat, Program, Tier, TierEnd, WorkloadEndpoint};
pub use name::{HostEndpointId, HostName, PolicyId, ProfileId, SetId, WorkloadId};
pub use rule::{
    Action, Direction, Families, IcmpMatch, Peer, Policy, PortRange, Profile, ProtocolMatch, Rule,
};
