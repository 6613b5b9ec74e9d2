//! IP protocols of rules, by number or by name. Which of them are valid is the model's business.

use std::convert::Infallible;
use std::fmt;
use std::str::FromStr;

use crate::decimal;

/// An IP protocol as a rule names it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Protocol {
    /// A protocol number.
    Number(u8),
    /// Any other text, kept as written.
    Name(String),
}

// === impl Protocol ===

impl Protocol {
    /// Whether rules with this protocol may name ports: TCP or UDP only.
    pub fn supports_ports(&self) -> bool {
        match self {
            Protocol::Number(number) => matches!(number, 6 | 17),
            Protocol::Name(name) => matches!(name.as_str(), "tcp" | "udp"),
        }
    }
}

impl FromStr for Protocol {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(text.into())
    }
}

impl From<&str> for Protocol {
    fn from(text: &str) -> Self {
        decimal::parse(text).map_or_else(|| Protocol::Name(text.to_owned()), Protocol::Number)
    }
}

impl From<u8> for Protocol {
    fn from(number: u8) -> Self {
        Protocol::Number(number)
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Protocol::Number(number) => number.fmt(f),
            Protocol::Name(name) => f.pad(name),
        }
    }
}

#[cfg(test)]
mod tests;
