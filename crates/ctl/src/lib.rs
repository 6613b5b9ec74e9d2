//! `calicoctl`, and the person's commands of `margay`: argument grammar, files, printing.
//!
//! Everything a program may touch comes in through [`Invocation`], so every recorded case also runs in-process.
//! [`run`] is the whole program. What scripts match goes to stdout and is upstream's; everything we add goes to stderr.

pub(crate) mod bird;
mod config;
mod get;
pub(crate) mod grammar;
pub(crate) mod help;
mod input;
mod ipam;
pub(crate) mod node;
mod output;
mod person;
mod report;
mod resources;
mod run;
mod session;
mod version;

pub use grammar::{HostCommand, Program};
pub use margay_client::{ExitCode, Invocation};
pub use run::{RunHost, run, run_on_memory};
