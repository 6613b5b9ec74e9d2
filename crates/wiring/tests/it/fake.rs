//! On a host in memory: how many messages it takes, and what is left when any of them goes wrong.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use margay_kernel::{
    Address, FakeNetwork, FakePicture, FakeSysctls, Fault, Link, LinkKey, Namespace, Neighbour, Outcome,
    Request, Route, RtError, Rtnetlink, Sysctl, Sysctls,
};
use margay_net::{IfName, IpVersion};
use margay_wiring::{
    AttachFailure, Attached, Detach, Detached, EnterError, Entered, Host, Interface, Interrupted, Step,
    attach, detach, inspect,
};

/// A connection that counts its messages.
#[derive(Debug, Clone)]
struct Counted(FakeNetwork, Arc<AtomicUsize>);

impl Rtnetlink for Counted {
    fn submit(&mut self, requests: &[Request]) -> Result<Vec<Outcome>, RtError> {
        self.1.fetch_add(1, Ordering::Relaxed);
        self.0.submit(requests)
    }

    fn links(&mut self) -> Result<Vec<Link>, RtError> {
        self.1.fetch_add(1, Ordering::Relaxed);
        self.0.links()
    }

    fn addresses(&mut self) -> Result<Vec<Address>, RtError> {
        self.1.fetch_add(1, Ordering::Relaxed);
        self.0.addresses()
    }

    fn routes(&mut self) -> Result<Vec<Route>, RtError> {
        self.1.fetch_add(1, Ordering::Relaxed);
        self.0.routes()
    }

    fn neighbours(&mut self) -> Result<Vec<Neighbour>, RtError> {
        self.1.fetch_add(1, Ordering::Relaxed);
        self.0.neighbours()
    }
}

/// A host and one workload in memory.
struct FakeHost {
    network: Counted,
    namespace: Namespace,
    settings: FakeSysctls,
    inside: FakeSysctls,
    workload: FakeNetwork,
}

impl FakeHost {
    fn new() -> Self {
        let network = FakeNetwork::new();
        let mut settings = FakeSysctls::default();
        for setting in &margay_wiring::HOST_SETTINGS {
            // As the kernel has them on a new link.
            settings.put(setting.sysctl(&name("calic1")), if setting.value == "0" { "80" } else { "0" });
        }
        let mut inside = FakeSysctls::default();
        for interface in ["all", "default", "lo"] {
            inside.put(Sysctl::conf(IpVersion::V6, &name(interface), "disable_ipv6"), "1");
        }
        inside.put(Sysctl::conf(IpVersion::V6, &name("all"), "forwarding"), "1");
        inside.put(Sysctl::new(["net", "ipv4", "ip_forward"]), "1");
        Self {
            namespace: network.namespace(),
            workload: network.add_namespace(),
            network: Counted(network, Arc::default()),
            settings,
            inside,
        }
    }

    fn interface(&self) -> Interface {
        let mut interface =
            Interface::new(self.workload.namespace(), name("eth0"), name("calic1"), "net.c1".to_owned());
        interface.addresses = ["10.65.0.2", "fd65::2"].map(|text| text.parse().expect("an address")).into();
        interface.forwarding = Some(false);
        interface
    }

    fn attach(&mut self, interface: &Interface) -> Result<Attached, AttachFailure> {
        attach(self, interface, &mut |_| Ok(()))
    }

    fn detach(&mut self, owner: &str) -> Detached {
        let gone = Detach {
            workload: Some(self.workload.namespace()),
            workload_name: name("eth0"),
            host_name: name("calic1"),
            owner: owner.to_owned(),
        };
        detach(self, &gone, &mut |_| Ok(()))
    }

    /// Everything but the settings of a link, which go with it.
    fn everything(&self) -> (Vec<FakePicture>, BTreeMap<Sysctl, String>) {
        (self.network.0.picture(), self.inside.values().clone())
    }

    fn messages(&self) -> usize {
        self.network.1.load(Ordering::Relaxed)
    }
}

impl Host for FakeHost {
    type Network = Counted;

    fn namespace(&self) -> &Namespace {
        &self.namespace
    }

    fn network(&mut self) -> &mut Counted {
        &mut self.network
    }

    fn settings(&mut self) -> &mut dyn Sysctls {
        &mut self.settings
    }

