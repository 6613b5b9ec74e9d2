//! The docopt behaviours of `spec/calicoctl.md` 2, each seen through `parse`.

use std::os::unix::ffi::OsStringExt;

use super::command::{
    ApplyArgs, ConfigArgs, ConfigVerb, CreateArgs, DatastoreArgs, DeleteArgs, FileArgs, GetArgs, IpamArgs,
    IpamVerb, Named, NodeCommand, NodeRunArgs, Selection,
};
use super::*;

fn words(line: &str) -> Vec<OsString> {
    line.split_whitespace().map(|word| OsString::from(word.replace("''", ""))).collect()
}

fn upstream(line: &str) -> Parsed {
    parse(Program::Calicoctl, &words(line))
}

fn ours(line: &str) -> Parsed {
    parse(Program::Margay, &words(line))
}

fn command_of(parsed: Parsed) -> Command {
    match parsed {
        Parsed::Run(request) => request.command,
        other => panic!("not a command: {other:?}"),
    }
}

fn stop_of(parsed: Parsed) -> Stop {
    match parsed {
        Parsed::Stop(stop) => stop,
        other => panic!("did not stop: {other:?}"),
    }
}

fn default_config() -> ConfigPath {
    ConfigPath("/etc/calico/calicoctl.cfg".to_owned())
}

fn get(selection: Selection) -> Command {
    Command::Get(GetArgs { selection, output: "ps".to_owned(), watch: false, config: default_config() })
}

fn named(kind: &str) -> Named {
    Named { kind: kind.to_owned(), ..Named::default() }
}

fn some(text: &str) -> Option<String> {
    Some(text.to_owned())
}

fn invalid(args: &str) -> String {
    format!("Invalid option: 'calicoctl {args}'. Use flag '--help' to read about a specific subcommand.\n")
}

const GET_USAGE: &str = "\
Usage:
  calicoctl get ([--scope=<SCOPE>] [--node=<NODE>] [--orchestrator=<ORCH>]
                 [--workload=<WORKLOAD>] (<KIND> [<NAME>]) |
                --filename=<FILENAME>)
                [--output=<OUTPUT>] [--config=<CONFIG>]
";

const DELETE_USAGE: &str = "\
Usage:
  calicoctl delete ([--scope=<SCOPE>] [--node=<NODE>] [--orchestrator=<ORCH>]
                    [--workload=<WORKLOAD>] (<KIND> [<NAME>]) |
                   --filename=<FILE>)
                   [--skip-not-exists] [--config=<CONFIG>]
";

#[test]
fn options_and_words_come_in_any_order() {
    let expected = Command::Get(GetArgs {
        selection: Selection::Named(Named { name: some("p"), ..named("policy") }),
        output: "yaml".to_owned(),
        watch: false,
        config: default_config(),
    });
    for line in
        ["get -o yaml policy p", "get policy -o yaml p", "get policy p -o yaml", "get policy p -oyaml"]
    {
        assert_eq!(command_of(upstream(line)), expected, "{line}");
    }
}

#[test]
fn long_options_take_their_value_either_way_and_by_prefix() {
    let expected =
        get(Selection::Named(Named { node: some("n1"), orchestrator: some("k8s"), ..named("wep") }));
    for line in [
        "get wep --no=n1 --orch=k8s",
        "get --node n1 wep --orchestrator k8s",
        "get --n=n1 --or k8s wep",
        "get wep -nn1 --orchestrator=k8s",
    ] {
        assert_eq!(command_of(upstream(line)), expected, "{line}");
    }
}

#[test]
fn an_exact_name_wins_over_longer_ones() {
    let Command::Node(NodeCommand::Run(args)) = command_of(upstream("node run --ip=10.0.0.1 --ip6 fd00::1"))
    else {
        panic!("not node run");
    };
    assert_eq!((args.ip, args.ip6), (some("10.0.0.1"), some("fd00::1")));
}

#[test]
fn an_ambiguous_prefix_is_refused_with_its_candidates() {
    assert_eq!(
        stop_of(upstream("delete wep --s=x")),
        Stop {
            stdout: invalid("delete wep --s=x"),
            stderr: format!("--s is not a unique prefix: --skip-not-exists, --scope?\n{DELETE_USAGE}"),
            exit: ExitCode::FAILURE,
        }
    );
}

