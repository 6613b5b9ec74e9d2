//! What every [`Datastore`] with all verbs must do, case by case, through its typed face alone.
//!
//! A store's own tests write `margay_testkit::datastore_suite!(open);` with
//! `async fn open(case: &str) -> Option<(impl Datastore, Guard)>`: an empty datastore for each case, or `None` to skip it
//! (the opener says why, and fails under CI).

#![expect(clippy::unwrap_used, reason = "every case is test code, though the compiler cannot know")]

use std::time::Duration;

use margay_model::codec::as_stored;
use margay_model::v1::{IPIPConfiguration, Node, Profile};
use margay_model::{Filter, Identity, Key, Kind, Resource};
use margay_store::datastore::{
    Datastore, Error, Listed, RecordEvent, RecordSet, RecordUpdate, RecordWatch, Stored, Write,
};
use margay_store::kv::{Precondition, Revision};
use margay_store::syncer::{Options, Status, UpdateKind};

pub use resources::{host, node, one_of_each, others, peer, policy, pool, profile, workload};

mod resources;

/// Makes one `#[tokio::test]` per case of the suite, each on the datastore that `$open` opens.
#[macro_export]
macro_rules! datastore_suite {
    ($open:path) => {
        $crate::datastore_cases! { $open:
            a_created_resource_is_read_back,
            create_of_an_existing_resource_fails,
            update_and_get_and_delete_of_an_absent_resource_fail,
            update_and_apply_replace,
            a_deleted_resource_is_gone,
            an_incomplete_identity_is_named,
            names_with_slashes_and_percents_are_names,
            a_stale_revision_conflicts,
            a_revision_of_a_deleted_resource_is_not_found,
            apply_honours_a_revision,
            the_returned_revision_is_that_of_a_later_read,
            lists_of_nothing_are_empty,
            workload_endpoints_are_filtered_by_any_identifiers,
            workload_endpoints_are_listed_in_key_order,
            host_endpoints_are_filtered_and_ordered,
            policies_and_profiles_are_ordered_by_name,
            pools_are_listed_by_version_then_key,
            global_peers_stand_before_those_of_nodes,
            peers_are_filtered,
            a_host_with_an_endpoint_is_a_node,
            nodes_are_filtered_by_name,
            a_node_loses_what_an_update_leaves_out,
            records_that_cannot_be_understood_are_reported,
            a_profile_needs_its_tags_to_be_got,
            foreign_fields_survive_writes,
            the_state_of_an_endpoint_survives_a_batch,
            a_batch_is_written_in_order,
            a_batch_stops_at_the_first_failure,
            a_batch_may_hold_a_resource_twice,
            a_large_batch_is_written_whole,
            a_failed_create_of_a_profile_leaves_nothing,
            a_deleted_node_takes_everything_along,
            a_pool_with_ipip_switches_it_on,
            records_are_written_and_read,
            record_sets_hold_their_records_alone,
            initialising_keeps_what_is_there,
            initialising_a_node_writes_no_record,
            concurrent_updates_both_succeed,
            a_watch_follows_the_records,
        }
    };
}

/// Part of [`datastore_suite!`]: one test per named case.
#[doc(hidden)]
#[macro_export]
macro_rules! datastore_cases {
    ($open:path: $($case:ident),* $(,)?) => { $(
        #[tokio::test]
        async fn $case() {
            let Some((datastore, _guard)) = $open(stringify!($case)).await else { return };
            $crate::datastore_suite::$case(&datastore).await;
        }
    )* };
}

const DEADLINE: Duration = Duration::from_secs(30);

// === one resource ===

/// Each kind comes back as it is stored, with the revision of its write.
pub async fn a_created_resource_is_read_back<D: Datastore>(datastore: &D) {
    for resource in one_of_each() {
        let revision = datastore.write(Write::Create, &resource, None).await.unwrap();
        let stored = datastore.get(&resource.identity().unwrap()).await.unwrap();
        assert_eq!(stored, Stored { resource: as_stored(&resource), revision });
        assert_eq!(revision.is_none(), resource.kind() == Kind::Node, "only nodes have no revision");
        assert_eq!(list(datastore, resource.kind(), &resource.filter()).await, [as_stored(&resource)]);
    }
}

/// The error has upstream's text, and nothing changed.
pub async fn create_of_an_existing_resource_fails<D: Datastore>(datastore: &D) {
    for (resource, other) in one_of_each().into_iter().zip(others()) {
        apply(datastore, &resource).await;
        let error = datastore.write(Write::Create, &other, None).await.unwrap_err();
        assert!(matches!(error, Error::AlreadyExists { .. }), "{error:?}");
        let identity = resource.identity().unwrap();
        assert_eq!(error.to_string(), format!("resource already exists: {identity}"));
        assert_eq!(datastore.get(&identity).await.unwrap().resource, as_stored(&resource));
    }
}

/// The error has upstream's text, and nothing was made.
pub async fn update_and_get_and_delete_of_an_absent_resource_fail<D: Datastore>(datastore: &D) {
    for resource in one_of_each() {
        let identity = resource.identity().unwrap();
        for error in [
            datastore.write(Write::Update, &resource, None).await.unwrap_err(),
            datastore.get(&identity).await.unwrap_err(),
            datastore.delete(&identity, None).await.unwrap_err(),
        ] {
            assert!(error.is_absent(), "{error:?}");
            assert_eq!(error.to_string(), format!("resource does not exist: {identity}"));
        }
        assert_eq!(list(datastore, resource.kind(), &Filter::default()).await, []);
    }
}

