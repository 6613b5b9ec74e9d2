//! On a real host: what packets, listings and settings say. `X` is a machine behind the default route.

use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::path::Path;
use std::time::Duration;

use margay_kernel::{
    Address, Link, LinkChange, LinkKey, Namespace, ProcSys, Request, Route, RouteProtocol, RtSocket,
    Rtnetlink, Sysctl, Sysctls, Veth, VethEnd,
};
use margay_net::{Cidr, IfName, IpVersion, Mac};
use margay_testkit::lab::{Lab, enclosed};
use margay_wiring::{
    AttachError, Attached, Detach, Detached, Difference, HOST_SETTINGS, Host, Interface, Interrupted,
    LiveHost, Step, Warning, attach, detach, inspect,
};

/// A host with machines outside it, and the code under test on it.
struct World {
    _lab: Lab,
    host: LiveHost,
}

/// What an interface could leave behind.
#[derive(Debug, PartialEq)]
struct Picture {
    links: Vec<Link>,
    routes: Vec<Route>,
    inside: (Vec<Link>, Vec<Address>, Vec<Route>),
    settings: Vec<String>,
}

impl World {
    fn new() -> Self {
        Self { _lab: Lab::new(0), host: LiveHost::open().expect("a host") }
    }

    /// An empty workload in which IPv6 is off, as some runtimes leave it.
    fn workload(&self) -> Namespace {
        let workload = Namespace::create().expect("a namespace");
        let off =
            |name: &str| ProcSys.write(&Sysctl::new(["net", "ipv6", "conf", name, "disable_ipv6"]), "1");
        workload.run(|| ["all", "default"].map(|name| off(name).expect("set"))).expect("a visit");
        workload
    }

    #[track_caller]
    fn attach(&mut self, interface: &Interface) -> Attached {
        match attach(&mut self.host, interface, &mut |_| Ok(())) {
            Ok(attached) => attached,
            Err(failure) => panic!("{failure:?}"),
        }
    }

    #[track_caller]
    fn refused(&mut self, interface: &Interface) -> AttachError {
        let failure = attach(&mut self.host, interface, &mut |_| Ok(())).expect_err("refused");
        assert!(failure.left.is_empty(), "{failure:?}");
        failure.error
    }

    fn detach(&mut self, interface: &Interface) -> Detached {
        let gone = Detach {
            workload: Some(interface.workload.clone()),
            workload_name: interface.workload_name,
            host_name: interface.host_name,
            owner: interface.owner.clone(),
        };
        let detached = detach(&mut self.host, &gone, &mut |_| Ok(()));
        assert!(detached.failures.is_empty(), "{detached:?}");
        detached
    }

    fn picture(&mut self, workload: &Namespace) -> Picture {
        let mut inside = workload.run(RtSocket::open).expect("a visit").expect("a socket");
        let setting = |path: &[&str]| ProcSys.read(&Sysctl::new(path.iter().copied())).expect("a setting");
        let read = || {
            let off = |name| setting(&["net", "ipv6", "conf", name, "disable_ipv6"]);
            vec![
                off("all"),
                off("default"),
                off("lo"),
                setting(&["net", "ipv4", "ip_forward"]),
                setting(&["net", "ipv6", "conf", "all", "forwarding"]),
            ]
        };
        let network = self.host.network();
        Picture {
            links: network.links().expect("links"),
            routes: network.routes().expect("routes"),
            inside: (
                inside.links().expect("links"),
                inside.addresses().expect("addresses"),
                inside.routes().expect("routes"),
            ),
            settings: workload.run(read).expect("a visit"),
        }
    }
}

fn name(text: &str) -> IfName {
    text.parse().expect("a name")
}

fn interface(workload: &Namespace, host_name: &str, addresses: &[&str]) -> Interface {
    let mut interface =
        Interface::new(workload.clone(), name("eth0"), name(host_name), format!("net.{host_name}"));
    interface.addresses = addresses.iter().map(|text| text.parse().expect("an address")).collect();
    interface
}

