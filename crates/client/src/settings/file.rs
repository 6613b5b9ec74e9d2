//! Settings from a connection file.

use std::io;
use std::path::Path;

use margay_model::v1::CalicoAPIConfig;

use super::{
    DatastoreKind, EtcdSettings, KubernetesSettings, Origin, Settings, SettingsError, Sources, sqlite_path,
};
use crate::secret::Secret;

/// Reads and decodes the file at `path`.
pub(super) fn load(sources: &Sources<'_>, path: &Path) -> Result<Settings, SettingsError> {
    let shown = sources.config_path.to_owned();
    let source = match std::fs::read(path) {
        Ok(source) => source,
        Err(error) => {
            // A directory opens, and then does not read.
            let verb = if error.kind() == io::ErrorKind::IsADirectory { "read" } else { "open" };
            return Err(SettingsError::Unreadable { text: format!("{verb} {shown}: {}", os_text(&error)) });
        }
    };
    let spec = match CalicoAPIConfig::decode(&source) {
        Ok(config) => config.spec,
        Err(fault) => return Err(SettingsError::Syntax { path: shown, fault }),
    };
    Ok(Settings {
        // A file is a configuration: the default of the program does not count.
        datastore: spec.datastore_type.as_deref().map_or(DatastoreKind::Etcd, DatastoreKind::from_word),
        etcd: EtcdSettings {
            endpoints: spec.etcd_endpoints,
            scheme: spec.etcd_scheme,
            authority: spec.etcd_authority,
            username: spec.etcd_username,
            password: Secret::new(spec.etcd_password),
            key_file: spec.etcd_key_file,
            cert_file: spec.etcd_cert_file,
            ca_cert_file: spec.etcd_ca_cert_file,
        },
        kubernetes: KubernetesSettings {
            kubeconfig: spec.kubeconfig,
            api_endpoint: spec.k8s_api_endpoint,
            key_file: spec.k8s_key_file,
            cert_file: spec.k8s_cert_file,
            ca_file: spec.k8s_ca_file,
            api_token: Secret::new(spec.k8s_api_token),
            insecure_skip_tls_verify: spec.k8s_insecure_skip_tls_verify,
            disable_node_poll: spec.k8s_disable_node_poll,
        },
        sqlite_path: sqlite_path::resolve(sources, Path::new(&spec.sqlite_path)),
        origin: Origin::File(shown),
    })
}

/// What Go says of a failed system call: `permission denied`.
pub(super) fn os_text(error: &io::Error) -> String {
    let text = error.to_string();
    let text = text.split(" (os error").next().unwrap_or(&text);
    let mut characters = text.chars();
    characters.next().map_or_else(String::new, |first| first.to_lowercase().chain(characters).collect())
}
