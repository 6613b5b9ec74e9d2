//! The host around the table: interfaces that come and go, addresses, settings, flows, other parameters.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use margay_dataplane::{Config, Dataplane, EndpointId, EndpointState, Guard};
use margay_intent::{HostEndpointId, WorkloadId};
use margay_kernel::nft::{Batch, Features, Table};
use margay_kernel::{Address, FakeMonitor, Flow, LinkChange, LinkKey, Monitor, Request, Rtnetlink, Sysctl};
use margay_net::{Cidr, IfName, IpVersion};
use margay_policy::evaluate::{Icmp, Packet, Path, protocol};
use margay_testkit::policy_world::Choices;

use crate::fake::{self, FakeMachine};
use crate::walk::Walker;
use crate::world::World;

fn name(number: usize) -> IfName {
    format!("cali{number}").parse().expect("a name")
}

fn workload(id: &str) -> WorkloadId {
    WorkloadId { orchestrator: "o".into(), workload: id.into(), endpoint: "e".into() }
}

fn put_workload(world: &mut World, id: &str, interface: &str, rest: &str) {
    let value = format!(
        r#"{{"state":"active","name":"{interface}","mac":"02:00:00:00:00:01","profile_ids":["open"],"labels":{{}},{rest}}}"#
    );
    world.put(&format!("/calico/v1/host/h1/workload/o/{id}/endpoint/e"), Some(&value));
}

/// A datastore in which a profile allows everything.
fn open_world() -> World {
    let mut world = World::new();
    let rules = r#"{"inbound_rules":[{"action":"allow"}],"outbound_rules":[{"action":"allow"}]}"#;
    world.put("/calico/v1/policy/profile/open/rules", Some(rules));
    world
}

fn start(world: &mut World) -> Dataplane<FakeMachine> {
    let mut dataplane = Dataplane::new(Config::default(), fake::machine());
    dataplane.update(world.changes());
    dataplane.in_sync();
    fake::commit(&mut dataplane);
    dataplane
}

fn hear(dataplane: &mut Dataplane<FakeMachine>, monitor: &mut FakeMonitor) {
    for notice in monitor.receive().expect("a fake") {
        dataplane.link_event(&notice);
    }
}

fn state(dataplane: &Dataplane<FakeMachine>, id: &str) -> Option<EndpointState> {
    dataplane.states().get(&EndpointId::Workload(workload(id))).copied()
}

fn ask(dataplane: &mut Dataplane<FakeMachine>, request: Request) {
    dataplane.machine().network.submit(&[request]).expect("a fake").remove(0).expect("taken");
}

fn packet(source: &str, destination: &str) -> Packet {
    let address = |text: &str| text.parse().expect("an address");
    Packet::tcp(address(source), address(destination), 80)
}

fn passes(dataplane: &mut Dataplane<FakeMachine>, packet: &Packet, path: &Path) -> bool {
    let table = fake::contents(dataplane).expect("a table");
    let local = fake::local();
    Walker { table: &table, local: &local }.passes(packet, path).0
}

// === interfaces ===

#[test]
fn interfaces_that_come_and_go_end_as_a_fresh_start() {
    let config = Config::default();
    for seed in 0..10 {
        let mut choices = Choices::new(seed);
        let mut world = World::new();
        let mut dataplane = Dataplane::new(config.clone(), fake::machine());
        let mut monitor = dataplane.machine().network.monitor();
        dataplane.in_sync();
        fake::commit(&mut dataplane);
        let mut there: BTreeSet<usize> = (0..4).collect();
        for step in 0..15 {
            world.stir(&mut choices, 5);
            dataplane.update(world.changes());
            for _ in 0..choices.below(3) {
                let number = choices.below(4);
                if there.remove(&number) {
                    ask(&mut dataplane, Request::DeleteLink(LinkKey::Name(name(number))));
                } else {
                    fake::plug(&mut dataplane.machine().network, name(number));
                    there.insert(number);
                }
            }
            hear(&mut dataplane, &mut monitor);
            fake::commit(&mut dataplane);
            hear(&mut dataplane, &mut monitor);
            fake::commit(&mut dataplane);
            let mut other = fake::machine();
            for number in (0..4).filter(|number| !there.contains(number)) {
                let gone = Request::DeleteLink(LinkKey::Name(name(number)));
                other.network.submit(&[gone]).expect("a fake").remove(0).expect("a link less");
            }
            let expected = fake::from_scratch_on(&config, &world, other);
            fake::assert_same(&fake::printed(&mut dataplane), &expected, &format!("seed {seed} step {step}"));
        }
    }
}

