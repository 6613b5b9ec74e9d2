//! Other programs in our table, requests that are too long, kernels that say no: what there is only on the kernel.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use margay_kernel::nft::{
    CommitError, Detail, Element, Field, Monitor, Nft, Nftables, Notice, Table, TableId, Touched, Value,
    Verdict,
};
use margay_kernel::{Errno, SocketError};

use super::build::{batch, iface, name, open, point, regular, rule, set, table, table_batch, verdicts};
use super::tool;
use crate::isolated::in_isolation;

/// Reads until something was told, at most ten seconds.
fn next(monitor: &mut Monitor) -> Notice {
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        if let Some(notice) = monitor.read().expect("a working socket") {
            return notice;
        }
        let left = deadline.saturating_duration_since(Instant::now());
        assert!(!left.is_zero(), "nothing was told");
        let left = rustix::event::Timespec::try_from(left).expect("short");
        let mut wait = [rustix::event::PollFd::new(monitor, rustix::event::PollFlags::IN)];
        rustix::event::poll(&mut wait, Some(&left)).expect("waiting");
    }
}

#[test]
fn what_others_change_is_told_and_what_we_change_is_not() {
    let test = "nft::others::what_others_change_is_told_and_what_we_change_is_not";
    if tool::is_missing(test) {
        return;
    }
    in_isolation(test, || {
        let mut nft = open();
        let mut monitor = Monitor::open(nft.port()).expect("a monitor");
        let mut ours = table_batch();
        ours.add_chain(&regular("c"));
        ours.add_rule(&name("c"), &rule([margay_kernel::nft::Statement::Counter]));
        ours.add_set(&set("s", Field::Ipv4Addr));
        ours.add_set(&verdicts("m", Field::IfName));
        ours.add_elements(&name("m"), [Element::verdict(iface("eth0").into(), Verdict::Drop)]);
        nft.commit(&mut ours).expect("done");
        assert_eq!(monitor.read(), Ok(None));

        tool::load(
            "add element inet t s { 10.0.0.1 }; flush chain inet t c; add chain inet t d; delete map inet t m",
        );
        let Notice::Changed(changed) = next(&mut monitor) else { panic!("an overrun") };
        assert_eq!(changed.len(), 1, "{changed:?}");
        assert_eq!((&changed[0].table, changed[0].program.as_str()), (&table(), "nft"));
        assert_eq!(Ok(changed[0].generation), nft.generation());
        let expected = [
            Touched::Chain(name("d")),
            Touched::Rules(name("c")),
            Touched::Set(name("m")),
            Touched::Elements(name("s")),
        ];
        let touched: BTreeSet<_> = changed[0].touched.iter().cloned().collect();
        assert!(touched.is_superset(&BTreeSet::from(expected)), "{touched:?}");
        assert!(!touched.contains(&Touched::Table));

        tool::load("flush ruleset");
        let Notice::Changed(changed) = next(&mut monitor) else { panic!("an overrun") };
        assert!(changed[0].touched.contains(&Touched::Table), "{changed:?}");
        assert_eq!(nft.dump(&table(), Detail::Full).expect("a dump").contents, None);
    });
}

#[test]
fn lost_notifications_are_told() {
    in_isolation("nft::others::lost_notifications_are_told", || {
        let mut nft = open();
        let mut monitor = Monitor::open(0).expect("a monitor");
        let mut change = table_batch();
        change.add_set(&set("s", Field::Ipv4Addr));
        nft.commit(&mut change).expect("done");
        let elements: Vec<_> =
            (0..1_000_u32).map(|number| Element::point(Value::V4(number.into()).into())).collect();
        for _ in 0..40 {
            let mut change = batch();
            change.add_elements(&name("s"), &elements);
            change.flush_set(&name("s"));
            nft.commit(&mut change).expect("done");
        }
        let mut overrun = false;
        while let Some(notice) = monitor.read().expect("a working socket") {
            overrun |= notice == Notice::Overrun;
        }
        assert!(overrun, "80000 notifications fit nowhere");
        let mut change = batch();
        change.add_chain(&regular("later"));
        nft.commit(&mut change).expect("done");
        assert!(matches!(next(&mut monitor), Notice::Changed(_)), "it goes on");
    });
}

#[test]
fn a_table_of_ours_is_safe_from_others_where_the_kernel_can() {
    let test = "nft::others::a_table_of_ours_is_safe_from_others_where_the_kernel_can";
    in_isolation(test, || {
        let mut nft = open();
        let features = nft.features();
        if !features.persist {
            println!("SKIPPED: {test} needs Linux 6.9");
            return;
        }
        let mut ours = batch();
        ours.add_table(&Table { owned: true, ..Table::new(table()) });
        ours.add_chain(&regular("c"));
        nft.commit(&mut ours).expect("done");
        let mut other = open();
        let mut theirs = batch();
        theirs.delete_chain(&name("c"));
        assert!(matches!(other.commit(&mut theirs), Err(CommitError::Refused(_))));
        let contents = nft.dump(&table(), Detail::Full).expect("a dump").contents.expect("a table");
        assert!(contents.owned);
        drop(nft);
        // It stays when its owner goes.
        assert!(other.dump(&table(), Detail::Full).expect("a dump").contents.is_some());
    });
}

#[test]
fn the_probe_leaves_nothing_behind() {
    in_isolation("nft::others::the_probe_leaves_nothing_behind", || {
        let mut nft = open();
        for table in ["margay-probe", "margay-probe-owned"] {
            let id = TableId::inet(name(table));
            assert_eq!(nft.dump(&id, Detail::Full).expect("a dump").contents, None);
        }
        let features = nft.features();
        assert!(features.inet_nat && features.fib, "{features:?}");
    });
}

#[test]
fn a_batch_that_is_too_long_is_an_error_or_done() {
    in_isolation("nft::others::a_batch_that_is_too_long_is_an_error_or_done", || {
        let mut nft = open();
        let mut long = table_batch();
        long.add_set(&set("s", Field::Ipv4Addr));
        let elements = (0..200_000_u32).map(|number| Element::point(Value::V4(number.into()).into()));
        long.add_elements(&name("s"), elements);
        // Only the host's root may enlarge the buffer beyond a bound; inside a user namespace nobody is.
        match nft.commit(&mut long) {
            Ok(()) => {}
            Err(CommitError::Socket { source: SocketError::TooLong { .. }, .. }) => {}
            other => panic!("{other:?}"),
        }
        let mut short = table_batch();
        short.add_set(&set("s", Field::Ipv4Addr));
        short.add_elements(&name("s"), [point("1.2.3.4")]);
        nft.commit(&mut short).expect("the socket still works");
    });
}

#[test]
fn who_may_not_is_told_so() {
    in_isolation("nft::others::who_may_not_is_told_so", || {
        let none = rustix::thread::CapabilitySets {
            effective: rustix::thread::CapabilitySet::empty(),
            permitted: rustix::thread::CapabilitySet::empty(),
            inheritable: rustix::thread::CapabilitySet::empty(),
        };
        rustix::thread::set_capabilities(None, none).expect("rights can be given away");
        let error = Nft::open(Duration::from_secs(5)).map(drop).expect_err("no rights");
        assert_eq!(error, SocketError::Refused(Errno::PERM));
    });
}
