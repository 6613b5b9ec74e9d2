//! The specification's cases, upstream's recorded worlds and random worlds, in the evaluator and through the intents.

mod cases;
mod lab;
mod worlds;
