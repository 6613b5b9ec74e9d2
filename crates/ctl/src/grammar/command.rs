//! What the commands mean: plain values that hold exactly what a command line said.

use std::time::Duration;

/// The path of the connection settings, and whether it was chosen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ConfigPath(pub(crate) String);

/// How much of what happens is logged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum LogLevel {
    /// The default: nothing.
    Panic,
    /// Ends of the program.
    Fatal,
    /// Errors.
    Error,
    /// Warnings.
    Warn,
    /// Changes of state.
    Info,
    /// Everything.
    Debug,
}

/// One command, fully described.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Command {
    /// `create`.
    Create(CreateArgs),
    /// `apply`.
    Apply(ApplyArgs),
    /// `replace`.
    Replace(FileArgs),
    /// `delete`.
    Delete(DeleteArgs),
    /// `get`.
    Get(GetArgs),
    /// `config`.
    Config(ConfigArgs),
    /// `ipam`.
    Ipam(IpamArgs),
    /// What `margay ipam` has beyond that.
    IpamTask(IpamTask),
    /// `node`.
    Node(NodeCommand),
    /// `version`.
    Version {
        /// Connection settings.
        config: ConfigPath,
    },
    /// `margay validate`.
    Validate(FileArgs),
    /// `margay diff`.
    Diff(FileArgs),
    /// `margay explain`.
    Explain(ExplainArgs),
    /// `margay plan -f`.
    Plan(PlanArgs),
    /// `margay explain-field`.
    ExplainField {
        /// `KIND` or `KIND.FIELD.FIELD`.
        path: String,
    },
    /// `margay completions`.
    Completions {
        /// The shell to write for.
        shell: Shell,
    },
    /// `margay complete -- WORDS`: live names for the shell, one a line.
    Complete {
        /// The words behind the program's name; the last is being typed.
        words: Vec<String>,
    },
    /// `margay datastore`.
    Datastore(DatastoreArgs),
    /// `margay man`: the man page.
    Man,
    /// A command that another crate runs.
    Host(HostCommand),
}

/// A command of `margay` that works on this host. The executable hands it to the program that does it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HostCommand {
    /// `agent run`.
    AgentRun {
        /// `--config-file`.
        config_file: String,
    },
    /// `agent config`.
    AgentConfig {
        /// `--explain`.
        explain: bool,
        /// `--config-file`.
        config_file: String,
    },
    /// `status`.
    Status {
        /// `--wait`.
        wait: Option<Duration>,
        /// `--output=json`.
        json: bool,
    },
    /// `plan` without a file.
    Plan,
    /// `trace --dropped`.
    TraceDropped {
        /// `--seconds`.
        time: Duration,
        /// `--output=json`.
        json: bool,
    },
    /// `cleanup`.
    Cleanup {
        /// `--felix`.
        felix: bool,
    },
    /// `doctor`.
    Doctor {
        /// `--output=json`.
        json: bool,
    },
    /// `cni install`.
    CniInstall {
        /// `--bin-dir`.
        bin_dir: String,
        /// `--conf-dir`.
        conf_dir: String,
    },
}

/// Arguments of `create`.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct CreateArgs {
    /// A path, or `-` for stdin; never empty.
    pub(crate) filename: String,
    /// "already exists" counts as success.
    pub(crate) skip_exists: bool,
    /// Connection settings.
    pub(crate) config: ConfigPath,
}

/// Arguments of `apply`.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct ApplyArgs {
    /// A path, or `-` for stdin; never empty.
    pub(crate) filename: String,
    /// Say what would change, write nothing (`margay` only).
    pub(crate) dry_run: bool,
    /// Connection settings.
    pub(crate) config: ConfigPath,
}

/// Arguments of the commands that only take a file.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct FileArgs {
    /// A path, or `-` for stdin; never empty.
    pub(crate) filename: String,
    /// Connection settings.
    pub(crate) config: ConfigPath,
}