#[test]
fn lost_link_notices_lead_to_a_listing() {
    let mut world = open_world();
    put_workload(&mut world, "w", "cali9", r#""ipv4_nets":["10.65.0.2/32"]"#);
    let mut dataplane = start(&mut world);
    assert_eq!(state(&dataplane, "w"), Some(EndpointState::Down));
    fake::plug(&mut dataplane.machine().network, "cali9".parse().expect("a name"));
    for setting in margay_wiring::HOST_SETTINGS {
        let sysctl = setting.sysctl(&"cali9".parse().expect("a name"));
        dataplane.machine().settings.put(sysctl, "?");
    }
    assert!(!dataplane.is_pending());
    dataplane.link_event(&margay_kernel::Notice::Overrun);
    fake::commit(&mut dataplane);
    assert_eq!(state(&dataplane, "w"), Some(EndpointState::Up));
}

#[test]
fn an_interface_that_goes_down_takes_its_endpoint_down() {
    let mut world = open_world();
    put_workload(&mut world, "w", "cali0", r#""ipv4_nets":["10.65.0.2/32"]"#);
    let mut dataplane = start(&mut world);
    let mut monitor = dataplane.machine().network.monitor();
    assert_eq!(state(&dataplane, "w"), Some(EndpointState::Up));
    let index = dataplane.machine().network.link(name(0).into()).expect("a fake").expect("a link").index;
    let up = |up| Request::ChangeLink(index, LinkChange { up: Some(up), ..LinkChange::default() });
    ask(&mut dataplane, up(false));
    hear(&mut dataplane, &mut monitor);
    let report = fake::commit(&mut dataplane);
    let down = (EndpointId::Workload(workload("w")), Some(EndpointState::Down));
    assert_eq!(report.endpoints.into_iter().collect::<Vec<_>>(), [down]);
    ask(&mut dataplane, up(true));
    hear(&mut dataplane, &mut monitor);
    fake::commit(&mut dataplane);
    assert_eq!(state(&dataplane, "w"), Some(EndpointState::Up));
    assert_eq!(dataplane.machine().network.routes().expect("a fake").len(), 1);
}

#[test]
fn a_setting_that_can_not_be_made_is_an_error_until_it_can() {
    let mut world = open_world();
    put_workload(&mut world, "w", "cali0", r#""ipv4_nets":["10.65.0.2/32"]"#);
    let mut dataplane = Dataplane::new(Config::default(), fake::machine());
    let refused = Sysctl::conf(IpVersion::V4, &name(0), "proxy_arp");
    dataplane.machine().settings.refused.push(refused.clone());
    dataplane.update(world.changes());
    dataplane.in_sync();
    let now = Instant::now();
    let report = dataplane.commit(now);
    assert_eq!(report.errors.len(), 1, "{:?}", report.errors);
    assert_eq!(state(&dataplane, "w"), Some(EndpointState::Error));
    assert!(
        report.deadline.is_some_and(|at| at <= now + Duration::from_millis(100)),
        "it is tried again soon"
    );
    dataplane.machine().settings.refused.clear();
    let report = dataplane.commit(now + Duration::from_secs(1));
    assert_eq!((report.errors, state(&dataplane, "w")), (Vec::new(), Some(EndpointState::Up)));
    assert_eq!(dataplane.machine().settings.values()[&refused], "1");
}

// === endpoints ===

#[test]
fn of_two_endpoints_with_one_interface_the_lowest_id_owns_it() {
    let mut world = open_world();
    put_workload(&mut world, "b", "cali0", r#""ipv4_nets":["10.65.0.2/32"]"#);
    let mut dataplane = start(&mut world);
    assert_eq!(state(&dataplane, "b"), Some(EndpointState::Up));
    put_workload(&mut world, "a", "cali0", r#""ipv4_nets":["10.65.0.3/32"]"#);
    dataplane.update(world.changes());
    fake::commit(&mut dataplane);
    assert_eq!(
        [state(&dataplane, "a"), state(&dataplane, "b")],
        [Some(EndpointState::Up), Some(EndpointState::Error)]
    );
    let why: Vec<String> =
        dataplane.quarantine().into_iter().map(|q| format!("{}: {}", q.what, q.why)).collect();
    assert_eq!(why, ["endpoint o/b/e: cali0 belongs to endpoint o/a/e"]);
    let route = dataplane.machine().network.routes().expect("a fake");
    assert_eq!(route.iter().map(|r| r.destination.to_string()).collect::<Vec<_>>(), ["10.65.0.3/32"]);
    world.put("/calico/v1/host/h1/workload/o/a/endpoint/e", None);
    dataplane.update(world.changes());
    fake::commit(&mut dataplane);
    assert_eq!([state(&dataplane, "a"), state(&dataplane, "b")], [None, Some(EndpointState::Up)]);
}

#[test]
fn a_host_endpoint_governs_its_interface_before_that_is_there_and_follows_addresses() {
    let mut world = World::new();
    world.put("/calico/v1/host/h1/endpoint/named", Some(r#"{"name":"eth7","labels":{},"profile_ids":[]}"#));
    let expected = r#"{"name":"","expected_ipv4_addrs":["172.17.0.77"],"labels":{},"profile_ids":[]}"#;
    world.put("/calico/v1/host/h1/endpoint/unnamed", Some(expected));
    let mut dataplane = start(&mut world);
    let mut monitor = dataplane.machine().network.monitor();
    let through = |from: &str| Path::Through {
        from: from.parse().expect("a name"),
        to: "eth1".parse().expect("a name"),
    };
    let probe = packet("172.17.0.9", "192.168.77.9");
    assert!(!passes(&mut dataplane, &probe, &through("eth7")), "from its first packet");
    assert!(passes(&mut dataplane, &probe, &through("eth0")));
    let state = |dataplane: &Dataplane<FakeMachine>, id: &str| {
        dataplane.states()[&EndpointId::Host(HostEndpointId::from(id))]
    };
    assert_eq!([state(&dataplane, "named"), state(&dataplane, "unnamed")], [EndpointState::Error; 2]);
    let index = dataplane.machine().network.link("eth0".parse::<IfName>().expect("a name").into());
    let index = index.expect("a fake").expect("a link").index;
    let address = Address::new(index, Cidr::host("172.17.0.77".parse::<IpAddr>().expect("an address")));
    ask(&mut dataplane, Request::AddAddress(address));
    hear(&mut dataplane, &mut monitor);
    fake::commit(&mut dataplane);
    assert_eq!(state(&dataplane, "unnamed"), EndpointState::Up);
    assert!(!passes(&mut dataplane, &probe, &through("eth0")));
    ask(&mut dataplane, Request::DeleteAddress(address));
    hear(&mut dataplane, &mut monitor);
    fake::commit(&mut dataplane);
    assert!(passes(&mut dataplane, &probe, &through("eth0")));
}

#[test]
fn flows_of_an_address_that_moved_are_forgotten_and_others_are_not() {
    let mut world = open_world();
    put_workload(&mut world, "a", "cali0", r#""ipv4_nets":["10.65.0.2/32"]"#);
    put_workload(&mut world, "b", "cali1", r#""ipv4_nets":["10.65.0.3/32"]"#);
    let mut dataplane = start(&mut world);
    let flow = |from: &str, to: &str| Flow {
        original_source: from.parse().expect("an address"),
        reply_source: to.parse().expect("an address"),
    };
    let flows = &mut dataplane.machine().flows.flows;
    flows.insert("out of a".to_owned(), flow("10.65.0.2", "172.17.0.9"));
    flows.insert("into a".to_owned(), flow("172.17.0.9", "10.65.0.2"));
    flows.insert("out of b".to_owned(), flow("10.65.0.3", "172.17.0.9"));
    world.put("/calico/v1/host/h1/workload/o/a/endpoint/e", None);
    put_workload(&mut world, "b", "cali1", r#""ipv4_nets":["10.65.0.3/32","10.65.0.2/32"]"#);
    dataplane.update(world.changes());
    assert_eq!(fake::commit(&mut dataplane).forgotten, 2);
    assert_eq!(dataplane.machine().flows.flows.keys().collect::<Vec<_>>(), ["out of b"]);
}

// === holes that others had ===

#[test]
fn networks_and_floating_addresses_of_records_reach_no_route_that_is_not_the_endpoints_own() {
    let mut world = open_world();
    let nets = r#""ipv4_nets":["0.0.0.0/0","127.0.0.1/32","169.254.169.254/32","224.0.0.1/32","10.65.0.2/32"],
        "ipv6_nets":["::/0","::1/128","fe80::1/128"]"#;
    let nats = r#""ipv4_nat":[{"int_ip":"10.65.0.2","ext_ip":"172.17.0.2"},{"int_ip":"10.65.0.2","ext_ip":"10.65.0.3"},
        {"int_ip":"10.65.0.9","ext_ip":"192.0.2.1"},{"int_ip":"10.65.0.2","ext_ip":"127.0.0.1"},
        {"int_ip":"10.65.0.2","ext_ip":"192.0.2.2"}]"#;
    put_workload(&mut world, "bad", "cali0", &format!("{nets},{nats}"));
    put_workload(&mut world, "good", "cali1", r#""ipv4_nets":["10.65.0.3/32"]"#);
    let mut dataplane = start(&mut world);
    let mut routes: Vec<String> = dataplane
        .machine()
        .network
        .routes()
        .expect("a fake")
        .iter()
        .map(|r| r.destination.to_string())
        .collect();
    routes.sort();
    assert_eq!(routes, ["10.65.0.2/32", "10.65.0.3/32", "192.0.2.2/32"]);
    let table = fake::contents(&mut dataplane).expect("a table").to_string();
    assert!(
        table.contains("192.0.2.2 : 10.65.0.2")
            && !table.contains("172.17.0.2 : ")
            && !table.contains("192.0.2.1")
    );
    let refused = dataplane.quarantine().iter().filter(|q| q.what.ends_with("of endpoint o/bad/e")).count();
    assert!(refused >= 8, "{:#?}", dataplane.quarantine());
    assert_eq!(state(&dataplane, "bad"), Some(EndpointState::Up), "what is right of it works");
}

#[test]
fn spoofed_sources_and_router_advertisements_of_workloads_are_dropped() {
    let mut world = open_world();
    put_workload(&mut world, "w", "cali0", r#""ipv4_nets":["10.65.0.2/32"],"ipv6_nets":["fd65::2/128"]"#);
    let mut dataplane = start(&mut world);
    let to_x = Path::Through { from: name(0), to: "eth0".parse().expect("a name") };
    assert!(passes(&mut dataplane, &packet("10.65.0.2", "172.17.0.9"), &to_x));
    for source in ["10.65.0.3", "172.17.0.2", "0.0.0.0", "127.0.0.1"] {
        assert!(!passes(&mut dataplane, &packet(source, "172.17.0.9"), &to_x), "{source}");
    }
    assert!(passes(&mut dataplane, &packet("fd65::2", "fd17::9"), &to_x));
    for source in ["fd65::3", "::1", "::"] {
        assert!(!passes(&mut dataplane, &packet(source, "fd17::9"), &to_x), "{source}");
    }
    let to_host = Path::ToHost { from: name(0) };
    let message = |kind| {
        let address = |text: &str| text.parse().expect("an address");
        let packet = Packet::new(address("fe80::1"), address("ff02::1"), protocol::ICMPV6);
        Packet { icmp: Some(Icmp { kind, code: 0 }), ..packet }
    };
    for (kind, expected) in [(134, false), (137, false), (133, true), (135, true), (136, true)] {
        assert_eq!(passes(&mut dataplane, &message(kind), &to_host), expected, "ICMPv6 {kind}");
    }
}

#[test]
fn an_interface_without_a_record_is_dropped_both_ways() {
    let mut dataplane = start(&mut World::new());
    let (out, into) = (name(3), "eth0".parse().expect("a name"));
    let probe = packet("10.65.0.2", "172.17.0.9");
    assert!(!passes(&mut dataplane, &probe, &Path::Through { from: out, to: into }));
    assert!(!passes(&mut dataplane, &probe, &Path::Through { from: into, to: out }));
    assert!(!passes(&mut dataplane, &probe, &Path::ToHost { from: out }));
}

#[test]
fn an_empty_set_matches_nothing_rather_than_everything() {
    let mut world = open_world();
    let policy = r#"{"selector":"all()","types":["ingress"],"inbound_rules":[{"action":"allow","src_selector":"has(nobody)"}]}"#;
    world.put("/calico/v1/policy/tier/default/policy/p", Some(policy));
    put_workload(&mut world, "w", "cali0", r#""ipv4_nets":["10.65.0.2/32"]"#);
    let mut dataplane = start(&mut world);
    let path = Path::Through { from: "eth0".parse().expect("a name"), to: name(0) };
    assert!(!passes(&mut dataplane, &packet("172.17.0.9", "10.65.0.2"), &path));
}

#[test]
fn another_schema_is_replaced_in_one_batch_and_the_guard_too() {
    for guarded in [true, false] {
        let mut dataplane = Dataplane::new(Config::default(), fake::machine());
        if guarded {
            assert_eq!(dataplane.guard().expect("a fake"), Guard::Loaded);
            let through = Path::Through { from: "eth0".parse().expect("a name"), to: name(0) };
            assert!(
                !passes(&mut dataplane, &packet("172.17.0.9", "10.65.0.2"), &through),
                "the guard guards"
            );
        } else {
            let mut batch = Batch::new(fake::id(), Features::all());
            batch.add_table(&Table { comment: Some("margay schema 0".into()), ..Table::new(fake::id()) });
            batch.add_chain(&margay_kernel::nft::Chain::regular("from_wl".parse().expect("a name")));
            dataplane.machine().tables.commit_foreign(&mut batch).expect("an old table");
            assert_eq!(dataplane.guard().expect("a fake"), Guard::TableStands);
        }
        let commits = dataplane.machine().tables.commits();
        dataplane.in_sync();
        fake::commit(&mut dataplane);
        assert_eq!(dataplane.machine().tables.commits(), commits + 1);
        fake::assert_same(
            &fake::printed(&mut dataplane),
            &fake::from_scratch(&Config::default(), &World::new()),
            "the table",
        );
    }
}

#[test]
fn nothing_is_written_before_intents_are_complete() {
    let mut world = open_world();
    put_workload(&mut world, "w", "cali0", r#""ipv4_nets":["10.65.0.2/32"]"#);
    let mut dataplane = Dataplane::new(Config::default(), fake::machine());
    let requests = dataplane.machine().network.requests();
    dataplane.update(world.changes());
    let report = dataplane.commit(Instant::now());
    assert!(!report.wrote());
    assert_eq!(fake::contents(&mut dataplane), None);
    assert_eq!(dataplane.machine().network.requests(), requests);
}

// === parameters ===

#[test]
fn other_parameters_in_mid_life_end_as_a_fresh_start_with_them() {
    for seed in 0..8 {
        let mut choices = Choices::new(seed);
        let mut world = World::new();
        let mut dataplane = Dataplane::new(Config::default(), fake::machine());
        dataplane.in_sync();
        for step in 0..8 {
            world.stir(&mut choices, 8);
            dataplane.update(world.changes());
            let (config, _) = fake::settings(&mut choices);
            dataplane.reconfigure(config.clone());
            fake::commit(&mut dataplane);
            let expected = fake::from_scratch(&config, &world);
            fake::assert_same(&fake::printed(&mut dataplane), &expected, &format!("seed {seed} step {step}"));
        }
    }
}

#[test]
fn the_tunnel_is_kept_with_one_address_and_a_kernel_without_it_is_named() {
    let ipip =
        margay_dataplane::IpInIp { mtu: 1440, address: Some("10.65.7.7".parse().expect("an address")) };
    let config = Config { ipip: Some(ipip), ..Config::default() };
    let mut dataplane = Dataplane::new(config.clone(), fake::machine());
    dataplane.in_sync();
    fake::commit(&mut dataplane);
    let network = &mut dataplane.machine().network;
    let link =
        network.link("tunl0".parse::<IfName>().expect("a name").into()).expect("a fake").expect("the tunnel");
    assert_eq!((link.mtu, link.up), (1440, true));
    let addresses =
        network.addresses().expect("a fake").into_iter().filter(|address| address.link == link.index);
    assert_eq!(addresses.map(|address| address.net.to_string()).collect::<Vec<_>>(), ["10.65.7.7/32"]);
    let machine = fake::machine();
    machine.network.set_ipip(false);
    let mut dataplane = Dataplane::new(config, machine);
    dataplane.in_sync();
    fake::commit(&mut dataplane);
    let quarantine = dataplane.quarantine();
    assert!(
        quarantine[0].what == "tunnel tunl0" && quarantine[0].why.contains("this kernel can not"),
        "{quarantine:?}"
    );
}

#[test]
fn a_plan_says_what_would_change_and_changes_nothing() {
    let mut world = open_world();
    put_workload(&mut world, "w", "cali0", r#""ipv4_nets":["10.65.0.2/32"]"#);
    let mut dataplane = start(&mut world);
    assert_eq!(dataplane.plan().expect("a fake"), "");
    let before = fake::printed(&mut dataplane);
    put_workload(&mut world, "x", "cali1", r#""ipv4_nets":["10.65.0.3/32"]"#);
    let rules = r#"{"inbound_rules":[{"action":"deny","protocol":"tcp"},{"action":"allow"}],"outbound_rules":[{"action":"allow"}]}"#;
    world.put("/calico/v1/policy/profile/open/rules", Some(rules));
    dataplane.update(world.changes());
    let plan = dataplane.plan().expect("a fake");
    for line in ["+     meta l4proto tcp counter drop", "+ route 10.65.0.3/32 dev cali1 proto 80"] {
        assert!(plan.lines().any(|seen| seen == line), "{line}\n{plan}");
    }
    assert!(plan.contains("\"cali1\" . 10.65.0.3") && !plan.contains('!'), "{plan}");
    fake::assert_same(&fake::printed(&mut dataplane), &before, "after the plan");
}

#[test]
fn a_cleanup_takes_everything_of_ours_away_and_nothing_else() {
    let mut world = open_world();
    put_workload(&mut world, "w", "cali0", r#""ipv4_nets":["10.65.0.2/32"]"#);
    let mut dataplane = start(&mut world);
    let cleaned = dataplane.cleanup();
    assert_eq!(cleaned.failed, Vec::<String>::new());
    assert_eq!(cleaned.removed.len(), 2, "{:?}", cleaned.removed);
    assert_eq!(fake::contents(&mut dataplane), None);
    assert_eq!(dataplane.machine().network.routes().expect("a fake"), Vec::new());
    assert_eq!(dataplane.cleanup().removed, Vec::<String>::new());
}
