//! The agent of a node: parameters, store, policy, dataplane, status.

pub mod parameters;
