//! The stores of this crate under the shared suites.

mod memory;
