//! Dev only: what is generated from the code's own tables. The tests of this crate guard the tree itself.

pub mod reference;

use std::path::{Path, PathBuf};

/// The root of the tree.
#[must_use]
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("xtask is a folder of the tree").to_path_buf()
}