/// Arguments of `explain`, unchecked.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct ExplainArgs {
    /// FROM.
    pub(crate) from: String,
    /// TO.
    pub(crate) to: String,
    /// `--protocol`.
    pub(crate) protocol: String,
    /// `--port`.
    pub(crate) port: Option<String>,
    /// Paths, or `-` for stdin; none = the datastore.
    pub(crate) filenames: Vec<String>,
    /// `--output=json`.
    pub(crate) json: bool,
    /// Connection settings.
    pub(crate) config: ConfigPath,
}

/// Arguments of `plan`.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct PlanArgs {
    /// Paths, or `-` for stdin.
    pub(crate) filenames: Vec<String>,
    /// `--output=json`.
    pub(crate) json: bool,
    /// Connection settings.
    pub(crate) config: ConfigPath,
}

/// Arguments of `delete`.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct DeleteArgs {
    /// What to delete.
    pub(crate) selection: Selection,
    /// "does not exist" counts as success.
    pub(crate) skip_not_exists: bool,
    /// Connection settings.
    pub(crate) config: ConfigPath,
}

/// Arguments of `get`.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct GetArgs {
    /// What to list.
    pub(crate) selection: Selection,
    /// The text of `--output`, unchecked; `ps` if not given.
    pub(crate) output: String,
    /// Keep printing changes (`margay` only).
    pub(crate) watch: bool,
    /// Connection settings.
    pub(crate) config: ConfigPath,
}

/// The resources that `get` and `delete` are about.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Selection {
    /// Those of a file: a path, or `-` for stdin; never empty.
    File(String),
    /// Those that the arguments name.
    Named(Named),
}

/// A kind and identifiers; an identifier left out or empty is `None`, a wildcard for `get`.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Named {
    /// KIND as typed; may be empty, which no kind is called.
    pub(crate) kind: String,
    /// NAME.
    pub(crate) name: Option<String>,
    /// `--scope`.
    pub(crate) scope: Option<String>,
    /// `--node`.
    pub(crate) node: Option<String>,
    /// `--orchestrator`.
    pub(crate) orchestrator: Option<String>,
    /// `--workload`.
    pub(crate) workload: Option<String>,
}

/// Arguments of `config`.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct ConfigArgs {
    /// What to do.
    pub(crate) verb: ConfigVerb,
    /// NAME as typed.
    pub(crate) name: String,
    /// `--node`.
    pub(crate) node: Option<String>,
    /// `--raw`, unchecked.
    pub(crate) raw: Option<String>,
    /// Connection settings.
    pub(crate) config: ConfigPath,
}

/// What `config` does with a value.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum ConfigVerb {
    /// Write this value; it may be empty.
    Set(String),
    /// Remove it.
    Unset,
    /// Print it.
    Get,
}

/// Arguments of `ipam`.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct IpamArgs {
    /// What to do.
    pub(crate) verb: IpamVerb,
    /// `--ip`, unchecked.
    pub(crate) ip: String,
    /// Connection settings.
    pub(crate) config: ConfigPath,
}

/// What `ipam` does with an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum IpamVerb {
    /// Give it back.
    Release,
    /// Print its attributes.
    Show,
}

/// What `margay ipam` does with all addresses.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum IpamTask {
    /// Print who has how much of what.
    Survey {
        /// Of blocks.
        blocks: bool,
        /// Of hosts.
        hosts: bool,
        /// Of handles.
        handles: bool,
        /// Connection settings.
        config: ConfigPath,
    },
    /// Give back what a handle holds.
    ReleaseHandle {
        /// The handle.
        handle: String,
        /// Connection settings.
        config: ConfigPath,
    },
    /// Find what does not fit.
    Check {
        /// And repair it.
        fix: bool,
        /// But only say so.
        dry_run: bool,
        /// How long an address must look leaked when it is not known since when it is assigned.
        seconds: u16,
        /// Exit 1 when anything is wrong.
        exit_code: bool,
        /// Connection settings.
        config: ConfigPath,
    },
}

