//! On fakes of everything: thousands of histories, with faults at every place.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use margay_dataplane::{Config, Dataplane, Parts, Report};
use margay_kernel::nft::{
    Batch, Contents, Element, Fake, Fault, Features, Key, Notice, Owner, Rule, Statement, TableId, Value,
    Verdict,
};
use margay_kernel::{
    Address, Errno, FakeFlows, FakeNetwork, FakeSysctls, LinkChange, Request, Rtnetlink, Veth, VethEnd,
};
use margay_net::{Cidr, IfName};
use margay_policy::evaluate::{Icmp, Packet, Path, Settings, Tracking, Verdict as Judgement, World as Host};
use margay_testkit::policy_world::Choices;

use crate::walk::Walker;
use crate::world::World;

pub(crate) type FakeMachine = Parts<Fake, FakeNetwork, FakeSysctls, FakeFlows>;

const HOST: [(&str, [&str; 2]); 2] =
    [("eth0", ["172.17.0.2", "fd17::2"]), ("eth1", ["192.168.77.2", "fd77::2"])];

/// A host with two interfaces, workload interfaces cali0 to cali3, and all their settings.
pub(crate) fn machine() -> FakeMachine {
    let mut network = FakeNetwork::new();
    for (name, addresses) in HOST {
        let index = network.add_hardware(name.parse().expect("a name"));
        let add = |text: &str| {
            Request::AddAddress(Address::new(index, Cidr::host(text.parse::<IpAddr>().expect("an address"))))
        };
        for outcome in network.submit(&addresses.map(add)).expect("a fake") {
            outcome.expect("an address more");
        }
    }
    let mut settings = FakeSysctls::default();
    for number in 0..4 {
        let name: IfName = format!("cali{number}").parse().expect("a name");
        plug(&mut network, name);
        for setting in margay_wiring::HOST_SETTINGS {
            settings.put(setting.sysctl(&name), "?");
        }
    }
    Parts { tables: Fake::new(Features::all()), network, settings, flows: FakeFlows::default() }
}

/// Adds a workload's interface, up at both ends.
pub(crate) fn plug(network: &mut FakeNetwork, name: IfName) {
    let end = |name: IfName| VethEnd { name, mac: None };
    let far = format!("far{name}").replace("cali", "").parse().expect("a name");
    let veth =
        Veth { near: end(name), far: end(far), far_namespace: None, near_up: true, mtu: None, queues: None };
    let outcome = network.submit(&[Request::AddVeth(veth)]).expect("a fake").remove(0);
    outcome.expect("a pair more");
    let far = network.link(far.into()).expect("a fake").expect("the far end").index;
    let up = LinkChange { up: Some(true), ..LinkChange::default() };
    network.submit(&[Request::ChangeLink(far, up)]).expect("a fake").remove(0).expect("a change");
}

pub(crate) fn id() -> TableId {
    TableId::inet("calico".parse().expect("a name"))
}

/// Another agent on the same machine that remembers nothing.
pub(crate) fn restart(dataplane: &mut Dataplane<FakeMachine>) -> Dataplane<FakeMachine> {
    let machine = dataplane.machine();
    let copy = Parts {
        tables: machine.tables.clone(),
        network: machine.network.clone(),
        settings: machine.settings.clone(),
        flows: machine.flows.clone(),
    };
    Dataplane::new(dataplane.config().clone(), copy)
}

pub(crate) fn contents(dataplane: &mut Dataplane<FakeMachine>) -> Option<Contents> {
    dataplane.machine().tables.contents(&id()).cloned()
}

/// What a fresh start on an empty table makes of the same world; rules without their numbers.
pub(crate) fn from_scratch(config: &Config, world: &World) -> String {
    from_scratch_on(config, world, machine())
}

/// The same on a machine of other interfaces.
pub(crate) fn from_scratch_on(config: &Config, world: &World, machine: FakeMachine) -> String {
    let mut dataplane = Dataplane::new(config.clone(), machine);
    dataplane.update(world.everything());
    dataplane.in_sync();
    let report = dataplane.commit(Instant::now());
    assert!(report.errors.is_empty(), "{:?}", report.errors);
    printed(&mut dataplane)
}

