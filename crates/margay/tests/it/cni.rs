//! The CNI plugin as runtimes start it: the real executable, in namespaces of the test's own.

pub(crate) mod compare;
mod faults;
pub(crate) mod host;
mod sessions;
pub(crate) mod store;