/// Sends a datagram from the workload to X, and back; which source X saw.
fn talk(workload: &Namespace, to: &str) -> io::Result<IpAddr> {
    let to: IpAddr = to.parse().expect("an address");
    let any = if to.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
    let machine = Namespace::open(Path::new("/run/netns/X")).expect("the machine X");
    let server = machine.run(|| UdpSocket::bind(SocketAddr::new(to, 0))).expect("a visit")?;
    let client = workload.run(|| UdpSocket::bind(any)).expect("a visit")?;
    let deadline = Some(Duration::from_secs(3));
    server.set_read_timeout(deadline)?;
    client.set_read_timeout(deadline)?;
    client.send_to(b"?", server.local_addr()?)?;
    let mut buffer = [0; 8];
    let (_, peer) = server.recv_from(&mut buffer)?;
    server.send_to(b"!", peer)?;
    client.recv_from(&mut buffer)?;
    Ok(peer.ip())
}

#[test]
fn a_workload_talks_to_the_world_at_once_in_both_families() {
    if !enclosed("live::a_workload_talks_to_the_world_at_once_in_both_families") {
        return;
    }
    let mut world = World::new();
    let workload = world.workload();
    let wanted = interface(&workload, "calic1", &["10.65.0.2", "fd65::2"]);
    world.attach(&wanted);
    // IPv6 first: nothing may have to settle before it works.
    assert_eq!(talk(&workload, "fd17::9").expect("an answer").to_string(), "fd65::2");
    assert_eq!(talk(&workload, "172.17.0.9").expect("an answer").to_string(), "10.65.0.2");
    assert!(world.detach(&wanted).removed);
    talk(&workload, "172.17.0.9").expect_err("no way out");
}

#[test]
fn both_ends_are_as_they_were_asked_for() {
    if !enclosed("live::both_ends_are_as_they_were_asked_for") {
        return;
    }
    let mut world = World::new();
    let workload = world.workload();
    let mac = Mac::from([2, 0, 0, 0, 0, 7]);
    let mut wanted = interface(&workload, "calic1", &["10.65.0.2", "10.65.0.3"]);
    (wanted.mac, wanted.mtu, wanted.queues) = (Some(mac), Some(1380), Some(2));
    let attached = world.attach(&wanted);
    assert_eq!(attached.warnings, []);
    assert_eq!(
        (attached.workload.name, attached.workload.mac, attached.workload.mtu),
        (name("eth0"), mac, 1380)
    );
    assert_eq!((attached.host.mac, attached.host.mtu), (Mac::from([0xee; 6]), 1380));

    let after = world.picture(&workload);
    let outer = after.links.iter().find(|link| link.name == name("calic1")).expect("the host's end");
    assert_eq!((outer.index, outer.up, outer.running), (attached.host.index, true, true));
    assert_eq!((outer.alias.as_deref(), outer.peer), (Some("net.calic1"), Some(attached.workload.index)));
    let (_, addresses, routes) = after.inside;
    let addresses: Vec<_> = addresses.iter().map(|address| address.net.to_string()).collect();
    assert_eq!(addresses, ["10.65.0.2/32", "10.65.0.3/32"], "IPv6 stays off");
    let mut routes: Vec<_> =
        routes.iter().filter(|r| r.protocol != RouteProtocol::KERNEL).map(ToString::to_string).collect();
    routes.sort();
    let link = attached.workload.index.0;
    assert_eq!(
        routes,
        [
            format!("route 0.0.0.0/0 via 169.254.1.1 dev link {link} proto 3 scope 0"),
            format!("route 169.254.1.1/32 dev link {link} proto 3 scope 253"),
        ]
    );
    let to_it: Vec<_> =
        after.routes.iter().filter(|r| r.destination.contains_ip([10, 65, 0, 2].into_ip())).collect();
    let direct =
        Route::on_link(Cidr::host([10, 65, 0, 2].into_ip()), attached.host.index, RouteProtocol::BOOT);
    assert!(to_it.contains(&&direct), "{to_it:?}");
    for setting in HOST_SETTINGS.iter().filter(|setting| setting.version == IpVersion::V4 || setting.always) {
        let sysctl = setting.sysctl(&name("calic1"));
        assert_eq!(ProcSys.read(&sysctl).expect("a setting"), setting.value, "{sysctl}");
    }
    assert_eq!(ProcSys.read(&Sysctl::conf(IpVersion::V6, &name("calic1"), "proxy_ndp")).expect("read"), "0");
}

