use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use margay_model::validate::Scope;
use margay_model::{Filter, Identity, Kind, Resource, document};
use margay_store::MemoryKv;
use margay_store::datastore::{Error, Listed, Write};
use margay_store::kv::{Kv as _, Precondition};

use super::{Client, ClientError, NameSource, Skip};
use crate::AnyStore;

fn client() -> (Client<AnyStore>, MemoryKv) {
    let kv = MemoryKv::new();
    let next = Arc::new(AtomicU8::new(0));
    let random: margay_store::flat::Random = Arc::new(move || [next.fetch_add(1, Ordering::SeqCst); 16]);
    (Client::new(AnyStore::memory(kv.clone(), Arc::clone(&random)), random), kv)
}

/// The resources of a file that is valid.
fn documents(source: &str) -> Vec<Resource> {
    let loaded = document::load(source.as_bytes(), Scope::Metadata).unwrap();
    loaded.into_iter().map(|located| located.resource).collect()
}

fn document(source: &str) -> Resource {
    documents(source).remove(0)
}

fn policy(name: &str) -> Resource {
    document(&format!("{{apiVersion: v1, kind: policy, metadata: {{name: {name}}}}}"))
}

fn pool(cidr: &str) -> Resource {
    document(&format!("{{apiVersion: v1, kind: ipPool, metadata: {{cidr: {cidr}}}}}"))
}

fn endpoint(name: &str) -> Resource {
    document(&format!(
        "{{apiVersion: v1, kind: workloadEndpoint, metadata: {{node: n, orchestrator: o, workload: w{name}}}, \
         spec: {{interfaceName: cali0}}}}"
    ))
}

async fn names(client: &Client<AnyStore>, kind: Kind) -> Vec<String> {
    let mut names = Vec::new();
    client
        .list(kind, &Filter::default(), &mut |listed| match listed {
            Listed::Resource(stored) => names.push(stored.resource.identity().unwrap().to_string()),
            Listed::Skipped(record) => names.push(format!("skipped {}", record.path)),
        })
        .await
        .unwrap();
    names
}

fn named(name: &str) -> Filter {
    Filter { name: Some(name.to_owned()), ..Filter::default() }
}

#[tokio::test]
async fn only_create_invents_a_name() {
    let (client, _) = client();
    let mut created = endpoint("");
    client.write(Write::Create, &mut created).await.unwrap();
    assert_eq!(
        created.identity().unwrap().to_string(),
        "WorkloadEndpoint(node=n, orchestrator=o, workload=w, name=00000000-0000-4000-8000-000000000000)"
    );
    for how in [Write::Apply, Write::Update] {
        let error = client.write(how, &mut endpoint("")).await.unwrap_err();
        assert_eq!(error.to_string(), "insufficient identifiers, missing 'name'");
    }
    let mut named = endpoint(", name: e");
    client.write(Write::Create, &mut named).await.unwrap();
    assert_eq!(
        named.identity().unwrap().to_string(),
        "WorkloadEndpoint(node=n, orchestrator=o, workload=w, name=e)"
    );
}

#[tokio::test]
async fn states_of_existence_have_upstreams_words() {
    let (client, _) = client();
    let text =
        |outcome: Result<_, ClientError>| outcome.map_or_else(|error| error.to_string(), |()| "ok".into());
    let write = async |how| text(client.write(how, &mut policy("a")).await.map(|_| ()));
    assert_eq!(write(Write::Update).await, "resource does not exist: Policy(name=a)");
    assert_eq!(write(Write::Create).await, "ok");
    assert_eq!(write(Write::Create).await, "resource already exists: Policy(name=a)");
    assert_eq!(write(Write::Apply).await, "ok");
    assert_eq!(write(Write::Update).await, "ok");
    let delete = async || client.delete(Kind::Policy, &named("a"), NameSource::File).await;
    assert_eq!(text(delete().await), "ok");
    let error = delete().await.unwrap_err();
    assert!(error.is_absent());
    assert_eq!(error.to_string(), "resource does not exist: Policy(name=a)");
    let error = client.get(Kind::Policy, &named("a")).await.unwrap_err();
    assert_eq!(error.to_string(), "resource does not exist: Policy(name=a)");
}

