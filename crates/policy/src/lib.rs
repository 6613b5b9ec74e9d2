//! The calculation: datastore changes in, intents out; and the evaluator "may A talk to B, and which rule says so".

pub mod compile;
pub mod evaluate;
pub mod record;
