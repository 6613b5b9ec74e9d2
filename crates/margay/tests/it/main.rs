//! The real executable, under the names it is installed as.

mod conformance;
mod person;
mod stages;
