//! The CNI plugin as runtimes start it: the real executable, in namespaces of the test's own.

mod bench;
mod compare;
mod faults;
mod host;
mod runtimes;
mod sessions;
mod store;
mod upstream;
mod verbs;
