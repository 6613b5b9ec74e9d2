//! The dataplane as the agent drives it: on the kernel of a throw-away host, and on fakes of everything.

mod isolated;
mod live;
mod packets;
mod world;
