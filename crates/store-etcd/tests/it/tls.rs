//! TLS: whom we believe, who we are, and what is said when it does not work.

use std::path::Path;

use margay_store::Kv;
use margay_store::kv::{KvError, Precondition, Watch};
use margay_store_etcd::{ConfigError, EtcdConfig, EtcdKv};
use margay_testkit::etcd::Etcd;

use crate::config;

fn text(path: &Path) -> String {
    path.display().to_string()
}

fn with_certificates(etcd: &Etcd) -> EtcdConfig {
    EtcdConfig {
        ca_cert_file: text(&etcd.tls().ca),
        cert_file: text(&etcd.tls().cert),
        key_file: text(&etcd.tls().key),
        ..config(&etcd.client_urls())
    }
}

fn first_failure(error: KvError) -> String {
    let KvError::Unavailable { message } = error else { panic!("{error:?}") };
    message.split_once("error #0: ").unwrap().1.trim_end().to_owned()
}

#[tokio::test]
async fn both_sides_prove_who_they_are() {
    if !Etcd::tls_available() {
        return;
    }
    let etcd = Etcd::start_tls();
    let good = with_certificates(&etcd);
    let kv = EtcdKv::new(&good).unwrap();
    let written = kv.put("/a", "x", Precondition::Absent, None).await.unwrap();
    assert_eq!(etcd.get("/a").as_deref(), Some("x"));
    let mut watch = kv.watch("/a", written.get()).await.unwrap();
    etcd.put("/a", "y");
    assert_eq!(watch.next().await.unwrap().len(), 1);

    let stranger = EtcdConfig { ca_cert_file: text(&etcd.tls().other_ca), ..good.clone() };
    let error = EtcdKv::new(&stranger).unwrap().get("/a").await.unwrap_err();
    assert_eq!(first_failure(error), "x509: certificate signed by unknown authority");

    let nameless = EtcdConfig { cert_file: String::new(), key_file: String::new(), ..good.clone() };
    let error = EtcdKv::new(&nameless).unwrap().get("/a").await.unwrap_err();
    assert!(first_failure(error).contains("remote error: tls: "));

    let plain = EtcdConfig { endpoints: vec![etcd.client_url().replace("https", "http")], ..good.clone() };
    let error = EtcdKv::new(&plain).unwrap().get("/a").await.unwrap_err();
    assert!(matches!(error, KvError::Server(_) | KvError::Unavailable { .. }), "{error:?}");
}

#[tokio::test]
async fn files_that_are_no_good_are_named_before_anything_is_sent() {
    if !Etcd::tls_available() {
        return;
    }
    let etcd = Etcd::start_tls();
    let good = with_certificates(&etcd);
    let refused = |config: EtcdConfig| EtcdKv::new(&config).unwrap_err();
    let no_such = "/no/such/file.pem";

    for config in [
        EtcdConfig { ca_cert_file: no_such.to_owned(), ..good.clone() },
        EtcdConfig { cert_file: no_such.to_owned(), ..good.clone() },
        EtcdConfig { key_file: no_such.to_owned(), ..good.clone() },
        // Upstream reads them for plain HTTP, too.
        EtcdConfig { key_file: no_such.to_owned(), endpoints: vec!["http://x".to_owned()], ..good.clone() },
    ] {
        assert_eq!(refused(config).to_string(), "open /no/such/file.pem: no such file or directory");
    }
    let half = refused(EtcdConfig { cert_file: String::new(), key_file: "K".to_owned(), ..good.clone() });
    assert_eq!(half.to_string(), "KeyFile and CertFile must both be present[key: K, cert: ]");

    let (key, cert) = (good.key_file.clone(), good.cert_file.clone());
    let swapped = refused(EtcdConfig { cert_file: key.clone(), key_file: cert.clone(), ..good.clone() });
    assert_eq!(swapped.to_string(), format!("{key}: no PEM certificate in it"));
    let no_key = refused(EtcdConfig { key_file: cert.clone(), ..good.clone() });
    assert_eq!(no_key.to_string(), format!("{cert}: no PEM private key in it"));
    let other = refused(EtcdConfig { cert_file: good.ca_cert_file.clone(), ..good.clone() });
    assert!(matches!(&other, ConfigError::BadFile { path, .. } if *path == good.ca_cert_file), "{other:?}");
}