    fn enter(
        &mut self,
        namespace: &Namespace,
        settings: &[(Sysctl, String)],
    ) -> Result<Entered<Counted>, EnterError> {
        let inside = self.network.0.enter(namespace).expect("a namespace of this kernel");
        let mut previous = Vec::new();
        let mut failed = None;
        for (sysctl, value) in settings {
            let before = self.inside.read(sysctl);
            match self.inside.set(sysctl, value) {
                Ok(true) => previous.push((sysctl.clone(), before.expect("it has been set"))),
                Ok(false) => {}
                Err(error) => {
                    failed = Some(error);
                    break;
                }
            }
        }
        Ok(Entered { network: Counted(inside, self.network.1.clone()), previous, failed })
    }
}

fn name(text: &str) -> IfName {
    text.parse().expect("a name")
}

#[test]
fn an_interface_takes_three_messages_and_its_end_two() {
    let mut host = FakeHost::new();
    let interface = host.interface();
    let attached = host.attach(&interface).expect("attached");
    assert_eq!(attached.warnings, []);
    assert_eq!(host.messages(), 3);
    assert!(host.detach("net.c1").removed);
    assert_eq!(host.messages(), 5);
}

#[test]
fn any_request_may_be_refused_and_nothing_is_left() {
    let count = {
        let mut host = FakeHost::new();
        host.attach(&host.interface()).expect("attached");
        host.network.0.requests()
    };
    assert!(count >= 10, "{count} requests");
    for number in 0..count {
        let mut host = FakeHost::new();
        let before = host.everything();
        let refuse =
            move |n, _: &Request| (n == number).then_some(Fault::Refuse(margay_kernel::Errno::NOMEM));
        host.network.0.sabotage(Box::new(refuse));
        let failure = host.attach(&host.interface()).expect_err("refused");
        assert!(failure.left.is_empty(), "request {number}: {failure:?}");
        assert_eq!(host.everything(), before, "request {number}");
    }
}

#[test]
fn any_message_may_be_lost_and_nothing_is_left() {
    for fault in [Fault::Lose, Fault::LoseAnswer] {
        for number in 0..12 {
            let mut host = FakeHost::new();
            let before = host.everything();
            let lose = move |n, _: &Request| (n == number).then_some(fault);
            host.network.0.sabotage(Box::new(lose));
            let failure = host.attach(&host.interface()).expect_err("lost");
            assert!(failure.left.is_empty(), "{fault:?} {number}: {failure:?}");
            assert_eq!(host.everything(), before, "{fault:?} of request {number}");
        }
    }
}

#[test]
fn a_setting_that_is_refused_undoes_the_whole() {
    let required = margay_wiring::HOST_SETTINGS
        .iter()
        .filter(|setting| setting.importance == margay_wiring::Importance::Required);
    for setting in required {
        let mut host = FakeHost::new();
        let before = host.everything();
        host.settings.refused.push(setting.sysctl(&name("calic1")));
        host.attach(&host.interface()).expect_err("refused");
        assert_eq!(host.everything(), before, "{}", setting.name);
    }
}

#[test]
fn a_setting_that_is_only_wanted_is_a_warning() {
    let mut host = FakeHost::new();
    host.settings.refused.push(Sysctl::neigh(IpVersion::V4, &name("calic1"), "proxy_delay"));
    let attached = host.attach(&host.interface()).expect("attached");
    let texts: Vec<_> = attached.warnings.iter().map(ToString::to_string).collect();
    assert_eq!(texts, ["setting net.ipv4.neigh.calic1.proxy_delay: permission denied"]);
}

#[test]
fn a_setting_inside_that_is_refused_puts_the_others_back() {
    let mut host = FakeHost::new();
    let before = host.everything();
    host.inside.refused.push(Sysctl::conf(IpVersion::V6, &name("lo"), "disable_ipv6"));
    host.attach(&host.interface()).expect_err("refused");
    assert_eq!(host.everything(), before);
}

#[test]
fn an_interruption_after_any_step_leaves_nothing() {
    for stop in Step::ATTACH {
        let mut host = FakeHost::new();
        let before = host.everything();
        let interface = host.interface();
        let mut seen = Vec::new();
        let failure = attach(&mut host, &interface, &mut |step| {
            seen.push(step);
            if step == stop { Err(Interrupted) } else { Ok(()) }
        })
        .expect_err("interrupted");
        assert!(failure.left.is_empty());
        assert_eq!(host.everything(), before, "{}", stop.name());
        assert_eq!(seen.last(), Some(&stop));
        assert!(Step::ATTACH.starts_with(&seen));
    }
}

