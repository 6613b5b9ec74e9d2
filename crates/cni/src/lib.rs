//! The CNI plugin and the CNI IPAM plugin (`spec/cni.md`, `spec/ipam.md` 13).
//!
//! [`run_plugin`] joins containers to a network. Nothing is set up before it is needed: VERSION reads its input and
//! answers. `add`, `del`, `check`, `gc` and `status` are the verbs; what they share stands in modules of its own, and
//! everything that asks neither datastore nor kernel is pure.

mod add;
mod addresses;
pub mod args;
mod call;
mod check;
pub mod cluster;
pub mod config;
mod del;
mod delegate;
mod doctor;
pub mod error;
pub mod fault;
mod gates;
mod gc;
mod identity;
mod install;
mod ipam;
mod journal;
mod lock;
mod log;
mod plugin;
mod policy;
mod record;
mod release;
pub mod request;
pub mod result;
mod status;
pub mod version;
mod wire;
mod wishes;

pub use doctor::{DoctorOptions, doctor};
pub use error::{Code, Failure};
pub use install::{InstallOptions, install};
pub use ipam::run_ipam;
pub use plugin::{run_plugin, run_plugin_with};
pub use version::SpecVersion;
