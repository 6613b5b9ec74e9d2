//! [`SqliteKv`]: the keyspace in one SQLite file, the embedded datastore.
//!
//! Keys, values and rules are those of etcd v2 (`spec/datastore-etcdv2.md`). What must stay true:
//! - A write is on disk (WAL, `synchronous=FULL`) before it is acknowledged, and its change is in the same
//!   transaction: neither a kill nor a power cut can part them. A program of one request may ask for
//!   [`Durability::AtTheEnd`] instead.
//! - Any number of processes use the file at once. Writes wait for each other, bounded, without blocking the runtime.
//! - A watch sleeps in the kernel until somebody commits; nothing polls.
//!
//! Transactions run on the caller's thread under a mutex: reads take microseconds, a write one fsync, which is less
//! than a hand-over to a thread pool is worth here.

mod error;
mod file;
mod keyspace;
mod path;
mod schema;
mod store;
mod watch;

pub use store::{Clock, Durability, Options, SqliteKv};
pub use watch::SqliteWatch;
