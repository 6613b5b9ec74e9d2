//! Datastores opened from settings, under the suites that every store passes.

#![expect(clippy::unwrap_used, reason = "the helpers of tests are tests")]

mod opening;
mod suites;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::Path;
use std::sync::Arc;

use margay_client::{DatastoreKind, Settings, Sources};
use margay_store::flat::Random;

/// The settings of `margay` with these variables and no file.
fn settings(variables: &[(&str, &str)]) -> Settings {
    let env: BTreeMap<String, OsString> =
        variables.iter().map(|(name, value)| ((*name).to_owned(), OsString::from(value))).collect();
    Settings::load(&Sources {
        config_path: "absent.cfg",
        config_is_default: true,
        cwd: Path::new("/nonexistent"),
        env: &env,
        default: DatastoreKind::Sqlite,
    })
    .unwrap()
}

/// The settings of an embedded datastore in this file.
fn embedded(file: &Path) -> Settings {
    settings(&[("SQLITE_PATH", file.to_str().unwrap())])
}

fn random() -> Random {
    Arc::new(|| [0xab; 16])
}
