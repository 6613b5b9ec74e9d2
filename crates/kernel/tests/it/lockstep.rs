//! The fake beside the kernel, on random requests: the same refusals, the same listings.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use margay_kernel::{
    Address, FakeNetwork, Link, LinkChange, LinkKey, Neighbour, NeighbourKind, RefusalKind, Reply, Request,
    Route, RouteKind, RouteProtocol, RouteScope, RtSocket, Rtnetlink, Veth, VethEnd,
};
use margay_net::{Cidr, IfIndex, IfName, Mac};

use crate::isolated::in_isolation;

/// A small generator of numbers (xorshift64*).
struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let high = self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33;
        usize::try_from(high).expect("31 bits fit") % end
    }

    fn one_of<T: Clone>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len())].clone()
    }
}

/// A request out of few, so that they meet.
fn request(random: &mut Random, newest: u32) -> Request {
    let name =
        |random: &mut Random| -> IfName { random.one_of(&["a", "b", "c", "d"]).parse().expect("a name") };
    let link = IfIndex(match random.below(12) {
        0 => 999,
        _ => newest.saturating_sub(u32::try_from(random.below(4)).expect("small")).max(2),
    });
    match random.below(20) {
        0 | 1 => {
            let (near, far) = random.one_of(&[("a", "b"), ("c", "d"), ("a", "d")]);
            let end = |text: &str| VethEnd { name: text.parse().expect("a name"), mac: None };
            let near_up = random.below(2) == 0;
            let veth = Veth {
                near: end(near),
                near_up,
                far: end(far),
                far_namespace: None,
                mtu: None,
                queues: None,
            };
            Request::AddVeth(veth)
        }
        2 if random.below(3) == 0 => Request::DeleteLink(LinkKey::Name(name(random))),
        2 => Request::ShowLink(LinkKey::Name(name(random))),
        3..=6 => {
            let up = random.one_of(&[None, Some(true), Some(true), Some(true), Some(false)]);
            let alias = random.one_of(&[None, Some("one".to_owned()), Some(String::new())]);
            let renamed = if random.below(8) == 0 { Some(name(random)) } else { None };
            Request::ChangeLink(link, LinkChange { up, alias, name: renamed, ..LinkChange::default() })
        }
        7..=9 => {
            let net: Cidr = random
                .one_of(&["10.0.0.1/24", "10.0.1.1/32", "fd00::1/64", "fd01::1/128"])
                .parse()
                .expect("a network");
            let address = Address::new(link, net);
            random.one_of(&[
                Request::AddAddress(address),
                Request::ReplaceAddress(address),
                Request::DeleteAddress(address),
            ])
        }
        10..=16 => {
            let route = route(random, link);
            random.one_of(&[
                Request::AddRoute(route),
                Request::ReplaceRoute(route),
                Request::DeleteRoute(route),
            ])
        }
        _ => {
            let address: IpAddr = random.one_of(&["10.0.0.9", "fd00::9"]).parse().expect("an address");
            let neighbour = random.one_of(&[
                Neighbour::permanent(link, address, Mac::from([2; 6])),
                Neighbour::permanent(link, address, Mac::from([6; 6])),
                Neighbour::proxy(link, address),
            ]);
            random.one_of(&[Request::ReplaceNeighbour(neighbour), Request::DeleteNeighbour(neighbour)])
        }
    }
}

fn route(random: &mut Random, link: IfIndex) -> Route {
    let v4 = random.below(2) == 0;
    let destinations =
        if v4 { ["10.65.0.2/32", "10.66.0.0/16", "0.0.0.0/0"] } else { ["fd65::2/128", "fd66::/64", "::/0"] };
    let destination: Cidr = random.one_of(&destinations).parse().expect("a network");
    let gateway: IpAddr =
        if v4 { random.one_of(&["10.0.0.9", "192.0.2.1"]) } else { random.one_of(&["fe80::9", "fd00::9"]) }
            .parse()
            .expect("an address");
    let protocol = random.one_of(&[RouteProtocol::OURS, RouteProtocol::BOOT]);
    let direct = Route::on_link(destination, link, protocol);
    match random.below(8) {
        0 => Route { kind: RouteKind::Blackhole, link: None, scope: RouteScope::UNIVERSE, ..direct },
        1 => Route { metric: 7, ..direct },
        2 | 3 => Route::via(destination, gateway, link, protocol),
        // Whether an IPv6 gateway on trust is looked for elsewhere is a matter that nobody here asks for.
        4 if v4 => Route { onlink: true, ..Route::via(destination, gateway, link, protocol) },
        _ => direct,
    }
}