#[test]
fn short_flags_stack_in_front_of_a_valued_one() {
    let expected = Command::Delete(DeleteArgs {
        selection: Selection::File("x.yaml".to_owned()),
        skip_not_exists: true,
        config: default_config(),
    });
    for line in
        ["delete -sf x.yaml", "delete -sfx.yaml", "delete -s -f x.yaml", "delete --file=x.yaml --skip"]
    {
        assert_eq!(command_of(upstream(line)), expected, "{line}");
    }
}

#[test]
fn an_equals_sign_behind_a_short_option_belongs_to_the_value() {
    let Command::Get(args) = command_of(upstream("get pol -o=yaml")) else { panic!("not get") };
    assert_eq!(args.output, "=yaml");
}

#[test]
fn a_missing_value_is_named() {
    for (line, reason) in [
        ("get pol --output", "--output requires argument"),
        ("get pol -o", "-o requires argument"),
        ("get pol --outp", "--output requires argument"),
        ("get pol -o --", "-o requires argument"),
        ("get pol --output --", "--output requires argument"),
    ] {
        let stop = stop_of(upstream(line));
        assert_eq!(stop.stderr, format!("{reason}\n{GET_USAGE}"), "{line}");
        assert_eq!((stop.stdout, stop.exit), (invalid(line), ExitCode::FAILURE), "{line}");
    }
}

#[test]
fn a_flag_takes_no_value() {
    let stop = stop_of(upstream("create -f x --skip-exists=1"));
    assert!(stop.stderr.starts_with("--skip-exists must not have an argument\nUsage:\n"), "{}", stop.stderr);
}

#[test]
fn a_value_may_look_like_an_option() {
    let Command::Get(args) = command_of(upstream("get pol -o --help")) else { panic!("not get") };
    assert_eq!(args.output, "--help");
}

#[test]
fn a_repeated_option_is_refused_even_with_the_same_value() {
    let stop = stop_of(upstream("get pol -o yaml --output=yaml"));
    assert_eq!(stop.stdout, invalid("get pol -o yaml --output=yaml"));
    assert_eq!(stop.stderr, format!("{GET_USAGE}hint: --output is given more than once\n"));
}

#[test]
fn two_dashes_are_a_word_and_end_the_options() {
    assert_eq!(
        command_of(upstream("get -- -x")),
        get(Selection::Named(Named { name: some("-x"), ..named("--") }))
    );
    assert_eq!(stop_of(upstream("get pol -- -o yaml")).exit, ExitCode::FAILURE);
}

#[test]
fn one_dash_is_an_ordinary_value() {
    assert_eq!(command_of(upstream("get -f -")), get(Selection::File("-".to_owned())));
    assert_eq!(command_of(upstream("get -f-")), get(Selection::File("-".to_owned())));
    assert_eq!(
        command_of(upstream("get pol -")),
        get(Selection::Named(Named { name: some("-"), ..named("pol") }))
    );
}

#[test]
fn an_empty_identifier_counts_as_left_out() {
    assert_eq!(command_of(upstream("get wep '' --node= --workload ''")), get(Selection::Named(named("wep"))));
}

#[test]
fn an_empty_kind_stays_a_kind() {
    assert_eq!(command_of(upstream("get ''")), get(Selection::Named(named(""))));
}

#[test]
fn an_empty_file_name_is_refused() {
    for line in ["create --filename=", "get --filename=", "delete -f ''"] {
        let stop = stop_of(upstream(line));
        assert!(stop.stderr.ends_with("hint: --filename is empty\n"), "{line}: {}", stop.stderr);
    }
}

#[test]
fn an_empty_config_path_does_not_turn_into_the_default() {
    let Command::Version { config } = command_of(upstream("version --config=")) else {
        panic!("not version")
    };
    assert_eq!((config.0.as_str(), config.is_default()), ("", false));
}

#[test]
fn help_anywhere_behind_the_command_wins() {
    for line in ["get -h", "get pol p q r --help", "get --frob -h", "get pol -o yaml --he", "get -wh"] {
        let stop = stop_of(upstream(line));
        assert!(stop.stdout.starts_with(GET_USAGE), "{line}: {}", stop.stdout);
        assert_eq!((stop.stderr.as_str(), stop.exit), ("", ExitCode::SUCCESS), "{line}");
    }
}

