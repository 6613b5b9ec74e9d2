//! `calicoctl`, and the person's commands of `margay`: argument grammar, files, printing.
//!
//! Everything a program may touch comes in through [`Invocation`], so every recorded case also runs in-process.

pub(crate) mod bird;
pub(crate) mod grammar;
pub(crate) mod help;
pub mod invocation;
pub(crate) mod node;
pub use invocation::{ExitCode, Invocation};
