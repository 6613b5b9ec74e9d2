//! Settings from environment variables; each counts with the prefix `CALICO_` first, also when that is empty.

use std::ffi::OsString;
use std::path::Path;

use super::{
    DatastoreKind, EtcdSettings, KubernetesSettings, Origin, Settings, SettingsError, Sources, sqlite_path,
};
use crate::secret::Secret;

/// The prefix of the names that win.
pub(super) const PREFIX: &str = "CALICO_";

/// Looks variables up and remembers which were set.
struct Variables<'a> {
    sources: &'a Sources<'a>,
    set: Vec<String>,
}

/// Reads all variables.
pub(super) fn load(sources: &Sources<'_>) -> Result<Settings, SettingsError> {
    let mut variables = Variables { sources, set: Vec::new() };
    let word = variables.text("DATASTORE_TYPE")?;
    let scheme = variables.text("ETCD_SCHEME")?.unwrap_or_else(|| "http".to_owned());
    let authority = variables.text("ETCD_AUTHORITY")?;
    let endpoints = variables.text("ETCD_ENDPOINTS")?;
    let etcd_is_named = authority.is_some() || endpoints.is_some();
    let etcd = EtcdSettings {
        endpoints: endpoints.unwrap_or_default(),
        scheme,
        authority: authority.unwrap_or_else(|| "127.0.0.1:2379".to_owned()),
        username: variables.text("ETCD_USERNAME")?.unwrap_or_default(),
        password: Secret::new(variables.text("ETCD_PASSWORD")?.unwrap_or_default()),
        key_file: variables.text("ETCD_KEY_FILE")?.unwrap_or_default(),
        cert_file: variables.text("ETCD_CERT_FILE")?.unwrap_or_default(),
        ca_cert_file: variables.text("ETCD_CA_CERT_FILE")?.unwrap_or_default(),
    };
    let kubernetes = KubernetesSettings {
        kubeconfig: variables.text("KUBECONFIG")?.unwrap_or_default(),
        api_endpoint: variables.text("K8S_API_ENDPOINT")?.unwrap_or_default(),
        key_file: variables.text("K8S_KEY_FILE")?.unwrap_or_default(),
        cert_file: variables.text("K8S_CERT_FILE")?.unwrap_or_default(),
        ca_file: variables.text("K8S_CA_FILE")?.unwrap_or_default(),
        api_token: Secret::new(variables.text("K8S_API_TOKEN")?.unwrap_or_default()),
        insecure_skip_tls_verify: variables
            .bool("K8S_INSECURE_SKIP_TLS_VERIFY", "K8sInsecureSkipTLSVerify")?,
        disable_node_poll: variables.bool("K8S_DISABLE_NODE_POLL", "K8sDisableNodePoll")?,
    };
    let path = variables.raw("SQLITE_PATH").filter(|path| !path.is_empty());
    let datastore = match word {
        Some(word) => DatastoreKind::from_word(&word),
        // Whoever says where etcd is means etcd, whatever the program's default is.
        None if etcd_is_named && path.is_none() => DatastoreKind::Etcd,
        None => sources.default.clone(),
    };
    Ok(Settings {
        datastore,
        etcd,
        kubernetes,
        sqlite_path: sqlite_path::resolve(sources, Path::new(&path.unwrap_or_default())),
        origin: Origin::Environment(variables.set),
    })
}

// === impl Variables ===

impl Variables<'_> {
    fn raw(&mut self, name: &str) -> Option<OsString> {
        let prefixed = format!("{PREFIX}{name}");
        for name in [prefixed.as_str(), name] {
            if let Some(value) = self.sources.env.get(name) {
                self.set.push(name.to_owned());
                return Some(value.clone());
            }
        }
        None
    }

    fn text(&mut self, name: &str) -> Result<Option<String>, SettingsError> {
        let Some(value) = self.raw(name) else { return Ok(None) };
        let not_text = |_| SettingsError::NotText { variable: self.set.last().cloned().unwrap_or_default() };
        value.into_string().map(Some).map_err(not_text)
    }

    fn bool(&mut self, name: &str, field: &'static str) -> Result<bool, SettingsError> {
        let Some(value) = self.text(name)? else { return Ok(false) };
        match value.as_str() {
            "1" | "t" | "T" | "TRUE" | "true" | "True" => Ok(true),
            "0" | "f" | "F" | "FALSE" | "false" | "False" => Ok(false),
            _ => {
                let quoted = go_quote(&value);
                // COMPAT(envconfig): the prefixed name also when the other one was set.
                Err(SettingsError::NotBool { variable: format!("{PREFIX}{name}"), field, value, quoted })
            }
        }
    }
}

/// The text as Go's `strconv.Quote` writes it.
fn go_quote(text: &str) -> String {
    let mut out = String::from('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\u{7}' => out.push_str("\\a"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{b}' => out.push_str("\\v"),
            c if c.is_ascii_control() => out.push_str(&format!("\\x{:02x}", u32::from(c))),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}
