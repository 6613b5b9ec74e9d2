//! Connection settings: from a file or from the environment, never from both (`spec/calicoctl.md` 12).
//!
//! Texts of [`SettingsError`] are upstream's, which scripts match; what helps people stands in `hint`. Loading looks
//! at files but contacts nobody.

mod environment;
mod file;
mod sqlite_path;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};

use crate::secret::Secret;

/// Which datastore.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DatastoreKind {
    /// etcd, version 2 of its API.
    Etcd,
    /// The Kubernetes API server.
    Kubernetes,
    /// A file on this host: the embedded datastore.
    Sqlite,
    /// A word that names none; refused when the datastore is opened.
    Unknown(String),
}

/// Everything needed to reach a datastore.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Which datastore.
    pub datastore: DatastoreKind,
    /// etcd.
    pub etcd: EtcdSettings,
    /// Kubernetes.
    pub kubernetes: KubernetesSettings,
    /// The file of the embedded datastore.
    pub sqlite_path: PathBuf,
    /// Where the settings come from.
    pub origin: Origin,
}

/// Where settings come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// A file, by the path as it was given.
    File(String),
    /// Environment variables, by the names of those that are set.
    Environment(Vec<String>),
}

/// How to reach etcd. Texts as given, empty = not set.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct EtcdSettings {
    /// URLs with `,` between; they win over scheme and authority.
    pub endpoints: String,
    /// `http` or `https`.
    pub scheme: String,
    /// `host:port`.
    pub authority: String,
    /// The user; counts together with the password only.
    pub username: String,
    /// The user's password.
    pub password: Secret<String>,
    /// Path of the client's key.
    pub key_file: String,
    /// Path of the client's certificate.
    pub cert_file: String,
    /// Path of the trusted roots.
    pub ca_cert_file: String,
}

/// How to reach a Kubernetes API server. Texts as given, empty = not set.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct KubernetesSettings {
    /// Path of a kubeconfig file.
    pub kubeconfig: String,
    /// URL of the API server.
    pub api_endpoint: String,
    /// Path of the client's key.
    pub key_file: String,
    /// Path of the client's certificate.
    pub cert_file: String,
    /// Path of the trusted roots.
    pub ca_file: String,
    /// A bearer token.
    pub api_token: Secret<String>,
    /// Do not check the server's certificate.
    pub insecure_skip_tls_verify: bool,
    /// Do not poll nodes.
    pub disable_node_poll: bool,
}

/// What settings are loaded from.
#[derive(Debug, Clone)]
pub struct Sources<'a> {
    /// The connection file as it was named.
    pub config_path: &'a str,
    /// True when that is the default path: it may be absent then.
    pub config_is_default: bool,
    /// What relative paths are joined to.
    pub cwd: &'a Path,
    /// The environment.
    pub env: &'a BTreeMap<String, OsString>,
    /// The datastore when nothing is configured.
    pub default: DatastoreKind,
}

/// Why there are no settings. `Display` is upstream's text.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SettingsError {
    /// The named file is not there. Upstream prints this without the command's prefix.
    #[error("Error reading config file: {path}")]
    NoFile {
        /// The path as given.
        path: String,
        /// What the system said.
        reason: String,
    },
    /// The file is there and cannot be read.
    #[error("{text}")]
    Unreadable {
        /// Go's text: `open PATH: permission denied`.
        text: String,
    },
    /// The file is no connection file.
    #[error("syntax error in {path}: {fault}")]
    Syntax {
        /// The path as given.
        path: String,
        /// What is wrong with it.
        fault: margay_model::v1::ApiConfigError,
    },
    /// A variable that must be true or false is neither.
    #[error(
        "envconfig.Process: assigning {variable} to {field}: converting '{value}' to type bool. details: strconv.ParseBool: parsing {quoted}: invalid syntax"
    )]
    NotBool {
        /// The variable, always with its prefix.
        variable: String,
        /// The Go field.
        field: &'static str,
        /// Its value.
        value: String,
        /// Its value as Go quotes it.
        quoted: String,
    },
    /// A variable is no text.
    #[error("environment variable {variable} is not valid UTF-8")]
    NotText {
        /// The variable.
        variable: String,
    },
    /// No such datastore.
    #[error("Unknown datastore type: {word}")]
    UnknownDatastore {
        /// The word as given.
        word: String,
    },
    /// Nothing says where etcd is.
    #[error("no etcd authority or endpoints specified")]
    NoEtcd,
    /// A key without certificate or the reverse.
    #[error("KeyFile and CertFile must both be present[key: {key}, cert: {cert}]")]
    HalfKeyPair {
        /// The key's path.
        key: String,
        /// The certificate's path.
        cert: String,
    },
}

// === impl DatastoreKind ===