pub(crate) fn printed(dataplane: &mut Dataplane<FakeMachine>) -> String {
    let table = contents(dataplane).map(|contents| contents.to_string()).unwrap_or_default();
    // The seal names the generation, which is another in every history.
    let table: String = table.split_inclusive('\n').filter(|line| !line.contains("{ 0x")).collect();
    let picture = dataplane.machine().network.picture();
    // Numbers of links are others in every history.
    let named = |text: String| {
        let link = |link: &margay_kernel::Link| (format!("link {}", link.index.0), link.name.to_string());
        let mut words: Vec<String> = text.split(' ').map(str::to_owned).collect();
        for (number, name) in picture[0].links.values().map(link) {
            for at in 1..words.len() {
                if format!("{} {}", words[at - 1], words[at]) == number {
                    words[at].clone_from(&name);
                }
            }
        }
        words.join(" ")
    };
    let mut lines: Vec<String> = picture[0].routes.iter().map(|route| named(route.to_string())).collect();
    lines.extend(picture[0].neighbours.iter().map(|neighbour| named(neighbour.to_string())));
    lines.sort();
    format!("{table}\n{}\n", lines.join("\n"))
}

/// Says in which lines two texts differ.
pub(crate) fn assert_same(seen: &str, expected: &str, when: &str) {
    if seen != expected {
        let lines = |text: &str| text.lines().map(str::to_owned).collect::<BTreeSet<String>>();
        let (seen, expected) = (lines(seen), lines(expected));
        let only = |a: &BTreeSet<String>, b: &BTreeSet<String>| {
            a.difference(b).cloned().collect::<Vec<_>>().join("\n")
        };
        panic!(
            "{when}\n--- seen only\n{}\n--- expected only\n{}",
            only(&seen, &expected),
            only(&expected, &seen)
        );
    }
}

pub(crate) fn commit(dataplane: &mut Dataplane<FakeMachine>) -> Report {
    let report = dataplane.commit(Instant::now());
    assert!(report.errors.is_empty(), "{:?}", report.errors);
    report
}

#[test]
fn any_history_ends_as_a_fresh_start() {
    let config = Config::default();
    for seed in 0..12 {
        let mut choices = Choices::new(seed);
        let mut world = World::new();
        let mut dataplane = Dataplane::new(config.clone(), machine());
        dataplane.in_sync();
        for step in 0..20 {
            world.stir(&mut choices, 8);
            dataplane.update(world.changes());
            commit(&mut dataplane);
            assert_same(
                &printed(&mut dataplane),
                &from_scratch(&config, &world),
                &format!("seed {seed} step {step}"),
            );
        }
        let mut again = restart(&mut dataplane);
        again.update(world.everything());
        again.in_sync();
        let report = commit(&mut again);
        assert!(!report.wrote(), "seed {seed}: {report:?}");
        assert!(!commit(&mut dataplane).wrote(), "nothing is left to do");
    }
}

// === packets ===

pub(crate) fn host(world: &World, settings: Settings) -> Host {
    let interfaces = HOST.map(|(name, addresses)| {
        (name.parse().expect("a name"), addresses.map(|text| text.parse().expect("an address")).to_vec())
    });
    Host {
        records: Arc::new(world.records()),
        host: "h1".into(),
        interfaces: interfaces.into_iter().collect(),
        settings,
    }
}