#[test]
fn help_does_not_win_over_a_scanning_fault() {
    assert_eq!(stop_of(upstream("get --help --output")).exit, ExitCode::FAILURE);
}

#[test]
fn config_version_prints_the_program_name_by_accident() {
    assert_eq!(
        stop_of(upstream("config --version")),
        Stop { stdout: "calicoctl\n".to_owned(), stderr: String::new(), exit: ExitCode::SUCCESS }
    );
    assert_eq!(stop_of(upstream("get --version")).stdout, invalid("get --version"));
    assert_eq!(stop_of(ours("config --version")).exit, ExitCode::FAILURE);
}

#[test]
fn a_file_excludes_kind_name_and_identifiers() {
    for (line, hint) in [
        ("get pol -f x", "--filename cannot be combined with 'pol'"),
        ("get -f x -n rack1", "--filename cannot be combined with --node"),
        ("get -f x --scope=global", "--filename cannot be combined with --scope"),
        ("get", "<KIND> is missing"),
        ("get a b c", "unexpected argument 'c'"),
    ] {
        let stop = stop_of(upstream(line));
        assert_eq!(stop.stdout, invalid(line));
        assert_eq!(stop.stderr, format!("{GET_USAGE}hint: {hint}\n"), "{line}");
    }
}

#[test]
fn create_apply_and_replace_need_a_file() {
    for verb in ["create", "apply", "replace"] {
        let stop = stop_of(upstream(verb));
        assert_eq!(stop.stdout, invalid(verb));
        assert!(stop.stderr.ends_with("hint: --filename is missing\n"), "{}", stop.stderr);
        let line = format!("{verb} x.yaml");
        let stop = stop_of(upstream(&line));
        assert_eq!(stop.stdout, invalid(&line));
    }
}

#[test]
fn create_reads_its_flags() {
    assert_eq!(
        command_of(upstream("create -f- --skip-e -c my.cfg")),
        Command::Create(CreateArgs {
            filename: "-".to_owned(),
            skip_exists: true,
            config: ConfigPath("my.cfg".to_owned()),
        })
    );
}

#[test]
fn delete_without_arguments_shows_its_usage() {
    let stop = stop_of(upstream("delete"));
    assert_eq!(stop.stdout, invalid("delete"));
    assert!(stop.stderr.starts_with(DELETE_USAGE), "{}", stop.stderr);
}

#[test]
fn config_takes_three_verbs() {
    let config = |verb, node: Option<&str>, raw: Option<&str>| {
        Command::Config(ConfigArgs {
            verb,
            name: "logLevel".to_owned(),
            node: node.map(str::to_owned),
            raw: raw.map(str::to_owned),
            config: default_config(),
        })
    };
    let set = ConfigVerb::Set("debug".to_owned());
    assert_eq!(
        command_of(upstream("config set logLevel debug -n rack1")),
        config(set, some("rack1").as_deref(), None)
    );
    assert_eq!(
        command_of(upstream("config --raw=felix get logLevel")),
        config(ConfigVerb::Get, None, Some("felix"))
    );
    assert_eq!(command_of(upstream("config unset logLevel --raw=")), config(ConfigVerb::Unset, None, None));
    assert_eq!(
        command_of(upstream("config set logLevel ''")),
        config(ConfigVerb::Set(String::new()), None, None)
    );
}

#[test]
fn config_with_the_wrong_number_of_words_shows_its_usage() {
    let stop = stop_of(upstream("config set ipip"));
    assert_eq!(stop.stdout, invalid("config set ipip"));
    assert_eq!(
        stop.stderr,
        "\
Usage:
  calicoctl config set <NAME> <VALUE> [--node=<NODE>]
                                      [--raw=(bgp|felix)]
                                      [--config=<CONFIG>]
  calicoctl config unset <NAME> [--node=<NODE>]
                                [--raw=(bgp|felix)]
                                [--config=<CONFIG>]
  calicoctl config get <NAME> [--node=<NODE>]
                              [--raw=(bgp|felix)]
                              [--config=<CONFIG>]
hint: <VALUE> is missing
"
    );
    for line in ["config", "config frob x"] {
        let stop = stop_of(upstream(line));
        assert!(stop.stderr.ends_with("hint: expected one of: set, unset, get\n"), "{}", stop.stderr);
    }
    for line in ["config", "config frob x", "config get", "config get a b", "config set a b c"] {
        assert_eq!(stop_of(upstream(line)).stdout, invalid(line));
    }
}

