//! Making and unmaking interfaces on a fake host, where every answer can go wrong, and on a real one.

mod fake;
mod live;
