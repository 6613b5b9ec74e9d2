//! On the kernel of a throw-away host.

use std::time::{Duration, Instant};

use margay_dataplane::{Config, Dataplane, Guard, LiveMachine, Report};
use margay_kernel::nft::{Detail, Monitor, Nftables, TableId};
use margay_testkit::policy_world::Choices;

use crate::isolated::in_isolation;
use crate::world::World;

fn open() -> LiveMachine {
    LiveMachine::open(Duration::from_secs(10)).expect("the kernel of this namespace")
}

fn start(config: &Config) -> Dataplane<LiveMachine> {
    Dataplane::new(config.clone(), open())
}

/// The table as the `nft` tool would show it.
fn table(dataplane: &mut Dataplane<LiveMachine>) -> String {
    let id = TableId::inet("calico".parse().expect("a name"));
    let dump = dataplane.machine().tables.dump(&id, Detail::Full).expect("a listing");
    dump.contents.map(|contents| contents.to_string()).unwrap_or_default()
}

fn commit(dataplane: &mut Dataplane<LiveMachine>) -> Report {
    let report = dataplane.commit(Instant::now());
    assert!(report.errors.is_empty(), "{:#?}\n{}", report.errors, table(dataplane));
    report
}

#[test]
fn random_changes_end_as_a_fresh_start_and_a_restart_writes_nothing() {
    in_isolation("live::random_changes_end_as_a_fresh_start_and_a_restart_writes_nothing", || {
        let config = Config::default();
        for seed in 0..4 {
            let mut choices = Choices::new(seed);
            let mut world = World::new();
            let mut dataplane = start(&config);
            dataplane.update(world.changes());
            dataplane.in_sync();
            commit(&mut dataplane);
            for step in 0..25 {
                world.stir(&mut choices, 6);
                dataplane.update(world.changes());
                commit(&mut dataplane);
                assert!(
                    dataplane.quarantine().iter().all(|q| !q.why.contains("kernel")),
                    "{:?}",
                    dataplane.quarantine()
                );
                let mut fresh = start(&config);
                fresh.update(world.everything());
                fresh.in_sync();
                let before = table(&mut dataplane);
                let report = commit(&mut fresh);
                let after = table(&mut fresh);
                assert!(
                    !report.wrote(),
                    "seed {seed} step {step}: {report:?}\n--- before\n{before}\n--- after\n{after}"
                );
            }
        }
    });
}

#[test]
fn the_guard_is_loaded_on_an_empty_host_and_replaced_in_one_batch() {
    in_isolation("live::the_guard_is_loaded_on_an_empty_host_and_replaced_in_one_batch", || {
        let mut dataplane = start(&Config::default());
        assert_eq!(dataplane.guard().expect("the kernel takes it"), Guard::Loaded);
        assert!(table(&mut dataplane).contains("policy is not known yet"));
        assert!(!dataplane.commit(Instant::now()).wrote(), "nothing before in-sync");
        dataplane.in_sync();
        commit(&mut dataplane);
        let table = table(&mut dataplane);
        assert!(!table.contains("guard_new") && table.contains("unknown workload interface"), "{table}");
        assert_eq!(dataplane.guard().expect("a listing"), Guard::TableStands);
    });
}

/// What the `nft` tool does, which is not us.
fn tool(line: &str) {
    let status = std::process::Command::new("nft").arg(line).status().expect("the nft tool is there");
    assert!(status.success(), "nft {line}");
}

#[test]
fn what_the_tool_does_to_our_table_is_told_and_undone() {
    in_isolation("live::what_the_tool_does_to_our_table_is_told_and_undone", || {
        let mut world = World::new();
        world.stir(&mut Choices::new(1), 60);
        let mut dataplane = start(&Config::default());
        let mut monitor = Monitor::open(dataplane.machine().tables.port()).expect("a monitor");
        dataplane.update(world.changes());
        dataplane.in_sync();
        commit(&mut dataplane);
        assert_eq!(monitor.read().expect("a monitor"), None, "what we do ourselves is not told");
        let sealless =
            |text: String| text.lines().filter(|line| !line.contains("{ 0x")).collect::<Vec<_>>().join("\n");
        let wanted = sealless(table(&mut dataplane));
        let attacks = [
            "flush table inet calico",
            "delete table inet calico",
            "flush ruleset",
            "insert rule inet calico from_wl accept",
            "flush chain inet calico antispoof",
            "add element inet calico wl_from { \"cali77\" : accept }",
            "delete element inet calico fs_in { tcp . 22 }",
            "add chain inet calico stranger",
        ];
        let mut clock = Instant::now();
        for attack in attacks {
            tool(attack);
            let deadline = Instant::now() + Duration::from_secs(5);
            let notice = loop {
                if let Some(notice) = monitor.read().expect("a monitor") {
                    break notice;
                }
                assert!(Instant::now() < deadline, "{attack} was not told");
                std::thread::sleep(Duration::from_millis(1));
            };
            dataplane.nft_event(&notice);
            // Looks at the table are some time apart.
            clock += Duration::from_secs(1);
            let report = dataplane.commit(clock);
            assert!(report.errors.is_empty() && !report.drift.is_empty(), "{attack}: {report:?}");
            assert_eq!(sealless(table(&mut dataplane)), wanted, "{attack}");
        }
        tool("add table inet somebody");
        let deadline = Instant::now() + Duration::from_secs(5);
        while Instant::now() < deadline {
            if let Some(notice) = monitor.read().expect("a monitor") {
                dataplane.nft_event(&notice);
                break;
            }
        }
        assert!(!dataplane.is_pending(), "others' tables are theirs");
    });
}

#[test]
fn a_restart_beside_other_programs_changes_writes_nothing() {
    in_isolation("live::a_restart_beside_other_programs_changes_writes_nothing", || {
        let mut world = World::new();
        world.stir(&mut Choices::new(2), 60);
        let mut dataplane = start(&Config::default());
        dataplane.update(world.changes());
        dataplane.in_sync();
        commit(&mut dataplane);
        dataplane.commit(Instant::now() + Duration::from_secs(1));
        drop(dataplane);
        for quiet in [true, false] {
            if !quiet {
                tool("add table inet somebody");
            }
            let mut again = start(&Config::default());
            again.update(world.everything());
            again.in_sync();
            let report = commit(&mut again);
            assert!(!report.wrote(), "{report:?}");
        }
    });
}