#[tokio::test]
async fn what_is_written_has_its_defaults() {
    let (client, kv) = client();
    client.write(Write::Create, &mut policy("a")).await.unwrap();
    let stored = client.get(Kind::Policy, &named("a")).await.unwrap();
    let Resource::Policy(stored) = stored.resource else { panic!("{stored:?}") };
    assert_eq!(stored.spec.types, ["ingress"]);
    assert_eq!(kv.revision(), 1);
}

#[tokio::test]
async fn nothing_invalid_is_written() {
    let (client, kv) = client();
    let mut bad = document("{apiVersion: v1, kind: policy, metadata: {name: a}, spec: {selector: 'a =='}}");
    for how in [Write::Create, Write::Apply, Write::Update] {
        let error = client.write(how, &mut bad).await.unwrap_err();
        assert_eq!(error.to_string(), "error with field selector = 'a =='");
        assert!(error.hints()[0].starts_with("spec.selector: "), "{:?}", error.hints());
    }
    assert_eq!(kv.revision(), 0);
}

#[tokio::test]
async fn policies_of_kubernetes_can_be_read_only() {
    let (client, kv) = client();
    for how in [Write::Create, Write::Apply, Write::Update] {
        let error = client.write(how, &mut policy("knp.default.web")).await.unwrap_err();
        assert_eq!(
            error.to_string(),
            format!("operation {} is not supported on knp.default.web", how.verb())
        );
    }
    let error =
        client.delete(Kind::Policy, &named("knp.default.web"), NameSource::Arguments).await.unwrap_err();
    assert_eq!(error.to_string(), "operation Delete is not supported on knp.default.web");
    assert_eq!(kv.revision(), 0);
    kv.put("/calico/v1/policy/tier/default/policy/knp.default.web", "{}", Precondition::None, None)
        .await
        .unwrap();
    assert_eq!(names(&client, Kind::Policy).await, ["Policy(name=knp.default.web)"]);
    client.get(Kind::Policy, &named("knp.default.web")).await.unwrap();
    client.write(Write::Create, &mut policy("knp.other")).await.unwrap();
}

#[tokio::test]
async fn writing_many_stops_at_the_first_error_in_order() {
    let (client, _) = client();
    client.write(Write::Create, &mut policy("c")).await.unwrap();
    let mut many = vec![policy("a"), policy("b"), policy("c"), policy("d")];
    let (handled, outcome) = client.write_all(Write::Create, &mut many, Skip::Nothing).await;
    assert_eq!(handled, 2);
    assert_eq!(outcome.unwrap_err().to_string(), "resource already exists: Policy(name=c)");
    assert_eq!(names(&client, Kind::Policy).await, ["Policy(name=a)", "Policy(name=b)", "Policy(name=c)"]);
}

#[tokio::test]
async fn an_invalid_one_among_many_stops_where_it_stands() {
    let (client, _) = client();
    client.write(Write::Create, &mut policy("b")).await.unwrap();
    let mut many = vec![policy("a"), policy("knp.default.x"), policy("z")];
    let (handled, outcome) = client.write_all(Write::Apply, &mut many, Skip::Nothing).await;
    assert_eq!(handled, 1);
    assert_eq!(outcome.unwrap_err().to_string(), "operation Apply is not supported on knp.default.x");
    assert_eq!(names(&client, Kind::Policy).await, ["Policy(name=a)", "Policy(name=b)"]);
    // An error before it comes first.
    let mut many = vec![policy("c"), policy("b"), policy("knp.default.x")];
    let (handled, outcome) = client.write_all(Write::Create, &mut many, Skip::Nothing).await;
    assert_eq!(handled, 1);
    assert_eq!(outcome.unwrap_err().to_string(), "resource already exists: Policy(name=b)");
}