/// An address from its octets.
trait IntoIp {
    fn into_ip(self) -> IpAddr;
}

impl IntoIp for [u8; 4] {
    fn into_ip(self) -> IpAddr {
        self.into()
    }
}

#[test]
fn an_interruption_after_any_step_leaves_nothing() {
    if !enclosed("live::an_interruption_after_any_step_leaves_nothing") {
        return;
    }
    let mut world = World::new();
    let workload = world.workload();
    let mut wanted = interface(&workload, "calic1", &["10.65.0.2", "fd65::2"]);
    wanted.forwarding = Some(true);
    let before = world.picture(&workload);
    for stop in Step::ATTACH {
        let mut hook = |step| if step == stop { Err(Interrupted) } else { Ok(()) };
        let failure = attach(&mut world.host, &wanted, &mut hook).expect_err("interrupted");
        assert!(failure.left.is_empty(), "{failure:?}");
        assert_eq!(world.picture(&workload), before, "{}", stop.name());
    }
}

#[test]
fn a_death_after_any_step_is_mended_by_the_next_attempt_or_the_end() {
    if !enclosed("live::a_death_after_any_step_is_mended_by_the_next_attempt_or_the_end") {
        return;
    }
    let mut world = World::new();
    for stop in Step::ATTACH {
        let workload = world.workload();
        let wanted = interface(&workload, "calic1", &["10.65.0.2", "fd65::2"]);
        let before = world.picture(&workload);
        let die = |world: &mut World| {
            let dying = std::panic::AssertUnwindSafe(|| {
                attach(&mut world.host, &wanted, &mut |step| {
                    if step == stop { std::panic::resume_unwind(Box::new(())) } else { Ok(()) }
                })
            });
            std::panic::catch_unwind(dying).expect_err("dead");
        };
        die(&mut world);
        let attached = world.attach(&wanted);
        let replaced = [Warning::Replaced(name("calic1"))];
        let left = if stop == Step::Entered { [].as_slice() } else { &replaced };
        assert_eq!(attached.warnings, left, "{}", stop.name());
        assert_eq!(inspect(&mut world.host, &wanted).expect("inspected"), []);
        assert!(world.detach(&wanted).removed);
        die(&mut world);
        world.detach(&wanted);
        let after = world.picture(&workload);
        assert_eq!(
            (after.links, after.routes, after.inside.0),
            (before.links, before.routes, before.inside.0)
        );
    }
}

#[test]
fn a_vanished_namespace_takes_the_interface_along_and_the_end_is_calm() {
    if !enclosed("live::a_vanished_namespace_takes_the_interface_along_and_the_end_is_calm") {
        return;
    }
    let mut world = World::new();
    let workload = world.workload();
    let wanted = interface(&workload, "calic1", &["10.65.0.2"]);
    world.attach(&wanted);
    assert!(world.detach(&wanted).removed);
    let again = world.detach(&wanted);
    assert!(!again.removed && again.kept_for.is_none());
    let unknown = Detach {
        workload: None,
        workload_name: name("eth0"),
        host_name: name("calic1"),
        owner: "net.calic1".to_owned(),
    };
    let detached = detach(&mut world.host, &unknown, &mut |_| Ok(()));
    assert!(!detached.removed && detached.failures.is_empty());
    world.attach(&wanted);
    let detached = detach(&mut world.host, &unknown, &mut |_| Ok(()));
    assert!(detached.removed, "the host's end is enough");
}

