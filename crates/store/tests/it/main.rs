//! The stores of this crate under the shared suites.

mod flat;
mod memory;