#[tokio::test]
async fn what_exists_can_be_skipped_and_counts_as_handled() {
    let (client, _) = client();
    for name in ["a", "c"] {
        client.write(Write::Create, &mut policy(name)).await.unwrap();
    }
    let mut many = vec![policy("a"), policy("b"), policy("c"), policy("d"), policy("d")];
    let (handled, outcome) = client.write_all(Write::Create, &mut many, Skip::Existing).await;
    assert_eq!((handled, outcome.is_ok()), (5, true));
    let all = ["Policy(name=a)", "Policy(name=b)", "Policy(name=c)", "Policy(name=d)"];
    assert_eq!(names(&client, Kind::Policy).await, all);
    // Other errors are not skipped.
    let mut many = vec![policy("a"), policy("knp.default.x"), policy("e")];
    let (handled, outcome) = client.write_all(Write::Create, &mut many, Skip::Existing).await;
    assert_eq!((handled, outcome.is_err()), (1, true));
    assert_eq!(names(&client, Kind::Policy).await, all);
}

#[tokio::test]
async fn writing_none_is_done_at_once() {
    let (client, kv) = client();
    let (handled, outcome) = client.write_all(Write::Create, &mut [], Skip::Nothing).await;
    assert_eq!((handled, outcome.is_ok(), kv.revision()), (0, true, 0));
}

#[tokio::test]
async fn missing_identifiers_are_named_as_upstream_names_them() {
    let (client, kv) = client();
    let cases = [
        (Kind::Node, NameSource::Arguments, "node"),
        (Kind::Node, NameSource::File, "name"),
        (Kind::Policy, NameSource::Arguments, "name"),
        (Kind::Profile, NameSource::File, "name"),
        (Kind::WorkloadEndpoint, NameSource::Arguments, "node"),
        (Kind::HostEndpoint, NameSource::File, "node"),
        (Kind::IpPool, NameSource::Arguments, "cidr"),
        (Kind::BgpPeer, NameSource::Arguments, "peerIP"),
    ];
    for (kind, from, word) in cases {
        let error = client.delete(kind, &Filter::default(), from).await.unwrap_err();
        assert_eq!(error.to_string(), format!("insufficient identifiers, missing '{word}'"), "{kind}");
        assert!(!error.is_absent());
        assert_eq!(error.hints(), [""; 0]);
    }
    let mut peer =
        document("{apiVersion: v1, kind: bgpPeer, metadata: {peerIP: 10.0.0.1}, spec: {asNumber: 1}}");
    let error = client.write(Write::Apply, &mut peer).await.unwrap_err();
    assert_eq!(error.to_string(), "insufficient identifiers, missing 'node'");
    assert_eq!(error.hints(), ["say the scope: global, or node with the node's name"]);
    assert_eq!(kv.revision(), 0);
}

#[tokio::test]
async fn filters_are_checked_like_the_fields_of_documents() {
    let (client, _) = client();
    let filter = Filter { workload: Some("a%2fb".to_owned()), ..Filter::default() };
    let text = "error with field workload = 'a%2fb'";
    let error = client.list(Kind::WorkloadEndpoint, &filter, &mut |_| {}).await.unwrap_err();
    assert_eq!(error.to_string(), text);
    // Before what is missing.
    let error = client.get(Kind::WorkloadEndpoint, &filter).await.unwrap_err();
    assert_eq!(error.to_string(), text);
    let error = client.delete(Kind::WorkloadEndpoint, &filter, NameSource::File).await.unwrap_err();
    assert_eq!(error.to_string(), text);
    assert!(client.check_filter(Kind::Policy, &named("a/b")).is_ok());
}

#[tokio::test]
async fn records_that_cannot_be_understood_are_told() {
    let (client, kv) = client();
    client.write(Write::Create, &mut policy("a")).await.unwrap();
    kv.put("/calico/v1/policy/tier/default/policy/b", "{broken", Precondition::None, None).await.unwrap();
    let skipped = "skipped /calico/v1/policy/tier/default/policy/b";
    assert_eq!(names(&client, Kind::Policy).await, ["Policy(name=a)", skipped]);
    let error = client.get(Kind::Policy, &named("b")).await.unwrap_err();
    assert_eq!(error.hints(), ["the record stands at /calico/v1/policy/tier/default/policy/b"]);
}

