//! Label selectors: parsed once, printed in one canonical form, named by a stable id, evaluated fast.
//! Language, canonical form and ids are those of `spec/api-v1.md` 10; they are a contract with every
//! other reader of the datastore. Nothing here recurses, so no selector can exhaust a stack.

mod error;
mod expr;
mod hint;
mod id;
mod labels;
mod parse;
mod selector;
mod token;

pub use error::{Expected, Found, ParseError};
pub use expr::{Expr, Operand, Operands};
pub use id::SelectorId;
pub use labels::Labels;
pub use parse::MAX_NESTING;
pub use selector::Selector;
