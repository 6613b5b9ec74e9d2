use std::future::Future as _;
use std::io::{Cursor, Write};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use margay_store::MemoryKv;
use margay_store::kv::{
    Entry, EntryRef, Kv, KvError, Listing, Precondition, Put, Result as KvResult, Revision,
};
use margay_store_sqlite::SqliteKv;

use super::{Exported, Imported, Options, Progress, TransferError, copy, export, import};

/// A store with some of everything: nested keys, odd texts, keys that expire, keys of others.
async fn filled(policies: usize) -> MemoryKv {
    let kv = MemoryKv::new();
    let mut pairs = vec![
        ("/calico/v1/Ready".to_owned(), "true".to_owned()),
        ("/calico/v1/config/LogPrefix".to_owned(), "\"\\\n\u{1}ü\u{2028}".to_owned()),
        ("/calico/v1/host/n1/metadata".to_owned(), "{}".to_owned()),
        ("/calico/v1/policy/profile/a%2fb/tags".to_owned(), "[]".to_owned()),
        ("/calico/felix/v1/host/n1/status".to_owned(), "{}".to_owned()),
        ("/calico/felix/v1/host/n1/last_reported_status".to_owned(), "{}".to_owned()),
        ("/calico/openstack/v1/neutron_election".to_owned(), "host:1".to_owned()),
        ("/calico/of/nobody/we/know".to_owned(), String::new()),
    ];
    for number in 0..policies {
        let key = format!("/calico/v1/policy/tier/default/policy/p{number:05}");
        pairs.push((key, format!("{{\"order\":{number}}}")));
    }
    for (key, value) in pairs {
        kv.put(&key, &value, Precondition::None, None).await.unwrap();
    }
    kv.put("/elsewhere", "not ours", Precondition::None, None).await.unwrap();
    kv
}

async fn values<K: Kv>(kv: &K) -> Vec<(String, String)> {
    let mut values = Vec::new();
    kv.list("/calico", &mut |entry| values.push((entry.key.to_owned(), entry.value.to_owned())))
        .await
        .unwrap();
    values
}

/// What a target holds afterwards: everything but what expires.
fn kept(values: Vec<(String, String)>) -> Vec<(String, String)> {
    values.into_iter().filter(|(key, _)| !super::expires(key)).collect()
}

async fn exported(kv: &MemoryKv) -> String {
    let mut out = Vec::new();
    export(kv, &mut out).await.unwrap();
    String::from_utf8(out).unwrap()
}

async fn imported<K: Kv>(text: &str, target: &K, options: Options) -> Result<Imported, TransferError> {
    import(&mut Cursor::new(text.as_bytes()), target, options, &mut |_| {}).await
}

fn quiet() -> impl FnMut(Progress) + Send {
    |_| {}
}

#[tokio::test]
async fn an_export_is_lines_between_header_and_count() {
    let kv = MemoryKv::new();
    for (key, value) in
        [("/calico/v1/Ready", "true"), ("/calico/felix/v1/host/n/status", "{\"a\":1}"), ("/other", "x")]
    {
        kv.put(key, value, Precondition::None, None).await.unwrap();
    }
    let mut out = Vec::new();
    assert_eq!(export(&kv, &mut out).await.unwrap(), Exported { keys: 2, revision: 3 });
    assert_eq!(
        String::from_utf8(out).unwrap(),
        "{\"format\":\"margay-datastore\",\"version\":1,\"root\":\"/calico\"}\n\
         {\"key\":\"/calico/felix/v1/host/n/status\",\"value\":\"{\\\"a\\\":1}\",\"expires\":true}\n\
         {\"key\":\"/calico/v1/Ready\",\"value\":\"true\"}\n\
         {\"end\":true,\"keys\":2,\"revision\":3}\n"
    );
}

