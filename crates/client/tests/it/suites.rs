//! The suites, through [`AnyStore`] and [`AnyKv`].

mod datastore {
    use margay_client::{AnyStore, open};
    use tempfile::TempDir;

    async fn opened(_case: &str) -> Option<(AnyStore, TempDir)> {
        let directory = tempfile::tempdir().unwrap();
        let store = open(&crate::embedded(&directory.path().join("d.db")), crate::random()).unwrap();
        Some((store, directory))
    }

    margay_testkit::datastore_suite!(opened);
}

mod kv {
    use margay_client::{AnyKv, AnyStore, open};
    use tempfile::TempDir;

    async fn opened(_case: &str) -> Option<(AnyKv<'static>, TempDir)> {
        let directory = tempfile::tempdir().unwrap();
        let store = open(&crate::embedded(&directory.path().join("d.db")), crate::random()).unwrap();
        // The suite wants a store of its own; each case is a process.
        let store: &'static AnyStore = Box::leak(Box::new(store));
        Some((store.kv(), directory))
    }

    margay_testkit::kv_suite!(opened);
}

mod memory {
    use margay_client::AnyStore;
    use margay_store::MemoryKv;

    async fn opened(_case: &str) -> Option<(AnyStore, ())> {
        Some((AnyStore::memory(MemoryKv::new(), crate::random()), ()))
    }

    margay_testkit::datastore_suite!(opened);
}
