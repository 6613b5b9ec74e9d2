//! One suite for the kernel and its fake: what each does, shows, says and refuses.

use std::net::IpAddr;

use margay_kernel::{
    Address, FakeNetwork, Interfaces, Link, LinkChange, LinkKey, LinkKind, Monitor, Namespace, Neighbour,
    NeighbourKind, Notice, Outcome, RefusalKind, Reply, Request, Route, RouteKind, RouteProtocol, RouteScope,
    RouteTable, RtMonitor, RtSocket, Rtnetlink, Veth, VethEnd,
};
use margay_net::{Cidr, IfIndex, IfName, Mac};

use crate::isolated::in_isolation;

/// A host with two namespaces.
struct Lab {
    here: Box<dyn Rtnetlink>,
    there: Box<dyn Rtnetlink>,
    there_namespace: Namespace,
    monitor: Box<dyn Monitor>,
}

impl Lab {
    fn fake() -> Self {
        let here = FakeNetwork::new();
        let there = here.add_namespace();
        Self {
            monitor: Box::new(here.monitor()),
            there_namespace: there.namespace(),
            here: Box::new(here),
            there: Box::new(there),
        }
    }

    fn kernel() -> Self {
        let there_namespace = Namespace::create().expect("a namespace");
        let there = there_namespace.run(RtSocket::open).expect("inside").expect("a socket");
        let mut here = RtSocket::open().expect("a socket");
        // Without any address of its own a namespace has no table of them, and takes no gateway on trust.
        let up = LinkChange { up: Some(true), ..LinkChange::default() };
        here.submit(&[Request::ChangeLink(IfIndex(1), up)]).expect("an answer").remove(0).expect("done");
        Self {
            monitor: Box::new(RtMonitor::open().expect("a subscription")),
            here: Box::new(here),
            there: Box::new(there),
            there_namespace,
        }
    }

    /// Does requests that must succeed.
    #[track_caller]
    fn done(&mut self, requests: &[Request]) {
        for outcome in self.here.submit(requests).expect("an answer") {
            outcome.expect("done");
        }
    }

    /// Does one request that must be refused.
    #[track_caller]
    fn refused(&mut self, request: Request) -> RefusalKind {
        let refusal = self
            .here
            .submit(std::slice::from_ref(&request))
            .expect("an answer")
            .remove(0)
            .expect_err("refused");
        assert!(refusal.to_string().starts_with(&request.to_string()), "{refusal}");
        refusal.kind()
    }

    /// Makes a pair with both ends here and up; the numbers of `a` and `b`.
    fn pair(&mut self) -> (IfIndex, IfIndex) {
        self.done(&[Request::AddVeth(veth("a", "b", true))]);
        let (a, b) = (self.index("a"), self.index("b"));
        let up = LinkChange { up: Some(true), ..LinkChange::default() };
        self.done(&[Request::ChangeLink(b, up)]);
        (a, b)
    }

    #[track_caller]
    fn shown(&mut self, link: &str) -> Link {
        self.here.link(LinkKey::Name(name(link))).expect("an answer").expect("the link")
    }

    #[track_caller]
    fn index(&mut self, link: &str) -> IfIndex {
        self.shown(link).index
    }

    /// The routes that someone asked for.
    fn routes(&mut self) -> Vec<Route> {
        let mut routes = self.here.routes().expect("routes");
        routes.retain(|route| route.protocol != RouteProtocol::KERNEL);
        routes
    }

    /// The addresses that someone asked for.
    fn addresses(&mut self) -> Vec<Address> {
        let mut addresses = self.here.addresses().expect("addresses");
        addresses.retain(|a| match a.net.address().get() {
            IpAddr::V4(ip) => !ip.is_loopback(),
            IpAddr::V6(ip) => !ip.is_loopback() && !ip.is_unicast_link_local(),
        });
        addresses
    }
}

fn name(text: &str) -> IfName {
    text.parse().expect("a name")
}

fn net(text: &str) -> Cidr {
    text.parse().expect("a network")
}

