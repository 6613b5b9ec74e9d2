//! The names of tables, chains and sets.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

/// The name of a table, chain or set; cheap to clone.
///
/// A parsed one can be typed to the `nft` tool: a letter, then letters, digits and `_ . - /`. One that was read from
/// the kernel may be anything that another program chose.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name(Arc<str>);

/// The text is no name that both the kernel and the `nft` tool take.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("invalid nftables name: {0:?}")]
pub struct NameError(pub String);

/// The packets that a table sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Family {
    /// IPv4 and IPv6.
    Inet,
    /// IPv4.
    Ip,
    /// IPv6.
    Ip6,
    /// ARP.
    Arp,
    /// Frames of bridges.
    Bridge,
    /// Frames of one device.
    Netdev,
}

/// Which table.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TableId {
    /// Its family; names repeat in other families.
    pub family: Family,
    /// Its name.
    pub name: Name,
}

// === impl Name ===

impl Name {
    /// The longest name in bytes (`NFT_NAME_MAXLEN` less the closing NUL).
    pub(crate) const LONGEST: usize = 255;

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// A name that stands in the kernel already.
    pub(crate) fn read(text: &str) -> Self {
        Self(text.into())
    }
}

impl FromStr for Name {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let inner = |byte: u8| byte.is_ascii_alphanumeric() || b"_.-/".contains(&byte);
        let begins = text.bytes().next().is_some_and(|byte| byte.is_ascii_alphabetic());
        if !begins || text.len() > Name::LONGEST || !text.bytes().all(inner) {
            return Err(NameError(text.to_owned()));
        }
        Ok(Self(text.into()))
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&*self.0, f)
    }
}

// === impl Family ===

impl Family {
    /// `NFPROTO_…`.
    pub(crate) fn number(self) -> u8 {
        match self {
            Family::Inet => 1,
            Family::Ip => 2,
            Family::Arp => 3,
            Family::Netdev => 5,
            Family::Bridge => 7,
            Family::Ip6 => 10,
        }
    }

    /// The family of that `NFPROTO_…`.
    pub(crate) fn from_number(number: u8) -> Option<Self> {
        [Family::Inet, Family::Ip, Family::Arp, Family::Netdev, Family::Bridge, Family::Ip6]
            .into_iter()
            .find(|family| family.number() == number)
    }
}

impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Family::Inet => "inet",
            Family::Ip => "ip",
            Family::Ip6 => "ip6",
            Family::Arp => "arp",
            Family::Bridge => "bridge",
            Family::Netdev => "netdev",
        })
    }
}

// === impl TableId ===

impl TableId {
    /// The table of that name for IPv4 and IPv6.
    #[must_use]
    pub fn inet(name: Name) -> Self {
        Self { family: Family::Inet, name }
    }
}

impl fmt::Display for TableId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.family, self.name)
    }
}

#[cfg(test)]
mod tests;
