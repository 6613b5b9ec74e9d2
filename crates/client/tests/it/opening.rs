//! What opening accepts and refuses.

use margay_client::{Client, OpenError, open, open_existing};
use margay_store::kv::{Kv as _, Precondition};

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
