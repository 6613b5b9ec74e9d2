//! The specification's cases, upstream's recorded worlds and random worlds, in the evaluator and through the intents.

mod cases;
mod criteria;
mod interpreter;
mod lab;
mod random;
mod scratch;
mod worlds;