#[test]
fn an_interface_without_an_owner_is_upstreams_and_goes() {
    if !enclosed("live::an_interface_without_an_owner_is_upstreams_and_goes") {
        return;
    }
    let mut world = World::new();
    let workload = world.workload();
    let host_namespace = world.host.namespace().clone();
    let pair = |far: &str| {
        Request::AddVeth(Veth {
            near: VethEnd { name: name("eth0"), mac: None },
            near_up: true,
            far: VethEnd { name: name(far), mac: None },
            far_namespace: Some(host_namespace.clone()),
            mtu: None,
            queues: None,
        })
    };
    let mut inside = workload.run(RtSocket::open).expect("a visit").expect("a socket");
    let wanted = interface(&workload, "calic1", &["10.65.0.2"]);
    // Under its name, and under one that someone gave it since.
    for far in ["calic1", "renamed"] {
        inside.submit(&[pair(far)]).expect("an answer").remove(0).expect("done");
        assert!(world.detach(&wanted).removed, "{far}");
        assert_eq!(inside.link(LinkKey::Name(name("eth0"))).expect("an answer"), None);
    }
    // But not one that is another's under another name.
    inside.submit(&[pair("calic2")]).expect("an answer").remove(0).expect("done");
    let index =
        world.host.network().link(LinkKey::Name(name("calic2"))).expect("an answer").expect("it").index;
    let owned = LinkChange { alias: Some("net.c2".to_owned()), ..LinkChange::default() };
    world
        .host
        .network()
        .submit(&[Request::ChangeLink(index, owned)])
        .expect("an answer")
        .remove(0)
        .expect("done");
    assert_eq!(world.detach(&wanted).kept_for.as_deref(), Some("net.c2"));
    assert!(inside.link(LinkKey::Name(name("eth0"))).expect("an answer").is_some());
}

#[test]
fn a_route_of_a_living_interface_is_a_conflict_and_of_a_dead_one_is_taken() {
    if !enclosed("live::a_route_of_a_living_interface_is_a_conflict_and_of_a_dead_one_is_taken") {
        return;
    }
    let mut world = World::new();
    let (one, other) = (world.workload(), world.workload());
    let first = interface(&one, "calic1", &["10.65.0.2", "fd65::2"]);
    let holder = world.attach(&first).host.index;
    let before = world.picture(&other);
    let mut second = interface(&other, "calic2", &["10.65.0.9", "10.65.0.2", "fd65::2"]);
    let error = world.refused(&second);
    assert!(
        error
            .to_string()
            .ends_with("Dst: 10.65.0.2/32, Scope: 253) already exists for an interface other than 'calic2'"),
        "{error}"
    );
    let AttachError::RouteTaken { holder: found, .. } = error else { panic!("{error:?}") };
    assert_eq!(found.link.map(|link| link.alias), Some(Some("net.calic1".to_owned())));
    assert_eq!(world.picture(&other), before);

    // The caller knows that the holder's workload is gone.
    second.evict.insert(name("calic1"));
    let attached = world.attach(&second);
    assert_eq!(attached.warnings.len(), 2, "{:?}", attached.warnings);
    assert_eq!(talk(&other, "172.17.0.9").expect("an answer").to_string(), "10.65.0.9");
    world.detach(&second);
    world.detach(&first);

    // The holder has lost its other end, which is plain to see.
    let holder_again = world.attach(&first).host.index;
    assert_ne!(holder_again, holder);
    let inner =
        one.run(RtSocket::open).expect("a visit").expect("a socket").link(LinkKey::Name(name("eth0")));
    let down = LinkChange { up: Some(false), ..LinkChange::default() };
    let change = Request::ChangeLink(inner.expect("an answer").expect("eth0").index, down);
    one.run(RtSocket::open).expect("a visit").expect("a socket").submit(&[change]).expect("an answer");
    second.evict.clear();
    assert_eq!(world.attach(&second).warnings.len(), 2);
    assert_eq!(talk(&other, "fd17::9").expect("an answer").to_string(), "fd65::2");
}

