//! Makes and unmakes one workload interface, undoing on failure.
