//! How to reach etcd: what a person configures, checked once, with nothing asked over the network.

use std::fmt;
use std::time::Duration;

use rustls::pki_types::ServerName;

/// A text that is never printed.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Secret(String);

/// Where etcd is and who we are to it. Texts as configured, empty = not set.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EtcdConfig {
    /// URLs of the members; blanks around them are cut off, and `http://` is assumed.
    pub endpoints: Vec<String>,
    /// The user; sent together with the password only.
    pub username: String,
    /// The user's password.
    pub password: Secret,
    /// Path of the client's key, PEM.
    pub key_file: String,
    /// Path of the client's certificate and what signed it, PEM.
    pub cert_file: String,
    /// Path of the trusted roots, PEM; empty = those of the system.
    pub ca_cert_file: String,
}

/// How long etcd may take, and where the walk over the endpoints begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// For a connection, TLS included.
    pub dial: Duration,
    /// For the head of an answer.
    pub head: Duration,
    /// For the next part of a body that has begun.
    pub body: Duration,
    /// For one operation, however it is made up.
    pub operation: Duration,
    /// How long a watch waits before it asks again. Asking again also tells etcd how far we are, so that an idle watch
    /// does not fall behind the 1000 events that etcd keeps.
    pub watch: Duration,
    /// Shuffles the endpoints.
    pub seed: u64,
}

/// What is wrong with an [`EtcdConfig`].
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// No endpoint is named.
    #[error("no etcd authority or endpoints specified")]
    NoEndpoints,
    /// An endpoint is no URL of an etcd.
    #[error("etcd endpoint '{endpoint}': {reason}")]
    Endpoint {
        /// The endpoint as configured, without a user and password in it.
        endpoint: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// A key without certificate or the reverse.
    #[error("KeyFile and CertFile must both be present[key: {key}, cert: {cert}]")]
    HalfKeyPair {
        /// The key's path.
        key: String,
        /// The certificate's path.
        cert: String,
    },
    /// A file cannot be read.
    #[error("open {path}: {reason}")]
    Unreadable {
        /// The file.
        path: String,
        /// The system's reason.
        reason: String,
    },
    /// A file has no key or certificate that we can use.
    #[error("{path}: {reason}")]
    BadFile {
        /// The file.
        path: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The system has no trusted roots, and the configuration names none.
    #[error("no trusted root certificates on this system: {reason}")]
    NoRoots {
        /// What was found instead.
        reason: String,
    },
    /// The system gives no randomness.
    #[error("getrandom: {reason}")]
    NoRandom {
        /// The system's reason.
        reason: String,
    },
}

/// One member's URL, taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Endpoint {
    /// Scheme, host and port as they are printed and sent as `Host`: `http://[::1]:2379`.
    pub(crate) url: String,
    /// Host and port, bracketed where it must be.
    pub(crate) authority: String,
    /// The bare host.
    pub(crate) host: String,
    pub(crate) port: u16,
    /// The name to check the certificate against; none for plain HTTP.
    pub(crate) tls_name: Option<ServerName<'static>>,
    /// What stands in front of `/v2/keys`; empty, or a path with a leading slash and none behind.
    pub(crate) base: String,
}

// === impl Secret ===

impl Secret {
    /// The text itself.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl From<String> for Secret {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl From<&str> for Secret {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

// === impl EtcdConfig ===

impl EtcdConfig {
    /// The user and password when both are set.
    pub(crate) fn credentials(&self) -> Option<(&str, &Secret)> {
        let both = !self.username.is_empty() && !self.password.0.is_empty();
        both.then_some((self.username.as_str(), &self.password))
    }

    pub(crate) fn parse_endpoints(&self) -> Result<Vec<Endpoint>, ConfigError> {
        let named: Vec<&str> =
            self.endpoints.iter().map(|text| text.trim()).filter(|t| !t.is_empty()).collect();
        if named.is_empty() {
            return Err(ConfigError::NoEndpoints);
        }
        named.into_iter().map(Endpoint::parse).collect()
    }
}

// === impl Options ===

impl Default for Options {
    /// Upstream's 30 seconds, and deadlines where it has none.
    fn default() -> Self {
        Self {
            dial: Duration::from_secs(30),
            head: Duration::from_secs(30),
            body: Duration::from_secs(30),
            operation: Duration::from_secs(600),
            watch: Duration::from_secs(60),
            seed: 0,
        }
    }
}

// === impl Endpoint ===

impl Endpoint {
    /// COMPAT(etcd-endpoints): upstream refuses blanks and wants a scheme; its message does not name the endpoint.
    pub(crate) fn parse(text: &str) -> Result<Self, ConfigError> {
        let refuse = |reason| Err(ConfigError::Endpoint { endpoint: without_user(text), reason });
        let (scheme, rest) = text.split_once("://").unwrap_or(("http", text));
        let secure = match scheme.to_ascii_lowercase().as_str() {
            "http" => false,
            "https" => true,
            _ => return refuse("the scheme must be http or https"),
        };
        let (authority, path) = rest.find('/').map_or((rest, ""), |at| rest.split_at(at));
        if authority.contains('@') {
            return refuse("user and password belong into etcdUsername and etcdPassword");
        }
        if text.contains(['?', '#']) || text.bytes().any(|b| b <= b' ' || b == 0x7f || b == b'%') {
            return refuse("it must be scheme, host, port and at most a path");
        }
        let Some((host, port)) = host_and_port(authority) else {
            return refuse("it has no host, or a port that is no number from 1 to 65535");
        };
        let Ok(name) = ServerName::try_from(host.to_owned()) else {
            return refuse("its host is neither a name nor an address");
        };
        let port = port.unwrap_or(if secure { 443 } else { 80 });
        let authority =
            if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") };
        Ok(Self {
            url: format!("{}://{authority}", if secure { "https" } else { "http" }),
            authority,
            host: host.to_owned(),
            port,
            tls_name: secure.then_some(name),
            base: path.trim_end_matches('/').to_owned(),
        })
    }
}

// === helpers ===

fn host_and_port(authority: &str) -> Option<(&str, Option<u16>)> {
    let (host, port) = match authority.strip_prefix('[') {
        Some(bracketed) => {
            let (host, behind) = bracketed.split_once(']')?;
            let port = if behind.is_empty() { None } else { Some(behind.strip_prefix(':')?) };
            (host, port)
        }
        None if authority.matches(':').count() > 1 => return None,
        None => authority.split_once(':').map_or((authority, None), |(host, port)| (host, Some(port))),
    };
    let port = match port {
        None | Some("") => None,
        Some(digits) if digits.bytes().all(|b| b.is_ascii_digit()) => {
            Some(digits.parse().ok().filter(|p| *p > 0)?)
        }
        Some(_) => return None,
    };
    (!host.is_empty()).then_some((host, port))
}

/// The endpoint with what may be a password cut out.
fn without_user(text: &str) -> String {
    match (text.find("://"), text.rfind('@')) {
        (Some(scheme), Some(at)) if scheme + 3 <= at => format!("{}***{}", &text[..scheme + 3], &text[at..]),
        (None, Some(at)) => format!("***{}", &text[at..]),
        _ => text.to_owned(),
    }
}

#[cfg(test)]
mod tests;