#[test]
fn a_death_after_any_step_is_mended_by_the_next_attempt_and_by_the_end() {
    for stop in Step::ATTACH {
        let mut host = FakeHost::new();
        let before = host.network.0.picture();
        let interface = host.interface();
        let die = |host: &mut FakeHost| {
            let dying = std::panic::AssertUnwindSafe(|| {
                attach(host, &interface, &mut |step| {
                    // The process ends here: no undo runs, nothing is returned.
                    if step == stop { std::panic::resume_unwind(Box::new(())) } else { Ok(()) }
                })
            });
            std::panic::catch_unwind(dying).expect_err("dead");
        };
        die(&mut host);
        host.attach(&interface).unwrap_or_else(|failure| panic!("{}: {failure:?}", stop.name()));
        assert_eq!(inspect(&mut host, &interface).expect("inspected"), []);
        assert!(host.detach("net.c1").removed);
        assert_eq!(host.network.0.picture(), before);
        die(&mut host);
        let detached = host.detach("net.c1");
        assert!(detached.failures.is_empty() && detached.kept_for.is_none());
        assert_eq!(host.network.0.picture(), before, "{}", stop.name());
    }
}

#[test]
fn the_interface_of_another_owner_stays() {
    let mut host = FakeHost::new();
    let interface = host.interface();
    host.attach(&interface).expect("attached");
    let before = host.everything();
    let other = Interface { owner: "net.c2".to_owned(), ..interface };
    let failure = host.attach(&other).expect_err("refused");
    assert_eq!(failure.error.to_string(), "host interface calic1 belongs to net.c1");
    assert_eq!(host.everything(), before);
    let detached = host.detach("net.c2");
    assert_eq!((detached.removed, detached.kept_for.as_deref()), (false, Some("net.c1")));
    assert_eq!(host.everything(), before);
}

#[test]
fn another_end_of_that_name_in_the_workload_is_not_touched() {
    let mut host = FakeHost::new();
    host.workload.add_hardware(name("eth0"));
    let before = host.everything();
    let failure = host.attach(&host.interface()).expect_err("refused");
    assert_eq!(failure.error.to_string(), "interface eth0 exists in the workload's network namespace");
    assert_eq!(host.everything(), before);
    let detached = host.detach("net.c1");
    assert!(!detached.removed && detached.failures.is_empty());
    assert_eq!(host.everything(), before);
}

#[test]
fn the_namespace_of_the_host_is_no_workload() {
    let mut host = FakeHost::new();
    let interface = Interface { workload: host.namespace.clone(), ..host.interface() };
    let before = host.everything();
    host.attach(&interface).expect_err("refused");
    assert_eq!(host.everything(), before);
}

#[test]
fn detaching_collects_failures_and_can_be_repeated() {
    let mut host = FakeHost::new();
    let detached = host.detach("net.c1");
    assert!(!detached.removed && detached.failures.is_empty(), "nothing to take is fine");
    host.attach(&host.interface()).expect("attached");
    let refuse = |_, request: &Request| {
        matches!(request, Request::DeleteLink(_)).then_some(Fault::Refuse(margay_kernel::Errno::BUSY))
    };
    host.network.0.sabotage(Box::new(refuse));
    assert_eq!(host.detach("net.c1").failures.len(), 1);
    host.network.0.heal();
    assert!(host.detach("net.c1").removed);
    assert!(host.network.link(LinkKey::Name(name("calic1"))).expect("an answer").is_none());
}

#[test]
fn a_kernel_without_ipv6_says_so_in_upstreams_words() {
    let mut host = FakeHost::new();
    host.inside = FakeSysctls::default();
    host.inside.put(Sysctl::new(["net", "ipv4", "ip_forward"]), "0");
    let before = host.everything();
    let failure = host.attach(&host.interface()).expect_err("refused");
    assert_eq!(failure.error.to_string(), "failed to get IPv6 addresses for host side of the veth pair");
    assert_eq!(host.everything(), before);
    let mut without = host.interface();
    without.addresses.retain(std::net::IpAddr::is_ipv4);
    host.attach(&without).expect("attached");
}

#[test]
fn one_attempt_does_not_undo_what_a_rival_has_made() {
    let mut host = FakeHost::new();
    let interface = host.interface();
    let mut rival = FakeHost {
        network: host.network.clone(),
        namespace: host.namespace.clone(),
        settings: host.settings.clone(),
        inside: host.inside.clone(),
        workload: host.workload.clone(),
    };
    // The rival finds a pair without an owner, half made, and takes it over; then the first one goes on.
    let failure = attach(&mut host, &interface, &mut |step| {
        if step == Step::Created {
            rival.attach(&interface).expect("attached");
        }
        Ok(())
    })
    .expect_err("its pair is gone");
    assert!(failure.left.is_empty(), "{failure:?}");
    assert_eq!(inspect(&mut rival, &interface).expect("inspected"), []);
}
