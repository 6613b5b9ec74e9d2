//! Dev-only: real etcd, the shared store suites, the conformance player, namespaces. Never in a normal dependency.

pub mod conformance;
pub mod datastore_suite;
pub mod etcd;
pub mod kv_suite;
pub mod lab;
pub mod policy_world;
