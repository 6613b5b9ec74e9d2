//! The small types everyone shares: addresses, networks, MACs, ports, protocols, AS numbers, interfaces.
//! Each is parsed once, at the edge, and cannot hold a wrong value afterwards.
//! The error texts are part of the command line's contract (`spec/api-v1.md` 2). No I/O here.

mod as_number;
mod cidr;
mod decimal;
mod interface;
pub mod ip;
mod mac;
mod port;
mod protocol;

pub use as_number::{AsNumber, ParseAsNumberError};
pub use cidr::{Cidr, ParseCidrError, ParseStrictCidrError};
pub use interface::{IfIndex, IfName, ParseIfNameError};
pub use ip::{Ip, IpVersion, ParseIpError};
pub use mac::{Mac, ParseMacError};
pub use port::{ParsePortError, Port};
pub use protocol::Protocol;
