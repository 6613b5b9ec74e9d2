//! The real executable, under the names it is installed as.

mod adversary;
mod adversary_chaos;
mod adversary_faults;
mod adversary_giants;
mod adversary_person;
mod adversary_spoof;
mod agent;
mod cases;
mod cni;
mod commands;
mod conformance;
mod explain;
mod host;
mod interrupted;
mod person;
mod stages;
mod worlds;