/// Both write the whole resource, and apply makes it as well.
pub async fn update_and_apply_replace<D: Datastore>(datastore: &D) {
    for (resource, other) in one_of_each().into_iter().zip(others()) {
        let identity = resource.identity().unwrap();
        for (how, resource) in [
            (Write::Apply, &resource),
            (Write::Update, &other),
            (Write::Apply, &resource),
            (Write::Apply, &other),
        ] {
            datastore.write(how, resource, None).await.unwrap();
            assert_eq!(datastore.get(&identity).await.unwrap().resource, as_stored(resource));
        }
    }
}

/// Neither got nor listed, and free to be made again.
pub async fn a_deleted_resource_is_gone<D: Datastore>(datastore: &D) {
    for resource in one_of_each() {
        let identity = resource.identity().unwrap();
        apply(datastore, &resource).await;
        datastore.delete(&identity, None).await.unwrap();
        assert!(datastore.get(&identity).await.unwrap_err().is_absent());
        assert_eq!(list(datastore, resource.kind(), &resource.filter()).await, []);
        datastore.write(Write::Create, &resource, None).await.unwrap();
    }
}

/// The first missing identifier, in upstream's word.
pub async fn an_incomplete_identity_is_named<D: Datastore>(datastore: &D) {
    for how in [Write::Create, Write::Update, Write::Apply] {
        let error = datastore.write(how, &workload("node", "", "w", "e"), None).await.unwrap_err();
        assert_eq!(error.to_string(), "insufficient identifiers, missing 'orchestrator'");
        let (written, outcome) = datastore.write_all(how, &[workload("", "o", "w", "e"), policy("p")]).await;
        assert_eq!(written, 0);
        assert_eq!(outcome.unwrap_err().to_string(), "insufficient identifiers, missing 'node'");
    }
    assert_eq!(list(datastore, Kind::Policy, &Filter::default()).await, []);
}

/// They mean themselves wherever names are escaped.
pub async fn names_with_slashes_and_percents_are_names<D: Datastore>(datastore: &D) {
    let name = "a/b%2fc%";
    for resource in [
        policy(name),
        profile(name),
        host("n", name),
        workload("n", name, name, name),
        workload("n", "a", "b%2fc%", "x"),
    ] {
        apply(datastore, &resource).await;
        let identity = resource.identity().unwrap();
        assert_eq!(datastore.get(&identity).await.unwrap().resource, as_stored(&resource));
        let filter = resource.filter();
        assert_eq!(list(datastore, resource.kind(), &filter).await, [as_stored(&resource)]);
        datastore.delete(&identity, None).await.unwrap();
    }
}

// === revisions ===

/// Update and delete with an old revision change nothing.
pub async fn a_stale_revision_conflicts<D: Datastore>(datastore: &D) {
    for (resource, other) in one_of_each().into_iter().zip(others()) {
        let identity = resource.identity().unwrap();
        let Some(old) = datastore.write(Write::Apply, &resource, None).await.unwrap() else { continue };
        let new = datastore.write(Write::Update, &other, Some(old)).await.unwrap();
        let error = datastore.write(Write::Update, &resource, Some(old)).await.unwrap_err();
        assert!(matches!(error, Error::Conflict { .. }), "{error:?}");
        assert_eq!(error.to_string(), format!("update conflict: '{identity}'"));
        if resource.kind() != Kind::Profile {
            let error = datastore.delete(&identity, Some(old)).await.unwrap_err();
            assert_eq!(error.to_string(), format!("update conflict: '{identity}'"));
        }
        let stored = datastore.get(&identity).await.unwrap();
        assert_eq!(stored, Stored { resource: as_stored(&other), revision: new });
        datastore.delete(&identity, new).await.unwrap();
        assert!(datastore.get(&identity).await.unwrap_err().is_absent());
    }
}

/// Gone is gone, whatever revision it had.
pub async fn a_revision_of_a_deleted_resource_is_not_found<D: Datastore>(datastore: &D) {
    for resource in one_of_each() {
        let identity = resource.identity().unwrap();
        let revision = datastore.write(Write::Create, &resource, None).await.unwrap();
        datastore.delete(&identity, None).await.unwrap();
        assert!(datastore.write(Write::Update, &resource, revision).await.unwrap_err().is_absent());
        assert!(datastore.delete(&identity, revision).await.unwrap_err().is_absent());
    }
}

/// COMPAT(apply-revision): upstream ignores it.
pub async fn apply_honours_a_revision<D: Datastore>(datastore: &D) {
    let resource = workload("node", "o", "w", "e");
    let old = apply(datastore, &resource).await;
    let new = datastore.write(Write::Apply, &resource, old).await.unwrap();
    assert!(new > old);
    let error = datastore.write(Write::Apply, &resource, old).await.unwrap_err();
    assert!(matches!(error, Error::Conflict { .. }), "{error:?}");
    datastore.delete(&resource.identity().unwrap(), new).await.unwrap();
    assert!(datastore.write(Write::Apply, &resource, new).await.unwrap_err().is_absent());
}

/// A chain of updates needs no reads between.
pub async fn the_returned_revision_is_that_of_a_later_read<D: Datastore>(datastore: &D) {
    for resource in [workload("node", "o", "w", "e"), profile("p"), policy("p")] {
        let mut revision = datastore.write(Write::Create, &resource, None).await.unwrap();
        for how in [Write::Update, Write::Apply, Write::Update] {
            revision = datastore.write(how, &resource, revision).await.unwrap();
            let read = datastore.get(&resource.identity().unwrap()).await.unwrap();
            assert_eq!(read.revision, revision);
            let mut listed = Vec::new();
            let visit = &mut |entry| listed.push(entry);
            datastore.list(resource.kind(), &Filter::default(), visit).await.unwrap();
            assert_eq!(listed, [Listed::Resource(read)]);
        }
    }
}

