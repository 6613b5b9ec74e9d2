//! C44 and the rest of `spec/calicoctl.md` 10.1.

use std::ffi::OsString;
use std::net::IpAddr;

use crate::grammar::command::NodeCommand;
use crate::grammar::{Command, Parsed, Program, parse};
use crate::node::tests::{FakeHost, Outcome, outcome_in};

use super::*;

fn etcd() -> EtcdSettings {
    EtcdSettings {
        scheme: "http".to_owned(),
        authority: "127.0.0.1:2379".to_owned(),
        ..EtcdSettings::default()
    }
}

fn node_run(options: &str) -> NodeCommand {
    let args: Vec<OsString> =
        ["node", "run"].into_iter().chain(options.split_whitespace()).map(OsString::from).collect();
    match parse(Program::Calicoctl, &args) {
        Parsed::Run(request) => match request.command {
            Command::Node(command) => command,
            other => panic!("not node: {other:?}"),
        },
        other => panic!("{options} was refused: {other:?}"),
    }
}

fn run_on(options: &str, datastore: NodeDatastore, host: &FakeHost) -> Outcome {
    outcome_in(&[], Path::new("/"), &node_run(options), datastore, host)
}

fn refused(options: &str) -> Outcome {
    let host =
        FakeHost { names: [("v4.test", vec![IpAddr::from([192, 0, 2, 1])])].into(), ..FakeHost::new() };
    let outcome = run_on(&format!("--dryrun {options}"), NodeDatastore::EtcdV2(etcd()), &host);
    assert_eq!(outcome.exit, ExitCode::FAILURE, "{options}");
    outcome
}

fn planned(options: &str, etcd: EtcdSettings) -> String {
    let outcome = run_on(&format!("--dryrun {options}"), NodeDatastore::EtcdV2(etcd), &FakeHost::new());
    assert_eq!(outcome.exit, ExitCode::SUCCESS, "{options}: {}", outcome.stdout);
    outcome.stdout.lines().nth(2).expect("the command is in the third line").to_owned()
}

#[test]
fn faulty_options_are_refused_in_upstreams_words() {
    for (options, text) in [
        ("--ip=abc", "invalid IP address specified: abc"),
        ("--ip=fd00::1", "--ip is wrong IP version"),
        ("--ip6=x", "invalid IP address specified: x"),
        ("--ip6=10.0.0.1", "--ip6 is wrong IP version"),
        ("--as=70000.1", "invalid AS Number specified: 70000.1"),
        ("--backend=quagga", "unknown backend 'quagga'"),
        ("--backend=", "unknown backend ''"),
        ("--ip-autodetection-method=magic", "invalid IP autodetection method: magic"),
        ("--ip6-autodetection-method=", "invalid IP autodetection method: "),
        (
            "--ip-autodetection-method=interface=[",
            "invalid interface regex specified for IP autodetection: [",
        ),
        (
            "--ip-autodetection-method=skip-interface=eth.*,(",
            "invalid interface regex specified for IP autodetection: eth.*,(",
        ),
        (
            "--ip-autodetection-method=can-reach=no.test",
            "cannot resolve address specified for IP autodetection: no.test",
        ),
        (
            "--ip6-autodetection-method=can-reach=v4.test",
            "address for IP autodetection does not resolve to an IPv6 address: v4.test",
        ),
        ("--docker-networking-ifprefix=ca-li", "invalid interface prefix 'ca-li'"),
        ("--docker-networking-ifprefix=", "invalid interface prefix ''"),
        (
            "--disable-docker-networking --use-docker-networking-container-labels",
            "invalid to disable Docker Networking and enable Container labels",
        ),
    ] {
        assert_eq!(refused(options).stdout, format!("Error executing command: {text}\n"), "{options}");
    }
}

#[test]
fn the_first_fault_in_upstreams_order_is_told() {
    let everything = "--docker-networking-ifprefix=- --ip6-autodetection-method=b --ip-autodetection-method=a \
                      --backend=x --as=y --ip6=1.2.3.4 --ip=z";
    let mut options: Vec<&str> = everything.split_whitespace().collect();
    for text in [
        "invalid IP address specified: z",
        "--ip6 is wrong IP version",
        "invalid AS Number specified: y",
        "unknown backend 'x'",
        "invalid IP autodetection method: a",
        "invalid IP autodetection method: b",
        "invalid interface prefix '-'",
    ] {
        assert_eq!(refused(&options.join(" ")).stdout, format!("Error executing command: {text}\n"));
        options.pop();
    }
}

