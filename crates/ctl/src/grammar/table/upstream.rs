//! The commands that both programs have, and the top of the table.

use super::host::{AGENT, CLEANUP, CNI, DOCTOR, STATUS, TRACE};
use super::options::{CONFIG, FILENAME, HELP, NODE, ORCHESTRATOR, SCOPE, WORKLOAD, flag, valued};
use super::person::{COMPLETE, COMPLETIONS, DATASTORE, DIFF, EXPLAIN, EXPLAIN_FIELD, MAN, PLAN, VALIDATE};
use super::{Audience, CommandSpec, Entry, Form, GroupSpec, KINDS, Offer, OptionSpec, Word, Words, ipam};
use crate::grammar::build;
use margay_client::ExitCode;

/// Everything.
pub(crate) static TOP: GroupSpec = GroupSpec {
    name: "",
    audience: Audience::Everyone,
    summary: "",
    preface: "",
    usage: "[options] <command> [<args>...]",
    entries: &[
        Entry::Command(&CREATE),
        Entry::Command(&REPLACE),
        Entry::Command(&APPLY),
        Entry::Command(&DELETE),
        Entry::Command(&GET),
        Entry::Command(&CONFIG_COMMAND),
        Entry::Group(&IPAM),
        Entry::Group(&NODE_GROUP),
        Entry::Command(&VERSION),
        Entry::Command(&VALIDATE),
        Entry::Command(&DIFF),
        Entry::Command(&EXPLAIN),
        Entry::Command(&PLAN),
        Entry::Command(&EXPLAIN_FIELD),
        Entry::Group(&DATASTORE),
        Entry::Group(&AGENT),
        Entry::Command(&STATUS),
        Entry::Command(&TRACE),
        Entry::Command(&CLEANUP),
        Entry::Command(&DOCTOR),
        Entry::Group(&CNI),
        Entry::Command(&COMPLETIONS),
        Entry::Command(&COMPLETE),
        Entry::Command(&MAN),
    ],
    options: &[
        HELP,
        OptionSpec {
            default: Some("panic"),
            offer: Offer::Words(&["panic", "fatal", "error", "warn", "info", "debug"]),
            ..valued(
                Some('l'),
                "log-level",
                "<level>",
                "Set the log level (one of panic, fatal, error,\nwarn, info, debug)",
            )
        },
    ],
    summary_column: 14,
    option_column: 26,
    description: "\
The {program} command line tool is used to manage Calico network and security
policy, to view and manage endpoint configuration, and to manage a Calico
node instance.

See '{program} <command> --help' to read about a specific subcommand.",
};

/// The form of commands that take a file and no word.
pub(super) const BY_FILE: &[Form] = &[Form { words: &[], required: &["filename"], forbidden: &[] }];

/// The forms of commands that take either KIND and identifiers, or a file.
const BY_KIND_OR_FILE: &[Form] = &[
    Form {
        words: &[Word::Required("<KIND>", Offer::Words(KINDS)), Word::Optional("<NAME>", Offer::Name)],
        required: &[],
        forbidden: &["filename"],
    },
    Form { words: &[], required: &["filename"], forbidden: &["scope", "node", "orchestrator", "workload"] },
];

/// The form of commands that take options only.
pub(super) const BARE: &[Form] = &[Form { words: &[], required: &[], forbidden: &[] }];

/// What most commands have in common; each names the rest.
pub(super) const PLAIN: CommandSpec = CommandSpec {
    name: "",
    audience: Audience::Everyone,
    summary: "",
    usage: &[],
    margay_usage: None,
    words: Words::Mixed,
    options: &[],
    forms: BARE,
    description: "",
    refused: ExitCode::FAILURE,
    build: build::man,
};

static CREATE: CommandSpec = CommandSpec {
    name: "create",
    summary: "Create a resource by filename or stdin.",
    usage: &["create --filename=<FILENAME> [--skip-exists] [--config=<CONFIG>]"],
    options: &[
        HELP,
        FILENAME,
        flag(None, "skip-exists", "Count a resource that exists already as created, and leave it as it is."),
        CONFIG,
    ],
    forms: BY_FILE,
    description: "\
Creates every resource of the file or of stdin, in the order in which they
stand there. All of them are checked before the first one is written; the
first one that cannot be created ends the command, and those before it stay.

The kinds are workloadEndpoint, hostEndpoint, profile, policy, ipPool, node
and bgpPeer.",
    build: build::create,
    ..PLAIN
};

