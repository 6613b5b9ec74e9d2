//! `MemoryKv` under the suite that every store passes.

use margay_store::MemoryKv;

async fn open(_case: &str) -> Option<(MemoryKv, ())> {
    Some((MemoryKv::new(), ()))
}

margay_testkit::kv_suite!(open);
