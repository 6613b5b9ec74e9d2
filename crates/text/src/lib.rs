//! Text in and text out: the only crate that knows YAML, JSON, tables and Go templates.
//!
//! In: [`tree`] is what a document looks like after reading, every node with its place in the source.
//! Out: [`value`] is what a document looks like before writing; [`json`], [`yaml`] and [`table`] write the
//! bytes that upstream's programs write. Nothing here knows what a document means.

pub mod template;
pub mod tree;
pub mod value;
