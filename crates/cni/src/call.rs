//! One call of the plugin: everything a verb works with, made once and in order of cost.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use margay_client::{AnyStore, Settings};
use margay_model::Key;
use margay_store::Datastore as _;
use margay_store::datastore::Error as StoreError;

use crate::args::Args;
use crate::cluster::Cluster;
use crate::config::NetConf;
use crate::delegate::{self, Delegate};
use crate::error::{Code, Failure, Result};
use crate::fault::Faults;
use crate::identity::{Identity, Workload, node_name};
use crate::journal::{Journal, datastore_name};
use crate::log::Log;
use crate::request::{Attachment, Environment, Verb};

/// How long a verb may take in all: less than runtimes wait (kubelet: 2 minutes).
pub(crate) const LIMIT: Duration = Duration::from_secs(60);

/// How long taking back may take after that.
pub(crate) const UNDO_LIMIT: Duration = Duration::from_secs(20);

/// How long DEL waits for the datastore before it writes down what is left to do.
pub(crate) const DEL_PATIENCE: Duration = Duration::from_secs(15);

/// One call.
pub(crate) struct Call<'a> {
    pub(crate) conf: NetConf,
    pub(crate) env: &'a BTreeMap<String, OsString>,
    /// `CNI_ARGS` as given.
    pub(crate) arguments: String,
    pub(crate) path: Vec<PathBuf>,
    pub(crate) cwd: PathBuf,
    pub(crate) log: Log<'a>,
    pub(crate) journal: Journal,
    pub(crate) faults: Faults,
    pub(crate) cluster: &'a dyn Cluster,
    pub(crate) now: fn() -> SystemTime,
    pub(crate) random: fn(&mut [u8]),
    pub(crate) end: Instant,
}

/// The container and interface that a call is about.
#[derive(Debug, Clone)]
pub(crate) struct Subject {
    pub(crate) attachment: Attachment,
    pub(crate) identity: Identity,
    pub(crate) args: Args,
}

/// Who assigns addresses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Ipam {
    /// We do, in this process.
    Ours,
    /// Another plugin.
    Other(Delegate),
}

// === impl Call ===

impl Call<'_> {
    /// Who the call is about. Arguments that cannot be understood count as far as they can, and come back as a failure
    /// beside.
    pub(crate) fn subject(&mut self) -> Result<(Subject, Result<()>)> {
        let attachment = Environment(self.env).attachment()?;
        let (args, understood) = match Args::parse(&self.arguments) {
            Ok(args) => (args, Ok(())),
            Err(failure) => (Args::parse_leniently(&self.arguments), Err(failure)),
        };
        let log = &mut self.log;
        let identity = Identity {
            node: node_name(&self.conf, &mut |text| log.warning(text))?,
            workload: Workload::of(&args, &attachment.container),
            container: attachment.container.clone(),
            ifname: attachment.ifname,
        };
        Ok((Subject { attachment, identity, args }, understood))
    }

    /// What is left of the time.
    pub(crate) fn left(&self) -> Duration {
        self.end.saturating_duration_since(Instant::now())
    }

    /// The settings of the datastore.
    pub(crate) fn settings(&self) -> Result<Settings> {
        let settings = self.conf.settings(&self.cwd, self.env);
        settings.map_err(|error| Failure::new(Code::CONFIG, error.to_string()))
    }

    /// Opens the datastore; nothing is asked over the network.
    pub(crate) fn open(&self, settings: &Settings) -> Result<AnyStore> {
        self.open_by(margay_client::open, settings)
    }

    /// As [`Call::open`]; what is written is on disk after [`AnyStore::settle`] alone.
    pub(crate) fn open_briefly(&self, settings: &Settings) -> Result<AnyStore> {
        self.open_by(margay_client::open_briefly, settings)
    }

    fn open_by(
        &self,
        open: impl Fn(&Settings, margay_store::flat::Random) -> Result<AnyStore, margay_client::OpenError>,
        settings: &Settings,
    ) -> Result<AnyStore> {
        let fill = self.random;
        let random = Arc::new(move || {
            let mut bytes = [0; 16];
            fill(&mut bytes);
            bytes
        });
        open(settings, random).map_err(|error| {
            // A file that cannot be opened now is a datastore that is away; all else is a mistake in the configuration.
            let away = matches!(error, margay_client::OpenError::Store(_));
            let code = if away { Code::DATASTORE } else { Code::CONFIG };
            Failure::new(code, error.to_string()).with_details(error.hint().unwrap_or_default())
        })
    }

    /// The name of the datastore in the journal.
    pub(crate) fn datastore(&self) -> Result<String> {
        Ok(datastore_name(&self.settings()?))
    }

    /// Who assigns addresses: we, when the plugin named is this very program.
    pub(crate) fn ipam(&self) -> Result<Ipam> {
        let delegate = delegate::find(&self.conf.ipam.kind, &self.path)?;
        let ours = self.conf.ipam.is_calico() && is_this_program(delegate.program());
        Ok(if ours { Ipam::Ours } else { Ipam::Other(delegate) })
    }

    /// Calls the other IPAM plugin.
    pub(crate) fn delegate(
        &mut self,
        delegate: &Delegate,
        verb: Verb,
        arguments: &str,
        document: &margay_client::Secret<String>,
    ) -> Result<Vec<u8>> {
        let limit = self.left().max(Duration::from_secs(5));
        let (env, log) = (self.env, &mut self.log);
        let said = delegate.call(verb, env, arguments, document, limit, &mut |bytes| log.pass_on(bytes));
        // It may repeat what it was told.
        said.map_err(|failure| Failure { msg: self.conf.without_token(&failure.msg), ..failure })
    }

    /// Takes the lock of a container. A host where it cannot be kept works without, as upstream does.
    pub(crate) fn lock(&mut self, subject: &Subject) -> Result<Option<crate::lock::Lock>> {
        match self.journal.lock(&subject.identity.container, self.left()) {
            Ok(lock) => Ok(Some(lock)),
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => Err(Failure::new(
                Code::TRY_LATER,
                format!("another call works on container {}", subject.identity.container.as_str()),
            )),
            Err(error) => {
                self.log.warning(&format!("locking the container: {error}"));
                Ok(None)
            }
        }
    }
}

