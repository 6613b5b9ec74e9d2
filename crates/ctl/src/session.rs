//! What the commands share: the invocation, the settings, an open client, a runtime, and how errors reach people.

use std::future::Future;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use margay_client::{AnyStore, Client, DatastoreKind, Settings, Sources};
use margay_store::MemoryKv;

use crate::grammar::{ConfigPath, LogLevel, Program};
use crate::node::{EtcdSettings, NodeDatastore};
use margay_client::{ExitCode, Invocation};

/// The client that commands work with.
pub(crate) type Store = Client<AnyStore>;

/// How a datastore is opened: made when it is absent, or only if it is there.
pub(crate) type Opener =
    fn(&Settings, margay_store::flat::Random) -> Result<AnyStore, margay_client::OpenError>;

/// One run of one command.
pub(crate) struct Session<'s, 'i> {
    /// Streams, environment, clock.
    pub(crate) invocation: &'s mut Invocation<'i>,
    /// The name we were called by.
    pub(crate) program: Program,
    /// How much is logged.
    pub(crate) log_level: LogLevel,
    memory: Option<MemoryKv>,
}

/// Why a client could not be made: the line for stdout, and what helps.
pub(crate) struct SetUpError {
    /// Upstream's text.
    pub(crate) text: String,
    /// What to do next.
    pub(crate) hint: Option<String>,
    /// False for the one text that upstream prints without the command's prefix.
    prefixed: bool,
}

/// A runtime of this thread alone.
pub(crate) fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime of one thread needs an epoll and an event descriptor")
}