fn packet(choices: &mut Choices) -> Packet {
    const V4: [&str; 8] = [
        "10.65.0.10",
        "10.65.0.11",
        "10.65.0.12",
        "172.17.0.2",
        "172.17.0.9",
        "192.168.77.2",
        "192.168.77.9",
        "10.0.0.9",
    ];
    const V6: [&str; 7] = ["fd65::10", "fd65::11", "fd17::2", "fd17::9", "fd77::2", "fe80::1", "::"];
    const PORTS: [u16; 9] = [22, 53, 67, 68, 80, 85, 443, 2379, 8080];
    let v6 = choices.percent(30);
    let mut address =
        || -> IpAddr { choices.of(if v6 { &V6[..] } else { &V4 }).parse().expect("an address") };
    let (source, destination) = (address(), address());
    let protocol = choices.of(&[6, 6, 6, 17, 17, 1, 58, 4, 132]);
    let mut packet = Packet::new(source, destination, protocol);
    if matches!(protocol, 6 | 17 | 132) {
        packet = packet.with_ports(choices.of(&PORTS), choices.of(&PORTS));
    }
    if matches!(protocol, 1 | 58) {
        packet.icmp = Some(Icmp { kind: choices.of(&[0, 3, 8, 128, 133, 135]), code: choices.of(&[0, 1]) });
    }
    packet.tracking = choices.of(&[
        Tracking::New,
        Tracking::New,
        Tracking::New,
        Tracking::New,
        Tracking::Established,
        Tracking::Related,
        Tracking::Invalid,
        Tracking::Untracked,
    ]);
    packet
}

fn path(choices: &mut Choices) -> Path {
    let mut name = || {
        choices
            .of(&["cali0", "cali1", "cali2", "cali3", "cali4", "cali9", "eth0", "eth1", "eth2"])
            .parse()
            .expect("a name")
    };
    let (from, to) = (name(), name());
    match choices.below(4) {
        0 => Path::ToHost { from },
        1 => Path::FromHost { to },
        _ => Path::Through { from, to },
    }
}

pub(crate) fn local() -> Vec<IpAddr> {
    HOST.iter()
        .flat_map(|(_, addresses)| addresses.iter())
        .map(|text| text.parse().expect("an address"))
        .collect()
}

/// Configurations under which rules are different, and the evaluator's words for them.
pub(crate) fn settings(choices: &mut Choices) -> (Config, Settings) {
    use margay_dataplane::{HostAction, IpInIp, Metadata, OpenStack};
    use margay_policy::evaluate::EndpointToHost;
    let (action, settings_action) = [
        (HostAction::Drop, EndpointToHost::Drop),
        (HostAction::Accept, EndpointToHost::Accept),
        (HostAction::Return, EndpointToHost::Return),
    ][choices.below(3)];
    let ipip = choices.percent(50);
    let openstack = choices.percent(30);
    let metadata = openstack && choices.percent(50);
    let accept_invalid = choices.percent(30);
    let discovery = choices.percent(70);
    let address = "172.17.0.2";
    let config = Config {
        endpoint_to_host: action,
        ipip: ipip.then_some(IpInIp { mtu: 1440, address: None }),
        openstack: openstack.then(|| OpenStack {
            metadata: metadata
                .then(|| Metadata { address: address.parse().expect("an address"), port: 8775 }),
        }),
        accept_invalid,
        failsafe_neighbour_discovery: discovery,
        ..Config::default()
    };
    let settings = Settings {
        endpoint_to_host: settings_action,
        ipip,
        openstack,
        metadata: metadata.then(|| (address.parse().expect("an address"), 8775)),
        check_invalid: !accept_invalid,
        neighbour_failsafe: discovery,
        ..Settings::default()
    };
    (config, settings)
}

/// Compares the table with the evaluator on random worlds and packets; how many packets passed.
fn agree(seeds: std::ops::Range<u64>, packets: usize) -> usize {
    let mut passed = 0;
    for seed in seeds {
        let mut choices = Choices::new(seed);
        let (config, settings) = settings(&mut choices);
        let mut world = World::new();
        for _ in 0..6 {
            world.stir(&mut choices, 10);
        }
        let mut dataplane = Dataplane::new(config, machine());
        dataplane.update(world.changes());
        dataplane.in_sync();
        commit(&mut dataplane);
        let table = contents(&mut dataplane).expect("a table");
        let local = local();
        let walker = Walker { table: &table, local: &local };
        let host = host(&world, settings);
        for _ in 0..packets {
            let (packet, path) = (packet(&mut choices), path(&mut choices));
            let evaluation = host.evaluate(&packet, &path);
            let (seen, _) = walker.passes(&packet, &path);
            let expected = evaluation.verdict != Judgement::Drop;
            assert_eq!(
                seen,
                expected,
                "seed {seed}: {packet:?} {path:?}\n{:#?}\n{table}\n{:#?}",
                evaluation.steps,
                world.records()
            );
            passed += usize::from(seen);
        }
    }
    passed
}

