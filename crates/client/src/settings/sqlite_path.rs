//! Where the embedded datastore's file is when nothing says so.

use std::path::{Path, PathBuf};

use rustix::fs::{Access, access};

use super::Sources;

/// The file that all programs of a host share.
const SYSTEM: &str = "/var/lib/margay/datastore.db";

/// The file of one user, below the user's state directory.
const OF_USER: &str = "margay/datastore.db";

/// The path as configured, or the default when that is empty.
pub(super) fn resolve(sources: &Sources<'_>, configured: &Path) -> PathBuf {
    if configured.as_os_str().is_empty() {
        default(sources, Path::new(SYSTEM))
    } else {
        sources.cwd.join(configured)
    }
}

/// The system's file if it can be written, else the user's.
pub(super) fn default(sources: &Sources<'_>, system: &Path) -> PathBuf {
    if can_write(system) {
        return system.to_owned();
    }
    let directory = |name: &str| sources.env.get(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let state = directory("XDG_STATE_HOME").or_else(|| Some(directory("HOME")?.join(".local/state")));
    // Without a home the error of the system's path tells more than any other place would.
    state.map_or_else(|| system.to_owned(), |state| state.join(OF_USER))
}

/// True when the file and its directory can be written, or could be made.
fn can_write(file: &Path) -> bool {
    if file.exists() && access(file, Access::WRITE_OK | Access::READ_OK).is_err() {
        return false;
    }
    // Beside its file SQLite makes two more, so the directory counts in any case.
    let nearest = file.ancestors().skip(1).find(|directory| directory.exists());
    nearest.is_some_and(|directory| {
        directory.is_dir() && access(directory, Access::WRITE_OK | Access::EXEC_OK).is_ok()
    })
}
