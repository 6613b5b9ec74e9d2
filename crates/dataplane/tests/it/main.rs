//! The dataplane as the agent drives it: on the kernel of a throw-away host, and on fakes of everything.

mod fake;
mod host;
mod isolated;
mod live;
mod packets;
mod walk;
mod world;
