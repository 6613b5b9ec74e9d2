//! What must hold for the tree itself: who imports whom, licences, sizes, examples, generated pages, differences.

mod compat;
mod differences;
mod examples;
mod graph;
mod metadata;
mod pages;
mod sources;