#[tokio::test]
async fn a_stale_revision_is_a_conflict() {
    let (client, _) = client();
    let mut endpoint = endpoint(", name: e");
    let first = client.write(Write::Create, &mut endpoint).await.unwrap().revision;
    let second = client.write_if(Write::Update, &mut endpoint, first).await.unwrap().revision;
    assert!(second > first);
    let id = "WorkloadEndpoint(node=n, orchestrator=o, workload=w, name=e)";
    let error = client.write_if(Write::Update, &mut endpoint, first).await.unwrap_err();
    assert_eq!(error.to_string(), format!("update conflict: '{id}'"));
    let identity = endpoint.identity().unwrap();
    let error = client.delete_if(&identity, first).await.unwrap_err();
    assert_eq!(error.to_string(), format!("update conflict: '{id}'"));
    client.delete_if(&identity, second).await.unwrap();
    let error = client.delete_if(&identity, second).await.unwrap_err();
    assert!(error.is_absent());
}

#[tokio::test]
async fn a_pool_that_breaks_todays_rules_can_be_deleted() {
    let (client, kv) = client();
    let key = "/calico/v1/ipam/v4/pool/169.254.0.0-16";
    kv.put(key, r#"{"cidr":"169.254.0.0/16"}"#, Precondition::None, None).await.unwrap();
    let identity = Identity::IpPool("169.254.0.0/16".parse().unwrap());
    client.delete_if(&identity, None).await.unwrap();
    assert_eq!(kv.get(key).await.unwrap(), None);
    // It was disabled first, so that nothing was assigned from it any more.
    assert_eq!(kv.revision(), 3);
    let error = client.delete_if(&identity, None).await.unwrap_err();
    assert_eq!(error.to_string(), "resource does not exist: IPPool(cidr=169.254.0.0/16)");
}

#[tokio::test]
async fn a_pool_that_is_disabled_already_is_just_deleted() {
    let (client, kv) = client();
    let mut pool = pool("10.0.0.0/16");
    let Resource::IpPool(inner) = &mut pool else { panic!("{pool:?}") };
    inner.spec.disabled = true;
    client.write(Write::Create, &mut pool).await.unwrap();
    let before = kv.revision();
    client.delete(Kind::IpPool, &pool.filter(), NameSource::Arguments).await.unwrap();
    assert_eq!(kv.revision(), before + 1);
}

#[tokio::test]
async fn one_record_can_be_read() {
    let (client, kv) = client();
    let key = margay_model::Key::FelixConfig { node: None, name: "ClusterType".to_owned() };
    assert_eq!(client.record(&key).await.unwrap(), None);
    kv.put("/calico/v1/config/ClusterType", "k8s", Precondition::None, None).await.unwrap();
    assert_eq!(client.record(&key).await.unwrap().as_deref(), Some("k8s"));
}

#[tokio::test]
async fn a_pool_is_deleted_by_the_revision_that_was_read() {
    let (client, kv) = client();
    let mut pool = pool("10.0.0.0/16");
    let first = client.write(Write::Create, &mut pool).await.unwrap().revision;
    let second = client.write(Write::Update, &mut pool).await.unwrap().revision;
    let identity = pool.identity().unwrap();
    let before = kv.revision();
    let error = client.delete_if(&identity, first).await.unwrap_err();
    assert_eq!(error.to_string(), "update conflict: 'IPPool(cidr=10.0.0.0/16)'");
    assert_eq!(kv.revision(), before, "it was not disabled either");
    client.delete_if(&identity, second).await.unwrap();
    assert_eq!(names(&client, Kind::IpPool).await, [""; 0]);
}

#[test]
fn what_is_half_done_says_so_beside_upstreams_text() {
    let cause = Error::Conflict { id: "IPPool(cidr=10.0.0.0/16)".to_owned() };
    let cause = Box::new(ClientError::Store(cause));
    let error = ClientError::HalfDone { cause, done: "the pool is disabled, but still there" };
    assert_eq!(error.to_string(), "update conflict: 'IPPool(cidr=10.0.0.0/16)'");
    assert_eq!(error.hints(), ["the pool is disabled, but still there; repeat the command to finish"]);
    let cause = Box::new(Error::Unauthorized);
    let error = ClientError::Store(Error::Incomplete { cause, left: vec!["/a".to_owned(), "/b".to_owned()] });
    assert_eq!(error.to_string(), "connection is unauthorized");
    assert_eq!(error.hints()[0], "left half done: /a, /b");
}

/// A block of `10.0.0.0/26` claimed by `n`, whose first address is that of `w`'s endpoint `e`.
async fn assigned(client: &Client<AnyStore>, kv: &MemoryKv) {
    let mut endpoint = document(
        "{apiVersion: v1, kind: workloadEndpoint, metadata: {node: n, orchestrator: o, workload: w, name: e}, \
         spec: {interfaceName: cali0, ipNetworks: [10.0.0.0/32]}}",
    );
    client.write(Write::Create, &mut endpoint).await.unwrap();
    let free: Vec<String> = (1..64).map(|ordinal| ordinal.to_string()).collect();
    let block = format!(
        r#"{{"cidr":"10.0.0.0/26","affinity":"host:n","strictAffinity":false,"allocations":[0{}],"unallocated":[{}],"attributes":[{{"handle_id":"h","secondary":null}}]}}"#,
        ",null".repeat(63),
        free.join(",")
    );
    for (key, value) in [
        ("/calico/ipam/v2/assignment/ipv4/block/10.0.0.0-26", block.as_str()),
        ("/calico/ipam/v2/host/n/ipv4/block/10.0.0.0-26", "{}"),
        ("/calico/ipam/v2/handle/h", r#"{"block":{"10.0.0.0/26":1}}"#),
    ] {
        kv.put(key, value, Precondition::None, None).await.unwrap();
    }
}

async fn keys(kv: &MemoryKv, prefix: &str) -> Vec<String> {
    let mut keys = Vec::new();
    kv.list(prefix, &mut |entry| keys.push(entry.key.to_owned())).await.unwrap();
    keys
}

#[tokio::test]
async fn a_deleted_node_gives_its_addresses_and_blocks_back() {
    let (client, kv) = client();
    assigned(&client, &kv).await;
    let mut node = document("{apiVersion: v1, kind: node, metadata: {name: n}}");
    client.write(Write::Create, &mut node).await.unwrap();
    client.delete(Kind::Node, &named("n"), NameSource::Arguments).await.unwrap();
    assert_eq!(keys(&kv, "/calico").await, ["/calico/v1/Ready", "/calico/v1/config/ClusterGUID"]);
    let error = client.delete(Kind::Node, &named("n"), NameSource::Arguments).await.unwrap_err();
    assert_eq!(error.to_string(), "resource does not exist: Node(name=n)");
}

#[tokio::test]
async fn a_node_stays_when_its_addresses_cannot_be_released() {
    let (client, kv) = client();
    assigned(&client, &kv).await;
    let block = "/calico/ipam/v2/assignment/ipv4/block/10.0.0.0-26";
    kv.put(block, "{broken", Precondition::None, None).await.unwrap();
    let before = keys(&kv, "/calico").await;
    let error = client.delete(Kind::Node, &named("n"), NameSource::File).await.unwrap_err();
    assert!(matches!(error, ClientError::Ipam(_)), "{error}");
    assert_eq!(keys(&kv, "/calico").await, before);
    kv.delete(block, Precondition::None).await.unwrap();
    client.delete(Kind::Node, &named("n"), NameSource::File).await.unwrap();
}

#[tokio::test]
async fn a_deleted_pool_gives_its_blocks_back_and_keeps_addresses_in_use() {
    let (client, kv) = client();
    assigned(&client, &kv).await;
    client.write(Write::Create, &mut pool("10.0.0.0/16")).await.unwrap();
    client.delete(Kind::IpPool, &pool("10.0.0.0/16").filter(), NameSource::Arguments).await.unwrap();
    assert_eq!(keys(&kv, "/calico/v1/ipam").await, [""; 0]);
    assert_eq!(keys(&kv, "/calico/ipam/v2/host").await, [""; 0]);
    let block = kv.get("/calico/ipam/v2/assignment/ipv4/block/10.0.0.0-26").await.unwrap().unwrap();
    assert!(block.value.contains(r#""affinity":null"#), "{}", block.value);
}