/// What both must agree on: not what the kernel makes by itself, nor hardware addresses that nobody gave, nor yet the
/// carrier, which settles a moment later.
#[derive(Debug, PartialEq)]
struct Seen {
    links: Vec<Link>,
    addresses: Vec<Address>,
    routes: Vec<Route>,
    neighbours: Vec<Neighbour>,
}

fn seen(network: &mut dyn Rtnetlink) -> Seen {
    let links = network.links().expect("links").into_iter().filter(|link| link.index != IfIndex(1));
    let mut addresses = network.addresses().expect("addresses");
    addresses.retain(|a| a.link != IfIndex(1));
    addresses.retain(|a| !matches!(a.net.address().get(), IpAddr::V6(ip) if ip.is_unicast_link_local()));
    let mut routes = network.routes().expect("routes");
    routes.retain(|route| route.protocol != RouteProtocol::KERNEL);
    let mut neighbours = network.neighbours().expect("neighbours");
    neighbours.retain(|n| !matches!(n.kind, NeighbourKind::Learned(_)) && n.link != IfIndex(1));
    Seen {
        links: links.map(|link| Link { mac: None, running: false, ..link }).collect(),
        addresses,
        routes,
        neighbours,
    }
}

/// The links that are up and have a carrier.
fn carriers(network: &mut dyn Rtnetlink) -> Vec<IfIndex> {
    let links = network.links().expect("links");
    links.into_iter().filter(|link| link.running).map(|link| link.index).collect()
}

fn outcome(network: &mut dyn Rtnetlink, request: &Request) -> Result<Option<IfName>, RefusalKind> {
    match network.submit(std::slice::from_ref(request)).expect("an answer").remove(0) {
        Ok(Reply::Done) => Ok(None),
        Ok(Reply::Link(link)) => Ok(Some(link.name)),
        Err(refusal) => Err(refusal.kind()),
    }
}

#[test]
fn the_fake_answers_as_the_kernel_does() {
    in_isolation("lockstep::the_fake_answers_as_the_kernel_does", || {
        for seed in 1..=12 {
            let namespace = margay_kernel::Namespace::create().expect("a namespace");
            let mut kernel = namespace.run(RtSocket::open).expect("a visit").expect("a socket");
            let mut fake = FakeNetwork::new();
            let up = LinkChange { up: Some(true), ..LinkChange::default() };
            let lo = Request::ChangeLink(IfIndex(1), up);
            assert_eq!(outcome(&mut kernel, &lo), outcome(&mut fake, &lo));
            let mut random = Random(0x9E37_79B9_7F4A_7C15_u64.wrapping_mul(seed));
            let mut history = Vec::new();
            for _ in 0..100 {
                let newest = fake.links().expect("links").last().map_or(2, |link| link.index.0);
                let request = request(&mut random, newest);
                let outcomes = (outcome(&mut kernel, &request), outcome(&mut fake, &request));
                history.push(format!("{request:?} -> {:?}", outcomes.1));
                assert_eq!(
                    outcomes.0,
                    outcomes.1,
                    "seed {seed}, kernel and fake after:\n{}",
                    history.join("\n")
                );
                let (real, imagined) = (seen(&mut kernel), seen(&mut fake));
                assert_eq!(real, imagined, "seed {seed}, kernel and fake after:\n{}", history.join("\n"));
            }
            let deadline = Instant::now() + Duration::from_secs(10);
            while carriers(&mut kernel) != carriers(&mut fake) {
                assert!(Instant::now() < deadline, "seed {seed}, carriers after:\n{}", history.join("\n"));
                std::thread::sleep(Duration::from_millis(5));
            }
        }
    });
}
