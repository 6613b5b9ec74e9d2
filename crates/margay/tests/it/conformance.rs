//! Upstream's recorded sessions, played in-process on memory, on the embedded store, and on a real etcd.

use margay_testkit::conformance::{Skip, play_file};
use margay_testkit::etcd::Etcd;

use crate::stages::{Embedded, InProcess, RealEtcd};

/// What needs an etcd, or the absence of one.
const NEEDS_ETCD: &[Skip] = &[
    Skip { case: "C46", steps: &[], reason: "it is about how etcd is found" },
    Skip { case: "C47", steps: &[], reason: "it is about an etcd that is away" },
    Skip { case: "C44", steps: &[8, 9, 10], reason: "`node run` starts its container for etcd alone" },
];

#[test]
fn recorded_commands_give_the_recorded_bytes_in_process() {
    let skips: Vec<Skip> = NEEDS_ETCD.iter().copied().filter(|skip| skip.case == "C47").collect();
    play_file("calicoctl.json", &skips, &mut InProcess::default()).assert_clean();
}

#[test]
fn random_documents_give_the_recorded_bytes_in_process() {
    play_file("random.json", &[], &mut InProcess::default()).assert_clean();
}

#[test]
fn recorded_commands_give_the_recorded_bytes_on_the_embedded_store() {
    play_file("calicoctl.json", NEEDS_ETCD, &mut Embedded::new()).assert_clean();
}

#[test]
fn random_documents_give_the_recorded_bytes_on_the_embedded_store() {
    play_file("random.json", &[], &mut Embedded::new()).assert_clean();
}

#[test]
fn recorded_commands_give_the_recorded_bytes_on_a_real_etcd() {
    if Etcd::available() {
        play_file("calicoctl.json", &[], &mut RealEtcd::start()).assert_clean();
    }
}

#[test]
fn random_documents_give_the_recorded_bytes_on_a_real_etcd() {
    if Etcd::available() {
        play_file("random.json", &[], &mut RealEtcd::start()).assert_clean();
    }
}