/// A runtime of one thread.
pub(crate) fn runtime() -> Result<tokio::runtime::Runtime> {
    let built = tokio::runtime::Builder::new_current_thread().enable_all().build();
    built.map_err(|error| Failure::new(Code::IO, format!("starting: {error}")))
}

/// Asks whether the datastore is ready.
///
/// # Errors
/// It is not, does not say, or cannot be asked.
pub(crate) async fn check_ready(store: &AnyStore) -> Result<()> {
    let unable = |error: StoreError| {
        let code = match &error {
            StoreError::Unauthorized => Code::UNAUTHORIZED,
            _ => Code::TRY_LATER,
        };
        Failure::new(
            code,
            format!("Unable to retreive ReadyFlag from Backend: {}", error.to_string().trim_end()),
        )
    };
    match store.get_record(&Key::Ready).await {
        Ok(Some(record)) if record.value == "true" => Ok(()),
        Ok(Some(_)) => {
            Err(Failure::new(Code::TRY_LATER, "Calico is currently not ready to process requests"))
        }
        // The embedded datastore has no server that would have set it up: whoever comes first does.
        Ok(None) if matches!(store, AnyStore::Sqlite(_)) => store.initialise().await.map_err(unable),
        Ok(None) => Err(unable(StoreError::DoesNotExist { id: Key::Ready.to_string() })),
        Err(error) => Err(unable(error)),
    }
}

/// How much of two files is compared at a place.
const SAMPLE: usize = 4096;

/// True when a file is this program: the same file, or a copy of it. Copies are told by samples; taking another build
/// of ours for this one does no harm.
fn is_this_program(path: &Path) -> bool {
    let (Ok(own), Ok(other)) = (std::fs::File::open("/proc/self/exe"), std::fs::File::open(path)) else {
        return false;
    };
    let (Ok(own_meta), Ok(meta)) = (own.metadata(), other.metadata()) else { return false };
    if (own_meta.dev(), own_meta.ino()) == (meta.dev(), meta.ino()) {
        return true;
    }
    if own_meta.len() != meta.len() {
        return false;
    }
    let mut buffers = [[0; SAMPLE], [0; SAMPLE]];
    (0..16).all(|part| {
        let at = meta.len().saturating_sub(SAMPLE as u64) / 15 * part;
        let [a, b] = &mut buffers;
        matches!((own.read_at(a, at), other.read_at(b, at)), (Ok(n), Ok(m)) if n == m && a[..n] == b[..m])
    })
}

/// An error with its causes in one line.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}
