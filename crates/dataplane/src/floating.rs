//! Floating addresses (`spec/agent.md` 8): who gets which, and which are refused.

use std::collections::BTreeMap;
use std::net::IpAddr;

use margay_intent::Nat;

/// What the NAT maps of one family hold.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct FloatingMaps {
    /// Destination rewriting: external to internal.
    pub(crate) inward: BTreeMap<IpAddr, IpAddr>,
    /// Source rewriting of an endpoint that calls itself: internal to external.
    pub(crate) hairpin: BTreeMap<IpAddr, IpAddr>,
}

/// Why an address is not taken from a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AddressFault {
    /// It is no address of a single machine: unspecified, loopback, multicast, link-local, or the whole family.
    NotUnicast,
    /// It is this host's own.
    OwnedByHost,
    /// Another endpoint of this host has it.
    OwnedByOther,
    /// The floating address leads to an address that the endpoint does not have.
    InternalNotOwned,
    /// The two addresses are of different families.
    MixedFamilies,
}

// === impl AddressFault ===

impl AddressFault {
    /// The fault in words that follow an address.
    #[must_use]
    pub fn text(self) -> &'static str {
        match self {
            Self::NotUnicast => "is not an address that a single machine can have",
            Self::OwnedByHost => "is an address of this host",
            Self::OwnedByOther => "belongs to another endpoint of this host",
            Self::InternalNotOwned => "leads to an address that the endpoint does not have",
            Self::MixedFamilies => "leads to an address of the other family",
        }
    }
}

/// The maps of both families: of several internal addresses the lowest gets an external one, of several external
/// addresses the lowest stands for an internal one.
///
/// COMPAT(floating conflicts): upstream compares addresses as texts, so 10.0.0.10 is below 10.0.0.9.
pub(crate) fn maps<'a>(nats: impl Iterator<Item = &'a Nat>) -> FloatingMaps {
    let mut internal_of: BTreeMap<IpAddr, IpAddr> = BTreeMap::new();
    for nat in nats {
        internal_of
            .entry(nat.external)
            .and_modify(|internal| {
                if as_text(nat.internal) < as_text(*internal) {
                    *internal = nat.internal;
                }
            })
            .or_insert(nat.internal);
    }
    let mut hairpin: BTreeMap<IpAddr, IpAddr> = BTreeMap::new();
    for (external, internal) in &internal_of {
        hairpin
            .entry(*internal)
            .and_modify(|lowest| {
                if as_text(*external) < as_text(*lowest) {
                    *lowest = *external;
                }
            })
            .or_insert(*external);
    }
    FloatingMaps { inward: internal_of, hairpin }
}

fn as_text(address: IpAddr) -> String {
    address.to_string()
}

/// Why an address is no single machine's, if so.
pub(crate) fn unicast(address: IpAddr) -> Result<(), AddressFault> {
    let strange = match address {
        IpAddr::V4(v4) => {
            let bits = v4.to_bits();
            // 0/8, 127/8, 169.254/16 and everything from 224/4 up, broadcast included.
            bits >> 24 == 0 || v4.is_loopback() || v4.is_link_local() || bits >> 28 >= 0xe
        }
        IpAddr::V6(v6) => {
            v6.is_unspecified()
                || v6.is_loopback()
                || v6.is_multicast()
                || v6.segments()[0] & 0xffc0 == 0xfe80
        }
    };
    if strange { Err(AddressFault::NotUnicast) } else { Ok(()) }
}

/// Whether a floating address may be used, as far as its own record says.
pub(crate) fn check(nat: &Nat, owns: impl Fn(IpAddr) -> bool) -> Result<(), AddressFault> {
    if nat.external.is_ipv4() != nat.internal.is_ipv4() {
        return Err(AddressFault::MixedFamilies);
    }
    unicast(nat.external)?;
    unicast(nat.internal)?;
    if !owns(nat.internal) {
        return Err(AddressFault::InternalNotOwned);
    }
    Ok(())
}

#[cfg(test)]
mod tests;
