//! Options that several commands share.

use super::{Audience, Offer, OptionSpec};
use crate::grammar::command::ConfigPath;

/// A flag.
pub(super) const fn flag(short: Option<char>, long: &'static str, text: &'static str) -> OptionSpec {
    OptionSpec {
        short,
        long,
        value: None,
        default: None,
        text,
        audience: Audience::Everyone,
        offer: Offer::Nothing,
        repeats: false,
    }
}

/// An option with a value.
pub(super) const fn valued(
    short: Option<char>,
    long: &'static str,
    value: &'static str,
    text: &'static str,
) -> OptionSpec {
    OptionSpec { value: Some(value), ..flag(short, long, text) }
}

pub(super) const HELP: OptionSpec = flag(Some('h'), "help", "Show this screen.");

pub(super) const CONFIG: OptionSpec = OptionSpec {
    default: Some(ConfigPath::DEFAULT),
    offer: Offer::File,
    ..valued(
        Some('c'),
        "config",
        "<CONFIG>",
        "File with the connection settings, YAML or JSON. If it exists, no environment variable is looked at.",
    )
};

pub(super) const FILENAME: OptionSpec = OptionSpec {
    offer: Offer::File,
    ..valued(Some('f'), "filename", "<FILENAME>", "File with the resources, YAML or JSON; \"-\" reads stdin.")
};

pub(super) const NODE: OptionSpec = OptionSpec {
    offer: Offer::Node,
    ..valued(
        Some('n'),
        "node",
        "<NODE>",
        "Node of the resource: its host name, unless the node was given another name.",
    )
};

pub(super) const ORCHESTRATOR: OptionSpec = OptionSpec {
    offer: Offer::Words(&["k8s", "libnetwork", "openstack", "cni"]),
    ..valued(None, "orchestrator", "<ORCH>", "Orchestrator of a workload endpoint.")
};

pub(super) const WORKLOAD: OptionSpec =
    valued(None, "workload", "<WORKLOAD>", "Workload of a workload endpoint.");

pub(super) const SCOPE: OptionSpec = OptionSpec {
    offer: Offer::Words(&["global", "node"]),
    ..valued(None, "scope", "<SCOPE>", "Scope of a BGP peer: global, or node for a peer of one node.")
};
