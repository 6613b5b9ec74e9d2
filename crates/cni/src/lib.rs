//! The CNI plugin and the CNI IPAM plugin.

pub mod args;
pub mod config;
pub mod error;
pub mod identity;
pub mod lock;
pub mod log;
pub mod request;
pub mod result;
pub mod version;
