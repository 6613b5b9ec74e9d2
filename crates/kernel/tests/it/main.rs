//! The crate against a real kernel, on throw-away hosts for which nobody needs to be root.

mod isolated;
mod rtnetlink;
