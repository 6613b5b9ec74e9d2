//! Connection files and the environment.

use std::cell::LazyCell;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt as _;

use margay_client::{DatastoreKind, Settings, Sources};
use tempfile::TempDir;

thread_local! {
    /// Where the connection file is written.
    static FOLDER: LazyCell<TempDir> = LazyCell::new(|| tempfile::tempdir().expect("a folder"));
}

/// The text in an input that no output may hold.
const SECRET: &str = "canary-7f3a";

/// A connection file and variables `NAME=VALUE`, with NUL between.
///
/// Nothing secret is ever shown, and what loads is checked and described.
pub fn settings(input: &[u8]) {
    let mut parts = input.split(|byte| *byte == 0);
    let file = parts.next().unwrap_or_default();
    let variables: BTreeMap<String, OsString> = parts.take(40).filter_map(variable).collect();
    FOLDER.with(|folder| {
        let path = folder.path().join("calicoctl.cfg");
        std::fs::write(&path, file).expect("the folder is ours");
        for (config_path, is_default) in
            [("calicoctl.cfg", false), ("absent.cfg", true), ("absent.cfg", false)]
        {
            for default in [DatastoreKind::Etcd, DatastoreKind::Sqlite] {
                load(&Sources {
                    config_path,
                    config_is_default: is_default,
                    cwd: folder.path(),
                    env: &variables,
                    default,
                });
            }
        }
    });
}

fn variable(text: &[u8]) -> Option<(String, OsString)> {
    let at = text.iter().position(|byte| *byte == b'=')?;
    let name = String::from_utf8(text[..at].to_vec()).ok()?;
    Some((name, OsString::from_vec(text[at + 1..].to_vec())))
}

fn load(sources: &Sources<'_>) {
    let settings = match Settings::load(sources) {
        Ok(settings) => settings,
        Err(error) => {
            assert!(!error.to_string().is_empty());
            let _ = (error.reasons(), error.hint());
            return;
        }
    };
    let checked = settings.check();
    let shown = format!("{settings:?} {:?} {:?}", settings.describe(), settings.etcd.urls());
    assert!(!settings.describe().is_empty());
    // The secret may stand in other fields too, which are shown.
    let password = settings.etcd.password.expose();
    let elsewhere = settings.etcd.endpoints.contains(SECRET) || in_shown_fields(&settings);
    if password == SECRET && !elsewhere {
        assert!(!shown.contains(SECRET), "{shown}");
    }
    if let Err(error) = checked {
        assert!(!error.to_string().is_empty());
    }
}

/// True when the secret stands where it is not one.
fn in_shown_fields(settings: &Settings) -> bool {
    let (etcd, kubernetes) = (&settings.etcd, &settings.kubernetes);
    let texts = [
        &etcd.scheme,
        &etcd.authority,
        &etcd.username,
        &etcd.key_file,
        &etcd.cert_file,
        &etcd.ca_cert_file,
        &kubernetes.kubeconfig,
        &kubernetes.api_endpoint,
        &kubernetes.key_file,
        &kubernetes.cert_file,
        &kubernetes.ca_file,
    ];
    texts.into_iter().any(|text| text.contains(SECRET))
        || settings.datastore.to_string().contains(SECRET)
        || settings.sqlite_path.to_string_lossy().contains(SECRET)
}
