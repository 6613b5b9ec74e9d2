//! IP address management: blocks of addresses, who holds them, and giving them back (`spec/ipam.md`).
//!
//! [`block`] and [`handle`] are pure: a record in, a record out. The functions of [`mod@release`] and [`mod@show`] work on a datastore, always by
//! compare-and-swap, so that upstream's programs may work on the same blocks at the same time. Assigning comes with the
//! CNI plugin.

pub mod block;
pub mod handle;
pub mod release;
pub mod show;

pub use release::{
    Released, release_address, release_addresses, release_host_affinities, release_node_addresses,
    release_pool_affinities,
};
pub use show::{Shown, show};

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
pub type Result<T> = std::result::Result<T, Error>;