#[test]
fn ipam_and_node_read_their_sub_commands() {
    let ipam = |verb| Command::Ipam(IpamArgs { verb, ip: "10.0.0.1".to_owned(), config: default_config() });
    assert_eq!(command_of(upstream("ipam show --ip=10.0.0.1")), ipam(IpamVerb::Show));
    assert_eq!(command_of(upstream("ipam release --ip 10.0.0.1")), ipam(IpamVerb::Release));
    assert_eq!(command_of(upstream("node status")), Command::Node(NodeCommand::Status));
    assert_eq!(command_of(upstream("node checksystem")), Command::Node(NodeCommand::CheckSystem));
    assert_eq!(
        command_of(upstream("node diags")),
        Command::Node(NodeCommand::Diags { log_dir: "/var/log/calico".to_owned() })
    );
}

#[test]
fn a_faulty_sub_command_shows_its_own_usage() {
    let stop = stop_of(upstream("ipam release"));
    assert_eq!(stop.stdout, invalid("ipam release"));
    assert_eq!(
        stop.stderr,
        "Usage:\n  calicoctl ipam release --ip=<IP> [--config=<CONFIG>]\nhint: --ip is missing\n"
    );
    let stop = stop_of(upstream("ipam"));
    assert_eq!(stop.stdout, invalid("ipam"));
    assert!(stop.stderr.starts_with("Usage:\n  calicoctl ipam <command> [<args>...]\n"), "{}", stop.stderr);
    let stop = stop_of(upstream("version x"));
    assert_eq!(stop.stdout, invalid("version x"));
    assert!(stop.stderr.starts_with("Usage:\n  calicoctl version [--config=<CONFIG>]\n"), "{}", stop.stderr);
}

#[test]
fn an_unknown_sub_command_is_an_error_with_help_on_stderr() {
    let stop = stop_of(upstream("ipam realease"));
    let help = stop_of(upstream("ipam -h")).stdout;
    assert_eq!(
        stop,
        Stop {
            stdout: String::new(),
            stderr: format!("{help}\nUnknown command: \"ipam realease\"\nhint: did you mean 'release'?\n"),
            exit: ExitCode::FAILURE,
        }
    );
}

#[test]
fn no_command_or_a_wrong_option_before_it_shows_the_usage_on_stderr() {
    const USAGE: &str = "Usage:\n  calicoctl [options] <command> [<args>...]\n";
    for line in ["", "-x get pol", "--frob", "-l info", "-l info -l info get pol"] {
        let stop = stop_of(upstream(line));
        assert!(stop.stderr.starts_with(USAGE), "{line}: {}", stop.stderr);
        assert_eq!((stop.stdout.as_str(), stop.exit), ("", ExitCode::FAILURE), "{line}");
    }
    assert_eq!(stop_of(upstream("--log-level")).stderr, format!("--log-level requires argument\n{USAGE}"));
}

#[test]
fn an_unknown_command_prints_the_help_and_a_guess() {
    let stop = stop_of(upstream("gte pol"));
    let help = stop_of(upstream("--help")).stdout;
    assert_eq!(
        stop,
        Stop {
            stdout: format!("{help}\n"),
            stderr: "Unknown command: \"gte\"\nhint: did you mean 'get'?\n".to_owned(),
            exit: ExitCode::FAILURE,
        }
    );
    assert_eq!(stop_of(upstream("frob")).stderr, "Unknown command: \"frob\"\n");
}

#[test]
fn log_levels_are_read_in_any_letter_case() {
    for (text, level) in [
        ("PANIC", LogLevel::Panic),
        ("fatal", LogLevel::Fatal),
        ("Error", LogLevel::Error),
        ("warn", LogLevel::Warn),
        ("WARNING", LogLevel::Warn),
        ("info", LogLevel::Info),
        ("debug", LogLevel::Debug),
        ("''", LogLevel::Panic),
    ] {
        let Parsed::Run(request) = upstream(&format!("-l {text} version")) else {
            panic!("{text} was refused")
        };
        assert_eq!(request.log_level, level, "{text}");
    }
}