#[tokio::test]
async fn everything_survives_memory_to_sqlite_to_memory() {
    let source = filled(1500).await;
    let directory = tempfile::tempdir().unwrap();
    let sqlite =
        SqliteKv::open(&directory.path().join("d.db"), margay_store_sqlite::Options::default()).unwrap();
    let mut spool = tempfile::tempfile().unwrap();
    let done = copy(&source, &sqlite, &mut spool, Options::default(), &mut quiet()).await.unwrap();
    assert_eq!(done, Imported { keys: 1508, added: 1506, expiring: 2, ..Imported::default() });
    let back = MemoryKv::new();
    let mut spool = tempfile::tempfile().unwrap();
    let done = copy(&sqlite, &back, &mut spool, Options::default(), &mut quiet()).await.unwrap();
    assert_eq!(done, Imported { keys: 1506, added: 1506, ..Imported::default() });
    assert_eq!(values(&back).await, kept(values(&source).await));
}

#[tokio::test]
async fn an_empty_store_can_be_moved() {
    let target = MemoryKv::new();
    let done = imported(&exported(&MemoryKv::new()).await, &target, Options::default()).await.unwrap();
    assert_eq!(done, Imported::default());
    assert_eq!(values(&target).await, []);
}

#[tokio::test]
async fn a_file_cut_anywhere_writes_nothing() {
    let text = exported(&filled(3).await).await;
    // Without the last newline alone the file is whole.
    for length in (0..text.len() - 1).filter(|length| text.is_char_boundary(*length)) {
        let target = MemoryKv::new();
        let error = imported(&text[..length], &target, Options::default()).await.unwrap_err();
        assert!(
            matches!(error, TransferError::Truncated { .. } | TransferError::Format { line: 1, .. }),
            "{length}: {error}"
        );
        assert_eq!(target.revision(), 0, "{length}");
    }
    imported(&text[..text.len() - 1], &MemoryKv::new(), Options::default()).await.unwrap();
}

