//! The two storage traits and what is written once for every store.
//!
//! [`Kv`] is bytes under keys: revisions, compare-and-swap, TTL, prefix list, watch. etcd v2, SQLite and memory speak
//! it with the same keys and bytes (`spec/datastore-etcdv2.md`).

pub mod backoff;
pub mod datastore;
pub mod flat;
pub mod kv;
pub mod memory;
pub mod syncer;

pub use datastore::Datastore;
pub use flat::Flat;
pub use kv::Kv;
pub use memory::MemoryKv;
pub use syncer::Syncer;
