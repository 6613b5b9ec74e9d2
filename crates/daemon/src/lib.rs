//! What every long-running program needs once: logs, metrics page, health by progress, signals, named tasks, HTTP pages.
//!
//! Nothing here knows what the program does. [`log`] is a `tracing` layer with Felix's line shape, [`metrics`] a
//! registry with Felix's page, [`health`] judges by progress and not by the clock alone, [`http`] serves small pages
//! that no stalled peer can block, [`stop`] and [`tasks`] end everything in order, [`notify`] tells systemd.

pub mod health;
pub mod http;
pub mod log;
pub mod metrics;
pub mod notify;
pub mod signals;
pub mod stop;
pub mod tasks;

pub use health::{Health, Reporter};
pub use stop::Stop;
