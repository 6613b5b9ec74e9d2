//! Namespaces and the settings in them.

use std::path::Path;

use margay_kernel::{
    LinkChange, LinkKey, Namespace, NamespaceError, ProcSys, Request, RtSocket, Rtnetlink, Sysctl, Sysctls,
};
use margay_net::IpVersion;

use crate::isolated::in_isolation;

#[test]
fn what_a_visit_opens_stays_in_the_namespace() {
    in_isolation("namespace::what_a_visit_opens_stays_in_the_namespace", || {
        let other = Namespace::create().expect("a namespace");
        assert_ne!(other, Namespace::current().expect("this one"));
        let mut inside = other.run(RtSocket::open).expect("a visit").expect("a socket");
        assert_eq!(other.run(Namespace::current).expect("a visit").expect("that one"), other);
        let lo = inside.links().expect("links").remove(0).index;
        let up = LinkChange { up: Some(true), ..LinkChange::default() };
        inside.submit(&[Request::ChangeLink(lo, up)]).expect("an answer").remove(0).expect("done");
        let mut outside = RtSocket::open().expect("a socket");
        let lo = LinkKey::Name("lo".parse().expect("a name"));
        assert!(inside.link(lo).expect("an answer").expect("lo").up);
        assert!(!outside.link(lo).expect("an answer").expect("lo").up);
    });
}

#[test]
fn settings_are_those_of_the_visited_namespace() {
    in_isolation("namespace::settings_are_those_of_the_visited_namespace", || {
        let forwarding = Sysctl::conf(IpVersion::V4, &"lo".parse().expect("a name"), "forwarding");
        let other = Namespace::create().expect("a namespace");
        let changed = other.run(|| ProcSys.set(&forwarding, "1")).expect("a visit");
        assert!(changed.expect("set"));
        assert_eq!(other.run(|| ProcSys.read(&forwarding)).expect("a visit").expect("read"), "1");
        assert!(!other.run(|| ProcSys.set(&forwarding, "1")).expect("a visit").expect("set"));
        assert_eq!(ProcSys.read(&forwarding).expect("read"), "0");
    });
}

#[test]
fn what_is_no_namespace_is_not_opened() {
    for path in ["/nonexistent/ns", "/proc/self/status", "/etc/hostname"] {
        let error = Namespace::open(Path::new(path)).expect_err("no namespace");
        assert!(matches!(error, NamespaceError::Missing { .. }), "{path}: {error}");
    }
    // A namespace of another kind opens and can not be entered.
    let user = Namespace::open(Path::new("/proc/self/ns/uts")).expect("a namespace");
    assert!(matches!(user.run(|| ()), Err(NamespaceError::Enter(_))));
}

#[test]
fn a_panic_of_a_visitor_goes_on_in_the_caller() {
    in_isolation("namespace::a_panic_of_a_visitor_goes_on_in_the_caller", || {
        let other = Namespace::create().expect("a namespace");
        let result = std::panic::catch_unwind(|| other.run::<()>(|| panic!("seen")));
        assert_eq!(result.expect_err("a panic").downcast_ref::<&str>(), Some(&"seen"));
    });
}