/// Runs a future to its end; whoever looks at `terminal` is told each second how long it takes.
pub(crate) fn wait<T>(
    future: impl Future<Output = T>,
    terminal: Option<&mut (dyn io::Write + Send + '_)>,
) -> T {
    let Some(terminal) = terminal else { return runtime().block_on(future) };
    runtime().block_on(async {
        let mut future = std::pin::pin!(future);
        for seconds in 1_u32.. {
            // The future is only looked at, never dropped: it goes on behind the line.
            match tokio::time::timeout(Duration::from_secs(1), &mut future).await {
                Ok(result) => {
                    if seconds > 1 {
                        // A line that cannot be wiped is no reason to fail.
                        let _ = write!(terminal, "\r\u{1b}[K");
                    }
                    return result;
                }
                Err(_) => {
                    let _ = write!(terminal, "\rwaiting for the datastore, {seconds} s")
                        .and_then(|()| terminal.flush());
                }
            }
        }
        future.await
    })
}

// === impl SetUpError ===

impl SetUpError {
    /// An error with its text and what helps.
    pub(crate) fn new(text: String, hint: Option<String>) -> Self {
        Self { text, hint, prefixed: true }
    }
}

// === impl Session ===

impl<'s, 'i> Session<'s, 'i> {
    pub(crate) fn new(
        invocation: &'s mut Invocation<'i>,
        program: Program,
        memory: Option<MemoryKv>,
    ) -> Self {
        Self { invocation, program, log_level: LogLevel::Panic, memory }
    }

    /// The connection settings, from the file or the environment.
    pub(crate) fn settings(&self, config: &ConfigPath) -> Result<Settings, SetUpError> {
        let default = match self.program {
            Program::Calicoctl => DatastoreKind::Etcd,
            Program::Margay => DatastoreKind::Sqlite,
        };
        Settings::load(&Sources {
            config_path: &config.0,
            config_is_default: config.is_default(),
            cwd: &self.invocation.cwd,
            env: &self.invocation.env,
            default,
        })
        .map_err(|error| SetUpError {
            prefixed: error.is_prefixed(),
            ..SetUpError::new(error.to_string(), error.hint())
        })
    }

    /// Opens the datastore that the settings name; nothing is contacted yet.
    pub(crate) fn client(&mut self, config: &ConfigPath) -> Result<Store, SetUpError> {
        // Faulty settings are reported in memory too: the recorded cases about them need no server.
        let settings = self.settings(config)?;
        // A log line that cannot be written is no reason to stop.
        let _ = self.log(LogLevel::Info, "loaded connection settings", &settings.describe());
        self.open(&settings, margay_client::open)
    }

    /// Opens the datastore that a word names: `sqlite:PATH`, `etcd:URL[,URL]`, or the path of a settings file.
    pub(crate) fn client_of(&self, word: &str, opener: Opener) -> Result<Store, SetUpError> {
        let variables: [(&str, &str); 2] = match word.split_once(':') {
            Some(("sqlite", path)) => [("CALICO_DATASTORE_TYPE", "sqlite"), ("CALICO_SQLITE_PATH", path)],
            Some(("etcd", urls)) => [("CALICO_DATASTORE_TYPE", "etcdv2"), ("CALICO_ETCD_ENDPOINTS", urls)],
            Some(("http" | "https", _)) => {
                [("CALICO_DATASTORE_TYPE", "etcdv2"), ("CALICO_ETCD_ENDPOINTS", word)]
            }
            _ => return self.open(&self.settings(&ConfigPath(word.to_owned()))?, opener),
        };
        let mut env = self.invocation.env.clone();
        env.extend(variables.map(|(name, value)| (name.to_owned(), value.into())));
        let settings = Settings::of_environment(&self.invocation.cwd, &env, DatastoreKind::Sqlite)
            .map_err(|error| SetUpError::new(error.to_string(), error.hint()))?;
        self.open(&settings, opener)
    }

    fn open(&self, settings: &Settings, opener: Opener) -> Result<Store, SetUpError> {
        let fill = self.invocation.random;
        let random: margay_store::flat::Random = Arc::new(move || {
            let mut bytes = [0; 16];
            fill(&mut bytes);
            bytes
        });
        let store = match &self.memory {
            Some(kv) => {
                settings.check().map_err(|error| SetUpError::new(error.to_string(), error.hint()))?;
                AnyStore::memory(kv.clone(), random.clone())
            }
            None => opener(settings, random.clone())
                .map_err(|error| SetUpError::new(error.to_string(), error.hint()))?,
        };
        Ok(Client::new(store, random))
    }

    /// Logs a line as upstream's logger formats it, if the level asks for it; fields are never secrets.
    pub(crate) fn log(
        &mut self,
        level: LogLevel,
        message: &str,
        fields: &[(&str, String)],
    ) -> io::Result<()> {
        if self.log_level < level {
            return Ok(());
        }
        let now = jiff::Timestamp::try_from((self.invocation.now)()).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
        let seconds = now.as_second();
        let time = jiff::Timestamp::from_second(seconds).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
        write!(self.invocation.stderr, "time=\"{time}\" level={} msg={message:?}", level.word())?;
        for (name, value) in fields {
            write!(self.invocation.stderr, " {}={value:?}", name.replace(' ', "_"))?;
        }
        writeln!(self.invocation.stderr, " ")
    }

    /// Runs a future to its end on a runtime of this thread; on a terminal, waiting is told.
    pub(crate) fn block_on<T>(&mut self, future: impl Future<Output = T>) -> T {
        wait(future, self.terminal())
    }

    /// Standard error, if a person looks at it.
    pub(crate) fn terminal(&mut self) -> Option<&mut (dyn io::Write + Send + 'i)> {
        let invocation = &mut *self.invocation;
        invocation.stderr_is_terminal.then_some(&mut *invocation.stderr)
    }

    /// Where `node run` learns what to hand on to the container.
    pub(crate) fn node_datastore(&self) -> impl Fn(&ConfigPath) -> NodeDatastore + use<> {
        let (cwd, env) = (self.invocation.cwd.clone(), self.invocation.env.clone());
        move |config| {
            let sources = Sources {
                config_path: &config.0,
                config_is_default: config.is_default(),
                cwd: &cwd,
                env: &env,
                default: DatastoreKind::Etcd,
            };
            match Settings::load(&sources) {
                Err(error) if error.is_prefixed() => NodeDatastore::Invalid(error.to_string()),
                Err(error) => NodeDatastore::NoFile(error.to_string()),
                Ok(settings) if settings.datastore != DatastoreKind::Etcd => NodeDatastore::Unsupported,
                Ok(settings) => NodeDatastore::EtcdV2(EtcdSettings {
                    endpoints: settings.etcd.endpoints,
                    scheme: settings.etcd.scheme,
                    authority: settings.etcd.authority,
                    ca_cert_file: settings.etcd.ca_cert_file,
                    key_file: settings.etcd.key_file,
                    cert_file: settings.etcd.cert_file,
                }),
            }
        }
    }

    /// Prints a line that scripts match.
    pub(crate) fn line(&mut self, text: &str) -> io::Result<()> {
        writeln!(self.invocation.stdout, "{text}")
    }

    /// Prints a line for people.
    pub(crate) fn note(&mut self, text: &str) -> io::Result<()> {
        writeln!(self.invocation.stderr, "{text}")
    }

    /// Prints hints for people, each on a line of its own.
    pub(crate) fn hints(&mut self, hints: impl IntoIterator<Item = String>) -> io::Result<()> {
        for hint in hints {
            self.note(&format!("hint: {hint}"))?;
        }
        Ok(())
    }

    /// Ends a resource command whose client could not be made.
    pub(crate) fn no_client(&mut self, error: SetUpError) -> io::Result<ExitCode> {
        self.hints(error.hint)?;
        let prefix = if error.prefixed { "Failed to create Calico API client: " } else { "" };
        self.fail(&format!("{prefix}{}", error.text))
    }

    /// Ends with a line that scripts match, and status 1.
    pub(crate) fn fail(&mut self, text: &str) -> io::Result<ExitCode> {
        self.line(text)?;
        Ok(ExitCode::FAILURE)
    }
}