#[test]
fn rules_mean_what_the_records_mean() {
    let passed = agree(0..120, 200);
    assert!((2_000..22_000).contains(&passed), "{passed} of 24000 packets passed");
}

#[test]
#[ignore = "takes minutes; make test-full runs it"]
fn rules_mean_what_the_records_mean_for_a_million_packets() {
    agree(1_000..3_000, 500);
}

// === faults ===

/// Commits until nothing is wrong any more, and says what was on the way.
pub(crate) fn settle(dataplane: &mut Dataplane<FakeMachine>, clock: &mut Instant) -> Vec<String> {
    let mut errors = Vec::new();
    for _ in 0..10 {
        *clock += Duration::from_secs(11);
        let report = dataplane.commit(*clock);
        if report.errors.is_empty() {
            return errors;
        }
        errors.extend(report.errors);
    }
    panic!("errors do not end: {errors:#?}");
}

/// One fault of the tables, the network or the settings.
fn break_something(choices: &mut Choices, machine: &mut FakeMachine) {
    let errno =
        choices.of(&[Errno::NOMEM, Errno::NOENT, Errno::EXIST, Errno::BUSY, Errno::INVAL, Errno::OPNOTSUPP]);
    match choices.below(6) {
        0 | 1 => {
            let message = u32::try_from(choices.below(60) + 1).expect("a small number");
            machine.tables.fail(Fault::Refuse { message, errno });
        }
        2 => machine.tables.fail(Fault::LoseRequest),
        3 => machine.tables.fail(Fault::LoseAnswer),
        4 => machine.tables.fail(Fault::Dump(margay_kernel::nft::DumpError::Unsettled)),
        _ => {
            let at = machine.network.requests() + choices.below(4);
            let kind = choices.below(3);
            // The kernel does not say of a route that stands that it does not.
            let errno = choices.of(&[Errno::NOMEM, Errno::BUSY, Errno::INVAL, Errno::OPNOTSUPP]);
            machine.network.sabotage(Box::new(move |number, _| {
                (number == at).then_some(match kind {
                    0 => margay_kernel::Fault::Refuse(errno),
                    1 => margay_kernel::Fault::Lose,
                    _ => margay_kernel::Fault::LoseAnswer,
                })
            }));
        }
    }
}

/// What the table lets through must be let through by one of the worlds.
fn assert_no_hole(
    choices: &mut Choices,
    dataplane: &mut Dataplane<FakeMachine>,
    worlds: &[Host],
    when: &str,
) {
    let Some(table) = contents(dataplane) else { return };
    let local = local();
    let walker = Walker { table: &table, local: &local };
    for _ in 0..25 {
        let (packet, path) = (packet(choices), path(choices));
        if !walker.passes(&packet, &path).0 {
            continue;
        }
        let allowed = worlds.iter().any(|world| world.evaluate(&packet, &path).verdict != Judgement::Drop);
        assert!(
            allowed,
            "{when}: {packet:?} {path:?} passes, and neither old nor new records allow it\n{table}"
        );
    }
}

