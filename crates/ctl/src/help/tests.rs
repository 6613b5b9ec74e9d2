//! The recorded texts byte for byte, and what every help must have.

use super::*;
use crate::grammar::Entry;

const TOP_HELP: &str = "\
Usage:
  calicoctl [options] <command> [<args>...]

    create    Create a resource by filename or stdin.
    replace   Replace a resource by filename or stdin.
    apply     Apply a resource by filename or stdin.  This creates a resource
              if it does not exist, and replaces a resource if it does exists.
    delete    Delete a resource identified by file, stdin or resource type and
              name.
    get       Get a resource identified by file, stdin or resource type and
              name.
    config    Manage system-wide and low-level node configuration options.
    ipam      IP address management.
    node      Calico node management.
    version   Display the version of calicoctl.

Options:
  -h --help               Show this screen.
  -l --log-level=<level>  Set the log level (one of panic, fatal, error,
                          warn, info, debug) [default: panic]

Description:
  The calicoctl command line tool is used to manage Calico network and security
  policy, to view and manage endpoint configuration, and to manage a Calico
  node instance.

  See 'calicoctl <command> --help' to read about a specific subcommand.
";

const IPAM_HELP: &str = "\
Set the Calico datastore access information in the environment variables or
or supply details in a config file.

Usage:
  calicoctl ipam <command> [<args>...]

    release      Release a Calico assigned IP address.
    show         Show details of a Calico assigned IP address.

Options:
  -h --help      Show this screen.

Description:
  IP Address Management specific commands for calicoctl.

  See 'calicoctl ipam <command> --help' to read about a specific subcommand.
";

const APPLY_HELP: &str = "\
Usage:
  margay apply --filename=<FILENAME> [--dry-run] [--config=<CONFIG>]

Options:
  -h --help                 Show this screen.
  -f --filename=<FILENAME>  File with the resources, YAML or JSON; \"-\" reads
                            stdin.
     --dry-run              Check everything and say what would change, but
                            write nothing.
  -c --config=<CONFIG>      File with the connection settings, YAML or JSON. If
                            it exists, no environment variable is looked at.
                            [default: /etc/calico/calicoctl.cfg]

Description:
  Creates the resources of the file or of stdin that do not exist, and replaces
  those that do. All of them are checked before the first one is written; the
  first one that cannot be written ends the command, and those before it stay.

  A resource is replaced as a whole: what its document leaves out is reset.
";

const MARGAY_DELETE_USAGE: &str = "\
Usage:
  margay delete ([--scope=<SCOPE>] [--node=<NODE>] [--orchestrator=<ORCH>]
                 [--workload=<WORKLOAD>] (<KIND> [<NAME>]) |
                --filename=<FILE>)
                [--skip-not-exists] [--config=<CONFIG>]
";

fn found(program: Program, name: &str) -> Entry {
    entries(&TOP, program).find(|entry| entry.name() == name).expect("the command exists")
}

fn spec(program: Program, name: &str) -> &'static CommandSpec {
    match found(program, name) {
        Entry::Command(spec) => spec,
        Entry::Group(_) => panic!("{name} is a group"),
    }
}

#[test]
fn the_recorded_helps_are_printed_byte_for_byte() {
    assert_eq!(top(Program::Calicoctl), TOP_HELP);
    let Entry::Group(ipam) = found(Program::Calicoctl, "ipam") else { panic!("ipam is a group") };
    assert_eq!(group(Program::Calicoctl, ipam), IPAM_HELP);
}

#[test]
fn a_command_help_has_usage_options_and_description() {
    assert_eq!(command(Program::Margay, spec(Program::Margay, "apply")), APPLY_HELP);
}

#[test]
fn further_usage_lines_move_with_the_length_of_the_program_name() {
    assert_eq!(usage(Program::Margay, spec(Program::Margay, "delete")), MARGAY_DELETE_USAGE);
}

#[test]
fn the_drop_in_shows_nothing_of_ours() {
    let text = top(Program::Calicoctl) + &command(Program::Calicoctl, spec(Program::Calicoctl, "get"));
    for ours in ["margay", "validate", "--watch", "datastore export"] {
        assert!(!text.contains(ours), "{ours} in:\n{text}");
    }
}

#[test]
fn hidden_commands_are_not_shown() {
    let text = top(Program::Margay);
    assert!(text.contains("\n    completions"), "{text}");
    assert!(!text.contains("\n    complete "), "{text}");
    assert!(!text.contains("\n    man "), "{text}");
}

#[test]
fn no_line_of_any_help_is_too_long_or_ends_in_a_blank() {
    for program in [Program::Calicoctl, Program::Margay] {
        let mut texts = vec![top(program)];
        for entry in entries(&TOP, program) {
            match entry {
                Entry::Command(spec) => texts.push(command(program, spec)),
                Entry::Group(members) => {
                    texts.push(group(program, members));
                    texts.extend(entries(members, program).map(|entry| match entry {
                        Entry::Command(spec) => command(program, spec),
                        Entry::Group(_) => panic!("a group in a group"),
                    }));
                }
            }
        }
        assert!(texts.len() > 10);
        for line in texts.iter().flat_map(|text| text.lines()) {
            assert!(line.len() <= 80, "{} columns: {line}", line.len());
            assert_eq!(line, line.trim_end());
            assert!(!line.contains("{program}"), "{line}");
        }
    }
}
