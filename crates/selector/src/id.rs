//! The stable name of a selector, by which agents on all nodes call the same set of endpoints.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha224};

/// The stable name of a selector: a digest of its canonical text.
///
/// Prints as `s:` and 38 characters of base64url. The order is that of the digests, not of the texts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SelectorId([u8; 28]);

impl SelectorId {
    /// The id of a canonical text.
    pub(crate) fn of(canonical: &str) -> Self {
        SelectorId(Sha224::new().chain_update("s:").chain_update(canonical).finalize().into())
    }
}

impl fmt::Display for SelectorId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("s:{}", URL_SAFE_NO_PAD.encode(self.0)))
    }
}