/// The commands about this machine.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum NodeCommand {
    /// `node run`.
    Run(Box<NodeRunArgs>),
    /// `node status`.
    Status,
    /// `node diags`.
    Diags {
        /// `--log-dir`.
        log_dir: String,
    },
    /// `node checksystem`.
    CheckSystem,
}

/// Arguments of `node run`, unchecked; texts that have no default are `None` when left out or empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct NodeRunArgs {
    /// `--name`.
    pub(crate) name: Option<String>,
    /// `--ip`.
    pub(crate) ip: Option<String>,
    /// `--ip6`.
    pub(crate) ip6: Option<String>,
    /// `--as`.
    pub(crate) as_number: Option<String>,
    /// `--ip-autodetection-method`.
    pub(crate) ip_autodetection_method: String,
    /// `--ip6-autodetection-method`.
    pub(crate) ip6_autodetection_method: String,
    /// `--log-dir`.
    pub(crate) log_dir: String,
    /// `--node-image`.
    pub(crate) node_image: String,
    /// `--backend`.
    pub(crate) backend: String,
    /// `--no-default-ippools`.
    pub(crate) no_default_ippools: bool,
    /// `--disable-docker-networking`.
    pub(crate) disable_docker_networking: bool,
    /// `--docker-networking-ifprefix`.
    pub(crate) docker_networking_ifprefix: String,
    /// `--use-docker-networking-container-labels`.
    pub(crate) use_docker_networking_container_labels: bool,
    /// `--dryrun`.
    pub(crate) dryrun: bool,
    /// `--init-system`.
    pub(crate) init_system: bool,
    /// Connection settings.
    pub(crate) config: ConfigPath,
}

/// Arguments of `datastore`.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum DatastoreArgs {
    /// Write everything as documents.
    Export {
        /// A path, or `-` for stdout; never empty.
        filename: String,
        /// Connection settings.
        config: ConfigPath,
    },
    /// Read such documents back.
    Import {
        /// A path, or `-` for stdin; never empty.
        filename: String,
        /// Connection settings.
        config: ConfigPath,
    },
    /// Copy every key from one datastore into another.
    Copy {
        /// The store to read, unchecked.
        from: String,
        /// The store to write, unchecked.
        to: String,
    },
}

/// A shell we can write completions for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shell {
    /// GNU bash.
    Bash,
    /// Z shell.
    Zsh,
    /// fish.
    Fish,
}

// === impl ConfigPath ===

impl ConfigPath {
    /// The path that is used when none is given.
    pub(crate) const DEFAULT: &'static str = "/etc/calico/calicoctl.cfg";

    /// True for the default path, chosen or not: a missing file is then no error.
    pub(crate) fn is_default(&self) -> bool {
        self.0 == Self::DEFAULT
    }
}

// === impl LogLevel ===

impl LogLevel {
    /// The word in a log line.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Panic => "panic",
            Self::Fatal => "fatal",
            Self::Error => "error",
            Self::Warn => "warning",
            Self::Info => "info",
            Self::Debug => "debug",
        }
    }

    /// Reads a level in any letter case.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        match text.to_lowercase().as_str() {
            "panic" => Some(Self::Panic),
            "fatal" => Some(Self::Fatal),
            "error" => Some(Self::Error),
            "warn" | "warning" => Some(Self::Warn),
            "info" => Some(Self::Info),
            "debug" => Some(Self::Debug),
            _ => None,
        }
    }
}

// === impl Shell ===

impl Shell {
    /// The names that `completions` takes.
    pub(crate) const NAMES: &'static [&'static str] = &["bash", "zsh", "fish"];

    /// Reads a shell's name.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        match text {
            "bash" => Some(Self::Bash),
            "zsh" => Some(Self::Zsh),
            "fish" => Some(Self::Fish),
            _ => None,
        }
    }
}
