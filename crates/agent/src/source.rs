//! Where the parameters come from: environment and file of this host, then the datastore.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use margay_client::{AnyStore, DatastoreKind, Invocation, OpenError, Settings, SettingsError, open};
use margay_model::Key;
use margay_model::key::directory;
use margay_store::backoff::Jitter;
use margay_store::flat::Random;
use margay_store::kv::{EntryRef, KvError};
use margay_store::{Datastore as _, Kv as _};

use crate::intake::DatastoreTexts;
use crate::parameters::{self, FileError, Host, Name, Notice, Parameters, ResolveError, Texts};
use crate::settings;

/// What this host says, and the means to read more.
#[derive(Clone)]
pub(crate) struct Source {
    /// The configuration file.
    pub(crate) file: PathBuf,
    /// `FELIX_…`.
    pub(crate) environment: Vec<(String, String)>,
    /// What the environment says to all programs of ours about the datastore.
    pub(crate) base: Result<Settings, SettingsError>,
    /// The kernel's name of this host.
    pub(crate) host_name: String,
    /// Random bytes.
    pub(crate) random: fn(&mut [u8]),
}

/// Why there are no parameters.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SourceError {
    /// The file is there and cannot be read.
    #[error("reading {}", .0.display())]
    Unreadable(PathBuf, #[source] std::io::Error),
    /// The file is no INI file.
    #[error("reading {}", .0.display())]
    Syntax(PathBuf, #[source] FileError),
    /// A value is no good.
    #[error(transparent)]
    Value(#[from] ResolveError),
    /// The environment of all programs is no good.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// The datastore cannot be opened.
    #[error("opening the datastore")]
    Open(#[from] OpenError),
    /// The datastore does not answer.
    #[error("reading parameters from the datastore")]
    Read(#[from] KvError),
    /// The embedded datastore cannot be written.
    #[error("making the embedded datastore ready")]
    Initialise(#[from] margay_store::datastore::Error),
}

// === impl Source ===

impl Source {
    /// What an invocation says.
    pub(crate) fn new(invocation: &Invocation<'_>, file: &str) -> Self {
        let kernel = rustix::system::uname().nodename().to_string_lossy().into_owned();
        let variable = || invocation.env.get("HOSTNAME").map(|name| name.to_string_lossy().into_owned());
        Self {
            file: invocation.cwd.join(file),
            environment: parameters::of_environment(&invocation.env),
            base: Settings::of_environment(&invocation.cwd, &invocation.env, DatastoreKind::Etcd),
            host_name: if kernel.is_empty() { variable().unwrap_or_default() } else { kernel },
            random: invocation.random,
        }
    }

    /// Environment and file.
    pub(crate) fn local(&self) -> Result<Texts, SourceError> {
        let file = match std::fs::read_to_string(&self.file) {
            Ok(text) => {
                parameters::read_file(&text).map_err(|error| SourceError::Syntax(self.file.clone(), error))?
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => parameters::FileTexts::default(),
            Err(error) => return Err(SourceError::Unreadable(self.file.clone(), error)),
        };
        Ok(Texts { environment: self.environment.clone(), file, ..Texts::default() })
    }

    /// What texts say on this host.
    pub(crate) fn resolve(&self, texts: &Texts) -> Result<(Parameters, Vec<Notice>), ResolveError> {
        parameters::resolve(texts, Host { name: &self.host_name, exists: &|path: &Path| path.exists() })
    }

    /// The datastore that the parameters name.
    pub(crate) fn open(&self, parameters: &Parameters) -> Result<Arc<AnyStore>, SourceError> {
        let settings = settings::datastore(parameters, self.base.clone()?);
        let fill = self.random;
        let random: Random = Arc::new(move || {
            let mut bytes = [0; 16];
            fill(&mut bytes);
            bytes
        });
        Ok(Arc::new(open(&settings, random)?))
    }

    /// Makes an embedded datastore ready if nobody has: it has no set-up of its own. A flag that says `false` stays.
    pub(crate) async fn initialise(&self, store: &AnyStore) -> Result<(), SourceError> {
        if let AnyStore::Sqlite(_) = store {
            store.initialise().await?;
        }
        Ok(())
    }

    /// The parameters of the datastore.
    pub(crate) async fn read(&self, store: &AnyStore, host: &str) -> Result<DatastoreTexts, SourceError> {
        let mut texts = DatastoreTexts::default();
        let mut visit = |entry: EntryRef<'_>| {
            if let Some(Key::FelixConfig { node, name }) = Key::parse(entry.key) {
                let map = if node.is_some() { &mut texts.per_host } else { &mut texts.global };
                map.insert(name, entry.value.to_owned());
            }
        };
        let per_host = format!("{}/{host}/config", directory::HOSTS);
        store.kv().list(directory::FELIX_CONFIG, &mut visit).await?;
        store.kv().list(&per_host, &mut visit).await?;
        Ok(texts)
    }
}

/// The host's name in the datastore.
pub(crate) fn host(parameters: &Parameters) -> &str {
    parameters.text(Name::FelixHostname)
}

/// An error with all its causes, in one line.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string().trim_end().to_owned();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {}", error.to_string().trim_end());
        cause = error.source();
    }
    text
}

/// Random numbers for delays.
pub(crate) fn jitter(random: fn(&mut [u8])) -> Jitter {
    Box::new(move || {
        let mut bytes = [0; 4];
        random(&mut bytes);
        u32::from_ne_bytes(bytes)
    })
}