/// Histories with a fault before every commit, and now and then a death in the middle.
fn survive(seeds: std::ops::Range<u64>) {
    let config = Config::default();
    for seed in seeds {
        let mut choices = Choices::new(seed);
        let mut clock = Instant::now();
        let mut world = World::new();
        let mut dataplane = Dataplane::new(config.clone(), machine());
        dataplane.in_sync();
        settle(&mut dataplane, &mut clock);
        // The worlds that the table may show: that of the last commit that went well, and all since.
        let mut worlds = vec![host(&world, Settings::default())];
        for step in 0..12 {
            let when = format!("seed {seed} step {step}");
            world.stir(&mut choices, 6);
            worlds.push(host(&world, Settings::default()));
            dataplane.update(world.changes());
            break_something(&mut choices, dataplane.machine());
            clock += Duration::from_millis(1);
            let report = dataplane.commit(clock);
            assert_no_hole(&mut choices, &mut dataplane, &worlds, &when);
            if choices.percent(30) {
                // The agent dies here; the next one remembers nothing.
                dataplane = restart(&mut dataplane);
                dataplane.update(world.everything());
                dataplane.in_sync();
            }
            if report.errors.is_empty() || choices.percent(50) {
                dataplane.machine().tables.heal();
                dataplane.machine().network.heal();
                settle(&mut dataplane, &mut clock);
                assert_eq!(dataplane.quarantine().iter().find(|q| q.why.contains("kernel")), None, "{when}");
                assert_same(&printed(&mut dataplane), &from_scratch(&config, &world), &when);
                worlds.drain(..worlds.len() - 1);
            }
        }
    }
}

#[test]
fn a_fault_at_any_place_leaves_no_hole_and_no_trace() {
    survive(0..25);
}

#[test]
#[ignore = "takes minutes; make test-full runs it"]
fn faults_at_thousands_of_places_leave_no_hole_and_no_trace() {
    survive(1_000..1_400);
}

#[test]
fn what_the_kernel_refuses_for_good_is_closed_and_the_rest_goes_on() {
    let config = Config::default();
    let mut closed = 0;
    for seed in 0..40 {
        let mut choices = Choices::new(seed);
        let mut clock = Instant::now();
        let mut world = World::new();
        let mut dataplane = Dataplane::new(config.clone(), machine());
        dataplane.in_sync();
        settle(&mut dataplane, &mut clock);
        world.stir(&mut choices, 30);
        dataplane.update(world.changes());
        // Whatever message an owner has, this one's are refused. Owner 0 is the table itself.
        let owner = Owner(u32::try_from(choices.below(12) + 1).expect("a small number"));
        dataplane.machine().tables.poison(owner, Errno::INVAL);
        clock += Duration::from_secs(1);
        let report = dataplane.commit(clock);
        if report.errors.is_empty() {
            let worlds = [host(&world, Settings::default())];
            assert_no_hole(&mut choices, &mut dataplane, &worlds, &format!("seed {seed}"));
            closed += usize::from(dataplane.quarantine().iter().any(|q| q.why.contains("kernel refuses")));
        }
    }
    assert!(closed > 0, "nothing was ever refused");
}

// === others in our table ===

pub(crate) fn foreign(change: impl FnOnce(&mut Batch)) -> Batch {
    let mut batch = Batch::new(id(), Features::all());
    change(&mut batch);
    batch
}

#[test]
fn what_others_do_to_our_table_is_undone() {
    let config = Config::default();
    let mut choices = Choices::new(7);
    let mut world = World::new();
    world.stir(&mut choices, 60);
    let mut dataplane = Dataplane::new(config.clone(), machine());
    dataplane.update(world.changes());
    dataplane.in_sync();
    commit(&mut dataplane);
    let wanted = printed(&mut dataplane);
    let table = contents(&mut dataplane).expect("a table");
    let chains: Vec<_> = table.chains.keys().cloned().collect();
    let sets: Vec<_> = table.sets.keys().cloned().collect();
    let name = |text: &str| text.parse().expect("a name");
    let accept = || Rule::new(vec![Statement::Verdict(Verdict::Accept)]).expect("a rule");
    let mut attacks = vec![
        foreign(Batch::delete_table),
        foreign(|batch| batch.add_chain(&margay_kernel::nft::Chain::regular(name("stranger")))),
        foreign(|batch| {
            batch.add_set(&margay_kernel::nft::Set::of(
                name("stranger"),
                margay_kernel::nft::Field::Ipv4Addr.into(),
            ));
        }),
        foreign(|batch| {
            let key = Key::from(Value::IfName("cali9".parse().expect("a name")));
            batch.add_elements(&name("wl_from"), [Element::verdict(key, Verdict::Accept)]);
        }),
    ];
    for chain in &chains {
        attacks.push(foreign(|batch| batch.flush_chain(chain)));
        attacks.push(foreign(|batch| batch.insert_rule(chain, &accept())));
    }
    for set in &sets {
        attacks.push(foreign(|batch| batch.flush_set(set)));
    }
    let mut clock = Instant::now();
    for (number, attack) in attacks.iter_mut().enumerate() {
        if dataplane.machine().tables.commit_foreign(attack).is_err() {
            continue;
        }
        let changes = dataplane.machine().tables.take_foreign();
        let harmless = printed(&mut dataplane) == wanted;
        dataplane.nft_event(&Notice::Changed(changes));
        clock += Duration::from_secs(1);
        let report = dataplane.commit(clock);
        assert_same(&printed(&mut dataplane), &wanted, &format!("attack {number}"));
        assert_eq!(report.drift.is_empty(), harmless, "attack {number}: {:?}", report.drift);
    }
}

