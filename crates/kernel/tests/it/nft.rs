//! nftables: one suite for the kernel and the fake, every shape of rule read back by the `nft` tool, notifications.

mod build;
mod listing;
mod others;
mod random;
mod shapes;
mod suite;
mod tool;
