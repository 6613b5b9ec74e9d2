//! Hardware addresses of 6, 8 or 20 octets, as Go's `net.ParseMAC` reads them.

use std::fmt;
use std::str::FromStr;

/// The longest address: IP over InfiniBand.
const MAX_OCTETS: usize = 20;

/// A hardware address of 6, 8 or 20 octets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Mac {
    /// Zero beyond `len`, so that derived comparison is right.
    octets: [u8; MAX_OCTETS],
    len: u8,
}

/// The text is not a hardware address.
// COMPAT(wording): Go releases differ; scripts match on `invalid MAC address` only.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("address {text}: invalid MAC address")]
pub struct ParseMacError {
    /// The text as given.
    pub text: String,
}

// === impl Mac ===

impl Mac {
    /// The address with these octets, if there are 6, 8 or 20.
    pub fn new(octets: &[u8]) -> Option<Self> {
        let len = allowed_length(octets.len())?;
        let mut padded = [0; MAX_OCTETS];
        padded[..octets.len()].copy_from_slice(octets);
        Some(Mac { octets: padded, len })
    }

    /// The octets, first one first.
    pub fn octets(&self) -> &[u8] {
        &self.octets[..usize::from(self.len)]
    }
}

impl From<[u8; 6]> for Mac {
    fn from(octets: [u8; 6]) -> Self {
        Mac::new(&octets).expect("six octets are allowed")
    }
}

impl FromStr for Mac {
    type Err = ParseMacError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        parse(text).ok_or_else(|| ParseMacError { text: text.to_owned() })
    }
}

impl fmt::Display for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, octet) in self.octets().iter().enumerate() {
            let separator = if index == 0 { "" } else { ":" };
            write!(f, "{separator}{octet:02x}")?;
        }
        Ok(())
    }
}

// === helpers ===

/// The length as stored, when it is one of the three allowed.
fn allowed_length(octets: usize) -> Option<u8> {
    match octets {
        6 => Some(6),
        8 => Some(8),
        20 => Some(20),
        _ => None,
    }
}

fn parse(text: &str) -> Option<Mac> {
    let (separator, digits_per_group) = match (text.as_bytes().get(2)?, text.as_bytes().get(4)?) {
        (b':', _) => (':', 2),
        (b'-', _) => ('-', 2),
        (_, b'.') => ('.', 4),
        _ => return None,
    };
    let mut octets = Vec::with_capacity(MAX_OCTETS);
    for group in text.split(separator) {
        if group.len() != digits_per_group || octets.len() == MAX_OCTETS {
            return None;
        }
        for pair in group.as_bytes().chunks_exact(2) {
            octets.push(hex_digit(pair[0])? << 4 | hex_digit(pair[1])?);
        }
    }
    Mac::new(&octets)
}

fn hex_digit(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

#[cfg(test)]
mod tests;
