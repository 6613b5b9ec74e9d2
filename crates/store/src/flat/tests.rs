//! What `Flat` asks of a store, key by key, and what it leaves behind when the store fails or others write meanwhile.

mod rigged;

use std::sync::Arc;

use margay_model::{Filter, Identity, Kind, Resource};
use margay_testkit::datastore_suite::{host, node, one_of_each, others, policy, pool, profile, workload};

use self::rigged::{Rigged, now, set};
use super::Flat;
use crate::datastore::{Datastore, Error, Listed, Write};
use crate::kv::{Kv, KvError, Precondition};

const RULES: &str = "/calico/v1/policy/profile/p/rules";
const ENDPOINT: &str = "/calico/v1/host/n/workload/k8s/w/endpoint/e";

fn open() -> (Flat<Rigged>, Rigged) {
    let rigged = Rigged::new();
    (Flat::new(rigged.clone(), Arc::new(|| [0xff; 16])), rigged)
}

fn broken() -> KvError {
    KvError::Server("out of order".to_owned())
}

fn keys(rigged: &Rigged) -> Vec<String> {
    rigged.contents().into_iter().map(|(key, _)| key).collect()
}

fn without_initialisation(rigged: &Rigged) -> Vec<String> {
    let initial = ["/calico/v1/Ready", "/calico/v1/config/ClusterGUID"];
    keys(rigged).into_iter().filter(|key| !initial.contains(&key.as_str())).collect()
}

// === requests ===

#[tokio::test]
async fn single_writes_need_one_read_and_one_write() {
    let (flat, rigged) = open();
    let endpoint = workload("n", "k8s", "w", "e");
    flat.write(Write::Create, &endpoint, None).await.unwrap();
    assert_eq!(rigged.requests(), [format!("put {ENDPOINT}")]);
    for how in [Write::Update, Write::Apply] {
        flat.write(how, &endpoint, None).await.unwrap();
        assert_eq!(rigged.requests(), [format!("get {ENDPOINT}"), format!("put {ENDPOINT}")]);
    }
    flat.get(&endpoint.identity().unwrap()).await.unwrap();
    assert_eq!(rigged.requests(), [format!("get {ENDPOINT}")]);
}

#[tokio::test]
async fn a_batch_scattered_over_many_hosts_is_one_list_of_all_hosts() {
    let (flat, rigged) = open();
    let scattered: Vec<Resource> = (0..1000).map(|i| workload(&format!("n{i}"), "k8s", "w", "e")).collect();
    let (written, outcome) = flat.write_all(Write::Apply, &scattered).await;
    assert!(written == 1000 && outcome.is_ok());
    let requests = rigged.requests();
    assert_eq!(requests[0], "list /calico/v1/host");
    assert_eq!(requests[1..], ["put_all 512", "put_all 488"]);
}

#[tokio::test]
async fn a_large_batch_is_one_list_for_each_directory() {
    let (flat, rigged) = open();
    let all: Vec<Resource> =
        (0..1000).map(|n| workload(&format!("n{}", n % 2), "k8s", &format!("w{n}"), "e")).collect();
    let puts = ["put_all 512".to_owned(), "put_all 488".to_owned()];
    flat.write_all(Write::Create, &all).await.1.unwrap();
    assert_eq!(rigged.requests(), puts);
    let lists = ["n0", "n1"].map(|node| format!("list /calico/v1/host/{node}/workload"));
    for how in [Write::Apply, Write::Update] {
        flat.write_all(how, &all).await.1.unwrap();
        assert_eq!(rigged.requests(), [lists.as_slice(), puts.as_slice()].concat());
    }
}

