//! The datastore of a test: a real etcd, or the embedded one.

use std::collections::BTreeMap;

use margay_store::kv::{EntryRef, Kv as _, KvError, Precondition};
use margay_store_sqlite::{Options, SqliteKv};
use margay_testkit::etcd::Etcd;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::host::shell;

/// A datastore, written and read from outside.
pub(crate) enum Store {
    /// A real etcd; not up = somebody killed it.
    Etcd {
        /// The server.
        etcd: Box<Etcd>,
        /// It runs.
        up: bool,
    },
    /// A file.
    Embedded {
        /// Where it is.
        folder: TempDir,
        /// It can be opened.
        up: bool,
    },
}

// === impl Store ===

impl Store {
    /// Starts an etcd.
    pub(crate) fn etcd() -> Self {
        Self::Etcd { etcd: Box::new(Etcd::start()), up: true }
    }

    /// Makes an embedded datastore.
    pub(crate) fn embedded() -> Self {
        Self::Embedded { folder: TempDir::with_prefix("margay-store-").expect("a folder"), up: true }
    }

    /// Makes an embedded datastore on a disk of its own, of one mebibyte. The test that does is enclosed.
    pub(crate) fn on_small_disk() -> Self {
        let store = Self::embedded();
        let Self::Embedded { folder, .. } = &store else { unreachable!("it is embedded") };
        shell(&format!("mount -t tmpfs -o size=1m tmpfs {}", folder.path().display()));
        store
    }

    /// Fills the disk, or makes room again.
    pub(crate) fn fill_disk(&self, full: bool) {
        let Self::Embedded { folder, .. } = self else {
            unreachable!("only an embedded one has a disk here")
        };
        let file = folder.path().join("filler").display().to_string();
        // Writing ends when there is no room left.
        let line = format!("dd if=/dev/zero of={file} bs=1k 2>/dev/null || true");
        shell(if full { &line } else { "true" });
        if !full {
            std::fs::remove_file(file).expect("the filler");
        }
    }

    /// A datastore that is ready and has one pool.
    pub(crate) fn with_pool(self, cidr: &str) -> Self {
        self.put("/calico/v1/Ready", "true");
        let family = if cidr.contains(':') { "v6" } else { "v4" };
        let pool = json!({
            "cidr": cidr, "ipip": "", "ipip_mode": "", "masquerade": true, "ipam": true, "disabled": false
        });
        let key = format!("/calico/v1/ipam/{family}/pool/{}", cidr.replace('/', "-"));
        self.put(&key, &pool.to_string());
        self
    }

    /// What a network configuration says of it.
    pub(crate) fn settings(&self) -> Value {
        match self {
            Self::Etcd { etcd, .. } => json!({ "etcd_endpoints": etcd.client_url() }),
            Self::Embedded { .. } => json!({ "datastore_type": "sqlite", "sqlite_path": self.file() }),
        }
    }

    /// What the environment of a program says of it.
    pub(crate) fn environment(&self) -> [(&'static str, String); 2] {
        match self {
            Self::Etcd { etcd, .. } => {
                [("DATASTORE_TYPE", "etcdv2".to_owned()), ("ETCD_ENDPOINTS", etcd.client_url())]
            }
            Self::Embedded { .. } => [("DATASTORE_TYPE", "sqlite".to_owned()), ("SQLITE_PATH", self.file())],
        }
    }

    fn file(&self) -> String {
        let Self::Embedded { folder, .. } = self else { return String::new() };
        folder.path().join("datastore.db").display().to_string()
    }

    /// A network configuration on it.
    pub(crate) fn conf(&self, more: &Value) -> Value {
        let mut conf = json!({
            "cniVersion": "1.0.0", "name": "net1", "type": "calico", "nodename": "h1",
            "ipam": { "type": "calico-ipam" }
        });
        for part in [&self.settings(), more] {
            for (name, value) in part.as_object().expect("an object") {
                conf[name] = value.clone();
            }
        }
        conf
    }

    /// The port of an etcd.
    pub(crate) fn port(&self) -> Option<u16> {
        match self {
            Self::Etcd { etcd, .. } => Some(etcd.port()),
            Self::Embedded { .. } => None,
        }
    }

    /// True when it can be asked.
    pub(crate) fn is_up(&self) -> bool {
        match self {
            Self::Etcd { up, .. } | Self::Embedded { up, .. } => *up,
        }
    }

    /// Takes it away.
    pub(crate) fn stop(&mut self) {
        match self {
            Self::Etcd { etcd, up } => {
                etcd.kill(0);
                *up = false;
            }
            Self::Embedded { folder, up } => {
                let away = folder.path().with_extension("away");
                std::fs::rename(folder.path(), away).expect("moving the folder");
                // A file where the folder was: nothing can be opened or made there.
                std::fs::write(folder.path(), "").expect("a file in its place");
                *up = false;
            }
        }
    }

    /// Brings it back.
    pub(crate) fn start(&mut self) {
        match self {
            Self::Etcd { etcd, up } => {
                etcd.restart(0);
                *up = true;
            }
            Self::Embedded { folder, up } => {
                std::fs::remove_file(folder.path()).expect("the file in its place");
                std::fs::rename(folder.path().with_extension("away"), folder.path()).expect("moving it back");
                *up = true;
            }
        }
    }

    /// Writes a value.
    pub(crate) fn put(&self, key: &str, value: &str) {
        match self {
            Self::Etcd { etcd, .. } => etcd.put(key, value),
            Self::Embedded { .. } => self.with_kv(async |kv| {
                kv.put(key, value, Precondition::None, None).await.expect("a key that it takes");
            }),
        }
    }

    /// Removes a value, or everything below a directory.
    pub(crate) fn delete(&self, key: &str) {
        match self {
            Self::Etcd { etcd, .. } => etcd.delete(key),
            Self::Embedded { .. } => {
                self.with_kv(async |kv| match kv.delete(key, Precondition::None).await {
                    Ok(()) | Err(KvError::NotFound { .. }) => {}
                    Err(error) => panic!("deleting {key}: {error}"),
                })
            }
        }
    }

    /// Removes everything.
    pub(crate) fn wipe(&self) {
        self.delete("/calico");
    }

    /// Every value below a key; none when it cannot be asked.
    pub(crate) fn dump(&self, prefix: &str) -> Option<BTreeMap<String, String>> {
        if !self.is_up() {
            return None;
        }
        let mut found = match self {
            Self::Etcd { etcd, .. } => etcd.dump(prefix),
            Self::Embedded { .. } => {
                let mut found = BTreeMap::new();
                self.with_kv(async |kv| {
                    let mut visit = |entry: EntryRef<'_>| {
                        found.insert(entry.key.to_owned(), entry.value.to_owned());
                    };
                    kv.list(prefix, &mut visit).await.expect("a list");
                });
                found
            }
        };
        found.retain(|key, _| !key.ends_with('/'));
        Some(found)
    }

    fn with_kv(&self, work: impl AsyncFnOnce(SqliteKv)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async {
            let file = self.file();
            let kv = SqliteKv::open(file.as_ref(), Options::default()).expect("the embedded datastore");
            work(kv).await;
        });
    }
}
