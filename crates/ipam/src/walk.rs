//! The order in which a host looks at the blocks of a pool (`spec/ipam.md` 5).
//!
//! It starts somewhere that host and pool decide, so that hosts seldom meet, and goes round once. Where upstream starts
//! is no part of the protocol: any free block will do.

use margay_net::{Cidr, Ip, IpVersion};

use crate::block::{address, number};
use crate::mix::mix;

/// The blocks of one pool in the order of one host.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Walk {
    pool: Cidr,
    /// How many blocks the pool has; 0 when it is smaller than a block.
    count: u128,
    start: u128,
}

/// The prefix length of version 1's blocks of 64 addresses.
#[must_use]
pub fn block_prefix(version: IpVersion) -> u8 {
    version.bits() - 6
}

/// The version 1 block that an address lies in.
#[must_use]
pub fn block_of(ip: Ip) -> Cidr {
    Cidr::new(ip, block_prefix(ip.version())).expect("shorter than an address of its version").masked()
}

// === impl Walk ===

impl Walk {
    /// The walk of a host through a pool.
    pub(crate) fn new(pool: Cidr, host: &str) -> Self {
        let pool = pool.masked();
        let prefix = block_prefix(pool.version());
        let bits = prefix.checked_sub(pool.prefix());
        let count = bits.map_or(0, |bits| 1_u128 << bits);
        let name = pool.to_string();
        let hash = u128::from(mix(&[host, &name])) << 64 | u128::from(mix(&[&name, host]));
        Self { pool, count, start: hash.checked_rem(count).unwrap_or_default() }
    }

    /// The blocks, each once.
    pub(crate) fn blocks(self) -> impl Iterator<Item = Cidr> + Send {
        (0..self.count).map(move |step| self.block((self.start + step) % self.count))
    }

    /// How many blocks come before this one; none when it is no block of the pool.
    pub(crate) fn position(self, block: Cidr) -> Option<u128> {
        let own = block.prefix() == block_prefix(self.pool.version()) && self.pool.contains(block);
        let index = || (number(block.address()) - number(self.pool.address())) / 64;
        own.then(|| (index() + self.count - self.start) % self.count)
    }

    fn block(self, index: u128) -> Cidr {
        let version = self.pool.version();
        let first = address(version, number(self.pool.address()) + index * 64);
        Cidr::new(first, block_prefix(version)).expect("shorter than an address of its version")
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use margay_net::Cidr;
    use proptest::prelude::*;

    use super::Walk;

    fn cidr(text: &str) -> Cidr {
        text.parse().unwrap()
    }

    #[test]
    fn a_walk_visits_every_block_of_the_pool_once() {
        for (pool, count) in
            [("192.168.0.0/16", 1024), ("10.0.0.0/24", 4), ("10.0.0.64/26", 1), ("fd80:24e2::/112", 1024)]
        {
            let walk = Walk::new(cidr(pool), "node1");
            let blocks: Vec<Cidr> = walk.blocks().collect();
            assert_eq!(blocks.len(), count, "{pool}");
            assert_eq!(blocks.iter().collect::<BTreeSet<_>>().len(), count);
            assert!(blocks.iter().all(|block| cidr(pool).contains(*block) && block.is_masked()));
            for (position, block) in blocks.iter().enumerate() {
                assert_eq!(walk.position(*block), Some(position as u128));
            }
        }
    }

    #[test]
    fn a_pool_smaller_than_a_block_has_none_and_a_large_one_is_walked_lazily() {
        assert_eq!(Walk::new(cidr("10.0.0.0/27"), "h").blocks().count(), 0);
        assert_eq!(Walk::new(cidr("10.0.0.0/27"), "h").position(cidr("10.0.0.0/26")), None);
        let wide = cidr("fd80:24e2:f998:72d6::/64");
        let first: Vec<Cidr> = Walk::new(wide, "h").blocks().take(3).collect();
        assert!(first.iter().all(|block| wide.contains(*block) && block.prefix() == 122));
        assert_eq!(Walk::new(cidr("::/0"), "h").count, 1 << 122);
    }

    #[test]
    fn hosts_with_like_names_start_apart() {
        let starts: BTreeSet<u128> =
            (0..100).map(|n| Walk::new(cidr("10.0.0.0/12"), &format!("node-{n}")).start).collect();
        assert!(starts.len() > 95, "{} different starts", starts.len());
    }

    proptest! {
        #[test]
        fn the_start_belongs_to_host_and_pool(host in "[a-z0-9.-]{1,30}", bits in 8_u8..26) {
            let pool = Cidr::new(std::net::Ipv4Addr::new(10, 0, 0, 0), bits).unwrap();
            let (one, two) = (Walk::new(pool, &host), Walk::new(pool, &host));
            prop_assert_eq!(one.start, two.start);
            prop_assert!(one.start < one.count);
        }
    }
}
