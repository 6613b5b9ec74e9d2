//! Typed resources on a real etcd: the suite that every datastore passes.

use std::sync::Arc;

use margay_store::Flat;
use margay_store_etcd::EtcdKv;
use margay_testkit::etcd::Etcd;

margay_testkit::datastore_suite!(open);

async fn open(_case: &str) -> Option<(Flat<EtcdKv>, Etcd)> {
    if !Etcd::available() {
        return None;
    }
    let etcd = Etcd::start();
    Some((Flat::new(crate::store(&etcd.client_urls()), Arc::new(|| [7; 16])), etcd))
}
