//! The crate against a real kernel, on throw-away hosts for which nobody needs to be root.

mod conntrack;
mod isolated;
mod lockstep;
mod namespace;
mod nft;
mod rtnetlink;