#[test]
fn each_damage_is_one_difference() {
    if !enclosed("live::each_damage_is_one_difference") {
        return;
    }
    let mut world = World::new();
    let workload = world.workload();
    let wanted = interface(&workload, "calic1", &["10.65.0.2", "fd65::2"]);
    let attached = world.attach(&wanted);
    assert_eq!(inspect(&mut world.host, &wanted).expect("inspected"), []);
    let mut inside = workload.run(RtSocket::open).expect("a visit").expect("a socket");
    let boot = RouteProtocol::BOOT;
    let (outer, inner) = (attached.host.index, attached.workload.index);
    let v6 = |text: &str| Cidr::host(text.parse::<IpAddr>().expect("an address"));
    let to_host = Route::on_link(v6("fd65::2"), outer, boot);
    world
        .host
        .network()
        .submit(&[Request::DeleteRoute(to_host)])
        .expect("an answer")
        .remove(0)
        .expect("done");
    assert_eq!(
        inspect(&mut world.host, &wanted).expect("inspected"),
        [Difference::HostRouteMissing(to_host)]
    );
    world.host.network().submit(&[Request::AddRoute(to_host)]).expect("an answer").remove(0).expect("done");

    let gateway = Route::on_link(Cidr::host([169, 254, 1, 1].into_ip()), inner, boot);
    inside.submit(&[Request::DeleteRoute(gateway)]).expect("an answer").remove(0).expect("done");
    assert_eq!(
        inspect(&mut world.host, &wanted).expect("inspected"),
        [Difference::WorkloadRouteMissing(gateway)]
    );
    inside.submit(&[Request::AddRoute(gateway)]).expect("an answer").remove(0).expect("done");

    let sysctl = Sysctl::conf(IpVersion::V4, &name("calic1"), "proxy_arp");
    ProcSys.write(&sysctl, "0").expect("written");
    let difference = Difference::Setting { setting: sysctl.to_string(), wanted: "1", found: "0".to_owned() };
    assert_eq!(inspect(&mut world.host, &wanted).expect("inspected"), [difference]);
    ProcSys.write(&sysctl, "1").expect("written");

    let address = Address::new(inner, v6("fd65::2"));
    inside.submit(&[Request::DeleteAddress(address)]).expect("an answer").remove(0).expect("done");
    let difference = Difference::AddressMissing { interface: name("eth0"), address: address.net };
    assert_eq!(inspect(&mut world.host, &wanted).expect("inspected"), [difference]);

    world.detach(&wanted);
    let both = [Difference::WorkloadLinkMissing(name("eth0")), Difference::HostLinkMissing(name("calic1"))];
    assert_eq!(inspect(&mut world.host, &wanted).expect("inspected"), both);
}

#[test]
fn a_host_that_has_ipv6_off_by_default_serves_ipv6_workloads() {
    if !enclosed("live::a_host_that_has_ipv6_off_by_default_serves_ipv6_workloads") {
        return;
    }
    let mut world = World::new();
    let default = |name| Sysctl::new(["net", "ipv6", "conf", "default", name]);
    // Neither on by itself, nor with a link-local address made from the hardware address.
    ProcSys.write(&default("disable_ipv6"), "1").expect("written");
    ProcSys.write(&default("addr_gen_mode"), "1").expect("written");
    let workload = world.workload();
    world.attach(&interface(&workload, "calic1", &["fd65::2"]));
    assert_eq!(talk(&workload, "fd17::9").expect("an answer").to_string(), "fd65::2");
}

/// Advertises the workload to the host as a router, for everything.
fn advertise(workload: &Namespace) -> rustix::io::Result<()> {
    use rustix::net::{AddressFamily, SendFlags, SocketType, ipproto, sockopt};
    let message = || {
        let socket = rustix::net::socket(AddressFamily::INET6, SocketType::RAW, Some(ipproto::ICMPV6))?;
        sockopt::set_ipv6_multicast_hops(&socket, 255)?;
        // Type 134, hop limit 64, lifetime half an hour; the kernel adds the checksum.
        let advertisement = [134, 0, 0, 0, 64, 0, 7, 8, 0, 0, 0, 0, 0, 0, 0, 0];
        let link = RtSocket::open().expect("a socket").link(LinkKey::Name(name("eth0")));
        let scope = link.expect("an answer").expect("eth0").index.0;
        let everyone = std::net::SocketAddrV6::new("ff02::1".parse().expect("an address"), 0, 0, scope);
        rustix::net::sendto(&socket, &advertisement, SendFlags::empty(), &everyone)?;
        Ok(())
    };
    workload.run(message).expect("a visit")
}

