//! The agent of a node: parameters, store, policy, dataplane, status.
//!
//! ```text
//!  datastore ─► feed ─► calculation ─► mailbox ─► programming ─► kernel
//!               (task)     (thread)                 (thread)
//!     ▲           │                                    │
//!     │           ▼                                    ▼
//!     └ reports ◄──────────────── board ◄──────────────┘ ─► metrics, health, `margay status`
//! ```
//!
//! [`run`] is `calico-felix`. A current-thread runtime holds everything that waits for others; the calculation and the
//! dataplane have a thread each and never wait for one another. [`parameters`] is the one table of what can be set.

mod arguments;
mod board;
mod calculation;
mod commands;
mod driver;
mod endpoint_files;
mod feed;
mod instruments;
mod intake;
mod live;
mod mailbox;
pub mod parameters;
mod programming;
mod reports;
mod run;
mod settings;
mod source;
mod status;

pub use arguments::run;
pub use commands::{
    CONFIG_FILE, CleanupOptions, ConfigOptions, StatusOptions, TraceOptions, cleanup, config, plan, status,
    trace_dropped,
};
pub use margay_daemon::log::Format as LogFormat;
pub use run::{RunOptions, run_with};

/// The version of this build.
pub(crate) const VERSION: &str = concat!("v", env!("CARGO_PKG_VERSION"));
