//! The real executable, under the names it is installed as.

mod commands;
mod conformance;
mod interrupted;
mod person;
mod stages;