#[test]
fn each_part_of_an_interface_list_is_checked_by_itself() {
    let outcome = refused("--ip-autodetection-method=interface=eth.*,a(b,c)");
    assert_eq!(outcome.stderr, "hint: this part is no regular expression: a(b\n");
    assert!(
        planned("--ip-autodetection-method=interface=eth.*,en[0-9]", etcd())
            .contains("interface=eth.*,en[0-9]")
    );
}

#[test]
fn settings_are_looked_at_behind_the_name_and_before_the_prefix() {
    let host = FakeHost { hostname: None, ..FakeHost::new() };
    let invalid = || NodeDatastore::Invalid("syntax error in x: y".to_owned());
    let outcome = run_on("--dryrun --docker-networking-ifprefix=-", invalid(), &host);
    assert_eq!(outcome.stdout, "Error executing command: unable to determine node name\n");
    let outcome = run_on("--dryrun --name=n --docker-networking-ifprefix=-", invalid(), &host);
    assert_eq!(
        (outcome.stdout.as_str(), outcome.stderr.as_str()),
        ("Error executing command: invalid config file\n", "hint: syntax error in x: y\n")
    );
    let absent = NodeDatastore::NoFile("Error reading config file: x".to_owned());
    let outcome = run_on("--dryrun --name=n --docker-networking-ifprefix=-", absent, &host);
    assert_eq!(
        (outcome.stdout.as_str(), outcome.exit),
        ("Error reading config file: x\n", ExitCode::FAILURE)
    );
    let outcome =
        run_on("--dryrun --name=n --docker-networking-ifprefix=-", NodeDatastore::Unsupported, &host);
    assert_eq!(outcome.stdout, "Error executing command: unsupported backend specified in config\n");
}

#[test]
fn a_dry_run_prints_the_command_and_touches_nothing() {
    let host = FakeHost { uid: 1000, ..FakeHost::new() };
    let outcome = run_on("--dryrun", NodeDatastore::EtcdV2(etcd()), &host);
    assert_eq!(
        outcome,
        Outcome {
            exit: ExitCode::SUCCESS,
            stdout: "\
Use the following command to start the calico/node container:

docker run --net=host --privileged --name=calico-node -d --restart=always \
-e CALICO_LIBNETWORK_ENABLED=true -e CALICO_NETWORKING_BACKEND=bird -e ETCD_ENDPOINTS=http://127.0.0.1:2379 \
-e NODENAME=rack1 \
-v /var/log/calico:/var/log/calico -v /var/run/calico:/var/run/calico -v /lib/modules:/lib/modules -v /run:/run \
-v /run/docker/plugins:/run/docker/plugins -v /var/run/docker.sock:/var/run/docker.sock \
quay.io/calico/node:latest

If you are running calico/node in an init system, use the --init-system flag
to display the appropriate start and stop commands.
"
            .to_owned(),
            stderr: String::new(),
        }
    );
    assert_eq!(*host.calls.borrow(), Vec::<String>::new());
}

#[test]
fn for_an_init_system_the_stop_command_is_shown_too() {
    let outcome = run_on("--dryrun --init-system", NodeDatastore::EtcdV2(etcd()), &FakeHost::new());
    assert!(outcome.stdout.contains(" --name=calico-node --rm -e "), "{}", outcome.stdout);
    let tail =
        "\n\nUse the following command to stop the calico/node container:\n\ndocker stop calico-node\n\n";
    assert!(outcome.stdout.ends_with(tail), "{}", outcome.stdout);
}

