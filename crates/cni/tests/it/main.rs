//! The plugin in this process, with a Kubernetes cluster that is a fake: what the executable cannot have yet.

mod pods;
