use std::sync::Arc;

use margay_client::AnyStore;
use margay_model::v1::WorkloadEndpoint;
use margay_store::kv::Precondition;
use margay_store::{Datastore as _, MemoryKv};

use super::{Removed, Written, has_profile, make_profile, of_workload, remove, unwrite, write};
use crate::args::Args;
use crate::identity::{Identity, Workload};
use crate::request::ContainerId;

fn store() -> AnyStore {
    AnyStore::memory(MemoryKv::default(), Arc::new(|| [7; 16]))
}

fn identity(args: &str, container: &str) -> Identity {
    let container = ContainerId::parse(container).unwrap();
    Identity {
        node: "h1".to_owned(),
        workload: Workload::of(&Args::parse(args).unwrap(), &container),
        container,
        ifname: "eth0".parse().unwrap(),
    }
}

fn pod(container: &str) -> Identity {
    identity("K8S_POD_NAMESPACE=default;K8S_POD_NAME=p1", container)
}

fn endpoint(identity: &Identity) -> WorkloadEndpoint {
    let mut endpoint = WorkloadEndpoint::default();
    identity.active_instance().clone_into(&mut endpoint.metadata.active_instance_id);
    endpoint.spec.interface_name = "calic1".to_owned();
    endpoint.spec.profiles = vec!["net1".to_owned()];
    endpoint.spec.ip_networks = vec!["10.65.0.0/32".parse().unwrap()];
    endpoint
}

async fn put(store: &AnyStore, identity: &Identity, value: &str) {
    store.put_record(&identity.key(), value, Precondition::None).await.unwrap();
}

async fn value(store: &AnyStore, identity: &Identity) -> Option<String> {
    store.get_record(&identity.key()).await.unwrap().map(|record| record.value)
}

async fn written(store: &AnyStore, identity: &Identity, expected: bool) -> Written {
    let mut attempt = None;
    write(store, identity, expected, |_| Some(endpoint(identity)), &mut attempt).await.unwrap();
    attempt.unwrap()
}

const ENDPOINT: &str = r#"{"state":"active","name":"calic1","active_instance_id":"","mac":null,"profile_ids":["net1"],"ipv4_nets":["10.65.0.0/32"],"ipv6_nets":[]}"#;

#[tokio::test]
async fn a_new_record_is_upstreams_to_the_byte_and_can_be_taken_back() {
    let (store, identity) = (store(), identity("", "c1"));
    let written = written(&store, &identity, false).await;
    assert_eq!(value(&store, &identity).await.unwrap(), ENDPOINT);
    assert_eq!(of_workload(&store, &identity).await.unwrap().len(), 1);
    unwrite(&store, &identity, &written).await.unwrap();
    assert_eq!(value(&store, &identity).await, None);
    unwrite(&store, &identity, &written).await.unwrap();
}

#[tokio::test]
async fn what_was_replaced_comes_back_and_foreign_fields_stay() {
    let (store, identity) = (store(), identity("", "c1"));
    let old = r#"{"state":"inactive","name":"calix","active_instance_id":"","mac":null,"profile_ids":[],"ipv4_nets":[],"ipv6_nets":[],"extra":1}"#;
    put(&store, &identity, old).await;
    // Not expected, as when another process was faster.
    let written = written(&store, &identity, false).await;
    let new = value(&store, &identity).await.unwrap();
    assert!(new.contains("\"extra\":1") && new.contains("inactive") && new.contains("calic1"), "{new}");
    unwrite(&store, &identity, &written).await.unwrap();
    assert_eq!(value(&store, &identity).await.unwrap(), old);
}

#[tokio::test]
async fn a_change_of_somebody_else_is_not_taken_back() {
    let (store, identity) = (store(), identity("", "c1"));
    let written = written(&store, &identity, false).await;
    put(&store, &identity, "{}").await;
    unwrite(&store, &identity, &written).await.unwrap();
    assert_eq!(value(&store, &identity).await.unwrap(), "{}");
}

#[tokio::test]
async fn a_record_that_cannot_be_understood_counts_as_none() {
    let (store, identity) = (store(), identity("", "c1"));
    put(&store, &identity, "not JSON").await;
    assert!(of_workload(&store, &identity).await.unwrap().is_empty());
    written(&store, &identity, false).await;
    assert_eq!(value(&store, &identity).await.unwrap(), ENDPOINT);
}

#[tokio::test]
async fn only_the_container_of_a_pod_removes_its_record() {
    let store = store();
    let (old, new) = (pod("x"), pod("y"));
    written(&store, &new, false).await;
    let seen = store.get_record(&old.key()).await.unwrap();
    assert_eq!(remove(&store, &old, seen.clone()).await.unwrap(), Removed::Kept);
    assert_eq!(remove(&store, &new, seen).await.unwrap(), Removed::Gone);
    assert_eq!(value(&store, &new).await, None);
    assert_eq!(remove(&store, &new, None).await.unwrap(), Removed::Gone);
}

#[tokio::test]
async fn a_record_that_changed_is_looked_at_again_before_it_goes() {
    let (store, identity) = (store(), pod("x"));
    written(&store, &identity, false).await;
    let stale = store.get_record(&identity.key()).await.unwrap();
    put(&store, &identity, r#"{"active_instance_id":"y"}"#).await;
    assert_eq!(remove(&store, &identity, stale).await.unwrap(), Removed::Kept);
}

#[tokio::test]
async fn a_profile_is_made_once_and_completed() {
    let store = store();
    let path =
        |part: &str| margay_model::Key::parse(&format!("/calico/v1/policy/profile/net1/{part}")).unwrap();
    store.put_record(&path("labels"), r#"{"x":"y"}"#, Precondition::None).await.unwrap();
    assert!(!has_profile(&store, "net1").await.unwrap());
    make_profile(&store, "net1", false).await.unwrap();
    assert!(has_profile(&store, "net1").await.unwrap());
    let read = async |part: &str| store.get_record(&path(part)).await.unwrap().unwrap().value;
    assert_eq!(read("labels").await, r#"{"x":"y"}"#);
    assert_eq!(read("tags").await, r#"["net1"]"#);
    let rules =
        r#"{"inbound_rules":[{"action":"allow","src_tag":"net1"}],"outbound_rules":[{"action":"allow"}]}"#;
    assert_eq!(read("rules").await, rules);
    make_profile(&store, "net1", true).await.unwrap();
    assert_eq!(read("rules").await, rules);
}