impl DatastoreKind {
    /// The kind that a word of `datastoreType` names.
    #[must_use]
    pub fn from_word(word: &str) -> Self {
        match word {
            "etcdv2" => Self::Etcd,
            "kubernetes" => Self::Kubernetes,
            "sqlite" => Self::Sqlite,
            other => Self::Unknown(other.to_owned()),
        }
    }

    /// True when a variable counts for this kind.
    fn reads(&self, variable: &str) -> bool {
        let name = variable.strip_prefix(environment::PREFIX).unwrap_or(variable);
        let of_kind = match self {
            Self::Etcd => name.starts_with("ETCD_"),
            Self::Kubernetes => name.starts_with("K8S_") || name == "KUBECONFIG",
            Self::Sqlite => name == "SQLITE_PATH",
            Self::Unknown(_) => false,
        };
        of_kind || name == "DATASTORE_TYPE"
    }
}

impl fmt::Display for DatastoreKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Etcd => "etcdv2",
            Self::Kubernetes => "kubernetes",
            Self::Sqlite => "sqlite",
            Self::Unknown(word) => word,
        })
    }
}

// === impl Settings ===

impl Settings {
    /// Loads the settings from the file if it is there, else from the environment.
    ///
    /// # Errors
    /// The file cannot be read or understood, or a variable cannot.
    pub fn load(sources: &Sources<'_>) -> Result<Self, SettingsError> {
        let path = sources.cwd.join(sources.config_path);
        let found = if sources.config_path.is_empty() {
            // Joined, the empty path would be the directory itself.
            Err(std::io::ErrorKind::NotFound.into())
        } else {
            std::fs::metadata(&path)
        };
        match found {
            Ok(_) => file::load(sources, &path),
            Err(_) if sources.config_is_default => environment::load(sources),
            Err(error) => Err(SettingsError::NoFile {
                path: sources.config_path.to_owned(),
                reason: file::os_text(&error),
            }),
        }
    }

    /// Loads the settings from an environment alone, whatever files there are.
    ///
    /// # Errors
    /// A variable cannot be understood.
    pub fn of_environment(
        cwd: &Path,
        env: &BTreeMap<String, OsString>,
        default: DatastoreKind,
    ) -> Result<Self, SettingsError> {
        environment::load(&Sources { config_path: "", config_is_default: true, cwd, env, default })
    }

    /// Checks what opening the datastore would refuse without asking anybody.
    ///
    /// # Errors
    /// What the settings lack.
    pub fn check(&self) -> Result<(), SettingsError> {
        match &self.datastore {
            DatastoreKind::Unknown(word) => Err(SettingsError::UnknownDatastore { word: word.clone() }),
            DatastoreKind::Etcd => {
                let EtcdSettings { key_file, cert_file, .. } = &self.etcd;
                if self.etcd.urls().is_empty() {
                    return Err(SettingsError::NoEtcd);
                }
                if key_file.is_empty() != cert_file.is_empty() {
                    return Err(SettingsError::HalfKeyPair {
                        key: key_file.clone(),
                        cert: cert_file.clone(),
                    });
                }
                Ok(())
            }
            DatastoreKind::Kubernetes | DatastoreKind::Sqlite => Ok(()),
        }
    }

    /// Names and values of the settings that count, for people; no secrets.
    #[must_use]
    pub fn describe(&self) -> Vec<(&'static str, String)> {
        let origin = match &self.origin {
            Origin::File(path) => path.clone(),
            Origin::Environment(set) => {
                let set: Vec<&str> =
                    set.iter().map(String::as_str).filter(|name| self.datastore.reads(name)).collect();
                if set.is_empty() {
                    "defaults".to_owned()
                } else {
                    format!("environment: {}", set.join(", "))
                }
            }
        };
        let mut lines = vec![("configured by", origin), ("datastore", self.datastore.to_string())];
        match &self.datastore {
            DatastoreKind::Etcd => lines.extend(self.etcd.describe()),
            DatastoreKind::Kubernetes => lines.extend(self.kubernetes.describe()),
            DatastoreKind::Sqlite => lines.push(("file", self.sqlite_path.display().to_string())),
            DatastoreKind::Unknown(_) => {}
        }
        lines
    }
}

// === impl EtcdSettings ===

impl fmt::Debug for EtcdSettings {
    /// URLs may hold passwords too, so what is described is all that is shown.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.describe()).finish()
    }
}