// === lists ===

/// No error, with or without identifiers.
pub async fn lists_of_nothing_are_empty<D: Datastore>(datastore: &D) {
    for resource in one_of_each() {
        for filter in [Filter::default(), resource.filter()] {
            assert_eq!(list(datastore, resource.kind(), &filter).await, []);
        }
    }
}

/// Every combination of set and unset identifiers.
pub async fn workload_endpoints_are_filtered_by_any_identifiers<D: Datastore>(datastore: &D) {
    let mut all = Vec::new();
    for node in ["n1", "n2"] {
        for orchestrator in ["k8s", "libnetwork"] {
            for name in ["a/b", "c"] {
                all.push(workload(node, orchestrator, &format!("w{name}"), name));
                all.push(workload(node, orchestrator, "same", name));
            }
        }
    }
    apply_all(datastore, &all).await;
    apply(datastore, &host("n1", "c")).await;
    for wanted in [&all[0], &all[1], &all[15]] {
        let whole = wanted.filter();
        for set in 0..16 {
            let keep = |bit: u32, value: &Option<String>| value.clone().filter(|_| set & (1 << bit) != 0);
            let filter = Filter {
                node: keep(0, &whole.node),
                orchestrator: keep(1, &whole.orchestrator),
                workload: keep(2, &whole.workload),
                name: keep(3, &whole.name),
                ..Filter::default()
            };
            let mut found = list(datastore, Kind::WorkloadEndpoint, &filter).await;
            let mut expected: Vec<Resource> =
                all.iter().filter(|resource| filter.admits(resource)).map(as_stored).collect();
            found.sort_by_key(|resource| resource.identity().unwrap());
            expected.sort_by_key(|resource| resource.identity().unwrap());
            assert_eq!(found, expected, "{filter:?}");
        }
    }
}

/// Node, orchestrator, workload, name, each bytewise on the escaped text.
pub async fn workload_endpoints_are_listed_in_key_order<D: Datastore>(datastore: &D) {
    let ordered = [
        workload("a", "k8s", "w", "e"),
        workload("a", "k8s", "w/x", "e"),
        workload("a", "k8s", "w-x", "e"),
        workload("a", "k8s-2", "a", "a"),
        workload("a-b", "a", "a", "a"),
        workload("a.b", "a", "a", "a"),
        workload("b", "a", "a", "a/a"),
        workload("b", "a", "a", "a-a"),
    ];
    let mut shuffled = ordered.clone();
    shuffled.reverse();
    apply_all(datastore, &shuffled).await;
    assert_eq!(names(datastore, Kind::WorkloadEndpoint, &Filter::default()).await, identities(&ordered));
}

/// By node, then name; filtered by either.
pub async fn host_endpoints_are_filtered_and_ordered<D: Datastore>(datastore: &D) {
    let ordered = [host("a", "x"), host("a", "y"), host("a-b", "x"), host("b", "a/b"), host("b", "a-b")];
    let mut shuffled = ordered.clone();
    shuffled.reverse();
    apply_all(datastore, &shuffled).await;
    apply(datastore, &workload("a", "x", "x", "x")).await;
    let kind = Kind::HostEndpoint;
    assert_eq!(names(datastore, kind, &Filter::default()).await, identities(&ordered));
    let filter = Filter { node: Some("a".to_owned()), ..Filter::default() };
    assert_eq!(names(datastore, kind, &filter).await, identities(&ordered[..2]));
    let filter = Filter { name: Some("x".to_owned()), ..Filter::default() };
    assert_eq!(names(datastore, kind, &filter).await, identities(&[host("a", "x"), host("a-b", "x")]));
    let filter = host("b", "a/b").filter();
    assert_eq!(names(datastore, kind, &filter).await, identities(&[host("b", "a/b")]));
}

/// Policies in the order of their keys, where `/` is `%2f`; profiles in that of the plain names.
pub async fn policies_and_profiles_are_ordered_by_name<D: Datastore>(datastore: &D) {
    let make = |of: fn(&str) -> Resource, names: [&str; 4]| names.map(of);
    apply_all(datastore, &make(policy, ["b", "a/b", "a-b", "a"])).await;
    apply_all(datastore, &make(profile, ["b", "a/b", "a-b", "a"])).await;
    let policies = names(datastore, Kind::Policy, &Filter::default()).await;
    assert_eq!(policies, identities(&make(policy, ["a", "a/b", "a-b", "b"])));
    let profiles = names(datastore, Kind::Profile, &Filter::default()).await;
    assert_eq!(profiles, identities(&make(profile, ["a", "a-b", "a/b", "b"])));
    let filter = Filter { name: Some("a".to_owned()), ..Filter::default() };
    assert_eq!(names(datastore, Kind::Policy, &filter).await, identities(&[policy("a")]));
    assert_eq!(names(datastore, Kind::Profile, &filter).await, identities(&[profile("a")]));
}