#[tokio::test]
async fn a_faulty_file_writes_nothing_and_names_the_line() {
    let header = "{\"format\":\"margay-datastore\",\"version\":1,\"root\":\"/calico\"}\n";
    let entry = "{\"key\":\"/calico/a\",\"value\":\"\"}\n";
    let end = |keys: u64| format!("{{\"end\":true,\"keys\":{keys},\"revision\":1}}\n");
    let newer = header.replace("\"version\":1", "\"version\":2");
    for (text, message) in [
        (String::new(), "line 1 of the export: the file is empty"),
        (
            "kind: policy\n".to_owned(),
            "line 1 of the export: this is no export of a datastore: the header is missing",
        ),
        (newer, "line 1 of the export: the export was written by a newer Margay"),
        (
            format!("{header}{entry}{}", end(2)),
            "line 3 of the export: the end counts 2 keys, but 1 are there",
        ),
        (
            format!("{header}{entry}{entry}{}", end(2)),
            "line 3 of the export: the key /calico/a stands in the file twice",
        ),
        (
            format!("{header}nonsense\n{entry}{}", end(1)),
            "line 2 of the export: the line is neither a key with its value nor the end",
        ),
        (
            format!("{header}{}\n{}", r#"{"key":"/calico/../x","value":""}"#, end(1)),
            "line 2 of the export: the key is not one below /calico",
        ),
        (
            format!("{header}{}\n{}", r#"{"key":"/calicos/x","value":""}"#, end(1)),
            "line 2 of the export: the key is not one below /calico",
        ),
        (
            format!("{header}{entry}{}{entry}", end(1)),
            "line 4 of the export: something stands behind the end",
        ),
        (format!("{header}{entry}"), "the export is cut short behind key 1"),
    ] {
        let target = MemoryKv::new();
        let error = imported(&text, &target, Options { overwrite: true }).await.unwrap_err();
        assert_eq!(error.to_string(), message, "{text}");
        assert_eq!(target.revision(), 0, "{text}");
    }
}

#[tokio::test]
async fn other_values_in_the_target_are_kept_unless_overwriting_is_asked_for() {
    let source = filled(1).await;
    let text = exported(&source).await;
    let target = MemoryKv::new();
    for (key, value) in [("/calico/v1/host/n1/metadata", "{\"x\":1}"), ("/calico/only/here", "y")] {
        target.put(key, value, Precondition::None, None).await.unwrap();
    }
    let before = target.revision();
    let error = imported(&text, &target, Options::default()).await.unwrap_err();
    assert_eq!(error.to_string(), "1 keys have another value in the target: /calico/v1/host/n1/metadata");
    assert_eq!(target.revision(), before);
    let done = imported(&text, &target, Options { overwrite: true }).await.unwrap();
    let wanted = Imported { keys: 9, added: 6, replaced: 1, expiring: 2, others: 1, ..Imported::default() };
    assert_eq!(done, wanted);
    assert_eq!(target.get("/calico/only/here").await.unwrap().unwrap().value, "y");
}

#[tokio::test]
async fn a_second_import_writes_nothing() {
    let text = exported(&filled(700).await).await;
    let target = MemoryKv::new();
    imported(&text, &target, Options::default()).await.unwrap();
    let before = target.revision();
    let done = imported(&text, &target, Options::default()).await.unwrap();
    assert_eq!(done, Imported { keys: 708, unchanged: 706, expiring: 2, ..Imported::default() });
    assert_eq!(target.revision(), before);
}

#[tokio::test]
async fn an_interrupted_import_is_finished_by_the_next_and_ready_comes_last() {
    let source = filled(1300).await;
    let text = exported(&source).await;
    for allowed in [0, 1, 5, 511, 512, 513, 1305] {
        let target = Failing::after(allowed);
        let error = imported(&text, &target, Options::default()).await.unwrap_err();
        assert!(matches!(error, TransferError::Store { .. }), "{allowed}: {error}");
        let left = values(&target.kv).await;
        assert_eq!(left.len(), allowed);
        assert!(left.iter().all(|(key, _)| key != "/calico/v1/Ready"), "{allowed}");
        let done = imported(&text, &target.kv, Options::default()).await.unwrap();
        let allowed = allowed as u64;
        let wanted = Imported {
            keys: 1308,
            added: 1306 - allowed,
            unchanged: allowed,
            expiring: 2,
            ..Imported::default()
        };
        assert_eq!(done, wanted);
        assert_eq!(values(&target.kv).await, kept(values(&source).await));
    }
}

#[tokio::test]
async fn a_value_that_comes_between_stops_the_import() {
    let text = exported(&filled(3).await).await;
    let target = Failing { meddle: true, ..Failing::after(usize::MAX) };
    let error = imported(&text, &target, Options::default()).await.unwrap_err();
    assert_eq!(error.to_string(), "writing /calico/of/nobody/we/know");
    assert_eq!(error.hint().as_deref(), Some("something else writes to the target; run it again"));
    assert_eq!(target.kv.get("/calico/of/nobody/we/know").await.unwrap().unwrap().value, "mine");
}

#[tokio::test]
async fn a_target_that_loses_writes_is_found_out() {
    let text = exported(&filled(3).await).await;
    let target = Failing { forget: true, ..Failing::after(usize::MAX) };
    let error = imported(&text, &target, Options::default()).await.unwrap_err();
    let TransferError::Unverified { count, keys } = error else { panic!("{error}") };
    assert_eq!((count, keys.len()), (8, 8));
    assert!(target.kv.get("/calico/v1/Ready").await.unwrap().is_none());
}

#[tokio::test]
async fn what_changes_in_the_source_meanwhile_is_counted() {
    let source = filled(3).await;
    let target = MemoryKv::new();
    let mut spool = Meddling { spool: Cursor::new(Vec::new()), source: source.clone() };
    let done = copy(&source, &target, &mut spool, Options::default(), &mut quiet()).await.unwrap();
    // One changed, one new, one gone.
    assert_eq!(done.stale, 3);
}

#[tokio::test]
async fn a_full_disk_is_an_error_of_the_export() {
    struct Full;
    impl Write for Full {
        fn write(&mut self, _: &[u8]) -> std::io::Result<usize> {
            Err(std::io::Error::from(std::io::ErrorKind::StorageFull))
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let error = export(&filled(3).await, &mut Full).await.unwrap_err();
    assert!(matches!(error, TransferError::Write(_)), "{error}");
}

#[tokio::test]
async fn progress_only_grows_and_ends_with_the_total() {
    let text = exported(&filled(1500).await).await;
    let mut seen = Vec::new();
    let mut note = |progress: Progress| seen.push(progress);
    import(&mut Cursor::new(text.as_bytes()), &MemoryKv::new(), Options::default(), &mut note).await.unwrap();
    assert!(seen.len() > 2, "{seen:?}");
    assert!(seen.is_sorted_by_key(|progress| progress.done), "{seen:?}");
    assert_eq!(seen.last(), Some(&Progress { done: 1508, total: 1508 }));
}

/// A target that fails, forgets, or is written to by somebody else.
struct Failing {
    kv: MemoryKv,
    /// How many writes succeed.
    allowed: AtomicUsize,
    /// Reports writes that it does not do.
    forget: bool,
    /// Before the first write, somebody else writes.
    meddle: bool,
}

impl Failing {
    fn after(allowed: usize) -> Self {
        Self { kv: MemoryKv::new(), allowed: AtomicUsize::new(allowed), forget: false, meddle: false }
    }
}

impl Kv for Failing {
    type Watch = <MemoryKv as Kv>::Watch;

    async fn get(&self, key: &str) -> KvResult<Option<Entry>> {
        self.kv.get(key).await
    }

    async fn list(&self, prefix: &str, visit: &mut (dyn FnMut(EntryRef<'_>) + Send)) -> KvResult<Listing> {
        self.kv.list(prefix, visit).await
    }

    async fn children(&self, directory: &str) -> KvResult<Vec<String>> {
        self.kv.children(directory).await
    }

    async fn directory_exists(&self, directory: &str) -> KvResult<bool> {
        self.kv.directory_exists(directory).await
    }

    async fn put(
        &self,
        key: &str,
        value: &str,
        when: Precondition,
        ttl: Option<Duration>,
    ) -> KvResult<Revision> {
        if self.forget {
            return Ok(Revision::new(1).unwrap());
        }
        if self.meddle {
            self.kv.put("/calico/of/nobody/we/know", "mine", Precondition::None, None).await?;
        }
        let left = self.allowed.load(Ordering::SeqCst);
        if left == 0 {
            return Err(KvError::Unavailable { message: "gone".to_owned() });
        }
        self.allowed.store(left - 1, Ordering::SeqCst);
        self.kv.put(key, value, when, ttl).await
    }

    async fn put_all(&self, puts: &[Put]) -> (usize, KvResult<()>) {
        for (written, put) in puts.iter().enumerate() {
            if let Err(error) = self.put(&put.key, &put.value, put.when, None).await {
                return (written, Err(error));
            }
        }
        (puts.len(), Ok(()))
    }

    async fn delete(&self, key: &str, when: Precondition) -> KvResult<()> {
        self.kv.delete(key, when).await
    }

    async fn make_directory(&self, directory: &str) -> KvResult<()> {
        self.kv.make_directory(directory).await
    }

    async fn remove_empty_directory(&self, directory: &str) -> KvResult<bool> {
        self.kv.remove_empty_directory(directory).await
    }

    async fn watch(&self, prefix: &str, after: u64) -> KvResult<Self::Watch> {
        self.kv.watch(prefix, after).await
    }
}

/// A spool during whose first reading the source changes.
struct Meddling {
    spool: Cursor<Vec<u8>>,
    source: MemoryKv,
}

impl std::io::Read for Meddling {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        use std::task::{Context, Poll, Waker};
        let source = self.source.clone();
        let mut change = std::pin::pin!(async move {
            let put = |key: &'static str| source.put(key, "changed", Precondition::None, None);
            put("/calico/v1/host/n1/metadata").await.unwrap();
            put("/calico/v1/new").await.unwrap();
            match source.delete("/calico/of", Precondition::None).await {
                Ok(()) | Err(KvError::NotFound { .. }) => {}
                Err(error) => panic!("{error}"),
            }
        });
        // The store in memory never waits.
        assert!(matches!(change.as_mut().poll(&mut Context::from_waker(Waker::noop())), Poll::Ready(())));
        self.spool.read(buffer)
    }
}

impl Write for Meddling {
    fn write(&mut self, buffer: &[u8]) -> std::io::Result<usize> {
        self.spool.write(buffer)
    }
    fn flush(&mut self) -> std::io::Result<()> {
        self.spool.flush()
    }
}

impl std::io::Seek for Meddling {
    fn seek(&mut self, position: std::io::SeekFrom) -> std::io::Result<u64> {
        self.spool.seek(position)
    }
}