#[test]
fn an_unknown_log_level_is_named_before_the_command_is_looked_at() {
    let stop = stop_of(upstream("--log-level=loud frob"));
    assert_eq!(
        stop,
        Stop {
            stdout: "Unknown log level: loud, expected one of: \npanic, fatal, error, warn, info, debug.\n"
                .to_owned(),
            stderr: String::new(),
            exit: ExitCode::FAILURE,
        }
    );
}

#[test]
fn log_level_is_no_option_of_a_command() {
    let stop = stop_of(upstream("get pol -l debug"));
    assert_eq!(stop.stdout, invalid("get pol -l debug"));
    assert!(stop.stderr.starts_with(GET_USAGE), "{}", stop.stderr);
}

#[test]
fn version_is_an_option_of_the_program() {
    assert_eq!(upstream("--version"), Parsed::ShortVersion);
    assert_eq!(upstream("-l info --version get"), Parsed::ShortVersion);
    assert_eq!(stop_of(upstream("-v")).exit, ExitCode::FAILURE);
}

#[test]
fn an_unknown_option_is_named_with_a_guess() {
    let stop = stop_of(upstream("get pol --ouptut=yaml"));
    assert_eq!(stop.stderr, format!("{GET_USAGE}hint: unknown option --ouptut; did you mean --output?\n"));
}

#[test]
fn an_argument_that_is_not_text_is_refused() {
    let args = [OsString::from("get"), OsString::from_vec(b"p\xffq".to_vec())];
    let stop = stop_of(parse(Program::Calicoctl, &args));
    assert_eq!(stop.stdout, invalid("get p\u{fffd}q"));
    assert!(
        stop.stderr.starts_with("argument 2 is not valid UTF-8: \"p\\xFFq\"\nUsage:\n"),
        "{}",
        stop.stderr
    );
    assert_eq!(stop.exit, ExitCode::FAILURE);
}

#[test]
fn the_drop_in_knows_nothing_of_ours() {
    for line in
        ["validate -f x", "diff -f x", "completions bash", "complete -- get", "man", "datastore export"]
    {
        let stop = stop_of(upstream(line));
        assert!(stop.stderr.starts_with("Unknown command: "), "{line}: {}", stop.stderr);
    }
    for line in ["apply -f x --dry-run", "get pol --watch", "get pol -w"] {
        assert_eq!(stop_of(upstream(line)).stdout, invalid(line));
    }
}

#[test]
fn margay_has_upstreams_commands_and_its_own() {
    let file = || FileArgs { filename: "x".to_owned(), config: default_config() };
    for (line, expected) in [
        ("get pol", get(Selection::Named(named("pol")))),
        ("validate -f x", Command::Validate(file())),
        ("diff --filename x", Command::Diff(file())),
        (
            "apply -f x --dry-run",
            Command::Apply(ApplyArgs { filename: "x".to_owned(), dry_run: true, config: default_config() }),
        ),
        ("explain-field policy.spec", Command::ExplainField { path: "policy.spec".to_owned() }),
        ("completions zsh", Command::Completions { shell: Shell::Zsh }),
        (
            "complete -- get pol --x -h",
            Command::Complete { words: ["get", "pol", "--x", "-h"].map(str::to_owned).to_vec() },
        ),
        ("man", Command::Man),
        (
            "datastore export",
            Command::Datastore(DatastoreArgs::Export { filename: "-".to_owned(), config: default_config() }),
        ),
        (
            "datastore import -f x",
            Command::Datastore(DatastoreArgs::Import { filename: "x".to_owned(), config: default_config() }),
        ),
        (
            "datastore copy --from=a --to=b",
            Command::Datastore(DatastoreArgs::Copy { from: "a".to_owned(), to: "b".to_owned() }),
        ),
    ] {
        assert_eq!(command_of(ours(line)), expected, "{line}");
    }
    let Command::Get(args) = command_of(ours("get pol -w")) else { panic!("not get") };
    assert!(args.watch);
}

#[test]
fn margay_speaks_of_itself_in_its_texts() {
    let stop = stop_of(ours("datastore copy --from=a"));
    assert_eq!(
        stop.stdout,
        "Invalid option: 'margay datastore copy --from=a'. Use flag '--help' to read about a specific subcommand.\n"
    );
    assert_eq!(
        stop.stderr,
        "Usage:\n  margay datastore copy --from=<STORE> --to=<STORE>\nhint: --to is missing\n"
    );
    let stop = stop_of(ours("completions tcsh"));
    assert!(
        stop.stderr.ends_with("hint: 'tcsh' is not a shell this writes for: bash, zsh, fish\n"),
        "{}",
        stop.stderr
    );
}

