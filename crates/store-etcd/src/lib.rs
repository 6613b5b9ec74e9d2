//! [`Kv`](margay_store::Kv) over etcd's v2 API (`spec/datastore-etcdv2.md` 1 to 3 and 11).
//!
//! One connection at a time, kept alive and driven by whoever waits for an answer: no task, no thread. Lists are
//! decoded while they arrive. The password is printed nowhere.

mod cluster;
mod config;
mod connection;
mod decode;
mod request;
mod store;
mod tls;
mod watch;

pub use config::{ConfigError, EtcdConfig, Options, Secret};
pub use store::EtcdKv;
pub use watch::EtcdWatch;
