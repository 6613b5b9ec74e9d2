//! The commands that `margay` has beyond upstream's.

use super::options::{CONFIG, FILENAME, HELP, valued};
use super::upstream::{BARE, BY_FILE, PLAIN};
use super::{Audience, CommandSpec, Entry, Form, GroupSpec, KINDS, Offer, OptionSpec, Word, Words};
use crate::grammar::build;
use crate::grammar::command::Shell;
use margay_client::ExitCode;

pub(super) static VALIDATE: CommandSpec = CommandSpec {
    name: "validate",
    audience: Audience::Margay,
    summary: "Check the resources of a file or stdin without writing anything.",
    usage: &["validate --filename=<FILENAME> [--config=<CONFIG>]"],
    options: &[HELP, FILENAME, CONFIG],
    forms: BY_FILE,
    description: "\
Reads and checks every resource and names all faults, each with its place in
the file. Nothing is written.",
    build: build::validate,
    ..PLAIN
};

pub(super) static DIFF: CommandSpec = CommandSpec {
    name: "diff",
    audience: Audience::Margay,
    summary: "Show what apply would change.",
    usage: &["diff --filename=<FILENAME> [--config=<CONFIG>]"],
    options: &[HELP, FILENAME, CONFIG],
    forms: BY_FILE,
    description: "\
Compares the resources of a file or stdin with those in the datastore and
prints what apply would change. Nothing is written.",
    build: build::diff,
    ..PLAIN
};

const FILENAMES: OptionSpec = OptionSpec { repeats: true, ..FILENAME };

const OUTPUT: OptionSpec = OptionSpec {
    offer: Offer::Words(&["json"]),
    ..valued(Some('o'), "output", "<OUTPUT>", "Print \"json\" instead of text.")
};

pub(super) static EXPLAIN: CommandSpec = CommandSpec {
    name: "explain",
    audience: Audience::Margay,
    summary: "Say whether one endpoint may talk to another, and which rule decides.",
    usage: &["explain <FROM> <TO> [--protocol=<PROTOCOL>] [--port=<PORT>]\n        \
              [--filename=<FILENAME>]... [--output=<OUTPUT>]\n        [--config=<CONFIG>]"],
    options: &[
        HELP,
        OptionSpec {
            default: Some("tcp"),
            offer: Offer::Words(&["tcp", "udp", "icmp", "icmpv6", "sctp", "udplite"]),
            ..valued(Some('p'), "protocol", "<PROTOCOL>", "Protocol: tcp, udp, icmp, ... or a number.")
        },
        valued(None, "port", "<PORT>", "Destination port; without one the answer is about every port."),
        OptionSpec {
            text: "File with the resources, instead of the datastore; \"-\" reads stdin. Can be given several times.",
            ..FILENAMES
        },
        OUTPUT,
        CONFIG,
    ],
    forms: &[Form {
        words: &[Word::Required("<FROM>", Offer::Endpoint), Word::Required("<TO>", Offer::Endpoint)],
        required: &[],
        forbidden: &[],
    }],
    description: "\
FROM and TO are endpoints, NODE/ORCHESTRATOR/WORKLOAD/NAME or NODE/NAME for a
host endpoint, or any part of that which only one endpoint has, or addresses.
The question is about a new connection; ICMP is a ping. Egress is judged on
the source's host, ingress on the destination's. Agents are taken to have the
parameters that the datastore gives them.

Without --port the verdict is allow when every port is allowed; if only some
are, it is deny, and they are named.

Exits 0 when it is allowed, 1 when it is denied, 2 when that cannot be told.

  {program} explain shop.cart-0 shop.db-0 --protocol tcp --port 5432
  {program} explain 198.51.100.7 shop.cart-0 -f endpoints.yaml -f policy.yaml",
    refused: ExitCode(2),
    build: build::explain,
    ..PLAIN
};

pub(super) static PLAN: CommandSpec = CommandSpec {
    name: "plan",
    audience: Audience::Margay,
    summary: "Show what a file would open or close, or what the agent would change.",
    usage: &["plan --filename=<FILENAME>... [--output=<OUTPUT>] [--config=<CONFIG>]", "plan"],
    options: &[
        HELP,
        OptionSpec {
            text: "File with the resources, YAML or JSON; \"-\" reads stdin. Can be given several times.",
            ..FILENAMES
        },
        OUTPUT,
        CONFIG,
    ],
    forms: &[
        Form { words: &[], required: &["filename"], forbidden: &[] },
        Form { words: &[], required: &[], forbidden: &["filename", "output", "config"] },
    ],
    description: "\
With a file: compares what policy says now with what it would say after an
apply: for every two endpoints and an address outside, for every protocol and
port that a rule names and one that none names. Endpoints that no rule tells
apart are one. Of each difference the rules that decide now and then are
printed. When there are too many flows to look at, it says so.

Without one: prints what the agent of this host would change in the kernel as
it is now, rules and routes, in lines with + and -. The datastore is that of
the agent's parameters.

Nothing is written. Exits 0 when nothing changes, 1 when something does, 2
when that cannot be told.",
    refused: ExitCode(2),
    build: build::plan,
    ..PLAIN
};

