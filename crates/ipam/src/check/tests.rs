//! Snapshots with something wrong in them, and what is said about it.
