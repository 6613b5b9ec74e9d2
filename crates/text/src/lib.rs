//! Text in and text out: the only crate that knows YAML, JSON, tables and Go templates.
//!
//! In: [`read`] turns YAML and JSON into a [`tree`], every node with its place in the source.
//! Out: [`value`] is what a document looks like before writing; [`json`], [`yaml`] and [`table`] write the
//! bytes that upstream's programs write. Nothing here knows what a document means.

pub mod go_fmt;
pub mod json;
pub mod read;
pub mod table;
pub mod template;
pub mod tree;
pub mod value;
pub mod yaml;
