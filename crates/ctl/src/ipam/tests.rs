//! `margay ipam` in this process, on a keyspace in memory.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::time::{Duration, SystemTime};

use margay_store::MemoryKv;
use margay_store::kv::{Kv as _, Precondition};

use crate::{ExitCode, Invocation, Program, run_on_memory};

fn now() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000)
}

fn run(kv: &MemoryKv, program: Program, line: &str) -> (String, String, u8) {
    let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
    let ExitCode(exit) = run_on_memory(
        &mut Invocation {
            args: line.split(' ').map(OsString::from).collect(),
            env: BTreeMap::from([("ETCD_AUTHORITY".to_owned(), OsString::from("127.0.0.1:2379"))]),
            cwd: "/".into(),
            stdin: &mut std::io::empty(),
            stdout: &mut stdout,
            stderr: &mut stderr,
            stderr_is_terminal: false,
            stdout_is_terminal: false,
            now,
            random: |bytes| bytes.fill(7),
        },
        program,
        kv.clone(),
    );
    let text = |bytes| String::from_utf8(bytes).expect("text");
    (text(stdout), text(stderr), exit)
}

fn margay(kv: &MemoryKv, line: &str) -> (String, u8) {
    let (stdout, stderr, exit) = run(kv, Program::Margay, line);
    assert!(stderr.is_empty() || stderr.starts_with("hint: "), "{stderr}");
    (stdout, exit)
}