#[tokio::test]
async fn a_node_is_written_in_order() {
    let (flat, rigged) = open();
    let expected = [
        "put /calico/v1/Ready",
        "put /calico/v1/config/ClusterGUID",
        "put /calico/v1/host/n/metadata",
        "put /calico/bgp/v1/host/n/ip_addr_v4",
        "put /calico/bgp/v1/host/n/ip_addr_v6",
        "put /calico/v1/host/n/bird_ip",
        "put /calico/bgp/v1/host/n/as_num",
        "put /calico/bgp/v1/host/n/network_v4",
        "put /calico/bgp/v1/host/n/network_v6",
        "put /calico/v1/host/n/orchestrator_refs",
    ];
    flat.write(Write::Create, &node("n"), None).await.unwrap();
    assert_eq!(rigged.requests(), expected);
    let contents = [
        ("/calico/bgp/v1/host/n/as_num", "64512"),
        ("/calico/bgp/v1/host/n/ip_addr_v4", "10.1.2.3"),
        ("/calico/bgp/v1/host/n/ip_addr_v6", "fd00::3"),
        ("/calico/bgp/v1/host/n/network_v4", "10.1.0.0/16"),
        ("/calico/bgp/v1/host/n/network_v6", "fd00::/64"),
        ("/calico/v1/Ready", "true"),
        ("/calico/v1/config/ClusterGUID", "ffffffffffff4fffbfffffffffffffff"),
        ("/calico/v1/host/n/bird_ip", "10.1.2.3"),
        ("/calico/v1/host/n/metadata", "{}"),
        ("/calico/v1/host/n/orchestrator_refs", r#"[{"orchestrator":"k8s","nodeName":"n.local"}]"#),
    ];
    assert_eq!(rigged.contents(), contents.map(|(key, value)| (key.to_owned(), value.to_owned())));
}

#[tokio::test]
async fn a_profile_is_written_tags_first() {
    let (flat, rigged) = open();
    let put = |part: &str| format!("put /calico/v1/policy/profile/p/{part}");
    flat.write(Write::Create, &profile("p"), None).await.unwrap();
    assert_eq!(rigged.requests(), ["tags", "labels", "rules"].map(put));
    flat.write(Write::Apply, &profile("p"), None).await.unwrap();
    assert_eq!(rigged.requests(), [format!("get {RULES}"), put("tags"), put("labels"), put("rules")]);
    flat.get(&Identity::Profile("p".to_owned())).await.unwrap();
    assert_eq!(rigged.requests(), ["list /calico/v1/policy/profile/p"]);
}

#[tokio::test]
async fn nodes_are_listed_in_three_requests() {
    let (flat, rigged) = open();
    let all: Vec<Resource> = (0..50).map(|n| node(&format!("n{n}"))).collect();
    flat.write_all(Write::Create, &all).await.1.unwrap();
    let initialised = rigged.requests().iter().filter(|request| *request == "put /calico/v1/Ready").count();
    assert_eq!(initialised, 1, "a batch initialises once");
    let mut count = 0;
    flat.list(Kind::Node, &Filter::default(), &mut |_| count += 1).await.unwrap();
    assert_eq!(count, 50);
    let expected = ["children /calico/v1/host", "list /calico/v1/host", "list /calico/bgp/v1/host"];
    assert_eq!(rigged.requests(), expected);
}

#[tokio::test]
async fn a_value_among_the_hosts_is_no_node() {
    let (flat, rigged) = open();
    set(&rigged.store, "/calico/v1/host/stray", "x");
    flat.write(Write::Create, &node("n"), None).await.unwrap();
    let mut names = Vec::new();
    let visit = &mut |listed| match listed {
        Listed::Resource(stored) => names.push(stored.resource.printed_identity()),
        Listed::Skipped(skipped) => panic!("{skipped:?}"),
    };
    flat.list(Kind::Node, &Filter::default(), visit).await.unwrap();
    assert_eq!(names, ["Node(Name=n)"]);
}

// === directories ===

#[tokio::test]
async fn the_last_endpoint_of_a_workload_takes_its_directories_along() {
    let (flat, rigged) = open();
    for name in ["e", "f"] {
        flat.write(Write::Create, &workload("n", "k8s", "w", name), None).await.unwrap();
    }
    let delete = async |name: &str| {
        rigged.requests();
        flat.delete(&workload("n", "k8s", "w", name).identity().unwrap(), None).await.unwrap();
        rigged.requests()
    };
    let below = "/calico/v1/host/n/workload/k8s/w";
    assert_eq!(delete("f").await, [format!("delete {below}/endpoint/f"), format!("prune {below}/endpoint")]);
    let expected =
        [format!("delete {below}/endpoint/e"), format!("prune {below}/endpoint"), format!("prune {below}")];
    assert_eq!(delete("e").await, expected);
    assert!(now(rigged.store.directory_exists("/calico/v1/host/n/workload/k8s")).unwrap());
    assert!(!now(rigged.store.directory_exists(below)).unwrap());
}

#[tokio::test]
async fn a_delete_succeeds_although_the_directories_stay() {
    let (flat, rigged) = open();
    let endpoint = workload("n", "k8s", "w", "e");
    flat.write(Write::Create, &endpoint, None).await.unwrap();
    rigged.rig(|request, _| request.starts_with("prune").then_some(KvError::Unauthorized));
    flat.delete(&endpoint.identity().unwrap(), None).await.unwrap();
    assert_eq!(keys(&rigged), [""; 0]);
}

#[tokio::test]
async fn a_deleted_profile_leaves_no_directory() {
    let (flat, rigged) = open();
    flat.write(Write::Create, &profile("p"), None).await.unwrap();
    flat.delete(&Identity::Profile("p".to_owned()), None).await.unwrap();
    assert_eq!(now(rigged.store.children("/calico/v1/policy/profile")).unwrap(), [""; 0]);
}

#[tokio::test]
async fn a_deleted_node_is_removed_host_directory_last_and_failures_are_named() {
    let (flat, rigged) = open();
    let identity = Identity::Node("n".to_owned());
    flat.write(Write::Create, &node("n"), None).await.unwrap();
    rigged.requests();
    rigged.rig(|request, _| (request == "delete /calico/bgp/v1/host/n").then(broken));
    let error = flat.delete(&identity, None).await.unwrap_err();
    assert_eq!(error.to_string(), "out of order");
    let Error::Incomplete { left, .. } = error else { panic!("{error:?}") };
    assert_eq!(left, ["/calico/bgp/v1/host/n"]);
    let expected = ["/calico/ipam/v2/host/n", "/calico/bgp/v1/host/n", "/calico/v1/host/n"]
        .map(|d| format!("delete {d}"));
    assert_eq!(rigged.requests(), expected);
    assert!(!keys(&rigged).iter().any(|key| key.starts_with("/calico/v1/host/")));

    rigged.rig(|request, _| request.starts_with("delete /calico/v1/host").then(broken));
    let error = flat.delete(&identity, None).await.unwrap_err();
    assert!(matches!(error, Error::Store(KvError::Server(_))), "{error:?}");
}

#[tokio::test]
async fn a_nodes_directories_are_made_for_others() {
    let (flat, rigged) = open();
    flat.initialise_node("n").await.unwrap();
    for directory in [
        "/calico/v1/ipam/v4/pool",
        "/calico/v1/ipam/v6/pool",
        "/calico/bgp/v1/global/custom_filters/v4",
        "/calico/bgp/v1/global/custom_filters/v6",
        "/calico/ipam/v2/host/n/ipv4/block",
        "/calico/ipam/v2/host/n/ipv6/block",
    ] {
        assert!(now(rigged.store.directory_exists(directory)).unwrap(), "{directory}");
    }
}

// === failures half way ===

#[tokio::test]
async fn a_create_that_fails_at_any_step_leaves_nothing() {
    for resource in [profile("p"), node("n"), ipip_pool()] {
        for batch in [false, true] {
            let (flat, rigged) = open();
            flat.write(Write::Create, &resource, None).await.unwrap();
            let mut steps = without_initialisation(&rigged);
            if let Resource::Node(_) = resource {
                steps.retain(|step| step != "/calico/v1/host/n/metadata");
            }
            for step in steps {
                let (flat, rigged) = open();
                let failing = format!("put {step}");
                rigged.rig(move |request, _| (request == failing).then(broken));
                let error = match batch {
                    false => flat.write(Write::Create, &resource, None).await.unwrap_err(),
                    true => {
                        let (written, outcome) =
                            flat.write_all(Write::Create, &[policy("a"), resource.clone()]).await;
                        assert_eq!(written, 1);
                        flat.delete(&Identity::Policy("a".to_owned()), None).await.unwrap();
                        outcome.unwrap_err()
                    }
                };
                assert!(matches!(error, Error::Store(KvError::Server(_))), "{error:?}");
                assert_eq!(without_initialisation(&rigged), [""; 0], "failed at {step}");
            }
        }
    }
}

fn ipip_pool() -> Resource {
    let Resource::IpPool(mut d) = pool("10.0.0.0/16") else { unreachable!() };
    d.spec.ipip = Some(margay_model::v1::IPIPConfiguration { enabled: true, mode: String::new() });
    Resource::IpPool(d)
}

#[tokio::test]
async fn what_cannot_be_taken_back_is_named() {
    let (flat, rigged) = open();
    rigged
        .rig(|request, _| (request == format!("put {RULES}") || request.starts_with("delete")).then(broken));
    let error = flat.write(Write::Create, &profile("p"), None).await.unwrap_err();
    assert_eq!(error.to_string(), "out of order");
    let Error::Incomplete { left, .. } = error else { panic!("{error:?}") };
    assert_eq!(left, ["tags", "labels"].map(|part| format!("/calico/v1/policy/profile/p/{part}")));
    assert_eq!(keys(&rigged).len(), 2);
}

#[tokio::test]
async fn what_others_wrote_since_is_not_taken_back() {
    let (flat, rigged) = open();
    let tags = "/calico/v1/policy/profile/p/tags";
    rigged.rig(move |request, store| {
        (request == format!("put {RULES}")).then(|| {
            set(store, tags, r#"["theirs"]"#);
            broken()
        })
    });
    let error = flat.write(Write::Create, &profile("p"), None).await.unwrap_err();
    assert!(matches!(error, Error::Store(_)), "{error:?}");
    assert_eq!(rigged.contents(), [(tags.to_owned(), r#"["theirs"]"#.to_owned())]);
}

#[tokio::test]
async fn an_unanswered_write_may_have_happened_and_is_named() {
    let (flat, rigged) = open();
    rigged.rig(|request, _| {
        (request == format!("put {RULES}"))
            .then(|| KvError::Unavailable { message: "no answer\n".to_owned() })
    });
    let error = flat.write(Write::Create, &profile("p"), None).await.unwrap_err();
    assert_eq!(error.to_string(), "no answer\n");
    let Error::Incomplete { left, .. } = error else { panic!("{error:?}") };
    assert_eq!(left, [RULES]);
}

#[tokio::test]
async fn an_update_that_fails_half_way_names_what_it_wrote() {
    for how in [Write::Update, Write::Apply] {
        let (flat, rigged) = open();
        flat.write_all(Write::Create, &[profile("p"), node("n")]).await.1.unwrap();
        rigged.rig(|request, _| {
            [format!("put {RULES}"), "put /calico/bgp/v1/host/n/ip_addr_v6".to_owned()]
                .contains(&request.to_owned())
                .then(broken)
        });
        let left = async |resource: &Resource| match flat.write(how, resource, None).await.unwrap_err() {
            Error::Incomplete { left, cause } => {
                assert!(matches!(*cause, Error::Store(_)));
                left
            }
            error => panic!("{error:?}"),
        };
        let expected = ["tags", "labels"].map(|part| format!("/calico/v1/policy/profile/p/{part}"));
        assert_eq!(left(&profile("p")).await, expected);
        let expected = ["/calico/v1/host/n/metadata", "/calico/bgp/v1/host/n/ip_addr_v4"];
        assert_eq!(left(&node("n")).await, expected);
    }
}

#[tokio::test]
async fn a_create_of_a_node_takes_over_what_stands_there_and_names_it_when_it_fails() {
    let (flat, rigged) = open();
    let as_num = "/calico/bgp/v1/host/n/as_num";
    set(&rigged.store, as_num, "1");
    rigged.rig(|request, _| (request == "put /calico/v1/host/n/orchestrator_refs").then(broken));
    let Error::Incomplete { left, .. } = flat.write(Write::Create, &node("n"), None).await.unwrap_err()
    else {
        panic!("nothing is left?");
    };
    assert_eq!(left, [as_num]);
    assert_eq!(without_initialisation(&rigged), [as_num]);
}

// === others at the same time ===

/// Writes `change` just before the first put of a key.
fn interfere(rigged: &Rigged, key: &str, change: impl Fn(&crate::MemoryKv) + Send + 'static) {
    let put = format!("put {key}");
    let mut done = false;
    rigged.rig(move |request, store| {
        if request == put && !std::mem::replace(&mut done, true) {
            change(store);
        }
        None
    });
}

#[tokio::test]
async fn a_write_between_read_and_write_is_read_again() {
    for (resource, other) in one_of_each().into_iter().zip(others()) {
        let key = match &resource {
            Resource::Profile(_) => "/calico/v1/policy/profile/profile/rules".to_owned(),
            _ => resource.identity().unwrap().key().path(),
        };
        for how in [Write::Update, Write::Apply] {
            for batch in [false, true] {
                let (flat, rigged) = open();
                flat.write(Write::Create, &resource, None).await.unwrap();
                let theirs = key.clone();
                interfere(&rigged, &key, move |store| {
                    let stored = now(store.get(&theirs)).unwrap().unwrap().value;
                    let comma = if stored == "{}" { "" } else { "," };
                    set(store, &theirs, &format!(r#"{{"theirs":1{comma}{}"#, &stored[1..]));
                });
                if batch {
                    let (written, outcome) =
                        flat.write_all(how, &[other.clone(), host("behind", "it")]).await;
                    match how {
                        Write::Apply => assert_eq!((written, outcome.is_ok()), (2, true)),
                        _ => assert_eq!(written, 1, "the second does not exist"),
                    }
                } else {
                    flat.write(how, &other, None).await.unwrap();
                }
                let value = now(rigged.store.get(&key)).unwrap().unwrap().value;
                assert!(value.contains(r#""theirs":1"#), "{how:?}, batch {batch}: {value}");
                let found = flat.get(&resource.identity().unwrap()).await.unwrap().resource;
                assert_eq!(found, margay_model::codec::as_stored(&other));
            }
        }
    }
}

#[tokio::test]
async fn a_delete_between_read_and_write_is_noticed() {
    for batch in [false, true] {
        for (how, exists) in [(Write::Update, false), (Write::Apply, true)] {
            let (flat, rigged) = open();
            let endpoint = workload("n", "k8s", "w", "e");
            flat.write(Write::Create, &endpoint, None).await.unwrap();
            interfere(&rigged, ENDPOINT, |store| now(store.delete(ENDPOINT, Precondition::None)).unwrap());
            let outcome = match batch {
                false => flat.write(how, &endpoint, None).await.map(|_| ()),
                true => flat.write_all(how, std::slice::from_ref(&endpoint)).await.1,
            };
            assert_eq!(outcome.is_ok(), exists, "{outcome:?}");
            assert!(exists || outcome.unwrap_err().is_absent());
            assert_eq!(keys(&rigged).len(), usize::from(exists));
        }
    }
}

#[tokio::test]
async fn a_create_between_read_and_write_is_merged() {
    for batch in [false, true] {
        let (flat, rigged) = open();
        let endpoint = workload("n", "k8s", "w", "e");
        interfere(&rigged, ENDPOINT, |store| set(store, ENDPOINT, r#"{"state":"inactive","fqdn":"x"}"#));
        match batch {
            false => drop(flat.write(Write::Apply, &endpoint, None).await.unwrap()),
            true => flat.write_all(Write::Apply, std::slice::from_ref(&endpoint)).await.1.unwrap(),
        }
        let value = &rigged.contents()[0].1;
        assert!(value.contains(r#""state":"inactive""#) && value.contains(r#""fqdn":"x""#), "{value}");
    }
}

#[tokio::test]
async fn a_given_revision_conflicts_at_once() {
    let (flat, rigged) = open();
    let endpoint = workload("n", "k8s", "w", "e");
    let revision = flat.write(Write::Create, &endpoint, None).await.unwrap();
    interfere(&rigged, ENDPOINT, |store| set(store, ENDPOINT, "{}"));
    let error = flat.write(Write::Update, &endpoint, revision).await.unwrap_err();
    assert!(matches!(error, Error::Conflict { .. }), "{error:?}");
    assert_eq!(rigged.contents()[0].1, "{}");
}

#[tokio::test]
async fn a_profile_written_with_a_revision_survives_a_race_for_its_rules() {
    let (flat, rigged) = open();
    let revision = flat.write(Write::Create, &profile("p"), None).await.unwrap();
    interfere(&rigged, RULES, |store| set(store, RULES, r#"{"theirs":1}"#));
    let new = flat.write(Write::Update, &profile("p"), revision).await.unwrap();
    assert!(new > revision);
    let value = now(rigged.store.get(RULES)).unwrap().unwrap().value;
    assert!(value.contains(r#""theirs":1"#) && value.contains("inbound_rules"), "{value}");
}

#[tokio::test]
async fn a_race_that_never_ends_is_given_up() {
    for resource in [workload("n", "k8s", "w", "e"), node("n")] {
        let (flat, rigged) = open();
        flat.write(Write::Create, &resource, None).await.unwrap();
        let key = resource.identity().unwrap().key().path();
        let put = format!("put {key}");
        rigged.rig(move |request, store| {
            if request == put {
                set(store, &key, "{}");
            }
            None
        });
        let error = flat.write(Write::Apply, &resource, None).await.unwrap_err();
        assert!(matches!(error, Error::Conflict { .. }), "{error:?}");
    }
}
