//! `Flat` over memory under the suite that every datastore with all verbs passes.

use std::sync::Arc;

use margay_store::{Flat, MemoryKv};

async fn open(_case: &str) -> Option<(Flat<MemoryKv>, ())> {
    Some((Flat::new(MemoryKv::new(), Arc::new(|| [0xab; 16])), ()))
}

margay_testkit::datastore_suite!(open);