static APPLY: CommandSpec = CommandSpec {
    name: "apply",
    summary: "Apply a resource by filename or stdin.  This creates a resource\n\
              if it does not exist, and replaces a resource if it does exists.",
    usage: &["apply --filename=<FILENAME> [--config=<CONFIG>]"],
    margay_usage: Some(&["apply --filename=<FILENAME> [--dry-run] [--config=<CONFIG>]"]),
    options: &[
        HELP,
        FILENAME,
        OptionSpec {
            audience: Audience::Margay,
            ..flag(None, "dry-run", "Check everything and say what would change, but write nothing.")
        },
        CONFIG,
    ],
    forms: BY_FILE,
    description: "\
Creates the resources of the file or of stdin that do not exist, and replaces
those that do. All of them are checked before the first one is written; the
first one that cannot be written ends the command, and those before it stay.

A resource is replaced as a whole: what its document leaves out is reset.",
    build: build::apply,
    ..PLAIN
};

static REPLACE: CommandSpec = CommandSpec {
    name: "replace",
    summary: "Replace a resource by filename or stdin.",
    usage: &["replace --filename=<FILENAME> [--config=<CONFIG>]"],
    options: &[HELP, FILENAME, CONFIG],
    forms: BY_FILE,
    description: "\
Replaces every resource of the file or of stdin; each must exist. All of them
are checked before the first one is written; the first one that cannot be
replaced ends the command, and those before it stay replaced.

A resource is replaced as a whole: what its document leaves out is reset.",
    build: build::replace,
    ..PLAIN
};

static DELETE: CommandSpec = CommandSpec {
    name: "delete",
    summary: "Delete a resource identified by file, stdin or resource type and\nname.",
    usage: &["\
delete ([--scope=<SCOPE>] [--node=<NODE>] [--orchestrator=<ORCH>]
        [--workload=<WORKLOAD>] (<KIND> [<NAME>]) |
       --filename=<FILE>)
       [--skip-not-exists] [--config=<CONFIG>]"],
    options: &[
        HELP,
        flag(Some('s'), "skip-not-exists", "Count a resource that does not exist as deleted."),
        FILENAME,
        NODE,
        ORCHESTRATOR,
        WORKLOAD,
        SCOPE,
        CONFIG,
    ],
    forms: BY_KIND_OR_FILE,
    description: "\
Deletes the resources of a file or of stdin, or the one that KIND, NAME and
the identifier options name. Of a file only the identifiers count.

The kinds, in any letter case, also in the plural, and their short forms:

  workloadEndpoint (wep)   --node, --orchestrator, --workload and NAME
  hostEndpoint (hep)       --node and NAME
  profile (pro)            NAME
  policy (pol)             NAME
  ipPool (ipp, pool)       NAME is the CIDR
  node (no)                NAME
  bgpPeer (bgpp, bp)       --scope, --node for the scope node; NAME is the
                           address of the peer

An identifier that does not belong to the kind is ignored.",
    build: build::delete,
    ..PLAIN
};