/// IPv4 before IPv6, then the text; filtered by the exact range.
pub async fn pools_are_listed_by_version_then_key<D: Datastore>(datastore: &D) {
    let ordered = ["10.10.0.0/16", "10.2.0.0/16", "10.2.0.0/24", "fd00:10::/64", "fd00:2::/64"].map(pool);
    let mut shuffled = ordered.clone();
    shuffled.reverse();
    apply_all(datastore, &shuffled).await;
    assert_eq!(names(datastore, Kind::IpPool, &Filter::default()).await, identities(&ordered));
    for wanted in &ordered {
        assert_eq!(
            names(datastore, Kind::IpPool, &wanted.filter()).await,
            identities(std::slice::from_ref(wanted))
        );
    }
    assert_eq!(list(datastore, Kind::IpPool, &pool("10.2.0.0/20").filter()).await, []);
}

/// Global, IPv4 first; then by node, version and text.
pub async fn global_peers_stand_before_those_of_nodes<D: Datastore>(datastore: &D) {
    let ordered = [
        peer(None, "10.0.0.10"),
        peer(None, "10.0.0.2"),
        peer(None, "fd00::1"),
        peer(Some("a"), "10.0.0.1"),
        peer(Some("a"), "fd00::1"),
        peer(Some("b"), "10.0.0.1"),
    ];
    let mut shuffled = ordered.clone();
    shuffled.reverse();
    apply_all(datastore, &shuffled).await;
    put(datastore, &Key::BgpConfig { node: None, name: "as_num".to_owned() }, "64512").await;
    put(datastore, &Key::BgpConfig { node: Some("a".to_owned()), name: "as_num".to_owned() }, "64512").await;
    assert_eq!(names(datastore, Kind::BgpPeer, &Filter::default()).await, identities(&ordered));
}

/// By scope, node and address, alone and together.
pub async fn peers_are_filtered<D: Datastore>(datastore: &D) {
    let all = [
        peer(None, "10.0.0.1"),
        peer(None, "10.0.0.2"),
        peer(Some("a"), "10.0.0.1"),
        peer(Some("a"), "10.0.0.2"),
        peer(Some("b"), "10.0.0.1"),
    ];
    apply_all(datastore, &all).await;
    for scope in [None, Some("global"), Some("node")] {
        for node in [None, Some("a"), Some("c")] {
            for address in [None, Some("10.0.0.1"), Some("10.0.0.9")] {
                if (scope, node.is_some()) == (Some("global"), true) {
                    continue;
                }
                let filter = Filter {
                    scope: scope.map(str::to_owned),
                    node: node.map(str::to_owned),
                    peer: address.map(|address| address.parse().unwrap()),
                    ..Filter::default()
                };
                let expected: Vec<Resource> =
                    all.iter().filter(|peer| filter.admits(peer)).cloned().collect();
                assert_eq!(
                    names(datastore, Kind::BgpPeer, &filter).await,
                    identities(&expected),
                    "{filter:?}"
                );
            }
        }
    }
}

/// A host exists when anything stands below its directory.
pub async fn a_host_with_an_endpoint_is_a_node<D: Datastore>(datastore: &D) {
    apply(datastore, &workload("w", "o", "w", "e")).await;
    apply(datastore, &host("h", "e")).await;
    put(datastore, &Key::FelixConfig { node: Some("c".to_owned()), name: "x".to_owned() }, "y").await;
    apply(datastore, &node("n")).await;
    put(datastore, &Key::BgpConfig { node: Some("b".to_owned()), name: "as_num".to_owned() }, "1").await;
    let bare = |name: &str| {
        let mut bare = Node::default();
        name.clone_into(&mut bare.metadata.name);
        Resource::Node(Box::new(bare))
    };
    let expected = [bare("c"), bare("h"), as_stored(&node("n")), bare("w")];
    assert_eq!(list(datastore, Kind::Node, &Filter::default()).await, expected);
    assert_eq!(datastore.get(&Identity::Node("w".to_owned())).await.unwrap().resource, bare("w"));
    assert!(datastore.get(&Identity::Node("b".to_owned())).await.unwrap_err().is_absent());
}

/// COMPAT(node-list): an absent one is an empty list.
pub async fn nodes_are_filtered_by_name<D: Datastore>(datastore: &D) {
    apply_all(datastore, &[node("b"), node("a"), node("a-b")]).await;
    let all = names(datastore, Kind::Node, &Filter::default()).await;
    assert_eq!(all, identities(&[node("a"), node("a-b"), node("b")]));
    let found = list(datastore, Kind::Node, &node("a").filter()).await;
    assert_eq!(found, [as_stored(&node("a"))]);
    assert_eq!(list(datastore, Kind::Node, &node("x").filter()).await, []);
}

/// COMPAT(orch-refs): references are removed like everything else.
pub async fn a_node_loses_what_an_update_leaves_out<D: Datastore>(datastore: &D) {
    apply(datastore, &node("n")).await;
    let mut bare = Node::default();
    "n".clone_into(&mut bare.metadata.name);
    let bare = Resource::Node(Box::new(bare));
    datastore.write(Write::Update, &bare, None).await.unwrap();
    assert_eq!(datastore.get(&bare.identity().unwrap()).await.unwrap().resource, bare);
    for name in ["as_num", "network_v4", "network_v6"] {
        let key = Key::BgpConfig { node: Some("n".to_owned()), name: name.to_owned() };
        assert_eq!(datastore.get_record(&key).await.unwrap(), None, "{name}");
    }
    assert_eq!(datastore.get_record(&Key::NodeBirdIp { node: "n".to_owned() }).await.unwrap(), None);
    assert_eq!(datastore.get_record(&Key::OrchRefs { node: "n".to_owned() }).await.unwrap(), None);
}

