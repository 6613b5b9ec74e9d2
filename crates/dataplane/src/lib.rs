//! Renders intents to nftables objects and routes, and reconciles them with the kernel.