#[test]
fn every_option_has_its_variable() {
    let command = planned(
        "--name=n --ip=::ffff:10.0.0.1 --ip6=autodetect --as=1.10 --backend=none --no-default-ippools \
         --ip-autodetection-method=interface=eth.* --ip6-autodetection-method=skip-interface=d.* \
         --docker-networking-ifprefix=tap --use-docker-networking-container-labels --log-dir=/l --node-image=i:1",
        EtcdSettings { endpoints: "https://a:1,https://b:2".to_owned(), ..etcd() },
    );
    assert_eq!(
        command,
        "docker run --net=host --privileged --name=calico-node -d --restart=always \
         -e AS=65546 -e CALICO_LIBNETWORK_CREATE_PROFILES=false -e CALICO_LIBNETWORK_ENABLED=true \
         -e CALICO_LIBNETWORK_IFPREFIX=tap -e CALICO_LIBNETWORK_LABEL_ENDPOINTS=true \
         -e CALICO_NETWORKING_BACKEND=none -e ETCD_ENDPOINTS=https://a:1,https://b:2 \
         -e IP=::ffff:10.0.0.1 -e IP6=autodetect -e IP6_AUTODETECTION_METHOD=skip-interface=d.* \
         -e IP_AUTODETECTION_METHOD=interface=eth.* -e NODENAME=n -e NO_DEFAULT_POOLS=true \
         -v /l:/var/log/calico -v /var/run/calico:/var/run/calico -v /lib/modules:/lib/modules -v /run:/run \
         -v /run/docker/plugins:/run/docker/plugins -v /var/run/docker.sock:/var/run/docker.sock i:1"
    );
}

#[test]
fn without_docker_networking_its_volumes_and_prefix_are_left_out() {
    let command = planned("--disable-docker-networking --docker-networking-ifprefix=tap", etcd());
    assert!(command.contains("-e CALICO_LIBNETWORK_ENABLED=false"), "{command}");
    assert!(!command.contains("docker.sock") && !command.contains("IFPREFIX"), "{command}");
}

#[test]
fn certificate_files_are_mounted_and_a_lone_key_is_not() {
    let files = EtcdSettings {
        ca_cert_file: "/c/ca".to_owned(),
        key_file: "/c/key".to_owned(),
        cert_file: "/c/crt".to_owned(),
        ..etcd()
    };
    let command = planned("", files.clone());
    assert!(
        command.contains(
            "-e ETCD_CA_CERT_FILE=/etc/calico/certs/ca_cert.crt -e ETCD_CERT_FILE=/etc/calico/certs/cert.crt"
        ) && command.contains("-e ETCD_KEY_FILE=/etc/calico/certs/key.pem"),
        "{command}"
    );
    assert!(
        command.ends_with(
            "-v /c/ca:/etc/calico/certs/ca_cert.crt -v /c/key:/etc/calico/certs/key.pem \
             -v /c/crt:/etc/calico/certs/cert.crt quay.io/calico/node:latest"
        ),
        "{command}"
    );
    let command = planned("", EtcdSettings { cert_file: String::new(), ..files });
    assert!(command.contains("/c/ca:") && !command.contains("/c/key"), "{command}");
}

fn machine() -> FakeHost {
    FakeHost {
        programs: vec![
            ("modprobe", Ended::Failed("exit status 1".to_owned()), "built in\n"),
            ("docker rm -f calico-node", Ended::Success, ""),
            ("docker run", Ended::Success, "0123abc\n"),
            (
                "docker logs --follow calico-node",
                Ended::Success,
                "Starting bird\nCalico node started successfully\nmore that is not read\n",
            ),
        ],
        ..FakeHost::new()
    }
    .with_files(&[
        ("/proc/sys/net/ipv4/ip_forward", "0"),
        ("/proc/sys/net/ipv6/conf/all/forwarding", "0"),
        ("/proc/sys/net/netfilter/nf_conntrack_max", "65536"),
    ])
}

const PREPARED: &str = "\
Running command to load modules: modprobe -a xt_set ip6_tables
Enabling IPv4 forwarding
Enabling IPv6 forwarding
Increasing conntrack limit
";

fn launched(command: &str) -> String {
    format!(
        "Removing old calico-node container (if running).\n\
         Running the following command to start calico-node:\n\n{command}\n\n\
         Image may take a short time to download if it is not available locally.\n"
    )
}

#[test]
fn a_run_prepares_the_kernel_and_follows_the_log_until_the_node_started() {
    let host = machine();
    let outcome = run_on("", NodeDatastore::EtcdV2(etcd()), &host);
    let command = planned("", etcd());
    assert_eq!(
        outcome,
        Outcome {
            exit: ExitCode::SUCCESS,
            stdout: format!(
                "{PREPARED}{}Container started, checking progress logs.\n\n\
                 Starting bird\nCalico node started successfully\n",
                launched(&command)
            ),
            stderr: String::new(),
        }
    );
    assert_eq!(
        *host.calls.borrow(),
        [
            "modprobe -a xt_set ip6_tables",
            "write /proc/sys/net/ipv4/ip_forward 1",
            "write /proc/sys/net/ipv6/conf/all/forwarding 1",
            "write /proc/sys/net/netfilter/nf_conntrack_max 1000000",
            "docker rm -f calico-node",
            command.as_str(),
            "docker logs --follow calico-node",
        ]
    );
}