/// A list names them and goes on; a get fails.
pub async fn records_that_cannot_be_understood_are_reported<D: Datastore>(datastore: &D) {
    for resource in one_of_each().into_iter().filter(|resource| resource.kind() != Kind::Node) {
        let identity = resource.identity().unwrap();
        apply(datastore, &resource).await;
        let mut key = identity.key();
        if let Key::Profile { name } = key {
            key = Key::ProfilePart { name, part: margay_model::key::ProfilePart::Rules };
        }
        put(datastore, &key, "{ no JSON").await;
        let mut listed = Vec::new();
        datastore.list(resource.kind(), &Filter::default(), &mut |entry| listed.push(entry)).await.unwrap();
        let [Listed::Skipped(skipped)] = listed.as_slice() else { panic!("{listed:?}") };
        assert!(key.path().starts_with(&skipped.path), "{skipped:?}");
        assert!(!skipped.reason.is_empty());
        let error = datastore.get(&identity).await.unwrap_err();
        assert!(matches!(&error, Error::BadRecord { path, .. } if *path == skipped.path), "{error:?}");
        datastore.delete(&identity, None).await.unwrap();
    }
}

/// Without tags it is listed, as what is there, but neither got nor updated.
pub async fn a_profile_needs_its_tags_to_be_got<D: Datastore>(datastore: &D) {
    use margay_model::key::ProfilePart;
    let part = |part| Key::ProfilePart { name: "p".to_owned(), part };
    put(datastore, &part(ProfilePart::Labels), r#"{"a":"b"}"#).await;
    assert!(datastore.get(&Identity::Profile("p".to_owned())).await.unwrap_err().is_absent());
    assert!(datastore.write(Write::Update, &profile("p"), None).await.unwrap_err().is_absent());
    let mut expected = Profile::default();
    "p".clone_into(&mut expected.metadata.name);
    expected.metadata.labels.insert("a".to_owned(), "b".to_owned());
    let expected = Resource::Profile(Box::new(expected));
    assert_eq!(list(datastore, Kind::Profile, &Filter::default()).await, [expected]);

    put(datastore, &part(ProfilePart::Tags), "[]").await;
    datastore.delete_record(&part(ProfilePart::Labels), Precondition::None).await.unwrap();
    let found = datastore.get(&Identity::Profile("p".to_owned())).await.unwrap();
    assert!(found.revision.is_some());
    datastore.write(Write::Update, &profile("p"), None).await.unwrap();
}

// === what others wrote ===

/// Members that no resource has stay through update, apply and batches.
pub async fn foreign_fields_survive_writes<D: Datastore>(datastore: &D) {
    for (resource, other) in one_of_each().into_iter().zip(others()) {
        let mut key = resource.identity().unwrap().key();
        if let Key::Profile { name } = key {
            key = Key::ProfilePart { name, part: margay_model::key::ProfilePart::Rules };
        }
        apply(datastore, &resource).await;
        let stored = datastore.get_record(&key).await.unwrap().unwrap().value;
        let separator = if stored == "{}" { "" } else { "," };
        let foreign = format!(r#"{{"fqdn":"x.y","ids":[1,{{"a":null}}]{separator}{}"#, &stored[1..]);
        put(datastore, &key, &foreign).await;
        let survived = async || {
            let value = datastore.get_record(&key).await.unwrap().unwrap().value;
            value.contains(r#""fqdn":"x.y""#) && value.contains(r#""ids":[1,{"a":null}]"#)
        };
        datastore.write(Write::Update, &other, None).await.unwrap();
        assert!(survived().await, "update of {key}");
        datastore.write(Write::Apply, &resource, None).await.unwrap();
        assert!(survived().await, "apply of {key}");
        apply_all(datastore, std::slice::from_ref(&other)).await;
        assert!(survived().await, "batch with {key}");
        let found = datastore.get(&resource.identity().unwrap()).await.unwrap().resource;
        assert_eq!(found, as_stored(&other));
    }
}

/// An endpoint that was switched off stays off, in small batches and large.
pub async fn the_state_of_an_endpoint_survives_a_batch<D: Datastore>(datastore: &D) {
    let all: Vec<Resource> = (0..100).map(|n| workload("node", "o", &format!("w{n}"), "e")).collect();
    apply_all(datastore, &all).await;
    let key = all[7].identity().unwrap().key();
    let stored = datastore.get_record(&key).await.unwrap().unwrap().value;
    put(datastore, &key, &stored.replace(r#""active""#, r#""inactive""#)).await;
    for batch in [&all[..], &all[5..9], &all[7..8]] {
        apply_all(datastore, batch).await;
        let value = datastore.get_record(&key).await.unwrap().unwrap().value;
        assert!(value.contains(r#""state":"inactive""#), "{value}");
    }
}

// === batches ===

/// Kinds may be mixed; each resource is written as by itself.
pub async fn a_batch_is_written_in_order<D: Datastore>(datastore: &D) {
    for how in [Write::Create, Write::Update, Write::Apply] {
        let all = if how == Write::Update { others() } else { one_of_each() };
        let (written, outcome) = datastore.write_all(how, &all).await;
        outcome.unwrap();
        assert_eq!(written, all.len());
        for resource in &all {
            let found = datastore.get(&resource.identity().unwrap()).await.unwrap().resource;
            assert_eq!(found, as_stored(resource));
        }
    }
}

/// The count says which; nothing behind it is written.
pub async fn a_batch_stops_at_the_first_failure<D: Datastore>(datastore: &D) {
    apply(datastore, &policy("c")).await;
    let batch = ["a", "b", "c", "d"].map(policy);
    let (written, outcome) = datastore.write_all(Write::Create, &batch).await;
    assert_eq!(
        (written, outcome.unwrap_err().to_string()),
        (2, "resource already exists: Policy(name=c)".into())
    );
    assert_eq!(
        names(datastore, Kind::Policy, &Filter::default()).await,
        identities(&["a", "b", "c"].map(policy))
    );

    for missing in [policy("x"), profile("x"), pool("10.9.0.0/16"), node("x"), workload("n", "o", "w", "x")] {
        let batch = [policy("a"), missing.clone(), policy("b")];
        let before = revision(datastore, &batch[2]).await;
        let (written, outcome) = datastore.write_all(Write::Update, &batch).await;
        let error = outcome.unwrap_err();
        assert!(error.is_absent(), "{error:?}");
        assert_eq!(written, 1);
        assert_eq!(revision(datastore, &batch[2]).await, before, "what stands behind was written");
    }
}

/// The last one counts, and a create of it fails the second time.
pub async fn a_batch_may_hold_a_resource_twice<D: Datastore>(datastore: &D) {
    for (resource, other) in one_of_each().into_iter().zip(others()) {
        let identity = resource.identity().unwrap();
        let batch = [resource.clone(), other.clone(), resource.clone(), other.clone()];
        datastore.write_all(Write::Apply, &batch).await.1.unwrap();
        assert_eq!(datastore.get(&identity).await.unwrap().resource, as_stored(&other));
        datastore.delete(&identity, None).await.unwrap();

        let (written, outcome) = datastore.write_all(Write::Create, &batch).await;
        assert!(matches!(outcome, Err(Error::AlreadyExists { .. })), "{outcome:?}");
        assert_eq!(written, 1);
        assert_eq!(datastore.get(&identity).await.unwrap().resource, as_stored(&resource));
    }
}

/// More than is read or written at once.
pub async fn a_large_batch_is_written_whole<D: Datastore>(datastore: &D) {
    let all: Vec<Resource> =
        (0..1100).map(|n| workload(&format!("n{}", n % 3), "o", &format!("w{n:04}"), "e")).collect();
    for how in [Write::Create, Write::Update, Write::Apply] {
        let (written, outcome) = datastore.write_all(how, &all).await;
        outcome.unwrap();
        assert_eq!(written, 1100);
    }
    assert_eq!(list(datastore, Kind::WorkloadEndpoint, &Filter::default()).await.len(), 1100);
}

// === several keys ===

/// Labels that stood there without tags stay; the tags that were made do not.
pub async fn a_failed_create_of_a_profile_leaves_nothing<D: Datastore>(datastore: &D) {
    use margay_model::key::ProfilePart;
    let part = |part| Key::ProfilePart { name: "p".to_owned(), part };
    for existing in [ProfilePart::Labels, ProfilePart::Rules] {
        put(datastore, &part(existing), r#"{"left":"over"}"#).await;
        for batch in [false, true] {
            let error = if batch {
                let (written, outcome) =
                    datastore.write_all(Write::Create, &[policy("q"), profile("p")]).await;
                assert_eq!(written, 1);
                datastore.delete(&Identity::Policy("q".to_owned()), None).await.unwrap();
                outcome.unwrap_err()
            } else {
                datastore.write(Write::Create, &profile("p"), None).await.unwrap_err()
            };
            assert_eq!(error.to_string(), "resource already exists: Profile(name=p)");
            for other in ProfilePart::ALL {
                let found = datastore.get_record(&part(other)).await.unwrap().map(|record| record.value);
                let expected = (other == existing).then(|| r#"{"left":"over"}"#.to_owned());
                assert_eq!(found, expected, "{other:?} beside {existing:?}");
            }
        }
        datastore.delete_record(&part(existing), Precondition::None).await.unwrap();
    }
}

/// Endpoints, configuration and peers of the host go; those of others stay.
pub async fn a_deleted_node_takes_everything_along<D: Datastore>(datastore: &D) {
    let config = |node: &str| Key::FelixConfig { node: Some(node.to_owned()), name: "x".to_owned() };
    let claim =
        |node: &str| Key::IpamAffinity { node: node.to_owned(), cidr: "10.0.0.0/26".parse().unwrap() };
    for name in ["gone", "gone-not"] {
        let of_node =
            [node(name), host(name, "e"), workload(name, "o", "w", "e"), peer(Some(name), "10.0.0.1")];
        apply_all(datastore, &of_node).await;
        put(datastore, &config(name), "y").await;
        put(datastore, &claim(name), "{}").await;
    }
    datastore.delete(&Identity::Node("gone".to_owned()), None).await.unwrap();
    assert_eq!(names(datastore, Kind::Node, &Filter::default()).await, identities(&[node("gone-not")]));
    assert_eq!(list(datastore, Kind::HostEndpoint, &Filter::default()).await.len(), 1);
    assert_eq!(list(datastore, Kind::WorkloadEndpoint, &Filter::default()).await.len(), 1);
    assert_eq!(list(datastore, Kind::BgpPeer, &Filter::default()).await.len(), 1);
    for key in [config("gone"), claim("gone")] {
        assert_eq!(datastore.get_record(&key).await.unwrap(), None, "{key}");
    }
    for key in [config("gone-not"), claim("gone-not")] {
        assert!(datastore.get_record(&key).await.unwrap().is_some(), "{key}");
    }
    let error = datastore.delete(&Identity::Node("gone".to_owned()), None).await.unwrap_err();
    assert_eq!(error.to_string(), "resource does not exist: Node(name=gone)");
}

/// By any write, for the whole cluster, for good.
pub async fn a_pool_with_ipip_switches_it_on<D: Datastore>(datastore: &D) {
    let switch = Key::FelixConfig { node: None, name: "IpInIpEnabled".to_owned() };
    let value = async || datastore.get_record(&switch).await.unwrap().map(|record| record.value);
    let plain = pool("10.0.0.0/16");
    let Resource::IpPool(mut ipip) = plain.clone() else { unreachable!() };
    ipip.spec.ipip = Some(IPIPConfiguration { enabled: true, mode: String::new() });
    let ipip = Resource::IpPool(ipip);
    apply(datastore, &plain).await;
    assert_eq!(value().await, None);
    for how in [Write::Update, Write::Apply, Write::Create] {
        if how == Write::Create {
            datastore.delete(&ipip.identity().unwrap(), None).await.unwrap();
        }
        datastore.write(how, &ipip, None).await.unwrap();
        assert_eq!(value().await.as_deref(), Some("true"), "{how:?}");
        apply(datastore, &plain).await;
        assert_eq!(value().await.as_deref(), Some("true"));
        put(datastore, &switch, "false").await;
    }
    apply_all(datastore, &[policy("p"), ipip, policy("q")]).await;
    assert_eq!(value().await.as_deref(), Some("true"));
}

// === records ===

/// Text as it is, with preconditions, and errors that name the key.
pub async fn records_are_written_and_read<D: Datastore>(datastore: &D) {
    let key = Key::FelixConfig { node: Some("n".to_owned()), name: "a/b".to_owned() };
    assert_eq!(datastore.get_record(&key).await.unwrap(), None);
    let error = datastore.put_record(&key, "1", Precondition::Present).await.unwrap_err();
    assert_eq!(error.to_string(), "resource does not exist: HostConfig(node=n,name=a/b)");
    let error = datastore.delete_record(&key, Precondition::None).await.unwrap_err();
    assert_eq!(error.to_string(), "resource does not exist: HostConfig(node=n,name=a/b)");

    let old = datastore.put_record(&key, " 1\n", Precondition::Absent).await.unwrap();
    let found = datastore.get_record(&key).await.unwrap().unwrap();
    assert_eq!((&found.key, found.value.as_str(), found.revision), (&key, " 1\n", old));
    let error = datastore.put_record(&key, "2", Precondition::Absent).await.unwrap_err();
    assert_eq!(error.to_string(), "resource already exists: HostConfig(node=n,name=a/b)");
    let new = datastore.put_record(&key, "2", Precondition::Revision(old)).await.unwrap();
    for error in [
        datastore.put_record(&key, "3", Precondition::Revision(old)).await.unwrap_err(),
        datastore.delete_record(&key, Precondition::Revision(old)).await.unwrap_err(),
    ] {
        assert_eq!(error.to_string(), "update conflict: 'HostConfig(node=n,name=a/b)'");
    }
    datastore.delete_record(&key, Precondition::Revision(new)).await.unwrap();
    assert_eq!(datastore.get_record(&key).await.unwrap(), None);
}

/// Each set lists its keys in order and nothing of the others.
pub async fn record_sets_hold_their_records_alone<D: Datastore>(datastore: &D) {
    apply_all(datastore, &one_of_each()).await;
    let named = |node: Option<&str>, name: &str| (node.map(str::to_owned), name.to_owned());
    let felix = |node, name| {
        let (node, name) = named(node, name);
        Key::FelixConfig { node, name }
    };
    let bgp = |node, name| {
        let (node, name) = named(node, name);
        Key::BgpConfig { node, name }
    };
    let block = |cidr: &str| Key::IpamBlock { cidr: cidr.parse().unwrap() };
    let claim =
        |node: &str, cidr: &str| Key::IpamAffinity { node: node.to_owned(), cidr: cidr.parse().unwrap() };
    let handle = |id: &str| Key::IpamHandle { id: id.to_owned() };
    let sets = [
        (
            RecordSet::FelixConfig { node: Some("m".to_owned()) },
            vec![felix(Some("m"), "A"), felix(Some("m"), "b")],
        ),
        (RecordSet::BgpConfig { node: None }, vec![bgp(None, "as_num"), bgp(None, "x/y")]),
        (RecordSet::BgpConfig { node: Some("m".to_owned()) }, vec![bgp(Some("m"), "loglevel")]),
        (RecordSet::IpamBlocks(None), vec![block("10.0.0.0/26"), block("10.0.0.64/26"), block("fd00::/122")]),
        (
            RecordSet::IpamAffinities { node: Some("m".to_owned()), version: None },
            vec![claim("m", "10.0.0.0/26"), claim("m", "fd00::/122")],
        ),
        (
            RecordSet::IpamAffinities { node: Some("m-n".to_owned()), version: None },
            vec![claim("m-n", "10.0.0.64/26")],
        ),
        (RecordSet::IpamHandles, vec![handle("a"), handle("b.c")]),
    ];
    for key in sets.iter().flat_map(|(_, keys)| keys) {
        put(datastore, key, "x").await;
    }
    put(datastore, &Key::IpamConfig, "{}").await;
    for (set, keys) in &sets {
        let mut found = Vec::new();
        datastore.list_records(set, &mut |record| found.push(record.key)).await.unwrap();
        assert_eq!(&found, keys, "{set:?}");
    }
}

/// Ready and the cluster's id are written once, and kept whatever they say.
pub async fn initialising_keeps_what_is_there<D: Datastore>(datastore: &D) {
    let guid = Key::FelixConfig { node: None, name: "ClusterGUID".to_owned() };
    let value = async |key: &Key| datastore.get_record(key).await.unwrap().unwrap().value;
    put(datastore, &Key::Ready, "false").await;
    apply(datastore, &node("n")).await;
    let first = value(&guid).await;
    assert_eq!(first.len(), 32);
    assert!(first.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')), "{first}");
    assert_eq!(&first[12..13], "4", "the version of a UUID: {first}");
    datastore.initialise().await.unwrap();
    assert_eq!((value(&guid).await, value(&Key::Ready).await), (first, "false".to_owned()));

    datastore.delete_record(&Key::Ready, Precondition::None).await.unwrap();
    datastore.write(Write::Update, &node("n"), None).await.unwrap();
    assert_eq!(value(&Key::Ready).await, "true");
}

/// Directories only, any number of times.
pub async fn initialising_a_node_writes_no_record<D: Datastore>(datastore: &D) {
    datastore.initialise_node("n").await.unwrap();
    datastore.initialise_node("n").await.unwrap();
    for set in [RecordSet::Pools, RecordSet::IpamAffinities { node: None, version: None }] {
        datastore.list_records(&set, &mut |record| panic!("{record:?}")).await.unwrap();
    }
    apply(datastore, &pool("10.0.0.0/16")).await;
    datastore.remove_ipam_host("n").await.unwrap();
    datastore.remove_ipam_host("n").await.unwrap();
}

// === at the same time ===

/// Writes without a revision never conflict: the last one counts.
pub async fn concurrent_updates_both_succeed<D: Datastore>(datastore: &D) {
    for (resource, other) in one_of_each().into_iter().zip(others()) {
        apply(datastore, &resource).await;
        for how in [Write::Update, Write::Apply] {
            let (first, second) =
                tokio::join!(datastore.write(how, &resource, None), datastore.write(how, &other, None));
            first.unwrap();
            second.unwrap();
            if resource.kind() != Kind::Node && resource.kind() != Kind::Profile {
                let found = datastore.get(&resource.identity().unwrap()).await.unwrap().resource;
                assert!(found == as_stored(&resource) || found == as_stored(&other), "{found:?}");
            }
        }
    }
}

/// Wait for ready, resync, everything there, in sync, then what happens.
pub async fn a_watch_follows_the_records<D: Datastore>(datastore: &D) {
    apply_all(datastore, &[workload("n", "o", "w", "e"), policy("a/b")]).await;
    let mut watch = datastore.watch(Options::new(Box::new(|| 0)));
    assert!(matches!(next(&mut watch).await, RecordEvent::Status(Status::WaitForReady)));
    datastore.initialise().await.unwrap();
    assert!(matches!(next(&mut watch).await, RecordEvent::Status(Status::Resync)));
    let mut keys = Vec::new();
    loop {
        match next(&mut watch).await {
            RecordEvent::Updates(updates) => keys.extend(updates.into_iter().map(|update| update.key)),
            RecordEvent::Status(status) => {
                assert_eq!(status, Status::InSync);
                break;
            }
            RecordEvent::Trouble(error) => panic!("{error:?}"),
        }
    }
    keys.sort();
    let mut expected = vec![
        Key::Ready,
        Key::FelixConfig { node: None, name: "ClusterGUID".to_owned() },
        workload("n", "o", "w", "e").identity().unwrap().key(),
        policy("a/b").identity().unwrap().key(),
    ];
    expected.sort();
    assert_eq!(keys, expected);

    let identity = policy("a/b").identity().unwrap();
    datastore.delete(&identity, None).await.unwrap();
    let RecordEvent::Updates(updates) = next(&mut watch).await else { panic!("no update") };
    let [RecordUpdate { key, value: None, kind: UpdateKind::Deleted, .. }] = updates.as_slice() else {
        panic!("{updates:?}")
    };
    assert_eq!(*key, identity.key());
}

// === helpers ===

async fn next<W: RecordWatch>(watch: &mut W) -> RecordEvent {
    tokio::time::timeout(DEADLINE, watch.next()).await.expect("an event within the deadline")
}

async fn apply<D: Datastore>(datastore: &D, resource: &Resource) -> Option<Revision> {
    datastore.write(Write::Apply, resource, None).await.unwrap()
}

async fn apply_all<D: Datastore>(datastore: &D, resources: &[Resource]) {
    let (written, outcome) = datastore.write_all(Write::Apply, resources).await;
    outcome.unwrap();
    assert_eq!(written, resources.len());
}

async fn put<D: Datastore>(datastore: &D, key: &Key, value: &str) {
    datastore.put_record(key, value, Precondition::None).await.unwrap();
}

async fn revision<D: Datastore>(datastore: &D, resource: &Resource) -> Option<Revision> {
    datastore.get(&resource.identity().unwrap()).await.unwrap().revision
}

async fn list<D: Datastore>(datastore: &D, kind: Kind, filter: &Filter) -> Vec<Resource> {
    let mut found = Vec::new();
    let visit = &mut |listed| match listed {
        Listed::Resource(stored) => found.push(stored.resource),
        Listed::Skipped(skipped) => panic!("{skipped:?}"),
    };
    datastore.list(kind, filter, visit).await.unwrap();
    found
}

async fn names<D: Datastore>(datastore: &D, kind: Kind, filter: &Filter) -> Vec<String> {
    identities(&list(datastore, kind, filter).await)
}

fn identities(resources: &[Resource]) -> Vec<String> {
    resources.iter().map(|resource| resource.identity().unwrap().to_string()).collect()
}
