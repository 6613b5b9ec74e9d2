//! Everything said to Linux: rtnetlink, nftables batches, conntrack, namespaces, sysctls; and a fake of it.

mod netlink;

pub use netlink::SocketError;
