//! The commands that only `margay` has: made for people, so their output is ours to choose.

pub(crate) mod complete;
pub(crate) mod diff;
pub(crate) mod explain;
mod lines;
pub(crate) mod plan;
pub(crate) mod policy_explain;
pub(crate) mod transfer;
pub(crate) mod validate;
pub(crate) mod watch;
