//! The name and the number of a network interface.

use std::fmt;
use std::str::FromStr;

/// The longest name in bytes, without the closing NUL (`IFNAMSIZ` of `linux/if.h`).
const LONGEST: usize = 15;

/// The name of an interface as the kernel takes it: 1 to 15 bytes, no `/`, no white space, neither `.` nor `..`.
///
/// Held NUL-padded in 16 bytes, the form of nftables keys.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct IfName([u8; LONGEST + 1]);

/// The kernel's number of an interface; never 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct IfIndex(pub u32);

/// The text is no name that an interface could have.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("invalid interface name: {0:?}")]
pub struct ParseIfNameError(pub String);

// === impl IfName ===

impl IfName {
    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        let end = self.0.iter().position(|byte| *byte == 0).unwrap_or(LONGEST);
        std::str::from_utf8(&self.0[..end]).expect("made from text, cut at no place")
    }

    /// The 16 bytes that nftables compares.
    #[must_use]
    pub fn padded(&self) -> &[u8; LONGEST + 1] {
        &self.0
    }
}

impl FromStr for IfName {
    type Err = ParseIfNameError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = text.is_empty()
            || text.len() > LONGEST
            || text == "."
            || text == ".."
            || text.chars().any(|c| c == '/' || c == ':' || c == '\0' || c.is_whitespace());
        if wrong {
            return Err(ParseIfNameError(text.to_owned()));
        }
        let mut bytes = [0; LONGEST + 1];
        bytes[..text.len()].copy_from_slice(text.as_bytes());
        Ok(Self(bytes))
    }
}

impl fmt::Display for IfName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for IfName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

#[cfg(test)]
mod tests;