fn ip(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

fn end(text: &str) -> VethEnd {
    VethEnd { name: name(text), mac: None }
}

fn veth(near: &str, far: &str, near_up: bool) -> Veth {
    Veth { near: end(near), near_up, far: end(far), far_namespace: None, mtu: None, queues: None }
}

fn down() -> LinkChange {
    LinkChange { up: Some(false), ..LinkChange::default() }
}

const OURS: RouteProtocol = RouteProtocol::OURS;

fn a_pair_spans_two_namespaces(lab: &mut Lab) {
    let far = VethEnd { name: name("cali1"), mac: Some(Mac::from([0xee; 6])) };
    let far_namespace = Some(lab.there_namespace.clone());
    let (mtu, queues) = (Some(1400), Some(2));
    lab.done(&[Request::AddVeth(Veth { near: end("eth0"), near_up: true, far, far_namespace, mtu, queues })]);
    let here = lab.shown("eth0");
    let there = lab.there.link(LinkKey::Name(name("cali1"))).expect("an answer").expect("the link");
    assert_eq!((here.peer, there.peer), (Some(there.index), Some(here.index)));
    assert_eq!((there.mac, there.mtu, here.mtu), (Some(Mac::from([0xee; 6])), 1400, 1400));
    assert_eq!((here.kind, here.peer_elsewhere, here.running), (LinkKind::Veth, true, false));
    assert_eq!(lab.here.link(LinkKey::Name(name("cali1"))).expect("an answer"), None);
    lab.done(&[Request::DeleteLink(LinkKey::Index(here.index))]);
    assert_eq!(lab.there.link(LinkKey::Index(there.index)).expect("an answer"), None);
}

fn one_message_does_several_things_in_order(lab: &mut Lab) {
    let (a, b) = (name("a"), name("b"));
    let outcomes = lab.here.submit(&[
        Request::AddVeth(veth("a", "b", false)),
        Request::ShowLink(LinkKey::Name(a)),
        Request::AddVeth(veth("a", "c", false)),
        Request::ShowLink(LinkKey::Name(name("c"))),
        Request::DeleteLink(LinkKey::Name(b)),
        Request::ShowLink(LinkKey::Name(a)),
    ]);
    let outcomes: Vec<Result<bool, RefusalKind>> = (outcomes.expect("an answer").into_iter())
        .map(|outcome: Outcome| match outcome {
            Ok(Reply::Link(link)) => Ok(link.up || link.name != a),
            Ok(Reply::Done) => Ok(true),
            Err(refusal) => Err(refusal.kind()),
        })
        .collect();
    let missing = Err(RefusalKind::Missing);
    assert_eq!(outcomes, [Ok(true), Ok(false), Err(RefusalKind::Exists), missing, Ok(true), missing]);
}

fn many_requests_have_as_many_outcomes(lab: &mut Lab) {
    let (a, _) = lab.pair();
    let route = |low: u8| Route::on_link(Cidr::host(IpAddr::from([10, 0, 0, low])), a, OURS);
    let requests: Vec<_> = (0..200).map(|low| Request::AddRoute(route(low))).collect();
    lab.done(&requests);
    assert_eq!(lab.routes(), (0..200).map(route).collect::<Vec<_>>());
    let outcomes = lab.here.submit(&requests).expect("an answer");
    assert_eq!(outcomes.len(), 200);
    assert!(outcomes.iter().all(|o| matches!(o, Err(refusal) if refusal.kind() == RefusalKind::Exists)));
}

fn a_link_is_changed_and_renamed(lab: &mut Lab) {
    let (a, _) = lab.pair();
    let change = LinkChange {
        up: Some(false),
        name: Some(name("z.9")),
        mac: Some(Mac::from([2, 0, 0, 0, 0, 9])),
        mtu: Some(1280),
        alias: Some("net.container".to_owned()),
    };
    lab.done(&[Request::ChangeLink(a, down()), Request::ChangeLink(a, change)]);
    let link = lab.shown("z.9");
    assert_eq!((link.index, link.up, link.running, link.mtu), (a, false, false, 1280));
    assert_eq!(link.mac, Some(Mac::from([2, 0, 0, 0, 0, 9])));
    assert_eq!(link.alias.as_deref(), Some("net.container"));
    assert!(lab.shown("b").up && !lab.shown("b").running, "the other end has lost its carrier");
    let nothing = LinkChange { alias: Some(String::new()), ..LinkChange::default() };
    lab.done(&[Request::ChangeLink(a, nothing)]);
    assert_eq!(lab.shown("z.9").alias, None);
}

fn wrong_changes_of_links_are_refused(lab: &mut Lab) {
    let (a, _) = lab.pair();
    let rename = LinkChange { name: Some(name("b")), ..LinkChange::default() };
    assert_eq!(lab.refused(Request::ChangeLink(a, rename)), RefusalKind::Exists);
    let long = LinkChange { alias: Some("x".repeat(256)), ..LinkChange::default() };
    assert_eq!(lab.refused(Request::ChangeLink(a, long)), RefusalKind::Other);
    let small = LinkChange { mtu: Some(10), ..LinkChange::default() };
    assert_eq!(lab.refused(Request::ChangeLink(a, small)), RefusalKind::Other);
    assert_eq!(lab.refused(Request::ChangeLink(IfIndex(999), down())), RefusalKind::Missing);
    assert_eq!(lab.refused(Request::DeleteLink(LinkKey::Name(name("none")))), RefusalKind::Missing);
    assert_eq!(lab.refused(Request::DeleteLink(LinkKey::Name(name("lo")))), RefusalKind::Unsupported);
    let twice = Request::AddVeth(veth("c", "c", true));
    assert_eq!(lab.refused(twice), RefusalKind::Exists);
}

fn addresses_are_added_replaced_and_removed(lab: &mut Lab) {
    let (a, _) = lab.pair();
    for text in ["10.0.0.1/24", "fd00::1/64"] {
        let address = Address { link: a, net: net(text), no_dad: text.contains(':') };
        lab.done(&[Request::AddAddress(address)]);
        assert_eq!(lab.addresses(), [address]);
        assert_eq!(lab.refused(Request::AddAddress(address)), RefusalKind::Exists);
        lab.done(&[Request::ReplaceAddress(address), Request::DeleteAddress(address)]);
        assert_eq!(lab.addresses(), []);
        assert_eq!(lab.refused(Request::DeleteAddress(address)), RefusalKind::Missing);
        let elsewhere = Address { link: IfIndex(999), ..address };
        assert_eq!(lab.refused(Request::AddAddress(elsewhere)), RefusalKind::Missing);
    }
}

fn a_listed_route_equals_the_one_that_was_asked_for(lab: &mut Lab) {
    let (a, _) = lab.pair();
    let on_link = |text: &str| Route::on_link(net(text), a, OURS);
    let via = |text: &str, gateway: &str| Route::via(net(text), ip(gateway), a, OURS);
    let mut wanted = vec![
        on_link("10.65.0.2/32"),
        on_link("169.254.1.1/32"),
        via("0.0.0.0/0", "169.254.1.1"),
        Route { onlink: true, ..via("10.9.0.0/16", "192.0.2.1") },
        Route { metric: 7, ..on_link("10.65.0.2/32") },
        on_link("10.65.0.3/32").in_table(RouteTable(1000)),
        Route {
            kind: RouteKind::Blackhole,
            link: None,
            scope: RouteScope::UNIVERSE,
            ..on_link("10.65.0.0/26")
        },
        on_link("fd65::2/128"),
        via("::/0", "fe80::1"),
        Route { kind: RouteKind::Blackhole, link: None, ..on_link("fd65::/64") },
    ];
    let requests: Vec<_> = wanted.iter().copied().map(Request::AddRoute).collect();
    lab.done(&requests);
    wanted.sort_unstable();
    assert_eq!(lab.routes(), wanted);
    let requests: Vec<_> = wanted.iter().copied().map(Request::DeleteRoute).collect();
    // Through a gateway first, then the way to the gateway.
    let (through, direct): (Vec<_>, Vec<_>) =
        requests.into_iter().partition(|r| matches!(r, Request::DeleteRoute(r) if r.gateway.is_some()));
    lab.done(&through);
    lab.done(&direct);
    assert_eq!(lab.routes(), []);
}

fn one_key_holds_one_route(lab: &mut Lab) {
    let (a, b) = lab.pair();
    for text in ["10.65.0.2/32", "fd65::2/128"] {
        let (one, other) =
            (Route::on_link(net(text), a, OURS), Route::on_link(net(text), b, RouteProtocol::BOOT));
        lab.done(&[Request::AddRoute(one)]);
        assert_eq!(lab.refused(Request::AddRoute(other)), RefusalKind::Exists);
        assert_eq!(lab.refused(Request::DeleteRoute(other)), RefusalKind::Missing);
        lab.done(&[Request::ReplaceRoute(other)]);
        assert_eq!(lab.routes(), [other]);
        assert_eq!(lab.refused(Request::DeleteRoute(one)), RefusalKind::Missing);
        lab.done(&[Request::DeleteRoute(other)]);
        assert_eq!(lab.routes(), []);
    }
}

fn routes_that_lead_nowhere_are_refused(lab: &mut Lab) {
    let (a, b) = lab.pair();
    lab.done(&[Request::ChangeLink(b, down())]);
    for (text, gateway) in [("10.65.0.2/32", "192.0.2.1"), ("fd65::2/128", "fd99::1")] {
        let on = |link| Route::on_link(net(text), link, OURS);
        let via = Route::via(net(text), ip(gateway), a, OURS);
        assert_eq!(lab.refused(Request::AddRoute(on(IfIndex(999)))), RefusalKind::Missing);
        assert_eq!(lab.refused(Request::AddRoute(on(b))), RefusalKind::LinkDown);
        assert_eq!(lab.refused(Request::AddRoute(via)), RefusalKind::Unreachable);
        assert_eq!(lab.refused(Request::DeleteRoute(on(a))), RefusalKind::Missing);
    }
}

fn a_link_that_goes_down_takes_its_routes_along(lab: &mut Lab) {
    let (a, b) = lab.pair();
    let stays = Route::on_link(net("10.65.0.3/32"), b, OURS);
    lab.done(&[
        Request::AddAddress(Address::new(a, net("10.0.0.1/24"))),
        Request::AddRoute(Route::on_link(net("10.65.0.2/32"), a, OURS)),
        Request::AddRoute(Route::on_link(net("fd65::2/128"), a, OURS)),
        Request::AddRoute(stays),
        Request::ReplaceNeighbour(Neighbour::permanent(a, ip("10.65.0.2"), Mac::from([2; 6]))),
        Request::ChangeLink(a, down()),
    ]);
    assert_eq!(lab.routes(), [stays]);
    assert_eq!(lab.addresses(), [Address::new(a, net("10.0.0.1/24"))]);
    let mine = |n: &Neighbour| {
        n.link == a && matches!(n.kind, NeighbourKind::Permanent(mac) if mac == Mac::from([2; 6]))
    };
    assert!(!lab.here.neighbours().expect("neighbours").iter().any(mine));
}

fn neighbours_are_set_replaced_and_removed(lab: &mut Lab) {
    let (a, _) = lab.pair();
    // What the kernel finds out by itself, and multicast groups, are not ours to compare.
    let ours = |lab: &mut Lab| -> Vec<Neighbour> {
        let all = lab.here.neighbours().expect("neighbours");
        let known = [ip("10.65.0.2"), ip("fd65::2"), ip("169.254.1.1"), ip("fd65::1")];
        let kinds =
            |n: &Neighbour| !matches!(n.kind, NeighbourKind::Learned(_)) && known.contains(&n.address);
        all.into_iter().filter(kinds).collect()
    };
    for (address, gateway) in [("10.65.0.2", "169.254.1.1"), ("fd65::2", "fd65::1")] {
        let one = Neighbour::permanent(a, ip(address), Mac::from([2; 6]));
        let other = Neighbour::permanent(a, ip(address), Mac::from([6; 6]));
        let proxy = Neighbour::proxy(a, ip(gateway));
        lab.done(&[Request::ReplaceNeighbour(one), Request::ReplaceNeighbour(other)]);
        lab.done(&[Request::ReplaceNeighbour(proxy)]);
        let mut wanted = [other, proxy];
        wanted.sort_unstable();
        assert_eq!(ours(lab), wanted);
        lab.done(&[Request::DeleteNeighbour(other), Request::DeleteNeighbour(proxy)]);
        assert_eq!(ours(lab), []);
        assert_eq!(lab.refused(Request::DeleteNeighbour(proxy)), RefusalKind::Missing);
        let elsewhere = Neighbour { link: IfIndex(999), ..one };
        assert_eq!(lab.refused(Request::ReplaceNeighbour(elsewhere)), RefusalKind::Missing);
    }
}

fn the_monitor_tells_what_a_listing_would(lab: &mut Lab) {
    let mut picture = Interfaces::default();
    let links = lab.here.links().expect("links");
    picture.resync(links, &lab.here.addresses().expect("addresses"));
    let (a, b) = lab.pair();
    let route = Route::on_link(net("fd65::2/128"), a, OURS);
    let renamed = LinkChange { up: Some(false), name: Some(name("bb")), ..LinkChange::default() };
    lab.done(&[
        Request::AddAddress(Address::new(a, net("10.0.0.1/24"))),
        Request::AddAddress(Address::new(a, net("10.0.0.2/32"))),
        Request::DeleteAddress(Address::new(a, net("10.0.0.2/32"))),
        Request::AddRoute(route),
        Request::DeleteRoute(route),
        Request::ChangeLink(b, down()),
        Request::ChangeLink(b, renamed),
        Request::AddVeth(veth("c", "d", false)),
        Request::DeleteLink(LinkKey::Name(name("c"))),
    ]);
    let notices = lab.monitor.receive().expect("notices");
    assert!(!notices.contains(&Notice::Overrun));
    assert!(notices.contains(&Notice::Route(route)) && notices.contains(&Notice::RouteGone(route)));
    for notice in &notices {
        picture.apply(notice);
    }
    let mut listed = Interfaces::default();
    // Link-local addresses come and go by themselves; what is asked for here is told at once.
    let addresses = lab.addresses();
    listed.resync(lab.here.links().expect("links"), &addresses);
    assert_eq!(picture.links().collect::<Vec<_>>(), listed.links().collect::<Vec<_>>());
    let v4 = |picture: &Interfaces| -> Vec<Cidr> {
        picture.addresses_of(a).filter(|n| n.address().version() == margay_net::IpVersion::V4).collect()
    };
    assert_eq!(v4(&picture), v4(&listed));
}

macro_rules! both {
    ($($case:ident),* $(,)?) => {
        mod fake {
            $(#[test] fn $case() { super::$case(&mut super::Lab::fake()); })*
        }
        mod kernel {
            $(#[test] fn $case() {
                let path = concat!("rtnetlink::kernel::", stringify!($case));
                super::in_isolation(path, || super::$case(&mut super::Lab::kernel()));
            })*
        }
    };
}

both!(
    a_pair_spans_two_namespaces,
    one_message_does_several_things_in_order,
    many_requests_have_as_many_outcomes,
    a_link_is_changed_and_renamed,
    wrong_changes_of_links_are_refused,
    addresses_are_added_replaced_and_removed,
    a_listed_route_equals_the_one_that_was_asked_for,
    one_key_holds_one_route,
    routes_that_lead_nowhere_are_refused,
    a_link_that_goes_down_takes_its_routes_along,
    neighbours_are_set_replaced_and_removed,
    the_monitor_tells_what_a_listing_would,
);

#[test]
fn a_kernel_without_ipip_says_so() {
    in_isolation("rtnetlink::a_kernel_without_ipip_says_so", || {
        let mut lab = Lab::kernel();
        let outcome = lab.here.submit(&[Request::AddIpip(name("tunl0"))]).expect("an answer").remove(0);
        match outcome {
            // The module brings a first tunnel of that name along.
            Ok(_) => assert_eq!(lab.shown("tunl0").kind, LinkKind::Ipip),
            Err(refusal) if refusal.kind() == RefusalKind::Exists => {
                assert_eq!(lab.shown("tunl0").kind, LinkKind::Ipip);
            }
            Err(refusal) => assert_eq!(refusal.kind(), RefusalKind::Unsupported, "{refusal}"),
        }
    });
    let fake = FakeNetwork::new();
    fake.set_ipip(false);
    let refusal = fake.clone().submit(&[Request::AddIpip(name("tunl0"))]).expect("an answer").remove(0);
    assert_eq!(refusal.expect_err("refused").kind(), RefusalKind::Unsupported);
    fake.set_ipip(true);
    fake.clone().submit(&[Request::AddIpip(name("tunl0"))]).expect("an answer").remove(0).expect("done");
}

#[test]
fn notices_beyond_the_queue_are_an_overrun() {
    in_isolation("rtnetlink::notices_beyond_the_queue_are_an_overrun", || {
        let mut lab = Lab::kernel();
        let (a, _) = lab.pair();
        let address = Address::new(a, net("10.0.0.1/32"));
        let both = [Request::AddAddress(address), Request::DeleteAddress(address)];
        let round: Vec<_> = both.iter().cycle().take(20_000).cloned().collect();
        lab.done(&round);
        let notices = lab.monitor.receive().expect("notices");
        assert!(notices.contains(&Notice::Overrun), "{} notices and no overrun", notices.len());
        lab.done(&[Request::AddAddress(address)]);
        let notices = lab.monitor.receive().expect("notices");
        assert_eq!(notices.first(), Some(&Notice::Address(address)), "it goes on after that");
    });
}
