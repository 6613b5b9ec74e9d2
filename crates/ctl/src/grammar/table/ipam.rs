//! What `margay ipam` has beyond upstream's two commands.

use super::options::{CONFIG, HELP, flag, valued};
use super::upstream::PLAIN;
use super::{Audience, CommandSpec, Form, Values};
use crate::grammar::Problem;
use crate::grammar::command::{Command, ConfigPath, IpamArgs, IpamTask, IpamVerb};

type Built = Result<Command, Problem>;

/// Options that only a survey of all addresses takes.
const SURVEY: &[&str] = &["show-blocks", "by-host", "by-handle"];

pub(super) static SHOW: CommandSpec = CommandSpec {
    name: "show",
    audience: Audience::Margay,
    summary: "Show how much of the pools is used, or details of one address.",
    usage: &[
        "\
ipam show [--show-blocks] [--by-host] [--by-handle]
          [--config=<CONFIG>]",
        "ipam show --ip=<IP> [--config=<CONFIG>]",
    ],
    options: &[
        HELP,
        valued(None, "ip", "<IP>", "The address to look up."),
        flag(None, "show-blocks", "Show the blocks of each pool too."),
        flag(None, "by-host", "Show what each host owns and uses."),
        flag(None, "by-handle", "Show the addresses of each handle."),
        CONFIG,
    ],
    forms: &[
        Form { words: &[], required: &["ip"], forbidden: SURVEY },
        Form { words: &[], required: &[], forbidden: &["ip"] },
    ],
    description: "\
Prints the pools and how much of each is used, or what was noted when one
address was assigned, if it is.",
    build: show,
    ..PLAIN
};

pub(super) static RELEASE: CommandSpec = CommandSpec {
    name: "release",
    audience: Audience::Margay,
    summary: "Release an address, or all addresses of a handle.",
    usage: &["ipam release (--ip=<IP> | --handle=<HANDLE>) [--config=<CONFIG>]"],
    options: &[
        HELP,
        valued(None, "ip", "<IP>", "The address to release."),
        valued(None, "handle", "<HANDLE>", "The handle whose addresses to release."),
        CONFIG,
    ],
    forms: &[
        Form { words: &[], required: &["ip"], forbidden: &["handle"] },
        Form { words: &[], required: &["handle"], forbidden: &["ip"] },
    ],
    description: "\
Gives assigned addresses back to their pool. Meant for addresses that nothing
uses any more: endpoints that still have the address are not touched.",
    build: release,
    ..PLAIN
};

pub(super) static CHECK: CommandSpec = CommandSpec {
    name: "check",
    audience: Audience::Margay,
    summary: "Find addresses that are leaked, doubled or lost, and repair it.",
    usage: &["\
ipam check [--fix] [--dry-run] [--grace=<SECONDS>]
           [--exit-code] [--config=<CONFIG>]"],
    options: &[
        HELP,
        flag(None, "fix", "Repair what can be repaired."),
        flag(None, "dry-run", "With --fix: say what would be done, and do nothing."),
        super::OptionSpec {
            default: Some("15"),
            ..valued(
                None,
                "grace",
                "<SECONDS>",
                "With --fix: how long an address must look leaked when nobody noted when it was assigned.",
            )
        },
        flag(None, "exit-code", "Exit 1 when anything is wrong."),
        CONFIG,
    ],
    forms: &[Form { words: &[], required: &[], forbidden: &[] }],
    description: "\
Compares blocks, claims of hosts, handles and endpoints with each other. What
is wrong for a moment while a container comes or goes is not reported. Every
repair looks again and compares before it writes, so nothing needs to stop.
Look at what --fix --dry-run says first.",
    build: check,
    ..PLAIN
};

fn config(values: &Values) -> ConfigPath {
    ConfigPath(values.text_or_default("config"))
}

fn show(values: &Values) -> Built {
    if values.flag("ip") {
        return Ok(one(values, IpamVerb::Show));
    }
    let [blocks, hosts, handles] = ["show-blocks", "by-host", "by-handle"].map(|name| values.flag(name));
    Ok(Command::IpamTask(IpamTask::Survey { blocks, hosts, handles, config: config(values) }))
}

fn release(values: &Values) -> Built {
    if values.flag("ip") {
        return Ok(one(values, IpamVerb::Release));
    }
    let handle = values.text("handle").ok_or_else(|| Problem::hint("--handle is empty"))?;
    Ok(Command::IpamTask(IpamTask::ReleaseHandle { handle, config: config(values) }))
}

fn check(values: &Values) -> Built {
    let grace = values.text_or_default("grace");
    let seconds =
        grace.parse().map_err(|_| Problem::hint(format!("--grace={grace} is no number of seconds")))?;
    let (fix, dry_run) = (values.flag("fix"), values.flag("dry-run"));
    if dry_run && !fix {
        return Err(Problem::hint("--dry-run goes with --fix"));
    }
    let exit_code = values.flag("exit-code");
    Ok(Command::IpamTask(IpamTask::Check { fix, dry_run, seconds, exit_code, config: config(values) }))
}

fn one(values: &Values, verb: IpamVerb) -> Command {
    Command::Ipam(IpamArgs { verb, ip: values.text_or_default("ip"), config: config(values) })
}
