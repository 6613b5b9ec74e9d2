//! The synchronous netlink socket, and reading and writing of messages: what every kernel protocol here shares.
//!
//! One request is one `send`; the kernel works inside of it, so its answer waits in the receive queue when `send`
//! returns. Every receive has a deadline all the same. Replies are foreign bytes: reading them never panics.

mod read;
mod socket;
mod write;

pub(crate) use read::{Attributes, Message, Messages, be32, be64, ne16, ne32, text};
pub use socket::SocketError;
pub(crate) use socket::{Protocol, Socket};
pub(crate) use write::{Buffer, OpenMessage};

/// `NLM_F_REQUEST`.
pub(crate) const REQUEST: u16 = 0x01;
/// `NLM_F_ACK`.
pub(crate) const ACK: u16 = 0x04;
/// `NLM_F_DUMP` (`NLM_F_ROOT | NLM_F_MATCH`).
pub(crate) const DUMP: u16 = 0x300;
/// `NLM_F_EXCL`.
pub(crate) const EXCL: u16 = 0x200;
/// `NLM_F_CREATE`.
pub(crate) const CREATE: u16 = 0x400;
/// `NLM_F_APPEND`.
pub(crate) const APPEND: u16 = 0x800;
/// `NLM_F_DUMP_INTR`, set by the kernel when what it dumps changed meanwhile.
pub(crate) const DUMP_INTR: u16 = 0x10;

/// `NLMSG_ERROR`: an error, or with errno 0 an acknowledgement.
pub(crate) const ERROR: u16 = 2;
/// `NLMSG_DONE`: the end of a dump.
pub(crate) const DONE: u16 = 3;

#[cfg(test)]
mod tests;
