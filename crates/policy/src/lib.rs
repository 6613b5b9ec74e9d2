//! The calculation: datastore changes in, intents out; and the evaluator "may A talk to B, and which rule says so".

pub mod calculate;
pub mod compile;
pub mod evaluate;
pub mod explain;
pub mod record;

pub use calculate::{Calculator, Options, Statistics};
