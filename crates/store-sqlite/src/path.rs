//! [`StoredPath`]: a key as the tables hold it, so that bytewise order is order component by component.
//!
//! `/` becomes byte 1, below every byte of a name. Bytes 1 and 2 of a name become `2 2` and `2 3`, so that byte 1 is a
//! separator wherever it stands. Everything at or below a path is one range: from the path to the path with a 2 behind.

use margay_store::kv::{Result, check_key};

const SEPARATOR: u8 = 1;
const ESCAPE: u8 = 2;

/// A key's stored form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StoredPath(Vec<u8>);

// === impl StoredPath ===

impl StoredPath {
    /// The stored form of `key`, if it is one that a store can hold.
    pub(crate) fn of(key: &str) -> Result<Self> {
        check_key(key)?;
        let mut stored = Vec::with_capacity(key.len());
        for byte in key.bytes() {
            match byte {
                b'/' => stored.push(SEPARATOR),
                SEPARATOR | ESCAPE => stored.extend([ESCAPE, byte + 1]),
                _ => stored.push(byte),
            }
        }
        Ok(Self(stored))
    }

    /// The stored bytes; the first of the range at or below this path.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// The start of the range below this path.
    pub(crate) fn below(&self) -> Vec<u8> {
        [&self.0, [SEPARATOR].as_slice()].concat()
    }

    /// The end, exclusive, of the range at or below this path.
    pub(crate) fn end(&self) -> Vec<u8> {
        end_of(&self.0)
    }

    /// The directories above, the nearest first.
    pub(crate) fn ancestors(&self) -> impl Iterator<Item = &[u8]> {
        (1..self.0.len()).rev().filter(|at| self.0[*at] == SEPARATOR).map(|at| &self.0[..at])
    }

    /// True when `other` is this path or stands below it.
    pub(crate) fn holds(&self, other: &[u8]) -> bool {
        at_or_below(&self.0, other)
    }

    /// True when this path is `other` or stands below it.
    pub(crate) fn is_held_by(&self, other: &[u8]) -> bool {
        at_or_below(other, &self.0)
    }
}

// === helpers ===

/// The end, exclusive, of the range at or below the stored path `path`.
pub(crate) fn end_of(path: &[u8]) -> Vec<u8> {
    [path, &[ESCAPE]].concat()
}

/// The name behind the last separator of the stored path `path`, as bytes of text.
pub(crate) fn name_of(path: &[u8]) -> Vec<u8> {
    let start = path.iter().rposition(|byte| *byte == SEPARATOR).map_or(0, |at| at + 1);
    let mut name = Vec::new();
    decode(&path[start..], &mut name);
    name
}

/// Writes the key of the stored path `path` into `key`, as bytes of text.
pub(crate) fn decode(path: &[u8], key: &mut Vec<u8>) {
    key.clear();
    let mut bytes = path.iter();
    while let Some(byte) = bytes.next() {
        key.push(match *byte {
            SEPARATOR => b'/',
            // A path that ends in the escape was not written here; what it means does not matter, only that it ends.
            ESCAPE => bytes.next().map_or(ESCAPE, |escaped| escaped.wrapping_sub(1)),
            byte => byte,
        });
    }
}

fn at_or_below(directory: &[u8], path: &[u8]) -> bool {
    path.strip_prefix(directory).is_some_and(|rest| matches!(rest.first(), None | Some(&SEPARATOR)))
}

#[cfg(test)]
mod tests;
