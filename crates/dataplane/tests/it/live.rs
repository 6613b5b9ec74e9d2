//! On the kernel of a throw-away host.

use std::time::{Duration, Instant};

use margay_dataplane::{Config, Dataplane, Guard, LiveMachine, Report};
use margay_kernel::nft::{Detail, Nftables, TableId};
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
