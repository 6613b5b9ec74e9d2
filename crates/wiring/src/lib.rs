//! Makes and unmakes one workload interface, undoing on failure (`spec/cni.md` 7, 9), and owns the one table of
//! host-side settings that the agent applies too (`spec/agent.md` 7.2).
//!
//! [`attach`] makes a pair from an [`Interface`], the host's end in the namespace of [`Host`], in three netlink
//! messages; [`detach`] takes it away and collects what fails; [`inspect`] says what differs. Each calls a hook after
//! each [`Step`]: tests stop or die there, a plugin looks at its deadline there. Nothing is remembered between calls:
//! the alias of the host's end names the owner.

mod attach;
mod detach;
mod host;
mod inspect;
mod interface;
mod plan;
mod settings;
mod step;

pub use attach::{AttachError, AttachFailure, Attached, End, Holder, Undone, Warning, attach};
pub use detach::{Detach, DetachFailure, Detached, detach};
pub use host::{EnterError, Entered, Host, LiveHost};
pub use inspect::{Difference, InspectError, inspect};
pub use interface::{GATEWAY_V4, GATEWAY_V6, HOST_MAC, Interface};
pub use settings::{HOST_SETTINGS, HostSetting, Importance, Moment, Scope};
pub use step::{Interrupted, Step};
