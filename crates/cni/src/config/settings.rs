//! The configuration as settings of the datastore (`spec/cni.md` 2.2): the environment is the default, the
//! configuration wins.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::Path;

use margay_client::{DatastoreKind, Settings, SettingsError};

use super::reader::{Reader, Section};
use super::{NetConf, StoreTexts};

// === impl StoreTexts ===

impl StoreTexts {
    pub(super) fn read(reader: &mut Reader, root: &Section<'_>) -> Self {
        Self {
            datastore_type: root.text(reader, "datastore_type"),
            etcd_endpoints: root.text(reader, "etcd_endpoints"),
            etcd_authority: root.text(reader, "etcd_authority"),
            etcd_scheme: root.text(reader, "etcd_scheme"),
            etcd_key_file: root.text(reader, "etcd_key_file"),
            etcd_cert_file: root.text(reader, "etcd_cert_file"),
            etcd_ca_cert_file: root.text(reader, "etcd_ca_cert_file"),
            sqlite_path: root.text(reader, "sqlite_path"),
        }
    }
}

// === impl NetConf ===

impl NetConf {
    /// The settings of the datastore that the configuration and, where it is silent, the environment name.
    ///
    /// # Errors
    /// A variable of the environment cannot be understood.
    pub fn settings(&self, cwd: &Path, env: &BTreeMap<String, OsString>) -> Result<Settings, SettingsError> {
        let mut env = env.clone();
        let store = &self.store;
        let says_where_etcd_is = !store.etcd_endpoints.is_empty() || !store.etcd_authority.is_empty();
        let kind = match store.datastore_type.as_str() {
            "" if !store.sqlite_path.is_empty() && !says_where_etcd_is => "sqlite",
            kind => kind,
        };
        for (variable, text) in [
            ("DATASTORE_TYPE", kind),
            ("ETCD_ENDPOINTS", &store.etcd_endpoints),
            ("ETCD_AUTHORITY", &store.etcd_authority),
            ("ETCD_SCHEME", &store.etcd_scheme),
            ("ETCD_KEY_FILE", &store.etcd_key_file),
            ("ETCD_CERT_FILE", &store.etcd_cert_file),
            ("ETCD_CA_CERT_FILE", &store.etcd_ca_cert_file),
            ("SQLITE_PATH", &store.sqlite_path),
            ("KUBECONFIG", &self.kubernetes.kubeconfig),
            ("K8S_API_ENDPOINT", &self.kubernetes.api_root),
            ("K8S_API_TOKEN", self.policy.auth_token.expose()),
        ] {
            if !text.is_empty() {
                // The name with the prefix wins over the one without, so that is where the configuration goes.
                env.insert(format!("CALICO_{variable}"), OsString::from(text));
            }
        }
        Settings::of_environment(cwd, &env, DatastoreKind::Etcd)
    }
}
