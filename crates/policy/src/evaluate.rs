//! The reference evaluator: may this packet pass this host, and which rule says so (`spec/policy.md` 8).
//!
//! Written as the specification reads, on records, with no index and no memory: the calculation, the interpreter of
//! intents and the kernel are held against it. [`Records`] holds what the datastore holds, a [`World`] is one host
//! among them, and [`World::evaluate`] follows a [`Packet`] and tells every step.

mod packet;
mod records;
mod rule;
mod settings;
mod trace;
mod walk;
mod world;

pub use packet::{Icmp, Packet, Path, Tracking, protocol};
pub use records::Records;
pub use settings::{EndpointToHost, Settings};
pub use trace::{Asked, Check, Criterion, EndpointId, Evaluation, Hook, Miss, Outcome, Side, Step, Verdict};
pub use world::World;
