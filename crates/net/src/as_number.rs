//! Autonomous system numbers, plain or dotted.

use std::fmt;
use std::str::FromStr;

use crate::decimal;

/// A BGP autonomous system number; 0 is accepted, as upstream does.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AsNumber(pub u32);

/// The text is neither a number nor two numbers with a dot between.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("invalid AS Number format ({text})")]
pub struct ParseAsNumberError {
    /// The text as given.
    pub text: String,
}

// === impl AsNumber ===

impl From<u32> for AsNumber {
    fn from(number: u32) -> Self {
        AsNumber(number)
    }
}

impl FromStr for AsNumber {
    type Err = ParseAsNumberError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        decimal::parse(text)
            .or_else(|| parse_dotted(text))
            .map(AsNumber)
            .ok_or_else(|| ParseAsNumberError { text: text.to_owned() })
    }
}

impl fmt::Display for AsNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

// === helpers ===

fn parse_dotted(text: &str) -> Option<u32> {
    let (high, low) = text.split_once('.')?;
    let (high, low): (u16, u16) = (decimal::parse(high)?, decimal::parse(low)?);
    Some(u32::from(high) << 16 | u32::from(low))
}

#[cfg(test)]
mod tests;
