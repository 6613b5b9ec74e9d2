//! What opening accepts and refuses.

use margay_client::transfer::{Imported, Options, copy};
use margay_client::{Client, OpenError, open, open_existing};
use margay_store::kv::{EntryRef, Kv as _, Precondition};
use margay_testkit::etcd::Etcd;

#[tokio::test]
async fn the_embedded_datastore_keeps_what_is_written() {
    let directory = tempfile::tempdir().unwrap();
    let settings = crate::embedded(&directory.path().join("new/d.db"));
    let store = open(&settings, crate::random()).unwrap();
    Client::new(store, crate::random()).set_config("asNumber", "64999", None, None).await.unwrap();
    let store = open_existing(&settings, crate::random()).unwrap();
    let client = Client::new(store, crate::random());
    assert_eq!(client.get_config("asNumber", None, None).await.unwrap(), "64999");
}

#[test]
fn a_datastore_to_read_from_is_not_made() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("d.db");
    let error = open_existing(&crate::embedded(&file), crate::random()).err().unwrap();
    assert_eq!(error.to_string(), format!("no datastore at {}", file.display()));
    assert!(error.hint().is_some());
    assert!(!file.exists());
}

#[test]
fn what_cannot_be_opened_is_refused_in_upstreams_words() {
    let opened =
        |variables: &[(&str, &str)]| open(&crate::settings(variables), crate::random()).err().unwrap();
    assert_eq!(opened(&[("DATASTORE_TYPE", "consul")]).to_string(), "Unknown datastore type: consul");
    let none = opened(&[("DATASTORE_TYPE", "etcdv2"), ("ETCD_AUTHORITY", "")]);
    assert_eq!(none.to_string(), "no etcd authority or endpoints specified");
    let kubernetes = opened(&[("DATASTORE_TYPE", "kubernetes")]);
    assert_eq!(kubernetes.to_string(), "this build has no kubernetes datastore");
    assert_eq!(kubernetes.hint().as_deref(), Some("set the datastore type to etcdv2 or sqlite"));
}

#[test]
fn a_file_that_is_no_database_is_refused_with_its_path() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("d.db");
    std::fs::write(&file, "apiVersion: v1\n".repeat(500)).unwrap();
    let error = open(&crate::embedded(&file), crate::random()).err().unwrap();
    assert!(matches!(error, OpenError::Store(_)), "{error}");
    assert!(error.to_string().contains(file.to_str().unwrap()), "{error}");
}

#[tokio::test]
async fn the_keyspace_of_a_store_is_the_one_it_works_on() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(&crate::embedded(&directory.path().join("d.db")), crate::random()).unwrap();
    store.kv().put("/calico/v1/config/X", "y", Precondition::None, None).await.unwrap();
    let client = Client::new(store, crate::random());
    assert_eq!(client.get_config("X", None, Some("felix")).await.unwrap(), "y");
}

/// The settings of `margay` for this etcd.
fn etcd(endpoints: &str) -> margay_client::Settings {
    crate::settings(&[("ETCD_ENDPOINTS", endpoints)])
}

#[tokio::test]
async fn an_etcd_that_is_not_there_shows_at_the_first_request() {
    let client = Client::new(open(&etcd("http://127.0.0.1:1"), crate::random()).unwrap(), crate::random());
    let error = client.get_config("ipip", None, None).await.unwrap_err();
    assert!(
        error.to_string().starts_with("client: etcd cluster is unavailable or misconfigured; error #0: "),
        "{error}"
    );
    assert!(error.hint().is_some());
}

#[test]
fn settings_of_etcd_that_are_no_good_are_refused_at_once() {
    let error =
        |variables: &[(&str, &str)]| open(&crate::settings(variables), crate::random()).err().unwrap();
    let endpoint = error(&[("ETCD_ENDPOINTS", "http://a:1,http://b:0")]);
    assert!(endpoint.to_string().contains("http://b:0"), "{endpoint}");
    assert!(endpoint.hint().is_some());
    let half = error(&[("ETCD_ENDPOINTS", "https://a:1"), ("ETCD_CERT_FILE", "/c")]);
    assert_eq!(half.to_string(), "KeyFile and CertFile must both be present[key: , cert: /c]");
    let unreadable = error(&[("ETCD_ENDPOINTS", "https://a:1"), ("ETCD_CA_CERT_FILE", "/nonexistent/ca")]);
    assert_eq!(unreadable.to_string(), "open /nonexistent/ca: no such file or directory");
}

#[tokio::test]
async fn a_datastore_moves_from_a_file_to_etcd_and_back() {
    if !Etcd::available() {
        return;
    }
    let server = Etcd::start();
    let directory = tempfile::tempdir().unwrap();
    let file = |name: &str| crate::embedded(&directory.path().join(name));
    let source = open(&file("a.db"), crate::random()).unwrap();
    for number in 0..1200 {
        let key = format!("/calico/v1/policy/profile/p%2f{number}/tags");
        source.kv().put(&key, &format!("[\"ü{number}\"]"), Precondition::None, None).await.unwrap();
    }
    source.kv().put("/calico/v1/Ready", "true", Precondition::None, None).await.unwrap();
    let middle = open(&etcd(&server.client_url()), crate::random()).unwrap();
    let target = open(&file("b.db"), crate::random()).unwrap();
    for (from, to) in [(&source, &middle), (&middle, &target)] {
        let mut spool = tempfile::tempfile().unwrap();
        let moved = copy(&from.kv(), &to.kv(), &mut spool, Options::default(), &mut |_| {}).await.unwrap();
        assert_eq!(moved, Imported { keys: 1201, added: 1201, ..Imported::default() });
    }
    assert_eq!(server.get("/calico/v1/Ready").as_deref(), Some("true"));
    assert_eq!(values(&target).await, values(&source).await);
    let mut spool = tempfile::tempfile().unwrap();
    let again = copy(&source.kv(), &middle.kv(), &mut spool, Options::default(), &mut |_| {}).await.unwrap();
    assert_eq!(again, Imported { keys: 1201, unchanged: 1201, ..Imported::default() });
}

async fn values(store: &margay_client::AnyStore) -> Vec<(String, String)> {
    let mut values = Vec::new();
    let mut visit = |entry: EntryRef<'_>| values.push((entry.key.to_owned(), entry.value.to_owned()));
    store.kv().list("/calico", &mut visit).await.unwrap();
    values
}
