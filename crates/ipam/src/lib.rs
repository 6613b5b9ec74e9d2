//! IP address management: blocks of addresses, who holds them, and giving them back (`spec/ipam.md`).
//!
//! [`block`] and [`handle`] are pure: a record in, a record out. Everything else works on a datastore, always by
//! compare-and-swap, so that upstream's programs may work on the same blocks at the same time: [`assign`] gives addresses,
//! [`mod@release`] takes them back, `hold` is the protocol by which handles follow blocks, `claim` that by which
//! affinities do.

pub mod assign;
pub mod block;
pub mod check;
mod claim;
pub mod config;
pub mod gc;
pub mod handle;
mod hold;
mod mix;
mod pool;
pub mod release;
mod retry;
mod room;
pub mod show;
pub mod snapshot;
mod stored;
mod timestamp;
mod walk;

pub use assign::{
    AssignFailure, Assigned, Owner, Request, TIMESTAMP, View, assign_ip, auto_assign, auto_assign_seen, look,
    reassert_ip,
};
pub use check::{Finding, audit, check, repair};
pub use claim::{Claims, claim_affinity};
pub use config::{ConfigFailure, IpamConfig, config, set_config};
pub use gc::{Collected, Garbage, collect};
pub use pool::{Pool, pools};
pub use release::{
    Released, addresses_of_handle, release_address, release_addresses, release_by_handle, release_by_scan,
    release_host_affinities, release_node_addresses, release_pool_affinities, unassign,
};
pub use room::has_room;
pub use show::{Shown, show};
pub use snapshot::Snapshot;
pub use timestamp::{parse_timestamp, timestamp};
pub use walk::{block_of, block_prefix};

use margay_store::datastore;

/// Why an IPAM operation failed.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    /// The datastore failed; prints upstream's text.
    #[error(transparent)]
    Store(#[from] datastore::Error),
    /// A stored record cannot be understood.
    #[error("reading {key}: {reason}")]
    BadRecord {
        /// The record, as error texts spell it.
        key: String,
        /// What is wrong with it.
        reason: String,
    },
    /// Others changed the record faster than it could be written.
    #[error("update conflict: '{key}' ({attempts} attempts)")]
    Contended {
        /// The record.
        key: String,
        /// How often it was tried.
        attempts: u32,
    },
}

/// Result of an IPAM operation.
pub type Result<T, E = Error> = std::result::Result<T, E>;
