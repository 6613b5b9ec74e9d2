//! The etcd store against real servers, and against one that misbehaves to order.

#![expect(clippy::unwrap_used, reason = "the helpers of tests are tests")]

mod auth;
mod datastore;
mod fake;
mod keeping_on;
mod misbehaviour;
mod tls;
mod watching;

use std::time::Duration;

use margay_store_etcd::{EtcdConfig, EtcdKv, Options};
use margay_testkit::etcd::Etcd;

margay_testkit::kv_suite!(open);

async fn open(_case: &str) -> Option<(EtcdKv, Etcd)> {
    if !Etcd::available() {
        return None;
    }
    let etcd = Etcd::start();
    Some((store(&etcd.client_urls()), etcd))
}

/// Deadlines for servers that never answer, so that tests need not wait for them.
fn impatient() -> Options {
    Options {
        dial: Duration::from_secs(5),
        head: Duration::from_secs(1),
        body: Duration::from_secs(1),
        ..Options::default()
    }
}

fn config(urls: &[String]) -> EtcdConfig {
    EtcdConfig { endpoints: urls.to_vec(), ..EtcdConfig::default() }
}

fn store(urls: &[String]) -> EtcdKv {
    EtcdKv::new(&config(urls)).expect("a good configuration")
}
