//! The commands of `margay` that work on this host: the agent's and those of the CNI plugin. Other crates run them.

use super::options::{HELP, flag, valued};
use super::upstream::{BARE, PLAIN};
use super::{Audience, CommandSpec, Entry, Form, GroupSpec, Offer, OptionSpec};
use crate::grammar::build;

const OUTPUT: OptionSpec = OptionSpec {
    offer: Offer::Words(&["json"]),
    ..valued(Some('o'), "output", "<OUTPUT>", "Print \"json\" instead of text.")
};

const CONFIG_FILE: OptionSpec = OptionSpec {
    default: Some("/etc/calico/felix.cfg"),
    offer: Offer::File,
    ..valued(Some('c'), "config-file", "<FILE>", "File with the agent's parameters.")
};

pub(super) static AGENT: GroupSpec = GroupSpec {
    name: "agent",
    audience: Audience::Margay,
    summary: "Run this host's agent, or show its parameters.",
    preface: "",
    usage: "agent <command> [<args>...]",
    entries: &[Entry::Command(&AGENT_RUN), Entry::Command(&AGENT_CONFIG)],
    options: &[HELP],
    summary_column: 17,
    option_column: 17,
    description: "\
The agent keeps policy and routes of this host as the datastore asks for. It
is also called calico-felix.

See '{program} agent <command> --help' to read about a specific subcommand.",
};

static AGENT_RUN: CommandSpec = CommandSpec {
    name: "run",
    summary: "Run the agent until it is told to stop.",
    usage: &["agent run [--config-file=<FILE>]"],
    options: &[HELP, CONFIG_FILE],
    forms: BARE,
    description: "\
Does what calico-felix does: parameters come from FELIX_... variables, the
file and the datastore. Stopping leaves all rules and routes in place.",
    build: build::agent_run,
    ..PLAIN
};

static AGENT_CONFIG: CommandSpec = CommandSpec {
    name: "config",
    summary: "Print the agent's parameters.",
    usage: &["agent config [--explain] [--config-file=<FILE>]"],
    options: &[
        HELP,
        flag(None, "explain", "Say of each what it does and where its value is from."),
        CONFIG_FILE,
    ],
    forms: BARE,
    description: "Prints every parameter with the value that the agent would use.",
    build: build::agent_config,
    ..PLAIN
};

pub(super) static STATUS: CommandSpec = CommandSpec {
    name: "status",
    audience: Audience::Margay,
    summary: "Show what this host's agent enforces, and whether it is well.",
    usage: &["status [--wait=<TIME>] [--output=<OUTPUT>]"],
    options: &[
        HELP,
        valued(None, "wait", "<TIME>", "How long to wait until the agent is well: 60s, 2m."),
        OUTPUT,
    ],
    forms: BARE,
    description: "\
Asks the running agent. Exits 0 when everything that the datastore asks for is
in the kernel, 1 when something is not, 2 when there is no agent to ask.",
    build: build::status,
    ..PLAIN
};

pub(super) static TRACE: CommandSpec = CommandSpec {
    name: "trace",
    audience: Audience::Margay,
    summary: "Show packets that policy drops on this host, as they come.",
    usage: &["trace --dropped [--seconds=<SECONDS>] [--output=<OUTPUT>]"],
    options: &[
        HELP,
        flag(None, "dropped", "Show dropped packets."),
        OptionSpec { default: Some("30"), ..valued(None, "seconds", "<SECONDS>", "How long to watch.") },
        OUTPUT,
    ],
    forms: &[Form { words: &[], required: &["dropped"], forbidden: &[] }],
    description: "\
Names the endpoint and the rule of each drop. Ends by itself and leaves
nothing behind.",
    build: build::trace,
    ..PLAIN
};

pub(super) static CLEANUP: CommandSpec = CommandSpec {
    name: "cleanup",
    audience: Audience::Margay,
    summary: "Remove the agent's rules and routes from this host.",
    usage: &["cleanup [--felix]"],
    options: &[HELP, flag(None, "felix", "Remove what upstream's agent left, too.")],
    forms: BARE,
    description: "\
Stop the agent first. Workloads are reachable afterwards as the host's own
rules allow.",
    build: build::cleanup,
    ..PLAIN
};

pub(super) static DOCTOR: CommandSpec = CommandSpec {
    name: "doctor",
    audience: Audience::Margay,
    summary: "Check whether this host can run workloads.",
    usage: &["doctor [--output=<OUTPUT>]"],
    options: &[HELP, OUTPUT],
    forms: BARE,
    description: "\
Looks at the kernel, sysctls, foreign firewall rules, CNI directories, the
datastore, pools and routes. Says of each finding why it matters and which
command mends it. Exits 0 when nothing is wrong, 1 otherwise.",
    build: build::doctor,
    ..PLAIN
};

pub(super) static CNI: GroupSpec = GroupSpec {
    name: "cni",
    audience: Audience::Margay,
    summary: "Put the CNI plugin in place.",
    preface: "",
    usage: "cni <command> [<args>...]",
    entries: &[Entry::Command(&CNI_INSTALL)],
    options: &[HELP],
    summary_column: 17,
    option_column: 17,
    description: "\
Works on the directories in which a container runtime looks for plugins.

See '{program} cni <command> --help' to read about a specific subcommand.",
};

static CNI_INSTALL: CommandSpec = CommandSpec {
    name: "install",
    summary: "Install the plugins and a network configuration.",
    usage: &["cni install --bin-dir=<DIR> --conf-dir=<DIR>"],
    options: &[
        HELP,
        OptionSpec {
            offer: Offer::File,
            ..valued(None, "bin-dir", "<DIR>", "Where the runtime looks for plugins: /opt/cni/bin.")
        },
        OptionSpec {
            offer: Offer::File,
            ..valued(None, "conf-dir", "<DIR>", "Where it looks for configurations: /etc/cni/net.d.")
        },
    ],
    forms: &[Form { words: &[], required: &["bin-dir", "conf-dir"], forbidden: &[] }],
    description: "\
Each file is replaced whole or not at all. The configuration comes from the
variables that upstream's installer reads.",
    build: build::cni_install,
    ..PLAIN
};
