//! The CNI plugin and the CNI IPAM plugin.