/// How many router advertisements the host has heard.
fn advertisements() -> u64 {
    let counters = std::fs::read_to_string("/proc/self/net/snmp6").expect("the counters of IPv6");
    let heard = counters.lines().find_map(|line| line.strip_prefix("Icmp6InType134"));
    heard.map_or(0, |count| count.trim().parse().expect("a number"))
}

#[test]
fn a_workload_can_not_give_the_host_routes() {
    if !enclosed("live::a_workload_can_not_give_the_host_routes") {
        return;
    }
    let mut world = World::new();
    let deadline = std::time::Instant::now() + Duration::from_secs(20);
    // The workload has no IPv6 address, and turns IPv6 on by itself.
    let workload = Namespace::create().expect("a namespace");
    world.attach(&interface(&workload, "calic1", &["10.65.0.2"]));
    let accept = Sysctl::conf(IpVersion::V6, &name("calic1"), "accept_ra");
    let outer =
        world.host.network().link(LinkKey::Name(name("calic1"))).expect("an answer").expect("it").index;
    let mut led_astray = || -> bool {
        let routes = world.host.network().routes().expect("routes");
        routes.iter().any(|route| route.link == Some(outer) && route.destination.prefix() == 0)
    };
    // Its link-local address is not usable at once.
    while advertise(&workload).is_err() {
        assert!(std::time::Instant::now() < deadline, "no advertisement can be sent");
        std::thread::sleep(Duration::from_millis(20));
    }
    // Two that have been heard: the first has been dealt with.
    while advertisements() < 2 {
        assert!(std::time::Instant::now() < deadline, "the host hears nothing");
        advertise(&workload).expect("sent");
        std::thread::sleep(Duration::from_millis(20));
    }
    assert!(!led_astray(), "the host believed the workload");
    // That it would work without the setting shows that the advertisement is one.
    ProcSys.write(&accept, "2").expect("written");
    while !led_astray() {
        assert!(std::time::Instant::now() < deadline, "the advertisement is none");
        advertise(&workload).expect("sent");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn many_at_once_do_not_meet() {
    if !enclosed("live::many_at_once_do_not_meet") {
        return;
    }
    let mut world = World::new();
    let workloads: Vec<Namespace> = (0..24).map(|_| world.workload()).collect();
    let before = world.picture(&workloads[0]);
    let wanted: Vec<Interface> = workloads
        .iter()
        .enumerate()
        .map(|(number, workload)| {
            let addresses = [format!("10.65.0.{number}"), format!("fd65::{number}")];
            interface(workload, &format!("cali{number}"), &addresses.each_ref().map(String::as_str))
        })
        .collect();
    let in_parallel = |work: &(dyn Fn(&mut LiveHost, &Interface) + Sync)| {
        std::thread::scope(|scope| {
            for interface in &wanted {
                scope.spawn(move || work(&mut LiveHost::open().expect("a host"), interface));
            }
        });
    };
    in_parallel(&|host, interface| {
        attach(host, interface, &mut |_| Ok(())).expect("attached");
    });
    for interface in &wanted {
        assert_eq!(inspect(&mut world.host, interface).expect("inspected"), []);
    }
    in_parallel(&|host, interface| {
        let gone = Detach {
            workload: Some(interface.workload.clone()),
            workload_name: interface.workload_name,
            host_name: interface.host_name,
            owner: interface.owner.clone(),
        };
        let detached = detach(host, &gone, &mut |_| Ok(()));
        assert!(detached.removed && detached.failures.is_empty(), "{detached:?}");
    });
    let after = world.picture(&workloads[0]);
    assert_eq!((after.links, after.routes), (before.links, before.routes));
}
