//! Ports of rules: one number or a range. Named ports do not exist in this API.

use std::fmt;
use std::str::FromStr;

use crate::decimal;

/// A non-empty range of port numbers, often of one; 0 is left to validation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Port {
    min: u16,
    max: u16,
}

/// The text or the pair of numbers is not a port range.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ParsePortError {
    /// Neither a number nor two texts with one colon between.
    #[error("invalid port format ({text})")]
    Format {
        /// The text as given.
        text: String,
    },
    /// What stands before the colon is not a port number.
    #[error("invalid minimum port number in range ({text})")]
    Minimum {
        /// The whole text as given.
        text: String,
    },
    /// What stands after the colon is not a port number.
    #[error("invalid maximum port number in range ({text})")]
    Maximum {
        /// The whole text as given.
        text: String,
    },
    /// The range is upside down.
    #[error("minimum port number ({min}) is greater than maximum port number ({max}) in port range")]
    Reversed {
        /// The number before the colon.
        min: u16,
        /// The number after the colon.
        max: u16,
    },
}

// === impl Port ===

impl Port {
    /// The range of this one number.
    pub const fn single(port: u16) -> Self {
        Port { min: port, max: port }
    }

    /// The range from `min` to `max`, both included.
    pub const fn range(min: u16, max: u16) -> Result<Self, ParsePortError> {
        if min > max {
            return Err(ParsePortError::Reversed { min, max });
        }
        Ok(Port { min, max })
    }

    /// The lowest number.
    pub const fn min(self) -> u16 {
        self.min
    }

    /// The highest number.
    pub const fn max(self) -> u16 {
        self.max
    }

    /// The number, when the range holds one only: documents then show an integer.
    pub const fn as_single(self) -> Option<u16> {
        if self.min == self.max { Some(self.min) } else { None }
    }

    /// Whether the number lies in the range.
    pub const fn contains(self, port: u16) -> bool {
        self.min <= port && port <= self.max
    }
}

impl From<u16> for Port {
    fn from(port: u16) -> Self {
        Port::single(port)
    }
}

impl FromStr for Port {
    type Err = ParsePortError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if let Some(port) = decimal::parse(text) {
            return Ok(Port::single(port));
        }
        let owned = || text.to_owned();
        let (min, max) = match text.split_once(':') {
            Some((min, max)) if !max.contains(':') => (min, max),
            _ => return Err(ParsePortError::Format { text: owned() }),
        };
        let min = decimal::parse(min).ok_or_else(|| ParsePortError::Minimum { text: owned() })?;
        let max = decimal::parse(max).ok_or_else(|| ParsePortError::Maximum { text: owned() })?;
        Port::range(min, max)
    }
}

impl fmt::Display for Port {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.as_single() {
            Some(port) => port.fmt(f),
            None => f.pad(&format!("{}:{}", self.min, self.max)),
        }
    }
}

#[cfg(test)]
mod tests;
