//! Kernels old and new, with modules in every place.

use super::*;
use crate::grammar::command::NodeCommand;
use crate::node::tests::{FakeHost, Outcome, outcome};

const DEP: &str = "/lib/modules/6.1.0-18-amd64/modules.dep";
const BUILT_IN: &str = "/lib/modules/6.1.0-18-amd64/modules.builtin";

fn check(host: &FakeHost) -> Outcome {
    outcome(&NodeCommand::CheckSystem, host)
}

#[test]
fn a_complete_system_passes() {
    for files in [
        [
            (DEP, "kernel/net/netfilter/xt_set.ko: kernel/net/ipset/ip_set.ko\n"),
            (BUILT_IN, "kernel/net/ipv6/netfilter/ip6_tables.ko\n"),
        ],
        [
            (DEP, "kernel/net/ipv6/netfilter/ip6_tables.ko.xz:\n"),
            ("/proc/modules", "xt_set 20480 2 - Live 0x0\nip_set 1 1 xt_set, Live 0x0\n"),
        ],
    ] {
        assert_eq!(
            check(&FakeHost::new().with_files(&files)),
            Outcome {
                exit: ExitCode::SUCCESS,
                stdout: "\
Checking kernel version...
\t\t6.1.0-18-amd64      \t\t\t\t\tOK
Checking kernel modules...
\t\txt_set              \t\t\t\t\tOK
\t\tip6_tables          \t\t\t\t\tOK
System meets minimum system requirements to run Calico!
"
                .to_owned(),
                stderr: String::new(),
            }
        );
    }
}

#[test]
fn without_ip6_tables_only_ipv6_is_lost() {
    let host = FakeHost::new().with_files(&[(DEP, "kernel/net/netfilter/xt_set.ko:\n")]);
    assert_eq!(
        check(&host),
        Outcome {
            exit: ExitCode::SUCCESS,
            stdout: "\
Checking kernel version...
\t\t6.1.0-18-amd64      \t\t\t\t\tOK
Checking kernel modules...
\t\txt_set              \t\t\t\t\tOK
WARNING: Unable to detect the ip6_tables module as Loaded/Builtin module or lsmod
\t\tip6_tables          \t\t\t\t\tFAIL
WARNING: IPv6 will be unavailable as ip6_tables kernel module is not found
System meets minimum system requirements to run Calico!
"
            .to_owned(),
            stderr: String::new(),
        }
    );
}

#[test]
fn without_xt_set_the_system_fails() {
    // A module that only uses the name does not count.
    let host = FakeHost::new().with_files(&[
        (BUILT_IN, "kernel/net/ipv6/netfilter/ip6_tables.ko\n"),
        ("/proc/modules", "ip_set 1 1 xt_set, Live 0x0\n"),
    ]);
    let outcome = check(&host);
    assert!(
        outcome.stdout.ends_with(
            "\t\tip6_tables          \t\t\t\t\tOK\n\
             System doesn't meet one or more minimum systems requirements to run Calico\n"
        ),
        "{}",
        outcome.stdout
    );
    assert_eq!(outcome.exit, ExitCode::FAILURE);
}

#[test]
fn an_old_kernel_fails_and_its_modules_are_looked_for_all_the_same() {
    let host = FakeHost { release: "2.6.18-el5".to_owned(), ..FakeHost::new() }
        .with_files(&[("/proc/modules", "xt_set\nip6_tables\n")]);
    assert_eq!(
        check(&host),
        Outcome {
            exit: ExitCode::FAILURE,
            stdout: "\
Checking kernel version...
\t\t2.6.18-el5          \t\t\t\t\tFAIL
Minimum kernel version to run Calico is 2.6.24. Detected kernel version: 2.6.18-el5
Checking kernel modules...
\t\txt_set              \t\t\t\t\tOK
\t\tip6_tables          \t\t\t\t\tOK
System doesn't meet one or more minimum systems requirements to run Calico
"
            .to_owned(),
            stderr: String::new(),
        }
    );
}

#[test]
fn versions_compare_number_by_number() {
    for (release, recent) in [
        ("2.6.24", true),
        ("2.6.9", false),
        ("2.10.1", true),
        ("3.0", true),
        ("2.6", false),
        ("10.0-rc1+", true),
        ("", false),
    ] {
        assert_eq!(numbers(release) >= numbers(LEAST), recent, "{release}");
    }
}
