//! The documents: v1 resources, how they are read, checked, printed, and what of them stands in a datastore.
//!
//! [`document::load`] turns bytes into [`Resource`]s or into every fault they hold, each with its place.
//! [`key::Key`] names what a datastore holds, [`codec`] turns resources into its values and back.
//! One field table per record ([`record::RecordSchema`]) drives decoding, printing, `explain-field` and the reference.

pub mod codec;
pub mod decode;
pub mod document;
pub mod key;
pub mod kind;
pub mod pattern;
pub mod record;
pub mod resource;
mod scalars;
pub mod v1;
pub mod validate;

pub use document::{Fault, Loaded, Refusal};
pub use key::Key;
pub use kind::{Kind, Verb};
pub use resource::{Filter, Identity, Resource};
