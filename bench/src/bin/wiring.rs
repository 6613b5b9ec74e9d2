//! A workload interface made and unmade, beside a bare pair of links and a bare namespace, on a throw-away host.
//!
//! Usage: wiring [ROUNDS], by default 200. Each round does all of it, in turn, so that the machine's moods meet all.

use std::time::{Duration, Instant};

use margay_kernel::{
    Isolation, LinkChange, LinkKey, Namespace, Reply, Request, RtSocket, Rtnetlink, Veth, VethEnd, isolated,
};
use margay_net::IfName;
use margay_wiring::{Detach, Interface, LiveHost, attach, detach};

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match isolated("wiring-bench", &arguments).expect("user namespaces are allowed here") {
        Isolation::Inside => {}
        Isolation::Done(status) => std::process::exit(status.code().unwrap_or(1)),
    }
    let rounds = arguments.first().map_or(200, |word| word.parse().expect("a number of rounds"));
    let mut figures: [(&str, Vec<Duration>); 8] = [
        ("namespace", Vec::new()),
        ("bare pair, made", Vec::new()),
        ("bare pair, both up", Vec::new()),
        ("bare pair, removed", Vec::new()),
        ("interface IPv4, made", Vec::new()),
        ("interface IPv4, removed", Vec::new()),
        ("interface both, made", Vec::new()),
        ("interface both, removed", Vec::new()),
    ];
    let mut host = LiveHost::open().expect("a host");
    let mut bare = RtSocket::open().expect("a socket");
    // The kernel takes namespaces down behind our back, under the lock that everything here needs: not while we measure.
    let mut kept = Vec::new();
    for _ in 0..rounds {
        let mut times = Vec::new();
        let here = Namespace::current().expect("this one");
        let workload = timed(&mut times, || Namespace::create().expect("a namespace"));
        bare_pair(&mut bare, &here, &workload, &mut times);
        kept.push(workload);
        for addresses in [&["10.65.0.2"][..], &["10.65.0.2", "fd65::2"]] {
            let workload = Namespace::create().expect("a namespace");
            wired(&mut host, &workload, addresses, &mut times);
            kept.push(workload);
        }
        for ((_, all), time) in figures.iter_mut().zip(times) {
            all.push(time);
        }
    }
    println!("{rounds} rounds");
    for (name, mut times) in figures {
        times.sort();
        let at = |percent: usize| times[times.len() * percent / 100].as_secs_f64() * 1e6;
        println!("{name:<24} {:>9.1} us p50 {:>9.1} us p99", at(50), at(99));
    }
}

/// A pair with one end in the workload, nothing on it.
fn bare_pair(bare: &mut RtSocket, here: &Namespace, workload: &Namespace, times: &mut Vec<Duration>) {
    let mut inside = workload.run(RtSocket::open).expect("a visit").expect("a socket");
    let veth = Veth {
        near: VethEnd { name: name("eth0"), mac: None },
        near_up: true,
        far: VethEnd { name: name("bare"), mac: None },
        far_namespace: Some(here.clone()),
        mtu: None,
        queues: None,
    };
    let requests = [Request::AddVeth(veth), Request::ShowLink(LinkKey::Name(name("eth0")))];
    let reply = timed(times, || inside.submit(&requests).expect("an answer").remove(1).expect("shown"));
    let Reply::Link(link) = reply else { panic!("a link was asked for") };
    let index = link.peer.expect("a pair has two ends");
    let up = Request::ChangeLink(index, LinkChange { up: Some(true), ..LinkChange::default() });
    timed(times, || bare.submit(&[up]).expect("an answer").remove(0).expect("up"));
    let gone = Request::DeleteLink(LinkKey::Index(index));
    timed(times, || bare.submit(&[gone]).expect("an answer").remove(0).expect("gone"));
}

/// The whole interface.
fn wired(host: &mut LiveHost, workload: &Namespace, addresses: &[&str], times: &mut Vec<Duration>) {
    let (eth0, calic1, owner) = (name("eth0"), name("calic1"), "net.c1".to_owned());
    let mut interface = Interface::new(workload.clone(), eth0, calic1, owner.clone());
    interface.addresses = addresses.iter().map(|text| text.parse().expect("an address")).collect();
    timed(times, || attach(host, &interface, &mut |_| Ok(())).expect("attached"));
    let gone = Detach { workload: Some(workload.clone()), workload_name: eth0, host_name: calic1, owner };
    let detached = timed(times, || detach(host, &gone, &mut |_| Ok(())));
    assert!(detached.removed && detached.failures.is_empty(), "{detached:?}");
}

fn timed<T>(times: &mut Vec<Duration>, work: impl FnOnce() -> T) -> T {
    let started = Instant::now();
    let result = work();
    times.push(started.elapsed());
    result
}

fn name(text: &str) -> IfName {
    text.parse().expect("a name")
}