pub(super) static EXPLAIN_FIELD: CommandSpec = CommandSpec {
    name: "explain-field",
    audience: Audience::Margay,
    summary: "Explain a kind of resource, or one field of it.",
    usage: &["explain-field <PATH>"],
    options: &[HELP],
    forms: &[Form { words: &[Word::Required("<PATH>", Offer::Words(KINDS))], required: &[], forbidden: &[] }],
    description: "\
PATH is a kind, followed by the names of fields with dots between:

  {program} explain-field policy
  {program} explain-field policy.spec.ingress.action",
    build: build::explain_field,
    ..PLAIN
};

pub(super) static COMPLETIONS: CommandSpec = CommandSpec {
    name: "completions",
    audience: Audience::Margay,
    summary: "Print the script that completes command lines in a shell.",
    usage: &["completions <SHELL>"],
    options: &[HELP],
    forms: &[Form {
        words: &[Word::Required("<SHELL>", Offer::Words(Shell::NAMES))],
        required: &[],
        forbidden: &[],
    }],
    description: "\
SHELL is bash, zsh or fish. The script completes margay and calicoctl:

  bash   source <(margay completions bash)
  zsh    source <(margay completions zsh)
  fish   margay completions fish | source",
    build: build::completions,
    ..PLAIN
};

pub(super) static COMPLETE: CommandSpec = CommandSpec {
    name: "complete",
    audience: Audience::Hidden,
    summary: "Print the live names that fit a command line being typed.",
    usage: &["complete -- <WORDS>..."],
    words: Words::Verbatim,
    build: build::complete,
    ..PLAIN
};

pub(super) static MAN: CommandSpec = CommandSpec {
    name: "man",
    audience: Audience::Hidden,
    summary: "Print the man page.",
    usage: &["man"],
    options: &[HELP],
    forms: BARE,
    description: "Prints the man page in roff.",
    build: build::man,
    ..PLAIN
};

pub(super) static DATASTORE: GroupSpec = GroupSpec {
    name: "datastore",
    audience: Audience::Margay,
    summary: "Move the content of a datastore.",
    preface: "",
    usage: "datastore <command> [<args>...]",
    entries: &[Entry::Command(&EXPORT), Entry::Command(&IMPORT), Entry::Command(&COPY)],
    options: &[HELP],
    summary_column: 17,
    option_column: 17,
    description: "\
Writes a whole datastore into a file, reads such a file back, or copies one
datastore into another.

See '{program} datastore <command> --help' to read about a specific subcommand.",
};

static EXPORT: CommandSpec = CommandSpec {
    name: "export",
    summary: "Write everything into a file or stdout.",
    usage: &["datastore export [--filename=<FILENAME>] [--config=<CONFIG>]"],
    options: &[
        HELP,
        OptionSpec { default: Some("-"), text: "File to write; \"-\" writes stdout.", ..FILENAME },
        CONFIG,
    ],
    description: "Writes everything that the datastore holds, in a form that import reads back.",
    build: build::export,
    ..PLAIN
};

static IMPORT: CommandSpec = CommandSpec {
    name: "import",
    summary: "Read such a file back.",
    usage: &["datastore import --filename=<FILENAME> [--config=<CONFIG>]"],
    options: &[HELP, OptionSpec { text: "File to read; \"-\" reads stdin.", ..FILENAME }, CONFIG],
    forms: BY_FILE,
    description: "Writes everything that export wrote into the datastore.",
    build: build::import,
    ..PLAIN
};

static COPY: CommandSpec = CommandSpec {
    name: "copy",
    summary: "Copy everything from one datastore into another.",
    usage: &["datastore copy --from=<STORE> --to=<STORE>"],
    options: &[
        HELP,
        OptionSpec { offer: Offer::File, ..valued(None, "from", "<STORE>", "Datastore to read.") },
        OptionSpec { offer: Offer::File, ..valued(None, "to", "<STORE>", "Datastore to write.") },
    ],
    forms: &[Form { words: &[], required: &["from", "to"], forbidden: &[] }],
    description: "Copies every key of one datastore into another.",
    build: build::copy,
    ..PLAIN
};
