//! The real executable, under the names it is installed as.

mod agent;
mod cni;
mod commands;
mod conformance;
mod explain;
mod interrupted;
mod person;
mod stages;