/// One pool of two blocks: one of host `a` with three addresses, one of them an endpoint's; and a pool out of use.
fn world() -> MemoryKv {
    let kv = MemoryKv::new();
    let free: Vec<String> = (3..64).map(|ordinal| ordinal.to_string()).collect();
    let block = format!(
        r#"{{"cidr":"10.0.0.0/26","affinity":"host:a","strictAffinity":false,"allocations":[0,1,2,{}],"unallocated":[{}],"attributes":[{{"handle_id":"net.c1","secondary":{{"node":"a"}}}},{{"handle_id":"net.c2","secondary":{{"node":"b","timestamp":"1970-01-01 00:00:01 +0000 UTC"}}}},{{"handle_id":null,"secondary":null}}]}}"#,
        ["null"; 61].join(","),
        free.join(",")
    );
    for (key, value) in [
        ("/calico/v1/ipam/v4/pool/10.0.0.0-25", r#"{"cidr":"10.0.0.0/25"}"#),
        ("/calico/v1/ipam/v4/pool/10.1.0.0-24", r#"{"cidr":"10.1.0.0/24","disabled":true}"#),
        ("/calico/ipam/v2/assignment/ipv4/block/10.0.0.0-26", &block),
        ("/calico/ipam/v2/host/a/ipv4/block/10.0.0.0-26", "{}"),
        ("/calico/ipam/v2/handle/net.c1", r#"{"block":{"10.0.0.0/26":1}}"#),
        ("/calico/ipam/v2/handle/net.c2", r#"{"block":{"10.0.0.0/26":1}}"#),
        (
            "/calico/v1/host/a/workload/cni/c1/endpoint/eth0",
            r#"{"state":"active","name":"cali1","mac":null,"profile_ids":[],"ipv4_nets":["10.0.0.0/32"],"ipv6_nets":[]}"#,
        ),
    ] {
        put(&kv, key, value);
    }
    kv
}

fn put(kv: &MemoryKv, key: &str, value: &str) {
    let runtime = crate::session::runtime();
    runtime.block_on(kv.put(key, value, Precondition::None, None)).expect("memory takes every key");
}

#[test]
fn show_draws_the_use_of_pools_blocks_hosts_and_handles() {
    let kv = world();
    let pools = "\
GROUPING   CIDR          IPS TOTAL   IPS IN USE   IPS FREE   USED                        HOST
IP Pool    10.0.0.0/25   128         3            125        [#...................] 2%
IP Pool    10.1.0.0/24   256         0            256        [....................] 0%   disabled
";
    assert_eq!(margay(&kv, "ipam show"), (pools.to_owned(), 0));
    let blocks =
        "Block      10.0.0.0/26   64          3            61         [#...................] 4%   a\n";
    assert!(margay(&kv, "ipam show --show-blocks").0.contains(blocks));
    let both = "\
HOST   BLOCKS   IPS TOTAL   IPS IN USE   BORROWED   USED
a      1        64          3            0          [#...................] 4%
b      0        0           0            1          [....................] 0%

HANDLE   IPS
net.c1   10.0.0.0
net.c2   10.0.0.1
<none>   10.0.0.2
";
    assert_eq!(margay(&kv, "ipam show --by-host --by-handle"), (both.to_owned(), 0));
    assert_eq!(margay(&kv, "ipam show --ip=10.0.0.0"), ("map[node:a]\n".to_owned(), 0));
}

#[test]
fn check_says_what_is_wrong_and_fix_repairs_it() {
    let kv = world();
    put(&kv, "/calico/ipam/v2/host/b/ipv4/block/10.0.0.0-26", "{}");
    let found = "\
10.0.0.1 is assigned to net.c2, and no endpoint has it
10.0.0.2 is assigned, and no endpoint has it
b claims the block 10.0.0.0/26 of a
Check complete; found 3 problems.
";
    assert_eq!(margay(&kv, "ipam check"), (found.to_owned(), 0));
    assert_eq!(margay(&kv, "ipam check --exit-code").1, 1);
    let (would, exit) = margay(&kv, "ipam check --fix --dry-run");
    assert!(would.contains("  would release 10.0.0.1\n"), "{would}");
    assert_eq!(exit, 0);
    assert_eq!(margay(&kv, "ipam check"), (found.to_owned(), 0));
    let (done, exit) = margay(&kv, "ipam check --fix --grace=0 --exit-code");
    assert!(done.contains("  done: remove the claim of b on 10.0.0.0/26\n"), "{done}");
    assert!(done.ends_with("Check complete; found 3 problems, repaired 3.\n"), "{done}");
    assert_eq!(exit, 0);
    let sound = "Check complete; found 0 problems.\n".to_owned();
    assert_eq!(margay(&kv, "ipam check --exit-code"), (sound, 0));
    // What two endpoints share is for a person to decide.
    let shared = r#"{"state":"active","name":"cali2","mac":null,"profile_ids":[],"ipv4_nets":["10.0.0.0/32"],"ipv6_nets":[]}"#;
    put(&kv, "/calico/v1/host/b/workload/cni/c9/endpoint/eth0", shared);
    let (told, exit) = margay(&kv, "ipam check --fix --exit-code");
    assert!(told.contains("  needs a person to decide\n") && exit == 1, "{told}");
}

#[test]
fn a_handle_is_released_whole() {
    let kv = world();
    let released = "Successfully released IP address 10.0.0.1\n".to_owned();
    assert_eq!(margay(&kv, "ipam release --handle=net.c2"), (released, 0));
    assert_eq!(margay(&kv, "ipam release --handle=net.c2"), ("There is no handle net.c2\n".to_owned(), 1));
    let released = "Successfully released IP address 10.0.0.0\n".to_owned();
    assert_eq!(margay(&kv, "ipam release --ip=10.0.0.0"), (released, 0));
}

#[test]
fn calicoctl_has_upstreams_two_commands_alone() {
    let kv = world();
    for line in ["ipam show", "ipam show --by-host", "ipam release --handle=net.c1"] {
        let (stdout, _, exit) = run(&kv, Program::Calicoctl, line);
        assert_eq!(exit, 1, "{line}");
        assert!(stdout.starts_with(&format!("Invalid option: 'calicoctl {line}'.")), "{stdout}");
    }
    assert_eq!(run(&kv, Program::Calicoctl, "ipam check").2, 1);
    assert_eq!(run(&kv, Program::Calicoctl, "ipam show --ip=10.0.0.0").0, "map[node:a]\n");
    let (_, stderr, exit) = run(&kv, Program::Margay, "ipam check --dry-run");
    assert!(stderr.ends_with("hint: --dry-run goes with --fix\n") && exit == 1, "{stderr}");
    let (_, stderr, _) = run(&kv, Program::Margay, "ipam show --ip=10.0.0.0 --by-host");
    assert!(stderr.contains("hint: --ip cannot be combined with --by-host"), "{stderr}");
}