#[test]
fn changes_of_others_tables_and_our_own_lead_to_nothing() {
    let mut dataplane = Dataplane::new(Config::default(), machine());
    dataplane.in_sync();
    commit(&mut dataplane);
    let other = TableId::inet("other".parse().expect("a name"));
    let mut batch = Batch::new(other.clone(), Features::all());
    batch.add_table(&margay_kernel::nft::Table::new(other));
    dataplane.machine().tables.commit_foreign(&mut batch).expect("a table more");
    let changes = dataplane.machine().tables.take_foreign();
    dataplane.nft_event(&Notice::Changed(changes));
    assert!(!dataplane.is_pending());
    dataplane.nft_event(&Notice::Overrun);
    assert!(dataplane.is_pending(), "lost notices are looked into");
}

// === the seal ===

/// A host with an agent that has done its work.
fn settled(seed: u64) -> (World, Dataplane<FakeMachine>) {
    let mut world = World::new();
    world.stir(&mut Choices::new(seed), 60);
    let mut dataplane = Dataplane::new(Config::default(), machine());
    dataplane.update(world.changes());
    dataplane.in_sync();
    let now = Instant::now();
    let report = dataplane.commit(now);
    assert!(report.deadline.is_some_and(|at| at <= now + Duration::from_secs(1)), "the seal is due soon");
    assert!(!dataplane.commit(now + Duration::from_secs(1)).wrote(), "the seal is no change");
    (world, dataplane)
}

#[test]
fn a_restart_on_a_sealed_table_reads_no_table() {
    let (world, mut dataplane) = settled(3);
    let mut again = restart(&mut dataplane);
    again.machine().tables.fail(Fault::Dump(margay_kernel::nft::DumpError::Unsettled));
    again.update(world.everything());
    again.in_sync();
    let report = commit(&mut again);
    assert!(!report.wrote(), "{report:?}");
}

#[test]
fn a_seal_does_not_hide_what_others_did_meanwhile() {
    let (world, mut dataplane) = settled(3);
    let wanted = printed(&mut dataplane);
    let chain = "from_wl".parse().expect("a name");
    let mut attack = foreign(|batch| batch.flush_chain(&chain));
    dataplane.machine().tables.commit_foreign(&mut attack).expect("a chain flushed");
    let mut again = restart(&mut dataplane);
    again.update(world.everything());
    again.in_sync();
    assert!(commit(&mut again).wrote_table);
    assert_same(&printed(&mut again), &wanted, "after the restart");
}

#[test]
fn a_seal_does_not_hide_other_records() {
    let (mut world, mut dataplane) = settled(3);
    let mut again = restart(&mut dataplane);
    world.put(
        "/calico/v1/policy/tier/default/policy/new",
        Some(r#"{"selector":"all()","inbound_rules":[{"action":"deny"}]}"#),
    );
    again.update(world.everything());
    again.in_sync();
    commit(&mut again);
    assert_same(&printed(&mut again), &from_scratch(&Config::default(), &world), "after the restart");
}