static GET: CommandSpec = CommandSpec {
    name: "get",
    summary: "Get a resource identified by file, stdin or resource type and\nname.",
    usage: &["\
get ([--scope=<SCOPE>] [--node=<NODE>] [--orchestrator=<ORCH>]
     [--workload=<WORKLOAD>] (<KIND> [<NAME>]) |
    --filename=<FILENAME>)
    [--output=<OUTPUT>] [--config=<CONFIG>]"],
    margay_usage: Some(&["\
get ([--scope=<SCOPE>] [--node=<NODE>] [--orchestrator=<ORCH>]
     [--workload=<WORKLOAD>] (<KIND> [<NAME>]) |
    --filename=<FILENAME>)
    [--output=<OUTPUT>] [--watch] [--config=<CONFIG>]"]),
    options: &[
        HELP,
        FILENAME,
        OptionSpec {
            default: Some("ps"),
            offer: Offer::Words(&[
                "ps",
                "wide",
                "yaml",
                "json",
                "custom-columns=",
                "go-template=",
                "go-template-file=",
            ]),
            ..valued(
                Some('o'),
                "output",
                "<OUTPUT>",
                "Output format: ps, wide, yaml, json, custom-columns=..., go-template=... or \
                 go-template-file=...",
            )
        },
        NODE,
        ORCHESTRATOR,
        WORKLOAD,
        SCOPE,
        OptionSpec {
            audience: Audience::Margay,
            ..flag(Some('w'), "watch", "Print the resources, then every change, until interrupted.")
        },
        CONFIG,
    ],
    forms: BY_KIND_OR_FILE,
    description: "\
Prints the resources that KIND, NAME and the identifier options select, or
those that match the identifiers in a file. An identifier that is left out
matches everything; finding nothing is not an error.

The kinds, in any letter case, also in the plural, and their short forms:

  workloadEndpoint (wep)   --node, --orchestrator, --workload and NAME
  hostEndpoint (hep)       --node and NAME
  profile (pro)            NAME
  policy (pol)             NAME
  ipPool (ipp, pool)       NAME is the CIDR
  node (no)                NAME
  bgpPeer (bgpp, bp)       --scope, --node; NAME is the address of the peer

The formats of --output:

  ps                       a table of the identifiers
  wide                     a table with more columns
  yaml, json               documents that every command reads back
  custom-columns=A,B,...   a table of these columns
  go-template=TEXT         the resources through a Go template
  go-template-file=FILE    the same, the template read from a file",
    build: build::get,
    ..PLAIN
};

/// `--node` of `config`.
const CONFIG_NODE: OptionSpec =
    OptionSpec { text: "Node whose value is meant; without it the value of the whole cluster.", ..NODE };

static CONFIG_COMMAND: CommandSpec = CommandSpec {
    name: "config",
    summary: "Manage system-wide and low-level node configuration options.",
    usage: &[
        "\
config set <NAME> <VALUE> [--node=<NODE>]
                          [--raw=(bgp|felix)]
                          [--config=<CONFIG>]",
        "\
config unset <NAME> [--node=<NODE>]
                    [--raw=(bgp|felix)]
                    [--config=<CONFIG>]",
        "\
config get <NAME> [--node=<NODE>]
                  [--raw=(bgp|felix)]
                  [--config=<CONFIG>]",
    ],
    options: &[
        HELP,
        CONFIG_NODE,
        OptionSpec {
            offer: Offer::Words(&["bgp", "felix"]),
            ..valued(
                None,
                "raw",
                "(bgp|felix)",
                "Take NAME as a parameter of this component, and any VALUE without a check.",
            )
        },
        CONFIG,
    ],
    forms: &[
        Form {
            words: &[
                Word::Literal("set"),
                Word::Required("<NAME>", CONFIG_NAMES),
                Word::Required("<VALUE>", Offer::Nothing),
            ],
            required: &[],
            forbidden: &[],
        },
        Form {
            words: &[Word::Literal("unset"), Word::Required("<NAME>", CONFIG_NAMES)],
            required: &[],
            forbidden: &[],
        },
        Form {
            words: &[Word::Literal("get"), Word::Required("<NAME>", CONFIG_NAMES)],
            required: &[],
            forbidden: &[],
        },
    ],
    description: "\
Sets, removes or prints a setting of the cluster or of one node.

  logLevel         none, debug, info, warning, error, critical; also per node
  nodeToNodeMesh   on or off: do all nodes peer with each other over BGP
  asNumber         the AS number of nodes that have none of their own
  ipip             on or off: IP-in-IP on all nodes",
    build: build::config,
    ..PLAIN
};

/// What completions offer for NAME of `config`.
const CONFIG_NAMES: Offer = Offer::Words(&["logLevel", "nodeToNodeMesh", "asNumber", "ipip"]);

static IPAM: GroupSpec = GroupSpec {
    name: "ipam",
    audience: Audience::Everyone,
    summary: "IP address management.",
    preface: "\
Set the Calico datastore access information in the environment variables or
or supply details in a config file.
",
    usage: "ipam <command> [<args>...]",
    entries: &[
        Entry::Command(&IPAM_RELEASE),
        Entry::Command(&IPAM_SHOW),
        Entry::Command(&ipam::RELEASE),
        Entry::Command(&ipam::SHOW),
        Entry::Command(&ipam::CHECK),
    ],
    options: &[HELP],
    summary_column: 17,
    option_column: 17,
    description: "\
IP Address Management specific commands for {program}.

See '{program} ipam <command> --help' to read about a specific subcommand.",
};

/// The form of the commands about one address.
const BY_ADDRESS: &[Form] = &[Form { words: &[], required: &["ip"], forbidden: &[] }];

static IPAM_RELEASE: CommandSpec = CommandSpec {
    name: "release",
    audience: Audience::Calicoctl,
    summary: "Release a Calico assigned IP address.",
    usage: &["ipam release --ip=<IP> [--config=<CONFIG>]"],
    options: &[HELP, valued(None, "ip", "<IP>", "The address to release."), CONFIG],
    forms: BY_ADDRESS,
    description: "\
Gives an assigned address back to its pool. Meant for addresses that nothing
uses any more: endpoints that still have the address are not touched.",
    build: build::ipam_release,
    ..PLAIN
};

static IPAM_SHOW: CommandSpec = CommandSpec {
    name: "show",
    audience: Audience::Calicoctl,
    summary: "Show details of a Calico assigned IP address.",
    usage: &["ipam show --ip=<IP> [--config=<CONFIG>]"],
    options: &[HELP, valued(None, "ip", "<IP>", "The address to look up."), CONFIG],
    forms: BY_ADDRESS,
    description: "\
Prints what was noted when the address was assigned, if it is.",
    build: build::ipam_show,
    ..PLAIN
};

static NODE_GROUP: GroupSpec = GroupSpec {
    name: "node",
    audience: Audience::Everyone,
    summary: "Calico node management.",
    preface: "\
Set the Calico datastore access information in the environment variables or
supply details in a config file.
",
    usage: "node <command> [<args>...]",
    entries: &[
        Entry::Command(&NODE_RUN),
        Entry::Command(&NODE_STATUS),
        Entry::Command(&NODE_DIAGS),
        Entry::Command(&NODE_CHECKSYSTEM),
    ],
    options: &[HELP],
    summary_column: 17,
    option_column: 17,
    description: "\
Commands about the Calico node on this machine. They run on Linux only.

See '{program} node <command> --help' to read about a specific subcommand.",
};

/// The directory of the logs on the host.
const LOG_DIR: OptionSpec = OptionSpec {
    default: Some("/var/log/calico"),
    offer: Offer::File,
    ..valued(None, "log-dir", "<LOG_DIR>", "Directory of the Calico logs.")
};

/// The ways to find an address.
const AUTODETECTION: Offer = Offer::Words(&["first-found", "can-reach=", "interface=", "skip-interface="]);

static NODE_RUN: CommandSpec = CommandSpec {
    name: "run",
    summary: "Run the Calico node container image.",
    usage: &["\
node run [--ip=<IP>] [--ip6=<IP6>] [--as=<AS_NUM>]
         [--name=<NAME>]
         [--ip-autodetection-method=<IP_AUTODETECTION_METHOD>]
         [--ip6-autodetection-method=<IP6_AUTODETECTION_METHOD>]
         [--log-dir=<LOG_DIR>]
         [--node-image=<DOCKER_IMAGE_NAME>]
         [--backend=(bird|gobgp|none)]
         [--config=<CONFIG>]
         [--no-default-ippools]
         [--dryrun]
         [--init-system]
         [--disable-docker-networking]
         [--docker-networking-ifprefix=<IFPREFIX>]
         [--use-docker-networking-container-labels]"],
    options: &[
        HELP,
        valued(None, "name", "<NAME>", "Name of the node; the host name if left out."),
        valued(
            None,
            "as",
            "<AS_NUM>",
            "AS number of the node, plain or dotted. If left out, that of the node resource, then that of the \
             cluster.",
        ),
        OptionSpec {
            offer: Offer::Words(&["autodetect"]),
            ..valued(
                None,
                "ip",
                "<IP>",
                "IPv4 address that the node routes with, or 'autodetect' to look for one at every start. If left \
                 out, that of the node resource; without one, it is looked for once.",
            )
        },
        OptionSpec {
            offer: Offer::Words(&["autodetect"]),
            ..valued(
                None,
                "ip6",
                "<IP6>",
                "IPv6 address that the node routes with, or 'autodetect'. If left out, that of the node resource; \
                 without one, IPv6 is not routed.",
            )
        },
        OptionSpec {
            default: Some("first-found"),
            offer: AUTODETECTION,
            ..valued(
                None,
                "ip-autodetection-method",
                "<IP_AUTODETECTION_METHOD>",
                "How to look for the IPv4 address: first-found, can-reach=DESTINATION, interface=REGEX,... or \
                 skip-interface=REGEX,...",
            )
        },
        OptionSpec {
            default: Some("first-found"),
            offer: AUTODETECTION,
            ..valued(
                None,
                "ip6-autodetection-method",
                "<IP6_AUTODETECTION_METHOD>",
                "How to look for the IPv6 address; the same methods.",
            )
        },
        LOG_DIR,
        OptionSpec {
            default: Some("quay.io/calico/node:latest"),
            ..valued(None, "node-image", "<DOCKER_IMAGE_NAME>", "Image of the container.")
        },
        OptionSpec {
            default: Some("bird"),
            offer: Offer::Words(&["bird", "gobgp", "none"]),
            ..valued(
                None,
                "backend",
                "(bird|gobgp|none)",
                "What distributes routes; with none the node only enforces policy.",
            )
        },
        flag(None, "dryrun", "Print the command that would run, and run nothing."),
        flag(None, "init-system", "Run the container in the way that suits an init system."),
        flag(
            None,
            "no-default-ippools",
            "Do not create the default pools. Without this they are created if there is no pool at all.",
        ),
        flag(None, "disable-docker-networking", "Leave the networks of Docker alone."),
        OptionSpec {
            default: Some("cali"),
            ..valued(
                None,
                "docker-networking-ifprefix",
                "<IFPREFIX>",
                "Prefix of the interface names inside containers on a Docker network.",
            )
        },
        flag(
            None,
            "use-docker-networking-container-labels",
            "Select the policy of Docker containers by their labels instead of by profiles.",
        ),
        CONFIG,
    ],
    forms: BARE,
    description: "\
Starts the calico/node container, which gives this machine networking and
network policy. Needs Docker and, unless --dryrun is given, root.",
    build: build::node_run,
    ..PLAIN
};

static NODE_STATUS: CommandSpec = CommandSpec {
    name: "status",
    summary: "View the current status of a Calico node.",
    usage: &["node status"],
    options: &[HELP],
    description: "\
Tells whether the Calico node on this machine runs, and how its BGP sessions
are. Needs root.",
    build: build::node_status,
    ..PLAIN
};

static NODE_DIAGS: CommandSpec = CommandSpec {
    name: "diags",
    summary: "Gather a diagnostics bundle for a Calico node.",
    usage: &["node diags [--log-dir=<LOG_DIR>]"],
    options: &[HELP, LOG_DIR],
    description: "\
Packs what helps to find a fault of the node on this machine into one file:
routes, interfaces, packet filter rules, sets and logs. Passwords, tokens and
private keys are masked. Needs root.",
    build: build::node_diags,
    ..PLAIN
};

static NODE_CHECKSYSTEM: CommandSpec = CommandSpec {
    name: "checksystem",
    summary: "Verify the compute host is able to run a Calico node instance.",
    usage: &["node checksystem"],
    options: &[HELP],
    description: "\
Checks whether the kernel of this machine is recent enough and has the modules
that a Calico node needs. Needs root.",
    build: build::node_checksystem,
    ..PLAIN
};

static VERSION: CommandSpec = CommandSpec {
    name: "version",
    summary: "Display the version of {program}.",
    usage: &["version [--config=<CONFIG>]"],
    options: &[HELP, CONFIG],
    description: "\
Prints the version of this program, and the version and type of the cluster as
they are noted in the datastore.",
    build: build::version,
    ..PLAIN
};
