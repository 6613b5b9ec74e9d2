//! What every program calls: its [`Invocation`]; the datastore that file and environment name, and typed, validated operations on it.
//!
//! [`Settings`] says which datastore and how to reach it, [`open`] makes an [`AnyStore`] of them, [`Client`] works
//! with it: resources, configuration values, records. [`transfer`] moves a whole datastore.

pub mod any;
pub mod client;
pub mod config;
mod invocation;
pub mod secret;
pub mod settings;
pub mod transfer;

pub use any::{AnyKv, AnyStore, OpenError, open, open_briefly, open_existing};
pub use client::{Client, ClientError, NameSource, Outcome, Skip};
pub use config::ConfigError;
pub use invocation::{ExitCode, Invocation};
pub use secret::Secret;
pub use settings::{
    DatastoreKind, EtcdSettings, KubernetesSettings, Origin, Settings, SettingsError, Sources,
};