#[test]
fn node_run_has_upstreams_defaults() {
    let Command::Node(NodeCommand::Run(args)) = command_of(upstream("node run --as= --name ''")) else {
        panic!("not node run");
    };
    assert_eq!(
        *args,
        NodeRunArgs {
            name: None,
            ip: None,
            ip6: None,
            as_number: None,
            ip_autodetection_method: "first-found".to_owned(),
            ip6_autodetection_method: "first-found".to_owned(),
            log_dir: "/var/log/calico".to_owned(),
            node_image: "quay.io/calico/node:latest".to_owned(),
            backend: "bird".to_owned(),
            no_default_ippools: false,
            disable_docker_networking: false,
            docker_networking_ifprefix: "cali".to_owned(),
            use_docker_networking_container_labels: false,
            dryrun: false,
            init_system: false,
            config: default_config(),
        }
    );
}

fn every_command() -> Vec<(Program, &'static CommandSpec)> {
    let mut commands = Vec::new();
    for program in [Program::Calicoctl, Program::Margay] {
        for entry in entries(&TOP, program) {
            match entry {
                Entry::Command(spec) => commands.push((program, spec)),
                Entry::Group(group) => commands.extend(entries(group, program).map(|member| match member {
                    Entry::Command(spec) => (program, spec),
                    Entry::Group(_) => panic!("a group in a group"),
                })),
            }
        }
    }
    commands
}

#[test]
fn usage_and_options_of_every_command_name_the_same_options() {
    let commands = every_command();
    assert!(commands.len() > 20, "only {} commands", commands.len());
    for (program, spec) in commands {
        let usage = spec.usage(program).join("\n");
        let mut in_usage: Vec<&str> = usage
            .split("--")
            .skip(1)
            .map(|rest| {
                rest.split(|c: char| !c.is_ascii_alphanumeric() && c != '-').next().unwrap_or_default()
            })
            .filter(|name| !name.is_empty())
            .collect();
        in_usage.sort_unstable();
        in_usage.dedup();
        let mut in_table: Vec<&str> = spec
            .options
            .iter()
            .filter(|option| program.accepts(option.audience) && option.long != "help")
            .map(|option| option.long)
            .collect();
        in_table.sort_unstable();
        assert_eq!(in_usage, in_table, "{program:?} {}", spec.name);
    }
}

#[test]
fn no_two_options_of_a_command_share_a_name() {
    for (program, spec) in every_command() {
        let accepted = spec.options.iter().filter(|option| program.accepts(option.audience));
        let mut names: Vec<String> = accepted
            .flat_map(|option| option.short.map(String::from).into_iter().chain([option.long.to_owned()]))
            .collect();
        let all = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), all, "{}", spec.name);
    }
}

#[test]
fn forms_only_name_options_that_exist() {
    for (_, spec) in every_command() {
        for long in spec.forms.iter().flat_map(|form| form.required.iter().chain(form.forbidden)) {
            assert!(spec.options.iter().any(|option| option.long == *long), "{} {long}", spec.name);
        }
    }
}

/// Random command lines with what docopt.go answered when it was given our help texts: `ok`, `help` or `error`, the
/// reason it named, and the line.
const DOCOPT_ANSWERS: &str = include_str!("docopt-answers.tsv");

#[test]
fn random_lines_get_the_answers_of_docopt() {
    let mut count = 0;
    for record in DOCOPT_ANSWERS.lines() {
        let fields: Vec<&str> = record.split('\t').collect();
        let [answer, reason, line] = fields[..] else { panic!("not three fields: {record}") };
        let (ours, stderr) = match upstream(line) {
            Parsed::Run(_) | Parsed::ShortVersion => ("ok", String::new()),
            Parsed::Stop(stop) if stop.exit == ExitCode::SUCCESS => ("help", String::new()),
            Parsed::Stop(stop) => ("error", stop.stderr),
        };
        let ours_reason = stderr.lines().next().filter(|first| *first != "Usage:").unwrap_or_default();
        assert_eq!((ours, ours_reason), (answer, reason), "{line}");
        count += 1;
    }
    assert!(count > 200, "only {count} lines");
}
