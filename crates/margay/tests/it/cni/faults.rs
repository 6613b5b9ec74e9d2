//! The plugin dies, fails, or loses its datastore at every step: nothing is left, and no address is held twice.

use std::collections::BTreeSet;
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use margay_cni::fault;
use margay_testkit::lab::enclosed;
use serde_json::Value;

use super::bench::{Bench, run_on_both};
use super::host::{Answer, links};
use super::store::Store;

/// How long a process may take to reach a point.
const DEADLINE: Duration = Duration::from_secs(30);

/// Waits until a process has stopped itself.
fn wait_until_stopped(child: &Child) {
    let end = Instant::now() + DEADLINE;
    let state = || {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", child.id())).unwrap_or_default();
        stat.rsplit_once(") ").and_then(|(_, rest)| rest.chars().next())
    };
    while state() != Some('T') {
        assert!(!matches!(state(), Some('Z') | None), "it ended before it reached the point");
        assert!(Instant::now() < end, "it never reached the point");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Waits for a process to end; one that does not is killed.
fn answer_of(mut child: Child) -> Answer {
    let end = Instant::now() + DEADLINE;
    while child.try_wait().expect("waiting for the plugin").is_none() && Instant::now() < end {
        std::thread::sleep(Duration::from_millis(2));
    }
    // Ended or not: it cannot matter any more.
    let _ = child.kill();
    Answer::of(&child.wait_with_output().expect("its end"))
}

fn resume(child: &Child) {
    send(child, "-CONT");
}

fn send(child: &Child, signal: &str) {
    let status =
        Command::new("kill").args([signal, &child.id().to_string()]).status().expect("starting kill");
    assert!(status.success());
}

/// A signal has no exit status.
const KILLED: Option<i32> = None;

#[test]
fn whatever_kills_add_del_leaves_nothing() {
    run_on_both("cni::faults::whatever_kills_add_del_leaves_nothing", |bench| {
        for point in fault::ADD {
            let answer = bench.call_with("ADD", "c1", &format!("kill:{point}"));
            assert_eq!(answer.exit, KILLED, "{point}: {answer:?}");
            bench.succeed("DEL", "c1");
            bench.assert_clean(&format!("a kill at {point}"));
        }
    });
}

#[test]
fn whatever_kills_add_a_second_add_works() {
    run_on_both("cni::faults::whatever_kills_add_a_second_add_works", |bench| {
        for point in fault::ADD {
            assert_eq!(bench.call_with("ADD", "c1", &format!("kill:{point}")).exit, KILLED, "{point}");
            let added = bench.succeed("ADD", "c1");
            assert!(added["ips"][0]["address"].is_string(), "{point}: {added}");
            bench.succeed("DEL", "c1");
            bench.assert_clean(&format!("a kill at {point}, and ADD again"));
        }
    });
}

#[test]
fn whatever_kills_del_the_next_leaves_nothing() {
    run_on_both("cni::faults::whatever_kills_del_the_next_leaves_nothing", |bench| {
        for point in fault::DEL {
            bench.succeed("ADD", "c1");
            let answer = bench.call_with("DEL", "c1", &format!("kill:{point}"));
            assert_eq!(answer.exit, KILLED, "{point}: {answer:?}");
            bench.succeed("DEL", "c1");
            bench.assert_clean(&format!("a kill at {point}"));
        }
    });
}

#[test]
fn an_add_that_fails_takes_everything_back() {
    run_on_both("cni::faults::an_add_that_fails_takes_everything_back", |bench| {
        for point in fault::ADD {
            let answer = bench.call_with("ADD", "c1", &format!("fail:{point}"));
            assert_eq!(answer.exit, Some(1), "{point}: {answer:?}");
            assert!(answer.stdout["code"].is_u64() && answer.stdout["cniVersion"] == "1.0.0", "{answer:?}");
            bench.assert_clean(&format!("a failure at {point}"));
        }
        bench.succeed("ADD", "c1");
        bench.succeed("DEL", "c1");
    });
}

#[test]
fn an_add_that_is_told_to_end_takes_everything_back() {
    run_on_both("cni::faults::an_add_that_is_told_to_end_takes_everything_back", |bench| {
        // Before the first of these the plugin has not begun to listen, and has done nothing.
        for point in &fault::ADD[1..] {
            let child = bench.start("ADD", "c1", &format!("stop:{point}"));
            wait_until_stopped(&child);
            send(&child, "-TERM");
            send(&child, "-CONT");
            let answer = answer_of(child);
            assert_eq!(answer.stdout["msg"], "ADD was ended by a signal", "{point}: {answer:?}");
            bench.assert_clean(&format!("a signal at {point}"));
        }
    });
}

#[test]
fn add_without_its_datastore_fails_and_del_cleans_up_later() {
    run_on_both("cni::faults::add_without_its_datastore_fails_and_del_cleans_up_later", |bench| {
        for point in fault::ADD {
            let child = bench.start("ADD", "c1", &format!("stop:{point}"));
            wait_until_stopped(&child);
            bench.store.stop();
            resume(&child);
            let answer = answer_of(child);
            // The embedded store stays open in a process that has opened it, and all is written at the end.
            assert!(matches!(answer.exit, Some(0 | 1)), "{point}: {answer:?}");
            bench.succeed("DEL", "c1");
            bench.store.start();
            // Whoever comes next works off what had to wait.
            bench.succeed("ADD", "c2");
            bench.succeed("DEL", "c2");
            bench.assert_clean(&format!("the datastore went at {point}"));
        }
    });
}

#[test]
fn del_without_its_datastore_succeeds_and_is_done_later() {
    run_on_both("cni::faults::del_without_its_datastore_succeeds_and_is_done_later", |bench| {
        for point in fault::DEL {
            bench.succeed("ADD", "c1");
            let child = bench.start("DEL", "c1", &format!("stop:{point}"));
            wait_until_stopped(&child);
            bench.store.stop();
            resume(&child);
            let answer = answer_of(child);
            assert_eq!(answer.exit, Some(0), "{point}: {answer:?}");
            assert_eq!(answer.stdout, Value::Null, "DEL says nothing");
            let names: Vec<_> = links(&[]).into_iter().filter(|link| link["ifname"] == "calic1").collect();
            assert!(names.is_empty(), "{point}: the interface goes at once");
            bench.store.start();
            bench.succeed("DEL", "another");
            bench.assert_clean(&format!("the datastore went at {point}"));
        }
    });
}

#[test]
fn a_full_disk_fails_add_and_del_is_done_when_there_is_room() {
    if !enclosed("cni::faults::a_full_disk_fails_add_and_del_is_done_when_there_is_room") {
        return;
    }
    let mut bench = Bench::new(Store::on_small_disk);
    bench.succeed("ADD", "c1");
    bench.store.fill_disk(true);
    let full = bench.call("ADD", "c2");
    assert_eq!(full.exit, Some(1), "{full:?}");
    bench.succeed("DEL", "c2");
    bench.succeed("DEL", "c1");
    bench.store.fill_disk(false);
    bench.succeed("ADD", "c3");
    bench.succeed("DEL", "c3");
    bench.assert_clean("a full disk");
}

#[test]
fn a_container_added_again_before_its_release_was_done_keeps_its_new_address() {
    run_on_both(
        "cni::faults::a_container_added_again_before_its_release_was_done_keeps_its_new_address",
        |bench| {
            bench.succeed("ADD", "c1");
            bench.store.stop();
            bench.succeed("DEL", "c1");
            assert_eq!(bench.call("ADD", "c2").exit, Some(1));
            bench.store.start();
            let address = bench.succeed("ADD", "c1")["ips"][0]["address"].clone();
            bench.succeed("ADD", "c3");
            let dump = bench.store.dump("/calico/v1/host/h1/workload/cni/c1").expect("it is up");
            let endpoint = dump.values().next().expect("the endpoint");
            assert!(endpoint.contains(address.as_str().expect("an address")), "{endpoint}");
            for container in ["c1", "c3"] {
                bench.succeed("DEL", container);
            }
            bench.assert_clean("all");
        },
    );
}

#[test]
fn two_adds_of_one_container_at_once_are_one() {
    run_on_both("cni::faults::two_adds_of_one_container_at_once_are_one", |bench| {
        for round in 0..5 {
            let container = format!("c{round}");
            let children: Vec<Child> = (0..4).map(|_| bench.start("ADD", &container, "")).collect();
            let mut addresses = BTreeSet::new();
            for child in children {
                let answer = answer_of(child);
                assert_eq!(answer.exit, Some(0), "{answer:?}");
                addresses.insert(answer.stdout["ips"][0]["address"].to_string());
            }
            assert_eq!(addresses.len(), 1, "{addresses:?}");
            bench.succeed("DEL", &container);
            bench.assert_clean("one of four");
        }
    });
}

#[test]
fn two_hundred_containers_come_and_go_side_by_side() {
    run_on_both("cni::faults::two_hundred_containers_come_and_go_side_by_side", |bench| {
        let names: Vec<String> = (0..200).map(|number| format!("many{number}")).collect();
        let mut addresses = BTreeSet::new();
        for group in names.chunks(200) {
            let children: Vec<Child> = group.iter().map(|name| bench.start("ADD", name, "")).collect();
            for child in children {
                let answer = answer_of(child);
                assert_eq!(answer.exit, Some(0), "{answer:?}");
                assert!(addresses.insert(answer.stdout["ips"][0]["address"].to_string()), "held twice");
            }
        }
        assert_eq!(addresses.len(), 200);
        for group in names.chunks(200) {
            let children: Vec<Child> = group.iter().map(|name| bench.start("DEL", name, "")).collect();
            for child in children {
                let answer = answer_of(child);
                assert_eq!(answer.exit, Some(0), "{answer:?}");
            }
        }
        bench.assert_clean("two hundred");
    });
}

#[test]
fn after_a_reboot_del_finds_everything_by_name() {
    run_on_both("cni::faults::after_a_reboot_del_finds_everything_by_name", |bench| {
        for container in ["c1", "c2"] {
            bench.succeed("ADD", container);
            bench.host.kill_container(container);
        }
        std::fs::remove_dir_all("/run/calico").expect("what a reboot forgets");
        for (container, netns) in [("c1", "/var/run/netns/gone"), ("c2", "")] {
            let env = bench.env("DEL", container, netns);
            let answer = bench.host.run("calico", &env, &bench.conf.to_string());
            assert_eq!((answer.exit, &answer.stdout), (Some(0), &Value::Null), "{answer:?}");
        }
        bench.assert_clean("a reboot");
    });
}