#[test]
fn inside_a_container_the_kernel_is_left_alone() {
    let host = machine();
    let datastore = NodeDatastore::EtcdV2(etcd());
    let env = [("CALICO_CTL_CONTAINER", "TRUE")];
    let outcome = outcome_in(&env, Path::new("/"), &node_run(""), datastore, &host);
    assert!(outcome.stdout.starts_with("Removing old calico-node container"), "{}", outcome.stdout);
    assert_eq!(host.calls.borrow()[0], "docker rm -f calico-node");
}

#[test]
fn a_run_needs_root() {
    let host = FakeHost { uid: 1000, ..machine() };
    let outcome = run_on("", NodeDatastore::EtcdV2(etcd()), &host);
    assert_eq!(outcome.stdout, "Need super user privileges: Operation not permitted\n");
    assert_eq!(outcome.exit, ExitCode::FAILURE);
    assert_eq!(*host.calls.borrow(), Vec::<String>::new());
}

#[test]
fn without_forwarding_nothing_is_started() {
    for (path, version) in
        [("/proc/sys/net/ipv4/ip_forward", 4), ("/proc/sys/net/ipv6/conf/all/forwarding", 6)]
    {
        let host = FakeHost { read_only: vec![path], ..machine() };
        let outcome = run_on("", NodeDatastore::EtcdV2(etcd()), &host);
        let line = format!("ERROR: Could not enable ipv{version} forwarding\n");
        assert!(outcome.stdout.ends_with(&line), "{}", outcome.stdout);
        assert_eq!(outcome.exit, ExitCode::FAILURE);
        assert!(!host.calls.borrow().iter().any(|call| call.starts_with("docker")));
    }
}

#[test]
fn a_machine_without_ipv6_or_conntrack_still_starts() {
    let host = machine();
    host.files.borrow_mut().retain(|path, _| path.ends_with("ip_forward"));
    let outcome = run_on("", NodeDatastore::EtcdV2(etcd()), &host);
    assert_eq!(outcome.exit, ExitCode::SUCCESS);
    assert!(!outcome.stdout.contains("IPv6"), "{}", outcome.stdout);
    assert!(outcome.stdout.contains("WARNING: Could not set nf_contrack_max."), "{}", outcome.stdout);
}

#[test]
fn a_container_that_does_not_start_is_told_with_its_output() {
    let mut host = machine();
    host.programs[2] = ("docker run", Ended::Failed("exit status 125".to_owned()), "no such image");
    let outcome = run_on("", NodeDatastore::EtcdV2(etcd()), &host);
    assert!(
        outcome.stdout.ends_with("locally.\nError executing command: exit status 125\nno such image\n"),
        "{}",
        outcome.stdout
    );
    assert_eq!(outcome.exit, ExitCode::FAILURE);
}

#[test]
fn a_machine_without_docker_is_told_so() {
    let mut host = machine();
    host.programs.clear();
    let outcome = run_on("", NodeDatastore::EtcdV2(etcd()), &host);
    let line = "Error executing command: exec: \"docker\": executable file not found in $PATH\n";
    assert!(outcome.stdout.ends_with(line), "{}", outcome.stdout);
    assert_eq!(outcome.exit, ExitCode::FAILURE);
}

#[test]
fn a_log_that_ends_or_never_says_started_is_a_failure() {
    for ended in [Ended::Success, Ended::TimedOut, Ended::Failed("exit status 1".to_owned())] {
        let mut host = machine();
        host.programs[3] = ("docker logs", ended, "Starting\nCalico node started successfully?\n");
        let outcome = run_on("", NodeDatastore::EtcdV2(etcd()), &host);
        let tail =
            "successfully?\nError executing command: calico/node has terminated, check logs for details\n";
        assert!(outcome.stdout.ends_with(tail), "{}", outcome.stdout);
        assert_eq!(outcome.exit, ExitCode::FAILURE);
    }
    let mut host = machine();
    host.programs.pop();
    let outcome = run_on("", NodeDatastore::EtcdV2(etcd()), &host);
    let tail = "Error executing command: error reading calico/node logs, check logs for details\n";
    assert!(outcome.stdout.ends_with(tail), "{}", outcome.stdout);
}
