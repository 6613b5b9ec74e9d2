//! The CNI plugin and the CNI IPAM plugin.

pub mod args;
pub mod cluster;
pub mod config;
pub mod delegate;
pub mod error;
pub mod fault;
pub mod identity;
pub mod journal;
pub mod lock;
pub mod log;
pub mod request;
pub mod result;
pub mod version;
pub mod wishes;
