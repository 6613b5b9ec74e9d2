//! The documents, from bytes to datastore values and back.

mod codec;
mod documents;
mod faults;
mod generate;
mod round_trip;