impl EtcdSettings {
    /// The endpoints to try, trimmed, each with a scheme; none when nothing says where etcd is.
    ///
    /// COMPAT(etcd-endpoints): upstream trims nothing and refuses endpoints without scheme, and a file with authority
    /// but no scheme.
    #[must_use]
    pub fn urls(&self) -> Vec<String> {
        let scheme = if self.scheme.is_empty() { "http" } else { &self.scheme };
        let with_scheme = |text: &str| match text.contains("://") {
            true => text.to_owned(),
            false => format!("http://{text}"),
        };
        let endpoints: Vec<String> = self
            .endpoints
            .split(',')
            .map(str::trim)
            .filter(|text| !text.is_empty())
            .map(with_scheme)
            .collect();
        match self.authority.trim() {
            authority if endpoints.is_empty() && !authority.is_empty() => {
                vec![format!("{scheme}://{authority}")]
            }
            _ => endpoints,
        }
    }

    /// The user and password, when both are set.
    #[must_use]
    pub fn credentials(&self) -> Option<(&str, &Secret<String>)> {
        let both = !self.username.is_empty() && !self.password.expose().is_empty();
        both.then_some((self.username.as_str(), &self.password))
    }

    fn describe(&self) -> Vec<(&'static str, String)> {
        let urls: Vec<String> = self.urls().iter().map(|url| without_user(url)).collect();
        let user = self.credentials().map(|(name, password)| format!("{name}, password {password}"));
        let mut lines = vec![("endpoints", urls.join(", "))];
        lines.extend(user.map(|user| ("user", user)));
        lines.extend(set("client key", &self.key_file));
        lines.extend(set("client certificate", &self.cert_file));
        lines.extend(set("trusted roots", &self.ca_cert_file));
        lines
    }
}

// === impl KubernetesSettings ===

impl fmt::Debug for KubernetesSettings {
    /// URLs may hold passwords too, so what is described is all that is shown.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.describe()).finish()
    }
}

impl KubernetesSettings {
    fn describe(&self) -> Vec<(&'static str, String)> {
        let token = (!self.api_token.expose().is_empty()).then(|| self.api_token.to_string());
        let insecure = self.insecure_skip_tls_verify.then(|| "not checked".to_owned());
        let texts = [
            set("kubeconfig", &self.kubeconfig),
            set("API server", &without_user(&self.api_endpoint)),
            set("client key", &self.key_file),
            set("client certificate", &self.cert_file),
            set("trusted roots", &self.ca_file),
            token.map(|token| ("token", token)),
            insecure.map(|text| ("server certificate", text)),
        ];
        texts.into_iter().flatten().collect()
    }
}

// === impl SettingsError ===

impl SettingsError {
    /// False for the one text that upstream prints bare, without the command's prefix.
    #[must_use]
    pub fn is_prefixed(&self) -> bool {
        !matches!(self, Self::NoFile { .. })
    }

    /// More than upstream says of it: what the system said, or the places of faults.
    #[must_use]
    pub fn reasons(&self) -> Vec<String> {
        match self {
            Self::NoFile { reason, .. } => vec![reason.clone()],
            Self::Syntax { path, fault } => {
                fault.details.iter().map(|text| format!("{path}:{text}")).collect()
            }
            Self::Unreadable { .. }
            | Self::NotBool { .. }
            | Self::NotText { .. }
            | Self::UnknownDatastore { .. }
            | Self::NoEtcd
            | Self::HalfKeyPair { .. } => Vec::new(),
        }
    }

    /// What to do next.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::NoFile { .. } => Some("without --config the environment is looked at".to_owned()),
            Self::Unreadable { .. } => None,
            Self::Syntax { fault, .. } => fault.hints.first().cloned(),
            Self::NotBool { .. } => Some("write true or false, or unset the variable".to_owned()),
            Self::NotText { .. } => None,
            Self::UnknownDatastore { word } => {
                let near = margay_model::decode::nearest(word, WORDS.into_iter()).map(|near| format!("did you mean '{near}'?"));
                Some(near.unwrap_or_else(|| format!("the datastore type is one of {}", WORDS.join(", "))))
            }
            Self::NoEtcd => Some(
                "set etcdEndpoints in the file or ETCD_ENDPOINTS in the environment, or the datastore type to sqlite"
                    .to_owned(),
            ),
            Self::HalfKeyPair { .. } => Some("a client certificate needs its key, and the reverse".to_owned()),
        }
    }
}

/// The words of `datastoreType`.
const WORDS: [&str; 3] = ["etcdv2", "kubernetes", "sqlite"];

// === helpers ===

fn set(name: &'static str, value: &str) -> Option<(&'static str, String)> {
    (!value.is_empty()).then(|| (name, value.to_owned()))
}

/// The URL with `***` for a user and password in it.
fn without_user(url: &str) -> String {
    let (scheme, rest) = url.split_once("://").unwrap_or(("", url));
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    match rest[..end].rfind('@') {
        None => url.to_owned(),
        Some(at) if scheme.is_empty() => format!("***{}", &rest[at..]),
        Some(at) => format!("{scheme}://***{}", &rest[at..]),
    }
}

#[cfg(test)]
mod tests;
